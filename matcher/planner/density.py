"""Density: five figures of how compressed a track is, and what of their difference is mastering.

Crest factor, the spread of three bands (how far the loud moments stand above the usual ones) and the ratio of peak to
loudness move together when a track is compressed and limited; music moves them one by one. So they are judged together:
what is believed of a band that says little follows from those that say more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.planner.gaussian import Array, at_belief, believed_among, credited
from matcher.priors import shipped
from matcher.profile import Profile
from matcher.reference import Record, Reference

NAMES = ("crest factor", "low band", "mid band", "high band", "peak to loudness")
_MASTERING_SD_DB = np.array([1.9, 3.0, 2.0, 2.4, 4.0])
"""How far mastering moves each figure; with the correlation it shares in all of them."""
_TOGETHER = 0.75
LARGEST_DIFFERENCE_DB = 10.0
EXACT_DB = 0.05
"""No figure is known any better."""
TAILS = 4.0
"""Degrees of freedom of Student's t distribution, as which music's own differences are distributed."""
ROUNDS = 10
"""From which on nothing moves any more."""


@dataclass(frozen=True)
class Density:
    """Target against reference, in the order of `NAMES`, dB."""

    target_db: Array
    reference_db: Array
    own_db: Array
    """What the planned tone and width change by themselves."""
    believed_db: Array
    """The change that is taken for mastering, tone's own included; negative is denser."""


def of_profile(profile: Profile | Record, ceiling_dbtp: float | None = None) -> Array:
    """The five figures of a whole track. ceiling_dbtp: peaks above it are no merit and count as it."""
    highest = profile.true_peak_dbtp if ceiling_dbtp is None else min(profile.true_peak_dbtp, ceiling_dbtp)
    return np.append(profile.figures, highest - profile.isolated_lufs)


def mastering_prior() -> Array:
    """Covariance of what mastering does to the five figures, dB²."""
    together = _TOGETHER + (1.0 - _TOGETHER) * np.eye(len(NAMES))
    return np.outer(_MASTERING_SD_DB, _MASTERING_SD_DB) * together


def music_scale_db(music_db: float) -> Array:
    """Of how far two pieces differ in each figure by themselves, where their tone differs by `music_db`."""
    return np.array([growth.expected(music_db) for growth in shipped().figures])


def judge(
    target: Profile,
    reference: Reference,
    own_db: Array,
    music_db: float,
    ceiling_dbtp: float,
    belief: float | None = None,
    away_db: Array | None = None,
) -> Density:
    """What of the difference in density is mastering, beyond what tone and width bring about: own_db, shape (5,).

    away_db: the difference, where it is not that of these two tracks alone; shape (5,).
    """
    here = of_profile(target)
    there = np.mean([of_profile(p, ceiling_dbtp) for p in reference.dynamics], axis=0)
    if away_db is not None:
        there = here + away_db
    difference = np.clip(there - here - own_db, -LARGEST_DIFFERENCE_DB, LARGEST_DIFFERENCE_DB)
    if not (here[:4].any() and there[:4].any()):  # one of them is too short for figures
        difference[:4] = 0.0
    mastering = credited(mastering_prior(), belief)
    if reference.spread is not None:
        everywhere = np.ones(len(NAMES), dtype=bool)
        inferred = believed_among(np.arange(5.0), difference, everywhere, mastering, reference.spread.density).mean_db
    else:
        inferred = _inferred(difference, mastering, np.hypot(music_scale_db(music_db), EXACT_DB))
    return Density(here, there, own_db, own_db + at_belief(inferred, difference, belief))


def _inferred(difference_db: Array, mastering: Array, scale_db: Array) -> Array:
    """What mastering did, where music does the rest.

    Music moves one figure far now and then: one that the others contradict counts less (expectation and maximization;
    Lange, Little & Taylor, "Robust Statistical Modeling Using the t Distribution", JASA 84, 1989).
    """
    weight = np.ones(len(difference_db))
    for _ in range(ROUNDS):
        gain = mastering @ np.linalg.inv(mastering + np.diag(scale_db**2 / weight))
        mean_db, left = gain @ difference_db, mastering - gain @ mastering
        away = ((difference_db - mean_db) ** 2 + np.diag(left)) / scale_db**2
        weight = (TAILS + 1.0) / (TAILS + away)
    return mean_db
