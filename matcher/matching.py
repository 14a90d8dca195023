"""The whole recipe of one match: analyze, plan, render, measure again, report."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from dsp.audio import Audio
from dsp.units import gain_from_db
from matcher import masters
from matcher.aims import Aims
from matcher.analysis import Progress, Source, analyze, check_fit, opened
from matcher.blending import Analysis, Blend, Sources, as_blend, measured
from matcher.damage import Damage, inspect
from matcher.distance import gap
from matcher.io import AudioSource, check_output, content_hash, default_output, in_stereo, output_format
from matcher.mending import Mended, check_residual, write_residual
from matcher.planner.loop import Fitted, make_plan
from matcher.planner.search import Known
from matcher.planner.steps import track
from matcher.plans import Plan, Step, Track
from matcher.preset_choosing import Choice
from matcher.profile import Profile
from matcher.reference import DIMENSIONS, Record, Reference
from matcher.refining import rendered_closer
from matcher.rendering import Accept, Noise, Rendered, render
from matcher.reporting import Report
from matcher.suitability import condition, suitability

Stages = Callable[[str, float], None]
"""Called with the name of the stage and the share of it that is done, 0 to 1."""


def plan(
    target: Source,
    reference: Sources | Blend | Choice | Reference,
    aims: Aims | None = None,
    *,
    use_cache: bool = True,
    stages: Stages | None = None,
) -> Plan:
    """Fit a plan that turns `target` into a master beside `reference`; nothing is rendered in full.

    reference: as in `match`. Raises FileError, AudioError, UnfitError.
    """
    asked = reference if isinstance(reference, Reference | Choice) else as_blend(reference)
    _open_once(target, asked)
    aims = aims or Aims()
    with _prepared(target, asked, aims, use_cache, stages) as ready:
        return _planned(ready, aims, stages, use_cache)


def plan_known(
    target: Source, reference: Reference, known: Known, aims: Aims, *, use_cache: bool = True
) -> tuple[Fitted, Profile]:
    """Like `plan`, with what is to be believed settled before; with the profile behind the repairs."""
    with _prepared(target, reference, aims, use_cache, None) as ready:
        return _fitted(ready, aims, None, known), ready.before


def match(
    target: Source,
    reference: Sources | Blend | Choice | Reference,
    output: Path | str | None = None,
    *,
    aims: Aims | None = None,
    force: bool = False,
    bit_depth: int | None = None,
    sample_rate_hz: int | None = None,
    dither: Noise = "tpdf",
    replay_gain: bool = False,
    threads: int = 2,
    use_cache: bool = True,
    residual: Path | str | None = None,
    stages: Stages | None = None,
) -> Report:
    """Master `target` to belong beside `reference`.

    reference: a track, several that are averaged, a `blend` with tracks of their own for tone, dynamics or loudness, a
    `Choice` among presets, or a `Reference` that was measured before. output: the file to write; `NAME-mastered.wav`
    beside a target that is a file, in memory (`report.audio`) for an `Audio`. bit_depth: 16, 24 or 32 (float); the
    target's own where None. sample_rate_hz: the target's own where None. dither, replay_gain: as in `render`. residual:
    where to write what the repairs took out, input minus output, as 32-bit float. Raises FileError, AudioError,
    UnfitError; then no file is left, but for a master whose residual alone could not be written.
    """
    started = time.perf_counter()
    aims = aims or Aims()
    if output is None and not isinstance(target, Audio):
        output = default_output(Path(str(target)))
    asked = reference if isinstance(reference, Reference | Choice) else as_blend(reference)
    if output is not None:
        _refuse_early(target, asked, Path(output), force, bit_depth)
    if residual is not None:
        with opened(target) as sound:
            check_residual(Path(residual), sound, output, references=_files_of(asked), force=force)
    _open_once(target, asked)
    with _prepared(target, asked, aims, use_cache, stages) as ready:
        made = _planned(ready, aims, stages, use_cache)

        def rendered(plan: Plan, accept: Accept) -> Rendered:
            return render(
                ready.sound,
                plan,
                output,
                force=force,
                bit_depth=bit_depth,
                sample_rate_hz=sample_rate_hz,
                dither=dither,
                replay_gain=replay_gain,
                threads=threads,
                progress=None if stages is None else lambda done: stages("render", done),
                accept=accept,
            )

        made, result = rendered_closer(rendered, made, ready.before)
        if residual is not None:
            write_residual(Path(residual), ready.sound)
    if use_cache and made.steps:
        masters.remember(result.profile.content_hash if output is None else content_hash(output), made)
    return Report(
        plan=made,
        before=ready.before,
        after=result.profile,
        reference=ready.goal,
        gap_before=gap(ready.before, ready.goal),
        gap_after=gap(result.profile, ready.goal),
        rendered=result,
        seconds=time.perf_counter() - started,
    )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A target that is whole, measured beside its reference."""

    sound: AudioSource
    """Behind its repairs, where there is something to repair."""
    heard: AudioSource
    """What the plan is tried on: the sound, or of more than two channels their stereo mix at the same loudness."""
    damage: Damage | None
    before: Profile
    goal: Reference
    tone_sound: Source | None
    """The track that tone and width are taken from; None where that is several, or none that can be heard."""
    warnings: tuple[str, ...]


