"""Dynamics: the compressor that, with the limiter behind it, makes the target as dense as is believed.

Settings are tried on levels of 10 ms, not on audio: a thousandth of the work. What the limiter will do to the same
levels is part of the trial, so that compression and limiting share the work.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
import numpy as np

from dsp.effects.compressor import Compressor, CompressorBand, band_gain_db
from dsp.kernels import settled_gain
from dsp.meters.dynamics import CROSSOVERS_HZ, HEARD_DB, SEGMENT_S, Dynamics, figures
from dsp.units import db_from_gain, gain_from_db, power_from_db
from matcher.planner.gaussian import Array

RATIO = 2.5
KNEE_DB = 6.0
RELEASE_MS = 40.0
USUAL_ATTACK_MS, FASTEST_MS, SLOWEST_MS = 3.0, 0.7, 11.0
"""A fast attack takes the peaks with it, a slow one lets them stand out: with it the crest factor goes its own way."""
SHALLOW_DB, DEEP_DB = -8.0, 18.0
"""How far a threshold may lie below the band's high peaks; at the shallow end nothing reaches it."""
WIDEST_KNEE_DB = 6.0
"""A wider one takes the peaks of quiet masters well below the ceiling they are let to."""
_LOWEST = np.array([SHALLOW_DB] * 3 + [0.0, np.log2(FASTEST_MS)])
_HIGHEST = np.array([DEEP_DB] * 3 + [WIDEST_KNEE_DB, np.log2(SLOWEST_MS)])
_START = np.array([5.0, 5.0, 5.0, 4.0, np.log2(USUAL_ATTACK_MS)])
_WORTH_DB = 0.3
"""A band that is turned down by less in its loud moments is left alone."""
_STEP_DB = 0.05
"""The grid that is searched: what differs by rounding alone takes the same path."""
TOLERANCE_DB = np.array([0.4, 0.8, 0.5, 0.8])
"""Of the figures: by how much each may be missed."""
_EFFORT_DB, _APART_DB, _KNEE_EFFORT_DB, _ATTACK_EFFORT_OCT = 18.0, 6.0, 4.0, 2.0
"""Thresholds this far from idle, one this far from the others, a knee this wide, or an attack this far from the usual
one, cost as much as missing one figure by its tolerance: what is asked for is done, by all bands together rather than
by one alone."""
_MOVED = np.array([4.0, 4.0, 4.0, 4.0, 3.0])
"""So do thresholds, knee and attack this far from those of an earlier fit to the same music."""
OUT_OF_REACH = 2.0
"""Tolerances from which on what is missed counts by its size, no longer by its square."""
_LOST_PEAK_DB = 0.4
"""So does a highest peak that the knee leaves this far below where the ceiling would let it be."""
_KEPT_PER_SEGMENT = float(np.exp(-SEGMENT_S / 0.1))
"""Of the limiter's depth, where no peak asks for it any more."""
_SEGMENT_ATTACK_MS = 10.0
_ON_POWER, _AT_PEAKS = np.array([0.78, 0.73, 0.55]), np.array([0.94, 0.87, 0.56])
"""Of a gain that follows the peaks of 10 ms so, what music in each band gets of it, and what its high peaks get: they
do not hold for 10 ms. As measured."""
_NOW_ON_POWER, _NOW_AT_PEAKS = (1.07, -0.21), (0.69, -0.15)
"""How much of it is that of its own segment, and not of the one before: with an attack of 1 ms, and by octave of it."""


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


@dataclass(frozen=True, eq=False)
class Fit:
    """A compressor and a limiter's knee, and what they are expected to do to the figures; by default neither."""

    compressor: Compressor = field(default_factory=Compressor)
    knee_db: float = 0.0
    """Of the limiter behind it."""
    change_db: Array = field(default_factory=lambda: np.zeros(4))
    found: Array | None = None
    """Depths of three thresholds and the knee, dB, and the attack in octaves above 1 ms; None where none was sought."""


