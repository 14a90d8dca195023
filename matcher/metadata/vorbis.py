"""Vorbis comments, as FLAC, Ogg Vorbis and Opus hold them, and FLAC's picture block (RFC 9639, section 8.8).

Markers are the fields CHAPTER001=00:00:01.234 and CHAPTER001NAME=Verse, which players show as chapters.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence

from matcher.metadata.gathering import MOST_CHUNK_BYTES, MOST_ITEMS, MOST_TEXT_BYTES, Gathering, tidy
from matcher.metadata.items import Marker, Metadata, Picture
from matcher.metadata.names import is_alias, own_name, vorbis_name

_CHAPTER = re.compile("chapter([0-9]{3})(name|url)?")
_TIME = re.compile(r"([0-9]{1,4}):([0-9]{1,2}):([0-9]{1,2}(?:\.[0-9]{1,12})?)")
_MASK = "waveformatextensible_channel_mask"
_COUNTS = {"track": ("TRACKTOTAL", "tracktotal totaltracks"), "disc": ("DISCTOTAL", "disctotal totaldiscs")}
"""What "3/12" is split into beside the number; the first name is written, all are read."""
MOST_CHAPTERS = 999


def read_comments(data: bytes, found: Gathering, sample_rate_hz: int) -> None:
    """Take the comments of a packet or block that begins with the vendor's name."""
    at = 4 + _little(data, 0)
    count = _little(data, at)
    at += 4
    chapters: dict[str, str] = {}
    totals: dict[str, str] = {}
    aliases = Gathering()
    for _ in range(min(count, MOST_ITEMS)):
        size = _little(data, at)
        if at + 4 + size > len(data):
            break
        comment = data[at + 4 : at + 4 + size]
        at += 4 + size
        field, equals, value = comment.partition(b"=")
        name = field.decode("latin-1").strip().lower()
        if not equals:
            continue
        if name == "metadata_block_picture":
            _take_encoded_picture(value, found)
        elif len(value) <= MOST_TEXT_BYTES:
            text = value.decode("utf-8", "replace")
            if _CHAPTER.fullmatch(name):
                chapters.setdefault(name, text.strip())
            elif name == _MASK:
                found.channel_mask = _mask(text)
            elif any(name in names.split() for _, names in _COUNTS.values()):
                totals.setdefault(name, text.strip())
            else:
                # YEAR beside DATE is no second date: a field's other names count where it has not its own.
                (aliases if is_alias(name) else found).add(own_name(name), text)
    found.fill(aliases)
    _join_totals(totals, found)
    found.markers = found.markers or _markers(chapters, sample_rate_hz)


def comment_block(metadata: Metadata, markers: Sequence[Marker], sample_rate_hz: int, *, vendor: bytes) -> bytes:
    """A block of comments. Fields whose name or size is not allowed are left out (`lost` tells)."""
    fields: list[tuple[str, str]] = []
    for name, values in tidy(metadata.tags).items():
        called = vorbis_name(name)
        if not called:
            continue
        first, _, total = values[0].partition("/")
        if name in _COUNTS and len(values) == 1 and first.strip() and total.strip():
            fields += [(called, first.strip()), (_COUNTS[name][0], total.strip())]
        else:
            fields += [(called, value) for value in values]
    if metadata.channel_mask is not None:
        fields.append((_MASK.upper(), f"0x{metadata.channel_mask:04X}"))
    for number, marker in enumerate(markers[:MOST_CHAPTERS], 1):
        fields.append((f"CHAPTER{number:03d}", _time(marker.position_samples, sample_rate_hz)))
        fields.append((f"CHAPTER{number:03d}NAME", marker.label or f"Marker {number}"))
    comments = [f"{name}={value}".encode("utf-8", "replace") for name, value in fields]
    kept: list[bytes] = []
    left = 2**24 - 1 - 8 - len(vendor)
    for comment in comments:
        if len(comment) <= MOST_TEXT_BYTES and len(comment) + 4 <= left:
            kept.append(_sized(comment))
            left -= len(comment) + 4
    return _sized(vendor) + len(kept).to_bytes(4, "little") + b"".join(kept)


def picture_block(picture: Picture) -> bytes:
    """The content of FLAC's PICTURE block."""
    numbers = (picture.width_pixels, picture.height_pixels, picture.depth_bits, picture.colours, len(picture.data))
    parts = [_big(picture.kind)]
    for text in (picture.mime.encode("latin-1", "replace"), picture.description.encode("utf-8", "replace")):
        parts += [_big(len(text)), text]
    parts += [_big(min(max(number, 0), 2**32 - 1)) for number in numbers]
    return b"".join(parts) + picture.data


def read_picture(block: bytes, found: Gathering) -> None:
    """Take FLAC's PICTURE block, or what is left of it."""
    kind, mime_bytes = _of_big(block, 0), _of_big(block, 4)
    at = 8 + mime_bytes
    text_bytes = _of_big(block, at)
    numbers_at = at + 4 + text_bytes
    if numbers_at + 20 > len(block):
        return
    width, height, depth, colours, size = (_of_big(block, numbers_at + 4 * index) for index in range(5))
    mime = block[8 : 8 + min(mime_bytes, 255)].decode("latin-1")
    if mime == "-->":  # no picture but the address of one
        return
    found.add_picture(
        Picture(
            data=block[numbers_at + 20 : numbers_at + 20 + size],
            mime=mime,
            kind=kind,
            description=block[at + 4 : numbers_at].decode("utf-8", "replace"),
            width_pixels=width,
            height_pixels=height,
            depth_bits=depth,
            colours=colours,
        )
    )


def _take_encoded_picture(value: bytes, found: Gathering) -> None:
    if len(value) > MOST_CHUNK_BYTES:
        return
    try:
        read_picture(base64.b64decode(value), found)
    except (binascii.Error, ValueError):
        return


def _join_totals(totals: dict[str, str], found: Gathering) -> None:
    for name, (_, names) in _COUNTS.items():
        total = next((totals[called] for called in names.split() if totals.get(called)), "")
        values = found.tags.get(name)
        if total and values and "/" not in values[0]:
            values[0] = f"{values[0]}/{total}"


def _markers(chapters: dict[str, str], sample_rate_hz: int) -> list[Marker]:
    markers = []
    for name, text in sorted(chapters.items()):
        time = _TIME.fullmatch(text)
        if name.endswith(("name", "url")) or time is None:
            continue
        seconds = int(time[1]) * 3600 + int(time[2]) * 60 + float(time[3])
        label = chapters.get(f"{name}name", "")
        markers.append(Marker(position_samples=round(seconds * sample_rate_hz), label=label))
    return markers


def _time(samples: int, sample_rate_hz: int) -> str:
    thousandths = (2000 * samples + sample_rate_hz) // (2 * max(sample_rate_hz, 1))
    seconds, thousandths = divmod(thousandths, 1000)
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.{thousandths:03d}"


def _mask(text: str) -> int | None:
    try:
        return int(text[:12], 0) or None
    except ValueError:
        return None


def _little(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "little")


def _of_big(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _big(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data
