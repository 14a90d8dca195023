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
