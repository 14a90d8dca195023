"""The whole recipe of one match: analyze, plan, render, measure again, report."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from dsp.audio import Audio
from dsp.effects.gain import Gain
from matcher import masters
from matcher.aims import Aims
from matcher.analysis import Source, analyze, check_fit, opened
from matcher.blending import Blend, Sources, as_blend, measured
from matcher.distance import gap
from matcher.io import check_output, content_hash, default_output, output_format
from matcher.planner.loop import make_plan, track
from matcher.plans import Plan
from matcher.profile import Profile
from matcher.reference import DIMENSIONS, Reference
from matcher.rendering import Rendered, render
from matcher.reporting import Report
from matcher.suitability import condition, suitability

Stages = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0 to 1."""

CORRECTIONS = 2
CLOSE_LU = 0.1
"""A full render this far from the loudness the plan was heading for is made again, at most `CORRECTIONS` times."""


def plan(
    target: Source,
    reference: Sources | Blend | Reference,
    aims: Aims | None = None,
    *,
    use_cache: bool = True,
    stages: Stages | None = None,
) -> Plan:
    """Fit a plan that turns `target` into a master beside `reference`; nothing is rendered in full.

    reference: as in `match`. Raises FileError, AudioError, UnfitError.
    """
    goal = reference if isinstance(reference, Reference) else as_blend(reference)
    _open_once(target, goal)
    before, there = _measured(target, goal, use_cache, stages)
    warnings = _warnings(target, before, goal, there)
    return _planned(target, before, there, aims or Aims(), warnings, stages, use_cache)


def match(
    target: Source,
    reference: Sources | Blend | Reference,
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

    reference: a track, several that are averaged, a `blend` with tracks of their own for tone, dynamics or loudness, or
    a `Reference` that was measured before. output: the file to write; `NAME-mastered.wav` beside a target that is a
    file, in memory (`report.audio`) for an `Audio`. bit_depth: 16, 24 or 32 (float); the target's own where None.
    sample_rate_hz: the target's own where None. Raises FileError, AudioError, UnfitError; then no file is left.
    """
    started = time.perf_counter()
    aims = aims or Aims()
    if output is None and not isinstance(target, Audio):
        output = default_output(Path(str(target)))
    asked = reference if isinstance(reference, Reference) else as_blend(reference)
    if output is not None:
        _refuse_early(target, asked, Path(output), force, bit_depth)
    _open_once(target, asked)
    before, goal = _measured(target, asked, use_cache, stages)
    made = _planned(target, before, goal, aims, _warnings(target, before, asked, goal), stages, use_cache)

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
    if use_cache and made.chain.active():
        masters.remember(result.profile.content_hash if output is None else content_hash(output), made)
    return Report(
        plan=made,
        before=before,
        after=result.profile,
        reference=goal,
        gap_before=gap(before, goal),
        gap_after=gap(result.profile, goal),
        rendered=result,
        seconds=time.perf_counter() - started,
    )


def _refuse_early(
    target: Source, reference: Blend | Reference, output: Path, force: bool, bit_depth: int | None
) -> None:
    """Everything about the output that can be refused before any work begins."""
    with opened(target) as audio:
        format = output_format(audio, output, bit_depth)
        inputs = [audio.path] if audio.path is not None else []
        if isinstance(reference, Blend):
            inputs += [Path(source) for source in reference.sources if isinstance(source, str | Path)]
        check_output(
            output, inputs=inputs, force=force, needed_bytes=format.size_bytes(audio.length_samples, audio.channels)
        )


def _open_once(target: Source, reference: Blend | Reference) -> None:
    """Refuse files that cannot be read, in the order they were named, before the first is analysed."""
    for source in (target, *(reference.sources if isinstance(reference, Blend) else ())):
        with opened(source):
            pass


def _measured(
    target: Source, reference: Blend | Reference, use_cache: bool, stages: Stages | None
) -> tuple[Profile, Reference]:
    """Profiles of the target and of all that it is matched to."""
    progress = None if stages is None else lambda done: stages("analyze", done)
    if isinstance(reference, Blend):
        return measured(target, reference, use_cache=use_cache, progress=progress)
    profile = analyze(target, use_cache=use_cache, progress=progress)
    check_fit(profile, "target")
    return profile, reference


def _planned(
    target: Source,
    before: Profile,
    goal: Reference,
    aims: Aims,
    warnings: tuple[str, ...],
    stages: Stages | None,
    known: bool,
) -> Plan:
    """known: whether a master that was made here is to be known again."""
    references = tuple(msgspec.structs.replace(track(p), serves=_serves(goal, p)) for p in goal.tracks)
    wanted = Plan(target=track(before), references=references, aims=aims, warnings=warnings)
    done = masters.finished(wanted) if known else None
    if done is not None:
        return done
    with opened(target) as audio:
        made = make_plan(audio, before, goal, aims, None if stages is None else lambda done: stages("plan", done))
    return msgspec.structs.replace(made, references=references, warnings=warnings)


def _serves(goal: Reference, profile: Profile) -> tuple[str, ...]:
    """What a reference is for, where that is not everything."""
    serves = goal.serves(profile)
    return () if serves == DIMENSIONS else serves


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
    because = f"{step.because} The full render missed that by {-missing:+.2f} LU, and the gain was corrected."
    better = msgspec.structs.replace(step, settings=gain, because=because.strip())
    steps = tuple(better if s is step else s for s in made.steps)
    return msgspec.structs.replace(made, steps=steps)


def _warnings(target: Source, before: Profile, asked: Blend | Reference, goal: Reference) -> tuple[str, ...]:
    """What is odd about the files but legal, and what speaks against a reference; each line once."""
    found: list[str] = []
    sources = asked.sources if isinstance(asked, Blend) else ()
    for source in (target, *sources):
        if isinstance(source, str | Path):
            with opened(source) as audio:
                found += audio.warnings
    found += condition(before)
    for profile in goal.tracks:
        found += suitability(before, profile, goal.serves(profile))
    for source in asked.idle if isinstance(asked, Blend) else ():
        with opened(source) as audio:
            found.append(f"{audio.name}: serves nothing, as tone, dynamics and loudness have tracks of their own")
    return tuple(dict.fromkeys(found))
