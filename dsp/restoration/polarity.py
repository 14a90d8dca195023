"""Polarity: a channel that was wired the wrong way round, turned back by its sign."""

from __future__ import annotations

from typing import ClassVar, Literal

from dsp.audio import Samples
from dsp.effect import Processor, Settings


class Polarity(Settings, frozen=True, kw_only=True):
    """Inverts one channel; there is no half of it, so it does not scale."""

    title: ClassVar[str] = "polarity"
    repairs: ClassVar[bool] = True

    invert: Literal["none", "left", "right"] = "none"

    def is_neutral(self) -> bool:
        return self.invert == "none"

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return PolarityProcessor({"none": None, "left": 0, "right": 1}[self.invert], channels)


class PolarityProcessor(Processor):
    """Changes the sign of one channel; a single channel stays as it is, for nothing can be wrong with it alone."""

    def __init__(self, inverted: int | None, channels: int) -> None:
        self.inverted = inverted if channels > 1 else None

    def process(self, block: Samples) -> Samples:
        if self.inverted is None:
            return block
        out = block.copy()
        out[self.inverted] *= -1.0
        return out


EXAMPLES = (Polarity(invert="left"), Polarity(invert="right"))