@contextlib.contextmanager
def _prepared(
    target: Source, asked: Blend | Choice | Reference, aims: Aims, use_cache: bool, stages: Stages | None
) -> Iterator[Prepared]:
    """Look for damage, measure both sides, mend what can be mended and measure that."""
    found: list[Damage] = []

    def examined(source: Source, use_cache: bool, progress: Progress) -> Profile:
        if aims.restore != "off" and sound.channels <= 2:
            found.append(inspect(source, strong=aims.restore == "strong", use_cache=use_cache, progress=progress))
        return analyze(source, use_cache=use_cache, progress=progress)

    with contextlib.ExitStack() as open_until_the_end:
        sound = open_until_the_end.enter_context(opened(target))
        before, goal = _measured(sound, asked, use_cache, examined, stages)
        heard = in_stereo(sound)
        if heard is not sound:
            level_db = before.isolated_lufs - analyze(heard, use_cache=False).isolated_lufs
            heard = in_stereo(sound, float(gain_from_db(level_db)))
        damage = found[0] if found else None
        if damage is not None and damage.mendable:
            sound = open_until_the_end.enter_context(Mended.of(sound, damage.chain))
            sound.keep(None if stages is None else lambda done: stages("repair", done))
            heard = sound
            before = analyze(sound, use_cache=use_cache)
            check_fit(before, "target")
        tone = asked.serving("tone") if isinstance(asked, Blend) else ()
        only = tone[0] if len(goal.tone) == 1 and tone else None
        yield Prepared(sound, heard, damage, before, goal, only, _warnings(target, before, asked, goal))


def _refuse_early(
    target: Source, reference: Blend | Choice | Reference, output: Path, force: bool, bit_depth: int | None
) -> None:
    """Everything about the output that can be refused before any work begins."""
    with opened(target) as audio:
        format = output_format(audio, output, bit_depth)
        inputs = [audio.path] if audio.path is not None else []
        inputs += _files_of(reference)
        check_output(
            output, inputs=inputs, force=force, needed_bytes=format.size_bytes(audio.length_samples, audio.channels)
        )


def _files_of(reference: Blend | Choice | Reference) -> list[Path]:
    if not isinstance(reference, Blend):
        return []
    return [Path(source) for source in reference.sources if isinstance(source, str | Path)]


def _open_once(target: Source, reference: Blend | Choice | Reference) -> None:
    """Refuse files that cannot be read, in the order they were named, before the first is analysed."""
    for source in (target, *(reference.sources if isinstance(reference, Blend) else ())):
        with opened(source):
            pass


