"""Audio: samples with their rate and layout, the currency between all stages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from dsp.errors import AudioError

Layout = Literal["mono", "stereo", "surround"]
Samples = NDArray[np.floating[Any]]
"""float32 or float64, shape (channels, samples)."""

LOWEST_RATE_HZ, HIGHEST_RATE_HZ = 8_000, 384_000


MOST_CHANNELS = 8


def layout_of(channels: int, channel_mask: int | None = None) -> Layout:
    """The layout that a channel count stands for; AudioError where there is none.

    channel_mask: the loudspeaker of each channel, as bits; more than two channels need one.
    """
    if channels == 1:
        return "mono"
    if channels == 2:
        return "stereo"
    if channel_mask is not None and channels == channel_mask.bit_count() <= MOST_CHANNELS:
        return "surround"
    raise AudioError(
        f"channels: {channels} is not supported, allowed are 1 (mono) and 2 (stereo), and up to {MOST_CHANNELS} with a"
        " channel mask that says which loudspeaker each is for"
    )


@dataclass(frozen=True, eq=False)
class Audio:
    """Sound in memory.

    samples: float32 or float64, shape (channels, samples); ±1.0 is full scale. Never written to: a read-only
        view is kept, so a stage that forgets raises at once.
    sample_rate_hz: whole number, 8,000 to 384,000.
    channel_mask: the loudspeaker of each channel where there are more than two, as in WAVE_FORMAT_EXTENSIBLE.
    Raises AudioError on any other shape, kind or rate, and on NaN or infinity.
    """

    samples: Samples
    sample_rate_hz: int
    channel_mask: int | None = None

    def __post_init__(self) -> None:
        samples = np.asarray(self.samples)
        if samples.ndim != 2:
            raise AudioError(f"samples: shape {samples.shape} is not (channels, samples)")
        if samples.dtype not in (np.float32, np.float64):
            raise AudioError(f"samples: {samples.dtype} is not float32 or float64")
        layout_of(samples.shape[0], self.channel_mask)
        check_rate(self.sample_rate_hz)
        if not np.isfinite(samples).all():
            raise AudioError(f"samples: {int((~np.isfinite(samples)).sum())} are NaN or infinite")
        view = np.ascontiguousarray(samples).view()
        view.flags.writeable = False
        object.__setattr__(self, "samples", view)

    @property
    def layout(self) -> Layout:
        """`mono`, `stereo` or `surround`."""
        return layout_of(self.samples.shape[0], self.channel_mask)

    @property
    def channels(self) -> int:
        """How many channels."""
        return int(self.samples.shape[0])

    @property
    def length_samples(self) -> int:
        """How many samples a channel has."""
        return int(self.samples.shape[1])

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return self.length_samples / self.sample_rate_hz


def check_rate(sample_rate_hz: int) -> int:
    """`sample_rate_hz` itself; AudioError where it is no whole number from 8,000 to 384,000."""
    if sample_rate_hz != int(sample_rate_hz) or not LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ:
        raise AudioError(
            f"sample_rate_hz: {sample_rate_hz} is not a whole number from {LOWEST_RATE_HZ} to {HIGHEST_RATE_HZ}"
        )
    return int(sample_rate_hz)


def mid_side(samples: Samples) -> Samples:
    """(left, right) to (mid, side): M = (L+R)/2, S = (L-R)/2. Its inverse is `left_right`."""
    left, right = samples
    half = samples.dtype.type(0.5)
    return np.stack([(left + right) * half, (left - right) * half])


def left_right(samples: Samples) -> Samples:
    """(mid, side) to (left, right): L = M+S, R = M-S."""
    mid, side = samples
    return np.stack([mid + side, mid - side])
