"""Hum of the mains taken out by subtracting lines that hang on one slowly moving fundamental.

A notch takes the music at its frequency away with the hum, and forgets where the hum went when the mains drift. Here
exactly the lines that were measured (`dsp.restoration.humdetection`) are subtracted: nothing else of the signal is
touched.
"""

from __future__ import annotations

import itertools
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.effect import Bounded, Processor, Settings
from dsp.errors import SettingsError
from dsp.kernels import hum
from dsp.units import db_from_gain

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]

Time = Annotated[float, Meta(ge=0.0, le=1e6)]
Part = Annotated[float, Meta(ge=-1.0, le=1.0)]


class TrackPoint(Bounded, frozen=True, kw_only=True):
    """The fundamental at one moment; between points it moves straight, beyond them it stands."""

    time_s: Time
    frequency_hz: Annotated[float, Meta(ge=40.0, le=70.0)]


class LinePoint(Bounded, frozen=True, kw_only=True):
    """A line at one moment: cosine and sine of its phase against the fundamental's, ±1.0 is full scale."""

    time_s: Time
    cosine: Part
    sine: Part


class Line(Bounded, frozen=True, kw_only=True):
    """One harmonic in one channel."""

    harmonic: Annotated[int, Meta(ge=1, le=64)]
    points: tuple[LinePoint, ...]
    channel: Annotated[int, Meta(ge=0, le=63)] = 0

    @property
    def level_dbfs(self) -> float:
        """RMS at its loudest point re full scale."""
        return max(
            (float(db_from_gain(np.hypot(p.cosine, p.sine) / np.sqrt(2.0))) for p in self.points), default=-200.0
        )


class Dehum(Settings, frozen=True, kw_only=True):
    """Subtracts lines of hum that follow one fundamental.

    The phase of the fundamental is 0 at the file's start and the integral of `track` from there on.
    """

    title: ClassVar[str] = "hum removal"
    repairs: ClassVar[bool] = True

    track: tuple[TrackPoint, ...] = ()
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rising("dehum.track", [p.time_s for p in self.track])
        for line in self.lines:
            _check_rising("dehum.lines", [p.time_s for p in line.points])

    def is_neutral(self) -> bool:
        return not self.track or all(p.cosine == p.sine == 0.0 for line in self.lines for p in line.points)

    def scaled(self, amount: float) -> Dehum:
        lines = tuple(
            Line(
                harmonic=line.harmonic,
                channel=line.channel,
                points=tuple(
                    LinePoint(time_s=p.time_s, cosine=amount * p.cosine, sine=amount * p.sine) for p in line.points
                ),
            )
            for line in self.lines
        )
        return Dehum(track=self.track, lines=lines)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return DehumProcessor(self, sample_rate_hz, channels)


def _check_rising(owner: str, times_s: list[float]) -> None:
    for before, after in itertools.pairwise(times_s):
        if after <= before:
            raise SettingsError(f"{owner}: {after:g} s after {before:g} s, points must rise in time")


class Phase:
    """Cycles of a fundamental given by points of time and frequency, counted from time 0."""

    def __init__(self, time_s: Reals, frequency_hz: Reals) -> None:
        self.time_s, self.frequency_hz = time_s, frequency_hz
        steps = np.diff(time_s) * 0.5 * (frequency_hz[1:] + frequency_hz[:-1])
        self._cycles = frequency_hz[0] * time_s[0] + np.concatenate([[0.0], np.cumsum(steps)])
        self._slope = np.append(np.diff(frequency_hz) / np.maximum(np.diff(time_s), 1e-9), 0.0)

    def at(self, time_s: Reals) -> tuple[Reals, Reals, Reals]:
        """Cycles, Hz and Hz/s at each time."""
        found = np.searchsorted(self.time_s, time_s, side="right") - 1
        place = np.maximum(found, 0)
        slope = np.where(found < 0, 0.0, self._slope[place])
        since = time_s - self.time_s[place]
        rate = self.frequency_hz[place]
        return self._cycles[place] + (rate + 0.5 * slope * since) * since, rate + slope * since, slope


class DehumProcessor(Processor):
    """Makes the hum in tiles at fixed positions of the stream and subtracts it."""

    TILE = 64
    TILES = 64

    def __init__(self, settings: Dehum, sample_rate_hz: int, channels: int) -> None:
        self.rate = sample_rate_hz
        self.position = 0
        self.made, self.made_from = np.zeros((channels, 0)), 0
        lines = [line for line in settings.lines if line.points and line.channel < channels]
        track = settings.track
        self.phase = Phase(
            np.array([p.time_s for p in track] or [0.0]), np.array([p.frequency_hz for p in track] or [50.0])
        )
        # What would alias is left out.
        highest_hz = 0.5 * sample_rate_hz / max((p.frequency_hz for p in track), default=50.0)
        lines = [line for line in lines if line.harmonic < highest_hz] if track else []
        self.orders = np.array(sorted({line.harmonic for line in lines}), dtype=np.float64)
        self.lines = [
            (line.channel, int(np.searchsorted(self.orders, line.harmonic)), *_course(line)) for line in lines
        ]

    def process(self, block: Samples) -> Samples:
        if not self.lines:
            return block
        parts, start, stop = [], self.position, self.position + block.shape[1]
        while start < stop:
            if not self.made_from <= start < self.made_from + self.made.shape[1]:
                self.made_from = start - start % (self.TILE * self.TILES)
                self.made = self._make(self.made_from)
            first = start - self.made_from
            parts.append(self.made[:, first : first + stop - start])
            start += parts[-1].shape[1]
        self.position = stop
        return block - np.concatenate(parts, axis=1).astype(block.dtype) if parts else block

    def _make(self, start: int) -> Reals:
        """The hum of one run of tiles."""
        edges = (start + self.TILE * np.arange(self.TILES + 1)) / self.rate
        cycles, rate, slope = self.phase.at(edges)
        amplitude = np.zeros((self.TILES + 1, self.made.shape[0], len(self.orders)), dtype=np.complex128)
        for channel, order, time_s, value in self.lines:
            amplitude[:, channel, order] += np.interp(edges, time_s, value)
        out = np.zeros((self.made.shape[0], self.TILE * self.TILES))
        if not amplitude.any():
            return out
        step = np.diff(amplitude, axis=0) / self.TILE
        tile = np.empty((len(out), self.TILE))
        for n in range(self.TILES):
            at, by = amplitude[n], step[n]
            hum(
                cycles[n], rate[n] / self.rate, slope[n] / self.rate**2, self.orders,
                *(np.ascontiguousarray(part) for part in (at.real, at.imag, by.real, by.imag)), tile,
            )  # fmt: skip
            out[:, n * self.TILE : (n + 1) * self.TILE] = tile
        return out


def _course(line: Line) -> tuple[Reals, Complexes]:
    """Times and complex amplitudes of a line's points."""
    return np.array([p.time_s for p in line.points]), np.array([complex(p.cosine, p.sine) for p in line.points])


EXAMPLES = (
    Dehum(
        track=(TrackPoint(time_s=0.0, frequency_hz=50.0), TrackPoint(time_s=0.3, frequency_hz=50.02)),
        lines=(
            Line(harmonic=1, points=(LinePoint(time_s=0.0, cosine=0.02, sine=-0.01),)),
            Line(
                harmonic=3,
                channel=1,
                points=(LinePoint(time_s=0.1, cosine=0.01, sine=0.0), LinePoint(time_s=0.2, cosine=0.0, sine=0.01)),
            ),
        ),
    ),
)
