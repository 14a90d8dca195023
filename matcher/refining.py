"""Refining: what a full render shows to be missing of its plan is set right, and rendered again.

Sections stand for a track, but a limiter that works hard does more or less to the rest of it than to them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import msgspec
import numpy as np

from dsp.effect import Settings
from dsp.effects.eq import Eq
from dsp.effects.gain import Gain
from dsp.effects.width import Width
from matcher.planner import shaping, tone, width
from matcher.planner.gaussian import asks_for_more, is_same
from matcher.planner.search import bounded
from matcher.planner.shaping import Curves, Shape
from matcher.plans import Believed, Plan, Step
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.rendering import Accept, Rendered

CORRECTIONS = 2
"""Renders after the first, at most."""
CLOSE_LU, CLOSE_TONE_DB, CLOSE_WIDTH_DB = 0.1, 0.15, 0.5
"""Curves by RMS over third octaves. A render that is further from its plan is made again."""
CLOSE_SAME_DB = 0.1
"""The same of a tone whose reference is the same recording: nothing that is missing of it is music."""
STEP_DB = 0.05
"""Of what is corrected: the noise under which a file is rounded makes no other master of it."""
OVER_DB = 0.005
"""Peaks above the ceiling, where no limiter holds them, from which on a render is made again."""


def rendered_closer(
    rendered: Callable[[Plan, Accept], Rendered], made: Plan, before: Profile | None
) -> tuple[Plan, Rendered]:
    """Render, and again with what the full render missed set right, until the plan is met.

    rendered: takes the plan and what to ask before the result is put in place: whatever stops the work before its end,
    there is no file. before: as in `refined`.
    """
    for left in reversed(range(CORRECTIONS + 1)):
        # Asked twice of a file: before it is put in place, and here.
        closer = functools.cache(partial(refined, made, before)) if left else _nothing_closer
        result = rendered(made, partial(_is_met, closer))
        better = closer(result)
        if better is None:
            break
        made = better
    return made, result


def _nothing_closer(result: Rendered) -> None:
    """After the last render."""


def _is_met(closer: Callable[[Rendered], Plan | None], result: Rendered) -> bool:
    return closer(result) is None


def refined(made: Plan, before: Profile | None, result: Rendered) -> Plan | None:
    """The plan with tone, width and gain set right by what its full render measured; None where it is met.

    before: the target behind its repairs; None leaves tone and width as they are.
    """
    gain, missing_lu = made.step("gain"), 0.0
    if gain is not None and made.goal_lufs is not None:
        missing_lu = made.goal_lufs - result.profile.integrated_lufs
    shaped = _Reshaped({}) if before is None else _reshaped(made, before, result.profile)
    more_db, why = _more_gain(made, result, missing_lu)
    if not shaped.worth_it and not why:
        return None
    better = shaped.steps
    if gain is not None:
        gain_db = gain.settings.gain_db - shaped.louder_lu + more_db
        why = why or f"It follows the corrected {'tone' if 'eq' in better else 'width'}."
        better["gain"] = _replaced(gain, Gain(gain_db=round(bounded(gain_db), 3)), why)
    return msgspec.structs.replace(made, steps=tuple(better.get(step.effect, step) for step in made.steps))


def _more_gain(made: Plan, result: Rendered, missing_lu: float) -> tuple[float, str]:
    """By how much the gain is corrected, and why; no reason where that is not worth another render."""
    aims, peak_dbtp = made.aims, result.profile.true_peak_dbtp
    if not aims.limiter:
        over_db = peak_dbtp - aims.ceiling_dbtp
        why = f"The full render's peaks passed the ceiling by {over_db:.2f} dB, and the gain was lowered."
        return (-over_db, why) if over_db > OVER_DB and made.step("gain") is not None else (0.0, "")
    limiter = made.step("limiter")
    ceiling_dbtp = aims.ceiling_dbtp if limiter is None else limiter.settings.ceiling_dbtp
    limited_db = result.measured.get("limiter", {}).get("p95_reduction_db", 0.0)
    wanted_db = missing_lu * (1.0 + min(limited_db, 6.0) / 6.0)
    # Up to the ceiling nothing is limited; from there a dB of gain is at most a dB of limiting.
    room_db = max(0.0, aims.max_limiting_db - limited_db) + max(0.0, ceiling_dbtp - peak_dbtp)
    more_db = min(wanted_db, room_db)
    if abs(missing_lu) <= CLOSE_LU or abs(more_db) < STEP_DB:
        return more_db, ""
    what = "gain" if wanted_db <= room_db else "gain as far as the cap on limiting lets it"
    return more_db, _missed(f"{-missing_lu:+.2f} LU", what)


@dataclass(frozen=True)
class _Reshaped:
    """Tone and width set right."""

    steps: dict[str, Step]
    """Those that change, by effect."""
    worth_it: bool = False
    """Whether it is reason enough for another render."""
    louder_lu: float = 0.0
    """What it does to the loudness."""


def _reshaped(made: Plan, before: Profile, after: Profile) -> _Reshaped:
    if made.believed is None:
        return _Reshaped({})
    was, wanted = _drawn(made, made.believed)
    shape = replace(was)
    tone_db, side_db = (np.rint(db / STEP_DB) * STEP_DB for db in shaping.missing(shape, wanted, before, after))
    shaping.add(shape, tone_db, side_db, wanted, before)
    louder_db = shape.eq.response_db(THIRD_OCTAVES_HZ, "mid") - was.eq.response_db(THIRD_OCTAVES_HZ, "mid")
    other_db = tone.at_equal_loudness(louder_db, after)
    wider_db = shape.width.response_db(THIRD_OCTAVES_HZ) - was.width.response_db(THIRD_OCTAVES_HZ)
    steps, worth_it = {}, False
    changes = (
        (made.step("eq"), shape.eq, other_db[wanted.heard], CLOSE_SAME_DB if shape.same else CLOSE_TONE_DB),
        (made.step("width"), shape.width, wider_db, CLOSE_WIDTH_DB),
    )
    for step, settings, change_db, close_db in changes:
        if step is not None and settings != step.settings:
            largest_db = float(np.abs(change_db).max(initial=0.0))
            closer = isinstance(settings, Eq) and len(settings.curves) > len(step.settings.curves)
            what = "curve" if not closer else "curve, single third octaves as well,"
            steps[step.effect] = _replaced(step, settings, _missed(f"up to {largest_db:.1f} dB", what))
            worth_it |= bool(np.mean(change_db**2) > close_db**2)
    return _Reshaped(steps, worth_it, float((louder_db - other_db)[0]))


def _missed(by: str, what: str) -> str:
    return f"The full render missed that by {by}, and the {what} was corrected."


def _replaced(step: Step, settings: Settings, why: str) -> Step:
    said = step.because if step.because.endswith(why) else f"{step.because} {why}".strip()
    return msgspec.structs.replace(step, settings=settings, because=said)


def _drawn(made: Plan, believed: Believed) -> tuple[Shape, Curves]:
    """Tone and width as the plan has them, and where it wants them."""
    eq_step, width_step = made.step("eq"), made.step("width")
    eq = Eq() if eq_step is None else eq_step.settings
    wide = Width() if width_step is None else width_step.settings
    below_hz, depth_db = wide.focus_below_hz, wide.focus_depth_db
    exact = asks_for_more(made.aims.belief)
    wanted_db = np.zeros(len(THIRD_OCTAVES_HZ)) if believed.side is None else np.array(believed.side.wanted_db)
    curves = Curves(
        tone_db=np.array(believed.tone.wanted_db),
        side_db=wanted_db - width.focus_db(below_hz, depth_db),
        focus_below_hz=below_hz,
        focus_depth_db=depth_db,
        heard=np.array(believed.tone.heard),
        share=shaping.share_made_good(believed.music_db, exact),
    )
    shape = Shape(
        eq,
        wide,
        tone_db=eq.response_db(THIRD_OCTAVES_HZ, "mid"),
        side_db=Width(side=wide.side).response_db(THIRD_OCTAVES_HZ),
        exact=exact,
        same=is_same(believed.music_db, made.aims.belief),
    )
    return shape, curves
