"""Reasons: the sentence behind each step of a plan, in plain words and numbers.

Each says what was measured, how much of it is believed to be mastering, and what was done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.effects.compressor import Compressor
from dsp.meters.dynamics import HEARD_DB, figures
from matcher.aims import Aims
from matcher.distance import tone_distance_db
from matcher.planner.density import NAMES, Density
from matcher.planner.dynamics import Levels, reduction_db
from matcher.planner.gaussian import Array, Estimate
from matcher.planner.passages import PASSAGE_S
from matcher.planner.width import WidthEstimate
from matcher.plans import Believed, Curve, Figure
from matcher.profile import Profile
from matcher.reference import Reference

REGIONS = (("sub bass", 20, 60), ("bass", 60, 200), ("low mids", 200, 800), ("mids", 800, 3000),
           ("presence", 3000, 8000), ("air", 8000, 20_000))
SMALL_DB, SMALL_DENSITY_DB = 0.2, 0.3
"""Regions and figures that are moved by less are left out."""


@dataclass(frozen=True)
class Reduction:
    """What a compressor takes of one band while there is music, dB."""

    typical_db: float
    loud_db: float
    """Exceeded in 5 % of the time."""


def tone(
    target: Profile,
    reference: Reference,
    aims: Aims,
    believed: Estimate,
    made_db: Array,
    *,
    same: bool = False,
    passages: int = 0,
) -> str:
    """The whole, then by region: what was measured, how much is believed, what was done.

    same: whether both are the same recording; passages: how many are in both, where the whole is not.
    """
    heard = believed.heard
    trust = f"{_rms(believed.mean_db[heard]):.1f} dB are believed to be mastering, the rest to be the music's own"
    if same:
        trust = "all of it is taken for mastering, as both hold the same recording"
    elif aims.belief == 1.0:
        trust = "all of it is taken for mastering, as was asked for"
    parts = []
    for name, low, high in REGIONS:
        inside = heard & (believed.frequency_hz >= low) & (believed.frequency_hz < high)
        if inside.any() and abs(made_db[inside].mean()) >= SMALL_DB:
            differs, sure = believed.difference_db[inside].mean(), believed.sd_db[inside].mean()
            done = _believed_and_made(believed.mean_db[inside].mean(), sure, made_db[inside].mean())
            parts.append(f"{name} {differs:+.1f} dB, {done}")
    return (
        f"The reference's tone differs by {tone_distance_db(target, reference):.1f} dB;"
        f" {trust}.{_same_recording(passages)} By region: {'; '.join(parts) or f'less than {SMALL_DB:g} dB anywhere'}."
    )


def width(sides: WidthEstimate, made_db: Array) -> str:
    """What was measured of the side, how much is believed, and what is done."""
    side, heard = sides.side, sides.side.heard
    if not heard.any():
        return f"Nowhere is a side heard in both; {_rms(made_db):.1f} dB (RMS) are made, so that it follows the tone."
    done = _believed_and_made(side.mean_db[heard].mean(), side.sd_db[heard].mean(), made_db[heard].mean())
    words = (
        f"The reference's side against its mid differs by {side.difference_db[heard].mean():+.1f} dB from the target's"
        f" on average, {done}"
    )
    if sides.image is not None:
        words += (
            f". How far apart its sources lie says that it was made {abs(sides.image.mean_db):.1f} dB"
            f" {'wider' if sides.image.mean_db > 0.0 else 'narrower'} (give or take {sides.image.sd_db:.1f} dB)"
        )
    if sides.focus_below_hz:
        words += (
            f". Its low end is gathered in the centre: below about {sides.focus_below_hz:.0f} Hz the side falls"
            f" by {sides.focus_depth_db:.0f} dB"
        )
    return words + "."


def dynamics(judged: Density, made_db: Array, compressor: Compressor, compressed_db: Sequence[Reduction] = ()) -> str:
    """Per figure both tracks, what is believed and asked; then what it takes of each band.

    Of the figures that a compressor is for: peak to loudness follows from the gain and the ceiling.
    """
    rows = zip(NAMES[:4], judged.target_db, judged.reference_db, judged.believed_db, made_db, strict=False)
    parts = [
        f"{name} {here:.1f} dB here, {there:.1f} there, {_believed_and_made(trust, None, made, done='asked for')}"
        for name, here, there, trust, made in rows
        if made <= -SMALL_DENSITY_DB
    ]
    words = f"The reference is denser: {'; '.join(parts) or f'each figure by less than {SMALL_DENSITY_DB:g} dB'}."
    taken = [
        f"{name} by {one.typical_db:.1f} dB typically, {one.loud_db:.1f} dB in loud moments"
        for name, one, band in zip(band_names(compressor), compressed_db, compressor.bands, strict=False)
        if not band.is_neutral
    ]
    if not taken:
        return words
    attack_ms = next(band.attack_ms for band in compressor.bands if not band.is_neutral)
    return f"{words} Turned down, with an attack of {attack_ms:.1f} ms: {'; '.join(taken)}."


def band_names(compressor: Compressor) -> tuple[str, ...]:
    """Each band by its edges: `below 200 Hz`, `200 Hz to 3.2 kHz`, `above 3.2 kHz`; `everything` where there is one."""
    edges = [_hertz(hz) for hz in compressor.crossovers_hz]
    if not edges:
        return ("everything",)
    return (f"below {edges[0]}", *(f"{low} to {high}" for low, high in pairwise(edges)), f"above {edges[-1]}")


def loudness(
    target: Profile,
    reference: Reference,
    aims: Aims,
    goal_lufs: float,
    gain_db: float,
    held_back: str,
    reached_lufs: float,
) -> str:
    """From where to where, by how much gain, and whether that was reached; all as meters read it."""
    asked, here = aims.loudness_lufs, target.integrated_lufs
    there = reference.wanted_lufs(here) if asked is None else asked
    if asked is None and reference.spread is not None:
        around = f"{reference.integrated_lufs:.1f} ±{reference.spread.loudness_lu:.1f} LUFS"
        move = f"{there - here:+.1f} LU of the {reference.integrated_lufs - here:+.1f} are taken for mastering"
        words = f"The preset's tracks lie at {around}, the target at {here:.1f}: {move}"
    else:
        words = (
            f"{'The reference is' if asked is None else 'Asked for are'} {there:.1f} LUFS, the target {here:.1f}:"
            f" {there - here:+.1f} LU, all of it taken for mastering"
        )
    if abs(goal_lufs - there) > 0.05:
        words += f", {goal_lufs - here:+.1f} LU of it asked for"
    words += f". A gain of {gain_db:+.1f} dB, with what the other steps add or take,"
    if not held_back:
        return f"{words} reaches {goal_lufs:.1f} LUFS."
    return f"{words} ends near {reached_lufs:.1f} LUFS: {_obstacle(held_back, aims)}."


def limiter(
    target: Profile, aims: Aims, ceiling_dbtp: float, reduction_p95_db: float, crest_cost_db: float, *, alone: bool
) -> str:
    """Why the limiter is there and what it costs."""
    if alone:
        peak = f"{target.true_peak_dbtp:+.2f} dBTP"
        return f"The target's true peak of {peak} is above the ceiling of {aims.ceiling_dbtp:g} dBTP and is held to it."
    where = f"No true peak above {aims.ceiling_dbtp:g} dBTP"
    if ceiling_dbtp < aims.ceiling_dbtp - 0.05:
        where = f"The reference's peaks stand no higher above its loudness: ceiling at {ceiling_dbtp:.1f} dBTP"
    return (
        f"{where}. It reduces by less than {reduction_p95_db:.1f} dB for 95 % of the time, which costs"
        f" {max(crest_cost_db, 0.0):.1f} dB of crest factor."
    )


def remarks(
    target: Profile, reference: Reference, aims: Aims, goal_lufs: float, held_back: str, judged: Density
) -> tuple[str, ...]:
    """Which preset was chosen; what was left alone or could not be reached, and why."""
    found = [reference.chosen] if reference.chosen else []
    if target.channels == 1:
        found.append("The target is mono and stays mono: width was left out.")
    elif not target.has_side:
        found.append("The target is all but mono: there is no side signal to widen, so width was left out.")
    if held_back:
        found.append(f"The loudness of {goal_lufs:.1f} LUFS was not reached: {_obstacle(held_back, aims)}.")
    looser = [name for name, change in zip(NAMES[:4], judged.believed_db[:4], strict=True) if change > 1.0]
    if looser:
        found.append(
            f"The reference is more dynamic than the target ({', '.join(looser)}): what was compressed away before"
            " cannot be put back, and is not faked."
        )
    if target.bandwidth_hz < 0.45 * target.sample_rate_hz:
        found.append(f"The target ends at {target.bandwidth_hz / 1000:.1f} kHz: nothing is boosted above it.")
    if np.isclose(aims.amount, 0.0):
        found.append("amount is 0: nothing was asked for.")
    return tuple(found)


def believed(
    tone: Estimate,
    wanted_tone_db: Array,
    sides: WidthEstimate | None,
    wanted_side_db: Array,
    judged: Density,
    wanted_density_db: Array,
) -> Believed:
    """What the plan keeps of the estimates, in hundredths of a dB; more exactly what is wanted."""
    rows = zip(NAMES, judged.target_db, judged.reference_db, judged.believed_db, wanted_density_db, strict=True)
    return Believed(
        frequency_hz=tuple(round(float(hz), 1) for hz in tone.frequency_hz),
        tone=_curve(tone, wanted_tone_db),
        side=None if sides is None else _curve(sides.side, wanted_side_db),
        density=tuple(
            Figure(
                name=name,
                target_db=_hundredths(here),
                reference_db=_hundredths(there),
                believed_db=_hundredths(trust),
                wanted_db=_hundredths(wanted),
            )
            for name, here, there, trust, wanted in rows
        ),
        music_db=_hundredths(tone.music_db),
    )


def compressed_db(levels: Levels, compressor: Compressor) -> tuple[Reduction, ...]:
    """What a compressor takes of each of three bands, from their levels every 10 ms."""
    whole = levels.power.sum(axis=0)
    heard = whole > whole.max() * 10.0 ** (HEARD_DB / 10.0)
    found = []
    for i, band in enumerate(compressor.bands):
        taken = reduction_db(levels, i, band)[heard]
        found.append(Reduction(float(np.median(taken)), float(np.percentile(taken, 95))))
    return tuple(found)


def crest_cost_db(levels: Levels, reduction_db: NDArray[np.float32]) -> float:
    """By how much a limiter has lowered the crest factor: against the same levels with its reduction given back."""
    count = min(len(reduction_db), len(levels.whole_peak))
    if not count:
        return 0.0
    power, peak = levels.power[:, :count], levels.whole_peak[:count]
    given_back = 10.0 ** (reduction_db[:count].astype(np.float64) / 20.0)
    after = figures(np.vstack([power, power.sum(axis=0)]), peak)[0]
    power = power * given_back**2
    return float(figures(np.vstack([power, power.sum(axis=0)]), peak * given_back)[0] - after)


def _curve(estimate: Estimate, wanted_db: Array) -> Curve:
    return Curve(
        heard=tuple(bool(h) for h in estimate.heard),
        difference_db=_all_hundredths(estimate.difference_db),
        believed_db=_all_hundredths(estimate.mean_db),
        sd_db=_all_hundredths(estimate.sd_db),
        wanted_db=tuple(round(float(v), 5) + 0.0 for v in wanted_db),  # a full render is held to them
    )


def _hundredths(value: float) -> float:
    return round(float(value), 2) + 0.0  # no -0.0


def _all_hundredths(values: Array) -> tuple[float, ...]:
    return tuple(_hundredths(v) for v in values)


def _believed_and_made(believed_db: float, sd_db: float | None, made_db: float, done: str = "made") -> str:
    sure = "" if sd_db is None else f" ±{sd_db:.1f}"
    if abs(believed_db - made_db) < 0.05:
        return f"{believed_db:+.1f}{sure} believed and {done}"
    return f"{believed_db:+.1f}{sure} believed, {made_db:+.1f} {done}"


def _same_recording(passages: int) -> str:
    if not passages:
        return ""
    where = f"{passages} passages of {PASSAGE_S:g} s" if passages > 1 else f"a passage of {PASSAGE_S:g} s"
    return f" In {where} both hold the same recording: there the two masters were compared directly."


def _obstacle(held_back: str, aims: Aims) -> str:
    if held_back == "limiting":
        return f"it would take more than {aims.max_limiting_db:g} dB of limiting, the cap (max_limiting_db)"
    return f"without a limiter the peaks would pass the ceiling of {aims.ceiling_dbtp:g} dBTP"


def _hertz(hz: float) -> str:
    return f"{hz / 1000:g} kHz" if hz >= 1000 else f"{hz:g} Hz"


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
