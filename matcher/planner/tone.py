"""Tone: which curve of the mid's difference is mastering, and a handful of bands that make it."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsp.effects.eq import Band, Shape, band_db, prototype_db
from dsp.meters.loudness import k_weighting_response_db
from matcher.planner.gaussian import (
    STRANGERS_DB,
    Array,
    Estimate,
    at_belief,
    believed,
    believed_among,
    kernel,
    share_that_nears,
    weighed,
)
from matcher.planner.likeness import Expected, Mask, Moments, expectations
from matcher.priors import Line, shipped
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import Reference

LOWEST_HEARD_DB = -60.0
"""Bands further below a track's loudest band say nothing."""
MOST_BANDS = 8
LARGEST_DB = 12.0
DEEPEST_ASKED_DB = -24.0
"""Where more is asked for than is believed, cuts go further than boosts: they raise no noise."""
NARROW_DB = 0.45
"""What mastering does to a single third octave by itself."""
ROUGH_DB = 0.65
"""What compression and limiting do to single third octaves: to the loud notes, so another curve in every piece."""
GOOD_ENOUGH_DB = 0.025
"""RMS error at which no further band is added."""
_TO_CHOOSE = 8
"""Rounds of refinement that show which band to add."""


def estimate(
    target: Profile,
    reference: Reference,
    moments: Moments,
    belief: float | None = None,
    lines: Sequence[Line] | None = None,
) -> Estimate:
    """The believed tone curve from target to reference, per third octave of the mid.

    lines: how far pieces differ by themselves, those that ship if None.
    """
    difference, heard = measured(target, reference)
    if reference.spread is not None:
        found = believed_among(
            THIRD_OCTAVES_HZ, difference, heard, single_prior(), reference.spread.tone, floor_db=ROUGH_DB
        )
    else:
        alike = moments.of(reference.tone)
        expected = expectations(alike, lines or shipped().alike_tone)
        versions = zip([difference, *(each.tone_db for each in alike)], expected, strict=True)
        found = weighed([smooth_estimate(d, heard, scale) for d, scale in versions])
    if belief is None and found.music_db > STRANGERS_DB:
        share = share_that_nears(at_equal_loudness(found.mean_db, target)[heard], difference[heard])
        found = replace(found, mean_db=found.mean_db * share)
    believed_db = at_belief(found.mean_db, np.where(heard, difference, 0.0), belief)
    return replace(found, mean_db=np.clip(believed_db, deepest_db(belief), LARGEST_DB))


def measured(target: Profile, reference: Reference) -> tuple[Array, Mask]:
    """Reference minus target in third octaves at equal loudness, dB, and in which of them both are heard."""
    here, there = target.balance_db(), reference.balance_db()
    heard = (here > here.max() + LOWEST_HEARD_DB) & (there > there.max() + LOWEST_HEARD_DB)
    top_hz = min(target.bandwidth_hz, reference.bandwidth_hz) / 10.0**0.05
    return there - here, heard & (top_hz >= THIRD_OCTAVES_HZ)


def deepest_db(belief: float | None) -> float:
    """How far a curve may cut."""
    return -LARGEST_DB if belief is None or belief <= 0.5 else DEEPEST_ASKED_DB


def at_equal_loudness(curve_db: Array, target: Profile) -> Array:
    """What a curve does to the target's tone apart from its loudness."""
    weight = 10.0 ** ((target.third_octaves_db() + k_weighting_response_db(THIRD_OCTAVES_HZ, 48_000)) / 10.0)
    return curve_db - float(10.0 * np.log10(np.average(10.0 ** (curve_db / 10.0), weights=weight)))


def smooth_estimate(difference_db: Array, heard: Mask, expected: Expected = None) -> Estimate:
    """What of third-octave differences is mastering; `expected` as in `believed`."""
    return believed(
        THIRD_OCTAVES_HZ, difference_db, heard, single_prior(), music_kernel(), floor_db=ROUGH_DB, expected=expected
    )


