"""Width: gain of the side over frequency, and a low end gathered in the centre; the mid is never touched.

The side filter has no phase shift against the mid (above about 300 Hz, see `dsp.fir`), so instruments grow wider or
narrower where they stand and do not wander.
"""

from __future__ import annotations

import functools
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp import fir
from dsp.audio import Samples
from dsp.curves import Point, check_ascending, curve_db, scaled_points
from dsp.effect import Processor, Settings, empty_like


class Width(Settings, frozen=True, kw_only=True):
    """How wide the sides are."""

    title: ClassVar[str] = "stereo width"

    side: tuple[Point, ...] = ()
    """Gain of the side over frequency; a single point acts on all of it."""
    focus_below_hz: Annotated[float, Meta(ge=0.0, le=500.0)] = 0.0
    """The side falls by 24 dB an octave below this, -6 dB at it; 0 leaves it."""
    focus_depth_db: Annotated[float, Meta(ge=0.0, le=60.0)] = 40.0
    """How far the side falls at the bottom at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending("width.side", self.side)

    def is_neutral(self) -> bool:
        return (self.focus_below_hz == 0.0 or self.focus_depth_db == 0.0) and all(p.gain_db == 0.0 for p in self.side)

    def scaled(self, amount: float) -> Width:
        focus = self.focus_below_hz if amount > 0.0 else 0.0
        return Width(
            side=scaled_points(self.side, amount),
            focus_below_hz=focus,
            focus_depth_db=self.focus_depth_db * amount,
        )

    def response_db(self, frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Gain on the side at each frequency, dB."""
        gain = curve_db(self.side, frequency_hz)
        if self.focus_below_hz > 0.0:
            ratio = self.focus_below_hz / np.maximum(frequency_hz, 0.1)
            floor = 10.0 ** (-self.focus_depth_db / 20.0)
            gain = gain - 20.0 * np.log10((1.0 + ratio**4) / (1.0 + floor * ratio**4))
        return gain

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        if channels == 1:
            return Untouched()
        return WidthProcessor(_designed(self, sample_rate_hz))


@functools.lru_cache(maxsize=8)
def _designed(width: Width, sample_rate_hz: int) -> fir.Fir:
    """Kept, as a planner runs the same filter over one stretch of a track after the other."""
    return fir.design(width.response_db, sample_rate_hz, phase="linear")


class Untouched(Processor):
    """Mono has no side."""

    def process(self, block: Samples) -> Samples:
        return block


class WidthProcessor(Processor):
    """Adds the wanted change of the side to left, subtracts it from right, so that their sum stays as it is."""

    def __init__(self, change: fir.Fir) -> None:
        taps = change.taps.copy()
        taps[change.lead_samples] -= 1.0
        self.stream = fir.FirStream([fir.Fir(taps, change.lead_samples)])
        self.waiting: list[Samples] = []

    def process(self, block: Samples) -> Samples:
        self.waiting.append(block)
        return self._add(self.stream.process((block[:1] - block[1:]) * block.dtype.type(0.5)))

    def finish(self) -> Samples | None:
        tail = self.stream.finish()
        return None if tail is None else self._add(tail)

    def _add(self, change: Samples) -> Samples:
        ready = change.shape[1]
        if not ready:
            return empty_like(self.waiting[0])
        held = np.concatenate(self.waiting, axis=1)
        self.waiting = [held[:, ready:]]
        return np.concatenate([held[:1, :ready] + change, held[1:, :ready] - change])


EXAMPLES = (
    Width(side=(Point(frequency_hz=1000.0, gain_db=3.0),)),
    Width(side=(Point(frequency_hz=200.0, gain_db=-4.0), Point(frequency_hz=6000.0, gain_db=3.0))),
    Width(focus_below_hz=120.0),
)
