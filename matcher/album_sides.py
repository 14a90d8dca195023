"""Gapless: several tracks as one stream, through one chain or from chain to chain, cut where they were cut before."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np

from dsp.audio import Samples
from dsp.chain import BLOCK_SAMPLES, Chain
from dsp.effects.dither import Dither
from dsp.errors import AudioError
from matcher.analysis import ProfileBuilder
from matcher.io import AudioSource, AudioWriter, OutputFormat, carried, need_stereo, open_audio
from matcher.mending import Mended
from matcher.plans import Plan
from matcher.profile import Profile
from matcher.rendering import described_by

CROSSING_S = 0.05
"""From one track's settings to the next one's, half of it on either side of the boundary."""
LEAD_IN_S = 3.0
"""So much of what comes before is run through a track's settings first: they are settled when they are heard."""


@dataclass(eq=False, kw_only=True)
class Side(AudioSource):
    """Tracks one after the other as one source; closing it closes them."""

    parts: tuple[AudioSource, ...] = field(repr=False)

    @classmethod
    def of(cls, sources: Sequence[Path | AudioSource]) -> Self:
        """Open all; AudioError where one has another sample rate or number of channels than the first."""
        with contextlib.ExitStack() as opened:
            parts = tuple(opened.enter_context(open_audio(source)) for source in sources)
            first = parts[0]
            need_stereo(first, "a gapless album")
            for part in parts[1:]:
                for what in ("sample_rate_hz", "channels"):
                    here, there = getattr(part, what), getattr(first, what)
                    if here != there:
                        raise AudioError(f"{part.name}: {what} {here} is not {there}, as in {first.name}")
            opened.pop_all()
        deepest = max(parts, key=lambda p: (p.is_float, p.bit_depth or 0))
        return cls(
            name=f"{parts[0].name} and {len(parts) - 1} more" if len(parts) > 1 else parts[0].name,
            path=None,
            sample_rate_hz=first.sample_rate_hz,
            channels=first.channels,
            length_samples=sum(p.length_samples for p in parts),
            container=deepest.container,
            subtype=deepest.subtype,
            dtype=np.result_type(*(p.dtype for p in parts)),
            warnings=tuple(line for p in parts for line in p.warnings),
            parts=parts,
        )

    @property
    def starts(self) -> list[int]:
        """Where each part begins, and where the last one ends; samples."""
        return [0, *np.cumsum([p.length_samples for p in self.parts]).tolist()]

    def read(self, start_sample: int, count_samples: int) -> Samples:
        stop = start_sample + self._checked_count(start_sample, count_samples)
        found = [np.empty((self.channels, 0), dtype=self.dtype)]
        for part, begins in zip(self.parts, self.starts, strict=False):
            first, last = max(start_sample, begins), min(stop, begins + part.length_samples)
            if first < last:
                found.append(part.read(first - begins, last - first))
        return np.ascontiguousarray(np.concatenate(found, axis=1), dtype=self.dtype)

    def content_hash(self) -> str:
        hashes = " ".join(p.content_hash() for p in self.parts)
        return hashlib.blake2b(hashes.encode(), digest_size=16).hexdigest()

    def close(self) -> None:
        for part in self.parts:
            part.close()


@contextlib.contextmanager
def mended_side(sources: Sequence[Path], plans: Sequence[Plan]) -> Iterator[Side]:
    """The tracks as one source, each behind its own repairs."""
    with contextlib.ExitStack() as opened:
        parts = []
        for source, plan in zip(sources, plans, strict=True):
            part = opened.enter_context(open_audio(source))
            parts.append(opened.enter_context(Mended.of(part, plan.repairs)) if plan.repairs.active() else part)
        yield Side.of(parts)


def crossed(side: Side, chains: Sequence[Chain], block_samples: int = BLOCK_SAMPLES) -> Iterator[Samples]:
    """The whole side, each part through its chain; neighbours with the same chain go through one state.

    The result does not depend on `block_samples`.
    """
    runs = _runs(side, chains)
    half = round(CROSSING_S / 2.0 * side.sample_rate_hz)
    rising = 0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * half) + 0.5) / (2 * half))
    before: Samples | None = None
    for start, stop, chain in runs:
        last = stop == side.length_samples
        first = start if start == 0 else start - half
        held = np.empty((side.channels, 0), dtype=side.dtype)
        for block in _through(side, chain, first, stop if last else stop + half, block_samples):
            held = np.concatenate([held, block], axis=1)
            if held.shape[1] < 2 * half:
                continue
            if before is not None:
                mixed = before * (1.0 - rising) + held[:, : 2 * half] * rising
                held[:, : 2 * half], before = mixed.astype(held.dtype), None
            ready = held.shape[1] - 2 * half
            if ready:
                yield np.ascontiguousarray(held[:, :ready])
                held = held[:, ready:]
        if last:
            yield np.ascontiguousarray(held)
        before = held


