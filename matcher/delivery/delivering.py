"""One file for each destination from one plan, proven there and behind its codecs; or a finished file, judged."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.errors import FileError
from matcher.analysis import Source, analyze, opened
from matcher.delivery.checks import Measured, Verdict, judged
from matcher.delivery.codecs import Codec, Decoded, codec, missing, through
from matcher.delivery.destinations import Destination, destinations
from matcher.delivery.translation import Finding, translation
from matcher.io import AudioSource, check_output, need_stereo, output_format, reason, resampled_length_samples, shown
from matcher.planner.steps import track
from matcher.plans import Plan, Step
from matcher.profile import Profile
from matcher.rendering import Noise, Rendered, mended, render

PASSES = 3
"""A file that fails is made again, at most so many times."""
SAFETY_DB = 0.05
"""Kept free below a ceiling: other meters read up to 0.1 dB more than there is."""
MORE_DB = 0.1
"""Taken beyond the excess where a codec made it: each pass moves its noise."""
Tell = Callable[[str, float], None]


@dataclass(frozen=True, eq=False)
class Delivered:
    """One destination: the verdict on the file, and where it is."""

    verdict: Verdict
    decoded: tuple[Decoded, ...]
    not_tried: tuple[str, ...]
    output: Path | None = None
    gain_db: float = 0.0
    """Against the master."""
    passes: int = 1
    profile: Profile | None = None

    def remarks(self) -> list[str]:
        """Beside the verdict: which checks fail, what each codec did, and which were not tried."""
        failed = [f"{check.what}: {check.said}" for check in self.verdict.checks if not check.passes]
        return [*failed, *(decoded.said() for decoded in self.decoded), *self.not_tried]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return self.verdict.to_dict() | {
            "output": None if self.output is None else str(self.output),
            "gain_db": round(self.gain_db, 2),
            "passes_made": self.passes,
            "codecs": [d.to_dict() for d in self.decoded],
            "not_tried": list(self.not_tried),
            "result": None if self.profile is None else self.profile.summary(),
        }


@dataclass(frozen=True, eq=False)
class Delivery:
    """A master at all its destinations."""

    name: str
    master: Profile
    delivered: tuple[Delivered, ...]
    translation: tuple[Finding, ...]
    decoded: tuple[Decoded, ...] = ()
    """What the codecs that were asked for made of the master itself."""
    not_tried: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "name": self.name,
            "master": self.master.summary(),
            "destinations": [d.to_dict() for d in self.delivered],
            "translation": [f.to_dict() for f in self.translation],
            "codecs": [d.to_dict() for d in self.decoded],
            "not_tried": list(self.not_tried),
        }


def check(file: Path | str, names: Sequence[str] = (), *, codecs: Sequence[str] = ()) -> Delivery:
    """Judge a finished file at destinations, behind codecs and elsewhere; writes nothing.

    names: of `matcher.delivery.destinations`. codecs: `mp3:256` and the like. Raises FileError, UnfitError,
    SettingsError.
    """
    file = Path(file)
    places, asked = destinations(tuple(names)), tuple(codec(text) for text in codecs)
    with opened(file) as audio:
        need_stereo(audio, "a delivery")
        bit_depth = audio.bit_depth
    profile = analyze(file)
    own = tuple(dict.fromkeys([*asked, *(codec(text) for place in places for text in place.codecs)]))
    with ThreadPoolExecutor(max_workers=2) as pool:
        decoded = tuple(pool.map(lambda one: through(file, one), (each for each in own if not missing(each))))
    not_tried = tuple(line for each in own if (line := missing(each)))
    measured = _measured(profile, bit_depth)
    results = []
    for place in places:
        mine = tuple(d for d in decoded if d.codec in place.codecs)
        lines = tuple(line for line in not_tried if line.split(": ")[0] in place.codecs)
        results.append(Delivered(judged(measured, place, mine), mine, lines, profile=profile))
    wanted = {each.name for each in asked}
    found = tuple(d for d in decoded if d.codec in wanted)
    left = tuple(line for line in not_tried if line.split(": ")[0] in wanted)
    return Delivery(profile.name, profile, tuple(results), translation(file, profile), found, left)


def deliver(
    source: Path | str | AudioSource,
    folder: Path | str,
    names: Sequence[str],
    plan: Plan | None = None,
    *,
    codecs: Sequence[str] = (),
    stem: str | None = None,
    dither: Noise = "tpdf",
    force: bool = False,
    tell: Tell | None = None,
) -> Delivery:
    """Write one WAV for each destination into `folder`, each within its limits there and behind its codecs.

    source: the target of `plan`, or a finished master where there is no plan. What is too loud is turned down as a
    whole; only where a destination demands more loudness is anything limited further. codecs: tried beside those of
    each destination that has any. stem: of the files' names; the source's where None. Raises FileError, PlanError,
    UnfitError, SettingsError; a file that is in place is whole.
    """
    folder, places, asked = Path(folder), destinations(tuple(names)), tuple(codec(text) for text in codecs)
    with opened(source) as given:
        outputs = refuse_early(given, folder, names, stem=stem, force=force)
        plan = plan or Plan(target=track(analyze(given)))
        with (
            mended(given, plan) as sound,
            there(folder),
            tempfile.TemporaryDirectory(dir=folder, prefix=".match-") as room,
        ):
            work = _Workshop(sound, plan, Path(room), dither)
            master = work.made(work.master)
            results = []
            for number, place in enumerate(places):
                if tell is not None:
                    tell("deliver", number / len(places))
                results.append(_delivered(work, master, place, asked, outputs[place.name]))
            profile = master.profile.named(stem or given.name)
            found = translation(master.path, profile)
    return Delivery(profile.name, profile, tuple(results), found)


def refuse_early(
    source: Source, folder: Path, names: Sequence[str], *, stem: str | None = None, force: bool = False
) -> dict[str, Path]:
    """The file for each destination; raises what can be refused before any work begins, and leaves nothing behind."""
    with opened(source) as given, there(folder, to_stay=False):
        need_stereo(given, "a delivery")
        name = stem or (given.name if given.path is None else given.path.stem)
        outputs = {place.name: folder / f"{name}-{place.name}.wav" for place in destinations(tuple(names))}
        inputs = [] if given.path is None else [given.path]
        needed = 0
        for place in destinations(tuple(names)):
            rate_hz = place.rate_for(given.sample_rate_hz)
            length = resampled_length_samples(given.length_samples, given.sample_rate_hz, rate_hz)
            output = outputs[place.name]
            needed += output_format(given, output, place.bit_depth).size_bytes(length, given.channels)
            check_output(output, inputs=inputs, force=force, needed_bytes=needed)
    return outputs


@contextlib.contextmanager
def there(folder: Path, *, to_stay: bool = True) -> Iterator[None]:
    """The folder, made where there is none; one that was made for nothing is gone again. FileError where it cannot be.

    to_stay: where the work ends well.
    """
    made, done = True, False
    try:
        folder.mkdir()
    except OSError as error:
        if not (isinstance(error, FileExistsError) and folder.is_dir()):
            raise FileError(f"{shown(folder)}: cannot be made ({reason(error)})") from error
        made = False
    try:
        yield
        done = to_stay
    finally:
        if made and not done:
            with contextlib.suppress(OSError):  # by now there may be something in it
                folder.rmdir()


class _Version(msgspec.Struct, frozen=True):
    """What distinguishes one rendering of the plan from another."""

    sample_rate_hz: int
    bit_depth: int
    push_db: float = 0.0
    """In front of the limiter."""
    trim_db: float = 0.0
    """Behind it; 0 or less."""
    ceiling_dbtp: float | None = None
    """Of the limiter, where it is lower than the plan's."""

    def plan(self, plan: Plan) -> Plan:
        """The plan with this version's steps."""
        steps, at = list(plan.steps), len(plan.steps)
        for index, step in enumerate(steps):
            if isinstance(step.settings, Limiter) and step.enabled and step.settings.ceiling_dbtp is not None:
                at = index
                if self.ceiling_dbtp is not None:
                    lower = min(step.settings.ceiling_dbtp, self.ceiling_dbtp)
                    settings = msgspec.structs.replace(step.settings, ceiling_dbtp=lower)
                    steps[index] = msgspec.structs.replace(step, settings=settings)
        if at == len(steps) and self.ceiling_dbtp is not None:
            steps.append(Step(settings=Limiter(ceiling_dbtp=self.ceiling_dbtp), because="The destination's ceiling."))
        if self.push_db:
            steps.insert(at, Step(settings=Gain(gain_db=self.push_db), because="The loudness that is demanded."))
        if self.trim_db:
            steps.append(Step(settings=Gain(gain_db=self.trim_db), because="The destination's limits."))
        return msgspec.structs.replace(plan, steps=tuple(steps))


