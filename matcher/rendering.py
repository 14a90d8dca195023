"""Rendering: a plan and sound to sound, measured while it is made."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dsp.audio import Audio, Samples
from dsp.chain import BLOCK_SAMPLES, Chain
from dsp.effect import Processor, Settings
from dsp.effects.dither import Dither
from matcher.analysis import ProfileBuilder, Progress, Source
from matcher.io import AudioFile, AudioWriter, audio_hash, check_output, open_audio, output_format
from matcher.plans import Plan
from matcher.profile import Profile

Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Rendered:
    """A finished render: what it measures, what each effect did, and where it is."""

    profile: Profile
    measured: dict[str, Any]
    output: Path | None
    audio: Audio | None
    """The sound itself where no file was asked for."""
    container: str = ""
    bit_depth: int | None = None


def render(
    source: Source,
    plan: Plan,
    output: Path | str | None = None,
    *,
    force: bool = False,
    bit_depth: int | None = None,
    sample_rate_hz: int | None = None,
    dither: bool = True,
    threads: int = 2,
    block_samples: int = BLOCK_SAMPLES,
    progress: Progress | None = None,
) -> Rendered:
    """Run a plan over a file or an `Audio`; to a file where `output` is given, else into memory as float.

    bit_depth: 16, 24 or 32 (float); the source's own where None. sample_rate_hz: of the result; the source's own where
    None. The samples do not depend on `threads` or `block_samples`. Raises FileError, AudioError, PlanError.
    """
    with open_audio(source, sample_rate_hz=sample_rate_hz) as audio:
        if output is None:
            return _into_memory(audio, plan.chain, threads, block_samples, progress)
        return _into_file(
            audio, source, plan.chain, Path(output), force, bit_depth, dither, threads, block_samples, progress
        )


def _into_memory(
    audio: AudioFile, chain: Chain, threads: int, block_samples: int, progress: Progress | None
) -> Rendered:
    run = chain.processor(audio.sample_rate_hz, audio.channels)
    builder = ProfileBuilder(audio.sample_rate_hz, audio.channels)
    parts = []
    for block in _processed(audio, run, threads, block_samples, progress):
        builder.update(block)
        parts.append(block)
    made = Audio(np.concatenate(parts, axis=1), audio.sample_rate_hz)
    return Rendered(builder.result("result", audio_hash(made)), run.measured(), None, made)


def _into_file(
    audio: AudioFile,
    source: Source,
    chain: Chain,
    output: Path,
    force: bool,
    bit_depth: int | None,
    dither: bool,
    threads: int,
    block_samples: int,
    progress: Progress | None,
) -> Rendered:
    container, depth = output_format(audio, output, bit_depth)
    inputs = [] if isinstance(source, Audio) else [Path(source)]
    frame_bytes = audio.channels * (depth or 32) // 8
    check_output(output, inputs=inputs, force=force, needed_bytes=audio.length_samples * frame_bytes)
    steps: list[Settings] = list(chain.active())
    # Samples that nothing touched and that fit the output's steps are passed on as they are, without new noise.
    fits = audio.bit_depth is not None and depth is not None and audio.bit_depth <= depth and not audio.resampled
    if dither and depth in (16, 24) and (steps or not fits):
        steps.append(Dither(bit_depth=depth))
    run = Chain(tuple(steps)).processor(audio.sample_rate_hz, audio.channels)
    builder = ProfileBuilder(audio.sample_rate_hz, audio.channels)
    with AudioWriter(output, audio.sample_rate_hz, audio.channels, container=container, bit_depth=depth) as writer:
        for block in _processed(audio, run, threads, block_samples, progress):
            writer.write(block)
            builder.update(block)
    profile = builder.result(output.name, "")
    return Rendered(profile, run.measured(), output, None, container, depth)


def _processed(
    audio: AudioFile, run: Processor, threads: int, block_samples: int, progress: Progress | None
) -> Iterator[Samples]:
    """The blocks of `audio` through `run`; with two threads reading and processing go on while the caller writes."""

    def made() -> Iterator[Samples]:
        taken = 0
        for block in audio.blocks(block_samples):
            taken += block.shape[1]
            yield run.process(block)
            if progress is not None:
                progress(min(1.0, taken / max(audio.length_samples, 1)))
        tail = run.finish()
        if tail is not None:
            yield tail

    blocks = (block for block in made() if block.shape[1])
    return ahead(blocks) if threads > 1 else blocks


def ahead(items: Iterable[Item], depth: int = 4) -> Iterator[Item]:
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
    worker.start()
    try:
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
        worker.join()


def both(first: Callable[[], Item], second: Callable[[], Item]) -> tuple[Item, Item]:
    """Two calls at the same time."""
    results: dict[int, Any] = {}
    errors: list[BaseException] = []

    def work() -> None:
        try:
            results[1] = second()
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    result = first()
    worker.join()
    if errors:
        raise errors[0]
    return result, results[1]
