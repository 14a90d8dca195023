"""Dynamics: the compressor that, with the limiter behind it, makes the target as dense as is believed.

Settings are tried on levels of 10 ms, not on audio: a thousandth of the work. What the limiter will do to the same
levels is part of the trial, so that compression and limiting share the work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsp.effects.compressor import Compressor, CompressorBand, band_gain_db
from dsp.kernels import settled_gain
from dsp.meters.dynamics import CROSSOVERS_HZ, HEARD_DB, SEGMENT_S, Dynamics, figures
from dsp.units import db_from_gain, gain_from_db, power_from_db
from matcher.planner.gaussian import Array

RATIO = 2.5
KNEE_DB = 6.0
RELEASE_MS = 40.0
ATTACK_MS = 4.0
SHALLOW_DB, DEEP_DB = -8.0, 18.0
"""How far a threshold may lie below the band's loud level; at the shallow end nothing reaches it."""
WIDEST_KNEE_DB = 6.0
"""A wider one takes the peaks of quiet masters well below the ceiling they are let to."""
_LOWEST = np.array([SHALLOW_DB] * 3 + [0.0])
_HIGHEST = np.array([DEEP_DB] * 3 + [WIDEST_KNEE_DB])
_START = np.array([5.0, 5.0, 5.0, 4.0])
_SEEN = np.array([1.0, 0.75, 0.82, 0.7])
_WORTH_DB = 0.3
"""A band that is turned down by less in its loud moments is left alone."""
_STEP_DB = 0.05
"""The grid that is searched: what differs by rounding alone takes the same path."""
_TOLERANCE_DB = np.array([0.4, 0.8, 0.5, 0.8])
_EFFORT_DB, _APART_DB, _KNEE_EFFORT_DB = 25.0, 10.0, 8.0
"""Thresholds this far from idle, one this far from the others, or a knee this wide, cost as much as missing one figure
by its tolerance: what is asked for is done, by all bands together rather than by one alone."""
_LOST_PEAK_DB = 0.4
"""So does a highest peak that the knee leaves this far below where the ceiling would let it be."""
_KEPT_PER_SEGMENT = float(np.exp(-SEGMENT_S / 0.1))
"""Of the limiter's depth, where no peak asks for it any more."""


@dataclass(frozen=True, eq=False)
class Levels:
    """A track in steps of 10 ms before compression: (3, segments) band powers and peaks, and K-weighted power."""

    power: Array
    peak: Array
    whole_peak: Array
    weighted: Array

    @classmethod
    def of(cls, dynamics: Dynamics, weighted: Array) -> Levels:
        """From the two meters' results on the same audio."""
        count = min(dynamics.power.shape[1], len(weighted))
        power, peak = dynamics.power[:, :count], dynamics.peak[:, :count]
        return cls(power[:3], peak[:3], peak[3], weighted[:count])


@dataclass(frozen=True)
class Fit:
    """A compressor and a limiter's knee, and what they are expected to do to the figures."""

    compressor: Compressor
    knee_db: float
    """Of the limiter behind it."""
    change_db: Array
    found: Array
    """Three depths of thresholds and the knee, dB: where a search for something like it may begin."""


def fit(
    levels: Levels, wanted_db: Array, goal_lufs: float, ceiling_dbtp: float, start: Array | None = None
) -> Fit:
    """The thresholds and the knee that move the figures (three spreads, crest) by `wanted_db`, shape (4,).

    What comes out is as loud as `goal_lufs` and limited at `ceiling_dbtp`. Gauss-Newton from one start with a price on
    depth: the same music gives the same thresholds, wherever it begins. start: `Fit.found` of an earlier fit.
    """
    before = figures(np.vstack([levels.power, levels.power.sum(axis=0)]), levels.whole_peak)
    level_db = 10.0 * np.log10(levels.power + 1e-20)
    whole = levels.power.sum(axis=0)
    heard = whole > whole.max() * 10.0 ** (HEARD_DB / 10.0)
    loud_db = np.percentile(level_db[:, heard], 97, axis=1) + 3.01

    @functools.lru_cache(maxsize=8)  # a derivative moves one threshold and leaves the others
    def compressed(i: int, depth_db: float) -> tuple[Array, Array]:
        return _compressed(levels.power[i], levels.peak[i], level_db[i], _band(loud_db[i] - depth_db))

    def changed(settings: Array) -> tuple[Array, float]:
        bands = [compressed(i, float(depth_db)) for i, depth_db in enumerate(settings[:3])]
        after, lost_peak_db = _limited(levels, bands, goal_lufs, ceiling_dbtp, settings[3])
        return _SEEN * (after - before), lost_peak_db

    def residual(settings: Array) -> Array:
        change_db, lost_peak_db = changed(settings)
        depth_db, knee_db = settings[:3] - SHALLOW_DB, settings[3]
        effort = [np.sqrt(3.0) * depth_db.mean() / _EFFORT_DB, *(depth_db - depth_db.mean()) / _APART_DB]
        at_peaks = [knee_db / _KNEE_EFFORT_DB, lost_peak_db / _LOST_PEAK_DB]
        return np.concatenate([(change_db - wanted_db) / _TOLERANCE_DB, effort, at_peaks])

    def lowered(i: int, depth_db: float) -> tuple[Array, float]:
        """A band's gain, and what it is in loud moments, dB."""
        gain_db = _gain_db(level_db[i], _band(loud_db[i] - depth_db))
        return gain_db, float(np.percentile(gain_db[heard], 5))

    def raises(i: int, depth_db: float) -> bool:
        """Whether the band would be raised by more than its loud moments are lowered: only rare ones stand out."""
        if depth_db <= SHALLOW_DB:
            return False
        gain_db, loud_gain_db = lowered(i, depth_db)
        return loud_gain_db + _makeup_db(levels.power[i], gain_db) > 0.0

    settings, deepest = _START if start is None else start, _HIGHEST
    while True:
        settings = _least_squares(residual, np.minimum(settings, deepest), deepest)
        idle = [i for i in range(3) if raises(i, settings[i])]
        if not idle:
            break
        deepest = deepest.copy()
        deepest[idle] = SHALLOW_DB
    depth_db, knee_db = settings[:3], round(float(settings[3]), 6)
    used = [i for i in range(3) if lowered(i, depth_db[i])[1] < -_WORTH_DB]
    bands = tuple(
        _made_up(level_db[i], _band(loud_db[i] - depth_db[i])) if i in used else CompressorBand() for i in range(3)
    )
    compressor = Compressor(crossovers_hz=CROSSOVERS_HZ, bands=bands) if used else Compressor()
    return Fit(compressor, knee_db, changed(settings)[0], settings)


