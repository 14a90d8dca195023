"""A smooth curve from noisy differences: the Gaussian process behind tone and width.

What two tracks differ by is mastering plus music. Mastering is a smooth bounded curve; music is partly rough (notes),
partly as smooth as mastering (arrangement), and the rough part betrays how large the smooth one may be. Rasmussen &
Williams, Gaussian Processes for Machine Learning (2006), 2.2 and 5.4.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Estimate:
    """A curve and how sure it is, at `frequency_hz`; all of shape (bands,), in dB."""

    frequency_hz: Array
    difference_db: Array
    """What was measured: reference minus target."""
    mean_db: Array
    """What of it is believed to be mastering."""
    sd_db: Array
    """Standard deviation of the belief."""
    heard: NDArray[np.bool_]
    """Bands in which both tracks have signal; the others follow from the prior alone."""
    music_db: float
    """How far the two pieces themselves are inferred to differ: below 2 for excerpts of one piece, 10 for strangers."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """The wanted curve as it was measured where that was possible without any music in it, dB."""

    heard: NDArray[np.bool_]
    """In which bands, shape (bands,)."""
    curve_db: Array
    """Of these, shape (heard,)."""
    covariance: Array
    """Of what is wrong with it, dB², shape (heard, heard)."""


def kernel(octaves: Array, sd_db: float, length_oct: float) -> Array:
    """Squared-exponential covariance between places on an octave scale."""
    apart = (octaves[:, None] - octaves[None, :]) / length_oct
    return sd_db**2 * np.exp(-0.5 * apart**2)


UNKNOWN_LEVEL_DB = 30.0
"""Standard deviation of a level that says nothing."""
SCALES_DB = np.geomspace(0.05, 20.0, 31)
"""How large the music's own difference may be; all are weighed, none is chosen."""


def believed(
    frequency_hz: Array,
    difference_db: Array,
    heard: NDArray[np.bool_],
    mastering: Array,
    music: Array,
    *,
    floor_db: float = 0.05,
    shapes: tuple[tuple[Array, float], ...] = (),
    scales_db: Array = SCALES_DB,
    strengths: tuple[float, ...] = (1.0,),
    expected: tuple[float, float] | None = None,
    evidence: Sequence[Evidence] = (),
) -> Estimate:
    """Split a difference into mastering and music.

    mastering: prior covariance of the wanted curve, shape (bands, bands). music: covariance of the music's own
    difference at 1 dB; its true scale is unknown and is inferred from the same data, by the evidence for each of
    `scales_db`. floor_db: what is neither: rough, and no sign of music. shapes: further means that the curve may
    have with their prior probabilities; with what is left, the mean is flat. strengths: how much of the usual mastering
    may be missing, each as likely. expected: mean and standard deviation of the logarithm of the music's scale, where
    it is known from elsewhere. The result averages over them all. evidence: the wanted curve once more, without music.
    """
    difference = np.where(heard, difference_db, 0.0)
    seen = np.flatnonzero(heard)
    if not len(seen):
        nothing = np.zeros_like(difference)
        return Estimate(frequency_hz, difference, nothing, np.sqrt(np.diag(mastering)), heard, float(scales_db[-1]))
    curves = np.array([np.zeros_like(difference), *(shape for shape, _ in shapes)])
    shares = np.array([1.0 - sum(share for _, share in shapes), *(share for _, share in shapes)])
    every = np.array(list(itertools.product(scales_db, strengths)))[:, :, None, None]
    wanted = every[:, 1] ** 2 * mastering
    aside = every[:, 0] ** 2 * music + floor_db**2 * np.eye(len(difference))
    aside, measured = aside[:, seen[:, None], seen], difference[seen]
    for other in evidence:
        aside = _beside(aside, other.covariance)
        seen = np.append(seen, np.flatnonzero(other.heard))
        measured = np.append(measured, other.curve_db)
    lower = np.linalg.cholesky(wanted[:, seen[:, None], seen] + aside)
    left = np.broadcast_to((measured - curves[:, seen]).T, (len(every), len(seen), len(curves)))
    solved = np.linalg.solve(lower, np.concatenate([wanted[:, seen], left], axis=2))
    half, white = np.split(solved, [len(difference)], axis=2)
    likely = 0.0 if expected is None else -0.5 * ((np.log(every[:, 0, :, 0]) - expected[0]) / expected[1]) ** 2
    determinant = np.log(np.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)[:, None]
    support = likely + np.log(shares) - 0.5 * (white**2).sum(axis=1) - determinant
    means = curves + np.swapaxes(np.swapaxes(half, 1, 2) @ white, 1, 2)
    variances = np.maximum(np.diagonal(wanted, axis1=1, axis2=2) - (half**2).sum(axis=1), 0.0)
    weight = np.exp(support - support.max())
    weight /= weight.sum()
    mean = np.einsum("sk,skb->b", weight, means)
    apart = (means - mean) ** 2
    spread = weight.sum(axis=1) @ variances + np.einsum("sk,skb->b", weight, apart)
    scale = float(np.exp(weight.sum(axis=1) @ np.log(np.repeat(scales_db, len(strengths)))))
    return Estimate(frequency_hz, difference, mean, np.sqrt(spread), heard, scale)


