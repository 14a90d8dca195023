"""Width: how much more or less side, over frequency, is mastering, and whether the low end was gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dsp.curves import Point
from dsp.effects.width import Width
from dsp.units import db_from_power
from matcher.planner import image
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
    mixed,
    share_that_nears,
    strangeness,
    weighed,
)
from matcher.planner.likeness import NARROWEST_DB, WIDEST_DB, Expected, Mask, Moments, expectations
from matcher.planner.tone import at_equal_loudness
from matcher.priors import shipped
from matcher.profile import OCTAVES_HZ, THIRD_OCTAVES_HZ, Balance, Profile
from matcher.reference import Record, Reference

NEAR_MONO_DB = -50.0
"""A side this far below the mid is noise, not width."""
LOWEST_DB = -48.0
"""A band whose side lies further below its mid counts as this narrow."""
BAND_FLOOR_DB = -70.0
"""Side bands this far below the whole track say nothing and are not raised."""
LARGEST_DB, LARGEST_ASKED_DB = 9.0, 24.0
"""The most that is raised of the side by itself, and where more is asked for than is believed."""
ROUGH_DB = 1.0
"""What compression and limiting do to the width of single third octaves."""
DETAIL_DB, DETAIL_OCT = 5.0, 0.5
"""What a master does to the width of single bands, where all of it was measured without music."""
STRANGERS_LEVEL = 10.0
"""How much further strangers differ in the width of the whole: a variance, for a difference of 1 dB."""
FOCUS_HZ = (75.0, 95.0, 120.0, 150.0)
FOCUS_DEPTHS_DB = (12.0, 18.0, 26.0)
FOCUS_SHARE = 0.05
"""How many masters have their low end gathered in the centre, before anything was measured."""
FOCUS_WORTH_DB = 3.0
OWN_LOW_END_DB = 4.0
"""How far the low end of one track of a kind may be wider or narrower by itself, beside what all of them vary by."""


@dataclass(frozen=True)
class WidthEstimate:
    """The believed change of the side against the mid, and the part of it that is a low end gathered in the centre."""

    side: Estimate
    focus_below_hz: float
    focus_depth_db: float
    image: image.Raised | None = None
    """What was inferred from how far apart the sources of both lie."""

    @property
    def focus_db(self) -> Array:
        """What gathering the low end does to the side's third octaves."""
        return focus_db(self.focus_below_hz, self.focus_depth_db)


def has_side(profile: Balance) -> bool:
    """Whether a track has a side signal worth the name."""
    side, mid = db_from_power(profile.spectrum.side.sum()), db_from_power(profile.spectrum.mid.sum())
    return bool(side > mid + NEAR_MONO_DB)


def side_heard(profile: Balance | Record) -> Mask:
    """Third octaves in which the side is music."""
    side, mid = profile.third_octaves_db("side"), profile.third_octaves_db("mid")
    whole = _whole_db(side, mid)
    inside = profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ
    return (side > whole + BAND_FLOOR_DB) & (mid > whole + BAND_FLOOR_DB) & inside


def estimate(
    target: Profile,
    reference: Reference,
    moments: Moments,
    curve: Estimate,
    belief: float | None = None,
    evidence: Evidence | None = None,
) -> WidthEstimate | None:
    """The believed change of the side against the mid per third octave; None without a side in both.

    curve: the tone estimate, which the side follows as well, and which says how far the pieces themselves differ.
    evidence: of the passages that both share.
    """
    if not has_side(target) or not reference.wide:
        return None
    difference, heard = measured(target, reference)
    if reference.spread is not None:
        return estimate_among(difference, heard, reference.spread.width, belief)
    alike = moments.of(reference.wide)
    versions = [difference, *(each.width_db for each in alike)]
    expected = expectations(alike, shipped().alike_width)
    told = asks_for_more(belief) or is_same(curve.music_db)  # levels say all there is to say
    raised = None if told else image.raised(target, reference.wide, strangeness(curve.music_db))
    found = estimate_from(versions, heard, curve.music_db, belief, expected, evidence, raised)
    if belief is not None or raised is not None or curve.music_db <= STRANGERS_DB:
        return replace(found, image=raised)
    difference = reference.balance_db("side") - target.balance_db("side")
    moved = at_equal_loudness(curve.mean_db, target)
    share = share_that_nears(found.side.mean_db[heard], difference[heard], moved[heard])
    return with_mean(found.side, found.side.mean_db * share)


