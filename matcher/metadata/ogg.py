"""The comments of Ogg Vorbis, Opus, Speex and FLAC in Ogg: the second packet of the stream (RFC 3533, RFC 7845)."""

from __future__ import annotations

from typing import BinaryIO

from matcher.metadata.gathering import MOST_CHUNK_BYTES, Gathering, bytes_at
from matcher.metadata.vorbis import read_comments

_HEAD_BYTES = 27
_MOST_PAGES = 20_000
_OPUS_RATES_HZ = (8000, 12000, 16000, 24000, 48000)


def read_ogg(file: BinaryIO, at: int = 0) -> Gathering:
    """What the first stream of an Ogg file says beside its samples."""
    found = Gathering()
    packets = _packets(file, at, count=2)
    if len(packets) < 2:
        return found
    first, second = packets
    if first[:7] == b"\x01vorbis" and second[:7] == b"\x03vorbis":
        read_comments(second[7:], found, int.from_bytes(first[12:16], "little"))
    elif first[:8] == b"OpusHead" and second[:8] == b"OpusTags":
        read_comments(second[8:], found, _opus_rate_hz(int.from_bytes(first[12:16], "little")))
    elif first[:5] == b"\x7fFLAC" and second[:1] and second[0] & 0x7F == 4:
        read_comments(second[4:], found, int.from_bytes(first[27:30], "big") >> 4)
    elif first[:8] == b"Speex   ":
        read_comments(second, found, int.from_bytes(first[36:40], "little"))
    return found


def _packets(file: BinaryIO, at: int, *, count: int) -> list[bytes]:
    """The first packets of the stream that the first page belongs to; a packet goes on over pages.

    One that breaks off is given as far as it goes.
    """
    packets: list[bytes] = []
    parts: list[bytes] = []
    serial, taken_bytes = b"", 0
    for _ in range(_MOST_PAGES):
        head = bytes_at(file, at, _HEAD_BYTES + 255)
        if head[:4] != b"OggS" or len(head) < _HEAD_BYTES:
            break
        lacing = head[_HEAD_BYTES : _HEAD_BYTES + head[26]]
        serial = serial or head[14:18]
        body_at = at + _HEAD_BYTES + len(lacing)
        at = body_at + sum(lacing)
        if head[14:18] != serial:
            continue
        body = bytes_at(file, body_at, sum(lacing))
        taken_bytes += len(body)
        start = stop = 0
        for size in lacing:
            stop += size
            if size < 255:
                packets.append(b"".join((*parts, body[start:stop])))
                parts, start = [], stop
                if len(packets) == count:
                    return packets
        parts.append(body[start:stop])
        if taken_bytes > MOST_CHUNK_BYTES:
            break
    return [*packets, b"".join(parts)] if parts else packets


def _opus_rate_hz(said_hz: int) -> int:
    """The rate at which the decoder gives the sound: the next of its own above what the source had."""
    return next((rate for rate in _OPUS_RATES_HZ if said_hz and rate >= said_hz), 48000)
