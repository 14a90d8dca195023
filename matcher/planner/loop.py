"""The closed loop: a plan is tried on sections of the target and corrected by what its rendering measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from dsp.effects.width import Width
from matcher.aims import Aims
from matcher.analysis import Progress, Source, opened
from matcher.io import AudioSource
from matcher.planner import density, dynamics, explain, shaping, tone, width
from matcher.planner.bands import LARGEST_DB
from matcher.planner.drawing import WORTH_DB, drawn_eq, drawn_width, exact_width
from matcher.planner.gaussian import Array, Estimate, asks_for_more, is_same, wholly_believed
from matcher.planner.likeness import Moments
from matcher.planner.passages import Shared, may_share, shared
from matcher.planner.search import LIMITING, Beliefs, Goal, Known, Search
from matcher.planner.sections import Bench, Trial, pick
from matcher.planner.shaping import Curves, Shape
from matcher.planner.steps import steps_of, track
from matcher.plans import Plan
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import Reference

ROUNDS = 5
SHAPING_ROUNDS = 2
"""In these tone, width and dynamics are corrected, too; the others set the gain alone."""
MOST_SHAPING_ROUNDS = 4
"""In these tone and width are, where all that a few bands leave is to be matched as well."""
CLOSE_LU = 0.03
SURE_DB = 0.1
"""A gain that moves by no more, and alone, does what it is expected to: that is not tried again."""
WORTH_DENSITY_DB = 0.3
SATURATED = 0.5
"""LU of a dB of gain, below which the limiter is taken to be too slow."""
WASTED_DB = 0.6
"""Gain that would give no loudness from which on that is worth a faster limiter."""
LOWEST_CEILING_DB = 12.0
"""Where everything is to be matched, a reference with lower peaks lowers the limiter's ceiling by this at most."""


@dataclass(frozen=True)
class Fitted:
    """A plan, and where its trials ended."""

    plan: Plan
    reached_lufs: float
    """By the latest trial, as a meter reads the whole track."""


def make_plan(
    audio: AudioSource,
    target: Profile,
    reference: Reference,
    aims: Aims,
    progress: Progress | None = None,
    known: Known | None = None,
    sound: Source | None = None,
) -> Fitted:
    """Fit a chain that brings the target to the reference as far as the difference is believed to be mastering.

    known: what to believe, where that was not judged from these two alone. sound: the track that tone and width are
    taken from, where that is one and can be heard.
    """
    with ThreadPoolExecutor(max_workers=1) as reader, ThreadPoolExecutor(max_workers=1) as beside:
        sections = pick(target, audio, reader)
        bench = Bench(sections, audio.sample_rate_hz)
        heard = beside.submit(bench.before.heard, "figures", "balance", "true_peak_dbtp")  # while the rest is judged
        common = Shared()
        if known is None:
            moments = Moments(target)
            if sound is not None and not asks_for_more(aims.belief):
                with opened(sound) as there:
                    if may_share(moments.of(reference.tone), there.duration_s):
                        common = shared(sections, audio.sample_rate_hz, there)
            curve = tone.estimate(target, reference, moments, aims.belief, evidence=common.tone)
            sides = width.estimate(target, reference, moments, curve, aims.belief, common.width)
        else:
            curve, sides = known.tone, known.width
        at = _begun(target, aims, curve, sides)
        if at.shape.same:  # what bands cannot follow is mastering, too
            curve = wholly_believed(curve)
        linear = bench.tried(at.linear())
        heard.result()
    own_db = bench.own_db(linear)
    away_db = None if known is None else known.density_db
    dense = density.judge(target, reference, own_db, curve.music_db, aims.ceiling_dbtp, aims.belief, away_db)
    beliefs = Beliefs(curve, sides, dense, common.passages)
    goal = _goal(target, reference, aims, at, beliefs)
    found = _search(bench, at, target, aims, goal, beliefs, progress or (lambda done: None))
    goal_lufs, curves = goal.loudness_lufs + target.edges_lu, goal.curves
    plan = Plan(
        target=track(target),
        references=tuple(track(p) for p in reference.tracks),
        aims=aims,
        goal_lufs=None if found.held_back or not aims.limiter else round(goal_lufs, 4),
        steps=steps_of(target, reference, aims, goal, found, beliefs),
        remarks=explain.remarks(target, reference, aims, goal_lufs, found.held_back, beliefs.density),
        believed=explain.believed(
            beliefs.tone,
            curves.tone_db,
            beliefs.width,
            curves.side_db + curves.focus_db,
            beliefs.density,
            goal.density_db,
        ),
    )
    moved = plan.step("gain") is not None
    return Fitted(plan, found.reached_lufs + target.edges_lu if moved else target.integrated_lufs)


