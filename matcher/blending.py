"""Blending: which tracks each dimension of a reference is taken from, and their measurement, two at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from dsp.audio import Audio
from dsp.errors import UnfitError
from matcher.analysis import Progress, Source, analyze, check_fit
from matcher.flowing import both
from matcher.io import AudioSource
from matcher.profile import Profile
from matcher.reference import DIMENSIONS, Reference

Sources = Source | Iterable[Source]


@dataclass(frozen=True, eq=False)
class Blend:
    """Tracks to be matched to, not yet measured; made by `blend`.

    others: serve every dimension that has no tracks of its own.
    """

    others: tuple[Source, ...]
    tone_from: tuple[Source, ...] = ()
    dynamics_from: tuple[Source, ...] = ()
    loudness_from: tuple[Source, ...] = ()

    def serving(self, dimension: str) -> tuple[Source, ...]:
        """The tracks that `tone`, `dynamics` or `loudness` is taken from."""
        own: tuple[Source, ...] = getattr(self, f"{dimension}_from")
        return own or self.others

    @property
    def missing(self) -> tuple[str, ...]:
        """The dimensions that nothing serves."""
        return tuple(name for name in DIMENSIONS if not self.serving(name))

    @property
    def sources(self) -> tuple[Source, ...]:
        """Every track that was named, once, whether it serves or not."""
        return _once((*self.others, *self.tone_from, *self.dynamics_from, *self.loudness_from))

    @property
    def used(self) -> tuple[Source, ...]:
        """Every track that serves a dimension, once."""
        return _once(source for name in DIMENSIONS for source in self.serving(name))

    @property
    def idle(self) -> tuple[Source, ...]:
        """Tracks that were named and serve nothing, as every dimension has its own."""
        used = {_identity(s) for s in self.used}
        return tuple(s for s in self.sources if _identity(s) not in used)


def blend(
    *sources: Source, tone_from: Sources = (), dynamics_from: Sources = (), loudness_from: Sources = ()
) -> Blend:
    """A reference of several tracks for `match` and `plan`: averaged in dB, some dimensions from tracks of their own.

    Width is taken from the tracks of the tone. Raises UnfitError where a dimension has no track.
    """
    made = Blend(sources, _all(tone_from), _all(dynamics_from), _all(loudness_from))
    if made.missing:
        raise UnfitError(f"the reference: no track for {', '.join(made.missing)}; at least one is needed")
    return made


def as_blend(reference: Sources | Blend) -> Blend:
    """One source, or several, that serve every dimension; a blend is what it is."""
    return reference if isinstance(reference, Blend) else blend(*_all(reference))


Analysis = Callable[[Source, bool, Progress], Profile]


def analysis(source: Source, use_cache: bool, progress: Progress) -> Profile:
    """`analyze`, as the target's analysis that does no more."""
    return analyze(source, use_cache=use_cache, progress=progress)


def measured(
    target: Source,
    reference: Blend,
    *,
    use_cache: bool = True,
    progress: Progress | None = None,
    of_target: Analysis = analysis,
) -> tuple[Profile, Reference]:
    """Profiles of the target and of every track that serves, each made once, two at a time.

    progress: called with the share done, from this thread alone. of_target: what analyses the target. Errors as in
    `analyze`.
    """
    report = progress or (lambda done: None)
    first = _identity(target)
    jobs = {first: (target, "target")}
    for source in reference.used:
        jobs.setdefault(_identity(source), (source, "reference"))
    profiles: dict[object, Profile] = {}
    shares = dict.fromkeys(jobs, 0.0)
    waiting = deque(list(jobs)[1:])

    def work(key: object, tell: Progress) -> None:
        def on_the_way(done: float) -> None:
            shares[key] = done
            tell(sum(shares.values()) / len(shares))

        source, role = jobs[key]
        profile = (of_target if key == first else analysis)(source, use_cache, on_the_way)
        check_fit(profile, role)
        profiles[key], shares[key] = profile, 1.0

    def work_off(tell: Progress) -> None:
        try:
            while (key := _next(waiting)) is not None:
                work(key, tell)
        except BaseException:
            waiting.clear()  # what was to come is not waited for
            raise

    def here() -> None:
        work(first, report)
        work_off(report)

    both(here, work_off)
    report(1.0)
    tone, dynamics, loudness = ([profiles[_identity(s)] for s in reference.serving(name)] for name in DIMENSIONS)
    return profiles[first], Reference.of(tone=tone, dynamics=dynamics, loudness=loudness)


def _next(waiting: deque[object]) -> object | None:
    try:
        return waiting.popleft()
    except IndexError:  # the other thread took the last one
        return None


def _all(sources: Sources) -> tuple[Source, ...]:
    if isinstance(sources, str | Path | Audio | AudioSource):
        return (sources,)
    return tuple(sources)


def _identity(source: Source) -> object:
    """Equal for what need not be measured twice."""
    if isinstance(source, AudioSource) and source.path is not None:
        source = source.path
    return os.path.abspath(source) if isinstance(source, str | Path) else id(source)


def _once(sources: Iterable[Source]) -> tuple[Source, ...]:
    found: dict[object, Source] = {}
    for source in sources:
        found.setdefault(_identity(source), source)
    return tuple(found.values())
