"""What an album's tracks are held against each other by: figures for a reader, and distances to the centre."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from dsp.meters.loudness import short_term_lufs
from dsp.units import db_from_power
from matcher.profile import THIRD_OCTAVES_HZ, Profile

LOW_HZ, HIGH_HZ = 250.0, 4000.0
"""Below is low, above is high."""
NARROWEST_DB = -40.0
"""A side further below the mid is no width: two such tracks are equally narrow."""
DEEPEST_DB = -60.0
"""Third octaves further below the loudness than this are equally silent."""
JUDGED = (THIRD_OCTAVES_HZ > 39.0) & (THIRD_OCTAVES_HZ < 16_500.0)


class Figures(Struct, frozen=True, kw_only=True):
    """One track's row of the matrix, and the curve that its tone is judged by."""

    integrated_lufs: float
    short_term_p95_lufs: float
    """What 95 % of its short-term loudness stays below."""
    range_lu: float
    plr_db: float
    tilt_db_oct: float
    low_db: float
    """Level of the mid below 250 Hz against the loudness; so the next two, from there to 4 kHz and above."""
    mid_db: float
    high_db: float
    width_db: float
    true_peak_dbtp: float
    isolated_lufs: float
    """The loudness as if silence lay around the track."""
    balance_db: tuple[float, ...]
    """Third octaves of the mid against the loudness."""

    @classmethod
    def of(cls, profile: Profile) -> Figures:
        """The figures of a measured track, in hundredths."""
        loud = short_term_lufs(profile.segment_power, hop_ms=100)
        loud = loud[loud > -70.0]
        balance = profile.balance_db()
        power = 10.0 ** (balance / 10.0)

        def band_db(inside: NDArray[np.bool_]) -> float:
            return round(float(db_from_power(power[inside].sum())), 2)

        return cls(
            integrated_lufs=round(profile.integrated_lufs, 2),
            short_term_p95_lufs=round(float(np.percentile(loud, 95)) if len(loud) else profile.integrated_lufs, 2),
            range_lu=round(profile.range_lu, 2),
            plr_db=round(profile.plr_db, 2),
            tilt_db_oct=round(profile.tilt_db_oct, 2),
            low_db=band_db(THIRD_OCTAVES_HZ < LOW_HZ),
            mid_db=band_db((THIRD_OCTAVES_HZ >= LOW_HZ) & (THIRD_OCTAVES_HZ < HIGH_HZ)),
            high_db=band_db(THIRD_OCTAVES_HZ >= HIGH_HZ),
            width_db=round(max(profile.overall_width_db, NARROWEST_DB), 2),
            true_peak_dbtp=round(profile.true_peak_dbtp, 3),
            isolated_lufs=round(profile.isolated_lufs, 3),
            balance_db=tuple(np.round(balance, 2).tolist()),
        )


COLUMNS = {
    "integrated_lufs": ("loudness", "LUFS", 1.0),
    "short_term_p95_lufs": ("short-term P95", "LUFS", 1.0),
    "range_lu": ("LRA", "LU", 3.0),
    "plr_db": ("PLR", "dB", 2.0),
    "tilt_db_oct": ("tilt", "dB/oct", 0.75),
    "low_db": ("low", "dB", 2.0),
    "mid_db": ("mid", "dB", 2.0),
    "high_db": ("high", "dB", 2.0),
    "width_db": ("width", "dB", 2.5),
}
"""Field to its heading, unit, and what a track may stand apart by without being an outlier among equals."""


class Distance(Struct, frozen=True, kw_only=True):
    """How far a track is from the album's centre."""

    tone_db: float
    """RMS over the third octaves from 40 Hz to 16 kHz."""
    width_db: float
    loudness_lu: float

    @property
    def total_db(self) -> float:
        """All three together: the root of the sum of their squares."""
        return float(np.hypot(np.hypot(self.tone_db, self.width_db), self.loudness_lu))


def distances(tracks: Sequence[Figures]) -> list[Distance]:
    """Each track's distance to the mean of all."""
    tone = np.maximum([t.balance_db for t in tracks], DEEPEST_DB)[:, JUDGED]
    width = np.array([t.width_db for t in tracks])
    loudness = np.array([t.integrated_lufs for t in tracks])
    rms = np.sqrt(np.mean((tone - tone.mean(axis=0)) ** 2, axis=1))
    away = zip(rms, np.abs(width - width.mean()), np.abs(loudness - loudness.mean()), strict=True)
    return [Distance(tone_db=float(t), width_db=float(w), loudness_lu=float(lu)) for t, w, lu in away]


class Consistency(Struct, frozen=True, kw_only=True):
    """Mean distance of the tracks to their centre; less is more alike."""

    tone_db: float
    width_db: float
    loudness_lu: float
    total_db: float

    @classmethod
    def of(cls, tracks: Sequence[Figures]) -> Consistency:
        """Of at least one track."""
        found = distances(tracks)
        return cls(**{
            name: round(float(np.mean([getattr(d, name) for d in found])), 3)
            for name in ("tone_db", "width_db", "loudness_lu", "total_db")
        })


def outliers(names: Sequence[str], tracks: Sequence[Figures]) -> list[str]:
    """A line for every figure in which a track stands apart from the others; too few tracks have none."""
    if len(tracks) < 3:
        return []
    found = []
    for field, (title, unit, least) in COLUMNS.items():
        values = np.array([getattr(t, field) for t in tracks])
        middle = float(np.median(values))
        spread = 1.4826 * float(np.median(np.abs(values - middle)))
        for name, value in zip(names, values, strict=True):
            if abs(value - middle) > max(3.0 * spread, least):
                found.append(f"{name}: {title} {value:.1f} {unit}, the album's middle is {middle:.1f}")
    return found