def _begun(target: Profile, aims: Aims, curve: Estimate, sides: width.WidthEstimate | None) -> Search:
    """Tone and width as they are believed and wanted."""
    share = aims.amount * aims.width
    asked_db = curve.mean_db * aims.amount * aims.eq
    tone_db = np.minimum(asked_db, LARGEST_DB)
    exact = asks_for_more(aims.belief)
    eq = drawn_eq(tone_db, curve.heard, target, exact)
    side_db, wide = np.zeros(len(THIRD_OCTAVES_HZ)), Width()
    if sides is not None and share > 0.0:
        if exact:  # where the mid may not be raised as far as is asked for, the side still may
            side_db = sides.side.mean_db * share + (asked_db - tone_db) * aims.width
            wide = exact_width(side_db, tone_db, eq, curve.heard, target)
        else:
            side_db = (sides.side.mean_db - sides.focus_db) * share
            wide = drawn_width(side_db, eq, sides.focus_below_hz, sides.focus_depth_db * share, target)
    shape = Shape(eq, wide, tone_db, side_db, exact, is_same(curve.music_db, aims.belief))
    return Search(shape, gain_db=0.0, ceiling_dbtp=aims.ceiling_dbtp)


def _goal(target: Profile, reference: Reference, aims: Aims, at: Search, beliefs: Beliefs) -> Goal:
    here_lufs = target.integrated_lufs
    wanted_lufs = reference.wanted_lufs(here_lufs) if aims.loudness_lufs is None else aims.loudness_lufs
    loudness = target.isolated_lufs + aims.amount * aims.loudness * (wanted_lufs - here_lufs)
    judged = beliefs.density
    dense = judged.own_db + (judged.believed_db - judged.own_db) * aims.amount * aims.dynamics
    ceiling_dbtp = aims.ceiling_dbtp
    if at.shape.exact:
        ceiling_dbtp = _ceiling_dbtp(reference, aims, judged, dense, loudness)
    else:  # peak to loudness is not asked for: the gain leaves it, and the limiter takes what stands above the ceiling
        above_db = target.true_peak_dbtp + loudness - target.isolated_lufs - ceiling_dbtp
        dense[4] = min(0.0, -above_db) if aims.limiter else 0.0
    shape = at.shape
    curves = Curves(
        tone_db=np.minimum(beliefs.tone.mean_db * aims.amount * aims.eq, LARGEST_DB),
        side_db=shape.side_db,
        focus_below_hz=shape.width.focus_below_hz,
        focus_depth_db=shape.width.focus_depth_db,
        heard=beliefs.tone.heard,
        share=shaping.share_made_good(beliefs.tone.music_db, shape.exact),
    )
    return Goal(curves, density_db=dense, loudness_lufs=loudness, ceiling_dbtp=ceiling_dbtp)


def _ceiling_dbtp(reference: Reference, aims: Aims, judged: density.Density, dense_db: Array, lufs: float) -> float:
    """The ceiling, lowered to where peaks stand no higher above the loudness than wanted, nor below the reference's.

    Only for who asks for everything: a quiet reference's peaks say little of where its limiter, if any, held them.
    """
    if dense_db[4] >= max(0.0, float(judged.own_db[4])):
        return aims.ceiling_dbtp
    there_dbtp = max(p.true_peak_dbtp for p in reference.dynamics)
    lowest = min(aims.ceiling_dbtp, max(there_dbtp, aims.ceiling_dbtp - LOWEST_CEILING_DB))
    return float(np.clip(lufs + judged.target_db[4] + dense_db[4], lowest, aims.ceiling_dbtp))


