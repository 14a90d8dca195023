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
from matcher.planner.gaussian import Array
from matcher.profile import THIRD_OCTAVES_HZ, Balance, Profile

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
    curve_db: Array, heard: NDArray[np.bool_], target: Profile, exact: bool, start: tuple[Band, ...] = ()
) -> Eq:
    """The equalizer for a curve at `THIRD_OCTAVES_HZ`, less its level, with no boost above `LARGEST_DB` anywhere.

    exact: what bands leave is drawn as well. start: bands of a curve much like this one.
    """
    if np.abs(curve_db[heard]).max(initial=0.0) < WORTH_DB:
        return Eq()
    weight = _weight(heard)
    level = _level_db(curve_db, weight, target, exact)
    most_db = LARGEST_DB
    while True:
        # In hundredths, so that what differs by rounding alone takes the same path: many bands fit a curve as well.
        wanted = np.rint(np.minimum(curve_db - level, most_db) * 100.0) / 100.0
        top_hz = min(20_000.0, target.bandwidth_hz)
        start = fit_bands(FITTED_HZ, _with_edge(wanted), _with_edge(weight), start=start, top_hz=top_hz)
        eq = Eq(bands=tuple(_rounded(b) for b in start))
        if exact:
            eq = msgspec.structs.replace(eq, curves=(_rest(wanted, eq, heard),))
        over_db = float(eq.response_db(EVERYWHERE_HZ, "mid").max()) - LARGEST_DB + BETWEEN_DB
        if over_db <= 0.0:
            return eq
        most_db -= over_db + 0.01


def _weight(heard: NDArray[np.bool_]) -> Array:
    return np.where(heard, 1.0, 0.3)


def _level_db(curve_db: Array, weight: Array, target: Profile, exact: bool) -> float:
    """What of a curve is the level of the whole, which is the gain's business."""
    level = float(np.average(curve_db, weights=weight))
    if exact:  # of its bands or of its loudness, whichever leaves the smaller boosts: they meet their bound
        level = max(level, float((curve_db - tone.at_equal_loudness(curve_db, target))[0]))
    return level


def _with_edge(values: Array) -> Array:
    """Values of third octaves at `FITTED_HZ`."""
    return np.append(values[0], values)


def _rest(wanted_db: Array, eq: Eq, heard: NDArray[np.bool_]) -> Curve:
    """What the bands leave of the wanted curve, drawn closely enough to undo what they do between third octaves."""
    lowest_hz, highest_hz = THIRD_OCTAVES_HZ[heard][[0, -1]]
    places = REST_HZ[(lowest_hz <= REST_HZ) & (highest_hz >= REST_HZ)]
    wanted = np.interp(np.log2(places), np.log2(THIRD_OCTAVES_HZ[heard]), wanted_db[heard])
    rest_db = np.clip(wanted - eq.response_db(places, "mid"), DEEPEST_CUT_DB, -DEEPEST_CUT_DB)
    return Curve(points=_points(places, rest_db))


def _points(frequency_hz: Array, gain_db: Array) -> tuple[Point, ...]:
    pairs = zip(frequency_hz, gain_db, strict=True)
    return tuple(Point(frequency_hz=round(float(f), 1), gain_db=round(float(g), 6)) for f, g in pairs)


def _rounded(band: Band) -> Band:
    return msgspec.structs.replace(
        band, frequency_hz=round(band.frequency_hz, 3), gain_db=round(band.gain_db, 6), q=round(band.q, 6)
    )


def drawn_width(
    side_db: Array, eq: Eq, focus_below_hz: float, focus_depth_db: float, target: Balance
) -> Width:
    """The width for a side at `THIRD_OCTAVES_HZ` re the mid, behind the equalizer."""
    # Tone and width together raise the side by no more than either may alone.
    raised_db = np.array([eq.response_db(np.geomspace(hz / 1.3, hz * 1.3, 9), "side").max() for hz in THIRD_OCTAVES_HZ])
    side_db = np.clip(side_db, DEEPEST_CUT_DB, LARGEST_DB - raised_db)
    side = () if np.abs(side_db).max(initial=0.0) < WORTH_DB else width.points(side_db, target)
    return Width(side=side, focus_below_hz=focus_below_hz, focus_depth_db=focus_depth_db)


def exact_width(
    side_db: Array, curve_db: Array, eq: Eq, heard: NDArray[np.bool_], target: Profile
) -> Width:
    """The width with which the side comes to `curve_db` + `side_db`, whatever the equalizer does with it before.

    As closely drawn as the equalizer, so that what both together raise meets its bound and stays there.
    """
    wanted = curve_db - _level_db(curve_db, _weight(heard), target, exact=True) + side_db
    whole_db = np.interp(np.log2(REST_HZ), np.log2(THIRD_OCTAVES_HZ), np.minimum(wanted, LARGEST_DB))
    gain_db = np.clip(whole_db - eq.response_db(REST_HZ, "side"), DEEPEST_CUT_DB, -DEEPEST_CUT_DB)
    raised_db, nearest = eq.response_db(EVERYWHERE_HZ, "side"), np.searchsorted(REST_HZ, EVERYWHERE_HZ)
    while True:
        wide = Width(side=_points(REST_HZ, gain_db))
        over_db = raised_db + wide.response_db(EVERYWHERE_HZ) - LARGEST_DB + BETWEEN_DB
        if over_db.max() <= 0.0:
            return Width() if np.abs(gain_db).max() < WORTH_DB else wide
        excess_db = np.zeros_like(gain_db)
        for place in (nearest - 1, nearest):  # the points on both sides of where it is too much
            np.maximum.at(excess_db, np.clip(place, 0, len(gain_db) - 1), over_db)
        gain_db = np.maximum(gain_db - excess_db, DEEPEST_CUT_DB)
