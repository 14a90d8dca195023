"""The closed loop: a plan is tried on sections of the target and corrected by what its rendering measures."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np

from dsp.chain import Chain
from dsp.effect import Settings
from dsp.effects.compressor import Compressor
from dsp.effects.eq import Band, Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.effects.width import Width
from matcher.aims import Aims
from matcher.analysis import Progress
from matcher.io import AudioSource
from matcher.planner import dynamics, explain, tone, width
from matcher.planner.gaussian import Array, Estimate
from matcher.planner.sections import Trial, pick, try_chain
from matcher.plans import Plan, Step, Track
from matcher.profile import THIRD_OCTAVES_HZ, Balance, Profile
from matcher.reference import Reference

ROUNDS = 5
CLOSE_LU = 0.03
WORTH_DB = 0.1
"""Smaller moves are not made."""
QUANTISING_DB = 0.02
"""The limiter stays this far below the ceiling, for the steps of the file's bit depth."""


@dataclass(frozen=True)
class Goal:
    """Where the loop is heading: curves and levels with the amounts already taken in."""

    tone_db: Array
    side_db: Array
    focus_below_hz: float
    loudness_lufs: float


@dataclass(frozen=True, eq=False)
class Outcome:
    """Settings the loop ended with, and what it ran into."""

    eq: Eq
    width: Width
    compressor: Compressor
    gain_db: float
    reduction_p95_db: float
    held_back: str
    """Why the loudness was not reached: "", `limiting` or `ceiling`."""


def make_plan(
    audio: AudioSource, target: Profile, reference: Reference, aims: Aims, progress: Progress | None = None
) -> Plan:
    """Fit a chain that brings the target to the reference as far as the difference is believed to be mastering."""
    believed = tone.estimate(target, reference, aims.belief)
    sides = width.estimate(target, reference, aims.belief)
    wanted = dynamics.densities(target, reference, aims.belief)
    goal = _goal(target, reference, aims, believed, sides)
    outcome = _search(audio, target, aims, goal, believed, wanted, progress or (lambda done: None))
    steps = _steps(target, reference, aims, goal, outcome, believed, sides, wanted)
    return Plan(
        target=_track(target),
        references=tuple(_track(p) for p in reference.tracks),
        aims=msgspec.to_builtins(aims),
        goal_lufs=None if outcome.held_back or not aims.limiter else round(goal.loudness_lufs, 4),
        steps=steps,
        remarks=explain.remarks(target, reference, aims, goal.loudness_lufs, outcome.held_back, wanted),
    )


def _goal(
    target: Profile, reference: Reference, aims: Aims, believed: Estimate, sides: width.WidthEstimate | None
) -> Goal:
    wanted_lufs = reference.integrated_lufs if aims.loudness_lufs is None else aims.loudness_lufs
    share = aims.amount * aims.loudness
    nothing = np.zeros(len(THIRD_OCTAVES_HZ))
    side_share = aims.amount * aims.width
    return Goal(
        tone_db=believed.mean_db * aims.amount * aims.eq,
        side_db=nothing if sides is None else sides.side.mean_db * side_share,
        focus_below_hz=0.0 if sides is None else sides.focus_below_hz * (side_share > 0.0),
        loudness_lufs=target.integrated_lufs + share * (wanted_lufs - target.integrated_lufs),
    )


def _search(
    audio: AudioSource,
    target: Profile,
    aims: Aims,
    goal: Goal,
    believed: Estimate,
    wanted: list[dynamics.BandDensity],
    progress: Progress,
) -> Outcome:
    """Round by round: render sections, measure, correct tone, width and gain by what is missing."""
    eq, sides = _eq(goal.tone_db, believed, target), _width(goal.side_db, goal.focus_below_hz)
    squash = dynamics.compressor(target, wanted, eq).scaled(aims.amount * aims.dynamics)
    move = goal.loudness_lufs - target.integrated_lufs
    quiet = eq.is_neutral() and sides.is_neutral() and squash.is_neutral()
    if quiet and abs(move) < WORTH_DB / 2 and target.true_peak_dbtp <= aims.ceiling_dbtp:
        return Outcome(eq, sides, squash, 0.0, 0.0, "")
    sections = pick(target, audio)
    before = try_chain(Chain(), sections, audio.sample_rate_hz).balance
    gain_db, curve, side_curve, held_back, reduction = move, goal.tone_db, goal.side_db, "", 0.0
    for turn in range(ROUNDS):
        progress((turn + 1) / (ROUNDS + 1))
        chain = Chain((eq, sides, squash, Gain(gain_db=_bounded(gain_db)), *_limiter(aims)))
        trial = try_chain(chain, sections, audio.sample_rate_hz)
        reduction = trial.reduction_p95_db
        gained = trial.balance.integrated_lufs - before.integrated_lufs
        step, held_back = _gain_step(aims, trial, move - gained, reduction)
        last = turn >= ROUNDS - 2
        tone_error, side_error = _errors(goal, before, trial.balance, believed)
        if not last and not eq.is_neutral() and np.abs(tone_error).max() > WORTH_DB:
            curve = np.clip(curve + tone_error, -tone.LARGEST_DB, tone.LARGEST_DB)
            eq = _eq(curve, believed, target)
        elif abs(step) < CLOSE_LU:
            break
        if not last and not sides.is_neutral() and np.abs(side_error).max() > 2.0 * WORTH_DB:
            side_curve = np.clip(side_curve + side_error, -width.LARGEST_DB, width.LARGEST_DB)
            sides = _width(side_curve, goal.focus_below_hz)
        gain_db += step
    return Outcome(eq, sides, squash, _bounded(gain_db), reduction, held_back)