def _search(
    bench: Bench, at: Search, target: Profile, aims: Aims, goal: Goal, beliefs: Beliefs, progress: Progress
) -> Search:
    """Round by round: render sections, measure, correct tone, width, density and gain by what is missing."""
    before, move = bench.before, goal.loudness_lufs - target.isolated_lufs
    own_db = beliefs.density.own_db
    denser_db = np.minimum(goal.density_db - own_db, 0.0)[:4]
    # Sections that miss the whole by so much say no better what it will become.
    unsure_db = 0.0 if at.shape.exact else np.abs(before.figures - target.figures)
    wanted, dense = own_db[:4] + denser_db, bool((denser_db < -np.maximum(WORTH_DENSITY_DB, unsure_db)).any())
    shapes = not at.shape.is_neutral
    if not shapes and not dense and abs(move) < WORTH_DB / 2:
        return at
    linear = bench.tried(at.linear())
    at.gain_db, at.ceiling_dbtp = move - (linear.isolated_lufs - before.isolated_lufs), goal.ceiling_dbtp
    compressor = Compression(bench, goal, wanted) if dense else None
    if compressor is not None:
        compressor.fit(at, linear)
        at.gain_db = move - (bench.tried(*at.stages(aims)[:2]).isolated_lufs - before.isolated_lufs)
    with ThreadPoolExecutor(max_workers=1) as beside:
        for turn in range(ROUNDS):
            progress((turn + 1) / (ROUNDS + 1))
            *shaped, loud = at.stages(aims)
            trial, linear = bench.tried(*shaped, loud), bench.tried(shaped[0])
            undriven_lufs = bench.tried(*shaped).isolated_lufs
            at.reduction_p95_db = trial.reduction_p95_db
            gained = trial.isolated_lufs - before.isolated_lufs
            at.reached_lufs = target.isolated_lufs + gained
            ceiling_dbtp = at.ceiling_dbtp
            step_db, gives_lu = _gain_step(at, aims, trial, undriven_lufs + at.gain_db, move - gained)
            tone_moved, moved = None, False
            closely = at.shape.exact or bool(at.shape.eq.curves)
            if shapes and turn < (MOST_SHAPING_ROUNDS if closely else SHAPING_ROUNDS):
                tone_moved = beside.submit(_corrected, bench, at, goal.curves, trial, target)
            if compressor is not None and turn <= SHAPING_ROUNDS:
                correct = compressor.corrected if turn < SHAPING_ROUNDS else compressor.settled
                moved = correct(at, trial, linear)
            if tone_moved is not None:
                moved |= tone_moved.result()
            if abs(step_db) < CLOSE_LU and not moved:
                break
            at.gain_db += step_db
            if abs(step_db) < SURE_DB and not moved and at.ceiling_dbtp == ceiling_dbtp:
                at.reached_lufs += gives_lu
                break
            if moved:  # what the limiter is driven with is not to move along
                at.gain_db -= bench.tried(*at.stages(aims)[:2]).isolated_lufs - undriven_lufs
    if trial.reduction_db.any():
        at.crest_cost_db = explain.crest_cost_db(trial.levels, trial.reduction_db)
    return at


CLEARLY_FURTHER = 0.3
"""In tolerances of the four figures together: less would let a hair decide which settings are kept."""


