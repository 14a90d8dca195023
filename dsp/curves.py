"""Curves over frequency that effects share: points a person can read, in dB over Hz."""

from __future__ import annotations

import itertools
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.effect import Bounded
from dsp.errors import SettingsError

Channels = Literal["all", "mid", "side"]
Frequency = Annotated[float, Meta(ge=5.0, le=96_000.0)]
Decibels = Annotated[float, Meta(ge=-24.0, le=24.0)]


class Point(Bounded, frozen=True, kw_only=True):
    """One point of a curve."""

    frequency_hz: Frequency
    gain_db: Decibels


def check_ascending(owner: str, points: tuple[Point, ...]) -> None:
    """SettingsError unless the points' frequencies rise."""
    for before, after in itertools.pairwise(points):
        if after.frequency_hz <= before.frequency_hz:
            raise SettingsError(
                f"{owner}: {after.frequency_hz:g} Hz after {before.frequency_hz:g} Hz, points must rise in frequency"
            )


def curve_db(points: tuple[Point, ...], frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gain of the curve at each frequency: straight over log frequency, level beyond the ends; 0 dB of no points."""
    if not points:
        return np.zeros_like(frequency_hz)
    octaves = np.log2(np.maximum(frequency_hz, 1e-3))
    return np.interp(octaves, np.log2([p.frequency_hz for p in points]), [p.gain_db for p in points])


def scaled_points(points: tuple[Point, ...], amount: float) -> tuple[Point, ...]:
    """The curve with `amount` of its gain."""
    return tuple(Point(frequency_hz=p.frequency_hz, gain_db=p.gain_db * amount) for p in points)
