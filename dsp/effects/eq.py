"""Equalizer: parametric bands and curves, on both channels, the mid or the side.

A band is its analogue prototype (R. Bristow-Johnson's cookbook), evaluated without the cramping of a digital
biquad, so the same plan has the same response at every sample rate.
"""

from __future__ import annotations

import functools
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp import fir
from dsp.audio import Samples, left_right, mid_side
from dsp.curves import Channels, Decibels, Frequency, Point, check_ascending, curve_db, scaled_points
from dsp.effect import Bounded, Processor, Settings

Shape = Literal["peak", "low_shelf", "high_shelf"]


class Band(Bounded, frozen=True, kw_only=True):
    """One bell or shelf."""

    shape: Shape = "peak"
    frequency_hz: Frequency = 1000.0
    gain_db: Decibels = 0.0
    q: Annotated[float, Meta(ge=0.1, le=20.0)] = 0.7071
    channels: Channels = "all"


class Curve(Bounded, frozen=True, kw_only=True):
    """A drawn curve, straight between its points over log frequency."""

    points: tuple[Point, ...] = ()
    channels: Channels = "all"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ascending("curve.points", self.points)


def band_db(band: Band, frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Gain of one band at each frequency, dB."""
    return prototype_db(band.shape, frequency_hz, band.frequency_hz, band.gain_db, band.q)


Numbers = float | NDArray[np.float64]


def prototype_db(
    shape: Shape, hz: NDArray[np.float64], frequency_hz: Numbers, gain_db: Numbers, q: Numbers
) -> NDArray[np.float64]:
    """Gain of the analogue prototype at each of `hz`, dB; of many at once where their settings broadcast with `hz`."""
    a = 10.0 ** (gain_db / 40.0)
    w = hz / frequency_hz
    square = w * w
    if shape == "peak":
        shared, ring = (1.0 - square) ** 2, square / (q * q)
        return 10.0 * np.log10((shared + ring * a * a) / (shared + ring / (a * a)))
    slope = a * square / (q * q)
    low, high = (a - square) ** 2 + slope, (1.0 - a * square) ** 2 + slope
    if shape == "high_shelf":
        low, high = high, low
    return gain_db / 2.0 + 10.0 * np.log10(low / high)


class Eq(Settings, frozen=True, kw_only=True):
    """Gain over frequency."""

    title: ClassVar[str] = "tone"

    bands: tuple[Band, ...] = ()
    curves: tuple[Curve, ...] = ()
    phase: fir.Phase = "minimum"

    def is_neutral(self) -> bool:
        return all(b.gain_db == 0.0 for b in self.bands) and all(
            p.gain_db == 0.0 for c in self.curves for p in c.points
        )

    def scaled(self, amount: float) -> Eq:
        return msgspec.structs.replace(
            self,
            bands=tuple(msgspec.structs.replace(b, gain_db=b.gain_db * amount) for b in self.bands),
            curves=tuple(msgspec.structs.replace(c, points=scaled_points(c.points, amount)) for c in self.curves),
        )

    def response_db(self, frequency_hz: NDArray[np.float64], channel: Literal["mid", "side"]) -> NDArray[np.float64]:
        """Gain on the mid or the side at each frequency, dB."""
        total = np.zeros_like(frequency_hz)
        for band in self.bands:
            if band.channels in ("all", channel):
                total += band_db(band, frequency_hz)
        for curve in self.curves:
            if curve.channels in ("all", channel):
                total += curve_db(curve.points, frequency_hz)
        return total

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        parts = [b.channels for b in self.bands] + [c.channels for c in self.curves]
        mid = _designed(self, "mid", sample_rate_hz)
        if channels == 1 or all(part == "all" for part in parts):
            return EqProcessor(fir.FirStream([mid] * channels), as_mid_side=False)
        return EqProcessor(fir.FirStream([mid, _designed(self, "side", sample_rate_hz)]), as_mid_side=True)


@functools.lru_cache(maxsize=8)
def _designed(eq: Eq, channel: Literal["mid", "side"], sample_rate_hz: int) -> fir.Fir:
    """Kept, as a planner runs the same filter over one stretch of a track after the other."""
    return fir.design(lambda hz: eq.response_db(hz, channel), sample_rate_hz, phase=eq.phase)


class EqProcessor(Processor):
    """FIR filters on the channels as they are, or on mid and side."""

    def __init__(self, stream: fir.FirStream, *, as_mid_side: bool) -> None:
        self.stream = stream
        self.as_mid_side = as_mid_side

    def process(self, block: Samples) -> Samples:
        if self.as_mid_side:
            return left_right(self.stream.process(mid_side(block)))
        return self.stream.process(block)

    def finish(self) -> Samples | None:
        tail = self.stream.finish()
        return left_right(tail) if self.as_mid_side and tail is not None else tail


EXAMPLES = (
    Eq(bands=(Band(frequency_hz=120.0, gain_db=4.0), Band(shape="high_shelf", frequency_hz=6000.0, gain_db=-3.0))),
    Eq(bands=(Band(shape="low_shelf", frequency_hz=90.0, gain_db=-6.0, channels="side"),), phase="linear"),
    Eq(curves=(Curve(points=(Point(frequency_hz=100.0, gain_db=2.0), Point(frequency_hz=5000.0, gain_db=-2.0))),)),
)