class Compression:
    """The compressor, fitted behind tone and width and corrected by what its trials make of the figures."""

    def __init__(self, bench: Bench, goal: Goal, wanted_db: Array) -> None:
        """wanted_db: change of the four figures, shape (4,), tone's own included."""
        self._bench, self._goal, self._wanted_db = bench, goal, wanted_db
        self._bias_db = self._expected_db = np.zeros(4)
        """By how much an earlier fit came out denser or looser in sound than in its levels; and what is expected."""
        self._found = self._nearest = dynamics.Fit()
        """The latest fit, and the nearest that was tried."""
        self._away = np.inf
        """Of the nearest, in tolerances."""

    def fit(self, at: Search, linear: Trial) -> None:
        """Fit it to a trial of tone and width, which is not to change meanwhile."""
        own_db = linear.heard("figures", "isolated_lufs").figures - self._bench.before.figures
        wanted_db = np.minimum(self._goal.density_db[:4] - own_db, 0.0) - self._bias_db
        goal_lufs = linear.isolated_lufs + at.gain_db
        self._found = dynamics.fit(linear.levels, wanted_db, goal_lufs, at.ceiling_dbtp, near=self._found.found)
        self._expected_db = own_db + self._found.change_db + self._bias_db
        self._put(at, self._found, linear)

    def corrected(self, at: Search, trial: Trial, linear: Trial) -> bool:
        """Fit it again where a trial is not as dense as it is wanted to be."""
        made_db = self._noted(trial)
        if np.abs(made_db - self._wanted_db).max() <= WORTH_DENSITY_DB:
            return False
        self._bias_db = self._bias_db + made_db - self._expected_db
        self.fit(at, linear)
        return True

    def settled(self, at: Search, trial: Trial, linear: Trial) -> bool:
        """Go back to the nearest of all that were tried, where the latest is clearly further away."""
        latest = self._away_of(trial)
        if latest <= self._away + CLEARLY_FURTHER:
            return False
        self._put(at, self._nearest, linear)
        return True

    def _noted(self, trial: Trial) -> Array:
        """What the latest fit made of the figures; remembers it where it came nearest."""
        away = self._away_of(trial)
        if away < self._away:
            self._away, self._nearest = away, self._found
        made_db: Array = trial.figures - self._bench.before.figures
        return made_db

    def _away_of(self, trial: Trial) -> float:
        """How far what a trial made of the figures is from what is wanted of them, in tolerances."""
        made_db = trial.figures - self._bench.before.figures
        return float(np.linalg.norm((made_db - self._wanted_db) / dynamics.TOLERANCE_DB))

    def _put(self, at: Search, found: dynamics.Fit, linear: Trial) -> None:
        at.compressor, at.knee_db, self._found = found.compressor, found.knee_db, found
        at.compressed_db = explain.compressed_db(linear.levels, found.compressor)


def _corrected(bench: Bench, at: Search, wanted: Curves, trial: Trial, target: Profile) -> bool:
    """Add what is missing of the wanted tone and width, if anything is, and try them at once."""
    tone_db, side_db = shaping.missing(at.shape, wanted, bench.before.balance, trial.balance)
    moved = shaping.add(at.shape, tone_db, side_db, wanted, target)
    if moved:
        bench.tried(at.linear())
    return moved


def _gain_step(at: Search, aims: Aims, trial: Trial, driven_lufs: float, missing_lu: float) -> tuple[float, float]:
    """The next change of gain, and how much louder that will be; notes what holds it back."""
    at.held_back = ""
    if not aims.limiter:
        room = aims.ceiling_dbtp - trial.true_peak_dbtp
        at.held_back = "ceiling" if missing_lu > room else ""
        step_db = min(missing_lu, room)
        return step_db, step_db
    yielded = at.yielded(trial, driven_lufs)
    step_db = missing_lu / yielded
    if yielded < SATURATED and step_db - missing_lu > WASTED_DB and at.limiting is LIMITING:
        at.limit_faster()
        return missing_lu, missing_lu
    # A dB of gain is at most a dB of limiting.
    room = aims.max_limiting_db - trial.reduction_p95_db
    if step_db <= max(room, 0.0) or missing_lu < CLOSE_LU:
        return step_db, missing_lu
    if at.ceiling_dbtp < aims.ceiling_dbtp:  # a lower ceiling was for the sound; loudness comes first
        at.ceiling_dbtp = min(aims.ceiling_dbtp, at.ceiling_dbtp + step_db - room)
        return missing_lu, missing_lu
    at.held_back = "limiting"
    return room, room * yielded
