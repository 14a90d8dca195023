"""The chunks of RIFF and IFF files, by a walk that survives what is wrong with them.

Missing pad bytes are seen, sizes beyond the end are cut to what is there, and no file makes it loop or read far.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple

UNKNOWN = 0xFFFFFFFF
"""The size that streaming writers leave, and that sends a reader of RF64 to its ds64 chunk."""
MOST_CHUNKS = 4096
KINDS = (b"RIFF", b"RIFX", b"RF64", b"BW64", b"FORM")
SOUND = (b"data", b"SSND")


class Chunk(NamedTuple):
    """A chunk: where its content starts, how long its header says it is (None: left open), how much is there."""

    name: bytes
    start: int
    claimed_bytes: int | None
    present_bytes: int


@dataclass(frozen=True)
class Chunked:
    """A file of chunks."""

    kind: bytes
    """One of `KINDS`."""
    start: int
    """Of the file proper, behind an ID3 tag."""
    size_bytes: int
    """Of the whole file."""
    chunks: tuple[Chunk, ...]
    unpadded: bool = False
    """Whether a chunk of odd length lacks the byte that should follow it."""

    @property
    def order(self) -> Literal["little", "big"]:
        """Of the bytes in a number."""
        return "big" if self.kind in (b"RIFX", b"FORM") else "little"

    @property
    def sound(self) -> Chunk | None:
        """The first chunk of samples."""
        return next((chunk for chunk in self.chunks if chunk.name in SOUND), None)

    def first(self, *names: bytes) -> Chunk | None:
        """The first chunk of one of these names."""
        return next((chunk for chunk in self.chunks if chunk.name in names), None)


def read_chunks(file: BinaryIO) -> Chunked | None:
    """All chunks of a file; None where it is of another kind."""
    size = file.seek(0, os.SEEK_END)
    at = start = after_id3(file)
    kind = bytes_at(file, at, 12)[:4]
    if kind not in KINDS:
        return None
    found = Chunked(kind, start, size, ())
    order = found.order
    at += 12
    in_ds64: int | None = None
    chunks: list[Chunk] = []
    unpadded = False
    while len(chunks) < MOST_CHUNKS and len(head := bytes_at(file, at, 8)) == 8:
        name, claimed = head[:4], int.from_bytes(head[4:], order)
        left = size - at - 8
        length: int | None = claimed
        if name in SOUND and claimed == UNKNOWN:
            length = in_ds64
        if name == b"ds64":
            in_ds64 = int.from_bytes(bytes_at(file, at + 16, 8), order)
        present = left if length is None else min(length, left)
        if name in SOUND and length == 0 and not _is_chunk(bytes_at(file, at + 8, 8), left - 8, order):
            present = left
        chunks.append(Chunk(name, at + 8, length, present))
        at += 8 + present
        if present % 2:
            here, behind = (_is_chunk(bytes_at(file, at + pad, 8), size - at - 8 - pad, order) for pad in (0, 1))
            unpadded |= here and not behind
            at += behind or not here
    return Chunked(kind, start, size, tuple(chunks), unpadded)


def _is_chunk(head: bytes, left: int, order: Literal["little", "big"]) -> bool:
    """Whether eight bytes can be the head of a chunk that ends within the file."""
    return len(head) == 8 and all(32 <= byte < 127 for byte in head[:4]) and int.from_bytes(head[4:], order) <= left


def after_id3(file: BinaryIO) -> int:
    """Where the audio format begins: behind an ID3v2 tag, whose size has 7 bits to the byte."""
    head = bytes_at(file, 0, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))


def bytes_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Up to `count` bytes from `at` on."""
    file.seek(at)
    return file.read(count)
