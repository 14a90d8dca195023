"""The chunks of a WAV that hold metadata, made from it: what stands before the samples and what behind them."""

from __future__ import annotations

from matcher.metadata.broadcast import axml_of, bext_bytes
from matcher.metadata.cues import adtl_bytes, cue_bytes, held_loops, held_markers, smpl_bytes
from matcher.metadata.gathering import MOST_CHUNK_BYTES, tidy
from matcher.metadata.id3_writing import id3_tag
from matcher.metadata.items import Metadata
from matcher.metadata.names import info_ids

Chunks = list[tuple[bytes, bytes]]


def front_chunks(metadata: Metadata) -> Chunks:
    """bext, iXML and axml: broadcasters' readers look for them before the samples."""
    codes = tidy(metadata.tags).get("isrc", ())
    chunks = [
        (b"bext", bext_bytes(metadata.broadcast) if metadata.broadcast else b""),
        (b"iXML", metadata.ixml),
        (b"axml", metadata.axml or (axml_of(codes[0]) if codes else b"")),
    ]
    return [(name, _even(name, content)) for name, content in _held(chunks)]


def place_chunks(metadata: Metadata, sample_rate_hz: int) -> Chunks:
    """Markers and loops."""
    markers, loops = held_markers(metadata.markers), held_loops(metadata.loops)
    chunks = [
        (b"cue ", cue_bytes(markers) if markers else b""),
        (b"LIST", adtl_bytes(markers)),
        (b"smpl", smpl_bytes(loops, sample_rate_hz) if loops else b""),
    ]
    return _held(chunks)


def tag_chunks(metadata: Metadata) -> Chunks:
    """The tags: LIST/INFO as far as it goes, and an ID3 tag with all of them where it does not go far enough."""
    tags = tidy(metadata.tags)
    info = b"".join(
        _info(name.encode("ascii"), values)
        for own, values in tags.items()
        for name in info_ids(own)
        # Where there is a code, many readers would take a source under this name for it.
        if not (name == "ISRC" and "isrc" in tags)
    )
    # INFO has no word for its encoding: what is not ASCII is UTF-8 there, and beyond doubt in ID3.
    is_all = all(info_ids(name) and len(values) == 1 and values[0].isascii() for name, values in tags.items())
    id3 = b"" if is_all and not metadata.pictures else id3_tag(tags, metadata.pictures)
    return _held([(b"LIST", b"INFO" + info if info else b""), (b"id3 ", id3)])


def chunk_bytes(name: bytes, content: bytes) -> bytes:
    """A whole chunk, padded to an even size."""
    return name + len(content).to_bytes(4, "little") + content + bytes(len(content) % 2)


def _info(name: bytes, values: tuple[str, ...]) -> bytes:
    return chunk_bytes(name, "; ".join(values).encode("utf-8") + b"\0")


def _even(name: bytes, content: bytes) -> bytes:
    """Of even size by its own means: libsndfile knows no pad bytes in RF64, and would not find the samples."""
    if len(content) % 2 == 0:
        return content
    return content + (b"\0" if name == b"bext" else b"\n")


def _held(chunks: Chunks) -> Chunks:
    return [(name, content) for name, content in chunks if 0 < len(content) <= MOST_CHUNK_BYTES]
