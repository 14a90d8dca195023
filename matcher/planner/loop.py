"""The closed loop: a plan is tried on sections of the target and corrected by what its rendering measures."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dsp.chain import Chain
from dsp.effect import Settings
from dsp.effects.compressor import Compressor
from dsp.effects.eq import Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.effects.width import Width
from matcher.aims import Aims
from matcher.analysis import Progress
from matcher.io import AudioSource
from matcher.planner import density, dynamics, explain, tone, width
from matcher.planner.bands import LARGEST_DB
from matcher.planner.drawing import WORTH_DB, drawn_eq, drawn_width, exact_width
from matcher.planner.gaussian import Array, Estimate, asks_for_more
from matcher.planner.likeness import Moments
from matcher.planner.sections import Section, Trial, pick, try_chain
from matcher.plans import Plan, Step, Track
from matcher.profile import THIRD_OCTAVES_HZ, Balance, Profile
from matcher.reference import Record, Reference

ROUNDS = 5
SHAPING_ROUNDS = 2
"""In these tone, width and dynamics are corrected, too; the others set the gain alone."""
EXACT_ROUNDS = 4
"""In these tone and width are corrected where everything is to be matched."""
CLOSE_LU = 0.03
WORTH_DENSITY_DB = 0.3
QUANTISING_DB = 0.02
"""The limiter stays this far below the ceiling, for the steps of the file's bit depth."""
LIMITING = {"lookahead_ms": 3.0, "hold_ms": 8.0, "release_ms": 60.0, "settle_ms": 200.0}
"""Fast: what surrounds a peak keeps its level, so loudness costs crest and little else."""
FASTER_LIMITING = {"lookahead_ms": 1.5, "hold_ms": 3.0, "release_ms": 30.0, "settle_ms": 50.0}
"""Where more gain into the limiter gives hardly more loudness: it lets go between the peaks, at some distortion."""
SATURATED = 0.5
"""LU of a dB of gain, below which the limiter is taken to be too slow."""
WASTED_DB = 0.6
"""Gain that would give no loudness from which on that is worth a faster limiter."""
LOWEST_CEILING_DB = 12.0
"""Where everything is to be matched, a reference with lower peaks lowers the limiter's ceiling by this at most."""


@dataclass(frozen=True)
class Beliefs:
    """What of the differences between target and reference is taken for mastering."""

    tone: Estimate
    width: width.WidthEstimate | None
    density: density.Density


@dataclass(frozen=True)
class Known:
    """What was made of more than this one track, and is taken as it is: an album's statistics."""

    tone: Estimate
    width: width.WidthEstimate | None
    density_db: Array
    """By how much the five figures of `density` differ from where they are to go."""


class Bench:
    """Sections of the target, as many as stand for the whole track, on which chains are tried."""

    def __init__(self, sections: list[Section], sample_rate_hz: int) -> None:
        self.before = Trial(sections, sample_rate_hz)
        self._made: list[tuple[Chain, Trial]] = []

    def tried(self, *stages: Chain) -> Trial:
        """Through `stages`, one behind the other; those that are as they were the last time are not run again."""
        trial = self.before
        for i, chain in enumerate(stages):
            if i == len(self._made) or self._made[i][0] != chain:
                del self._made[i:]
                self._made.append((chain, try_chain(chain, trial.sections, trial.sample_rate_hz)))
            trial = self._made[i][1]
        return trial

    def own_db(self, linear: Chain) -> Array:
        """What tone and width by themselves change of the five figures of `density`."""
        before = self.before.heard("figures", "balance", "true_peak_dbtp")
        shaped = self.tried(linear).heard("figures", "isolated_lufs", "true_peak_dbtp")
        return np.append(shaped.figures - before.figures, shaped.plr_db - before.plr_db)


