"""Declip: what a converter, a clipper or a wrong fader cut off is filled in again.

`ClipDetector` looks for plateaus at a channel's own highest and lowest value, at whatever level; `Declip` fills in
what lies beyond the levels it is given: samples within them stay as they are, bit for bit, and no sample comes nearer
to zero than it was. The repaired sound reaches higher than the damaged one. Samples are floating point, so nothing
clips again on the way: what follows in the chain (level, limiter) takes it down, or `headroom_db` does where Declip
stands alone.
"""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.effect import Bounded, Processor, Settings, empty_like
from dsp.errors import AudioError
from dsp.kernels import ClipLevels
from dsp.restoration.events import Event, event
from dsp.restoration.sparsity import sparsest
from dsp.units import db_from_gain, gain_from_db

Polarity = Literal["high", "low"]

GAP_S = 0.1
"""Clipped samples nearer than this are one section."""
LONGEST_SECTION_S = 6.0
"""Longer sections are repaired in parts of this length, so that memory does not grow with them."""
WINDOW_S = 0.13
"""The window is the next power of two: 8192 samples at 44.1 and 48 kHz."""
MOST_UNKNOWN = 0.75
"""Where more than this share of a section is cut off, there is too little to go by."""
MOST_RISE = 8.0
"""How many times the clip level a filled-in sample may reach."""
WORKERS = 2

STEPS, MORE_STEPS, MOST_STEPS = 100, 1000, 450
"""Iterations: so many, more by the share of a channel that is cut off times this (what is far takes long), at most."""

LEAST_PLATEAUS, LEAST_PLATEAUS_STRONG = 10, 4
LEAST_FLAT = 0.1
"""Of the samples at the level, the share in plateaus: a limiter only touches its ceiling."""
MOST_INTERIOR = 0.25
"""Flat runs inside the sound for each plateau: synthesised squares and steps have them everywhere."""
MOST_STEP = 0.7
"""Mean step beside a plateau, of the level: squares jump, music arrives."""
MOST_CUT_OFF = 0.75
"""Share of all samples at either level: beyond it the sound was made so."""
MOST_ABRUPT = 0.3
"""Of a knee: the step onto the plateau for each step before. Where it is cut off without one, half on average."""
KNEE_REACH_DB = 3.0
KNEE_EXCESS = 1.5
"""A knee shows as samples crowding below the level: so many times as densely as at their sparsest."""
_BIN_BITS = 17


class ClipLevel(Bounded, frozen=True, kw_only=True):
    """Where one polarity of one channel is cut off; samples at the level or beyond count as cut off."""

    level_dbfs: Annotated[float, Meta(ge=-60.0, le=24.0)]
    channel: Annotated[int, Meta(ge=0, le=63)] = 0
    polarity: Polarity = "high"


class Declip(Settings, frozen=True, kw_only=True):
    """Cut-off samples filled in, within the sections given.

    Sections of each channel on its own; a level without a section changes nothing, nor does a section without a level.
    """

    title: ClassVar[str] = "declipper"
    repairs: ClassVar[bool] = True

    levels: tuple[ClipLevel, ...] = ()
    sections: tuple[Event, ...] = ()
    knee_db: Annotated[float, Meta(ge=0.0, le=12.0)] = 0.0
    """Samples up to this far below the level were bent as well: they may only grow."""
    steps: Annotated[int, Meta(ge=1, le=1000)] = STEPS
    """Iterations of the repair."""
    amount: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    """How much of what was filled in is added."""
    headroom_db: Annotated[float, Meta(ge=0.0, le=24.0)] = 0.0
    """How far the whole stream, repaired or not, is turned down afterwards."""

    def is_neutral(self) -> bool:
        return self.headroom_db == 0.0 and not (self.levels and self.sections and self.amount)

    def scaled(self, amount: float) -> Declip:
        return Declip(
            levels=self.levels,
            sections=self.sections,
            knee_db=self.knee_db,
            steps=self.steps,
            amount=self.amount * amount,
            headroom_db=self.headroom_db * amount,
        )

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return DeclipProcessor(self, sample_rate_hz, channels)


