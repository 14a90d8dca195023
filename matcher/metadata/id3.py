"""ID3 tags read: versions 2.2, 2.3 and 2.4 (id3.org's documents), and version 1 at the end of a file.

Compressed and encrypted frames are skipped: hardly anyone writes them, and a few bytes could unpack to gigabytes.
"""

from __future__ import annotations

import re
from typing import BinaryIO, NamedTuple

from matcher.metadata.gathering import (
    MOST_ITEMS,
    MOST_TEXT_BYTES,
    MOST_VALUES,
    Gathering,
    bytes_at,
    plain_text,
    size_of,
)
from matcher.metadata.genres import GENRES, genre_names
from matcher.metadata.items import Picture
from matcher.metadata.names import FROM_ID3, own_name

_FRAME_ID = re.compile(rb"[A-Z][A-Z0-9]{2,3}")
_CODECS = ("latin-1", "utf-16", "utf-16-be", "utf-8")
_NUMBERED = re.compile("(comment)? ?[0-9]{0,3}")
"""What tells several comments apart, and says nothing more."""
_MIMES = {b"JPG": "image/jpeg", b"PNG": "image/png"}
_MOST_DESCRIPTION_BYTES = 1024
_ENDED = {1: re.compile(rb"(?s)(.*?)\0"), 2: re.compile(rb"(?s)((?:..)*?)\0\0")}
"""A text and the NUL that ends it, by the bytes of a letter."""
MUSICBRAINZ = b"http://musicbrainz.org"
"""Who gives out the UFID that tells one recording."""


class _Frame(NamedTuple):
    name: str
    content: bytes


def read_id3(data: bytes, found: Gathering) -> None:
    """Take what an ID3v2 tag at the start of `data` says."""
    if data[:3] != b"ID3" or len(data) < 10 or data[3] not in (2, 3, 4):
        return
    version, flags = data[3], data[5]
    body = data[10 : 10 + synchsafe(data[6:10])]
    if version == 2 and flags & 0x40:  # compressed, in a way that was never written down
        return
    if version < 4 and flags & 0x80:
        body = _synchronised(body)
    dates: dict[str, str] = {}
    for frame in _frames(body, version, start=_extended_bytes(body, version, flags), all_unsynchronised=flags & 0x80):
        _take(frame, found, dates)
    if "date" not in found.tags and dates.get("year"):
        year, day = dates["year"], dates.get("day", "")
        is_whole = re.fullmatch("[0-9]{4}", year) and re.fullmatch("[0-9]{4}", day)
        found.add("date", f"{year}-{day[2:]}-{day[:2]}" if is_whole else year)


def id3_bytes(file: BinaryIO, at: int = 0) -> int:
    """The size of an ID3v2 tag at a place of a file, its head and foot included; 0 where there is none."""
    head = bytes_at(file, at, 10)
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    return 10 + synchsafe(head[6:10]) + (10 if head[3] == 4 and head[5] & 0x10 else 0)


def read_id3v1(file: BinaryIO, found: Gathering) -> None:
    """Take what the last 128 bytes of a file say, if they are a tag: texts cut after 30 letters."""
    size = size_of(file)
    data = bytes_at(file, size - 128, 128) if size >= 128 else b""
    if data[:3] != b"TAG":
        return
    for name, start, stop in (("title", 3, 33), ("artist", 33, 63), ("album", 63, 93), ("date", 93, 97)):
        found.add(name, plain_text(data[start:stop]))
    has_track = data[125] == 0 and data[126] != 0
    found.add("comment", plain_text(data[97 : 125 if has_track else 127]))
    if has_track:
        found.add("track", str(data[126]))
    if data[127] < len(GENRES):
        found.add("genre", GENRES[data[127]])


def synchsafe(four: bytes) -> int:
    """A size in 7 bits to the byte."""
    return sum((byte & 0x7F) << shift for byte, shift in zip(four, (21, 14, 7, 0), strict=False))


def _synchronised(data: bytes) -> bytes:
    """Undo what keeps a tag from looking like a frame of MP3."""
    return data.replace(b"\xff\x00", b"\xff")


def _extended_bytes(body: bytes, version: int, flags: int) -> int:
    if version == 2 or not flags & 0x40:
        return 0
    return synchsafe(body[:4]) if version == 4 else 4 + int.from_bytes(body[:4], "big")


def _frames(body: bytes, version: int, *, start: int, all_unsynchronised: int) -> list[_Frame]:
    """The frames of a tag in their order, until something that is none."""
    id_bytes, head_bytes = (3, 6) if version == 2 else (4, 10)
    frames = []
    at = start
    for _ in range(MOST_ITEMS):
        name = body[at : at + id_bytes]
        if len(name) < id_bytes or not _FRAME_ID.fullmatch(name) or at + head_bytes > len(body):
            break
        size = _frame_size(body, at, version)
        content = body[at + head_bytes : at + head_bytes + size]
        flags = body[at + 9] if version > 2 else 0
        at += head_bytes + size
        if flags & (0xC0 if version == 3 else 0x0C):
            continue
        if flags & (0x20 if version == 3 else 0x40):
            content = content[1:]  # the group it belongs to
        if version == 4 and flags & 0x01:
            content = content[4:]  # its length once more
        if version == 4 and (flags & 0x02 or all_unsynchronised):
            content = _synchronised(content)
        frames.append(_Frame(name.decode("ascii"), content))
    return frames


