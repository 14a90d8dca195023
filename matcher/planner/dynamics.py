"""Dynamics: the compressor that, with the limiter behind it, makes the target as dense as is believed.

Settings are tried on levels of 10 ms, not on audio: a thousandth of the work. What the limiter will do to the same
levels is part of the trial, so that compression and limiting share the work.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dsp.effects.compressor import Compressor, CompressorBand, band_gain_db
from dsp.meters.dynamics import CROSSOVERS_HZ, SEGMENT_S, Dynamics
from dsp.meters.loudness import integrated_lufs
from matcher.planner.density import figures
from matcher.planner.gaussian import Array

RATIO = 2.5
KNEE_DB = 6.0
RELEASE_MS = 150.0
ATTACKS_MS = (5.0, 15.0, 40.0)
DEEPEST = 25
"""Percentile of the band's level that a threshold never falls below."""
_TOLERANCE_DB = np.array([0.4, 0.8, 0.5, 0.8, 0.25])
_RELEASE_PER_SEGMENT = float(np.exp(-SEGMENT_S / 0.1))


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
    """A compressor with the limiter's ceiling, and what both are expected to do to the figures of `density`."""

    compressor: Compressor
    ceiling_dbtp: float
    change_db: Array


@dataclass(frozen=True)
class _Setting:
    """One point of the search: thresholds of three bands and how far the limiter's ceiling is lowered, dB."""

    values: tuple[float, ...]
    attack_ms: float

    def moved(self, index: int, value: float) -> _Setting:
        return _Setting((*self.values[:index], value, *self.values[index + 1 :]), self.attack_ms)


def fit(levels: Levels, wanted_db: Array, goal_lufs: float, ceiling_dbtp: float, lowest_dbtp: float) -> Fit:
    """Thresholds, an attack and a ceiling that move the figures by `wanted_db`, shape (5,), at `goal_lufs`.

    ceiling_dbtp: the highest that is allowed; lowest_dbtp: the lowest that is worth it.
    """
    ratio_db = 20.0 * np.log10(levels.whole_peak.max(initial=1e-10)) - integrated_lufs(levels.weighted)
    before = figures(np.vstack([levels.power, levels.power.sum(axis=0)]), levels.whole_peak, ratio_db)
    level_db = 10.0 * np.log10(levels.power + 1e-14)
    bounds = [(float(np.percentile(band, DEEPEST)), float(band.max()) + KNEE_DB / 2) for band in level_db]
    bounds.append((lowest_dbtp, ceiling_dbtp))

    def changed(at: _Setting) -> Array:
        bands = [_band(t, at.attack_ms) for t in at.values[:3]]
        return _figures_after(levels, level_db, bands, goal_lufs, at.values[3]) - before

    def cost(at: _Setting) -> float:
        misses = (changed(at) - wanted_db) / _TOLERANCE_DB
        # Of two ways to the same place, the one that does less.
        depth = sum(high - value for value, (_, high) in zip(at.values, bounds, strict=True))
        return float(misses @ misses + 0.01 * depth)

    idle = tuple(high for _, high in bounds)
    half = (*(float(np.percentile(band, 85)) for band in level_db), ceiling_dbtp)
    best = (cost(_Setting(idle, ATTACKS_MS[1])), _Setting(idle, ATTACKS_MS[1]))
    for attack_ms, start in itertools.product(ATTACKS_MS, (idle, half)):
        found = _descended(cost, _Setting(start, attack_ms), bounds)
        best = min(best, found, key=lambda pair: pair[0])
    _, chosen = best
    bands = [
        _made_up(level, _band(t, chosen.attack_ms)) if t < top else CompressorBand()
        for level, t, top in zip(level_db, chosen.values[:3], idle[:3], strict=True)
    ]
    none = all(b.is_neutral for b in bands)
    compressor = Compressor() if none else Compressor(crossovers_hz=CROSSOVERS_HZ, bands=tuple(bands))
    return Fit(compressor, chosen.values[3], changed(chosen))