@dataclass(frozen=True)
class ClippedSide:
    """One polarity of one channel, as it was found to be cut off.

    level_dbfs: the least value that counts as cut off. plateaus: three or more samples there with an edge beside
    them; samples: all at the level. knee_db: how far below it bending sets in; 0 where it does not.
    """

    level: ClipLevel
    plateaus: int
    samples: int
    knee_db: float
    spans: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Clipping:
    """What a `ClipDetector` found in `length_samples` samples of each channel; no sides where nothing is clipped."""

    sides: tuple[ClippedSide, ...]
    sample_rate_hz: int
    length_samples: int

    @property
    def samples(self) -> int:
        """Cut-off samples of all channels."""
        return sum(side.samples for side in self.sides)

    def shares(self) -> dict[int, float]:
        """The cut-off share of every clipped channel."""
        channels = sorted({side.level.channel for side in self.sides})
        samples = {c: sum(side.samples for side in self.sides if side.level.channel == c) for c in channels}
        return {c: count / self.length_samples for c, count in samples.items()}

    def settings(self) -> Declip | None:
        """The repair; None where nothing is clipped.

        Its `headroom_db` is 0: what is needed is known once the repair has run (`measured()["declip"]["peak_dbfs"]`).
        """
        if not self.sides:
            return None
        knee_db = max(side.knee_db for side in self.sides)
        gap = round(GAP_S * self.sample_rate_hz)
        sections = []
        for channel in sorted({side.level.channel for side in self.sides}):
            spans = [span for side in self.sides if side.level.channel == channel for span in side.spans]
            sections += [event(*span, channel, self.sample_rate_hz) for span in joined(spans, gap)]
        return Declip(
            levels=tuple(side.level for side in self.sides),
            sections=tuple(sections),
            knee_db=knee_db,
            steps=min(MOST_STEPS, round(STEPS + MORE_STEPS * max(self.shares().values()))),
        )


class ClipDetector:
    """Clip levels and clipped sections of one stream of any number of channels, the same whatever the blocks.

    What keeps it from acting on whole sound: plateaus need an edge that no round top has; most samples at the level
    have to lie in them (a limiter only touches its ceiling); there must be hardly any flat runs inside the sound
    (synthesised squares and steps), and no jumps into them. What a lossy codec or a new sample rate has made of a
    plateau is flat no more, and is not found. strong: fewer plateaus are enough.
    Raises AudioError on less than one channel and on a rate that no sound has.
    """

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        if channels < 1:
            raise AudioError(f"channels: {channels} is less than 1")
        self.sample_rate_hz, self.channels = check_rate(sample_rate_hz), channels
        self._least = LEAST_PLATEAUS_STRONG if strong else LEAST_PLATEAUS
        self._kernel = ClipLevels(channels, round(GAP_S * sample_rate_hz))

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self._kernel.process(np.ascontiguousarray(block))

    def result(self) -> Clipping:
        """What was found in all samples so far, as if silence followed; more may follow."""
        sides: list[ClippedSide] = []
        length = 0
        for channel in range(self.channels):
            high, low, interior, length = self._kernel.result(channel)
            if high[3] + low[3] <= MOST_CUT_OFF * length:
                found = [self._side(channel, "high", interior, *high), self._side(channel, "low", interior, *low)]
                sides += [side for side in found if side is not None]
        return Clipping(tuple(sides), self.sample_rate_hz, length)

    def _side(
        self,
        channel: int,
        polarity: Polarity,
        interior: int,
        level: float,
        plateaus: int,
        flat: int,
        hits: int,
        step: float,
        abruptness: float,
        outgrown: int,
        spans: list[tuple[int, int]],
        histogram: list[int],
    ) -> ClippedSide | None:
        """The side, if it is cut off."""
        level_dbfs = float(db_from_gain(level))
        if (
            plateaus < self._least
            or flat < LEAST_FLAT * hits
            or interior + outgrown > MOST_INTERIOR * plateaus
            or step > MOST_STEP * level
            or not -60.0 <= level_dbfs <= 24.0
        ):
            return None
        return ClippedSide(
            level=ClipLevel(level_dbfs=level_dbfs, channel=channel, polarity=polarity),
            plateaus=plateaus,
            samples=hits,
            knee_db=knee_db(np.asarray(histogram), level) if abruptness < MOST_ABRUPT else 0.0,
            spans=tuple(spans),
        )