def _frame_size(body: bytes, at: int, version: int) -> int:
    if version == 2:
        return int.from_bytes(body[at + 3 : at + 6], "big")
    plain = int.from_bytes(body[at + 4 : at + 8], "big")
    if version == 3:
        return plain
    size = synchsafe(body[at + 4 : at + 8])
    # iTunes wrote plain sizes into version 2.4 for years: whichever leads to a frame or to the end is right.
    if plain != size and not _leads_on(body, at + 10 + size) and _leads_on(body, at + 10 + plain):
        return plain
    return size


def _leads_on(body: bytes, at: int) -> bool:
    name = body[at : at + 4]
    return at == len(body) or name == bytes(4) or bool(_FRAME_ID.fullmatch(name))


def _take(frame: _Frame, found: Gathering, dates: dict[str, str]) -> None:
    name, content = frame
    if name in ("APIC", "PIC"):
        _take_picture(content, found, is_v22=name == "PIC")
    elif name == "UFID":
        owner, _, given = content.partition(b"\0")
        if owner == MUSICBRAINZ and len(given) <= 64:
            found.add("musicbrainz_trackid", plain_text(given))
    elif len(content) > MOST_TEXT_BYTES or len(content) < 2:
        return
    elif name in ("COMM", "COM", "USLT", "ULT"):
        described, *texts = _texts(content[0], content[4:])
        _add_described(FROM_ID3[name], described, texts, found)
    elif name in ("TXXX", "TXX"):
        described, *texts = _texts(content[0], content[1:])
        for text in texts:
            found.add(own_name(described), text)
    elif name in ("TYER", "TYE", "TDAT", "TDA"):
        dates["year" if name.startswith("TY") else "day"] = _texts(content[0], content[1:])[0].strip()
    elif name in ("IPLS", "IPL", "TIPL", "TMCL"):
        pairs = _texts(content[0], content[1:])
        for role, person in zip(pairs[::2], pairs[1::2], strict=False):
            found.add(own_name(role), person)
    elif name.startswith("T"):
        own = FROM_ID3.get(name, name.lower())
        for text in _texts(content[0], content[1:]):
            for value in genre_names(text) if own == "genre" else [text]:
                found.add(own, value)
    elif name.startswith("W") and len(content) <= _MOST_DESCRIPTION_BYTES:
        if name in ("WXXX", "WXX"):
            described, url = [*_texts(content[0], content[1:]), ""][:2]
            # The address itself is never in UTF-16.
            found.add(described.strip().lower() or "url", url if content[0] in (0, 3) else _latin_end(content))
        else:
            found.add(name.lower(), plain_text(content))


def _add_described(name: str, described: str, texts: list[str], found: Gathering) -> None:
    """A comment or lyrics; one that bears a title, as iTunes' own figures do, is a tag of that name."""
    described = described.strip().lower()
    if described == "id3v1 comment":
        return
    is_plain = name == "lyrics" or _NUMBERED.fullmatch(described)
    for text in texts:
        found.add(name if is_plain else described, text)


def _texts(encoding: int, data: bytes) -> list[str]:
    """The strings between the NULs, at least one; each may have its own byte order mark."""
    codec = _CODECS[encoding] if encoding < len(_CODECS) else "latin-1"
    if encoding in (1, 2):
        data = data[: len(data) & ~1]
    if encoding == 1 and data[:2] not in (b"\xff\xfe", b"\xfe\xff"):
        codec = "utf-16-le"
    texts = data.decode(codec, "replace").split("\0", 2 * MOST_VALUES)[: 2 * MOST_VALUES]
    if encoding == 1:
        texts = [_in_order(text) for text in texts]
    # A NUL at the end closes the last string and opens none.
    return texts[:-1] if len(texts) > 1 and not texts[-1] else texts


def _in_order(text: str) -> str:
    """One string of several: a mark that comes out reversed says that the bytes of this one are."""
    if text.startswith("\ufffe"):
        text = text.encode("utf-16-le", "replace").decode("utf-16-be", "replace")
    return text.removeprefix("\ufeff")


def _latin_end(content: bytes) -> str:
    at = content.find(b"\0\0", 1)
    return plain_text(content[at:].lstrip(b"\0")) if at > 0 else ""


def _take_picture(content: bytes, found: Gathering, *, is_v22: bool) -> None:
    encoding = content[0] if content else 0
    if is_v22:
        mime, rest = _MIMES.get(content[1:4].upper(), "image/"), content[4:]
    else:
        mime = content[1 : 1 + _MOST_DESCRIPTION_BYTES].partition(b"\0")[0].decode("latin-1")
        rest = content[len(mime) + 2 :]
    if mime == "-->":  # no picture but the address of one
        return
    width = 2 if encoding in (1, 2) else 1
    head = rest[1 : 1 + _MOST_DESCRIPTION_BYTES]
    described = _ENDED[width].match(head)
    if described is None or not rest:
        return
    description = _texts(encoding, described[1])[0].strip()
    found.add_picture(Picture(data=rest[1 + described.end() :], mime=mime, kind=rest[0], description=description))
