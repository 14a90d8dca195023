"""Rendering: a plan and sound to sound, measured while it is made."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from dsp.audio import Audio, Samples
from dsp.chain import BLOCK_SAMPLES, Chain
from dsp.effect import Processor
from dsp.effects.dither import Dither
from dsp.errors import PlanError
from dsp.surround import surround_processor
from matcher.analysis import ProfileBuilder, Progress, Source, opened
from matcher.io import (
    AudioSource,
    AudioWriter,
    OutputFormat,
    audio_hash,
    carried,
    check_output,
    described,
    output_format,
    resampled_blocks,
    resampled_length_samples,
    shown,
)
from matcher.mending import Mended
from matcher.metadata import Metadata, lost
from matcher.plans import Plan
from matcher.profile import Profile

Item = TypeVar("Item")
Noise = Literal["tpdf", "shaped", "none"]
"""How an integer file is rounded: under white noise, under noise that follows the threshold of hearing, or bare."""


@dataclass(frozen=True, eq=False)
class Rendered:
    """A finished render: what it measures, what each effect did, and where it is."""

    profile: Profile
    measured: dict[str, Any]
    output: Path | None = None
    format: OutputFormat | None = None
    audio: Audio | None = None
    """The sound itself where no file was asked for."""
    lost: tuple[str, ...] = ()
    """What the source says beside its samples and the format has no place for."""


Accept = Callable[[Rendered], bool]


def render(
    source: Source,
    plan: Plan,
    output: Path | str | None = None,
    *,
    force: bool = False,
    bit_depth: int | None = None,
    sample_rate_hz: int | None = None,
    dither: Noise = "tpdf",
    replay_gain: bool = False,
    threads: int = 2,
    block_samples: int = BLOCK_SAMPLES,
    progress: Progress | None = None,
    accept: Accept | None = None,
) -> Rendered:
    """Run a plan over a file or an `Audio`; to a file where `output` is given, else into memory as float.

    bit_depth: 16, 24 or 32 (float); the source's own where None. sample_rate_hz: of the result; the source's own where
    None. dither: for a file of integers that are not the source's own. Tags, pictures, markers and broadcast fields are
    carried over; replay_gain: with the result's own ReplayGain. The samples do not depend on `threads` or
    `block_samples`. accept: asked before the file is put in place; a render that it refuses leaves no file. A plan with
    repairs is for the file it was made for alone. Raises FileError, AudioError, PlanError.
    """
    with opened(source) as given, mended(given, plan) as audio:
        stream = Stream(audio, sample_rate_hz or audio.sample_rate_hz, threads, block_samples, progress)
        if output is None:
            return _into_memory(stream, plan.chain)
        inputs = [] if audio.path is None else [audio.path]
        format = output_format(audio, output, bit_depth)
        needed = format.size_bytes(stream.length_samples, audio.channels)
        check_output(output, inputs=inputs, force=force, needed_bytes=needed)
        wanted = _Wanted(Path(output), format, dither, replay_gain, accept or (lambda made: True))
        return _into_file(stream, plan.chain, wanted)


def mended(audio: AudioSource, plan: Plan) -> contextlib.AbstractContextManager[AudioSource]:
    """The source behind the plan's repairs; one that is already stays open behind it."""
    repairs = plan.repairs
    if not repairs.active() or (isinstance(audio, Mended) and audio.chain == repairs):
        return contextlib.nullcontext(audio)
    if audio.content_hash() != plan.target.content_hash:
        raise PlanError(
            f"{audio.name}: the plan repairs damage that was found in another file, {plan.target.name}"
            f" ({plan.target.content_hash}); make a plan of its own, or disable those steps"
        )
    return Mended.of(audio, repairs)


@dataclass(frozen=True, eq=False)
class Stream:
    """A source on its way through a chain, at the rate of the result."""

    audio: AudioSource
    sample_rate_hz: int
    threads: int
    block_samples: int
    progress: Progress | None

    @property
    def resampled(self) -> bool:
        """Whether the rate changes on the way in."""
        return self.sample_rate_hz != self.audio.sample_rate_hz

    @property
    def length_samples(self) -> int:
        """Of the result."""
        return resampled_length_samples(self.audio.length_samples, self.audio.sample_rate_hz, self.sample_rate_hz)

    def builder(self) -> ProfileBuilder:
        """What measures the result."""
        audio = self.audio
        return ProfileBuilder(
            self.sample_rate_hz, audio.channels, audio.speakers, expected_samples=self.length_samples
        )

    def processor(self, chain: Chain) -> Processor:
        """A fresh run of a chain over all channels."""
        speakers = self.audio.speakers
        if speakers is None:
            return chain.processor(self.sample_rate_hz, self.audio.channels)
        return surround_processor(chain, self.sample_rate_hz, speakers)

    def through(self, run: Processor) -> Generator[Samples, None, None]:
        """The blocks that come out; with two threads reading and processing go on while the caller takes them.

        To be closed: what stops the caller, Ctrl-C too, must stop the other thread with it.
        """

        def made() -> Iterator[Samples]:
            taken = 0
            source = resampled_blocks(
                self.audio, sample_rate_hz=self.sample_rate_hz, block_samples=self.block_samples
            )
            for block in source:
                taken += block.shape[1]
                yield run.process(block)
                if self.progress is not None:
                    self.progress(min(1.0, taken / max(self.length_samples, 1)))
            tail = run.finish()
            if tail is not None:
                yield tail

        blocks = (block for block in made() if block.shape[1])
        return ahead(blocks) if self.threads > 1 else blocks


