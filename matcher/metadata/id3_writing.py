"""ID3 tags written, in version 2.3: whatever reads any ID3v2 reads that, and version 2.4 it may not.

What 2.3 cannot say is said in ways that its readers know: a date that is more or less than a day stands in full in
TXXX:DATE beside TYER; several values of a tag are separated by NUL, as in 2.4. Text is ASCII, or UTF-16 with its mark.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_TEXT_BYTES, MOST_VALUES
from matcher.metadata.id3 import MUSICBRAINZ
from matcher.metadata.items import Picture
from matcher.metadata.names import ID3_ADDRESSES, ID3_TEXTS, NAMES, own_name

Tags = Mapping[str, tuple[str, ...]]
_RESERVE_BYTES = 2**20
"""Of the limit, left for what stands beside the pictures."""


def id3_tag(tags: Tags, pictures: Sequence[Picture]) -> bytes:
    """A tag of version 2.3 with all of it but what `held_pictures` leaves out; nothing where there is nothing."""
    frames = [frame for name, values in tags.items() for frame in _frames(name, values)]
    body = bytearray()
    for frame in frames:
        if len(frame) <= MOST_TEXT_BYTES and len(body) + len(frame) <= MOST_CHUNK_BYTES - 10:
            body += frame
    for picture in held_pictures(pictures):
        frame = _picture_frame(picture)
        if len(body) + len(frame) <= MOST_CHUNK_BYTES - 10:
            body += frame
    if not body:
        return b""
    body += bytes(len(body) % 2)  # filled up within itself: not every reader of chunks expects a pad byte
    size = bytes(len(body) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + size + bytes(body)


def held_pictures(pictures: Sequence[Picture]) -> list[Picture]:
    """The pictures that one tag takes."""
    held: list[Picture] = []
    left = MOST_CHUNK_BYTES - _RESERVE_BYTES
    for picture in pictures[:MOST_VALUES]:
        if 0 < len(picture.data) <= left and 0 <= picture.kind <= 20:
            held.append(picture)
            left -= len(picture.data) + 4096
    return held


def _frames(name: str, values: tuple[str, ...]) -> list[bytes]:
    if name == "date":
        return _date_frames(values)
    if name == "comment":
        return [_described_frame("COMM", number, text) for number, text in enumerate(values, 1)]
    if name == "lyrics":
        return [_described_frame("USLT", number, text) for number, text in enumerate(values, 1)]
    if name == "genre":
        values = tuple(f"({value}" if value.startswith("(") else value for value in values)
    if name == "url":
        return [_frame("WXXX", b"\0\0" + values[0].encode("latin-1", "replace"))]
    if name.upper() in ID3_ADDRESSES:
        return [_frame(name.upper(), values[0].encode("latin-1", "replace"))]
    frames = []
    if name == "musicbrainz_trackid":
        frames.append(_frame("UFID", MUSICBRAINZ + b"\0" + values[0].encode("utf-8")[:64]))
    called = NAMES[name].id3.split()[-1] if name in NAMES and NAMES[name].id3 else name.upper()
    if called in ID3_TEXTS or (name in NAMES and NAMES[name].id3):
        frames.append(_text_frame(called, values))
    else:
        frames.append(_text_frame("TXXX", (_description(name), *values)))
    return frames


def _description(name: str) -> str:
    """Capitals, as taggers write their own fields, where small letters come back from them."""
    called = NAMES[name].vorbis.split()[0] if name in NAMES else name.upper()
    return called if own_name(called) == name else name


def _date_frames(values: tuple[str, ...]) -> list[bytes]:
    """The year, the day and month where the date is a day, and the whole wherever that is not all of it."""
    day = re.fullmatch("([0-9]{4})-([0-9]{2})-([0-9]{2})", values[0])
    year = re.match("[0-9]{4}", values[0])
    frames = []
    if year:
        frames.append(_text_frame("TYER", (year[0],)))
    if day:
        frames.append(_text_frame("TDAT", (day[3] + day[2],)))
    if len(values) > 1 or not (day or (year and year[0] == values[0])):
        frames.append(_text_frame("TXXX", ("DATE", *values)))
    return frames


def _described_frame(name: str, number: int, text: str) -> bytes:
    """A comment or lyrics. No two may bear the same description: from the second on it has their number."""
    described = f"{'comment' if name == 'COMM' else 'lyrics'} {number}" if number > 1 else ""
    encoding = 0 if text.isascii() else 1
    texts = _encoded(described, encoding, ends=True) + _encoded(text, encoding)
    return _frame(name, bytes([encoding]) + b"eng" + texts)


def _text_frame(name: str, values: tuple[str, ...]) -> bytes:
    encoding = 0 if all(value.isascii() for value in values) else 1
    # TXXX: a description and a text, each with its own mark.
    first = _encoded(values[0], encoding, ends=True) if name == "TXXX" else b""
    rest = values[1:] if name == "TXXX" else values
    return _frame(name, bytes([encoding]) + first + _encoded("\0".join(rest), encoding))


def _encoded(text: str, encoding: int, *, ends: bool = False) -> bytes:
    if ends:
        text += "\0"
    return text.encode("ascii") if encoding == 0 else b"\xff\xfe" + text.encode("utf-16-le", "replace")


def _picture_frame(picture: Picture) -> bytes:
    text = picture.description.replace("\0", " ")[:64]
    encoding = 0 if text.isascii() else 1
    mime = picture.mime.encode("latin-1", "replace").replace(b"\0", b"")[:255]
    head = bytes([encoding]) + mime + bytes([0, picture.kind])
    return _frame("APIC", head + _encoded(text, encoding, ends=True) + picture.data)


def _frame(name: str, content: bytes) -> bytes:
    return name.encode("ascii") + len(content).to_bytes(4, "big") + b"\0\0" + content
