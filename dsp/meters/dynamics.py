"""Dynamics: peak and power of three bands and of the whole every 10 ms.

50 ms spectra cannot show a 5 ms attack; this can. The bands meet in fourth-order Linkwitz-Riley slopes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.kernels import BandLevels
from dsp.meters.segments import Segments

CROSSOVERS_HZ = (200.0, 3200.0)
BANDS = ("low", "mid", "high", "whole")
SEGMENT_S = 0.01


HEARD_DB = -55.0
"""Stretches this far below the loudest are silence."""
BLOCK = 5
"""Segments in the blocks of 50 ms whose levels are compared."""
CREST_BLOCKS = 8
"""Of 50 ms, in the windows of the crest factor."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Dynamics:
    """Shape (bands, segments) each, bands as in `BANDS`; power is the mean square over time and channels."""

    peak: NDArray[np.float64]
    power: NDArray[np.float64]


class DynamicsMeter:
    """Band levels of one stream of one or two channels."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._levels = BandLevels(float(sample_rate_hz), *CROSSOVERS_HZ)
        self._segments = Segments(SEGMENT_S, sample_rate_hz)

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        if not block.shape[1]:
            return
        stops = self._segments.cut(block.shape[1])
        peak, energy = np.empty((len(stops), len(BANDS))), np.empty((len(stops), len(BANDS)))
        self._levels.measure(np.ascontiguousarray(block), stops, peak, energy)
        self._segments.gather(stops, peak, energy)

    def result(self) -> Dynamics:
        """All segments so far; an incomplete last one only where it is the only one."""
        return Dynamics(*self._segments.result())


def figures(power: Array, peak: Array) -> Array:
    """How compressed a stretch is: crest factor and the spread of low, mid and high band, dB, shape (4,).

    power: mean square of low, mid, high and whole band every 10 ms, shape (4, segments); peak: of the whole band, shape
    (segments,), linear. Silent stretches are left out.
    """
    blocks = power.shape[1] // BLOCK
    if blocks < 2 * CREST_BLOCKS:
        return np.zeros(4)
    level = power[:, : blocks * BLOCK].reshape(4, blocks, BLOCK).mean(axis=2)
    highest = peak[: blocks * BLOCK].reshape(blocks, BLOCK).max(axis=1)
    heard = level[3] > level[3].max() * 10.0 ** (HEARD_DB / 10.0)
    spreads = [_spread_db(band[heard]) for band in level[:3]]
    return np.array([_crest_db(level[3], highest), *spreads])


def _spread_db(power: Array) -> float:
    """P95 - P50 of the level."""
    top, half = np.percentile(10.0 * np.log10(power + 1e-14), [95, 50])
    return float(min(top - half, 30.0))


def _crest_db(power: Array, peak: Array) -> float:
    """Median crest factor of the louder half of all 0.4 s windows, one every 100 ms."""
    windows = np.lib.stride_tricks.sliding_window_view
    mean = windows(power, CREST_BLOCKS)[::2].mean(axis=1)
    top = windows(peak, CREST_BLOCKS)[::2].max(axis=1)
    heard = mean > mean.max() * 10.0 ** (HEARD_DB / 10.0)
    mean, top = mean[heard], top[heard]
    crest = 10.0 * np.log10(top**2 / (mean + 1e-14) + 1e-14)
    return float(np.median(crest[mean >= np.median(mean)]))
