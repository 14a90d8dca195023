"""The end of the loop as a plan has it: a step for each effect, with its reason."""

from __future__ import annotations

from dsp.effects.gain import Gain
from matcher.aims import Aims
from matcher.planner import explain
from matcher.planner.search import Beliefs, Goal, Search, bounded
from matcher.plans import Step, Track
from matcher.profile import Profile
from matcher.reference import Record, Reference


def steps_of(
    target: Profile, reference: Reference, aims: Aims, goal: Goal, found: Search, beliefs: Beliefs
) -> tuple[Step, ...]:
    """The chain with its reasons; no step for what changes nothing, and a limiter behind everything else."""
    steps = []
    shape, curves = found.shape, goal.curves
    if not shape.eq.is_neutral():
        because = explain.tone(
            target, reference, aims, beliefs.tone, curves.tone_db, same=shape.same, passages=beliefs.passages
        )
        steps.append(Step(settings=shape.eq, because=because))
    if not shape.width.is_neutral() and beliefs.width is not None:
        because = explain.width(beliefs.width, curves.side_db + curves.focus_db)
        steps.append(Step(settings=shape.width, because=because))
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
