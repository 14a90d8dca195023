"""Dynamics: peak and power of three bands and of the whole every 10 ms.

50 ms spectra cannot show a 5 ms attack; this can. The bands meet in fourth-order Linkwitz-Riley slopes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.kernels import BandLevels, median_crest_db, spread_db
from dsp.segments import Segments

CROSSOVERS_HZ = (200.0, 3200.0)
BANDS = ("low", "mid", "high", "whole")
SEGMENT_S = 0.01

HEARD_DB = -55.0
"""Stretches this far below the loudest are silence."""
SPREAD_SEGMENTS, CREST_SEGMENTS = 5, 40
"""Levels are compared over 50 ms, peaks with the mean of 0.4 s."""

SILENT = 1e-20
"""Power up to which there is nothing."""
WIDEST_DB = 30.0
"""A band with a larger spread is all but silent most of the time, and how silent says nothing."""

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True)
class Dynamics:
    """Shape (bands, segments) each, bands as in `BANDS`; power is the mean square over time and channels."""

    peak: NDArray[np.float64]
    power: NDArray[np.float64]


class DynamicsMeter:
    """Band levels of one stream of one or two channels."""

    def __init__(self, sample_rate_hz: int) -> None:
        self._levels = BandLevels(float(sample_rate_hz), *CROSSOVERS_HZ)
        self._segments = Segments(SEGMENT_S, sample_rate_hz, len(BANDS))

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        if not block.shape[1]:
            return
        stops = self._segments.cut(block.shape[1])
        peak, energy = np.empty((len(stops), len(BANDS))), np.empty((len(stops), len(BANDS)))
        self._levels.measure(np.ascontiguousarray(block), stops, peak, energy)
        self._segments.gather(peak, energy)

    @property
    def waiting(self) -> int:
        """Segments that are complete and were not taken yet."""
        return self._segments.waiting

    def take(self) -> Dynamics:
        """The segments that wait: who takes them now and then need not hold hours of them."""
        return Dynamics(*self._segments.take())

    def result(self) -> Dynamics:
        """All segments that were not taken; an incomplete last one only where it is the only one of the stream."""
        return Dynamics(*self._segments.result())


def figures(power: Sequence[Array] | Array, peak: Array) -> NDArray[np.float64]:
    """How compressed a stretch is: crest factor and the spread of low, mid and high band, dB, shape (4,).

    power: mean square of low, mid, high and whole band every 10 ms; peak: of the whole band, linear; all in single or
    in double precision. Crest: the median, over the louder half of all windows of 0.4 s, of peak to mean power. Spread:
    P95 less P50 of the level over 50 ms. Silent stretches are left out. All windows slide by 10 ms, so that it does not
    matter where in a beat the track begins; those that reach over the ends see silence there, as they would if silence
    were part of the track.
    """
    if len(peak) < 2 * CREST_SEGMENTS:
        return np.zeros(4)
    *bands, whole, peak = (np.ascontiguousarray(course) for course in (*power, peak))
    if whole.max() <= SILENT:
        return np.zeros(4)
    crest_db = median_crest_db(whole, peak, CREST_SEGMENTS, HEARD_DB)
    spreads_db = (spread_db(band, whole, SPREAD_SEGMENTS, CREST_SEGMENTS, HEARD_DB) for band in bands)
    return np.array([crest_db, *(min(spread, WIDEST_DB) for spread in spreads_db)])
