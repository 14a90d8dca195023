"""Sketch: the course of a stream over time, made while it comes."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.meters.dynamics import BANDS as DYNAMICS_BANDS
from dsp.meters.dynamics import SEGMENT_S, Dynamics, DynamicsMeter, figures
from dsp.meters.spectrum import BANDS, BLOCK_S, BandMeter
from matcher.profile import Sketch, coded

PIECE_S = 20.0
"""So much is brought into the sketch's steps at a time."""
MOST_EXPECTED_S = 4 * 3600.0
"""Room for no more than this is made on the word of a file's header."""


class Columns:
    """The columns of one array, which come piece by piece; joining them in the end would hold all of them twice."""

    def __init__(self, rows: int, dtype: type[np.generic], expected: int) -> None:
        """expected: how many there will be, as far as that is known; more find room as well."""
        self._array = np.empty((rows, max(expected, 1)), dtype=dtype)
        self._count = 0

    def add(self, piece: NDArray[Any]) -> None:
        """The next ones, (rows, columns)."""
        stop = self._count + piece.shape[1]
        if stop > self._array.shape[1]:
            larger = np.empty((len(self._array), max(stop, 2 * self._count)), dtype=self._array.dtype)
            larger[:, : self._count] = self._array[:, : self._count]
            self._array = larger
        self._array[:, self._count : stop] = piece
        self._count = stop

    @property
    def array(self) -> NDArray[Any]:
        """All that came."""
        return self._array[:, : self._count]


class SketchBuilder:
    """Sketch and figures of one stream of one or two channels.

    Hours of levels in full precision would be most of a long track's memory. The figures need them more exactly than
    the sketch holds them, but in single precision.
    """

    def __init__(self, sample_rate_hz: int, expected_samples: int = 0) -> None:
        """expected_samples: as many as there will be, as far as that is known."""
        expected_s = min(expected_samples / sample_rate_hz, MOST_EXPECTED_S)
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
        course, levels = self._coded.array, self._levels.array
        return Sketch(self._mid.array, course[:-1], course[-1]), figures(levels[:-1], levels[-1])
