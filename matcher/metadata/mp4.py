"""The tags of an MP4 or M4A file: the `ilst` atom that iTunes writes, read only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_ITEMS, MOST_TEXT_BYTES, Gathering, bytes_at, size_of
from matcher.metadata.genres import GENRES
from matcher.metadata.items import Picture
from matcher.metadata.names import FROM_MP4, own_name

_PATH = (b"moov", b"udta", b"meta", b"ilst")
_PAIRS = {b"trkn": "track", b"disk": "disc"}
_NUMBERS = {b"tmpo": "bpm", b"cpil": "compilation"}
_MIMES = {13: "image/jpeg", 14: "image/png"}


class _Atom(NamedTuple):
    name: bytes
    at: int
    stop: int


def read_mp4(file: BinaryIO) -> Gathering:
    """What an MP4 file says beside its samples."""
    found = Gathering()
    start, stop = 0, size_of(file)
    for wanted in _PATH:
        inner = next((atom for atom in _atoms(file, start, stop) if atom.name == wanted), None)
        if inner is None:
            return found
        start, stop = inner.at, inner.stop
        # iTunes' `meta` has four bytes of version and flags before its atoms, QuickTime's has none.
        if wanted == b"meta" and bytes_at(file, start + 4, 4) != b"hdlr":
            start += 4
    for atom in _atoms(file, start, stop):
        if atom.stop - atom.at <= MOST_CHUNK_BYTES:
            _take(file, atom, found)
    return found


def _atoms(file: BinaryIO, start: int, stop: int) -> Iterator[_Atom]:
    """The atoms between two places of a file."""
    at = start
    for _ in range(MOST_ITEMS):
        head = bytes_at(file, at, 16) if at + 8 <= stop else b""
        if len(head) < 8:
            return
        size, inside = int.from_bytes(head[:4], "big"), 8
        if size == 1:  # the size needs 64 bits
            size, inside = int.from_bytes(head[8:16], "big"), 16
        if size == 0:  # as far as it goes
            size = stop - at
        if size < inside:
            return
        yield _Atom(head[4:8], at + inside, min(at + size, stop))
        at += size


def _take(file: BinaryIO, atom: _Atom, found: Gathering) -> None:
    free_name = ""
    for inner in _atoms(file, atom.at, atom.stop):
        if inner.name == b"name":
            free_name = bytes_at(file, inner.at + 4, min(inner.stop - inner.at - 4, 255)).decode("utf-8", "replace")
        if inner.name != b"data":
            continue
        kind = int.from_bytes(bytes_at(file, inner.at, 4), "big") & 0xFFFFFF
        value = bytes_at(file, inner.at + 8, inner.stop - inner.at - 8)
        if atom.name == b"covr":
            found.add_picture(Picture(data=value, mime=_MIMES.get(kind, _mime_of(value))))
        elif atom.name in _PAIRS:
            number, of = int.from_bytes(value[2:4], "big"), int.from_bytes(value[4:6], "big")
            if number:
                found.add(_PAIRS[atom.name], f"{number}/{of}" if of else str(number))
        elif atom.name in _NUMBERS and len(value) <= 8:
            found.add(_NUMBERS[atom.name], str(int.from_bytes(value, "big") or ""))
        elif atom.name == b"gnre":
            number = int.from_bytes(value[:2], "big") - 1  # counted from 1 here
            found.add("genre", GENRES[number] if 0 <= number < len(GENRES) else "")
        elif len(value) <= MOST_TEXT_BYTES:
            name = own_name(free_name) if atom.name == b"----" else FROM_MP4.get(atom.name.decode("latin-1"), "")
            found.add(name, value.decode("utf-8", "replace"))


def _mime_of(data: bytes) -> str:
    return "image/png" if data[:4] == b"\x89PNG" else "image/jpeg" if data[:2] == b"\xff\xd8" else ""
