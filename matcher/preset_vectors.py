"""Tracks as rows of numbers: what presets are estimated from, and what their likeness is measured in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from matcher.features import Array, Features
from matcher.planner import density, tone, width
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.reference import Record

TONE, WIDTH, DENSITY, FIGURES = slice(0, 30), slice(30, 60), slice(60, 65), slice(65, 73)
COLUMNS = 73
ONE_MEASURE = (TONE, WIDTH, DENSITY)
"""Groups of columns that are measured in dB each and vary together."""


@dataclass(frozen=True)
class Vectors:
    """Tracks by row, both of shape (tracks, COLUMNS)."""

    values: Array
    heard: NDArray[np.bool_]
    """Where a track says something; elsewhere its value is 0."""

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Vectors:
        return Vectors(self.values[rows], self.heard[rows])


def vector(track: Record, figures: Sequence[str]) -> tuple[Array, NDArray[np.bool_]]:
    """Third octaves of mid and of side against mid, the figures of compression, and `figures` by attribute."""
    balance = track.balance_db()
    inside = track.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ
    mid = inside & (balance > balance.max() + tone.LOWEST_HEARD_DB)
    side = width.side_heard(track) & width.mid_heard(track) if track.has_side else np.zeros_like(mid)
    wide = ("overall_width_db", "correlation")
    own = [getattr(track, name) for name in figures]
    known = [track.has_side or name not in wide for name in figures]
    heard = np.concatenate([mid, side, np.ones(5, dtype=bool), known])
    values = np.concatenate([balance, width.against_mid_db(track), density.of_profile(track), own])
    return np.where(heard, values, 0.0), heard


def vectors(tracks: Sequence[Features], figures: Sequence[str]) -> Vectors:
    """Rows of `vector`."""
    rows = [vector(track, figures) for track in tracks]
    return Vectors(np.array([v for v, _ in rows]), np.array([h for _, h in rows]))
