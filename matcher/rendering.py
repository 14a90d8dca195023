"""Rendering: a plan and sound to sound, measured while it is made."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dsp.audio import Audio, Samples
from dsp.chain import BLOCK_SAMPLES, Chain, ChainProcessor
from dsp.effect import Processor
from dsp.effects.dither import Dither
from dsp.errors import PlanError
from dsp.surround import surround_processor
from matcher.analysis import ProfileBuilder, Progress, Source, opened
from matcher.flowing import Work, flow, passed_to, processed
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

    def through(self, run: Processor, *ends: Work) -> None:
        """Read and process all of it, and show what comes out to `ends`."""

        def read() -> Iterator[Samples]:
            taken = 0
            source = resampled_blocks(
                self.audio, sample_rate_hz=self.sample_rate_hz, block_samples=self.block_samples
            )
            for block in source:
                taken += block.shape[1]
                yield block
                if self.progress is not None:
                    self.progress(min(1.0, taken / max(self.length_samples, 1)))

        each = run.processors if isinstance(run, ChainProcessor) else [run]
        flow(read(), [*map(processed, each), *ends], self.threads)


def _into_memory(stream: Stream, chain: Chain) -> Rendered:
    run = stream.processor(chain)
    builder = stream.builder()
    parts: list[Samples] = []
    stream.through(run, *map(passed_to, (parts.append, *builder.meters)))
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
    with writer:
        stream.through(run, *map(passed_to, (writer.write, *builder.meters)))
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