def _runs(side: Side, chains: Sequence[Chain]) -> list[tuple[int, int, Chain]]:
    """Start, stop and chain, neighbours with the same chain as one."""
    found: list[tuple[int, int, Chain]] = []
    for (start, stop), chain in zip(pairwise(side.starts), chains, strict=True):
        chain = Chain(chain.active())
        if found and found[-1][2] == chain:
            found[-1] = (found[-1][0], stop, chain)
        else:
            found.append((start, stop, chain))
    return found


def _through(side: Side, chain: Chain, start: int, stop: int, block_samples: int) -> Iterator[Samples]:
    """Samples from start to stop as they leave a chain that was fed with what lies before, and with what follows."""
    run = chain.processor(side.sample_rate_hz, side.channels)
    at = done = max(0, start - round(LEAD_IN_S * side.sample_rate_hz))
    while done < stop:
        if at < side.length_samples:
            block = side.read(at, block_samples)
            at += block.shape[1]
            made: Samples | None = run.process(block)
        else:
            made = run.finish()
        if made is None:
            return
        wanted = made[:, max(0, start - done) : max(0, stop - done)]
        done += made.shape[1]
        if wanted.shape[1]:
            yield wanted


def measured_side(sources: Sequence[Path], plans: Sequence[Plan]) -> list[Profile]:
    """What each track would measure; nothing is written."""
    with mended_side(sources, plans) as side:
        stream = _Cut(crossed(side, [p.chain for p in plans]))
        return [_measure(stream, part, lambda block: None) for part in side.parts]


Wanted = Callable[[int], Path | None]
Finished = Callable[[int, Profile], None]


def render_side(
    sources: Sequence[Path],
    plans: Sequence[Plan],
    wanted: Wanted,
    finished: Finished,
    format: OutputFormat,
    *,
    block_samples: int = BLOCK_SAMPLES,
) -> None:
    """Render all tracks as one stream, cut at the samples where the sources are.

    plans: one for each; the same for all keeps one state from beginning to end. wanted: where the track of this number
    goes, None where it is there already. finished: told when a track's file is in place. The dither follows the
    position in the side. Raises FileError, AudioError.
    """
    with mended_side(sources, plans) as side:
        chains = [p.chain for p in plans]
        blocks = crossed(side, chains, block_samples)
        if format.dither_bits is not None and not _untouched(side, chains, format):
            noise = Dither(bit_depth=format.dither_bits).processor(side.sample_rate_hz, side.channels)
            blocks = (noise.process(block) for block in blocks)
        stream = _Cut(blocks)
        for number, part in enumerate(side.parts):
            place = wanted(number)
            if place is None:
                for _ in stream.take(part.length_samples):
                    pass
                continue
            with AudioWriter(
                place, side.sample_rate_hz, side.channels, length_samples=part.length_samples, **format._asdict()
            ) as writer:
                profile = _measure(stream, part, writer.write)
                writer.metadata = described_by(carried(part, side.sample_rate_hz), format, profile)
            finished(number, profile)


def _untouched(side: Side, chains: Sequence[Chain], format: OutputFormat) -> bool:
    """Whether the file's steps hold all samples as they are."""
    changed = any(c.active() for c in chains) or any(isinstance(p, Mended) for p in side.parts)
    return not changed and all(p.bit_depth is not None and p.bit_depth <= format.bit_depth for p in side.parts)


def _measure(stream: _Cut, part: AudioSource, write: Callable[[Samples], None]) -> Profile:
    builder = ProfileBuilder(part.sample_rate_hz, part.channels, expected_samples=part.length_samples)
    for block in stream.take(part.length_samples):
        write(block)
        builder.update(block)
    return builder.result(part.name, "")


class _Cut:
    """A stream of blocks, taken by the sample."""

    def __init__(self, blocks: Iterator[Samples]) -> None:
        self._blocks, self._rest = blocks, None

    _rest: Samples | None

    def take(self, count_samples: int) -> Iterator[Samples]:
        """The next so many samples."""
        left = count_samples
        while left:
            block = next(self._blocks) if self._rest is None else self._rest
            self._rest = np.ascontiguousarray(block[:, left:]) if block.shape[1] > left else None
            block = np.ascontiguousarray(block[:, :left])
            left -= block.shape[1]
            if block.shape[1]:
                yield block
