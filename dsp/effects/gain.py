"""Gain: the same number of dB on every sample."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from dsp.audio import Samples
from dsp.effect import Processor, Settings
from dsp.units import gain_from_db


class Gain(Settings, frozen=True, kw_only=True):
    """Level change of the whole signal."""

    title: ClassVar[str] = "level"

    gain_db: Annotated[float, Meta(ge=-60.0, le=60.0)] = 0.0

    def is_neutral(self) -> bool:
        return self.gain_db == 0.0

    def scaled(self, amount: float) -> Gain:
        return Gain(gain_db=self.gain_db * amount)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return GainProcessor(gain_from_db(self.gain_db))


class GainProcessor(Processor):
    """Multiplication by one number."""

    def __init__(self, gain: float) -> None:
        self.gain = gain

    def process(self, block: Samples) -> Samples:
        return block * block.dtype.type(self.gain)