def _beside(matrices: Array, other: Array) -> Array:
    """Covariances of what has nothing to do with each other, shape (n, bands + others, bands + others)."""
    count, bands = len(matrices), matrices.shape[-1]
    found = np.zeros((count, bands + len(other), bands + len(other)))
    found[:, :bands, :bands], found[:, bands:, bands:] = matrices, other
    return found


MISSING = (0.0, 0.5, 1.0)
"""Strengths where it is known how far music of a kind differs: what lies within that may want nothing."""


def believed_among(
    frequency_hz: Array,
    difference_db: Array,
    heard: NDArray[np.bool_],
    mastering: Array,
    spread: Array,
    *,
    floor_db: float = 0.05,
    shapes: tuple[tuple[Array, float], ...] = (),
) -> Estimate:
    """Like `believed`, with the covariance of the music's own difference known: that of the tracks of a preset."""
    known = believed(
        frequency_hz,
        difference_db,
        heard,
        mastering,
        spread,
        floor_db=floor_db,
        shapes=shapes,
        scales_db=np.ones(1),
        strengths=MISSING,
    )
    return replace(known, music_db=float(np.sqrt(np.mean(np.diag(spread)))))


_OTHER_MOMENTS, _EQUALLY_GOOD = 0.1, 0.2
"""In logarithms of what is music: a handicap for less than whole tracks, and what makes one count e times less."""


def weighed(estimates: list[Estimate]) -> Estimate:
    """The mean of estimates from several measured differences: the less is music in one, the more it counts.

    The first is that of the whole tracks; its difference and its scale of what is music are kept.
    """
    music = np.log([e.music_db for e in estimates]) + np.where(np.arange(len(estimates)) > 0, _OTHER_MOMENTS, 0.0)
    return mixed(estimates, np.exp(-(music - music.min()) / _EQUALLY_GOOD))


def mixed(estimates: Sequence[Estimate], weight: Array) -> Estimate:
    """The mean of estimates by their weights, and how sure it is; all else is that of the first."""
    share = weight / weight.sum()
    mean = share @ np.array([e.mean_db for e in estimates])
    spread = share @ np.array([e.sd_db**2 + (e.mean_db - mean) ** 2 for e in estimates])
    return replace(estimates[0], mean_db=mean, sd_db=np.sqrt(spread))


SAME_DB, STRANGERS_DB = 0.3, 8.0
"""Pieces that differ by less are the same recording. Those that differ by more are strangers: nothing shows that a move
away from the reference would be right."""
_STEPS = np.linspace(1.0, 0.0, 9)


def is_same(music_db: float, belief: float | None = None) -> bool:
    """Whether two pieces that differ by so much are the same recording, of which all is believed to be mastering.

    belief: what is asked for instead of what is inferred, if anything.
    """
    return belief is None and round(music_db, 2) < SAME_DB  # as a plan keeps it


def wholly_believed(estimate: Estimate) -> Estimate:
    """With all of the difference taken for mastering, be it as rough as it may."""
    return replace(estimate, mean_db=np.where(estimate.heard, estimate.difference_db, estimate.mean_db))


def strangeness(music_db: float) -> float:
    """How likely two pieces are strangers that differ by so much in tone, 0 to 1."""
    return 1.0 / (1.0 + (STRANGERS_DB / max(music_db, 0.1)) ** 6)


def share_that_nears(move_db: Array, difference_db: Array, start_db: Array | float = 0.0) -> float:
    """The largest share of a move, begun at `start_db`, after which the difference is no larger than before (RMS)."""
    before = float(np.mean(difference_db**2)) if len(difference_db) else 0.0
    left = [np.mean((difference_db - start_db - step * move_db) ** 2) if len(move_db) else 0.0 for step in _STEPS]
    return next((float(step) for step, rest in zip(_STEPS, left, strict=True) if rest <= before), 0.0)


def asks_for_more(belief: float | None) -> bool:
    """Whether more of a difference is asked for than is believed."""
    return belief is not None and belief > 0.5


MOST_ODDS = 1000.0
"""More than these are the whole difference to within a hundredth of a dB."""


def credited(mastering: Array, belief: float | None) -> Array:
    """The prior covariance of mastering where it is credited with more than usual.

    Belief against doubt, squared, is how many times as large as usual mastering may be: 9 at 0.75, 81 at 0.9. What is
    as smooth as mastering is then taken for it, and the notes are still left to the music.
    """
    if belief is None or belief <= 0.5:
        return mastering
    odds = (belief / (1.0 - belief)) ** 2 if belief < 1.0 else MOST_ODDS
    return mastering * min(odds, MOST_ODDS) ** 2


def at_belief(inferred_db: Array, difference_db: Array, belief: float | None) -> Array:
    """What is inferred from a prior as `credited`; less of it below a belief of 0.5, at 1 the whole difference."""
    if belief is None:
        return inferred_db
    if belief <= 0.5:
        return inferred_db * belief / 0.5
    return difference_db if belief == 1.0 else inferred_db
