"""The whole recipe of an album: measure all, fix where each is to go, plan, render, put in place, measure again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np

from dsp.effects.gain import Gain
from dsp.errors import FileError, MatchError, SettingsError
from matcher.aims import Aims
from matcher.album_figures import Figures
from matcher.album_lists import tracks_of
from matcher.album_reporting import AlbumReport, TrackReport
from matcher.album_sides import Side, measured_side, render_side
from matcher.album_state import Planned, State, key_of, opened_state
from matcher.album_targets import Limits, loudnesses, targets
from matcher.analysis import analyze, check_fit
from matcher.io import output_format, shown
from matcher.matching import plan_known
from matcher.planner.search import Known
from matcher.plans import Plan, Step
from matcher.profile import Profile
from matcher.reference import Reference
from matcher.refining import CORRECTIONS, refined, rendered_closer
from matcher.rendering import Accept, Rendered, render
from matcher.version import VERSION

Item = TypeVar("Item")
Result = TypeVar("Result")
Mapped = Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[tuple[Any, Any]]]
"""Runs a function over items and gives (item, result or error) for each, in any order: `Executor.map`."""

Levels = Literal["keep", "even"]
ALBUM_VERSION = 3
"""Raised whenever the same album would come out otherwise."""
SHORT_LU = 0.1
"""A track that stays this far below its loudness, where relations are kept, takes the album down with it."""
LOWERINGS = 3


def one_by_one(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[tuple[Item, Result | Exception]]:
    """The plain loop, with deliberate errors for results."""
    for item in items:
        try:
            yield item, function(item)
        except MatchError as error:
            yield item, error


@dataclass(frozen=True, eq=False)
class Job:
    """One track on its way."""

    number: int
    source: Path
    name: str
    """Of the master, in the output folder."""
    before: Profile
    lead: Profile
    known: Known
    aims: Aims
    """With the loudness that this track is to have."""


def album(
    lead: Path | str,
    tracks: Iterable[Path | str],
    output: Path | str,
    *,
    levels: Levels = "keep",
    limits: Limits | None = None,
    aims: Aims | None = None,
    gapless: bool = False,
    one_plan: bool = False,
    container: Literal["wav", "flac", "aiff"] = "wav",
    bit_depth: int | None = None,
    force: bool = False,
    use_cache: bool = True,
    map: Mapped = one_by_one,
) -> AlbumReport:
    """Master an album to be of one piece with its lead single.

    tracks: files, folders, M3U playlists or CUE sheets, in the order of the album; the lead may be one of them, and is
    then held to the ceiling and left as it is otherwise. output: the folder for the masters, each under its track's
    name. levels: `keep` moves all by one gain, `even` brings each to the lead's loudness. gapless: all in one stream;
    one_plan: with one plan for all of it. force: begin anew, and replace what is there. map: runs the work.
    A track that cannot be made is named in the report's `failed` and stops no other. Raises FileError, AudioError,
    UnfitError for the lead and for the folder; SettingsError.
    """
    aims, limits = aims or Aims(), limits or Limits()
    if levels not in ("keep", "even"):
        raise SettingsError(f"levels: {levels!r} is neither keep nor even")
    if one_plan and not gapless:
        raise SettingsError("one_plan: is for a gapless album")
    if one_plan and aims.restore != "off":
        raise SettingsError(f"restore: {aims.restore!r} mends each file by itself; with one plan allowed is off")
    sources = tracks_of(tracks)
    if not sources:
        raise FileError("the album: has no track; at least one is needed")
    names = _named(sources, container)
    output = Path(output)
    _refuse_inputs(output, names, (Path(lead), *sources))
    profile = analyze(lead, use_cache=use_cache)
    check_fit(profile, "reference")
    with opened_state(output) as state:
        if force:
            state.forget()
        work = _Work(state, levels, limits, aims, container, bit_depth, force, use_cache, map)
        found, failed = work.measured(sources)
        jobs = work.jobs(profile, sources, names, found)
        made = work.gapless(jobs, failed, one_plan=one_plan) if gapless else work.apart(jobs, failed)
    order = {job.name: job.number for job in jobs}
    return AlbumReport(
        lead=profile.name,
        levels=levels,
        tracks=tuple(sorted(made, key=lambda t: order[t.output.name])),
        failed={shown(source): failed[source] for source in sources if source in failed},
        remarks=tuple(work.remarks),
    )


class _Work:
    """One run over one album."""

    def __init__(
        self,
        state: State,
        levels: Levels,
        limits: Limits,
        aims: Aims,
        container: str,
        bit_depth: int | None,
        force: bool,
        use_cache: bool,
        map: Mapped,
    ) -> None:
        self.state, self.levels, self.limits, self.aims = state, levels, limits, aims
        self.container, self.bit_depth, self.force = container, bit_depth, force
        self.use_cache, self.map = use_cache, map
        self.remarks: list[str] = []

    def measured(self, sources: Sequence[Path]) -> tuple[dict[Path, Profile], dict[Path, str]]:
        """The profiles of all tracks that can be matched, and what is wrong with the others."""
        found: dict[Path, Profile] = {}
        failed: dict[Path, str] = {}
        for source, result in self.map(partial(_profile, use_cache=self.use_cache), sources):
            if isinstance(result, Exception):
                failed[source] = _told(result)
            else:
                found[source] = result
        return found, failed

    def jobs(
        self, lead: Profile, sources: Sequence[Path], names: Sequence[str], found: dict[Path, Profile]
    ) -> list[Job]:
        """Where every track is to go; fixed from here on."""
        there = [(n, s) for n, s in enumerate(sources) if s in found]
        profiles = [found[s] for _, s in there]
        if not profiles:
            return []
        known = targets(lead, profiles, self.limits, self.aims.ceiling_dbtp, self.aims.belief)
        if self.aims.loudness_lufs is not None:
            level = replace(lead, isolated_lufs=self.aims.loudness_lufs, content_hash="")
            goals = loudnesses(level, profiles, self.levels, self.limits)
        else:
            goals = loudnesses(lead, profiles, self.levels, self.limits)
        return [
            Job(n, s, names[n], p, lead, k, _heading(self.aims, goal + p.edges_lu))
            for (n, s), p, k, goal in zip(there, profiles, known, goals, strict=True)
        ]

    def apart(self, jobs: list[Job], failed: dict[Path, str]) -> list[TrackReport]:
        """Every track in a stream of its own."""
        planned = self._planned(jobs, failed)
        made, todo = [], []
        for job, plan in planned:
            try:
                kept = self._kept(job, plan, plan.plan)
            except MatchError as error:
                failed[job.source] = _told(error)
                continue
            made += [kept] if kept is not None else []
            todo += [(job, plan)] if kept is None else []
        self.state.clear_staging()
        function = partial(_rendered, staging=self.state.staging, bit_depth=self.bit_depth)
        for (job, plan), result in self.map(function, todo):
            if isinstance(result, Exception):
                failed[job.source] = _told(result)
                continue
            text, after = result
            self.state.finish(job.name, self._key(job, plan.plan), text, after)
            made.append(self._report(job, text, after, kept=False))
        return made

    def gapless(self, jobs: list[Job], failed: dict[Path, str], *, one_plan: bool) -> list[TrackReport]:
        """All in one stream; a track that cannot be read parts it in two."""
        made: list[TrackReport] = []
        planned = self._one(jobs) if one_plan else self._planned(jobs, failed)
        for side in _together(planned):
            made += self._side(side)
        return made

    def _side(self, side: list[tuple[Job, Planned]]) -> list[TrackReport]:
        sources = [job.source for job, _ in side]
        text = " ".join(plan.plan for _, plan in side)
        kept = [self._kept(job, plan, f"{number} {text}") for number, (job, plan) in enumerate(side)]
        if all(kept):
            return [k for k in kept if k is not None]
        self.state.clear_staging()
        plans = _closer([job for job, _ in side], [Plan.from_json(p.plan) for _, p in side])
        with Side.of(sources) as whole:
            format = output_format(whole, Path(side[0][0].name), self.bit_depth)
        made: list[TrackReport] = []

        def wanted(number: int) -> Path | None:
            before = kept[number]
            if before is None:
                return self.state.staging / side[number][0].name
            made.append(before)
            return None

        def finished(number: int, profile: Profile) -> None:
            job, _ = side[number]
            after, plan = Figures.of(profile), plans[number].to_json()
            self.state.finish(job.name, self._key(job, f"{number} {text}"), plan, after)
            made.append(self._report(job, plan, after, kept=False))

        render_side(sources, plans, wanted, finished, format)
        return made

    def _one(self, jobs: list[Job]) -> list[tuple[Job, Planned]]:
        """One plan for the whole side, made as if it were one piece."""
        if not jobs:
            return []
        key = key_of(ALBUM_VERSION, VERSION, "one", [self._inputs(job) for job in jobs])
        planned = self.state.plan(key)
        if planned is None:
            with Side.of([job.source for job in jobs]) as side:
                whole = analyze(side)
                known = targets(jobs[0].lead, [whole], self.limits, self.aims.ceiling_dbtp, self.aims.belief)[0]
                goal = loudnesses(jobs[0].lead, [whole], self.levels, self.limits)[0] + whole.edges_lu
                if self.aims.loudness_lufs is not None:
                    goal = self.aims.loudness_lufs
                fitted, _ = plan_known(side, Reference.of(jobs[0].lead), known, _heading(self.aims, goal))
            planned = Planned(plan=fitted.plan.to_json(), reached_lufs=fitted.reached_lufs)
            self.state.keep_plan(key, planned)
        return [(job, planned) for job in jobs]

    def _planned(self, jobs: list[Job], failed: dict[Path, str]) -> list[tuple[Job, Planned]]:
        """A plan for each, with the loudness that all can reach where relations are kept."""
        lowered = 0.0
        for _ in range(LOWERINGS):
            found = self._fitted(jobs, failed)
            if self.levels == "even" or not found:
                break
            short = max(_goal(job) - plan.reached_lufs for job, plan in found)
            if short <= SHORT_LU:
                break
            lowered += short
            jobs = [replace(job, aims=_heading(job.aims, _goal(job) - short)) for job, _ in found]
        if lowered:
            self.remarks.append(
                f"The album lies {lowered:.1f} LU lower than asked: a track reaches no more, and relations are kept"
            )
        return found

    def _fitted(self, jobs: list[Job], failed: dict[Path, str]) -> list[tuple[Job, Planned]]:
        keys = {job.number: key_of(ALBUM_VERSION, VERSION, self._inputs(job)) for job in jobs}
        found = {job.number: (job, plan) for job in jobs if (plan := self.state.plan(keys[job.number])) is not None}
        todo = [job for job in jobs if job.number not in found]
        for job, result in self.map(partial(_plan, use_cache=self.use_cache), todo):
            if isinstance(result, Exception):
                failed[job.source] = _told(result)
            else:
                self.state.keep_plan(keys[job.number], result)
                found[job.number] = (job, result)
        return [found[number] for number in sorted(found)]

    def _inputs(self, job: Job) -> list[Any]:
        """Everything that a plan follows from, as plain data."""
        known = job.known
        return [
            job.before.content_hash,
            job.lead.content_hash,
            msgspec.to_builtins(job.aims),
            _plain(known.tone.mean_db),
            None if known.width is None else _plain(known.width.side.mean_db),
            _plain(known.density_db),
        ]

    def _key(self, job: Job, plans: str) -> str:
        """Everything that a master follows from."""
        return key_of(ALBUM_VERSION, VERSION, job.before.content_hash, plans, self.container, self.bit_depth)

    def _kept(self, job: Job, planned: Planned, plans: str) -> TrackReport | None:
        """What an earlier run has finished; FileError where something else stands there."""
        record = self.state.finished(job.name, self._key(job, plans))
        if record is None:
            self.state.check_free(job.name, force=self.force)
            return None
        return self._report(job, record.plan, record.after, kept=True)

    def _report(self, job: Job, plan: str, after: Figures, *, kept: bool) -> TrackReport:
        made = Plan.from_json(plan)
        place, before = self.state.output / job.name, Figures.of(job.before)
        return TrackReport(job.before.name, place, before, after, (*made.remarks, *made.warnings), kept)


def _profile(source: Path, *, use_cache: bool) -> Profile:
    profile = analyze(source, use_cache=use_cache)
    check_fit(profile, "target")
    return profile


def _plan(job: Job, *, use_cache: bool) -> Planned:
    fitted, _ = plan_known(job.source, Reference.of(job.lead), job.known, job.aims, use_cache=use_cache)
    return Planned(plan=_with_gain(fitted.plan).to_json(), reached_lufs=fitted.reached_lufs)


def _with_gain(plan: Plan) -> Plan:
    """With a level step, by which the full render can be given back what holding the peaks costs: the lead has none."""
    limiter = plan.step("limiter")
    if limiter is None or plan.step("gain") is not None or plan.goal_lufs is None:
        return plan
    gain = Step(settings=Gain(), because="What holding the peaks costs in loudness is given back.")
    place = plan.steps.index(limiter)
    return msgspec.structs.replace(plan, steps=(*plan.steps[:place], gain, *plan.steps[place:]))


def _rendered(item: tuple[Job, Planned], *, staging: Path, bit_depth: int | None) -> tuple[str, Figures]:
    job, planned = item

    def rendered(plan: Plan, accept: Accept) -> Rendered:
        return render(job.source, plan, staging / job.name, force=True, bit_depth=bit_depth, accept=accept)

    made = Plan.from_json(planned.plan)
    made, result = rendered_closer(rendered, made, _behind_repairs(job, made))
    return made.to_json(), Figures.of(result.profile)


def _behind_repairs(job: Job, plan: Plan) -> Profile | None:
    """The track as the plan's chain is given it; None where repairs come before that: they were not measured alone."""
    return None if plan.repairs.active() else job.before


