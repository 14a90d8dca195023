"""Markers and loops in the chunks of a WAV: `cue `, the labels of LIST/adtl, and `smpl`.

Layout: Microsoft's "Multimedia Programming Interface and Data Specifications 1.0" (1991) and its "New Multimedia
Data Types" (1994). What is written is little-endian.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from matcher.metadata.gathering import MOST_ITEMS, plain_text
from matcher.metadata.items import Loop, Marker

Order = Literal["big", "little"]
MOST_POSITION = 2**32 - 1
_PURPOSE = b"rgn "


def held_markers(markers: Iterable[Marker]) -> list[Marker]:
    """Those whose place a word of 32 bits can say."""
    held = [m for m in markers if 0 <= m.position_samples <= MOST_POSITION and 0 <= m.length_samples <= MOST_POSITION]
    return held[:MOST_ITEMS]


def held_loops(loops: Iterable[Loop]) -> list[Loop]:
    """Those whose ends two words of 32 bits can say."""
    held = [
        loop
        for loop in loops
        if 0 <= loop.start_samples < loop.end_samples <= MOST_POSITION and 0 <= loop.count <= MOST_POSITION
    ]
    return held[:MOST_ITEMS]


def cue_bytes(markers: Sequence[Marker]) -> bytes:
    """The content of a cue chunk; markers are numbered from 1."""
    points = [_words(len(markers))]
    for number, marker in enumerate(markers, 1):
        position = marker.position_samples
        points.append(_words(number, position) + b"data" + _words(0, 0, position))
    return b"".join(points)


def adtl_bytes(markers: Sequence[Marker]) -> bytes:
    """The content of LIST/adtl: a label each, and a length where there is one; nothing where there is neither."""
    parts = []
    for number, marker in enumerate(markers, 1):
        if marker.label:
            label = marker.label.replace("\0", " ").encode("utf-8", "replace") + b"\0"
            parts.append(_subchunk(b"labl", _words(number) + label))
        if marker.length_samples:
            parts.append(_subchunk(b"ltxt", _words(number, marker.length_samples) + _PURPOSE + bytes(8)))
    return b"adtl" + b"".join(parts) if parts else b""


def smpl_bytes(loops: Sequence[Loop], sample_rate_hz: int) -> bytes:
    """The content of a smpl chunk. Its loops end with their last sample, ours before their next one."""
    period_ns = min(round(1e9 / max(sample_rate_hz, 1)), MOST_POSITION)
    head = _words(0, 0, period_ns, 60, 0, 0, 0, len(loops), 0)  # 60 is the middle C, as played at its own pitch
    return head + b"".join(
        _words(number, 0, loop.start_samples, loop.end_samples - 1, 0, loop.count) for number, loop in enumerate(loops)
    )


def loops_of(smpl: bytes, order: Order) -> list[Loop]:
    """The loops of a smpl chunk, as many as are really there."""
    loops: list[Loop] = []
    for at in range(36, min(len(smpl), 36 + 24 * MOST_ITEMS) - 23, 24):
        if len(loops) >= _word(smpl, 28, order):
            break
        start, last, count = (_word(smpl, at + offset, order) for offset in (8, 12, 20))
        if last >= start:
            loops.append(Loop(start_samples=start, end_samples=last + 1, count=count))
    return loops


def positions_of(cue: bytes, order: Order) -> dict[int, int]:
    """The places of a cue chunk by their numbers, in the file's order."""
    found: dict[int, int] = {}
    for at in range(4, min(len(cue), 4 + 24 * MOST_ITEMS) - 23, 24):
        # Some writers leave the offset in the sample chunk at 0 and fill in the position in play order only.
        position = _word(cue, at + 20, order) or _word(cue, at + 4, order)
        found.setdefault(_word(cue, at, order), position)
    return found


def markers_of(positions: dict[int, int], labels: dict[int, str], lengths: dict[int, int]) -> list[Marker]:
    """Places, labels and lengths that were found by number, put together."""
    return [
        Marker(position_samples=at, length_samples=lengths.get(number, 0), label=labels.get(number, ""))
        for number, at in positions.items()
    ]


def label_in(kind: bytes, content: bytes, order: Order) -> tuple[int, str, int]:
    """Number, text and length in samples (0: none) of one chunk of LIST/adtl."""
    text_at = 20 if kind == b"ltxt" else 4
    length = _word(content, 4, order) if kind == b"ltxt" else 0
    return _word(content, 0, order), plain_text(content[text_at:]), length


def _word(data: bytes, at: int, order: Order) -> int:
    return int.from_bytes(data[at : at + 4], order)


def _words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in numbers)


def _subchunk(name: bytes, content: bytes) -> bytes:
    return name + _words(len(content)) + content + bytes(len(content) % 2)
