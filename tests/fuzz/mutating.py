"""Inputs made of saved ones: bits, numbers and pieces turned over."""

from __future__ import annotations

import random
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus"
LARGEST_BYTES = 1 << 16
NUMBERS = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)
WORDS = (
    b"RIFF", b"RF64", b"BW64", b"FORM", b"WAVE", b"data", b"fmt ", b"LIST", b"INFO", b"bext", b"iXML", b"cue ", b"adtl",
    b"smpl", b"id3 ", b"ID3\x04\0", b"APIC", b"TXXX", b"fLaC", b"OggS", b"SSND", b"MARK", b"COMM", b"ftyp", b"moov",
    b"null", b"true", b"1e999", b"-0", b'"', b"[", b"{", b"\\u0000", b"\n", b",", b"FILE ", b"TRACK ", b"../",
    b"\xff\xfe",
)  # fmt: skip


def seeds(name: str) -> list[bytes]:
    """The saved inputs of a target."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def mutated(rng: random.Random, pool: list[bytes]) -> bytes:
    """A new input."""
    data = bytearray(rng.choice(pool))
    for _ in range(rng.choice((1, 1, 2, 3, 5, 10))):
        _turn(rng, data, pool)
    return bytes(data[:LARGEST_BYTES])


def _turn(rng: random.Random, data: bytearray, pool: list[bytes]) -> None:
    # Headers stand in front: half of all changes are made there.
    at = rng.randrange(min(len(data), 256) if rng.random() < 0.5 else len(data)) if data else 0
    kind = rng.randrange(7)
    if kind == 0 and data:
        data[at] ^= 1 << rng.randrange(8)
    elif kind == 1 and data:
        data[at] = rng.randrange(256)
    elif kind == 2:
        size = rng.choice((1, 2, 4, 8))
        number = (rng.choice(NUMBERS) + rng.choice((0, 0, 1, -1, len(data)))) % 2 ** (8 * size)
        data[at : at + size] = number.to_bytes(size, rng.choice(("little", "big")))
    elif kind == 3:
        data[at : at + rng.choice((0, 4))] = rng.choice(WORDS)
    elif kind == 4:
        del data[at : at + rng.choice((1, 2, 4, 16, 256, len(data)))]
    elif kind == 5:
        piece = bytes(data[at : at + rng.choice((1, 4, 32, 512))])
        place = rng.randrange(len(data) + 1)
        data[place:place] = piece * rng.choice((1, 1, 2, 64))
    else:
        other = rng.choice(pool)
        start = rng.randrange(len(other)) if other else 0
        data[at : at + rng.choice((0, 16, 256))] = other[start : start + rng.choice((4, 64, 1024))]
