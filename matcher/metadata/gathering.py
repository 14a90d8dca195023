"""What a reader has found so far, and the limits it keeps."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from typing import BinaryIO

from matcher.metadata.items import Broadcast, Loop, Marker, Metadata, Picture

MOST_CHUNK_BYTES = 64 * 2**20
"""No item of metadata is read or written beyond this."""
MOST_TEXT_BYTES = 2**20
"""No single tag is longer."""
MOST_ITEMS = 10_000
"""No more chunks, frames, comments, markers or loops are looked at."""
MOST_VALUES = 100
"""No tag has more values, no file more pictures."""
_MOST_FILE_BYTES = 2**42


class Gathering:
    """Metadata in the making; what is found first stays, for the fuller source is read first."""

    def __init__(self) -> None:
        self.tags: dict[str, list[str]] = {}
        self.pictures: list[Picture] = []
        self.picture_bytes = 0
        self.broadcast: Broadcast | None = None
        self.ixml = b""
        self.axml = b""
        self.markers: list[Marker] = []
        self.loops: list[Loop] = []
        self.channel_mask: int | None = None

    def add(self, name: str, value: str) -> None:
        """One more value of a tag; what is empty or known already is left out."""
        value = value.strip("\0 \t\r\n")
        if not name or not value or len(value) > MOST_TEXT_BYTES:
            return
        values = self.tags.setdefault(name, [])
        if len(values) < MOST_VALUES and value not in values:
            values.append(value)

    def add_picture(self, picture: Picture) -> None:
        """One more picture, as long as all of them stay within the limit."""
        fits = self.picture_bytes + len(picture.data) <= MOST_CHUNK_BYTES
        if picture.data and fits and len(self.pictures) < MOST_VALUES and 0 <= picture.kind <= 20:
            self.pictures.append(picture)
            self.picture_bytes += len(picture.data)

    def fill(self, other: Gathering) -> None:
        """Take over what is missing here."""
        for name, values in other.tags.items():
            self.tags.setdefault(name, values)
        self.pictures = self.pictures or other.pictures
        self.broadcast = self.broadcast or other.broadcast
        self.ixml = self.ixml or other.ixml
        self.axml = self.axml or other.axml
        self.markers = self.markers or other.markers
        self.loops = self.loops or other.loops
        self.channel_mask = other.channel_mask if self.channel_mask is None else self.channel_mask

    def metadata(self) -> Metadata:
        """All of it, for good."""
        return Metadata(
            tags={name: tuple(values) for name, values in self.tags.items()},
            pictures=tuple(self.pictures),
            broadcast=self.broadcast,
            ixml=self.ixml,
            axml=self.axml,
            markers=tuple(self.markers),
            loops=tuple(self.loops),
            channel_mask=self.channel_mask,
        )


def tidy(tags: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """Tags as they would be read back: names in lower case, no NUL, nothing empty, nothing twice."""
    gathered = Gathering()
    for name, values in tags.items():
        for value in values:
            # What is half a character (a lone surrogate) no encoding takes.
            whole = value.encode("utf-8", "replace").decode("utf-8")
            gathered.add(name.replace("\0", "").strip().lower(), whole.replace("\0", " "))
    return {name: tuple(values) for name, values in gathered.tags.items()}


def plain_text(data: bytes) -> str:
    """Text whose encoding nobody states: UTF-8 where it is that, else Windows' Western letters."""
    data = data[: MOST_TEXT_BYTES + 1].partition(b"\0")[0]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        # Five of the bytes stand for nothing in cp1252, and for control characters in Latin-1.
        return data.decode("cp1252", "replace")


def fitting(text: str, most_bytes: int) -> bytes:
    """As much of a text in UTF-8 as fits, without half a character at the end."""
    data = text.encode("utf-8", "replace")
    return data if len(data) <= most_bytes else data[:most_bytes].decode("utf-8", "ignore").encode()


def bytes_at(file: BinaryIO, at: int, count: int) -> bytes:
    """Up to `count` bytes, never more than one item may have; fewer at the end of the file."""
    if not 0 <= at <= _MOST_FILE_BYTES:  # a made-up size leads there, and the system would refuse
        return b""
    file.seek(at)
    return file.read(min(max(count, 0), MOST_CHUNK_BYTES))


def size_of(file: BinaryIO) -> int:
    """All bytes of it."""
    return file.seek(0, io.SEEK_END)
