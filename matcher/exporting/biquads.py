"""The equalizer as cookbook biquads at one sample rate, as other tools have them.

Our bands are not cramped at the top, a biquad is: where the two differ the bands are fitted anew, and more are added
until no place from 20 Hz to 16 kHz differs by more than `CLOSE_DB`. Formulas: R. Bristow-Johnson, Audio EQ Cookbook.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.effects.eq import Band, Eq

Array = NDArray[np.float64]
Shape = Literal["peak", "low_shelf", "high_shelf"]

CLOSE_DB, PROMISED_DB = 0.05, 0.1
"""What a fit aims at, as settings are written with few digits, and what is promised."""
MOST_BIQUADS = 40
LOWEST_HZ, HIGHEST_HZ = 20.0, 16_000.0
PLACES = 384
STEP = 1e-5
WORTH_SHARPENING_DB = 0.5
_TOP = 0.47
"""Highest frequency of a biquad, as a share of the sample rate."""
_POWER = 6
"""The fit is of sums of this power: nearly of the largest difference."""


@dataclass(frozen=True)
class Biquad:
    """One bell or shelf of a digital equalizer."""

    shape: Shape
    frequency_hz: float
    gain_db: float
    q: float

    @property
    def written(self) -> Biquad:
        """With the digits that exports have."""
        return replace(
            self, frequency_hz=round(self.frequency_hz, 2), gain_db=round(self.gain_db, 3), q=round(self.q, 4)
        )


@dataclass(frozen=True)
class Fit:
    """Biquads, and the largest difference they leave, dB."""

    biquads: tuple[Biquad, ...]
    error_db: float


def coefficients(biquads: Sequence[Biquad], sample_rate_hz: float) -> Array:
    """b0, b1, b2, a0 = 1, a1, a2 of each, shape (biquads, 6)."""
    return np.ascontiguousarray(_coefficients([b.shape for b in biquads], _settings(biquads), sample_rate_hz))


def _settings(biquads: Sequence[Biquad]) -> Array:
    """Frequency in octaves, gain in sixes of dB, Q in octaves: steps of each matter alike. Shape (biquads, 3)."""
    return np.array([[np.log2(b.frequency_hz), b.gain_db / 6.0, np.log2(b.q)] for b in biquads]).reshape(-1, 3)


def _coefficients(shapes: Sequence[Shape], settings: Array, sample_rate_hz: float) -> Array:
    a = 10.0 ** (6.0 * settings[:, 1] / 40.0)
    w = 2.0 * np.pi * 2.0 ** settings[:, 0] / sample_rate_hz
    cos, alpha = np.cos(w), np.sin(w) / (2.0 * 2.0 ** settings[:, 2])
    peak = [1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a]
    sign = np.where(np.array(shapes) == "high_shelf", -1.0, 1.0)
    root, up, down = 2.0 * np.sqrt(a) * alpha, a + 1.0, a - 1.0
    shelf = [
        a * (up - sign * down * cos + root),
        sign * 2.0 * a * (down - sign * up * cos),
        a * (up - sign * down * cos - root),
        up + sign * down * cos + root,
        -sign * 2.0 * (down + sign * up * cos),
        up + sign * down * cos - root,
    ]
    rows = np.where(np.array(shapes) == "peak", np.array(peak), np.array(shelf)).T
    return rows / rows[:, 3:4]


def response_db(biquads: Sequence[Biquad], frequency_hz: Array, sample_rate_hz: float) -> Array:
    """Gain of biquads in a row at each frequency, dB."""
    return _each_db([b.shape for b in biquads], _settings(biquads), frequency_hz, sample_rate_hz).sum(axis=0)


def _each_db(shapes: Sequence[Shape], settings: Array, frequency_hz: Array, sample_rate_hz: float) -> Array:
    """Gain of each, shape (biquads, frequencies); in a form that loses no digits far below the sample rate."""
    phi = np.sin(np.pi * frequency_hz / sample_rate_hz) ** 2
    b0, b1, b2, a0, a1, a2 = (c[:, None] for c in _coefficients(shapes, settings, sample_rate_hz).T)
    up = (b0 + b1 + b2) ** 2 - 4.0 * (b0 * b1 + 4.0 * b0 * b2 + b1 * b2) * phi + 16.0 * b0 * b2 * phi**2
    down = (a0 + a1 + a2) ** 2 - 4.0 * (a0 * a1 + 4.0 * a0 * a2 + a1 * a2) * phi + 16.0 * a0 * a2 * phi**2
    return 10.0 * np.log10(np.maximum(up, 1e-30) / np.maximum(down, 1e-30))


def places_hz(sample_rate_hz: float) -> Array:
    """Where a fit is judged."""
    return np.geomspace(LOWEST_HZ, min(HIGHEST_HZ, 0.45 * sample_rate_hz), PLACES)


def fitted(eq: Eq, channel: Literal["mid", "side"], sample_rate_hz: int, *, shelves: bool = True) -> Fit:
    """Biquads that sound as the equalizer does on the mid or the side.

    shelves: whether the other tool has them; bells alone otherwise.
    """
    hz = places_hz(sample_rate_hz)
    wanted = eq.response_db(hz, channel)
    own = [b for b in eq.bands if b.channels in ("all", channel) and b.gain_db != 0.0]
    biquads = [_of(band, sample_rate_hz, shelves) for band in own][:MOST_BIQUADS]
    best = _judged(biquads, wanted, hz, sample_rate_hz)
    while best.error_db > CLOSE_DB and len(biquads) < MOST_BIQUADS:
        if biquads:
            biquads = _nearer(biquads, wanted, hz, sample_rate_hz)
            found = _judged(biquads, wanted, hz, sample_rate_hz)
            best = min(best, found, key=lambda fit: fit.error_db)
        if best.error_db > CLOSE_DB:
            biquads = [*biquads, _where_most_is_missing(biquads, wanted, hz, sample_rate_hz)]
    return best


def _of(band: Band, sample_rate_hz: int, shelves: bool) -> Biquad:
    frequency_hz = float(np.clip(band.frequency_hz, 10.0, _TOP * sample_rate_hz))
    if band.shape == "peak" or shelves:
        return Biquad(band.shape, frequency_hz, band.gain_db, float(np.clip(band.q, 0.1, 20.0)))
    beyond = frequency_hz / 4.0 if band.shape == "low_shelf" else min(4.0 * frequency_hz, _TOP * sample_rate_hz)
    return Biquad("peak", max(beyond, 10.0), band.gain_db, 0.4)


def _judged(biquads: Sequence[Biquad], wanted: Array, hz: Array, sample_rate_hz: float) -> Fit:
    made = tuple(b.written for b in biquads)
    return Fit(made, float(np.abs(response_db(made, hz, sample_rate_hz) - wanted).max()))


def _nearer(biquads: Sequence[Biquad], wanted: Array, hz: Array, sample_rate_hz: float) -> list[Biquad]:
    """All settings moved together until the largest differences are as small as they get."""
    from scipy.optimize import least_squares

    shapes = [b.shape for b in biquads]
    low = np.tile([np.log2(16.0), -4.0, np.log2(0.1)], len(biquads))
    high = np.tile([np.log2(_TOP * sample_rate_hz), 4.0, np.log2(20.0)], len(biquads))

    def each_db(values: Array) -> Array:
        return _each_db(shapes, np.clip(values, low, high).reshape(-1, 3), hz, sample_rate_hz)

    def away_db(values: Array) -> Array:
        return each_db(values).sum(axis=0) - wanted

    def slopes_db(values: Array) -> Array:
        """A sum of biquads changes with a setting by what its one biquad does."""
        here = each_db(values)
        steps = (np.where(np.arange(len(values)) % 3 == part, STEP, 0.0) for part in range(3))
        return np.stack([(each_db(values + step) - here) / STEP for step in steps], axis=1).reshape(-1, len(hz)).T

    def sharp(values: Array) -> Array:
        away = away_db(values) / CLOSE_DB
        return np.sign(away) * np.abs(away) ** (_POWER / 2)

    def sharp_slopes(values: Array) -> Array:
        away = np.abs(away_db(values) / CLOSE_DB) ** (_POWER / 2 - 1)
        return (_POWER / 2 / CLOSE_DB) * away[:, None] * slopes_db(values)

    values = np.clip(_settings(biquads).ravel(), low + 1e-6, high - 1e-6)
    values = np.clip(least_squares(away_db, values, slopes_db, method="lm", max_nfev=100).x, low, high)
    if np.abs(away_db(values)).max() < WORTH_SHARPENING_DB:
        values = np.clip(least_squares(sharp, values, sharp_slopes, method="lm", max_nfev=100).x, low, high)
    return [
        Biquad(shape, float(2.0**octaves), float(6.0 * gain), float(2.0**q))
        for shape, (octaves, gain, q) in zip(shapes, values.reshape(-1, 3), strict=True)
    ]


def _where_most_is_missing(biquads: Sequence[Biquad], wanted: Array, hz: Array, sample_rate_hz: float) -> Biquad:
    """A bell for the largest hill or valley that is left, about as wide as that is."""
    left = wanted - response_db(biquads, hz, sample_rate_hz)
    top = int(np.argmax(np.abs(left)))
    half = np.flatnonzero(left * np.sign(left[top]) < abs(left[top]) / 2.0)
    below, above = half[half < top], half[half > top]
    edges = (hz[below[-1]] if len(below) else hz[0] / 2.0, hz[above[0]] if len(above) else hz[-1] * 2.0)
    q = float(np.clip(hz[top] / (edges[1] - edges[0]), 0.2, 8.0))
    return Biquad("peak", float(hz[top]), float(np.clip(left[top], -12.0, 12.0)), q)
