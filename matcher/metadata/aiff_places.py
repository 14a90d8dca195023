"""Markers and loops in AIFF: MARK names places, COMT says more of them, INST loops between two of them."""

from __future__ import annotations

from matcher.metadata.cues import held_loops, held_markers
from matcher.metadata.gathering import MOST_ITEMS, fitting, plain_text
from matcher.metadata.items import Loop, Marker, Metadata

MOST_LOOPS = 2
"""One while the key is held, one after it."""
_NAME_BYTES = 255
_COMMENT_BYTES = 65_535
_MOST_NUMBER = 32_767
_LOOP_NAMES = ("", "beg loop", "end loop", "beg release", "end release", "loop begin", "loop end")
"""What the ends of a loop are called where they are no markers beside."""
_FORWARD = 1


def marks_in(content: bytes) -> dict[int, Marker]:
    """The places of a MARK chunk by their numbers, in the file's order."""
    found: dict[int, Marker] = {}
    at = 2
    for _ in range(min(_short(content, 0), MOST_ITEMS)):
        if at + 7 > len(content):
            break
        size = content[at + 6]
        label = plain_text(content[at + 7 : at + 7 + size])
        found.setdefault(_short(content, at), Marker(position_samples=_long(content, at + 2), label=label))
        at += 7 + size + (1 - size % 2)  # the count and the text together are even
    return found


def comments_in(content: bytes) -> list[tuple[int, str]]:
    """Of a COMT chunk: the marker's number (0: of the file) and the text."""
    found = []
    at = 2
    for _ in range(min(_short(content, 0), MOST_ITEMS)):
        if at + 8 > len(content):
            break
        size = _short(content, at + 6)
        text = plain_text(content[at + 8 : at + 8 + size])
        if text:
            found.append((_short(content, at + 4), text))
        at += 8 + size + size % 2
    return found


def loop_marks(inst: bytes, marks: dict[int, Marker]) -> tuple[list[Loop], set[int]]:
    """The loops of an INST chunk, and the numbers of those markers that are nothing but their ends."""
    loops, spent = [], set()
    for at in (8, 14):
        mode, begin, end = (_short(inst, at + offset) for offset in (0, 2, 4))
        if not mode or begin not in marks or end not in marks:
            continue
        start, stop = marks[begin].position_samples, marks[end].position_samples
        if start < stop:
            loops.append(Loop(start_samples=start, end_samples=stop))
            spent |= {number for number in (begin, end) if marks[number].label.strip().lower() in _LOOP_NAMES}
    return loops, spent


def place_chunks(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """MARK, COMT and INST, as far as there is something to say."""
    loops = held_loops(metadata.loops)[:MOST_LOOPS]
    marks = [(marker.position_samples, marker.label) for marker in held_markers(metadata.markers)]
    marks = marks[: min(MOST_ITEMS, _MOST_NUMBER) - 2 * MOST_LOOPS]
    first_end = len(marks) + 1
    for loop in loops:
        marks += [(loop.start_samples, "beg loop"), (loop.end_samples, "end loop")]
    chunks = []
    if marks:
        named = enumerate(marks, 1)
        content = b"".join(_mark(number, position, label) for number, (position, label) in named)
        chunks.append((b"MARK", len(marks).to_bytes(2, "big") + content))
    long = [(number, label) for number, (_, label) in enumerate(marks, 1) if len(_utf8(label)) > _NAME_BYTES]
    if long:
        content = b"".join(_comment(number, label) for number, label in long)
        chunks.append((b"COMT", len(long).to_bytes(2, "big") + content))
    if loops:
        chunks.append((b"INST", _inst(first_end, len(loops))))
    return chunks


def _mark(number: int, position: int, label: str) -> bytes:
    text = fitting(label.replace("\0", " "), _NAME_BYTES)
    pad = bytes(1 - len(text) % 2)
    return number.to_bytes(2, "big") + position.to_bytes(4, "big") + bytes([len(text)]) + text + pad


def _comment(number: int, label: str) -> bytes:
    """The whole of a label that a marker's name is too short for. The time of day stays 0: same input, same bytes."""
    text = fitting(label.replace("\0", " "), _COMMENT_BYTES)
    return bytes(4) + number.to_bytes(2, "big") + len(text).to_bytes(2, "big") + text + bytes(len(text) % 2)


def _inst(first_end: int, loops: int) -> bytes:
    """An instrument on every key and at every velocity, at middle C, that loops."""
    ends = b""
    for index in range(MOST_LOOPS):
        numbers = (_FORWARD, first_end + 2 * index, first_end + 2 * index + 1) if index < loops else (0, 0, 0)
        ends += b"".join(number.to_bytes(2, "big") for number in numbers)
    return bytes([60, 0, 0, 127, 1, 127, 0, 0]) + ends


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _short(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def _long(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")
