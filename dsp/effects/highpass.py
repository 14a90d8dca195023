"""Low cut: a Butterworth high-pass against rumble and DC."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.effect import Processor, Settings
from dsp.kernels import Biquads


class Highpass(Settings, frozen=True, kw_only=True):
    """Takes out what lies below the music."""

    title: ClassVar[str] = "low cut"

    frequency_hz: Annotated[float, Meta(ge=0.0, le=1000.0)] = 0.0
    """Where it is 3 dB down; 0 leaves everything."""
    slope_db_oct: Literal[12, 24] = 12

    def is_neutral(self) -> bool:
        return self.frequency_hz == 0.0

    def scaled(self, amount: float) -> Highpass:
        return Highpass(frequency_hz=self.frequency_hz * amount, slope_db_oct=self.slope_db_oct)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        sections = butterworth_highpass(self.frequency_hz, self.slope_db_oct // 6, sample_rate_hz)
        return HighpassProcessor(Biquads(sections, channels))


def butterworth_highpass(frequency_hz: float, order: int, sample_rate_hz: int) -> NDArray[np.float64]:
    """Second-order sections (order/2, 6) of a digital Butterworth high-pass of even order, bilinear transform."""
    k = np.tan(np.pi * frequency_hz / sample_rate_hz)
    sections = []
    for pole in range(order // 2):
        q = 1.0 / (2.0 * np.cos(np.pi * (2 * pole + 1) / (2 * order)))
        a0 = 1.0 + k / q + k * k
        sections.append([1.0 / a0, -2.0 / a0, 1.0 / a0, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / q + k * k) / a0])
    return np.array(sections)


class HighpassProcessor(Processor):
    """Recursive filters with their state in double precision."""

    def __init__(self, filters: Biquads) -> None:
        self.filters = filters

    def process(self, block: Samples) -> Samples:
        out = np.empty_like(block, order="C")
        self.filters.process(np.ascontiguousarray(block), out)
        return out


EXAMPLES = (Highpass(frequency_hz=30.0), Highpass(frequency_hz=80.0, slope_db_oct=24))
