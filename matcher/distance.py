"""Distance: how far a track is from a reference, feature by feature, in a listener's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsp.units import db_from_power
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import Record, Reference

ANY_PEAK_DB = 200.0
"""The ceiling judges true peaks, not the reference: many a record clips."""


ANY_SIDE_DB = -60.0
"""Below this a side is not compared."""


@dataclass(frozen=True)
class Feature:
    """One measure of two tracks."""

    name: str
    unit: str
    value: float
    reference: float
    tolerance: float
    """Differences up to this are not heard, or are within what masters of one record differ by."""

    @property
    def difference(self) -> float:
        """Reference minus value."""
        return self.reference - self.value

    @property
    def within(self) -> bool:
        """Whether the difference is within the tolerance."""
        return abs(self.difference) <= self.tolerance


@dataclass(frozen=True)
class Gap:
    """All features of a track against a reference, and the distance of their tone curves."""

    features: tuple[Feature, ...]
    tone_db: float
    """RMS difference of the third octaves of the mid at equal loudness, 40 Hz to 16 kHz."""
    side_tone_db: float
    """The same of the side; 0 where the track or every reference has none."""


def gap(track: Profile, reference: Reference) -> Gap:
    """Measure `track` against `reference`."""
    wide = reference.wide or reference.tone

    def feature(name: str, unit: str, attribute: str, tolerance: float, part: tuple[Record, ...]) -> Feature:
        there = float(np.mean([getattr(p, attribute) for p in part]))
        if reference.spread is not None:  # anything within the range of its kind is right
            tolerance = max(tolerance, reference.spread.figures[attribute])
        return Feature(name, unit, float(getattr(track, attribute)), there, tolerance)

    features = (
        feature("loudness", "LUFS", "integrated_lufs", 0.2, reference.loudness),
        feature("loudness range", "LU", "range_lu", 2.0, reference.dynamics),
        feature("true peak", "dBTP", "true_peak_dbtp", ANY_PEAK_DB, reference.loudness),
        feature("peak to loudness", "dB", "plr_db", 1.0, reference.dynamics),
        feature("crest factor", "dB", "crest_db", 1.0, reference.dynamics),
        feature("tilt", "dB/oct", "tilt_db_oct", 0.5, reference.tone),
        feature("width", "dB", "overall_width_db", 1.5, wide),
        feature("correlation", "", "correlation", 0.15, wide),
    )
    return Gap(features, tone_distance_db(track, reference), tone_distance_db(track, reference, "side"))


def tone_distance_db(track: Profile, reference: Reference, channel: str = "mid") -> float:
    """RMS difference of third octaves at equal loudness where both tracks have signal, 40 Hz to 16 kHz."""
    if channel == "side" and not (_any_side(track) and any(_any_side(p) for p in reference.tone)):
        return 0.0
    there = reference.balance_db(channel)
    here = track.balance_db(channel)
    loudest = float(db_from_power(track.spectrum.mid.sum())) - track.spectral_lufs
    heard = (there > loudest - 70.0) & (here > loudest - 70.0)
    heard &= (THIRD_OCTAVES_HZ > 39.0) & (THIRD_OCTAVES_HZ < 16_500.0)
    return float(np.sqrt(np.mean((there - here)[heard] ** 2))) if heard.any() else 0.0


def _any_side(track: Profile | Record) -> bool:
    return track.overall_width_db > ANY_SIDE_DB