@dataclass(frozen=True, eq=False)
class _Made:
    path: Path
    profile: Profile
    bit_depth: int


@dataclass(eq=False)
class _Workshop:
    """Versions of one plan, each rendered once, and each sent through a codec once."""

    sound: AudioSource
    plan: Plan
    room: Path
    dither: Noise

    @property
    def master(self) -> _Version:
        """The plan as it is."""
        return _Version(self.sound.sample_rate_hz, 24)

    versions: dict[_Version, _Made] = field(default_factory=dict)
    coded: dict[tuple[_Version, Codec], Decoded] = field(default_factory=dict)

    def made(self, version: _Version) -> _Made:
        if version not in self.versions:
            path = self.room / f"{len(self.versions)}.wav"
            rendered: Rendered = render(
                self.sound,
                version.plan(self.plan),
                path,
                bit_depth=version.bit_depth,
                sample_rate_hz=version.sample_rate_hz,
                dither=self.dither,
            )
            self.versions[version] = _Made(path, rendered.profile, version.bit_depth)
        return self.versions[version]

    def through(self, version: _Version, wanted: tuple[Codec, ...]) -> tuple[Decoded, ...]:
        """What each codec that can be tried here makes of a version, two at a time."""
        path = self.made(version).path
        new = [each for each in wanted if (version, each) not in self.coded and not missing(each)]
        with ThreadPoolExecutor(max_workers=2) as pool:
            for each, decoded in zip(new, pool.map(lambda one: through(path, one), new), strict=True):
                self.coded[version, each] = decoded
        return tuple(self.coded[version, each] for each in wanted if (version, each) in self.coded)


