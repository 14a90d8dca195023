"""What a format cannot hold of what is known, so that somebody can be told."""

from __future__ import annotations

from matcher.metadata.aiff_places import MOST_LOOPS
from matcher.metadata.cues import held_loops, held_markers
from matcher.metadata.flac import MOST_BLOCK_BYTES
from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_TEXT_BYTES, tidy
from matcher.metadata.id3_writing import held_pictures
from matcher.metadata.items import Metadata
from matcher.metadata.names import vorbis_name


def lost(metadata: Metadata, container: str) -> tuple[str, ...]:
    """The names of the items that WAV, RF64, FLAC or AIFF cannot hold; empty where all is kept."""
    gone = [name for name, is_gone in _anywhere(metadata) if is_gone]
    if container == "AIFF":
        gone += [name for name, is_gone in _in_aiff(metadata) if is_gone]
    if container == "FLAC":
        gone += _in_flac(metadata)
    return tuple(dict.fromkeys(gone))


def _anywhere(metadata: Metadata) -> list[tuple[str, bool]]:
    return [
        ("markers out of reach", len(held_markers(metadata.markers)) < len(metadata.markers)),
        ("loops out of reach", len(held_loops(metadata.loops)) < len(metadata.loops)),
        ("large pictures", len(held_pictures(metadata.pictures)) < len(metadata.pictures)),
        ("iXML", len(metadata.ixml) > MOST_CHUNK_BYTES),
        ("axml", len(metadata.axml) > MOST_CHUNK_BYTES),
        ("long tags", any(len(_utf8(v)) > MOST_TEXT_BYTES // 2 for values in metadata.tags.values() for v in values)),
    ]


def _in_aiff(metadata: Metadata) -> list[tuple[str, bool]]:
    return [
        ("bext", metadata.broadcast is not None),
        ("iXML", bool(metadata.ixml)),
        ("axml", bool(metadata.axml)),
        ("marker lengths", any(marker.length_samples for marker in metadata.markers)),
        ("loop counts", any(loop.count for loop in metadata.loops)),
        ("loops after the second", len(metadata.loops) > MOST_LOOPS),
    ]


def _in_flac(metadata: Metadata) -> list[str]:
    # 4 bytes say "riff", 8 are the chunk's head; a picture has its texts beside it.
    gone = ["iXML"] if len(metadata.ixml) > MOST_BLOCK_BYTES - 13 else []
    gone += ["axml"] if len(metadata.axml) > MOST_BLOCK_BYTES - 13 else []
    is_large = any(len(picture.data) > MOST_BLOCK_BYTES - 2048 for picture in metadata.pictures)
    gone += ["large pictures"] if is_large else []
    return gone + [f"tag {name!r}" for name in tidy(metadata.tags) if not vorbis_name(name)]


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
