"""The whole recipe of one match: analyze, plan, render, measure again, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from dsp.audio import Audio
from dsp.effects.gain import Gain
from matcher.aims import Aims
from matcher.analysis import Progress, Source, analyze, check_fit, opened
from matcher.distance import gap
from matcher.io import check_output, default_output, output_format
from matcher.planner.loop import make_plan
from matcher.plans import Plan
from matcher.profile import Profile
from matcher.reference import Reference
from matcher.rendering import Rendered, both, render
from matcher.reporting import Report

Stages = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0 to 1."""

CORRECTIONS = 2
CLOSE_LU = 0.1
"""A full render this far from the loudness the plan was heading for is made again, at most `CORRECTIONS` times."""


def plan(
    target: Source,
    reference: Source | Reference,
    aims: Aims | None = None,
    *,
    use_cache: bool = True,
    stages: Stages | None = None,
) -> Plan:
    """Fit a plan that turns `target` into a master beside `reference`; nothing is rendered in full.

    Raises FileError, AudioError, UnfitError.
    """
    before, goal = _measured(target, reference, use_cache, stages)
    return _planned(target, before, goal, aims or Aims(), stages)


def match(
    target: Source,
    reference: Source | Reference,
    output: Path | str | None = None,
    *,
    aims: Aims | None = None,
    force: bool = False,
    bit_depth: int | None = None,
    sample_rate_hz: int | None = None,
    dither: bool = True,
    threads: int = 2,
    use_cache: bool = True,
    stages: Stages | None = None,
) -> Report:
    """Master `target` to belong beside `reference`.

    output: the file to write; `NAME-mastered.wav` beside a target that is a file, in memory (`report.audio`) for an
    `Audio`. bit_depth: 16, 24 or 32 (float); the target's own where None. sample_rate_hz: the target's own where None.
    Raises FileError, AudioError, UnfitError; then no file is left.
    """
    started = time.perf_counter()
    aims = aims or Aims()
    if output is None and not isinstance(target, Audio):
        output = default_output(Path(str(target)))
    if output is not None:
        _refuse_early(target, reference, Path(output), force, bit_depth)
    before, goal = _measured(target, reference, use_cache, stages)
    made = _planned(target, before, goal, aims, stages)

    def rendered(plan: Plan, last: bool) -> Rendered:
        return render(
            target,
            plan,
            output,
            force=force,
            bit_depth=bit_depth,
            sample_rate_hz=sample_rate_hz,
            dither=dither,
            threads=threads,
            progress=None if stages is None else lambda done: stages("render", done),
            accept=lambda found: last or _corrected(plan, found) is None,
        )

    # What is still to be corrected is not put in place: whatever stops the work before its end, there is no file.
    for left in reversed(range(CORRECTIONS + 1)):
        result = rendered(made, last=not left)
        closer = _corrected(made, result) if left else None
        if closer is None:
            break
        made = closer
    return Report(
        plan=made,
        before=before,
        after=result.profile,
        reference=goal,
        gap_before=gap(before, goal),
        gap_after=gap(result.profile, goal),
        rendered=result,
        warnings=_warnings(target, reference),
        seconds=time.perf_counter() - started,
    )


def _refuse_early(
    target: Source, reference: Source | Reference, output: Path, force: bool, bit_depth: int | None
) -> None:
    """Everything that can be refused before any work begins."""
    with opened(target) as audio:
        format = output_format(audio, output, bit_depth)
        inputs = [audio.path] if audio.path is not None else []
        if isinstance(reference, str | Path):
            inputs.append(Path(reference))
        check_output(
            output, inputs=inputs, force=force, needed_bytes=format.size_bytes(audio.length_samples, audio.channels)
        )
    if not isinstance(reference, Reference):
        with opened(reference):
            pass


def _measured(
    target: Source, reference: Source | Reference, use_cache: bool, stages: Stages | None
) -> tuple[Profile, Reference]:
    """Profiles of both, made at the same time."""

    def of_target() -> Profile:
        progress = None if stages is None else lambda done: stages("analyze", done)
        profile = analyze(target, use_cache=use_cache, progress=progress)
        check_fit(profile, "target")
        return profile

    def of_reference(progress: Progress) -> Profile:
        assert not isinstance(reference, Reference)
        profile = analyze(reference, use_cache=use_cache, progress=progress)
        check_fit(profile, "reference")
        return profile

    if isinstance(reference, Reference):
        return of_target(), reference
    before, there = both(of_target, of_reference)
    return before, Reference.of(there)


def _planned(target: Source, before: Profile, goal: Reference, aims: Aims, stages: Stages | None) -> Plan:
    with opened(target) as audio:
        return make_plan(audio, before, goal, aims, None if stages is None else lambda done: stages("plan", done))


def _corrected(made: Plan, result: Rendered) -> Plan | None:
    """The plan with its gain set right by what the full render measured; None where it is right already."""
    step = made.step("gain")
    if step is None or made.goal_lufs is None:
        return None
    missing = made.goal_lufs - result.profile.isolated_lufs
    if abs(missing) <= CLOSE_LU:
        return None
    limited = result.measured.get("limiter", {}).get("p95_reduction_db", 0.0)
    gain = Gain(gain_db=round(step.settings.gain_db + missing * (1.0 + min(limited, 6.0) / 6.0), 4))
    steps = tuple(msgspec.structs.replace(s, settings=gain) if s is step else s for s in made.steps)
    return msgspec.structs.replace(made, steps=steps)


def _warnings(*sources: Source | Reference) -> tuple[str, ...]:
    """What is odd about the files but legal."""
    found: list[str] = []
    for source in sources:
        if isinstance(source, str | Path):
            with opened(source) as audio:
                found += audio.warnings
    return tuple(found)
