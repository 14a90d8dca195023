"""Wanted curves drawn as settings: the bands of an equalizer, what they leave, and the points of a width."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from dsp.curves import Point
from dsp.effects.eq import Band, Curve, Eq
from dsp.effects.width import Width
from matcher.planner import tone, width
from matcher.planner.bands import LARGEST_DB, fit_bands
from matcher.planner.gaussian import Array, Estimate
from matcher.profile import THIRD_OCTAVES_HZ, Profile

WORTH_DB = 0.1
"""Smaller moves are not made."""
DEEPEST_CUT_DB = -24.0
EVERYWHERE_HZ = np.geomspace(20.0, 20_000.0, 1500)
BETWEEN_DB = 0.005
"""Room for what a response does between those places."""
REST_HZ = np.geomspace(25.0, 20_000.0, 88)
"""Ninths of an octave: third octaves and two places between."""
FITTED_HZ = np.append(20.0, THIRD_OCTAVES_HZ)
"""Where bands follow a curve: to the end of what is heard, which no third octave is centred at."""


def drawn_eq(
    curve_db: Array, believed: Estimate, target: Profile, exact: bool, start: tuple[Band, ...] = ()
) -> Eq:
    """The equalizer for a curve at `THIRD_OCTAVES_HZ`, less its level, with no boost above `LARGEST_DB` anywhere.

    exact: what bands leave is drawn as well. start: bands of a curve much like this one.
    """
    if np.abs(curve_db[believed.heard]).max(initial=0.0) < WORTH_DB:
        return Eq()
    # The level of the whole is the gain's business.
    weight = np.where(believed.heard, 1.0, 0.3)
    level = float(np.average(curve_db, weights=weight))
    if exact:  # of its bands or of its loudness, whichever leaves the smaller boosts: they meet their bound
        level = max(level, float((curve_db - tone.at_equal_loudness(curve_db, target))[0]))
    most_db = LARGEST_DB
    while True:
        wanted = np.minimum(curve_db - level, most_db)
        top_hz = min(20_000.0, target.bandwidth_hz)
        start = fit_bands(FITTED_HZ, _with_edge(wanted), _with_edge(weight), start=start, top_hz=top_hz)
        eq = Eq(bands=tuple(_rounded(b) for b in start))
        if exact:
            eq = msgspec.structs.replace(eq, curves=(_rest(wanted, eq, believed.heard),))
        over_db = float(eq.response_db(EVERYWHERE_HZ, "mid").max()) - LARGEST_DB + BETWEEN_DB
        if over_db <= 0.0:
            return eq
        most_db -= over_db + 0.01


def _with_edge(values: Array) -> Array:
    """Values of third octaves at `FITTED_HZ`."""
    return np.append(values[0], values)


def _rest(wanted_db: Array, eq: Eq, heard: NDArray[np.bool_]) -> Curve:
    """What the bands leave of the wanted curve, drawn closely enough to undo what they do between third octaves."""
    lowest_hz, highest_hz = THIRD_OCTAVES_HZ[heard][[0, -1]]
    places = REST_HZ[(lowest_hz <= REST_HZ) & (highest_hz >= REST_HZ)]
    wanted = np.interp(np.log2(places), np.log2(THIRD_OCTAVES_HZ[heard]), wanted_db[heard])
    rest_db = np.clip(wanted - eq.response_db(places, "mid"), DEEPEST_CUT_DB, -DEEPEST_CUT_DB)
    pairs = zip(places, rest_db, strict=True)
    return Curve(points=tuple(Point(frequency_hz=round(float(f), 1), gain_db=round(float(g), 6)) for f, g in pairs))


def _rounded(band: Band) -> Band:
    return msgspec.structs.replace(
        band, frequency_hz=round(band.frequency_hz, 3), gain_db=round(band.gain_db, 6), q=round(band.q, 6)
    )


def drawn_width(side_db: Array, eq: Eq, focus_below_hz: float, focus_depth_db: float, exact: bool) -> Width:
    """The width for a side at `THIRD_OCTAVES_HZ` re the mid, behind the equalizer."""
    # Tone and width together raise the side by no more than either may alone.
    raised_db = np.array([eq.response_db(np.geomspace(hz / 1.3, hz * 1.3, 9), "side").max() for hz in THIRD_OCTAVES_HZ])
    side_db = np.clip(side_db, DEEPEST_CUT_DB, LARGEST_DB - raised_db)
    side = () if np.abs(side_db).max(initial=0.0) < WORTH_DB else width.points(side_db, exact)
    return Width(side=side, focus_below_hz=focus_below_hz, focus_depth_db=focus_depth_db)
