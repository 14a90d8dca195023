"""Where each track of an album is to go: what all share of the way to the lead, and what is out of line in one.

The tracks' mean difference to the lead is one observation in which the music of the tracks has averaged out: what is
mastering in it is known far better than from any pair. What a track has beside it is split in the same way, with the
album for its neighbour: the posterior's share is taken back, and at least `CLOSER` of what is as smooth as mastering,
since one piece is what was asked for; the rest is what makes the track itself. All targets are
fixed before the first track is rendered; no track's result moves another's target.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.effect import Bounded
from dsp.units import db_from_power
from matcher.album_figures import Figures, distances
from matcher.planner import density, tone, width
from matcher.planner.gaussian import SCALES_DB, Array, Estimate, at_belief, credited, share_that_nears
from matcher.planner.search import Known
from matcher.profile import THIRD_OCTAVES_HZ, Profile

CLOSER = 0.5
"""The least of a track's smooth departure from the album that is taken back."""

CLOSER_ROUNDS = 3
"""A track that would end further from the album's centre than it was is brought nearer, so many times."""
FEWEST = 3
"""Tracks that show how far those of an album differ by themselves."""
OWN_SPREAD = 0.5
"""How far a track strays beside how far the others do: one standard deviation of the logarithm."""

Decibels = Annotated[float, Meta(ge=0.0, le=24.0)]


class Limits(Bounded, frozen=True, kw_only=True):
    """How far any track may be moved, up or down."""

    tone_db: Decibels = 6.0
    """In any third octave."""
    width_db: Decibels = 6.0
    """Of the side against the mid."""
    loudness_lu: Decibels = 12.0


def targets(
    lead: Profile, tracks: Sequence[Profile], limits: Limits, ceiling_dbtp: float, belief: float | None = None
) -> list[Known]:
    """What to believe of every track; nothing of the lead itself."""
    others = [t for t in tracks if t.content_hash != lead.content_hash]
    if not others:
        return [_nothing(lead) for _ in tracks]
    closer = np.full(len(others), CLOSER)
    for _ in range(CLOSER_ROUNDS):
        curves, shared = _tones(lead, others, closer, limits, belief)
        sides = _widths(lead, others, curves, shared, closer, limits, belief)
        away_from_all = _moved_away(lead, tracks, others, curves, sides)
        if belief is not None or not away_from_all.any():
            break
        closer = np.where(away_from_all, np.minimum(closer + 0.2, 1.0), closer)
    away = [density.of_profile(lead, ceiling_dbtp) - density.of_profile(t) for t in others]
    together = np.mean(away, axis=0)
    found = {
        t.content_hash: Known(curve, side, together)
        for t, curve, side in zip(others, curves, sides, strict=True)
    }
    return [found.get(t.content_hash) or _nothing(lead) for t in tracks]


def _nothing(lead: Profile) -> Known:
    zero = np.zeros(len(THIRD_OCTAVES_HZ))
    certain = Estimate(THIRD_OCTAVES_HZ, zero, zero, zero, _heard(lead), 0.05)
    return Known(certain, None, np.zeros(len(density.NAMES)))


def _heard(profile: Profile) -> NDArray[np.bool_]:
    balance = profile.balance_db()
    loud: NDArray[np.bool_] = balance > balance.max() + tone.LOWEST_HEARD_DB
    inside: NDArray[np.bool_] = loud & (profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ)
    return inside


def _mean(differences_db: Array, heard: NDArray[np.bool_]) -> tuple[Array, NDArray[np.bool_]]:
    """The mean over the tracks that have a band, and where any has."""
    count = heard.sum(axis=0)
    return np.where(heard, differences_db, 0.0).sum(axis=0) / np.maximum(count, 1), count > 0


def _tones(
    lead: Profile, tracks: Sequence[Profile], closer: Array, limits: Limits, belief: float | None
) -> tuple[list[Estimate], Estimate]:
    """A curve for each track, and what is shared."""
    difference = np.array([lead.balance_db() - t.balance_db() for t in tracks])
    heard = np.array([_heard(lead) & _heard(t) for t in tracks])
    mean, any_heard = _mean(difference, heard)
    shared = _shared(mean, any_heard, difference, heard, belief)
    common = at_belief(shared.mean_db, mean, belief)
    common = share_that_nears(common[any_heard], mean[any_heard]) * common
    found = []
    for away, here, share in zip(difference, heard, closer, strict=True):
        apart = np.where(here, away - mean, 0.0)
        scale = float(np.log(max(shared.music_db, SCALES_DB[0])))  # copies of one track do not stray at all
        own = tone.smooth_estimate(apart, here, (scale, OWN_SPREAD), belief)
        least = share * tone.smoothed(apart, here)
        more = max(own.mean_db, least, key=lambda curve: float(np.sum(curve[here] ** 2)))
        curve = np.clip(common + at_belief(more, apart, belief), -limits.tone_db, limits.tone_db)
        found.append(replace(
            shared, difference_db=np.where(here, away, 0.0), mean_db=curve, heard=here,
            sd_db=np.sqrt(shared.sd_db**2 + own.sd_db**2),
        ))  # fmt: skip
    return found, shared


