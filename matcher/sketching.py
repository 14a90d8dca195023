"""Sketch: the course of a stream over time, made while it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.meters.dynamics import SEGMENT_S, Dynamics, DynamicsMeter, figures
from dsp.meters.spectrum import BandMeter
from matcher.profile import Sketch, coded

PIECE_S = 20.0
"""So much is brought into the sketch's steps at a time."""


class SketchBuilder:
    """Sketch and figures of one stream of one or two channels.

    Hours of levels in full precision would be most of a long track's memory. The figures need them more exactly than
    the sketch holds them, but in single precision.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        self._bands, self._dynamics = BandMeter(sample_rate_hz), DynamicsMeter(sample_rate_hz)
        self._mid: list[NDArray[np.uint8]] = []
        self._coded: list[NDArray[np.uint8]] = []
        self._levels: list[NDArray[np.float32]] = []

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._bands.update(block)
        self._dynamics.update(block)
        if self._dynamics.waiting * SEGMENT_S >= PIECE_S:
            self._keep(self._bands.take(), self._dynamics.take())

    def _keep(self, mid: NDArray[np.float32], dynamics: Dynamics) -> None:
        self._mid.append(coded(mid))
        self._coded.append(coded(np.vstack([dynamics.power, dynamics.peak[3:] ** 2])))
        self._levels.append(np.vstack([dynamics.power, dynamics.peak[3:]]).astype(np.float32))

    def result(self) -> tuple[Sketch, NDArray[np.float64]]:
        """The sketch, and the four of `dsp.meters.dynamics.figures`; ends the stream."""
        self._keep(self._bands.result(), self._dynamics.result())
        mid, course = _joined(self._mid), _joined(self._coded)
        levels = _joined(self._levels)
        return Sketch(mid, course[:-1], course[-1]), figures(levels[:-1], levels[-1])


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    """Side by side; what is joined is let go."""
    whole = np.concatenate(parts, axis=1)
    parts.clear()
    return whole
