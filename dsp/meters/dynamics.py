"""Dynamics: peak and power of three bands and of the whole every 10 ms.

50 ms spectra cannot show a 5 ms attack; this can. The bands meet in fourth-order Linkwitz-Riley slopes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.kernels import BandLevels
from dsp.segments import Segments
from dsp.units import FLOOR_DB, db_from_power

CROSSOVERS_HZ = (200.0, 3200.0)
BANDS = ("low", "mid", "high", "whole")
SEGMENT_S = 0.01


HEARD_DB = -55.0
"""Stretches this far below the loudest are silence."""
SPREAD_SEGMENTS, CREST_SEGMENTS = 5, 40
"""Levels are compared over 50 ms, peaks with the mean of 0.4 s."""

PIECE_SEGMENTS = 65_536
"""So many are looked at together: there may be hours of them."""

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


FINE_STEPS = 256
"""Steps of a fine course in a decibel, from `FLOOR_DB`, which is silence."""


def fine_code(power: Array) -> NDArray[np.uint16]:
    """Mean squares as a `FineCourse` holds them: from -200 to +56 dBFS."""
    return np.clip(np.rint((db_from_power(power) - FLOOR_DB) * FINE_STEPS), 0, 65_535).astype(np.uint16)


@dataclass(frozen=True, eq=False)
class FineCourse:
    """Mean squares of hours in half the memory of single precision; a stretch of them is linear again.

    code: of `fine_code`. amplitude: stretches are roots of what was coded.
    """

    code: NDArray[np.uint16]
    amplitude: bool = False

    def __len__(self) -> int:
        return len(self.code)

    def __getitem__(self, span: slice) -> NDArray[np.float32]:
        code = self.code[span]
        level_db = code.astype(np.float32) / np.float32(FINE_STEPS) + np.float32(FLOOR_DB)
        return np.where(code > 0, np.float32(10.0) ** (level_db / np.float32(20.0 if self.amplitude else 10.0)), 0.0)


Heard = Array | FineCourse


def figures(power: Sequence[Heard] | Array, peak: Heard) -> NDArray[np.float64]:
    """How compressed a stretch is: crest factor and the spread of low, mid and high band, dB, shape (4,).

    power: mean square of low, mid, high and whole band every 10 ms; peak: of the whole band, linear; courses of equal
    length. Silent stretches are left out. All windows slide by 10 ms, so that it does not matter where in a beat the
    track begins.
    """
    if len(peak) < 2 * CREST_SEGMENTS:
        return np.zeros(4)
    level_db = _sliding(_mean_db, SPREAD_SEGMENTS, power[3])
    if level_db.max() <= FLOOR_DB:
        return np.zeros(4)
    heard = _heard(level_db)
    del level_db  # one at a time: there may be hours of them
    spreads = [_spread_db(_sliding(_mean_db, SPREAD_SEGMENTS, band)[heard]) for band in power[:3]]
    return np.array([_median_crest_db(power[3], peak), *spreads])


def _sliding(of: Callable[..., Array], length: int, *courses: Heard) -> NDArray[np.float32]:
    """`of` courses of any length, piece by piece: a value for every window of `length` segments.

    Windows that reach over the ends see silence there, as they would if silence were part of the track.
    """
    segments = len(courses[0])
    windows = segments + 2 * CREST_SEGMENTS - length + 1
    out = np.empty(windows, dtype=np.float32)
    for first in range(0, windows, PIECE_SEGMENTS):
        last = min(first + PIECE_SEGMENTS, windows)
        start, stop = first - CREST_SEGMENTS, last - CREST_SEGMENTS + length - 1
        within = slice(max(0, start), min(stop, segments))
        padded = np.zeros((len(courses), stop - start))
        padded[:, within.start - start : within.stop - start] = [course[within] for course in courses]
        out[first:last] = of(length, *padded)
    return out


def _heard(level_db: NDArray[np.float32]) -> NDArray[np.bool_]:
    return level_db > level_db.max() + HEARD_DB


def _running_mean(values: Array, length: int) -> Array:
    """Mean of every `length` neighbours."""
    total = np.cumsum(values, dtype=np.float64)
    mean = total[length - 1 :].copy()
    mean[1:] -= total[:-length]
    return np.maximum(mean, 0.0) / length


def _mean_db(length: int, power: Array) -> Array:
    return 10.0 * np.log10(_running_mean(power, length) + 1e-20)


def _crest_db(length: int, power: Array, peak: Array) -> Array:
    mean, top = _running_mean(power, length), _running_maximum(peak.astype(np.float64), length)
    return 10.0 * np.log10(top**2 / (mean + 1e-20) + 1e-20)


def _spread_db(level_db: NDArray[np.float32]) -> float:
    """P95 - P50 of the level."""
    top, half = _quantiles(level_db, 0.95, 0.5)
    return min(top - half, 30.0)


def _median_crest_db(power: Heard, peak: Heard) -> float:
    """Median crest factor of the louder half of all windows of 0.4 s."""
    level = _sliding(_mean_db, CREST_SEGMENTS, power)
    heard = _heard(level)
    louder = heard & (level >= _quantiles(level[heard], 0.5)[0])
    del level
    return _quantiles(_sliding(_crest_db, CREST_SEGMENTS, power, peak)[louder], 0.5)[0]


def _quantiles(values: NDArray[np.float32], *shares: float) -> list[float]:
    """As `numpy.quantile`, but in the values' own place and without its overhead: a planner asks hundreds of times."""
    places = [share * (len(values) - 1) for share in shares]
    values.partition([min(int(place) + side, len(values) - 1) for place in places for side in (0, 1)])
    found = []
    for place in places:
        low, high = (float(values[min(int(place) + side, len(values) - 1)]) for side in (0, 1))
        found.append(low + (high - low) * (place - int(place)))
    return found


def _running_maximum(values: Array, length: int) -> Array:
    """Largest of every `length` neighbours, by doubling."""
    out, covered = values, 1
    while 2 * covered <= length:
        out = np.maximum(out[:-covered], out[covered:])
        covered *= 2
    rest = length - covered
    return np.maximum(out[: len(out) - rest], out[rest:]) if rest else out