def measured(target: Profile, reference: Reference) -> tuple[Array, Mask]:
    """Reference minus target of the side against the mid in third octaves, dB, and in which it says something."""
    lowest_db = LOWEST_DB if reference.spread is None else NARROWEST_DB  # as the spread of a preset was learned
    there = np.mean([against_mid_db(p, lowest_db) for p in reference.wide], axis=0)
    heard = side_heard(target) & np.all([mid_heard(p) for p in reference.wide], axis=0)
    return there - against_mid_db(target, lowest_db), heard


def with_mean(side: Estimate, mean_db: Array) -> WidthEstimate:
    """The estimate with another curve, and the gathered low end found in it."""
    return WidthEstimate(replace(side, mean_db=mean_db), *_gathered_in(mean_db))


def against_mid_db(profile: Balance | Record, lowest_db: float = NARROWEST_DB) -> Array:
    """Side minus mid level per third octave, dB; what lies outside `lowest_db` and `WIDEST_DB` counts as there."""
    return np.clip(profile.third_octaves_db("side") - profile.third_octaves_db("mid"), lowest_db, WIDEST_DB)


def mid_heard(profile: Balance | Record) -> Mask:
    """Third octaves in which the mid is music."""
    mid = profile.third_octaves_db("mid")
    return (mid > _whole_db(mid) + BAND_FLOOR_DB) & (profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ)


def _whole_db(*levels_db: Array) -> float:
    return float(db_from_power(np.sum(10.0 ** (np.array(levels_db) / 10.0))))


def estimate_from(
    differences_db: list[Array],
    heard: Mask,
    music_db: float,
    belief: float | None,
    expected: Sequence[Expected] | None = None,
    evidence: Evidence | None = None,
    raised: image.Raised | None = None,
) -> WidthEstimate:
    """Posterior of the side's gain: the same everywhere or nearly so, with or without a gathered low end.

    differences_db: of the whole tracks, and of moments that are alike where there are any. expected: of each, how far
    the music itself is expected to differ, where that is known. evidence: of the passages that both share. raised:
    what the images of both say.
    """
    # Two excerpts of a piece are about equally wide as a whole; two pieces are not.
    music = music_kernel() + STRANGERS_LEVEL * strangeness(music_db)
    prior = credited(mastering_prior() + _detail(evidence), belief)
    seen = [_seen(d, heard) for d in differences_db]
    passages = () if evidence is None else (evidence,)

    def judged(known: Sequence[Evidence]) -> Estimate:
        return weighed([
            believed(
                THIRD_OCTAVES_HZ,
                d,
                heard,
                prior,
                music,
                floor_db=ROUGH_DB,
                shapes=_gatherings(),
                expected=scale,
                evidence=known,
            )
            for d, scale in zip(seen, expected or [None] * len(seen), strict=True)
        ])

    ways = ((1.0, None),) if raised is None else raised.ways
    found = mixed(
        [judged(passages if shown is None else (*passages, shown)) for _, shown in ways],
        np.array([share for share, _ in ways]),
    )
    return _asked(found, seen[0], belief)


def estimate_among(
    difference_db: Array, heard: Mask, spread: Array, belief: float | None
) -> WidthEstimate:
    """The same, with the covariance of the music's own difference known."""
    seen = _seen(difference_db, heard)
    low = 1.0 / (1.0 + (THIRD_OCTAVES_HZ / 140.0) ** 4)
    music = spread + OWN_LOW_END_DB**2 * np.outer(low, low)
    prior = credited(mastering_prior(), belief)
    found = believed_among(THIRD_OCTAVES_HZ, seen, heard, prior, music, floor_db=ROUGH_DB, shapes=_gatherings())
    return _asked(found, seen, belief)


def mastering_prior() -> Array:
    """Covariance of what mastering does to the side against the mid, dB²."""
    return kernel(np.log2(THIRD_OCTAVES_HZ), 0.8, 1.5) + image.MASTERING_DB**2


def _detail(evidence: Evidence | None) -> Array:
    """Covariance of what a master does to it besides, believed as far as the width was measured without music.

    Compressors take mids and sides differently, and that in bands.
    """
    sure = 0.0 if evidence is None else np.sum(1.0 / (1.0 + np.diag(evidence.covariance))) / len(THIRD_OCTAVES_HZ)
    return kernel(np.log2(THIRD_OCTAVES_HZ), DETAIL_DB * float(sure), DETAIL_OCT)