def knee_db(histogram: NDArray[np.int64], level: float) -> float:
    """How far below a clip level samples begin to crowd, from counts by the first bits of their float32 magnitude.

    Music has the fewer samples the higher they reach; a knee pushes together what lies in it. 0 without a knee.
    """
    lows = (np.arange(len(histogram) - 1, dtype=np.uint32) << _BIN_BITS).view(np.float32)
    first = int(np.searchsorted(lows, level * gain_from_db(-KNEE_REACH_DB)))
    last = int(np.searchsorted(lows, level * 0.999, side="right")) - 2  # the last that the level is not in
    if last - first < 8:
        return 0.0
    density = histogram[first : last + 1] / np.diff(lows[first : last + 2])
    smooth = np.convolve(density, np.full(3, 1.0 / 3.0), mode="valid")
    least = int(smooth.argmin())
    crowd = float(histogram[last - 2 : last + 1].sum())
    expected = crowd * smooth[least] / max(smooth[-1], 1e-9)
    if crowd <= KNEE_EXCESS * expected or crowd - expected <= 4.0 * math.sqrt(expected + 9.0):
        return 0.0
    return float(-db_from_gain(float(lows[first + least + 1]) / level))


def joined(spans: list[tuple[int, int]], gap: int) -> list[tuple[int, int]]:
    """Spans in order, those with no more than `gap` samples between them made one."""
    out: list[tuple[int, int]] = []
    for first, stop in sorted(spans):
        if out and first - out[-1][1] <= gap:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((first, stop))
    return out


@dataclass(frozen=True)
class _Part:
    """A stretch of one channel that is repaired at once."""

    channel: int
    first: int
    stop: int


