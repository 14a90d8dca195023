"""Dynamics: peak and power of three bands and of the whole every 10 ms.

50 ms spectra cannot show a 5 ms attack; this can. The bands meet in fourth-order Linkwitz-Riley slopes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.kernels import BandLevels
from dsp.segments import Segments

CROSSOVERS_HZ = (200.0, 3200.0)
BANDS = ("low", "mid", "high", "whole")
SEGMENT_S = 0.01


HEARD_DB = -55.0
"""Stretches this far below the loudest are silence."""
SPREAD_SEGMENTS, CREST_SEGMENTS = 5, 40
"""Levels are compared over 50 ms, peaks with the mean of 0.4 s."""

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
        self._segments.gather(peak, energy)

    def result(self) -> Dynamics:
        """All segments so far; an incomplete last one only where it is the only one."""
        return Dynamics(*self._segments.result())


def figures(power: Array, peak: Array) -> Array:
    """How compressed a stretch is: crest factor and the spread of low, mid and high band, dB, shape (4,).

    power: mean square of low, mid, high and whole band every 10 ms, shape (4, segments); peak: of the whole band, shape
    (segments,), linear. Silent stretches are left out. All windows slide by 10 ms, so that it does not matter where in
    a beat the track begins.
    """
    if power.shape[1] < 2 * CREST_SEGMENTS or not power[3].any():
        return np.zeros(4)
    # Windows that reach over the ends see silence there, as they would if silence were part of the track.
    whole = _padded(power[3])
    level = _running_mean(whole, SPREAD_SEGMENTS)
    heard = level > level.max() * 10.0 ** (HEARD_DB / 10.0)
    # One band at a time: there may be hours of them.
    spreads = [_spread_db(_running_mean(_padded(band), SPREAD_SEGMENTS)[heard]) for band in power[:3]]
    return np.array([_crest_db(whole, _padded(peak)), *spreads])


def _padded(values: Array) -> Array:
    return np.pad(values, CREST_SEGMENTS)


def _running_mean(values: Array, length: int) -> Array:
    """Mean over every `length` neighbours along the last axis."""
    total = np.cumsum(values, axis=-1)
    total[..., length:] -= total[..., :-length].copy()
    return np.maximum(total[..., length - 1 :], 0.0) / length


def _spread_db(power: Array) -> float:
    """P95 - P50 of the level."""
    top, half = np.percentile(10.0 * np.log10(power + 1e-20), [95, 50])
    return float(min(top - half, 30.0))


def _crest_db(power: Array, peak: Array) -> float:
    """Median crest factor of the louder half of all windows of 0.4 s."""
    mean = _running_mean(power, CREST_SEGMENTS)
    top = _running_maximum(peak, CREST_SEGMENTS)
    heard = mean > mean.max() * 10.0 ** (HEARD_DB / 10.0)
    mean, top = mean[heard], top[heard]
    crest = 10.0 * np.log10(top**2 / (mean + 1e-20) + 1e-20)
    return float(np.median(crest[mean >= np.median(mean)]))


def _running_maximum(values: Array, length: int) -> Array:
    """Largest of every `length` neighbours, by doubling."""
    out, covered = values, 1
    while 2 * covered <= length:
        out = np.maximum(out[:-covered], out[covered:])
        covered *= 2
    rest = length - covered
    return np.maximum(out[: len(out) - rest], out[rest:]) if rest else out
