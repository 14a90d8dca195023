"""What a file's header claims, where libsndfile does not tell: formats by their first bytes, truncated chunks.

libsndfile reads a WAV whose data chunk is cut short, or claims 0 bytes, without a word. A walk over the chunks
of WAV, RF64 and AIFF finds both.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, Literal

_UNKNOWN = 0xFFFFFFFF
"""The size that streaming writers leave, and that sends a reader of RF64 to its ds64 chunk."""


@dataclass(frozen=True)
class AudioChunk:
    """The chunk that holds the samples: bytes claimed by the header (None: left open) and bytes that are there."""

    claimed_bytes: int | None
    present_bytes: int


def format_claimed(start: bytes) -> str | None:
    """The format that the first 12 bytes of a file announce; None where they announce none."""
    head, kind = start[:4], start[8:12]
    if head in (b"RIFF", b"RIFX"):
        return "WAV"
    if head == b"FORM":
        return "AIFF"
    if kind[:4] == b"M4A " or start[4:8] == b"ftyp":
        return "MP4"
    named = {b"RF64": "RF64", b"BW64": "BW64", b"fLaC": "FLAC", b"OggS": "OGG", b"caff": "CAF", b"riff": "W64"}
    if head in named:
        return named[head]
    if head[:3] == b"ID3" or (len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2):
        return "MP3"
    return None


def audio_chunk(file: BinaryIO) -> AudioChunk | None:
    """The sample chunk of a WAV, RF64 or AIFF file; None for other formats and where there is no such chunk."""
    size = file.seek(0, os.SEEK_END)
    at = _after_id3(file)
    start = _bytes_at(file, at, 12)
    order: Literal["big", "little"] = "little" if start[:4] in (b"RIFF", b"RF64") else "big"
    if start[:4] not in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        return None
    at += 12
    in_ds64: int | None = None
    while len(head := _bytes_at(file, at, 8)) == 8:
        name, claimed = head[:4], int.from_bytes(head[4:], order)
        if name in (b"data", b"SSND"):
            open_ended = claimed == _UNKNOWN
            return AudioChunk(in_ds64 if open_ended else claimed, size - at - 8)
        if name == b"ds64":
            in_ds64 = int.from_bytes(_bytes_at(file, at + 16, 8), order)
        at += 8 + claimed + claimed % 2
    return None


def _after_id3(file: BinaryIO) -> int:
    """Where the audio format begins: behind an ID3v2 tag, whose size has 7 bits to the byte."""
    head = _bytes_at(file, 0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def _bytes_at(file: BinaryIO, at: int, count: int) -> bytes:
    file.seek(at)
    return file.read(count)
