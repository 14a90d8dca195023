"""Tone: which curve of the mid's difference is mastering."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dsp.effects.eq import Shape, prototype_db
from dsp.meters.loudness import k_weighting_response_db
from matcher.planner.bands import LARGEST_DB
from matcher.planner.gaussian import (
    STRANGERS_DB,
    Array,
    Estimate,
    Evidence,
    asks_for_more,
    at_belief,
    believed,
    believed_among,
    credited,
    is_same,
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
LOWEST_COMPARED_DB = -70.0
"""Nor do these, where no more is asked for than is believed: the treble of dark music is compared as well."""
MOST_ASKED_DB = 24.0
"""Where more is asked for than is believed, cuts go this far: they raise no noise. Boosts end at `LARGEST_DB`."""
NARROW_DB = 0.45
"""What mastering does to a single third octave by itself."""
ROUGH_DB = 0.65
"""What compression and limiting do to single third octaves: to the loud notes, so another curve in every piece."""


def estimate(
    target: Profile,
    reference: Reference,
    moments: Moments,
    belief: float | None = None,
    lines: Sequence[Line] | None = None,
    evidence: Evidence | None = None,
) -> Estimate:
    """The believed tone curve from target to reference, per third octave of the mid.

    lines: how far pieces differ by themselves, those that ship if None. evidence: of the passages that both share.
    """
    deep = reference.spread is None and not asks_for_more(belief)
    difference, heard = measured(target, reference, LOWEST_COMPARED_DB if deep else LOWEST_HEARD_DB)
    if reference.spread is not None:
        found = believed_among(
            THIRD_OCTAVES_HZ,
            difference,
            heard,
            credited(single_prior(), belief),
            reference.spread.tone,
            floor_db=ROUGH_DB,
        )
    else:
        alike = moments.of(reference.tone)
        expected = expectations(alike, lines or shipped().alike_tone)
        versions = zip([difference, *(each.tone_db for each in alike)], expected, strict=True)
        found = weighed([smooth_estimate(d, heard, scale, belief, evidence) for d, scale in versions])
    if belief is None and found.music_db > STRANGERS_DB:
        share = share_that_nears(at_equal_loudness(found.mean_db, target)[heard], difference[heard])
        found = replace(found, mean_db=found.mean_db * share)
    if is_same(found.music_db, belief):  # it ends alike in both, so that bands it fills in part can be compared as well
        difference, heard = measured(target, reference, LOWEST_COMPARED_DB, partly=True)
        found = replace(found, difference_db=np.where(heard, difference, 0.0), heard=heard)
    believed_db = at_belief(found.mean_db, np.where(heard, difference, 0.0), belief)
    return replace(found, mean_db=np.clip(believed_db, -furthest_db(belief), furthest_db(belief)))


def measured(
    target: Profile, reference: Reference, lowest_db: float = LOWEST_HEARD_DB, *, partly: bool = False
) -> tuple[Array, Mask]:
    """Reference minus target in third octaves at equal loudness, dB, and in which of them both are heard.

    partly: also those in whose upper half the music ends.
    """
    here, there = target.balance_db(), reference.balance_db()
    heard = (here > here.max() + lowest_db) & (there > there.max() + lowest_db)
    top_hz = min(target.bandwidth_hz, reference.bandwidth_hz) / (1.0 if partly else 10.0**0.05)
    return there - here, heard & (top_hz >= THIRD_OCTAVES_HZ)


def furthest_db(belief: float | None) -> float:
    """How far a curve may go from none."""
    return MOST_ASKED_DB if asks_for_more(belief) else LARGEST_DB


def at_equal_loudness(curve_db: Array, target: Profile) -> Array:
    """What a curve does to the target's tone apart from its loudness."""
    weight = 10.0 ** ((target.third_octaves_db() + k_weighting_response_db(THIRD_OCTAVES_HZ, 48_000)) / 10.0)
    return curve_db - float(10.0 * np.log10(np.average(10.0 ** (curve_db / 10.0), weights=weight)))


def smooth_estimate(
    difference_db: Array,
    heard: Mask,
    expected: Expected = None,
    belief: float | None = None,
    evidence: Evidence | None = None,
) -> Estimate:
    """What of third-octave differences is mastering; `expected` as in `believed`, `evidence` one of its kind."""
    return believed(
        THIRD_OCTAVES_HZ,
        difference_db,
        heard,
        credited(single_prior(), belief),
        music_kernel(),
        floor_db=ROUGH_DB,
        expected=expected,
        evidence=() if evidence is None else (evidence,),
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