def _closer(jobs: Sequence[Job], plans: list[Plan]) -> list[Plan]:
    """The plans set right by what the whole side measures."""
    if len(set(p.to_json() for p in plans)) == 1 and len(plans) > 1:
        return plans  # one plan is for the whole, and no track of it has a loudness of its own
    for _ in range(CORRECTIONS):
        found = measured_side([job.source for job in jobs], plans)
        closer = [
            refined(plan, _behind_repairs(job, plan), Rendered(profile, {}))
            for job, plan, profile in zip(jobs, plans, found, strict=True)
        ]
        if not any(closer):
            break
        plans = [better or plan for better, plan in zip(closer, plans, strict=True)]
    return plans


def _together(planned: list[tuple[Job, Planned]]) -> Iterator[list[tuple[Job, Planned]]]:
    """Tracks that follow each other without one missing between them."""
    side: list[tuple[Job, Planned]] = []
    for job, plan in planned:
        if side and side[-1][0].number + 1 != job.number:
            yield side
            side = []
        side.append((job, plan))
    if side:
        yield side


def _heading(aims: Aims, loudness_lufs: float) -> Aims:
    return msgspec.structs.replace(aims, loudness_lufs=float(np.clip(round(loudness_lufs, 4), -60.0, 0.0)))


def _goal(job: Job) -> float:
    assert job.aims.loudness_lufs is not None  # for the type checker: `_heading` has set it
    return job.aims.loudness_lufs


def _plain(values: Any) -> list[float]:
    return [round(float(v), 6) for v in values]


def _told(error: Exception) -> str:
    return str(error)


def _named(sources: Sequence[Path], container: str) -> list[str]:
    """A name for each master, no two the same on any system."""
    names: list[str] = []
    for source in sources:
        name, count = f"{source.stem}.{container}", 1
        while name.lower() in (n.lower() for n in names):
            count += 1
            name = f"{source.stem}-{count}.{container}"
        names.append(name)
    return names


def _refuse_inputs(output: Path, names: Sequence[str], inputs: Sequence[Path]) -> None:
    known = {path.resolve() for path in inputs}
    for name in names:
        if (output / name).resolve() in known:
            raise FileError(f"{shown(output / name)}: is an input itself; choose another folder")
