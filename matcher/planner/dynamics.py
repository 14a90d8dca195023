"""Dynamics: how much denser the reference is in each band, and the compressor that makes the target so.

Density is read from the level distribution in three bands every 10 ms: how far the loud moments stand above the
usual ones. Only more density can be made; a reference with less is reported, not faked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsp.effects.compressor import Compressor, CompressorBand, band_gain_db
from dsp.effects.eq import Eq
from dsp.meters.dynamics import BANDS, CROSSOVERS_HZ, SEGMENT_S
from dsp.units import db_from_power
from matcher.planner.gaussian import Array
from matcher.profile import Profile
from matcher.reference import Reference

LEVEL_S = 0.05
DENSITY_SD_DB = (2.4, 1.3, 1.9)
"""How far mastering changes the spread of the low, mid and high band, one standard deviation."""
MUSIC_SD_DB = (2.9, 0.6, 3.2)
"""How far the spreads of two pieces of one style differ without any mastering."""
LARGEST_DB = 4.0
HEARD_DB = -55.0
WORTH_DB = 0.3
RATIO = 2.0


@dataclass(frozen=True)
class BandDensity:
    """The spread (P95 - P50 of 50 ms levels) of one band, dB."""

    name: str
    target_db: float
    reference_db: float
    believed_db: float
    """The change that is taken for mastering; negative is denser."""


def levels_db(profile: Profile, band: str) -> Array:
    """Level of a band every 10 ms, without the silent stretches."""
    level = profile.sketch.power_db(band).astype(np.float64)
    whole = profile.sketch.power_db("whole")
    return level[whole > whole.max() + HEARD_DB]


def spread_db(level_db: Array) -> float:
    """P95 - P50 of the power over 50 ms."""
    step = round(LEVEL_S / SEGMENT_S)
    blocks = len(level_db) // step
    if blocks < 4:
        return 0.0
    power = (10.0 ** (level_db[: blocks * step] / 10.0)).reshape(blocks, step).mean(axis=1)
    top, half = np.percentile(10.0 * np.log10(power + 1e-12), [95, 50])
    return float(top - half)


def densities(target: Profile, reference: Reference, belief: float | None = None) -> list[BandDensity]:
    """How dense target and reference are per band, and what of the difference is believed."""
    doubt = 1.0 if belief is None else (1.0 - belief) / max(belief, 1e-6)
    found = []
    for name, mastering, music in zip(BANDS, DENSITY_SD_DB, MUSIC_SD_DB, strict=False):
        share = mastering**2 / (mastering**2 + doubt * music**2)
        here = spread_db(levels_db(target, name))
        there = float(np.mean([spread_db(levels_db(p, name)) for p in reference.dynamics]))
        found.append(BandDensity(name, here, there, max(share * (there - here), -LARGEST_DB)))
    return found


def compressor(target: Profile, wanted: list[BandDensity], eq: Eq) -> Compressor:
    """A three-band compressor that brings each band's spread as far down as is believed; neutral where none is.

    eq: what the target has gone through before, as it moves the levels that the thresholds are set against.
    """
    bands = []
    for density, shift_db in zip(wanted, _shifts_db(target, eq), strict=True):
        bands.append(_band(levels_db(target, density.name) + shift_db, density))
    if all(b.ratio == 1.0 for b in bands):
        return Compressor()
    return Compressor(crossovers_hz=CROSSOVERS_HZ, bands=tuple(bands))


def _shifts_db(target: Profile, eq: Eq) -> list[float]:
    """By how much the equalizer changes the level of each band."""
    hz = target.spectrum.frequency_hz
    power = target.spectrum.mid + target.spectrum.side
    after = power * 10.0 ** (eq.response_db(np.maximum(hz, 1.0), "mid") / 10.0)
    edges = np.array([0.0, *CROSSOVERS_HZ, hz[-1]])
    levels = [db_from_power(target.spectrum.in_bands(p, edges)) for p in (power, after)]
    return list(levels[1] - levels[0])


def _band(level_db: Array, density: BandDensity) -> CompressorBand:
    """The threshold at which the band's spread falls by the wanted amount, by bisection on the level track."""
    if density.believed_db > -WORTH_DB or len(level_db) < 100:
        return CompressorBand()
    goal = density.target_db + density.believed_db
    low, high = float(np.percentile(level_db, 30)), float(level_db.max())
    for _ in range(12):
        threshold = (low + high) / 2
        made = _made(level_db, threshold)
        if spread_db(level_db + band_gain_db(level_db, SEGMENT_S, made)) > goal:
            high = threshold
        else:
            low = threshold
    band = _made(level_db, round((low + high) / 2, 4))
    after = level_db + band_gain_db(level_db, SEGMENT_S, band)
    lost = 10.0 * np.log10(np.mean(10.0 ** (level_db / 10.0)) / np.mean(10.0 ** (after / 10.0)))
    return _made(level_db, band.threshold_db, makeup_db=round(float(np.clip(lost, 0.0, 12.0)), 4))


def _made(level_db: Array, threshold_db: float, makeup_db: float = 0.0) -> CompressorBand:
    return CompressorBand(
        threshold_db=float(np.clip(threshold_db, -80.0, 0.0)),
        ratio=RATIO,
        knee_db=6.0,
        attack_ms=20.0,
        release_ms=150.0,
        makeup_db=makeup_db,
    )
