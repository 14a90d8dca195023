"""Width: how much more or less side, over frequency, is mastering, and whether the low end was gathered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dsp.curves import Point
from dsp.effects.width import Width
from dsp.units import db_from_power
from matcher.planner.gaussian import (
    STRANGERS_DB,
    Array,
    Estimate,
    at_belief,
    believed,
    kernel,
    share_that_nears,
    weighed,
)
from matcher.planner.likeness import Moments
from matcher.planner.tone import at_equal_loudness
from matcher.profile import OCTAVES_HZ, THIRD_OCTAVES_HZ, Balance, Profile
from matcher.reference import Reference

NEAR_MONO_DB = -50.0
"""A side this far below the mid is noise, not width."""
BAND_FLOOR_DB = -70.0
"""Side bands this far below the whole track say nothing and are not raised."""
LARGEST_DB, LARGEST_ASKED_DB = 9.0, 24.0
"""The most that is raised of the side by itself, and where more is asked for than is believed."""
FOCUS_HZ = (75.0, 95.0, 120.0, 150.0)
FOCUS_DEPTHS_DB = (12.0, 18.0, 26.0)
FOCUS_SHARE = 0.3
"""How many masters have their low end gathered in the centre, before anything was measured."""
FOCUS_WORTH_DB = 3.0


@dataclass(frozen=True)
class WidthEstimate:
    """The believed change of the side against the mid, and the part of it that is a low end gathered in the centre."""

    side: Estimate
    focus_below_hz: float
    focus_depth_db: float

    @property
    def focus_db(self) -> Array:
        """What gathering the low end does to the side's third octaves."""
        return focus_db(self.focus_below_hz, self.focus_depth_db)


def has_side(profile: Balance) -> bool:
    """Whether a track has a side signal worth the name."""
    side, mid = db_from_power(profile.spectrum.side.sum()), db_from_power(profile.spectrum.mid.sum())
    return bool(side > mid + NEAR_MONO_DB)


def side_heard(profile: Balance) -> np.ndarray:
    """Third octaves in which the side is music."""
    side, mid = profile.third_octaves_db("side"), profile.third_octaves_db("mid")
    whole = db_from_power(profile.spectrum.mid.sum() + profile.spectrum.side.sum())
    inside = profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ
    return (side > whole + BAND_FLOOR_DB) & (mid > whole + BAND_FLOOR_DB) & inside


def estimate(
    target: Profile, reference: Reference, moments: Moments, curve: Estimate, belief: float | None = None
) -> WidthEstimate | None:
    """The believed change of the side against the mid per third octave; None without a side in both.

    curve: the tone estimate, which the side follows as well, and which says how far the pieces themselves differ.
    """
    if not has_side(target) or not reference.wide:
        return None
    width = against_mid_db(target)
    there = [against_mid_db(p) for p in reference.wide]
    heard = side_heard(target) & np.all([mid_heard(p) for p in reference.wide], axis=0)
    versions = [np.mean(there, axis=0) - width, *(each.width_db for each in moments.of(reference.wide))]
    found = estimate_from(versions, heard, curve.music_db, belief)
    if belief is not None or curve.music_db <= STRANGERS_DB:
        return found
    difference = reference.balance_db("side") - target.balance_db("side")
    moved = at_equal_loudness(curve.mean_db, target)
    share = share_that_nears(found.side.mean_db[heard], difference[heard], moved[heard])
    return with_mean(found.side, found.side.mean_db * share)


def with_mean(side: Estimate, mean_db: Array) -> WidthEstimate:
    """The estimate with another curve, and the gathered low end found in it."""
    return WidthEstimate(replace(side, mean_db=mean_db), *_gathered_in(mean_db))


def against_mid_db(profile: Balance) -> Array:
    """Side minus mid level per third octave, dB."""
    return np.clip(profile.third_octaves_db("side") - profile.third_octaves_db("mid"), -40.0, 20.0)


def mid_heard(profile: Profile) -> np.ndarray:
    """Third octaves in which the mid is music."""
    mid, whole = profile.third_octaves_db("mid"), db_from_power(profile.spectrum.mid.sum())
    return (mid > whole + BAND_FLOOR_DB) & (profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ)


def estimate_from(
    differences_db: list[Array], heard: np.ndarray, music_db: float, belief: float | None
) -> WidthEstimate:
    """Posterior of the side's gain: the same everywhere or nearly so, with or without a gathered low end.

    differences_db: of the whole tracks, and of moments that are alike where there are any.
    """
    octaves = np.log2(THIRD_OCTAVES_HZ)
    mastering = kernel(octaves, 0.8, 1.5) + 2.8**2
    # Two excerpts of a piece are about equally wide as a whole; two pieces are not.
    strangers = 1.0 / (1.0 + (10.0 / max(music_db, 0.1)) ** 6)
    music = kernel(octaves, 0.6, 1.2) + (0.1 + 2.5 * strangers) + 0.35 * np.eye(len(octaves))
    share = FOCUS_SHARE / (len(FOCUS_HZ) * len(FOCUS_DEPTHS_DB))
    gathered = [(hz, depth) for hz in FOCUS_HZ for depth in FOCUS_DEPTHS_DB]
    shapes = tuple((focus_db(hz, depth), share) for hz, depth in gathered)
    seen = [np.where(heard, np.clip(d, -40.0, 40.0), 0.0) for d in differences_db]
    found = weighed(
        [believed(THIRD_OCTAVES_HZ, d, heard, mastering, music, floor_db=0.3, shapes=shapes) for d in seen]
    )
    believed_db = at_belief(found.mean_db, seen[0], belief)
    most_db = LARGEST_DB if belief is None or belief <= 0.5 else LARGEST_ASKED_DB
    curve = np.clip(believed_db, -LARGEST_DB - max(FOCUS_DEPTHS_DB), most_db)
    return with_mean(found, curve)


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


def points(side_db: Array, exact: bool = False) -> tuple[Point, ...]:
    """The curve by octave, or by third octave; a single point where it is flat within half a dB."""
    places = THIRD_OCTAVES_HZ if exact else OCTAVES_HZ[1:]
    gain = np.interp(np.log2(places), np.log2(THIRD_OCTAVES_HZ), side_db)
    if np.ptp(gain) < 0.5:
        return (Point(frequency_hz=1000.0, gain_db=round(float(gain.mean()), 6)),)
    pairs = zip(places, gain, strict=True)
    return tuple(Point(frequency_hz=round(float(f), 1), gain_db=round(float(g), 6)) for f, g in pairs)
