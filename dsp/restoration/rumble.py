"""Rumble: what turntables, traffic and stands leave below the music, taken out by a low cut."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta

from dsp.effect import Processor, Settings
from dsp.effects.highpass import HighpassProcessor, butterworth_highpass
from dsp.kernels import Biquads


class Rumble(Settings, frozen=True, kw_only=True):
    """A Butterworth low cut of 24 dB an octave."""

    title: ClassVar[str] = "rumble removal"
    repairs: ClassVar[bool] = True

    below_hz: Annotated[float, Meta(ge=0.0, le=60.0)] = 0.0
    """Where it is 3 dB down; 0 leaves everything."""

    def is_neutral(self) -> bool:
        return self.below_hz == 0.0

    def scaled(self, amount: float) -> Rumble:
        return Rumble(below_hz=self.below_hz * amount)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return HighpassProcessor(Biquads(butterworth_highpass(self.below_hz, 4, sample_rate_hz), channels))


EXAMPLES = (Rumble(below_hz=18.0), Rumble(below_hz=35.0))