@dataclass(frozen=True)
class Goal:
    """Where the loop is heading, with the amounts already taken in."""

    tone_db: Array
    side_db: Array
    """Of the side against the mid, without the gathered low end."""
    focus_below_hz: float
    focus_depth_db: float
    density_db: Array
    """Change of the five figures of `density`."""
    loudness_lufs: float
    """As if silence lay around the track."""
    ceiling_dbtp: float

    @property
    def focus_db(self) -> Array:
        """The gathered low end's part of the side."""
        return width.focus_db(self.focus_below_hz, self.focus_depth_db)


@dataclass
class Search:
    """Where the loop stands."""

    eq: Eq
    width: Width
    gain_db: float
    ceiling_dbtp: float
    curve_db: Array
    side_db: Array
    exact: bool = False
    """Whether what a few bands leave of the wanted curves is made as well: where more is asked for than is believed."""
    compressor: Compressor = field(default_factory=Compressor)
    knee_db: float = 0.0
    reduction_p95_db: float = 0.0
    held_back: str = ""
    """Why the loudness was not reached: "", `limiting` or `ceiling`."""
    reached_lufs: float = 0.0
    """By the latest trial, as if silence lay around the track."""
    crest_cost_db: float = 0.0
    """What the limiter takes of the crest factor."""
    compressed_db: tuple[explain.Reduction, ...] = ()
    """What the compressor takes of each band."""

    limiting: dict[str, float] = field(default_factory=lambda: LIMITING)
    _last: tuple[float, float] | None = None

    def yielded(self, trial: Trial, driven_lufs: float) -> float:
        """How many LU a dB of gain gives: less than one into a limiter. driven_lufs: what goes into that."""
        before, self._last = self._last, (driven_lufs, trial.isolated_lufs)
        if before is None or abs(driven_lufs - before[0]) < 0.02:
            return 0.5 + 0.5 * trial.share_unlimited
        return float(np.clip((trial.isolated_lufs - before[1]) / (driven_lufs - before[0]), 0.25, 1.0))

    def limit_faster(self) -> None:
        """From here on; what gain has given before says nothing any more."""
        self.limiting, self._last = FASTER_LIMITING, None

    def linear(self) -> Chain:
        """Tone and width alone."""
        return Chain(Chain((self.eq, self.width)).active())

    def stages(self, aims: Aims) -> tuple[Chain, Chain, Chain]:
        """The whole chain: tone and width, the compressor, what makes it loud."""
        loud = Chain((Gain(gain_db=bounded(self.gain_db)), *self.limiter(aims)))
        return self.linear(), Chain((self.compressor,)), loud

    def limiter(self, aims: Aims) -> tuple[Settings, ...]:
        """The limiter, where one is wanted."""
        if not aims.limiter:
            return ()
        ceiling_dbtp = round(self.ceiling_dbtp - QUANTISING_DB, 6)
        return (Limiter(ceiling_dbtp=ceiling_dbtp, knee_db=self.knee_db, **self.limiting),)


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
) -> Fitted:
    """Fit a chain that brings the target to the reference as far as the difference is believed to be mastering.

    known: what to believe, where that was not judged from these two alone.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        sections = pool.submit(pick, target, audio)  # read while tone and width are judged
        if known is None:
            moments = Moments(target)
            curve = tone.estimate(target, reference, moments, aims.belief)
            sides = width.estimate(target, reference, moments, curve, aims.belief)
        else:
            curve, sides = known.tone, known.width
        at = _begun(target, aims, curve, sides)
        bench = Bench(sections.result(), audio.sample_rate_hz)
    own_db = bench.own_db(at.linear())
    away_db = None if known is None else known.density_db
    dense = density.judge(target, reference, own_db, curve.music_db, aims.ceiling_dbtp, aims.belief, away_db)
    beliefs = Beliefs(curve, sides, dense)
    goal = _goal(target, reference, aims, at, beliefs)
    found = _search(bench, at, target, aims, goal, beliefs, progress or (lambda done: None))
    goal_lufs = goal.loudness_lufs + target.edges_lu
    plan = Plan(
        target=track(target),
        references=tuple(track(p) for p in reference.tracks),
        aims=aims,
        goal_lufs=None if found.held_back or not aims.limiter else round(goal_lufs, 4),
        steps=_steps(target, reference, aims, goal, found, beliefs),
        remarks=explain.remarks(target, reference, aims, goal_lufs, found.held_back, beliefs.density),
        believed=explain.believed(
            beliefs.tone, goal.tone_db, beliefs.width, goal.side_db + goal.focus_db, beliefs.density, goal.density_db
        ),
    )
    moved = any(step.settings.__struct_config__.tag == "gain" for step in plan.steps)
    return Fitted(plan, found.reached_lufs + target.edges_lu if moved else target.integrated_lufs)


def _begun(target: Profile, aims: Aims, curve: Estimate, sides: width.WidthEstimate | None) -> Search:
    """Tone and width as they are believed and wanted."""
    share = aims.amount * aims.width
    asked_db = curve.mean_db * aims.amount * aims.eq
    tone_db = np.minimum(asked_db, LARGEST_DB)
    exact = asks_for_more(aims.belief)
    eq = drawn_eq(tone_db, curve, target, exact)
    side_db, wide = np.zeros(len(THIRD_OCTAVES_HZ)), Width()
    if sides is not None and share > 0.0:
        if exact:  # where the mid may not be raised as far as is asked for, the side still may
            side_db = sides.side.mean_db * share + (asked_db - tone_db) * aims.width
            wide = exact_width(side_db, tone_db, eq, curve, target)
        else:
            side_db = (sides.side.mean_db - sides.focus_db) * share
            wide = drawn_width(side_db, eq, sides.focus_below_hz, sides.focus_depth_db * share)
    return Search(
        eq=eq,
        width=wide,
        gain_db=0.0,
        ceiling_dbtp=aims.ceiling_dbtp,
        curve_db=tone_db,
        side_db=side_db,
        exact=exact,
    )


def _goal(target: Profile, reference: Reference, aims: Aims, at: Search, beliefs: Beliefs) -> Goal:
    here_lufs = target.integrated_lufs
    wanted_lufs = reference.wanted_lufs(here_lufs) if aims.loudness_lufs is None else aims.loudness_lufs
    loudness = target.isolated_lufs + aims.amount * aims.loudness * (wanted_lufs - here_lufs)
    judged = beliefs.density
    dense = judged.own_db + (judged.believed_db - judged.own_db) * aims.amount * aims.dynamics
    ceiling_dbtp = aims.ceiling_dbtp
    if at.exact:
        ceiling_dbtp = _ceiling_dbtp(reference, aims, judged, dense, loudness)
    else:  # peak to loudness is not asked for: the gain leaves it, and the limiter takes what stands above the ceiling
        above_db = target.true_peak_dbtp + loudness - target.isolated_lufs - ceiling_dbtp
        dense[4] = min(0.0, -above_db) if aims.limiter else 0.0
    return Goal(
        tone_db=at.curve_db,
        side_db=at.side_db,
        focus_below_hz=at.width.focus_below_hz,
        focus_depth_db=at.width.focus_depth_db,
        density_db=dense,
        loudness_lufs=loudness,
        ceiling_dbtp=ceiling_dbtp,
    )


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
    believed, before, move = beliefs.tone, bench.before, goal.loudness_lufs - target.isolated_lufs
    own_db = beliefs.density.own_db
    denser_db = np.minimum(goal.density_db - own_db, 0.0)[:4]
    wanted, dense = own_db[:4] + denser_db, bool((denser_db < -WORTH_DENSITY_DB).any())
    linear = at.eq.is_neutral() and at.width.is_neutral()
    if linear and not dense and abs(move) < WORTH_DB / 2:
        return at
    at.gain_db, at.ceiling_dbtp = move, goal.ceiling_dbtp
    bias = np.zeros(4)
    fitted, expected = _fitted(bench, at, goal, bias) if dense else (None, bias)
    for turn in range(ROUNDS):
        progress((turn + 1) / (ROUNDS + 1))
        shaping, moved = turn < SHAPING_ROUNDS, False
        *shaped, loud = at.stages(aims)
        trial, undriven_lufs = bench.tried(*shaped, loud), bench.tried(*shaped).isolated_lufs
        if shaping:
            trial.heard("figures", "balance")
        at.reduction_p95_db = trial.reduction_p95_db
        gained = trial.isolated_lufs - before.isolated_lufs
        at.reached_lufs = target.isolated_lufs + gained
        step_db = _gain_step(at, aims, trial, undriven_lufs + at.gain_db, move - gained)
        if shaping and fitted is not None:
            made = trial.figures - before.figures
            if (np.abs(made - wanted) > WORTH_DENSITY_DB).any():
                bias = bias + made - expected
                fitted, expected = _fitted(bench, at, goal, bias, fitted.found)
                expected, moved = expected + bias, True
        if (shaping or (at.exact and turn < EXACT_ROUNDS)) and not linear:
            moved |= _corrected(at, goal, before.balance, trial.balance, believed, target)
        if abs(step_db) < CLOSE_LU and not moved:
            break
        at.gain_db += step_db
        if moved:  # what the limiter is driven with is not to move along
            at.gain_db -= bench.tried(*at.stages(aims)[:2]).isolated_lufs - undriven_lufs
    at.crest_cost_db = explain.crest_cost_db(trial.levels, trial.reduction_db)
    return at


def _fitted(
    bench: Bench, at: Search, goal: Goal, bias_db: Array, start: Array | None = None
) -> tuple[dynamics.Fit, Array]:
    """Fit the compressor behind tone and width; with the change of the figures to expect, tone's own included.

    bias_db: by how much an earlier fit, begun from again, came out denser or looser in sound than in its levels.
    """
    shaped = bench.tried(at.linear()).heard("figures", "isolated_lufs")
    own = shaped.figures - bench.before.figures
    wanted = np.minimum(goal.density_db[:4] - own, 0.0) - bias_db
    goal_lufs = shaped.isolated_lufs + at.gain_db
    found = dynamics.fit(shaped.levels, wanted, goal_lufs, at.ceiling_dbtp, start)
    at.compressor, at.knee_db = found.compressor, found.knee_db
    at.compressed_db = explain.compressed_db(shaped.levels, found.compressor)
    return found, own + found.change_db


def _corrected(
    at: Search, goal: Goal, before: Balance, after: Balance, believed: Estimate, target: Profile
) -> bool:
    """Add what is missing of the wanted tone and width; whether anything was."""
    made = after.balance_db() - before.balance_db()
    missing = np.where(believed.heard, _correctable(goal.tone_db - made, believed.heard, at.exact), 0.0)
    moved, drawn_db = False, at.curve_db
    if not at.eq.is_neutral() and np.abs(missing).max() > WORTH_DB:
        deepest_db = tone.MOST_ASKED_DB if at.exact else LARGEST_DB
        at.curve_db = np.clip(at.curve_db + missing, -deepest_db, LARGEST_DB)
        start = () if at.exact else at.eq.bands
        at.eq, moved = drawn_eq(at.curve_db, believed, target, at.exact, start), True
    if at.width.is_neutral() or not width.has_side(before) or not width.has_side(after):
        return moved
    if at.exact:  # by itself, and not against a mid that falls short
        wanted, made = goal.tone_db + goal.side_db, after.balance_db("side") - before.balance_db("side")
    else:
        wanted = goal.side_db + goal.focus_db
        wider = [p.third_octaves_db("side") - p.third_octaves_db("mid") for p in (before, after)]
        made = wider[1] - wider[0]
    seen = width.side_heard(before) & (goal.focus_db > -1.0)
    error = _correctable(wanted - made, seen, at.exact, keep_level=True)
    if at.exact and (moved or np.abs(error).max() > 2.0 * WORTH_DB):
        error -= at.curve_db - drawn_db  # of which the side has its share
        at.side_db = np.clip(at.side_db + error, -width.LARGEST_ASKED_DB, width.LARGEST_ASKED_DB)
        at.width, moved = exact_width(at.side_db, at.curve_db, at.eq, believed, target), True
    elif np.abs(error).max() > 2.0 * WORTH_DB:
        at.side_db = np.clip(at.side_db + error, -width.LARGEST_DB, width.LARGEST_DB)
        at.width, moved = drawn_width(at.side_db, at.eq, goal.focus_below_hz, goal.focus_depth_db), True
    return moved


def _correctable(error_db: Array, heard: NDArray[np.bool_], exact: bool, *, keep_level: bool = False) -> Array:
    """What of a deviation is corrected: all of it, or what is as smooth as mastering."""
    if not exact:
        return tone.smoothed(error_db, heard, keep_level=keep_level)
    level = 0.0 if keep_level or not heard.any() else error_db[heard].mean()
    return np.where(heard, error_db - level, 0.0)


def bounded(gain_db: float) -> float:
    """A gain that the effect takes, in millionths of a dB: what is rounded here is magnified round by round."""
    return float(np.clip(round(gain_db, 6), -60.0, 60.0))


def _gain_step(at: Search, aims: Aims, trial: Trial, driven_lufs: float, missing_lu: float) -> float:
    """The next change of gain; notes what holds it back."""
    at.held_back = ""
    if not aims.limiter:
        room = aims.ceiling_dbtp - trial.true_peak_dbtp
        at.held_back = "ceiling" if missing_lu > room else ""
        return min(missing_lu, room)
    yielded = at.yielded(trial, driven_lufs)
    step_db = missing_lu / yielded
    if yielded < SATURATED and step_db - missing_lu > WASTED_DB and at.limiting is LIMITING:
        at.limit_faster()
        return missing_lu
    # A dB of gain is at most a dB of limiting.
    room = aims.max_limiting_db - trial.reduction_p95_db
    if step_db <= max(room, 0.0):
        return step_db
    if at.ceiling_dbtp < aims.ceiling_dbtp:  # a lower ceiling was for the sound; loudness comes first
        at.ceiling_dbtp = min(aims.ceiling_dbtp, at.ceiling_dbtp + step_db - room)
        return missing_lu
    at.held_back = "limiting"
    return room


def _steps(
    target: Profile, reference: Reference, aims: Aims, goal: Goal, found: Search, beliefs: Beliefs
) -> tuple[Step, ...]:
    """The chain with its reasons; no step for what changes nothing, and a limiter behind everything else."""
    steps = []
    if not found.eq.is_neutral():
        steps.append(Step(settings=found.eq, because=explain.tone(target, reference, beliefs.tone, goal.tone_db)))
    if not found.width.is_neutral() and beliefs.width is not None:
        because = explain.width(beliefs.width, goal.side_db + goal.focus_db)
        steps.append(Step(settings=found.width, because=because))
    if not found.compressor.is_neutral():
        because = explain.dynamics(beliefs.density, goal.density_db, found.compressor, found.compressed_db)
        steps.append(Step(settings=found.compressor, because=because))
    if bounded(found.gain_db) != 0.0:
        because = explain.loudness(
            target,
            reference,
            aims,
            goal.loudness_lufs + target.edges_lu,
            bounded(found.gain_db),
            found.held_back,
            found.reached_lufs + target.edges_lu,
        )
        steps.append(Step(settings=Gain(gain_db=bounded(found.gain_db)), because=because))
    if aims.limiter and (steps or target.true_peak_dbtp > aims.ceiling_dbtp):
        because = explain.limiter(
            target, aims, found.ceiling_dbtp, found.reduction_p95_db, found.crest_cost_db, alone=not steps
        )
        steps.append(Step(settings=found.limiter(aims)[0], because=because))
    return tuple(steps)


def track(profile: Profile | Record) -> Track:
    """What a plan says of a track."""
    return Track(
        name=profile.name,
        content_hash=profile.content_hash,
        sample_rate_hz=profile.sample_rate_hz,
        channels=profile.channels,
        integrated_lufs=round(profile.integrated_lufs, 4),
    )
