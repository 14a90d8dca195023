"""Names for content: the same bytes or samples have the same hash, wherever they lie."""

from __future__ import annotations

import hashlib

import numpy as np

from dsp.audio import Audio
from dsp.errors import FileError
from matcher.io.naming import PathLike, reason, shown

_READ_BYTES = 1 << 20


def content_hash(path: PathLike) -> str:
    """BLAKE2b-128 of the bytes of a file, 32 hexadecimal digits; FileError where it cannot be read."""
    digest = hashlib.blake2b(digest_size=16)
    try:
        with open(path, "rb") as file:
            while part := file.read(_READ_BYTES):
                digest.update(part)
    except (OSError, ValueError) as error:
        raise FileError(f"{shown(path)}: cannot be read ({reason(error)})") from error
    return digest.hexdigest()


def audio_hash(audio: Audio) -> str:
    """BLAKE2b-128 of samples, their kind, shape and rate, 32 hexadecimal digits; the same on every machine."""
    kind = audio.samples.dtype.newbyteorder("<")
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{kind.str} {audio.samples.shape} {audio.sample_rate_hz}\n".encode())
    digest.update(np.ascontiguousarray(audio.samples, dtype=kind).data)
    return digest.hexdigest()