def _errors(goal: Goal, before: Balance, after: Balance, believed: Estimate) -> tuple[Array, Array]:
    """What is missing of the wanted tone and width on the sections, dB per third octave; 0 where nothing is heard."""
    heard = believed.heard
    made = tone.levels_db(after) - tone.levels_db(before)
    tone_error = tone.smoothed(goal.tone_db - made, heard)
    if not width.has_side(before) or not width.has_side(after):
        return tone_error, np.zeros_like(tone_error)
    wider = [p.third_octaves_db("side") - p.third_octaves_db("mid") for p in (before, after)]
    wanted = goal.side_db + width.focus_db(goal.focus_below_hz)
    seen = width.side_heard(before) & (wanted > -10.0)
    return tone_error, np.where(seen, wanted - (wider[1] - wider[0]), 0.0)


def _limiter(aims: Aims) -> tuple[Settings, ...]:
    return (Limiter(ceiling_dbtp=max(-30.0, aims.ceiling_dbtp - QUANTISING_DB)),) if aims.limiter else ()


def _bounded(gain_db: float) -> float:
    return float(np.clip(round(gain_db, 4), -60.0, 60.0))


def _gain_step(aims: Aims, trial: Trial, missing_lu: float, reduction_db: float) -> tuple[float, str]:
    """The next change of gain, and what holds it back."""
    if not aims.limiter:
        room = aims.ceiling_dbtp - trial.true_peak_dbtp
        return (room, "ceiling") if missing_lu > room else (missing_lu, "")
    room = aims.max_limiting_db - reduction_db
    if missing_lu > 0.0 and room < 0.5 and missing_lu > room:
        return min(missing_lu, room), "limiting"
    # Into a limiter a dB of gain gives less than a dB of loudness.
    return missing_lu * (1.0 + min(reduction_db, 6.0) / 6.0), ""


def _steps(
    target: Profile,
    reference: Reference,
    aims: Aims,
    goal: Goal,
    outcome: Outcome,
    believed: Estimate,
    sides: width.WidthEstimate | None,
    wanted: list[dynamics.BandDensity],
) -> tuple[Step, ...]:
    """The chain with its reasons; no step for what changes nothing, and a limiter behind everything else."""
    steps = []
    if not outcome.eq.is_neutral():
        steps.append(Step(settings=outcome.eq, because=explain.tone(believed, goal.tone_db)))
    if not outcome.width.is_neutral() and sides is not None:
        steps.append(Step(settings=outcome.width, because=explain.width(sides, goal.side_db)))
    if not outcome.compressor.is_neutral():
        steps.append(Step(settings=outcome.compressor, because=explain.dynamics(wanted)))
    if outcome.gain_db != 0.0:
        because = explain.loudness(target, reference, aims, goal.loudness_lufs)
        steps.append(Step(settings=Gain(gain_db=outcome.gain_db), because=because))
    if aims.limiter and (steps or target.true_peak_dbtp > aims.ceiling_dbtp):
        because = explain.limiter(target, aims, outcome.reduction_p95_db, alone=not steps)
        steps.append(Step(settings=_limiter(aims)[0], because=because))
    return tuple(steps)


def _track(profile: Profile) -> Track:
    return Track(
        name=profile.name,
        content_hash=profile.content_hash,
        sample_rate_hz=profile.sample_rate_hz,
        channels=profile.channels,
        integrated_lufs=round(profile.integrated_lufs, 4),
    )


def _eq(curve_db: Array, believed: Estimate, target: Profile) -> Eq:
    if np.abs(curve_db[believed.heard]).max(initial=0.0) < WORTH_DB:
        return Eq()
    # The level of the whole is the gain's business.
    weight = np.where(believed.heard, 1.0, 0.05)
    level = float(np.average(curve_db, weights=weight))
    bands = tone.fit_bands(THIRD_OCTAVES_HZ, curve_db - level, weight, top_hz=min(20_000.0, target.bandwidth_hz))
    return Eq(bands=tuple(_rounded(b) for b in bands))


def _rounded(band: Band) -> Band:
    return msgspec.structs.replace(
        band, frequency_hz=round(band.frequency_hz, 2), gain_db=round(band.gain_db, 4), q=round(band.q, 4)
    )


def _width(side_db: Array, focus_below_hz: float) -> Width:
    flat = np.abs(side_db).max(initial=0.0) < WORTH_DB
    estimate = Estimate(THIRD_OCTAVES_HZ, side_db, side_db, side_db, np.ones(len(side_db), dtype=bool))
    return Width(side=() if flat else width.points(estimate), focus_below_hz=focus_below_hz)