def _delivered(
    work: _Workshop, master: _Made, place: Destination, asked: tuple[Codec, ...], output: Path
) -> Delivered:
    """Render for one destination, and again with what was too much taken away."""
    own = tuple(codec(text) for text in place.codecs)
    codecs = tuple(dict.fromkeys([*own, *asked])) if own else ()
    version = _first(work, place, codecs)
    for turn in range(1 + PASSES):
        made = work.made(version)
        decoded = work.through(version, codecs)
        better = _better(version, made.profile, place, decoded)
        if better is None or turn == PASSES:
            break
        version = better
    shutil.copyfile(made.path, staged := work.room / output.name)
    os.replace(staged, output)
    return Delivered(
        judged(_measured(made.profile, made.bit_depth), place, decoded),
        decoded,
        tuple(line for each in codecs if (line := missing(each))),
        output,
        made.profile.integrated_lufs - master.profile.integrated_lufs,
        turn + 1,
        made.profile,
    )


def _first(work: _Workshop, place: Destination, codecs: tuple[Codec, ...]) -> _Version:
    """What the master and its codecs tell beforehand."""
    start = _Version(place.rate_for(work.sound.sample_rate_hz), place.bit_depth)
    decoded = work.through(work.master, codecs)
    return _better(start, work.made(work.master).profile, place, decoded) or start


def _better(
    version: _Version, profile: Profile, place: Destination, decoded: tuple[Decoded, ...]
) -> _Version | None:
    """The version to make after one that measured this; None where nothing is wrong with it."""
    coded = max((d.true_peak_dbtp for d in decoded), default=-np.inf)
    peak = max(profile.true_peak_dbtp, coded) + SAFETY_DB
    if place.goal_lufs is None:
        over = peak - place.ceiling_for(profile.integrated_lufs)
        if over <= 0.0:
            return None
        more = MORE_DB if coded > profile.true_peak_dbtp else 0.005
        return msgspec.structs.replace(version, trim_db=_hundredths(version.trim_db - over - more))
    missing = place.goal_lufs - profile.integrated_lufs
    over = peak + min(missing, 0.0) - place.ceiling_dbtp
    if over <= 0.0 and abs(missing) <= 0.5 * place.tolerance_lu:
        return None
    better = version
    if abs(missing) > 0.5 * place.tolerance_lu:
        # Down it goes as a whole; up, into the limiter.
        level = version.push_db + version.trim_db + missing
        push_db, trim_db = _hundredths(max(level, 0.0)), _hundredths(min(level, 0.0))
        better = msgspec.structs.replace(better, push_db=push_db, trim_db=trim_db)
    if over > 0.0 or better.push_db > 0.0:
        ceiling = place.ceiling_dbtp if version.ceiling_dbtp is None else version.ceiling_dbtp
        lower = over + MORE_DB if version.ceiling_dbtp is not None and over > 0.0 else SAFETY_DB
        better = msgspec.structs.replace(better, ceiling_dbtp=_hundredths(ceiling - lower))
    return better


def _hundredths(db: float) -> float:
    return round(db, 2)


def _measured(profile: Profile, bit_depth: int | None) -> Measured:
    return Measured(
        profile.integrated_lufs,
        profile.true_peak_dbtp,
        profile.sample_rate_hz,
        bit_depth,
        profile.channels,
        profile.duration_s,
    )
