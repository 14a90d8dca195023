"""A source read at another sample rate, in blocks, through soxr's VHQ filter."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import soxr

from dsp.audio import Samples, check_rate
from dsp.chain import BLOCK_SAMPLES

if TYPE_CHECKING:
    from matcher.io.reading import AudioSource


def resampled_length_samples(length_samples: int, from_hz: int, to_hz: int) -> int:
    """Length after a change of rate: rounded to the nearest sample, halves up."""
    return (2 * length_samples * to_hz + from_hz) // (2 * from_hz)


def resampled_blocks(
    source: AudioSource, *, sample_rate_hz: int, block_samples: int = BLOCK_SAMPLES
) -> Iterator[Samples]:
    """All of `source` at `sample_rate_hz`, as arrays (channels, block_samples), the last one shorter.

    The samples do not depend on `block_samples`, nothing is shifted in time, and the length is exactly
    `resampled_length_samples`. Raises AudioError for a rate that is not allowed, and what `source.blocks` raises.
    """
    check_rate(sample_rate_hz)
    if sample_rate_hz == source.sample_rate_hz:
        yield from source.blocks(block_samples)
        return
    length = resampled_length_samples(source.length_samples, source.sample_rate_hz, sample_rate_hz)
    ready = np.empty((0, source.channels), dtype=source.dtype)
    given = 0
    for frames in _resampled_frames(source, sample_rate_hz):
        ready = np.concatenate([ready, frames]) if len(ready) else frames
        while len(ready) >= block_samples and given < length:
            count = min(block_samples, length - given)
            yield np.ascontiguousarray(ready[:count].T)
            ready = ready[count:]
            given += count
    while given < length:  # the remainder; zeros should the filter end a sample early
        count = min(block_samples, length - given)
        block = np.zeros((source.channels, count), dtype=source.dtype)
        block[:, : len(ready)] = ready[:count].T
        yield block
        ready = ready[count:]
        given += count


def _resampled_frames(source: AudioSource, sample_rate_hz: int) -> Iterator[Samples]:
    stream = soxr.ResampleStream(
        source.sample_rate_hz, sample_rate_hz, source.channels, dtype=source.dtype.name, quality="VHQ"
    )
    for block in source.blocks():
        yield stream.resample_chunk(np.ascontiguousarray(block.T))
    yield stream.resample_chunk(np.empty((0, source.channels), dtype=source.dtype), last=True)
