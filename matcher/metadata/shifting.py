"""Bytes put into the middle of a file, in place: the rest moves over in pieces."""

from __future__ import annotations

from typing import BinaryIO

from matcher.metadata.gathering import size_of

_PIECE_BYTES = 2**20


def insert_bytes(file: BinaryIO, at: int, data: bytes, *, replaced_bytes: int = 0) -> None:
    """Write `data` at a position in place of `replaced_bytes` that are there; what follows moves up or down.

    Interrupted halfway it leaves a broken file: it is meant for one that nobody else has seen yet.
    """
    source = at + replaced_bytes
    end = size_of(file)
    shift = len(data) - replaced_bytes
    if shift > 0:
        left = end - source
        while left > 0:
            count = min(_PIECE_BYTES, left)
            left -= count
            _move(file, source + left, source + left + shift, count)
    elif shift < 0:
        for start in range(source, end, _PIECE_BYTES):
            _move(file, start, start + shift, min(_PIECE_BYTES, end - start))
        file.truncate(end + shift)
    file.seek(at)
    file.write(data)


def _move(file: BinaryIO, start: int, to: int, count: int) -> None:
    file.seek(start)
    piece = file.read(count)
    file.seek(to)
    file.write(piece)
