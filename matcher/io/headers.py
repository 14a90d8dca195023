"""What a file's header claims, and how libsndfile is shown a header that it takes.

libsndfile reads a WAV whose data chunk is cut short, or claims 0 bytes, without a word; it refuses BW64, a missing pad
byte, and a second chunk of samples. Where one of these is found, it gets a plain header before the same samples.
"""

from __future__ import annotations

import io
import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from matcher.io.chunks import UNKNOWN, Chunk, Chunked, bytes_at, read_chunks

_EXTENSIBLE = 0xFFFE
_MOST_FORMAT_BYTES = 4096


@dataclass(frozen=True)
class Header:
    """What is known of a file before it is opened."""

    format: str | None
    """The format that the first bytes announce; None where they announce none."""
    sound: Chunk | None = None
    """The samples of a WAV, RF64, BW64 or AIFF file."""
    plain: bytes = b""
    """A header for libsndfile to read instead of the file's own, followed by the samples alone."""
    odd: str = ""
    """What is wrong with the file's own, for a warning."""
    valid_bits: int | None = None
    """How many bits of a WAV's samples count, where it says so."""
    channel_mask: int | None = None
    """Which loudspeakers a WAV's channels are for, where it says so."""


def read_header(file: BinaryIO) -> Header:
    """Look at the first bytes and, in RIFF and IFF files, at all chunks."""
    claimed = format_claimed(bytes_at(file, 0, 12))
    chunked = read_chunks(file)
    if chunked is None:
        return Header(claimed)
    sound = chunked.sound
    if chunked.kind not in (b"RIFF", b"RF64", b"BW64"):
        return Header(claimed, sound)
    fmt = _format(file, chunked)
    if fmt is None or sound is None:
        return Header(claimed, sound)
    _, _, _, _, _, bits = struct.unpack("<HHIIHH", fmt[:16])
    valid_bits = mask = None
    if fmt[:2] == _EXTENSIBLE.to_bytes(2, "little") and len(fmt) >= 40:
        valid, mask = struct.unpack("<HI", fmt[18:24])
        valid_bits = valid if 0 < valid <= bits else None
    odd = _odd(chunked, sound)
    plain = _plain(fmt, sound.present_bytes) if odd or chunked.kind == b"BW64" or chunked.unpadded else b""
    return Header(claimed, sound, plain, odd, valid_bits, mask)


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
    named[b"\x1a\x45\xdf\xa3"] = "Matroska"
    if head in named:
        return named[head]
    if head[:3] == b"ID3" or (len(start) > 1 and start[0] == 0xFF and start[1] & 0xE6 == 0xE2):
        return "MP3"
    return None


def _format(file: BinaryIO, chunked: Chunked) -> bytes | None:
    """The content of the format chunk; None where there is none that says enough."""
    chunk = chunked.first(b"fmt ")
    if chunk is None or chunk.present_bytes < 16:
        return None
    return bytes_at(file, chunk.start, min(chunk.present_bytes, _MOST_FORMAT_BYTES))


def _odd(chunked: Chunked, sound: Chunk) -> str:
    if sound.claimed_bytes == 0 and sound.present_bytes > 0:
        return "its header says 0 bytes of audio, as a crashed recorder leaves it; all that follows is read"
    if sum(chunk.name == b"data" for chunk in chunked.chunks) > 1:
        return "has several chunks of audio; the first is read"
    return ""


def _plain(fmt: bytes, sound_bytes: int) -> bytes:
    """A WAV header, or an RF64 header beyond 4 GiB, to stand right before the samples."""
    fmt = fmt[:40] if fmt[:2] == _EXTENSIBLE.to_bytes(2, "little") else fmt[:16]
    head = b"WAVE" + b"fmt " + struct.pack("<I", len(fmt)) + fmt
    riff_bytes = len(head) + 8 + sound_bytes
    if riff_bytes < UNKNOWN:
        return b"RIFF" + struct.pack("<I", riff_bytes) + head + b"data" + struct.pack("<I", sound_bytes)
    block = max(1, int.from_bytes(fmt[12:14], "little"))
    sizes = struct.pack("<QQQI", riff_bytes + 36, sound_bytes, sound_bytes // block, 0)
    ds64 = b"ds64" + struct.pack("<I", len(sizes)) + sizes
    unknown = struct.pack("<I", UNKNOWN)
    return b"RF64" + unknown + b"WAVE" + ds64 + head[4:] + b"data" + unknown


def write_mask(path: Path, channel_mask: int) -> None:
    """Set the channel mask in the long format chunk of a finished WAV or RF64."""
    with path.open("r+b") as file:
        chunked = read_chunks(file)
        chunk = None if chunked is None else chunked.first(b"fmt ")
        if chunk is None or chunk.present_bytes < 40:
            raise OSError("the format chunk has no place for a channel mask")
        file.seek(chunk.start + 20)
        file.write(struct.pack("<I", channel_mask))


class Spliced(io.RawIOBase):
    """A file to read: `head`, then `count` bytes of `file` from `start` on. Closes `file` with itself."""

    def __init__(self, head: bytes, file: BinaryIO, start: int, count: int) -> None:
        self._head, self._file, self._start = head, file, start
        self._size = len(head) + count
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        wanted = min(len(view), max(0, self._size - self._at))
        data = self._head[self._at : self._at + wanted]
        if len(data) < wanted:
            data += bytes_at(self._file, self._start + self._at + len(data) - len(self._head), wanted - len(data))
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()