def _least_squares(residual: Callable[[Array], Array], start: Array, highest: Array) -> Array:
    """Levenberg-Marquardt with bounds, derivatives by steps of a dB."""
    x, current, damping = start, residual(start), 0.1
    for _ in range(30):
        moved = np.where(x < highest - 1.0, x + 1.0, x - 1.0)
        columns = []
        for i in range(len(x)):
            there = x.copy()
            there[i] = moved[i]
            columns.append((residual(there) - current) / (moved[i] - x[i]))
        jacobian = np.stack(columns, axis=1)
        normal, slope = jacobian.T @ jacobian, jacobian.T @ current
        for _ in range(5):
            step = np.linalg.solve(normal + damping * np.eye(len(x)), slope)
            trial = np.rint(np.clip(x - step, _LOWEST, highest) / _STEP_DB) * _STEP_DB
            if np.array_equal(trial, x):  # as near as the grid allows, and shorter steps are no nearer
                return x
            value = residual(trial)
            if value @ value < current @ current:
                break
            damping *= 4.0
        else:
            return x
        x, current, damping = trial, value, damping * 0.3
    return x


def _band(threshold_db: float, makeup_db: float = 0.0) -> CompressorBand:
    return CompressorBand(
        threshold_db=round(float(np.clip(threshold_db, -100.0, 0.0)), 6),
        ratio=RATIO,
        knee_db=KNEE_DB,
        attack_ms=ATTACK_MS,
        release_ms=RELEASE_MS,
        makeup_db=makeup_db,
    )


def _made_up(level_db: Array, band: CompressorBand) -> CompressorBand:
    """The band with its mean power given back."""
    lost_db = _makeup_db(10.0 ** (level_db / 10.0), _gain_db(level_db, band))
    return _band(band.threshold_db, makeup_db=round(float(np.clip(lost_db, 0.0, 12.0)), 6))


def _makeup_db(power: Array, gain_db: Array) -> float:
    """What gives the mean power back."""
    return float(10.0 * np.log10(power.mean() / max((power * power_from_db(gain_db)).mean(), 1e-20)))


def _gain_db(level_db: Array, band: CompressorBand) -> Array:
    # Power reads 3 dB below what the compressor's detector reads of it.
    return band_gain_db(level_db + 3.01, SEGMENT_S, band)


def _compressed(power: Array, peak: Array, level_db: Array, band: CompressorBand) -> tuple[Array, Array]:
    """Power and peaks of one band behind its compressor, its mean power given back."""
    gain_db = _gain_db(level_db, band)
    after = power * power_from_db(gain_db)
    makeup = power.mean() / max(after.mean(), 1e-20)
    before_db = np.append(gain_db[:1], gain_db[:-1])
    at_peak_db = 0.65 * gain_db + 0.35 * np.maximum(before_db, gain_db)
    return after * makeup, peak * gain_from_db(at_peak_db) * np.sqrt(makeup)


def _limited(
    levels: Levels, bands: list[tuple[Array, Array]], goal_lufs: float, ceiling_dbtp: float, knee_db: float
) -> tuple[Array, float]:
    """The figures behind compressor, gain and limiter, and what the knee takes of the highest peak.

    bands: power and peaks of each behind the compressor.
    """
    power = np.stack([power for power, _ in bands])
    peak = sum(peak for _, peak in bands) * (levels.whole_peak / np.maximum(levels.peak.sum(axis=0), 1e-10))
    weighted = levels.weighted * power.sum(axis=0) / np.maximum(levels.power.sum(axis=0), 1e-20)
    gain = np.empty_like(peak)
    settled_gain(db_from_gain(peak) - ceiling_dbtp, weighted, goal_lufs, float(knee_db), _KEPT_PER_SEGMENT, gain)
    after, limited = power * gain**2, peak * gain
    let_dbtp = min(ceiling_dbtp, float(db_from_gain(peak.max() * gain.max())))
    return figures(np.vstack([after, after.sum(axis=0)]), limited), let_dbtp - float(db_from_gain(limited.max()))