def single_prior() -> Array:
    """`mastering_prior`, and what mastering does to a single third octave."""
    return mastering_prior() + NARROW_DB**2 * np.eye(len(THIRD_OCTAVES_HZ))


@functools.cache
def music_kernel() -> Array:
    """Covariance of what two pieces differ by in third octaves by themselves, for a difference of 1 dB."""
    octaves = np.log2(THIRD_OCTAVES_HZ)
    return kernel(octaves, 0.92, 1.8) + 0.1 * np.eye(len(octaves))


def smoothed(error_db: Array, heard: np.ndarray, *, keep_level: bool = False) -> Array:
    """The part of a deviation that an equalizer of mastering's kind would correct; its level only where asked for."""
    if not heard.any():
        return np.zeros_like(error_db)
    level = float(error_db[heard].mean())
    centred = np.where(heard, error_db - level, 0.0)
    prior, seen = mastering_prior(), np.flatnonzero(heard)
    inside = prior[np.ix_(seen, seen)] + np.eye(len(seen))
    return prior[:, seen] @ np.linalg.solve(inside, centred[seen]) + (level if keep_level else 0.0)


@functools.cache
def mastering_prior() -> Array:
    """Covariance of what mastering does to third octaves, dB².

    The sum of what is moved independently, at places and with sizes that mastering engineers use: a shelf at either
    end, two bells between, and the level of the whole.
    """
    places = 24
    total = np.full((len(THIRD_OCTAVES_HZ), len(THIRD_OCTAVES_HZ)), 0.5**2)
    kinds: tuple[tuple[Shape, float, float, float, tuple[float, ...]], ...] = (
        ("low_shelf", 60.0, 220.0, 3.2, (0.5, 0.7, 0.9)),
        ("peak", 150.0, 650.0, 2.2, (0.5, 0.9, 1.5)),
        ("peak", 650.0, 5000.0, 2.4, (0.5, 0.9, 1.5)),
        ("high_shelf", 4000.0, 12_000.0, 3.5, (0.5, 0.7, 0.9)),
    )
    for shape, low_hz, high_hz, sd_db, qs in kinds:
        curves = np.array([
            prototype_db(shape, THIRD_OCTAVES_HZ, hz, sd_db, q)
            for hz in np.geomspace(low_hz, high_hz, places)
            for q in qs
        ])
        curves -= curves.mean(axis=1, keepdims=True)  # a level is the loudness stage's business
        total += curves.T @ curves / len(curves)
    return total


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

    Greedy with a joint refit: shelves first, then a bell where the remaining error is largest, all parameters refined
    together by Levenberg-Marquardt after each. weight: shape of the curve, 0 where it does not matter. start: bands
    that fitted a curve much like this one.
    """
    bands = _refine(list(start), frequency_hz, curve_db, weight, top_hz) if start else []
    while len(bands) < most:
        error = curve_db - sum((band_db(b, frequency_hz) for b in bands), np.zeros_like(curve_db))
        if np.sqrt(np.average(error**2, weights=weight)) < GOOD_ENOUGH_DB:
            break
        best: tuple[float, list[Band]] | None = None
        for candidate in _candidates(frequency_hz, error * np.sqrt(weight), first=not bands, top_hz=top_hz):
            refined = _refine([*bands, candidate], frequency_hz, curve_db, weight, top_hz, rounds=_TO_CHOOSE)
            left = curve_db - sum(band_db(b, frequency_hz) for b in refined)
            cost = float(np.average(left**2, weights=weight))
            if best is None or cost < best[0]:
                best = (cost, refined)
        assert best is not None  # for the type checker: there are always candidates
        bands = _refine(best[1], frequency_hz, curve_db, weight, top_hz)
    return tuple(sorted((b for b in bands if abs(b.gain_db) >= 0.05), key=lambda b: b.frequency_hz))


def _candidates(frequency_hz: Array, error_db: Array, *, first: bool, top_hz: float) -> list[Band]:
    peak = int(np.argmax(np.abs(error_db)))
    at = float(np.clip(frequency_hz[peak], 30.0, 0.9 * top_hz))
    gain = float(np.clip(error_db[peak], -LARGEST_DB, LARGEST_DB))
    bell = Band(shape="peak", frequency_hz=at, gain_db=gain, q=1.0)
    low = Band(shape="low_shelf", frequency_hz=150.0, gain_db=float(np.clip(error_db[:6].mean(), -12, 12)))
    high = Band(shape="high_shelf", frequency_hz=5000.0, gain_db=float(np.clip(error_db[-7:].mean(), -12, 12)))
    return [bell, low, high]


def _refine(
    bands: list[Band], hz: Array, curve_db: Array, weight: Array, top_hz: float, rounds: int = 40
) -> list[Band]:
    """Levenberg-Marquardt over log frequency, gain and log Q of every band together."""
    low = np.tile([np.log(25.0), -LARGEST_DB, np.log(0.35)], len(bands))
    high = np.tile([np.log(0.95 * top_hz), LARGEST_DB, np.log(4.0)], len(bands))
    for i, b in enumerate(bands):
        if b.shape != "peak":
            low[3 * i + 2], high[3 * i + 2] = np.log(0.4), np.log(0.9)
    x = np.array([v for b in bands for v in (np.log(b.frequency_hz), b.gain_db, np.log(b.q))])
    x = np.clip(x, low, high)
    shapes = [b.shape for b in bands]
    of_shape = {shape: [i for i, own in enumerate(shapes) if own == shape] for shape in dict.fromkeys(shapes)}
    root = np.sqrt(weight)
    step = np.array([0.02, 0.05, 0.03])

    def responses(values: Array) -> Array:
        """Of each band, (..., bands, hz), from (..., 3 * bands); all bands of a shape at a time."""
        settings = values.reshape(*values.shape[:-1], -1, 3, 1)
        found = np.empty((*settings.shape[:-2], len(hz)))
        for shape, own in of_shape.items():
            f, g, q = (settings[..., own, k, :] for k in range(3))
            found[..., own, :] = prototype_db(shape, hz, np.exp(f), g, np.exp(q))
        return found

    def residual(values: Array, total: Array) -> Array:
        # A slight pull towards small gains keeps two bands from fighting each other.
        return np.concatenate([root * (total - curve_db), 0.02 * values[1::3]])

    improved = False
    damping, parts = 1.0, responses(x)
    current = residual(x, parts.sum(axis=0))
    for _ in range(rounds):
        jacobian = np.zeros((len(current), len(x)))
        moved = responses(x + np.tile(np.diag(step), len(bands)))
        for kind in range(3):
            jacobian[: len(hz), kind::3] = (root * (moved[kind] - parts)).T / step[kind]
        jacobian[len(hz) + np.arange(len(bands)), 3 * np.arange(len(bands)) + 1] = 0.02
        normal = jacobian.T @ jacobian
        improved = False
        for _ in range(4):
            change = np.linalg.solve(normal + damping * np.diag(np.diag(normal) + 1e-6), jacobian.T @ current)
            trial = np.clip(x - change, low, high)
            trial_parts = responses(trial)
            value = residual(trial, trial_parts.sum(axis=0))
            if value @ value < current @ current:
                gained = 1.0 - (value @ value) / (current @ current)
                x, current, parts, damping, improved = trial, value, trial_parts, damping * 0.3, bool(gained > 1e-6)
                break
            damping *= 4.0
        if not improved:
            break
    return [
        Band(shape=s, frequency_hz=float(np.exp(f)), gain_db=float(g), q=float(np.exp(q)))
        for s, (f, g, q) in zip(shapes, x.reshape(-1, 3), strict=True)
    ]
