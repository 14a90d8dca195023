"""AIFF and AIFF-C, read and written: text chunks, MARK, COMT, INST, CHAN and an ID3 tag.

Apple, "Audio Interchange File Format" 1.3 (1989). AIFF has no place for bext, iXML and axml, for a marker's length
and for how often a loop plays: `lost` names them.
"""

from __future__ import annotations

from typing import BinaryIO

from dsp.errors import FileError
from matcher.metadata.aiff_places import comments_in, loop_marks, marks_in, place_chunks
from matcher.metadata.gathering import MOST_CHUNK_BYTES, Gathering, bytes_at, plain_text, size_of, tidy
from matcher.metadata.id3 import read_id3
from matcher.metadata.id3_writing import id3_tag
from matcher.metadata.items import Marker, Metadata
from matcher.metadata.riff import chunks_of
from matcher.metadata.shifting import insert_bytes

_TEXTS = {b"NAME": "title", b"AUTH": "artist", b"(c) ": "copyright", b"\xa9   ": "copyright", b"ANNO": "comment"}
_NATIVE = {"title": b"NAME", "artist": b"AUTH", "copyright": b"(c) ", "comment": b"ANNO"}
_REPLACED = (*_TEXTS, b"MARK", b"COMT", b"INST", b"ID3 ", b"id3 ", b"CHAN")
_USE_BITMAP = 1 << 16
"""Apple's channel layout that is a mask of the same bits as a WAV's."""
MOST_FORM_BYTES = 2**32 - 1


def read_aiff(file: BinaryIO, at: int = 0) -> Gathering:
    """What an AIFF file that begins at a place says beside its samples."""
    id3, native = Gathering(), Gathering()
    marks: dict[int, Marker] = {}
    comments: list[tuple[int, str]] = []
    inst = b""
    for chunk in chunks_of(file, at + 12, size_of(file), "big"):
        if chunk.name not in _REPLACED or chunk.present_bytes > MOST_CHUNK_BYTES:
            continue
        content = bytes_at(file, chunk.at, chunk.present_bytes)
        if chunk.name in _TEXTS:
            native.add(_TEXTS[chunk.name], plain_text(content))
        elif chunk.name == b"MARK":
            marks = marks or marks_in(content)
        elif chunk.name == b"COMT":
            comments = comments or comments_in(content)
        elif chunk.name == b"INST":
            inst = inst or content
        elif chunk.name == b"CHAN":
            tag, mask = int.from_bytes(content[:4], "big"), int.from_bytes(content[4:8], "big")
            native.channel_mask = mask if tag == _USE_BITMAP and mask else None
        elif not id3.tags:
            read_id3(content, id3)
    for number, text in comments:
        if number == 0:
            native.add("comment", text)
        elif number in marks:
            at_samples = marks[number].position_samples
            marks[number] = Marker(position_samples=at_samples, label=text)
    native.loops, spent = loop_marks(inst, marks)
    native.markers = [marker for number, marker in marks.items() if number not in spent]
    id3.fill(native)
    return id3


def write_aiff(file: BinaryIO, metadata: Metadata) -> None:
    """Put metadata in place of all that the file has.

    Raises FileError where it is no whole AIFF, or would outgrow 4 GiB; nothing was changed then.
    """
    start, size = bytes_at(file, 0, 12), size_of(file)
    if start[:4] != b"FORM" or start[8:] not in (b"AIFF", b"AIFC"):
        raise FileError("holds no AIFF to put metadata into")
    front: list[bytes] = [start[8:]]
    back: list[bytes] = []
    sound: tuple[int, int] | None = None
    channels = kept_bytes = 0
    for chunk in chunks_of(file, 12, size, "big"):
        if chunk.present_bytes < chunk.claimed_bytes:
            raise FileError(f"its chunk {chunk.name!r} is cut short; metadata goes into whole files only")
        if chunk.name == b"SSND":
            sound = (chunk.at, chunk.claimed_bytes)
        elif chunk.name not in _REPLACED:
            kept_bytes += chunk.present_bytes
            if kept_bytes > MOST_CHUNK_BYTES:
                raise FileError(f"its other chunks hold more than the {MOST_CHUNK_BYTES >> 20} MiB that are kept")
            content = bytes_at(file, chunk.at, chunk.present_bytes)
            channels = int.from_bytes(content[:2], "big") if chunk.name == b"COMM" else channels
            (back if sound else front).append(_chunk(chunk.name, content))
    if sound is None or not channels:
        raise FileError("holds no samples to put metadata beside")
    sound_at, sound_bytes = sound
    tail = bytes(sound_bytes % 2) + b"".join(back) + _metadata_chunks(metadata, channels)
    body = b"".join(front) + b"SSND" + _big(sound_bytes)
    form_bytes = len(body) + sound_bytes + len(tail)
    if form_bytes > MOST_FORM_BYTES:
        raise FileError("more than 4 GiB do not fit into AIFF; write .wav or .flac")
    head = b"FORM" + _big(form_bytes) + body
    insert_bytes(file, 0, head, replaced_bytes=sound_at)
    file.seek(len(head) + sound_bytes)
    file.write(tail)
    file.truncate()


def _metadata_chunks(metadata: Metadata, channels: int) -> bytes:
    tags = tidy(metadata.tags)
    parts = []
    for name, called in _NATIVE.items():
        # Only remarks may be several; two titles would be two chunks of which one counts.
        values = tags.get(name, ()) if name == "comment" else ("; ".join(tags.get(name, ())),)
        parts += [_chunk(called, value.encode("utf-8")) for value in values if value]
    mask = metadata.channel_mask
    if mask is not None and 0 < mask < 2**32 and mask.bit_count() == channels:
        parts.append(_chunk(b"CHAN", _big(_USE_BITMAP) + _big(mask) + _big(0)))
    parts += [_chunk(name, content) for name, content in place_chunks(metadata)]
    is_all = all(
        name in _NATIVE and (len(values) == 1 or name == "comment") and all(value.isascii() for value in values)
        for name, values in tags.items()
    )
    if not is_all or metadata.pictures:
        parts.append(_chunk(b"ID3 ", id3_tag(tags, metadata.pictures)))
    return b"".join(parts)


def _chunk(name: bytes, content: bytes) -> bytes:
    return name + _big(len(content)) + content + bytes(len(content) % 2)


def _big(number: int) -> bytes:
    return number.to_bytes(4, "big")