def fit(
    levels: Levels, wanted_db: Array, goal_lufs: float, ceiling_dbtp: float, near: Array | None = None
) -> Fit:
    """The thresholds, the attack and the knee that move the figures (crest, three spreads) by `wanted_db`, shape (4,).

    What comes out is as loud as `goal_lufs` and limited at `ceiling_dbtp`. Gauss-Newton from one start with a price on
    depth: the same music gives the same thresholds, wherever it begins. near: `Fit.found` of an earlier fit to the same
    music; it begins there, and what makes no difference to the figures stays.
    """
    before = figures(np.vstack([levels.power, levels.power.sum(axis=0)]), levels.whole_peak)
    whole = levels.power.sum(axis=0)
    heard = whole > whole.max() * 10.0 ** (HEARD_DB / 10.0)
    high_db = db_from_gain(np.percentile(levels.peak[:, heard], 97, axis=1))

    @functools.lru_cache(maxsize=8)  # a derivative moves one threshold and leaves the others
    def followed(i: int, depth_db: float) -> Array:
        return _followed_db(levels.peak[i], _band(high_db[i] - depth_db))

    def changed(settings: Array) -> tuple[Array, float]:
        gains_db = [followed(i, float(depth_db)) for i, depth_db in enumerate(settings[:3])]
        bands = [_compressed(levels, i, gain_db, settings[4]) for i, gain_db in enumerate(gains_db)]
        after, lost_peak_db = _limited(levels, bands, goal_lufs, ceiling_dbtp, settings[3])
        return after - before, lost_peak_db

    def residual(settings: Array) -> Array:
        change_db, lost_peak_db = changed(settings)
        depth_db, knee_db = settings[:3] - SHALLOW_DB, settings[3]
        effort = [np.sqrt(3.0) * depth_db.mean() / _EFFORT_DB, *(depth_db - depth_db.mean()) / _APART_DB]
        attack_oct = settings[4] - np.log2(USUAL_ATTACK_MS)
        at_peaks = [attack_oct / _ATTACK_EFFORT_OCT, knee_db / _KNEE_EFFORT_DB, lost_peak_db / _LOST_PEAK_DB]
        missed = _bounded((change_db - wanted_db) / TOLERANCE_DB)
        away = np.zeros(0) if near is None else (settings - near) / _MOVED
        return np.concatenate([missed, effort, at_peaks, away])

    def lowered(i: int, settings: Array) -> tuple[Array, float]:
        """A band's gain, and what it is in loud moments, dB."""
        gain_db = _on_power_db(i, followed(i, float(settings[i])), settings[4])
        return gain_db, float(np.percentile(gain_db[heard], 5))

    def raises(i: int, settings: Array) -> bool:
        """Whether the band would be raised by more than its loud moments are lowered: only rare ones stand out."""
        if settings[i] <= SHALLOW_DB:
            return False
        gain_db, loud_gain_db = lowered(i, settings)
        return loud_gain_db + _makeup_db(levels.power[i], gain_db) > 0.0

    settings, deepest = _START if near is None else near, _HIGHEST
    while True:
        settings = _least_squares(residual, np.minimum(settings, deepest), deepest)
        idle = [i for i in range(3) if raises(i, settings)]
        if not idle:
            break
        deepest = deepest.copy()
        deepest[idle] = SHALLOW_DB
    bands = []
    for i, depth_db in enumerate(settings[:3]):
        gain_db, loud_gain_db = lowered(i, settings)
        if loud_gain_db >= -_WORTH_DB:
            bands.append(CompressorBand())
            continue
        makeup_db = float(np.clip(_makeup_db(levels.power[i], gain_db), 0.0, 12.0))
        bands.append(_band(high_db[i] - depth_db, 2.0 ** settings[4], makeup_db))
    used = any(not band.is_neutral for band in bands)
    compressor = Compressor(crossovers_hz=CROSSOVERS_HZ, bands=tuple(bands)) if used else Compressor()
    return Fit(compressor, round(float(settings[3]), 6), changed(settings)[0], settings)


def _bounded(missed: Array) -> Array:
    """Linear beyond `OUT_OF_REACH`, once squared: what cannot be had is not worth any depth."""
    return np.sign(missed) * OUT_OF_REACH * np.sqrt(2.0 * (np.sqrt(1.0 + (missed / OUT_OF_REACH) ** 2) - 1.0))


def _least_squares(residual: Callable[[Array], Array], start: Array, highest: Array) -> Array:
    """Levenberg-Marquardt with bounds, derivatives by steps of half a dB."""
    x, current, damping = start, residual(start), 0.1
    for _ in range(30):
        moved = np.where(x < highest - 0.5, x + 0.5, x - 0.5)
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


def _band(threshold_db: float, attack_ms: float = _SEGMENT_ATTACK_MS, makeup_db: float = 0.0) -> CompressorBand:
    return CompressorBand(
        threshold_db=round(float(np.clip(threshold_db, -100.0, 0.0)), 6),
        ratio=RATIO,
        knee_db=KNEE_DB,
        attack_ms=round(float(attack_ms), 6),
        release_ms=RELEASE_MS,
        makeup_db=round(makeup_db, 6),
    )


def reduction_db(levels: Levels, i: int, band: CompressorBand) -> Array:
    """What a band's settings take of it every 10 ms, makeup left out."""
    at_segments = msgspec.structs.replace(band, attack_ms=_SEGMENT_ATTACK_MS)
    return -_on_power_db(i, _followed_db(levels.peak[i], at_segments), float(np.log2(band.attack_ms)))


def _followed_db(peak: Array, band: CompressorBand) -> Array:
    return band_gain_db(db_from_gain(peak), SEGMENT_S, band)


def _on_power_db(i: int, gain_db: Array, attack_oct: float) -> Array:
    return _ON_POWER[i] * _later(gain_db, _NOW_ON_POWER, attack_oct)


def _later(gain_db: Array, now: tuple[float, float], attack_oct: float) -> Array:
    """As much of a segment's gain as is there already, and the rest of the one before."""
    share = now[0] + now[1] * attack_oct
    return share * gain_db + (1.0 - share) * np.append(gain_db[:1], gain_db[:-1])


def _makeup_db(power: Array, gain_db: Array) -> float:
    """What gives the mean power back."""
    return float(10.0 * np.log10(power.mean() / max((power * power_from_db(gain_db)).mean(), 1e-20)))


def _compressed(levels: Levels, i: int, gain_db: Array, attack_oct: float) -> tuple[Array, Array]:
    """Power and peaks of one band behind its compressor, its mean power given back."""
    on_power_db = _on_power_db(i, gain_db, attack_oct)
    at_peaks_db = _AT_PEAKS[i] * _later(gain_db, _NOW_AT_PEAKS, attack_oct)
    power, makeup_db = levels.power[i], _makeup_db(levels.power[i], on_power_db)
    return power * power_from_db(on_power_db + makeup_db), levels.peak[i] * gain_from_db(at_peaks_db + makeup_db)


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
