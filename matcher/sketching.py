"""Sketch: the course of a stream over time, made while it comes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.columns import Columns
from dsp.meters.dynamics import BANDS as DYNAMICS_BANDS
from dsp.meters.dynamics import SEGMENT_S, Dynamics, DynamicsMeter, figures
from dsp.meters.spectrum import BANDS, BLOCK_S, BandMeter
from matcher.profile import Sketch, coded

PIECE_S = 20.0
"""So much is brought into the sketch's steps at a time."""


class SketchBuilder:
    """Sketch and figures of one stream of one or two channels.

    Hours of levels in full precision would be most of a long track's memory. The figures need them more exactly than
    the sketch holds them, in single precision.
    """

    def __init__(self, sample_rate_hz: int, expected_s: float = 0.0) -> None:
        """expected_s: how long it will be, as far as that is known."""
        blocks, segments = int(expected_s / BLOCK_S) + 1, int(expected_s / SEGMENT_S) + 1
        self._bands, self._dynamics = BandMeter(sample_rate_hz), DynamicsMeter(sample_rate_hz)
        self._mid = Columns(BANDS, np.uint8, blocks)
        self._coded = Columns(len(DYNAMICS_BANDS) + 1, np.uint8, segments)
        self._levels = Columns(len(DYNAMICS_BANDS) + 1, np.float32, segments)

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._bands.update(block)
        self._dynamics.update(block)
        if self._dynamics.waiting * SEGMENT_S >= PIECE_S:
            self._keep(self._bands.take(), self._dynamics.take())

    def _keep(self, mid: NDArray[np.float32], dynamics: Dynamics) -> None:
        self._mid.add(coded(mid))
        self._coded.add(coded(np.vstack([dynamics.power, dynamics.peak[3:] ** 2])))
        self._levels.add(np.vstack([dynamics.power, dynamics.peak[3:]]))

    def result(self) -> tuple[Sketch, NDArray[np.float64]]:
        """The sketch, and the four of `dsp.meters.dynamics.figures`; ends the stream."""
        self._keep(self._bands.result(), self._dynamics.result())
        course = self._coded.array
        *powers, peak = self._levels.array
        return Sketch(self._mid.array, course[:-1], course[-1]), figures(powers, peak)