def _descended(
    cost: Callable[[_Setting], float], at: _Setting, bounds: list[tuple[float, float]]
) -> tuple[float, _Setting]:
    """Down along one value at a time, in steps that shrink."""
    current = cost(at)
    for step_db in (6.0, 3.0, 1.5, 0.75):
        for index in range(len(bounds)):
            for direction in (-1.0, 1.0):
                value = float(np.clip(at.values[index] + direction * step_db, *bounds[index]))
                if value == at.values[index]:
                    continue
                trial = at.moved(index, value)
                expected = cost(trial)
                if expected < current - 1e-9:
                    at, current = trial, expected
                    break
    return current, at


def _band(threshold_db: float, attack_ms: float, makeup_db: float = 0.0) -> CompressorBand:
    return CompressorBand(
        threshold_db=round(float(np.clip(threshold_db, -100.0, 0.0)), 4),
        ratio=RATIO,
        knee_db=KNEE_DB,
        attack_ms=attack_ms,
        release_ms=RELEASE_MS,
        makeup_db=makeup_db,
    )


def _made_up(level_db: Array, band: CompressorBand) -> CompressorBand:
    """The band with its mean power given back."""
    power = 10.0 ** (level_db / 10.0)
    after = power * 10.0 ** (_gain_db(level_db, band) / 10.0)
    lost = 10.0 * np.log10(power.mean() / after.mean())
    return _band(band.threshold_db, band.attack_ms, makeup_db=round(float(np.clip(lost, 0.0, 12.0)), 4))


def _gain_db(level_db: Array, band: CompressorBand) -> Array:
    # Power reads 3 dB below what the compressor's detector reads of it.
    return band_gain_db(level_db + 3.01, SEGMENT_S, band)


def _figures_after(
    levels: Levels, level_db: Array, bands: list[CompressorBand], goal_lufs: float, ceiling_dbtp: float
) -> Array:
    """The figures behind compressor, gain and limiter; a gain that nothing limits leaves the peak where it falls."""
    gains = np.array([_gain_db(level, band) for level, band in zip(level_db, bands, strict=True)])
    power = levels.power * 10.0 ** (gains / 10.0)
    # Each band's mean power is given back.
    makeup = levels.power.mean(axis=1) / np.maximum(power.mean(axis=1), 1e-14)
    power *= makeup[:, None]
    moved = 10.0 ** (gains / 20.0) * np.sqrt(makeup)[:, None]
    peak = levels.whole_peak * (levels.peak * moved).sum(axis=0) / np.maximum(levels.peak.sum(axis=0), 1e-10)
    weighted = levels.weighted * power.sum(axis=0) / np.maximum(levels.power.sum(axis=0), 1e-14)
    ceiling = 10.0 ** (ceiling_dbtp / 20.0)
    gain = 10.0 ** ((goal_lufs - integrated_lufs(weighted)) / 20.0)
    limited = np.ones_like(peak)
    for _ in range(3):
        limited = _limited(peak * gain, ceiling)
        gain *= 10.0 ** ((goal_lufs - integrated_lufs(weighted * (gain * limited) ** 2)) / 20.0)
    after = power * (gain * limited) ** 2
    made = peak * gain * limited
    highest = 20.0 * np.log10(made.max(initial=1e-10))
    return figures(np.vstack([after, after.sum(axis=0)]), made, highest - goal_lufs)


def _limited(peak: Array, ceiling: float) -> Array:
    """The limiter's gain on levels: down at once, held for a step, released by a tenth of a second."""
    needed = np.minimum(1.0, ceiling / np.maximum(peak, 1e-10))
    needed = np.minimum(needed, np.minimum(np.append(needed[1:], 1.0), np.insert(needed[:-1], 0, 1.0)))
    return 1.0 - _decayed(1.0 - needed)


def _decayed(depth: Array) -> Array:
    """A running maximum that falls by the release: max over the past of depth times its decay."""
    reach = 40
    out = depth.copy()
    step = 1
    # Doubling: after k rounds every value has seen 2^k steps of its past.
    while step < reach:
        out[step:] = np.maximum(out[step:], out[:-step] * _RELEASE_PER_SEGMENT**step)
        step *= 2
    return out