class DeclipProcessor(Processor):
    """Holds the stream back until a section and a window beyond it are there, and repairs it."""

    def __init__(self, settings: Declip, sample_rate_hz: int, channels: int) -> None:
        self.settings = settings
        self.gain = gain_from_db(-settings.headroom_db)
        self.window = 1 << math.ceil(math.log2(WINDOW_S * sample_rate_hz))
        self.bounds = [
            (_bound(settings, channel, "high"), _bound(settings, channel, "low")) for channel in range(channels)
        ]
        self._parts = self._cut(sample_rate_hz, channels)
        self._held: Samples | None = None
        """As it came in, from sample `_start` on; `_made` is the same repaired as far as it goes."""
        self._made: Samples | None = None
        self._start = self._sent = 0
        self._repaired = self._peak = 0.0

    def process(self, block: Samples) -> Samples:
        if self._held is None or self._made is None:
            self._held = self._made = empty_like(block)
        self._held = np.concatenate([self._held, block], axis=1)
        self._made = np.concatenate([self._made, block], axis=1)
        return self._ready(self._start + self._held.shape[1], self.window)

    def finish(self) -> Samples | None:
        if self._held is None:
            return None
        return self._ready(self._start + self._held.shape[1], 0)

    def measured(self) -> dict[str, Any]:
        """How many samples were filled in, and the highest of all before the headroom was made."""
        return {"declip": {"samples": int(self._repaired), "peak_dbfs": float(db_from_gain(self._peak))}}

    def _cut(self, sample_rate_hz: int, channels: int) -> list[_Part]:
        """All parts, the first to begin first."""
        longest = round(LONGEST_SECTION_S * sample_rate_hz)
        parts = []
        for channel in range(channels):
            if self.settings.amount == 0.0 or not any(map(math.isfinite, self.bounds[channel])):
                continue
            found = [e.span_samples(sample_rate_hz) for e in self.settings.sections if e.channel == channel]
            # A window is needed on both sides of a part: what is nearer than that costs less in one.
            for first, stop in joined(found, 2 * self.window):
                parts += [_Part(channel, at, min(stop, at + longest)) for at in range(first, stop, longest)]
        return sorted(parts, key=lambda part: part.first)

    def _ready(self, fed: int, beyond: int) -> Samples:
        """Repair the parts that `beyond` samples follow, and give what no part waits for."""
        assert self._held is not None
        assert self._made is not None
        ready = [part for part in self._parts if part.stop + beyond <= fed or (beyond == 0 and part.first < fed)]
        if ready:
            with ThreadPoolExecutor(WORKERS) as pool:
                for part, (at, values) in zip(ready, pool.map(self._repair, ready), strict=True):
                    self._made[part.channel, at] = values
                    self._repaired += len(at)
            self._parts = [part for part in self._parts if part not in set(ready)]
        until = fed if beyond == 0 else max(self._sent, min([fed, *(part.first for part in self._parts)]))
        out = self._made[:, self._sent - self._start : until - self._start]
        self._peak = max(self._peak, float(np.abs(out).max(initial=0.0)))
        self._sent = until
        forget = max(0, until - self.window - self._start)
        self._held, self._made = self._held[:, forget:], self._made[:, forget:]
        self._start += forget
        return np.ascontiguousarray(out if self.settings.headroom_db == 0.0 else out * out.dtype.type(self.gain))

    def _repair(self, part: _Part) -> tuple[NDArray[np.int64], Samples]:
        """Places in what is held, and what belongs there."""
        assert self._held is not None
        offset = max(self._start, part.first - self.window)
        seen = self._held[part.channel, offset - self._start : part.stop + self.window - self._start]
        above, below = self.bounds[part.channel]
        high, low = seen >= above, seen <= below
        cut = high | low
        inside = np.zeros(len(seen), bool)
        inside[part.first - offset : part.stop - offset] = True
        places = np.flatnonzero(cut & inside)
        if not len(places) or cut[inside].mean() > MOST_UNKNOWN:
            return np.empty(0, np.int64), np.empty(0, seen.dtype)
        scale = np.mean([abs(bound) for bound in (above, below) if math.isfinite(bound)])
        known = (seen / scale).astype(np.float32)
        most = np.float32(max(MOST_RISE, float(np.abs(known).max())))
        found = sparsest(
            np.where(low, -most, known),
            np.where(high, most, known),
            window_samples=self.window,
            steps=self.settings.steps,
        )
        was = seen[places]
        risen = np.sign(was) * np.maximum(np.abs(found[places] * scale), np.abs(was))
        return places + (offset - self._start), (was + self.settings.amount * (risen - was)).astype(seen.dtype)


def _bound(settings: Declip, channel: int, polarity: Polarity) -> float:
    """The signed value from which on samples are cut off or bent; infinite where none are."""
    levels = [each.level_dbfs for each in settings.levels if (each.channel, each.polarity) == (channel, polarity)]
    sign = 1.0 if polarity == "high" else -1.0
    if not levels:
        return sign * math.inf
    return sign * float(gain_from_db(min(levels) - settings.knee_db)) * (1.0 - 1e-9)


EXAMPLES = (
    Declip(
        levels=(ClipLevel(level_dbfs=-6.0), ClipLevel(level_dbfs=-7.0, polarity="low", channel=1)),
        sections=(Event(start_s=0.05, length_s=0.1), Event(start_s=0.06, length_s=0.1, channel=1)),
        knee_db=1.0,
        steps=10,
    ),
    Declip(
        levels=(ClipLevel(level_dbfs=-3.0), ClipLevel(level_dbfs=-3.0, polarity="low")),
        sections=(Event(start_s=0.0, length_s=1.0),),
        steps=5,
        amount=0.7,
        headroom_db=3.0,
    ),
)