def _into_memory(stream: Stream, chain: Chain) -> Rendered:
    run = stream.processor(chain)
    builder = stream.builder()
    parts = []
    with contextlib.closing(stream.through(run)) as blocks:
        for block in blocks:
            builder.update(block)
            parts.append(block)
    made = Audio(np.concatenate(parts, axis=1), stream.sample_rate_hz, stream.audio.channel_mask)
    return Rendered(builder.result("result", audio_hash(made)), run.measured(), audio=made)


@dataclass(frozen=True, eq=False)
class _Wanted:
    """The file to be made."""

    output: Path
    format: OutputFormat
    dither: Noise
    replay_gain: bool
    accept: Accept


def _into_file(stream: Stream, chain: Chain, wanted: _Wanted) -> Rendered:
    audio, format, dither = stream.audio, wanted.format, wanted.dither
    steps = list(chain.active())
    # Samples that nothing touched and that the file's steps can hold are passed on as they are, without new noise.
    untouched = not steps and not stream.resampled and not isinstance(audio, Mended)
    kept = untouched and audio.bit_depth is not None and audio.bit_depth <= format.bit_depth
    if dither != "none" and not kept:
        steps.append(Dither(bit_depth=format.dither_bits, shaped=dither == "shaped"))
    run = stream.processor(Chain(tuple(steps)))
    builder = stream.builder()
    told = carried(audio, stream.sample_rate_hz)
    writer = AudioWriter(
        wanted.output,
        stream.sample_rate_hz,
        audio.channels,
        length_samples=stream.length_samples,
        channel_mask=None if audio.speakers is None else audio.channel_mask,
        **format._asdict(),
    )
    with writer, contextlib.closing(stream.through(run)) as blocks:
        for block in blocks:
            writer.write(block)
            builder.update(block)
        profile = builder.result(shown(wanted.output.name), "")
        lacking = lost(told, writer.format.container)
        made = Rendered(profile, run.measured(), output=wanted.output, format=format, lost=lacking)
        writer.metadata = described_by(told, format, profile, replay_gain=wanted.replay_gain)
        if not wanted.accept(made):
            writer.discard()
    return made


def described_by(told: Metadata, format: OutputFormat, profile: Profile, *, replay_gain: bool = False) -> Metadata:
    """What was carried over, with the figures of the result."""
    names = ("integrated_lufs", "range_lu", "true_peak_dbtp", "max_momentary_lufs", "max_short_term_lufs")
    figures = {name: getattr(profile, name) for name in names}
    return described(told, format, profile.sample_rate_hz, profile.channels, replay_gain=replay_gain, **figures)


def ahead(items: Iterable[Item], depth: int = 4) -> Generator[Item, None, None]:
    """The same items, made by a thread of their own up to `depth` ahead of the caller.

    An error in the thread is raised here; a caller that stops early stops the thread.
    """
    waiting: queue.Queue[tuple[str, Any]] = queue.Queue(maxsize=depth)
    stopped = threading.Event()

    def put(kind: str, value: Any) -> bool:
        while not stopped.is_set():
            try:
                waiting.put((kind, value), timeout=0.1)
                return True
            except queue.Full:
                continue
        return False

    def work() -> None:
        try:
            for item in items:
                if not put("item", item):
                    return
            put("end", None)
        except BaseException as error:  # handed on, not swallowed
            put("error", error)

    worker = threading.Thread(target=work, daemon=True)
    try:
        worker.start()
        while True:
            kind, value = waiting.get()
            if kind == "item":
                yield value
            elif kind == "error":
                raise value
            else:
                return
    finally:
        stopped.set()
        _join(worker)


def _join(worker: threading.Thread) -> None:
    """Wait for a thread that Ctrl-C may have kept from starting."""
    if worker.ident is not None:
        worker.join()


class _Stopped(Exception):
    """Ends work whose result nobody waits for."""


def both(first: Callable[[], Item], second: Callable[[Progress], Item]) -> tuple[Item, Item]:
    """Two calls at the same time; `second` reports its progress to what it is given, which ends it if `first` fails.

    No thread is left behind: one that is still in compiled code when Python ends takes the whole process down.
    """
    results: dict[int, Any] = {}
    errors: list[BaseException] = []
    stopped = threading.Event()

    def go_on(done: float) -> None:
        if stopped.is_set():
            raise _Stopped

    def work() -> None:
        try:
            results[1] = second(go_on)
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=work, daemon=True)
    try:
        worker.start()
        result = first()
        worker.join()
    finally:
        stopped.set()
        _join(worker)
    if errors:
        raise errors[0]
    return result, results[1]
