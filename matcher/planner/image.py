"""Image: whether a reference was made wider or narrower, by how far apart its sources lie.

How wide music is by itself cannot be told from the levels of side and mid: they hang on the few loudest sources. Of
the points of the spectrum, though, some always come from one channel alone, or from both independently, and how the
widest of them lie differs from piece to piece by 2 dB rather than by 7 (`dsp.meters.image`). So a reference is held
against the music that the prior was learned from, and against the target where the two are one piece; the quantiles
themselves tell which of it is the case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp.meters.image import HIGHEST_DB, LOWEST_DB, quantiles_db
from matcher.planner.gaussian import Array, Evidence
from matcher.priors import shipped
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import Record

GAINS_DB = np.arange(-10.0, 10.01, 0.2)
"""By how much the side may have been raised."""
MASTERING_DB = 2.8
"""How far mastering raises or lowers the side: one standard deviation."""
ONE_PIECE, OTHER_KIND = 0.15, 0.15
"""How likely it is of strangers beforehand that they are one piece all the same, and that the reference is wider or
narrower than any known."""
OTHER_KIND_DB = 10.0
TAILS = 2.0
"""Degrees of freedom of Student's t distribution, as which quantiles lie around their centre."""
STRAYS_DB = 0.8
"""How far single quantiles stray by themselves, as those of few points do."""
FEWEST_POINTS = 500
WITHIN_DB = 1.0
"""How far within what is counted all quantiles are to lie."""
BANDS = (THIRD_OCTAVES_HZ > 700.0) & (THIRD_OCTAVES_HZ < 2100.0)
ROUGH_DB = 1.0
"""What single third octaves of these differ by from the whole."""


@dataclass(frozen=True)
class Raised:
    """By how much the side of a reference was raised, judged by the images alone, dB."""

    mean_db: float
    sd_db: float
    ways: tuple[tuple[float, Evidence | None], ...]
    """Ways in which the reference may have come about: how likely each is, and what it shows of the wanted curve."""


def raised(target: Profile, references: Sequence[Record], strangers: float) -> Raised | None:
    """What the images say, the mean over the references; None where one of them or the target says nothing.

    strangers: how likely target and reference are strangers, 0 to 1: within a piece its own image decides.
    """
    tracks = [p for p in references if isinstance(p, Profile)]
    if len(tracks) < len(references) or not all(map(says_something, (target, *tracks))):
        return None
    here_db = quantiles_db(target.image)
    found = [_judged(here_db, quantiles_db(p.image), strangers) for p in tracks]
    shares, means_db, sds_db = (np.mean([each[part] for each in found], axis=0) for part in range(3))
    each = zip(shares, means_db, sds_db, strict=True)
    ways = tuple((float(share), _evidence(mean_db, sd_db)) for share, mean_db, sd_db in each)
    return Raised(*_overall(shares, means_db, sds_db), (*ways, (1.0 - float(shares.sum()), None)))


def has_points(track: Profile) -> bool:
    """Whether it has a side whose points can be counted."""
    return track.has_side and bool(np.all(track.image.sum(axis=1) >= FEWEST_POINTS))


def says_something(track: Profile) -> bool:
    """Whether its quantiles lie where they are, and not at an end of what is counted."""
    if not has_points(track):
        return False
    found_db = quantiles_db(track.image)
    return bool(found_db.min() > LOWEST_DB + WITHIN_DB and found_db.max() < HIGHEST_DB - WITHIN_DB)


def _judged(here_db: Array, there_db: Array, strangers: float) -> tuple[Array, Array, Array]:
    """(how likely, by how much the side was raised, standard deviation) of two ways, and what is missing of likely.

    The reference is a piece of its own of a usual image, or the target's own piece; and what is missing: an image of
    the usual form, but wider or narrower than any, of which nothing follows.
    """
    prior = shipped().image
    centre, tracks, pieces = np.array(prior.centre), np.array(prior.tracks), np.array(prior.pieces)
    ways = ((centre, tracks), (here_db, pieces), (centre, tracks + OTHER_KIND_DB**2))
    strange = strangers * np.array([1.0 - ONE_PIECE - OTHER_KIND, OTHER_KIND])
    beforehand = np.array([strange[0], 1.0 - strange.sum(), strange[1]])
    mastering = -0.5 * (GAINS_DB / MASTERING_DB) ** 2
    likely = np.array([
        np.logaddexp.reduce(_log_t(there_db - GAINS_DB[:, None] - without_db, scatter) + mastering)
        for without_db, scatter in ways
    ])
    weight = beforehand * np.exp(likely - likely.max())
    gains = np.array([_gain(there_db - without_db, scatter) for without_db, scatter in ways[:2]])
    return (weight / weight.sum())[:2], gains[:, 0], gains[:, 1]


def _gain(apart_db: Array, scatter: Array) -> tuple[float, float]:
    """The shift that all quantiles have in common: the normal distribution nearest to its own t distribution."""
    sharp = np.linalg.inv(scatter).sum(axis=0)
    mean_db = float(sharp @ apart_db / sharp.sum())
    left = float(squares(apart_db[None] - mean_db, scatter)[0])
    return mean_db, float(np.sqrt((TAILS + left) / ((TAILS + len(scatter) - 1.0) * sharp.sum())))


def _evidence(mean_db: float, sd_db: float) -> Evidence:
    count = int(np.sum(BANDS))
    return Evidence(BANDS, np.full(count, mean_db), np.full((count, count), sd_db**2) + ROUGH_DB**2 * np.eye(count))


def _overall(shares: Array, means_db: Array, sds_db: Array) -> tuple[float, float]:
    """Mean and standard deviation with what mastering does; the way of which nothing follows leaves it at that."""
    trust = MASTERING_DB**2 / (MASTERING_DB**2 + sds_db**2)
    mean_db = float(shares @ (trust * means_db))
    around = shares @ ((1.0 - trust) * MASTERING_DB**2 + (trust * means_db - mean_db) ** 2)
    return mean_db, float(np.sqrt(around + (1.0 - shares.sum()) * (MASTERING_DB**2 + mean_db**2)))


def _log_t(apart_db: Array, scatter: Array) -> Array:
    """Logarithm of the density of the multivariate t distribution around nothing, of each row; to a constant."""
    size = len(scatter)
    likely = -0.5 * (TAILS + size) * np.log1p(squares(apart_db, scatter) / TAILS)
    return np.asarray(likely - 0.5 * np.linalg.slogdet(scatter)[1])


def squares(apart_db: Array, scatter: Array) -> Array:
    """Squared distance from nothing in terms of a scatter, of each row, as it is expected of what strays besides."""
    inverse = np.linalg.inv(scatter)
    expected: Array = np.sum(apart_db @ inverse * apart_db, axis=1) + STRAYS_DB**2 * np.trace(inverse)
    return expected
