"""WAV, RF64 and BW64 read: a walk over the chunks that survives damage, and what the chunks say.

FLAC keeps chunks of a WAV in APPLICATION blocks; they are read by the same `WaveChunks`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from matcher.metadata.broadcast import axml_of, broadcast_of, isrc_in
from matcher.metadata.cues import Order, label_in, loops_of, markers_of, positions_of
from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_ITEMS, Gathering, bytes_at, plain_text, size_of
from matcher.metadata.id3 import read_id3
from matcher.metadata.names import FROM_INFO

OPEN_SIZE = 0xFFFFFFFF
"""The size that streaming writers leave, and that sends a reader of RF64 to its ds64 chunk."""
_KNOWN = frozenset(
    b"fmt |fact|data|LIST|bext|iXML|axml|chna|cue |smpl|inst|id3 |ID3 |JUNK|PEAK|PAD |umid|levl|ds64"
    b"|labl|note|ltxt|INAM|IART|IPRD|ICMT|ICOP|ICRD|IGNR|ISFT|ITRK"
    b"|COMM|SSND|FVER|NAME|AUTH|(c) |ANNO|MARK|COMT|INST|APPL|CHAN".split(b"|")
)
_SINGLE = (b"bext", b"iXML", b"axml", b"cue ", b"smpl", b"fmt ")


class Chunk(NamedTuple):
    """A chunk of a RIFF or IFF file."""

    name: bytes
    at: int
    """Where its content begins."""
    claimed_bytes: int
    present_bytes: int
    """Less where the file ends before it."""


def chunks_of(
    file: BinaryIO, start: int, stop: int, order: Order, *, sizes: dict[bytes, int] | None = None
) -> Iterator[Chunk]:
    """The chunks between two places of a file; ends where nothing more can be one.

    sizes: by name, for those that say `OPEN_SIZE`. Without one an open `data` takes all that is left.
    """
    at = start
    for _ in range(MOST_ITEMS):
        head = bytes_at(file, at, 8)
        if at + 8 > stop or len(head) < 8 or not _may_be_name(head[:4]):
            return
        name, claimed = head[:4], int.from_bytes(head[4:], order)
        left = stop - at - 8
        if claimed == OPEN_SIZE:
            claimed = (sizes or {}).get(name, left)
        yield Chunk(name, at + 8, claimed, min(claimed, left))
        if claimed > left:
            return
        at += 8 + claimed
        if claimed % 2 and _is_padded(bytes_at(file, at, 5)):
            at += 1


def _is_padded(next_bytes: bytes) -> bool:
    """Whether a chunk of odd size is followed by its pad byte, which some writers forget."""
    if next_bytes[1:5] in _KNOWN or next_bytes[:1] == b"\0":
        return True
    return next_bytes[:4] not in _KNOWN and not _may_be_name(next_bytes[:4])


def _may_be_name(name: bytes) -> bool:
    # The sign of copyright is written "(c) ", but some AIFF writers put Mac Roman's own sign.
    return len(name) == 4 and all(0x20 <= byte < 0x7F or byte == 0xA9 for byte in name)


def read_wave(file: BinaryIO, at: int = 0) -> Gathering:
    """What a WAV, RF64, BW64 or RIFX file that begins at a place says beside its samples."""
    stop = size_of(file)
    order: Order = "big" if bytes_at(file, at, 4) == b"RIFX" else "little"
    sizes: dict[bytes, int] = {}
    found = WaveChunks(order)
    for chunk in chunks_of(file, at + 12, stop, order, sizes=sizes):
        if chunk.name == b"ds64":
            sizes[b"data"] = int.from_bytes(bytes_at(file, chunk.at + 8, 8), order)
        elif found.wants(chunk.name) and chunk.present_bytes <= MOST_CHUNK_BYTES:
            found.take(chunk.name, bytes_at(file, chunk.at, chunk.present_bytes))
    return found.gathered()


class WaveChunks:
    """What the chunks of a WAV say, one after the other."""

    def __init__(self, order: Order = "little") -> None:
        self._order: Order = order
        self._found = Gathering()
        self._info = Gathering()
        self._id3 = Gathering()
        self._seen: set[bytes] = set()
        self._lists = 0
        self._positions: dict[int, int] = {}
        self._labels: dict[int, str] = {}
        self._notes: dict[int, str] = {}
        self._lengths: dict[int, int] = {}

    def wants(self, name: bytes) -> bool:
        """Whether a chunk of this name is worth reading; most count once."""
        if name == b"LIST":
            return self._lists < 100
        return (name in _SINGLE or name.lower() == b"id3 ") and name.lower() not in self._seen

    def take(self, name: bytes, content: bytes) -> None:
        """One chunk's content."""
        self._seen.add(name.lower())
        order = self._order
        if name == b"LIST":
            self._lists += 1
            self._take_list(content)
        elif name.lower() == b"id3 ":
            read_id3(content, self._id3)
        elif name == b"bext":
            self._found.broadcast = broadcast_of(content, order)
        elif name == b"iXML":
            self._found.ixml = _document(content)
        elif name == b"axml":
            self._found.axml = _document(content)
        elif name == b"cue ":
            self._positions = positions_of(content, order)
        elif name == b"smpl":
            self._found.loops = loops_of(content, order)
        elif name == b"fmt " and content[:2] == (0xFFFE).to_bytes(2, order):
            self._found.channel_mask = int.from_bytes(content[20:24], order) or None

    def gathered(self) -> Gathering:
        """All that was said: ID3 holds more than INFO does, and is believed first."""
        found = self._found
        found.markers = markers_of(self._positions, {**self._notes, **self._labels}, self._lengths)
        found.fill(self._id3)
        found.fill(self._info)
        code = isrc_in(found.axml)
        if code and "isrc" not in found.tags:
            found.add("isrc", code)
        if code and found.axml == axml_of(code):
            found.axml = b""  # it is the tag once more, and has to follow it
        return found

    def _take_list(self, content: bytes) -> None:
        kind = content[:4]
        if kind not in (b"INFO", b"adtl"):
            return
        for chunk in chunks_of(io.BytesIO(content), 4, len(content), self._order):
            data = content[chunk.at : chunk.at + chunk.present_bytes]
            if kind == b"INFO":
                called = chunk.name.decode("latin-1")
                name = FROM_INFO.get(called.upper(), called.lower().strip())
                # Track numbers stand in either of two chunks; the rest is one text each.
                if name not in self._info.tags:
                    self._info.add(name, plain_text(data))
            elif chunk.name in (b"labl", b"note", b"ltxt"):
                self._take_label(chunk.name, data)

    def _take_label(self, kind: bytes, data: bytes) -> None:
        number, text, length = label_in(kind, data, self._order)
        if length:
            self._lengths.setdefault(number, length)
        if text:
            (self._labels if kind == b"labl" else self._notes).setdefault(number, text)


def _document(content: bytes) -> bytes:
    """XML without the white space or NULs that fill up a chunk; in UTF-16 they would be half letters."""
    is_wide = content[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\0" in content[:4]
    return content if is_wide else content.rstrip(b"\0 \t\r\n")
