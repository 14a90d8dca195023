"""Width: how much more or less side, over frequency, is mastering, and whether the low end was gathered."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from dsp.curves import Point
from dsp.effects.width import Width
from dsp.units import db_from_power
from matcher.planner.gaussian import Array, Estimate, believed, kernel, log_evidence
from matcher.profile import OCTAVES_HZ, THIRD_OCTAVES_HZ, Balance, Profile
from matcher.reference import Reference

NEAR_MONO_DB = -50.0
"""A side this far below the mid is noise, not width."""
BAND_FLOOR_DB = -70.0
"""Side bands this far below the whole track say nothing and are not raised."""
LARGEST_DB = 9.0
FOCUS_HZ = (60.0, 75.0, 90.0, 105.0, 120.0, 140.0, 160.0, 190.0)


@dataclass(frozen=True)
class WidthEstimate:
    """The believed side gain, and where the low end is gathered (0: nowhere)."""

    side: Estimate
    focus_below_hz: float


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


def estimate(target: Profile, reference: Reference, belief: float | None = None) -> WidthEstimate | None:
    """The believed change of the side against the mid per third octave; None where the target has no side."""
    if not has_side(target):
        return None
    width = target.third_octaves_db("side") - target.third_octaves_db("mid")
    there = [np.clip(p.third_octaves_db("side") - p.third_octaves_db("mid"), -40.0, 20.0) for p in reference.tone]
    heard = side_heard(target) & np.all([_mid_heard(p) for p in reference.tone], axis=0)
    difference = np.where(heard, np.clip(np.mean(there, axis=0) - width, -40.0, 40.0), 0.0)
    return estimate_from(difference, heard, belief)


def _mid_heard(profile: Profile) -> np.ndarray:
    mid, whole = profile.third_octaves_db("mid"), db_from_power(profile.spectrum.mid.sum())
    return (mid > whole + BAND_FLOOR_DB) & (profile.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ)


def estimate_from(difference_db: Array, heard: np.ndarray, belief: float | None) -> WidthEstimate:
    """Posterior of the side gain under the roughness of the differences themselves."""
    octaves = np.log2(THIRD_OCTAVES_HZ)
    mastering = kernel(octaves, 0.7, 1.5) + 2.8**2
    music = kernel(octaves, 0.8, 1.2) + 0.5**2 + 0.3 * np.eye(len(octaves))
    rough = roughness_db(difference_db, heard)

    def explained(focus_hz: float) -> float:
        without = difference_db - focus_db(focus_hz)
        return log_evidence(without, heard, mastering + max(rough, 0.3) ** 2 * music) - (3.0 if focus_hz else 0.0)

    focus = max((0.0, *FOCUS_HZ), key=explained) if heard.sum() > 6 else 0.0
    found = believed(THIRD_OCTAVES_HZ, difference_db - focus_db(focus), heard, mastering, music, belief, floor_db=0.1)
    bounded = replace(found, difference_db=difference_db, mean_db=np.clip(found.mean_db, -LARGEST_DB, LARGEST_DB))
    return WidthEstimate(bounded, focus)


def roughness_db(difference_db: Array, heard: np.ndarray) -> float:
    """Typical jump from one third octave to the next, as the size of what makes it."""
    jumps = np.abs(np.diff(difference_db[heard]))
    return float(np.median(jumps)) if len(jumps) else 1.0


def focus_db(focus_hz: float) -> Array:
    """What gathering below `focus_hz` does to the side's third octaves."""
    if focus_hz == 0.0:
        return np.zeros(len(THIRD_OCTAVES_HZ))
    return np.maximum(Width(focus_below_hz=focus_hz).response_db(THIRD_OCTAVES_HZ), -40.0)


def points(estimate: Estimate) -> tuple[Point, ...]:
    """The curve by octave, or a single point where it is flat within half a dB."""
    gain = np.interp(np.log2(OCTAVES_HZ[1:]), np.log2(estimate.frequency_hz), estimate.mean_db)
    if np.ptp(gain) < 0.5:
        return (Point(frequency_hz=1000.0, gain_db=round(float(gain.mean()), 4)),)
    pairs = zip(OCTAVES_HZ[1:], gain, strict=True)
    return tuple(Point(frequency_hz=round(float(f), 1), gain_db=round(float(g), 4)) for f, g in pairs)
