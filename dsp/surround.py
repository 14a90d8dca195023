"""More than two channels: which loudspeaker each is for, their common loudness, and a chain run over all of them.

The channels of a bed are mastered linked. Tone is the same on all of them and, where mid and side differ, works on the
pairs; width works on the pairs alone; compressor and limiter hear all of them together. The LFE is kept out of what
they hear and out of tone, width and compression: it follows the level, and has a limiter to itself.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np

from dsp.audio import Samples
from dsp.chain import Chain, ChainProcessor
from dsp.effect import Processor, Settings
from dsp.effects.compressor import Compressor
from dsp.effects.dither import Dither
from dsp.effects.eq import Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.effects.width import Width
from dsp.errors import AudioError

FRONT_LEFT, FRONT_RIGHT, FRONT_CENTRE, LFE, BACK_LEFT, BACK_RIGHT = 0x1, 0x2, 0x4, 0x8, 0x10, 0x20
BACK_CENTRE, SIDE_LEFT, SIDE_RIGHT = 0x100, 0x200, 0x400
KNOWN = (FRONT_LEFT, FRONT_RIGHT, FRONT_CENTRE, LFE, BACK_LEFT, BACK_RIGHT, BACK_CENTRE, SIDE_LEFT, SIDE_RIGHT)
"""Loudspeakers in the order in which files hold their channels, as bits of a channel mask."""
PAIRS = ((FRONT_LEFT, FRONT_RIGHT), (BACK_LEFT, BACK_RIGHT), (SIDE_LEFT, SIDE_RIGHT))
SURROUND_WEIGHT = 1.41
FOLD = float(np.sqrt(0.5))
"""Centre and surrounds in a stereo mix of all, after ITU-R BS.775."""


@dataclass(frozen=True)
class Speakers:
    """The loudspeakers of a file's channels."""

    mask: int

    def __post_init__(self) -> None:
        front = self.mask & FRONT_LEFT and self.mask & FRONT_RIGHT
        pairs = all(bool(self.mask & left) == bool(self.mask & right) for left, right in PAIRS)
        if self.mask & ~sum(KNOWN) or not front or not pairs:
            raise AudioError(
                f"channel mask: {self.mask:#x} is not left and right with any of centre, LFE, a pair at the sides,"
                " a pair behind and one behind"
            )

    @property
    def places(self) -> list[int]:
        """The loudspeaker of each channel."""
        return [place for place in KNOWN if self.mask & place]

    @property
    def channels(self) -> int:
        """How many there are."""
        return len(self.places)

    @property
    def lfe(self) -> int | None:
        """The channel of low-frequency effects."""
        return self.places.index(LFE) if self.mask & LFE else None

    @property
    def bed(self) -> list[int]:
        """All other channels."""
        return [channel for channel, place in enumerate(self.places) if place != LFE]

    @property
    def pairs(self) -> list[list[int]]:
        """Left and right channels that belong together."""
        return [[self.places.index(left), self.places.index(right)] for left, right in PAIRS if self.mask & left]

    @property
    def weights(self) -> list[float]:
        """Of BS.1770 for each channel: what stands 60 to 120 degrees to the side counts 1.41, the LFE nothing.

        A lone pair of surrounds, behind or beside by name, is the one of 5.1; where there are two, the sides count.
        """
        aside = (SIDE_LEFT, SIDE_RIGHT) if self.mask & SIDE_LEFT else (BACK_LEFT, BACK_RIGHT)
        return [0.0 if p == LFE else SURROUND_WEIGHT if p in aside else 1.0 for p in self.places]

    def folded(self, block: Samples) -> Samples:
        """(channels, n) as stereo: the sides as they are, centre and surrounds 3 dB lower, no LFE."""
        out = np.zeros((2, block.shape[1]), dtype=block.dtype)
        for row, place in zip(block, self.places, strict=True):
            if place == LFE:
                continue
            share = block.dtype.type(1.0 if place in PAIRS[0] else FOLD)
            for side in range(2):
                if not any(place == pair[1 - side] for pair in PAIRS):
                    out[side] += share * row
        return out


def surround_processor(chain: Chain, sample_rate_hz: int, speakers: Speakers) -> ChainProcessor:
    """The chain over all channels; AudioError for an effect that knows mono and stereo alone."""
    return ChainProcessor([_step(step, sample_rate_hz, speakers) for step in chain.active()])


def _step(step: Settings, rate_hz: int, speakers: Speakers) -> Processor:
    bed, everything = speakers.bed, list(range(speakers.channels))
    alone = [] if speakers.lfe is None else [speakers.lfe]
    if isinstance(step, Gain | Dither):
        return step.processor(rate_hz, len(everything))
    if isinstance(step, Compressor):
        return Grouped([(bed, step.processor(rate_hz, len(bed))), (alone, None)])
    if isinstance(step, Limiter):
        return Grouped([(bed, step.processor(rate_hz, len(bed))), (alone, step.processor(rate_hz, 1))])
    if isinstance(step, Eq | Width):
        single = [channel for channel in bed if channel not in itertools.chain(*speakers.pairs)]
        groups: list[tuple[list[int], Processor | None]] = [(p, step.processor(rate_hz, 2)) for p in speakers.pairs]
        groups += [([c], step.processor(rate_hz, 1) if isinstance(step, Eq) else None) for c in single]
        return Grouped([*groups, (alone, None)])
    name = type(step).__struct_config__.tag
    raise AudioError(f"{name}: works on mono and stereo, not on {speakers.channels} channels")


class Grouped(Processor):
    """Processors side by side, each on channels of its own; what one holds back, the others wait for.

    groups: channels and their processor, or None for those that pass as they are.
    """

    def __init__(self, groups: list[tuple[list[int], Processor | None]]) -> None:
        self.groups = [(channels, processor) for channels, processor in groups if channels]
        self._waiting: list[Samples | None] = [None] * len(self.groups)

    def process(self, block: Samples) -> Samples:
        made = [p.process(np.ascontiguousarray(block[c])) if p else block[c] for c, p in self.groups]
        return self._ready(made)

    def finish(self) -> Samples | None:
        tails = [None if p is None else p.finish() for _, p in self.groups]
        return None if all(w is None for w in self._waiting) else self._ready(tails)

    def _ready(self, made: list[Samples | None] | list[Samples]) -> Samples:
        for index, part in enumerate(made):
            held = self._waiting[index]
            if part is not None:
                self._waiting[index] = part if held is None else np.concatenate([held, part], axis=1)
        waiting = [part for part in self._waiting if part is not None]
        count = min(part.shape[1] for part in waiting)
        out = np.empty((sum(len(channels) for channels, _ in self.groups), count), dtype=waiting[0].dtype)
        for (channels, _), part in zip(self.groups, waiting, strict=True):
            out[channels] = part[:, :count]
        self._waiting = [part[:, count:] for part in waiting]
        return out

    def measured(self) -> dict[str, Any]:
        """Of the first group that has measured anything: the bed's."""
        return next((found for _, p in self.groups if p is not None and (found := p.measured())), {})
