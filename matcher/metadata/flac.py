"""FLAC's metadata blocks (RFC 9639, section 8), read and written.

What only a WAV has a place for (bext, iXML, axml, markers to the sample, loops) stands in APPLICATION blocks named
"riff", each of one whole chunk, as `flac --keep-foreign-metadata` keeps them. There is no whole WAV to be made of
them: `flac -d` decodes such a file with a warning, and refuses only where told to restore one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from msgspec.structs import replace

from dsp.errors import FileError
from matcher.metadata.chunks import chunk_bytes, front_chunks, place_chunks
from matcher.metadata.cues import held_markers
from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_ITEMS, Gathering, bytes_at, size_of
from matcher.metadata.id3_writing import held_pictures
from matcher.metadata.items import Metadata
from matcher.metadata.riff import WaveChunks
from matcher.metadata.shifting import insert_bytes
from matcher.metadata.vorbis import comment_block, picture_block, read_comments, read_picture

STREAMINFO, PADDING, APPLICATION, COMMENTS, PICTURE = 0, 1, 2, 4, 6
MOST_BLOCK_BYTES = 2**24 - 1
_PADDING_BYTES = 4096
"""Room for a tagger to change a word without moving the sound."""
_INVALID = 127


class Block(NamedTuple):
    """One block; `at` is where its content begins."""

    kind: int
    at: int
    size_bytes: int


def read_flac(file: BinaryIO, at: int = 0) -> Gathering:
    """What a FLAC file that begins at a place says beside its samples."""
    found, pictures, foreign = Gathering(), Gathering(), WaveChunks()
    rate_hz, left = 0, 4 * MOST_CHUNK_BYTES
    for block in _blocks(file, at):
        left -= block.size_bytes
        if left < 0:
            break
        if block.kind == STREAMINFO:
            rate_hz = _rate_hz(bytes_at(file, block.at, 34))
        elif block.kind == COMMENTS and not found.tags:
            read_comments(bytes_at(file, block.at, block.size_bytes), found, rate_hz)
        elif block.kind == PICTURE:
            read_picture(bytes_at(file, block.at, block.size_bytes), pictures)
        elif block.kind == APPLICATION and bytes_at(file, block.at, 4) == b"riff":
            _take_chunk(bytes_at(file, block.at + 4, block.size_bytes - 4), foreign)
    chapters, found.markers = found.markers, []
    found.pictures = pictures.pictures or found.pictures
    found.fill(foreign.gathered())
    found.markers = found.markers or chapters  # a chapter's time is good to the millisecond only
    return found


def write_flac(file: BinaryIO, metadata: Metadata) -> None:
    """Put metadata in place of all that the file has; FileError where it is no whole FLAC, and nothing was changed."""
    if bytes_at(file, 0, 4) != b"fLaC":
        raise FileError("holds no FLAC to put metadata into")
    kept: list[tuple[int, bytes]] = []
    vendor, audio_at = b"match", 0
    for block in _blocks(file, 0):
        content = bytes_at(file, block.at, block.size_bytes)
        audio_at = block.at + block.size_bytes
        if block.kind == COMMENTS:
            vendor = content[4 : 4 + int.from_bytes(content[:4], "little")] or vendor
        elif block.kind not in (PADDING, PICTURE) and not (block.kind == APPLICATION and content[:4] == b"riff"):
            kept.append((block.kind, content))
    first_frame = bytes_at(file, audio_at, 2)
    is_sound = first_frame[:1] == b"\xff" and first_frame[1:] in (b"\xf8", b"\xf9")
    if not kept or kept[0][0] != STREAMINFO or len(kept[0][1]) != 34 or not is_sound:
        raise FileError("its metadata blocks are damaged; metadata goes into whole files only")
    rate_hz, channels = _rate_hz(kept[0][1]), (kept[0][1][12] >> 1 & 7) + 1
    if metadata.channel_mask is not None and metadata.channel_mask.bit_count() != channels:
        metadata = replace(metadata, channel_mask=None)
    blocks = [*kept, (COMMENTS, comment_block(metadata, held_markers(metadata.markers), rate_hz, vendor=vendor))]
    for picture in held_pictures(metadata.pictures):
        blocks.append((PICTURE, picture_block(picture)))
    for name, content in (*front_chunks(metadata), *place_chunks(metadata, rate_hz)):
        blocks.append((APPLICATION, b"riff" + chunk_bytes(name, content)))
    blocks = [(kind, content) for kind, content in blocks if len(content) <= MOST_BLOCK_BYTES]
    head = b"".join(bytes([kind]) + len(content).to_bytes(3, "big") + content for kind, content in blocks)
    last = bytes([0x80 | PADDING]) + _PADDING_BYTES.to_bytes(3, "big") + bytes(_PADDING_BYTES)
    insert_bytes(file, 0, b"fLaC" + head + last, replaced_bytes=audio_at)


def _blocks(file: BinaryIO, start: int) -> Iterator[Block]:
    """The blocks in front of the sound, until the one that says it is the last."""
    stop, at = size_of(file), start + 4
    for _ in range(MOST_ITEMS):
        head = bytes_at(file, at, 4)
        if len(head) < 4 or at + 4 > stop:
            return
        kind, size = head[0] & 0x7F, int.from_bytes(head[1:], "big")
        if kind == _INVALID:
            return
        yield Block(kind, at + 4, size)
        at += 4 + size
        if head[0] & 0x80:
            return


def _take_chunk(chunk: bytes, foreign: WaveChunks) -> None:
    name, size = chunk[:4], int.from_bytes(chunk[4:8], "little")
    # The first block of a whole foreign file is the head of its RIFF; it holds no chunk of ours.
    if len(chunk) >= 8 and foreign.wants(name):
        foreign.take(name, chunk[8 : 8 + size])


def _rate_hz(streaminfo: bytes) -> int:
    return int.from_bytes(streaminfo[10:13], "big") >> 4