def _shared(
    mean_db: Array, any_heard: NDArray[np.bool_], apart_db: Array, heard: NDArray[np.bool_], belief: float | None
) -> Estimate:
    """What of the mean difference is mastering, where the tracks themselves show how far music strays in this album.

    The lead strays as they do, and their mean by 1/n of that. Two tracks show nothing: there the pair is judged.
    """
    judged = tone.smooth_estimate(mean_db, any_heard, belief=belief)
    count = len(apart_db)
    if count < FEWEST:
        return judged
    strays = float(np.mean((apart_db - mean_db)[heard] ** 2)) * count / (count - 1)
    music = tone.music_kernel()
    scale = np.sqrt(strays * (1.0 + 1.0 / count) / np.mean(np.diag(music)))
    seen, mastering = np.flatnonzero(any_heard), credited(tone.mastering_prior(), belief)
    total = (mastering + scale**2 * music + 0.05**2 * np.eye(len(mean_db)))[np.ix_(seen, seen)]
    weights = np.linalg.solve(total, mastering[seen]).T
    left = np.maximum(np.diag(mastering) - np.sum(weights * mastering[:, seen], axis=1), 0.0)
    return replace(judged, mean_db=weights @ mean_db[seen], sd_db=np.sqrt(left), music_db=float(scale))


def _widths(
    lead: Profile,
    tracks: Sequence[Profile],
    curves: Sequence[Estimate],
    shared: Estimate,
    closer: Array,
    limits: Limits,
    belief: float | None,
) -> list[width.WidthEstimate | None]:
    """The same of the side against the mid; None for tracks without a side, and for all where the lead has none.

    What is shared is a curve; a track's own departure is one figure, the width of the whole.
    """
    wide = [(t, c) for t, c in zip(tracks, curves, strict=True) if width.has_side(t)]
    if not wide or not width.has_side(lead):
        return [None for _ in tracks]
    difference = np.array([width.against_mid_db(lead) - width.against_mid_db(t) for t, _ in wide])
    heard = np.array([width.side_heard(t) & width.mid_heard(lead) for t, _ in wide])
    mean, any_heard = _mean(difference, heard)
    common = width.estimate_from([mean], any_heard, shared.music_db, belief).side
    own = np.array([t.overall_width_db for t, _ in wide])
    middle = float(own.mean())
    made = np.array([_width_after(t, c.mean_db, common.mean_db) for t, c in wide])
    # The middle goes where the shared curve takes it, as far as that is towards the lead.
    towards = lead.overall_width_db - middle
    moved = float(np.clip(float(made.mean()) - middle, min(towards, 0.0), max(towards, 0.0)))
    having_side = [width.has_side(t) for t in tracks]
    share = closer[having_side] if belief is None else belief
    wanted = middle + moved + (1.0 - share) * (own - middle)
    found = {}
    for (track, _), away, here, more in zip(wide, difference, heard, wanted - made, strict=True):
        curve = np.clip(common.mean_db + more, -limits.width_db, limits.width_db)
        side = replace(common, difference_db=np.where(here, away, 0.0), heard=here)
        found[track.content_hash] = width.with_mean(side, curve)
    return [found.get(t.content_hash) for t in tracks]


def _moved_away(
    lead: Profile,
    tracks: Sequence[Profile],
    others: Sequence[Profile],
    curves: Sequence[Estimate],
    sides: Sequence[width.WidthEstimate | None],
) -> NDArray[np.bool_]:
    """Which of the others would be further from the album's centre than before, in tone and width together."""
    along = [lead] if len(tracks) > len(others) else []
    before = [_at_equal_level(Figures.of(t)) for t in (*others, *along)]
    after = list(before)
    for number, (track, curve, side) in enumerate(zip(others, curves, sides, strict=True)):
        after[number] = msgspec.structs.replace(
            before[number],
            balance_db=tuple(np.add(before[number].balance_db, tone.at_equal_loudness(curve.mean_db, track)).tolist()),
            width_db=before[number].width_db
            if side is None
            else _width_after(track, curve.mean_db, side.side.mean_db),
        )
    pairs = zip(distances(before), distances(after), strict=True)
    return np.array([a.total_db > b.total_db for b, a in pairs])[: len(others)]


def _at_equal_level(figures: Figures) -> Figures:
    return msgspec.structs.replace(figures, integrated_lufs=0.0)


def _width_after(track: Profile, curve_db: Array, side_db: Array) -> float:
    """The width of the whole behind a tone curve and a curve of the side."""
    mid = 10.0 ** ((track.third_octaves_db("mid") + curve_db) / 10.0)
    side = 10.0 ** ((track.third_octaves_db("side") + curve_db + side_db) / 10.0)
    return float(db_from_power(side.sum()) - db_from_power(mid.sum()))


def loudnesses(lead: Profile, tracks: Sequence[Profile], levels: str, limits: Limits) -> list[float]:
    """The loudness each track is to have, LUFS as if silence lay around it.

    keep: all move by the same; where the lead is one of them it stays, and so do they. even: each to the lead's.
    """
    own = np.array([t.isolated_lufs for t in tracks])
    if levels == "even":
        wanted = np.full(len(own), lead.isolated_lufs)
    elif any(t.content_hash == lead.content_hash for t in tracks):
        wanted = own
    else:
        wanted = own + lead.isolated_lufs - own.mean()
    moved = np.clip(wanted - own, -limits.loudness_lu, limits.loudness_lu)
    if levels == "keep":  # what one may not do, none does
        moved = np.full(len(own), moved[np.argmin(np.abs(moved))])
    return [float(v) for v in own + moved]
