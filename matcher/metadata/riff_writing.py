"""Metadata put into a finished WAV or RF64, in place: no sample changes, only where it lies in the file."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from dsp.errors import FileError
from matcher.metadata.chunks import chunk_bytes, front_chunks, place_chunks, tag_chunks
from matcher.metadata.gathering import MOST_CHUNK_BYTES, bytes_at, size_of
from matcher.metadata.items import Metadata
from matcher.metadata.riff import OPEN_SIZE, Chunk, chunks_of
from matcher.metadata.shifting import insert_bytes

_REPLACED = (b"bext", b"iXML", b"axml", b"cue ", b"smpl", b"id3 ", b"ID3 ", b"DISP")
MOST_RIFF_BYTES = 2**32 - 1
"""Beyond this a WAV has to be RF64."""
_EXTENSIBLE = 0xFFFE
_GUID_END = bytes.fromhex("000000001000800000aa00389b71")
"""Behind the two bytes that say PCM or floating point."""


class _Kept(NamedTuple):
    """What the file holds already and goes on holding."""

    is_rf64: bool
    frames: int
    fmt: bytes
    before: bytes
    data: Chunk
    behind: bytes


def write_wave(file: BinaryIO, metadata: Metadata) -> None:
    """Put metadata in place of all that the file has; a WAV that outgrows 4 GiB by it becomes an RF64.

    Raises FileError where it is no whole WAV or RF64; nothing was changed then.
    """
    kept = _kept(file)
    rate_hz = int.from_bytes(kept.fmt[4:8], "little")
    front = kept.before
    front += b"".join(chunk_bytes(*chunk) for chunk in front_chunks(metadata))
    tail = bytes(kept.data.claimed_bytes % 2) + kept.behind
    tail += b"".join(chunk_bytes(*chunk) for chunk in (*place_chunks(metadata, rate_hz), *tag_chunks(metadata)))
    fmt = chunk_bytes(b"fmt ", _with_mask(kept.fmt, metadata.channel_mask))
    size = 4 + len(fmt) + len(front) + 8 + kept.data.claimed_bytes + len(tail)
    if kept.is_rf64 or size > MOST_RIFF_BYTES:
        size += 36
        numbers = (size, kept.data.claimed_bytes, kept.frames)
        sizes = b"".join(number.to_bytes(8, "little") for number in numbers)
        head = b"RF64" + _word(OPEN_SIZE) + b"WAVE" + chunk_bytes(b"ds64", sizes + _word(0))
        data_head = b"data" + _word(OPEN_SIZE)
    else:
        head = b"RIFF" + _word(size) + b"WAVE"
        data_head = b"data" + _word(kept.data.claimed_bytes)
    head += fmt + front + data_head
    insert_bytes(file, 0, head, replaced_bytes=kept.data.at)
    file.seek(len(head) + kept.data.claimed_bytes)
    file.write(tail)
    file.truncate()


def _kept(file: BinaryIO) -> _Kept:
    start = bytes_at(file, 0, 12)
    if start[:4] not in (b"RIFF", b"RF64") or start[8:] != b"WAVE":
        raise FileError("holds no WAV or RF64 to put metadata into")
    sizes: dict[bytes, int] = {}
    frames, fmt, kept_bytes = 0, b"", 0
    before: list[bytes] = []
    behind: list[bytes] = []
    data: Chunk | None = None
    for chunk in chunks_of(file, 12, size_of(file), "little", sizes=sizes):
        if chunk.present_bytes < chunk.claimed_bytes:
            raise FileError(f"its chunk {chunk.name!r} is cut short; metadata goes into whole files only")
        if chunk.name == b"ds64":
            content = bytes_at(file, chunk.at, 28)
            sizes[b"data"] = int.from_bytes(content[8:16], "little")
            frames = int.from_bytes(content[16:24], "little")
        elif chunk.name == b"data":
            if data is not None:
                raise FileError("has more than one data chunk; one is allowed")
            data = chunk
        elif chunk.name == b"fmt ":
            fmt = fmt or bytes_at(file, chunk.at, chunk.present_bytes)
        elif not _is_replaced(file, chunk):
            kept_bytes += chunk.present_bytes
            if kept_bytes > MOST_CHUNK_BYTES:
                raise FileError(f"its other chunks hold more than the {MOST_CHUNK_BYTES >> 20} MiB that are kept")
            content = chunk_bytes(chunk.name, bytes_at(file, chunk.at, chunk.present_bytes))
            (before if data is None else behind).append(content)
    if data is None or len(fmt) < 16:
        raise FileError("holds no samples to put metadata beside")
    frames = frames or data.claimed_bytes // max(int.from_bytes(fmt[12:14], "little"), 1)
    return _Kept(start[:4] == b"RF64", frames, fmt, b"".join(before), data, b"".join(behind))


def _is_replaced(file: BinaryIO, chunk: Chunk) -> bool:
    if chunk.name == b"LIST":
        return bytes_at(file, chunk.at, 4) in (b"INFO", b"adtl")
    return chunk.name in _REPLACED


def _with_mask(fmt: bytes, mask: int | None) -> bytes:
    """The format with its loudspeakers; as it was where none are named or where their number is another."""
    channels = int.from_bytes(fmt[2:4], "little")
    if mask is None or not 0 < mask <= OPEN_SIZE or mask.bit_count() != channels:
        return fmt
    code = int.from_bytes(fmt[:2], "little")
    if code == _EXTENSIBLE and len(fmt) >= 40:
        return fmt[:20] + _word(mask) + fmt[24:]
    if code not in (1, 3):
        return fmt
    tail = (22).to_bytes(2, "little") + fmt[14:16] + _word(mask) + fmt[:2] + _GUID_END
    return _EXTENSIBLE.to_bytes(2, "little") + fmt[2:16] + tail


def _word(number: int) -> bytes:
    return number.to_bytes(4, "little")