def music_kernel() -> Array:
    """Covariance of what two pieces of a kind differ by in it by themselves, for a difference of 1 dB."""
    octaves = np.log2(THIRD_OCTAVES_HZ)
    return kernel(octaves, 0.6, 1.2) + 0.1 + 0.35 * np.eye(len(octaves))


def _gatherings() -> tuple[tuple[Array, float], ...]:
    """The low ends that may have been gathered, and how likely each is."""
    share = FOCUS_SHARE / (len(FOCUS_HZ) * len(FOCUS_DEPTHS_DB))
    return tuple((focus_db(hz, depth), share) for hz in FOCUS_HZ for depth in FOCUS_DEPTHS_DB)


def _seen(difference_db: Array, heard: Mask) -> Array:
    return np.where(heard, np.clip(difference_db, -40.0, 40.0), 0.0)


def _asked(found: Estimate, difference_db: Array, belief: float | None) -> WidthEstimate:
    believed_db = at_belief(found.mean_db, difference_db, belief)
    most_db = LARGEST_ASKED_DB if asks_for_more(belief) else LARGEST_DB
    asked_db = np.clip(believed_db, -LARGEST_DB - max(FOCUS_DEPTHS_DB), most_db)
    if asks_for_more(belief):  # the curve itself is drawn, its low end as well
        return WidthEstimate(replace(found, mean_db=asked_db), 0.0, 0.0)
    return with_mean(found, asked_db)


def _gathered_in(curve_db: Array) -> tuple[float, float]:
    """Corner and depth of the low cut that best describes how the curve falls at the bottom; 0, 0 where it does not."""
    top = float(np.median(curve_db[(THIRD_OCTAVES_HZ > 220.0) & (THIRD_OCTAVES_HZ < 1100.0)]))
    low = THIRD_OCTAVES_HZ < 320.0
    depth = top - float(curve_db[THIRD_OCTAVES_HZ < 60.0].mean())
    if depth < FOCUS_WORTH_DB:
        return 0.0, 0.0
    candidates = [(hz, d) for hz in np.arange(60.0, 200.0, 5.0) for d in np.arange(3.0, 30.0, 1.0)]

    def misfit(candidate: tuple[float, float]) -> float:
        return float(np.sum((curve_db - top - focus_db(*candidate))[low] ** 2))

    best = min(candidates, key=misfit)
    return float(best[0]), float(best[1])


def focus_db(focus_below_hz: float, depth_db: float) -> Array:
    """What gathering the low end does to the side's third octaves."""
    return Width(focus_below_hz=focus_below_hz, focus_depth_db=depth_db).response_db(THIRD_OCTAVES_HZ)


RINGING, NOTHING_ABOVE = 1.06, 1.12
"""Up to the first factor above the end of the music it still falls off; from the second on nothing is raised."""


def points(side_db: Array, target: Balance) -> tuple[Point, ...]:
    """The curve by octave, one point where it is flat within half a dB; what lies above the music is not raised."""
    places = OCTAVES_HZ[1:]
    gain = np.interp(np.log2(places), np.log2(THIRD_OCTAVES_HZ), side_db)
    if np.ptp(gain) < 0.5:
        places, gain = np.array([1000.0]), gain.mean(keepdims=True)
    end_hz, nyquist_hz = _end_hz(target), target.spectrum.frequency_hz[-1]
    if end_hz < nyquist_hz:
        there_db = np.interp(np.log2(end_hz), np.log2(places), gain)
        if there_db > 0.0:
            below = places < end_hz
            places, gain = (
                np.append(places[below], [RINGING * end_hz, NOTHING_ABOVE * end_hz]),
                np.append(gain[below], [there_db, 0.0]),
            )
    pairs = zip(places, gain, strict=True)
    return tuple(Point(frequency_hz=round(float(f), 1), gain_db=round(float(g), 6)) for f, g in pairs)


def _end_hz(target: Balance) -> float:
    """Above this the side is no music: beyond the cliff that the spectrum ends with, and too quiet besides."""
    end_hz, spectrum = target.bandwidth_hz, target.spectrum
    # In steps of a semitone, of which the first is where it falls off.
    edges_hz = np.arange(end_hz, spectrum.frequency_hz[-1], (RINGING - 1.0) * end_hz)
    whole = spectrum.mid.sum() + spectrum.side.sum()
    loud_enough = spectrum.in_bands(spectrum.side, edges_hz)[1:] > whole * 10.0 ** ((BAND_FLOOR_DB - 6.0) / 10.0)
    return float(np.max(edges_hz[2:][loud_enough], initial=end_hz))
