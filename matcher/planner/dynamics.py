"""Dynamics: the compressor that, with the limiter behind it, makes the target as dense as is believed.

Settings are tried on levels of 10 ms, not on audio: a thousandth of the work. What the limiter will do to the same
levels is part of the trial, so that compression and limiting share the work.
"""

from __future__ import annotations

import itertools
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
_TOLERANCE_DB = np.array([0.4, 0.8, 0.5, 0.8])
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
    """A compressor and what it is expected to do to the figures of `density` (without the last)."""

    compressor: Compressor
    change_db: Array


def fit(levels: Levels, wanted_db: Array, goal_lufs: float, ceiling_dbtp: float) -> Fit:
    """Thresholds of three bands and an attack whose result, limited at `ceiling_dbtp` and as loud as `goal_lufs`,
    has its figures (crest, spreads) moved by `wanted_db`, shape (4,)."""
    before = figures(np.vstack([levels.power, levels.power.sum(axis=0)]), levels.whole_peak, 0.0)[:4]
    level_db = 10.0 * np.log10(levels.power + 1e-14)
    bounds = [(float(np.percentile(band, DEEPEST)), float(band.max()) + KNEE_DB / 2) for band in level_db]

    def changed(thresholds: Array, attack_ms: float) -> Array:
        bands = [_band(t, attack_ms) for t in thresholds]
        return _figures_after(levels, level_db, bands, goal_lufs, ceiling_dbtp)[:4] - before

    def cost(thresholds: Array, attack_ms: float) -> float:
        misses = (changed(thresholds, attack_ms) - wanted_db) / _TOLERANCE_DB
        # Of two ways to the same place, the one that compresses less.
        depth = sum(max(0.0, high - t) for t, (_, high) in zip(thresholds, bounds, strict=True))
        return float(misses @ misses + 0.01 * depth)

    idle = np.array([high for _, high in bounds])
    best = (cost(idle, ATTACKS_MS[1]), idle, ATTACKS_MS[1])
    for attack_ms in ATTACKS_MS:
        thresholds = idle.copy()
        current = cost(thresholds, attack_ms)
        for step_db in (8.0, 4.0, 2.0, 1.0, 0.5):
            for band, _ in itertools.product(range(3), range(2)):
                for direction in (-1.0, 1.0):
                    trial = thresholds.copy()
                    trial[band] = np.clip(trial[band] + direction * step_db, *bounds[band])
                    value = cost(trial, attack_ms)
                    if value < current - 1e-9:
                        thresholds, current = trial, value
        if current < best[0] - 1e-6:
            best = (current, thresholds, attack_ms)
    _, thresholds, attack_ms = best
    bands = [
        _made_up(level, _band(t, attack_ms)) if t < top else CompressorBand()
        for level, t, top in zip(level_db, thresholds, idle, strict=True)
    ]
    change = changed(thresholds, attack_ms)
    if all(b.is_neutral for b in bands):
        return Fit(Compressor(), change)
    return Fit(Compressor(crossovers_hz=CROSSOVERS_HZ, bands=tuple(bands)), change)


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
    """The figures behind compressor, gain and limiter."""
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
    return figures(np.vstack([after, after.sum(axis=0)]), peak * gain * limited, 0.0)


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