def _measured(
    target: Source, reference: Blend | Choice | Reference, use_cache: bool, of_target: Analysis, stages: Stages | None
) -> tuple[Profile, Reference]:
    """Profiles of the target and of all that it is matched to."""
    progress: Progress = (lambda done: None) if stages is None else lambda done: stages("analyze", done)
    if isinstance(reference, Blend):
        return measured(target, reference, use_cache=use_cache, progress=progress, of_target=of_target)
    profile = of_target(target, use_cache, progress)
    check_fit(profile, "target")
    return profile, reference.nearest(profile) if isinstance(reference, Choice) else reference


def _planned(ready: Prepared, aims: Aims, stages: Stages | None, known: bool) -> Plan:
    """known: whether a master that was made here is to be known again."""
    target, references = _sources(ready)
    wanted = Plan(target=target, references=references, aims=aims, warnings=ready.warnings)
    done = masters.finished(wanted) if known else None
    if done is not None:
        return done
    return _fitted(ready, aims, stages).plan


def _sources(ready: Prepared) -> tuple[Track, tuple[Track, ...]]:
    """What the plan says of the target and of each reference."""
    references = tuple(msgspec.structs.replace(track(p), serves=_serves(ready.goal, p)) for p in ready.goal.tracks)
    target = track(ready.before)
    if ready.damage is not None:  # a plan with repairs is bound to the file that they were found in
        target = msgspec.structs.replace(target, content_hash=ready.damage.content_hash)
    return target, references


def _fitted(ready: Prepared, aims: Aims, stages: Stages | None, known: Known | None = None) -> Fitted:
    tell: Progress | None = None if stages is None else lambda done: stages("plan", done)
    fitted = make_plan(ready.heard, ready.before, ready.goal, aims, tell, known, ready.tone_sound)
    target, references = _sources(ready)
    mended, left_alone = _repairs(ready.damage)
    made = msgspec.structs.replace(
        fitted.plan,
        target=target,
        references=references,
        steps=(*mended, *fitted.plan.steps),
        remarks=(*left_alone, *fitted.plan.remarks),
        warnings=ready.warnings,
    )
    return replace(fitted, plan=made)


def _repairs(damage: Damage | None) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """A step for each repair, and a line for each fault without one."""
    findings = () if damage is None else damage.findings
    steps = tuple(Step(settings=f.repair, because=_sentence(f.said)) for f in findings if f.repair is not None)
    return steps, tuple(f"{f.said}; left alone" for f in findings if f.repair is None)


def _sentence(said: str) -> str:
    return f"{said[0].upper()}{said[1:]}."


def _serves(goal: Reference, profile: Record) -> tuple[str, ...]:
    """What a reference is for, where that is not everything."""
    serves = goal.serves(profile)
    return () if serves == DIMENSIONS else serves


def _warnings(target: Source, before: Profile, asked: Blend | Choice | Reference, goal: Reference) -> tuple[str, ...]:
    """What is odd about the files but legal, and what speaks against a reference; each line once."""
    found: list[str] = []
    sources = asked.sources if isinstance(asked, Blend) else ()
    for source in (target, *sources):
        if isinstance(source, str | Path):
            with opened(source) as audio:
                found += audio.warnings
    if before.channels > 2:
        found.append(
            f"{before.name} has {before.channels} channels: they are mastered linked, the LFE apart; damage is not"
            " looked for"
        )
    found += condition(before)
    for record in goal.tracks:
        if isinstance(record, Profile):
            found += suitability(before, record, goal.serves(record))
    for source in asked.idle if isinstance(asked, Blend) else ():
        with opened(source) as audio:
            name = Path(audio.name).name
            found.append(f"{name}: serves nothing, as tone, dynamics and loudness have tracks of their own")
    return tuple(dict.fromkeys(found))
