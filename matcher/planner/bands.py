"""The handful of bells and shelves that a person can read and edit, fitted to a curve."""

from __future__ import annotations

from typing import get_args

import numpy as np

from dsp.effects.eq import Band, Shape, band_db
from dsp.kernels import refine_bands
from matcher.planner.gaussian import Array

MOST_BANDS = 8
LARGEST_DB = 12.0
LOWEST_HZ, HIGHEST_SHARE = 25.0, 0.95
"""Bands lie from here to this share of where the music ends."""
BELL_Q, SHELF_Q = (0.35, 4.0), (0.4, 0.9)
GOOD_ENOUGH_DB = 0.025
"""RMS error at which no further band is added."""
ROUNDS, ROUNDS_TO_CHOOSE = 40, 8
"""Of refinement; the fewer show which band to add."""
SHAPES = get_args(Shape)
"""As `refine_bands` counts them."""


def fit_bands(
    frequency_hz: Array,
    curve_db: Array,
    weight: Array,
    *,
    start: tuple[Band, ...] = (),
    most: int = MOST_BANDS,
    top_hz: float = 20_000.0,
) -> tuple[Band, ...]:
    """The fewest bells and shelves, at most `most`, whose sum is the curve.

    Greedy with a joint refit: whichever of a shelf at either end and a bell where the remaining error is largest leaves
    least, all parameters refined together by Levenberg-Marquardt after each. weight: shape of the curve, 0 where it
    does not matter. start: bands that fitted a curve much like this one.
    """
    bands = _refine(list(start), frequency_hz, curve_db, weight, top_hz) if start else []
    while len(bands) < most:
        error = curve_db - sum((band_db(b, frequency_hz) for b in bands), np.zeros_like(curve_db))
        if np.sqrt(np.average(error**2, weights=weight)) < GOOD_ENOUGH_DB:
            break
        best: tuple[float, list[Band]] | None = None
        for candidate in _candidates(frequency_hz, error * np.sqrt(weight), top_hz):
            refined = _refine([*bands, candidate], frequency_hz, curve_db, weight, top_hz, rounds=ROUNDS_TO_CHOOSE)
            left = curve_db - sum(band_db(b, frequency_hz) for b in refined)
            cost = float(np.average(left**2, weights=weight))
            if best is None or cost < best[0]:
                best = (cost, refined)
        assert best is not None  # for the type checker: there are always candidates
        bands = _refine(best[1], frequency_hz, curve_db, weight, top_hz)
    return tuple(sorted((b for b in bands if abs(b.gain_db) >= 0.05), key=lambda b: b.frequency_hz))


def _candidates(frequency_hz: Array, error_db: Array, top_hz: float) -> list[Band]:
    peak = int(np.argmax(np.abs(error_db)))
    at = float(np.clip(frequency_hz[peak], 30.0, 0.9 * top_hz))
    gain = float(np.clip(error_db[peak], -LARGEST_DB, LARGEST_DB))
    bell = Band(shape="peak", frequency_hz=at, gain_db=gain, q=1.0)
    low = Band(shape="low_shelf", frequency_hz=150.0, gain_db=float(np.clip(error_db[:6].mean(), -12, 12)))
    high = Band(shape="high_shelf", frequency_hz=5000.0, gain_db=float(np.clip(error_db[-7:].mean(), -12, 12)))
    return [bell, low, high]


def _refine(
    bands: list[Band], hz: Array, curve_db: Array, weight: Array, top_hz: float, rounds: int = ROUNDS
) -> list[Band]:
    """All settings of all bands improved together."""
    q = np.array([BELL_Q if b.shape == "peak" else SHELF_Q for b in bands])
    low = np.array([(np.log(LOWEST_HZ), -LARGEST_DB, np.log(least)) for least, _ in q])
    high = np.array([(np.log(HIGHEST_SHARE * top_hz), LARGEST_DB, np.log(most)) for _, most in q])
    settings = np.array([v for b in bands for v in (np.log(b.frequency_hz), b.gain_db, np.log(b.q))])
    shapes = np.array([SHAPES.index(b.shape) for b in bands], dtype=np.int32)
    refine_bands(settings, shapes, hz, curve_db, np.sqrt(weight), low.ravel(), high.ravel(), rounds)
    return [
        Band(shape=b.shape, frequency_hz=float(np.exp(f)), gain_db=float(g), q=float(np.exp(q)))
        for b, (f, g, q) in zip(bands, settings.reshape(-1, 3), strict=True)
    ]
