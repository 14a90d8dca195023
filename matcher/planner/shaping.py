"""Tone and width as they are drawn, and corrected by what a rendering measures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dsp.effects.eq import Eq
from dsp.effects.width import Width
from matcher.planner import tone, width
from matcher.planner.bands import LARGEST_DB
from matcher.planner.drawing import WORTH_DB, drawn_eq, drawn_width, exact_width
from matcher.planner.gaussian import Array
from matcher.planner.likeness import Mask
from matcher.profile import THIRD_OCTAVES_HZ, Balance, Profile

DRAWN_DB = 0.01
"""Less is not there."""
ROUGH_DB = 0.1
"""RMS over third octaves of what no equalizer of mastering's kind makes good, from which on it is drawn closely."""
_APART = THIRD_OCTAVES_HZ > 36.0
"""Below, third octaves are told apart too poorly to be corrected one by one."""
HALF_DB = 10.0
"""Of pieces whose music differs by this, half of what their masters do to the tone has to do with each other."""


@dataclass(frozen=True)
class Curves:
    """Where tone and width are heading, dB at `THIRD_OCTAVES_HZ`."""

    tone_db: Array
    side_db: Array
    """Of the side against the mid, without the gathered low end."""
    focus_below_hz: float
    focus_depth_db: float
    heard: Mask
    """Bands in which target and reference have signal."""
    share: float
    """As in `share_made_good`."""

    @property
    def focus_db(self) -> Array:
        """The gathered low end's part of the side."""
        return width.focus_db(self.focus_below_hz, self.focus_depth_db)


@dataclass
class Shape:
    """Where they stand: the settings, and the curves that these were drawn from."""

    eq: Eq
    width: Width
    tone_db: Array
    side_db: Array
    exact: bool
    """Whether what a few bands leave of the curves is made as well: where more is asked for than is believed."""
    same: bool = False
    """Whether reference and target hold the same recording, so that nothing of what a rendering lacks is music."""

    @property
    def is_neutral(self) -> bool:
        """Whether it changes nothing."""
        return self.eq.is_neutral() and self.width.is_neutral()


def share_made_good(music_db: float, exact: bool) -> float:
    """How much of what compressor and limiter do to the tone is made good, 0 to 1, where the music differs by so much.

    They colour every piece in its own way. The reference of the same piece was coloured like the target will be, and is
    met; a stranger says nothing of that, and what ours do to the target is the target's own.
    """
    return 1.0 if exact else 1.0 / (1.0 + (music_db / HALF_DB) ** 4)


def missing(shape: Shape, wanted: Curves, before: Balance, after: Balance) -> tuple[Array, Array]:
    """What a rendering lacks of the wanted tone and width, dB at `THIRD_OCTAVES_HZ`."""
    tone_db = side_db = np.zeros_like(wanted.tone_db)
    inside = after.spectrum.frequency_hz[-1] / 10.0**0.05 > THIRD_OCTAVES_HZ  # a rendering may be at a lower rate
    if not shape.eq.is_neutral():
        heard = wanted.heard & inside
        made_db = after.balance_db() - before.balance_db()
        made_db = shape.tone_db + wanted.share * (made_db - shape.tone_db)
        left_db = wanted.tone_db - made_db
        tone_db = np.where(heard, _correctable(left_db, heard, shape.exact), 0.0)
        if not shape.exact and _closely(shape, left_db, heard):
            tone_db = np.where(heard & _APART, _correctable(left_db, heard, True), tone_db)
    if not shape.width.is_neutral() and width.has_side(before) and width.has_side(after):
        if shape.exact:  # by itself, and not against a mid that falls short
            left_db = wanted.tone_db + wanted.side_db - after.balance_db("side") + before.balance_db("side")
        else:
            here_db, there_db = (p.third_octaves_db("side") - p.third_octaves_db("mid") for p in (before, after))
            drawn_db = shape.side_db + wanted.focus_db
            made_db = drawn_db + wanted.share * (there_db - here_db - drawn_db)
            left_db = wanted.side_db + wanted.focus_db - made_db
        seen = width.side_heard(before) & (wanted.focus_db > -1.0) & inside
        side_db = _correctable(left_db, seen, shape.exact, keep_level=True)
    return tone_db, side_db


def add(shape: Shape, tone_db: Array, side_db: Array, wanted: Curves, target: Profile) -> bool:
    """Draw it anew with what is `missing`; whether that is worth another trial.

    What is not is drawn all the same: else a hair more or less would decide whether a tenth of a dB is corrected.
    """
    most_db, most_side_db = np.abs(tone_db).max(), np.abs(side_db).max()
    moves_tone, moves_side = most_db > DRAWN_DB, most_side_db > DRAWN_DB
    drawn_db = shape.tone_db
    if moves_tone:
        deepest_db = tone.MOST_ASKED_DB if shape.exact else LARGEST_DB
        shape.tone_db = np.clip(drawn_db + tone_db, -deepest_db, LARGEST_DB)
        start = () if shape.exact else shape.eq.bands
        closely = _closely(shape, tone_db, wanted.heard)
        shape.eq = drawn_eq(shape.tone_db, wanted.heard, target, closely, start)
    if shape.exact and (moves_side or (moves_tone and not shape.width.is_neutral())):
        left_db = side_db - (shape.tone_db - drawn_db)  # of which the side has its share
        shape.side_db = np.clip(shape.side_db + left_db, -width.LARGEST_ASKED_DB, width.LARGEST_ASKED_DB)
        shape.width = exact_width(shape.side_db, shape.tone_db, shape.eq, wanted.heard, target)
    elif moves_side:
        shape.side_db = np.clip(shape.side_db + side_db, -width.LARGEST_DB, width.LARGEST_DB)
        shape.width = drawn_width(shape.side_db, shape.eq, wanted.focus_below_hz, wanted.focus_depth_db, target)
    return bool(most_db > WORTH_DB or most_side_db > 2.0 * WORTH_DB)


def _closely(shape: Shape, error_db: Array, heard: Mask) -> bool:
    """Whether a deviation of the tone is made good in single third octaves, and not only as a master would."""
    if shape.exact or not shape.same:
        return shape.exact
    rough_db = (_correctable(error_db, heard, True) - tone.smoothed(error_db, heard))[heard & _APART]
    return bool(shape.eq.curves) or (len(rough_db) > 0 and float(np.mean(rough_db**2)) > ROUGH_DB**2)


def _correctable(error_db: Array, heard: Mask, exact: bool, *, keep_level: bool = False) -> Array:
    """What of a deviation is corrected: all of it, or what is as smooth as mastering."""
    if not exact:
        return tone.smoothed(error_db, heard, keep_level=keep_level)
    level = 0.0 if keep_level or not heard.any() else error_db[heard].mean()
    return np.where(heard, error_db - level, 0.0)
