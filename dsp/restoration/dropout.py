"""Dropout: short gaps (held or zero samples, a buffer played twice) found, and filled in from both sides.

Up to 30 ms are filled with the mean of what several models of the surroundings expect. The longer a gap, the less can
be foreseen and the quieter that mean, so beyond 30 ms what is unforeseeable just before the gap is lent to it. Gaps of
more than 80 ms are told, not filled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate, layout_of
from dsp.effect import Processor, Settings
from dsp.errors import AudioError
from dsp.restoration.autoregression import (
    Cluster,
    Model,
    Plane,
    Span,
    SpanRepairer,
    clusters_of,
    expected_snr_db,
    filled_together,
    fitted,
    known,
    near,
    prediction_error,
    scale_of,
    spans_of,
)
from dsp.restoration.events import Event, event
from dsp.units import db_from_power

SHORTEST_MS, FORESEEN_MS, LONGEST_MS = 0.5, 30.0, 80.0
POOR_DB = 6.0
"""Expected signal-to-noise ratio below which a repair is likely to be heard."""

MODELS = ((1000, 4096), (2000, 8192), (1500, 4096), (3000, 16384))
"""Order and samples of either side that it is fitted to, at 44.1 or 48 kHz."""

MANY, FEWER_MODELS = 64, MODELS[:2]
"""With more gaps than that, each is given less time."""

DITHER_DB = -60.0


class Dropout(Settings, frozen=True, kw_only=True):
    """Gaps filled with what the sound on both sides predicts."""

    title: ClassVar[str] = "dropouts and short gaps"
    repairs: ClassVar[bool] = True

    gaps: tuple[Event, ...] = ()
    amount: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0

    def is_neutral(self) -> bool:
        return not self.gaps or self.amount == 0.0

    def scaled(self, amount: float) -> Dropout:
        return Dropout(gaps=self.gaps, amount=self.amount * amount)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return GapFiller(self, sample_rate_hz, channels)


class GapFiller(SpanRepairer):
    """Least-squares interpolation by several models (Janssen; Burg's models of unlike order and reach, averaged)."""

    def __init__(self, settings: Dropout, sample_rate_hz: int, channels: int) -> None:
        self.sample_rate_hz = sample_rate_hz
        self.scale = scale_of(sample_rate_hz)
        longest = round(LONGEST_MS * 1e-3 * sample_rate_hz)
        self.spans = spans_of(settings.gaps, sample_rate_hz, channels, longest=longest, apart=8)
        self.models = MODELS if len(settings.gaps) <= MANY else FEWER_MODELS
        context = max(reach for _, reach in self.models) * self.scale
        clusters = clusters_of(self.spans, joined=64 * self.scale, longest=longest)
        super().__init__(clusters, context=context, amount=settings.amount)
        self.filled_gaps: list[dict[str, float]] = []

    def filled(self, window: Plane, cluster: Cluster, start: int) -> list[Plane]:
        plane = window[cluster.channel]
        damaged = near(self.spans[cluster.channel], start, start + len(plane))
        first, stop = cluster.first - start, cluster.stop - start
        count = len(cluster.spans)
        answers = []
        for order, reach in self.models:
            left, right = max(0, first - reach * self.scale), min(len(plane), stop + reach * self.scale)
            piece = plane[left:right]
            holes = [(max(a - left, 0), min(b - left, len(piece))) for a, b in damaged if a < right and b > left]
            model = self._model(piece, holes, order * self.scale)
            if model is None:
                continue
            within = [span for span in holes if first - left <= span[0] < stop - left + model.order]
            found, errors = filled_together(piece, within, model)
            long = stop - first > FORESEEN_MS * 1e-3 * self.sample_rate_hz
            rest = unforeseen(piece, within[:count], model) if long else [np.zeros(len(new)) for new in found[:count]]
            answers.append((found[:count], errors[:count], rest))
        if not answers:
            return [plane[a - start : b - start] for a, b in cluster.spans]
        return [self._joined([(f[n], e[n], r[n]) for f, e, r in answers], cluster, n) for n in range(count)]

    def _model(self, piece: Plane, holes: list[Span], order: int) -> Model | None:
        """The model of what is whole of a piece, under a trace of noise that keeps band-limited sound tractable."""
        whole = [piece[first:stop] for first, stop in known(len(piece), holes)]
        length = sum(len(part) for part in whole)
        power = sum(float(np.dot(part, part)) for part in whole)
        order = min(order, length // 3)
        if order < 1 or power <= 0.0:
            return None
        return fitted(whole, order, dither_db=DITHER_DB)

    def _joined(self, answers: list[tuple[Plane, float, Plane]], cluster: Cluster, n: int) -> Plane:
        # Each by how sure it is; in the mean the models' own mistakes, which differ, partly cancel.
        weights = np.array([1.0 / (error + 1e-20) for _, error, _ in answers])
        weights /= weights.sum()
        new: Plane = weights @ np.stack([found for found, _, _ in answers])
        error = float(weights @ np.array([error for _, error, _ in answers]))
        first, stop = cluster.spans[n]
        self.filled_gaps.append(
            {
                "start_s": first / self.sample_rate_hz,
                "length_ms": 1e3 * (stop - first) / self.sample_rate_hz,
                "channel": cluster.channel,
                "expected_snr_db": expected_snr_db(new, error),
            }
        )
        rest = answers[int(np.argmax(weights))][2]  # of one, since those of several would cancel
        whole: Plane = new + rest
        return whole

    def measured(self) -> dict[str, Any]:
        return {"dropout": {"gaps": self.filled_gaps}} if self.filled_gaps else {}


def unforeseen(piece: Plane, spans: list[Span], model: Model) -> list[Plane]:
    """What the model misses of the sound just before the first of `spans`, over as many samples as each has.

    Added to an interpolation it restores the energy without a seam, for it fades towards both ends as the error does.
    """
    found = []
    for first, stop in spans:
        length = stop - first
        end = spans[0][0] - model.order
        if end - length < 0:
            found.append(np.zeros(length))
            continue
        before = piece[: spans[0][0]]
        guess, _ = filled_together(before, [(end - length, end)], model)
        found.append(before[end - length : end] - guess[0])
    return found


Kind = Literal["silence", "held", "repeated"]


@dataclass(frozen=True)
class Gap:
    """One gap: where, of what kind, and how unlike the sounds on its two sides are."""

    event: Event
    kind: Kind
    unlike_db: float


@dataclass(frozen=True)
class DropoutReport:
    """What was found in one stream; `long` gaps are told, since nobody knows what was in them."""

    gaps: tuple[Gap, ...]
    long: tuple[Gap, ...]

    def settings(self) -> Dropout | None:
        """The repair; None where there is nothing to fill."""
        return Dropout(gaps=tuple(gap.event for gap in self.gaps)) if self.gaps else None


@dataclass(frozen=True)
class Limits:
    """What a gap's surroundings must be like: how unlike its sides may be, and how many gaps a second may have."""

    unlike_db: float
    fall_db: float
    per_second: float


AUTO = Limits(unlike_db=6.0, fall_db=12.0, per_second=4.0)
STRONG = Limits(unlike_db=15.0, fall_db=24.0, per_second=12.0)
QUIETEST_DBFS = -60.0
ALIKE_ORDER = 400
"""Of the models of either side: enough to tell one note from the next."""

LAGS = tuple(sorted({*(2**k for k in range(6, 13)), *(441 * k for k in (1, 2, 4)), *(480 * k for k in (1, 2, 4))}))
"""Samples of the buffers that are played twice: powers of two, and 10, 20 and 40 ms."""

MOST_KEPT = 4096

HELD = 8
"""Frames: when they are full the last two become the first."""


class DropoutDetector:
    """Gaps of one stream of (channels, samples) blocks, the same whatever the blocks.

    strong: also where the sound changes across the gap, or many gaps follow each other.
    Raises AudioError on a rate or a channel count that no sound has.
    """

    FRAME = 65_536  # samples at 44.1 or 48 kHz

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        layout_of(channels)
        self.sample_rate_hz = check_rate(sample_rate_hz)
        self.channels = channels
        self.limits = STRONG if strong else AUTO
        self.scale = scale_of(sample_rate_hz)
        self.frame = self.FRAME * self.scale
        self.shortest = max(4, round(SHORTEST_MS * 1e-3 * sample_rate_hz))
        self.longest = round(LONGEST_MS * 1e-3 * sample_rate_hz)
        self._held: Samples | None = None  # from two frames before the one that is not yet whole
        self._stop = 0  # of what is held
        self._frames = 0
        self._found: list[Gap] = []

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        if self._held is None:  # silence came before
            self._held = np.zeros((self.channels, HELD * self.frame), dtype=block.dtype)
            self._stop = 2 * self.frame
        start = 0
        while start < block.shape[1]:
            count = min(block.shape[1] - start, self.frame - self._stop % self.frame)
            self._held[:, self._stop : self._stop + count] = block[:, start : start + count]
            self._stop += count
            start += count
            if self._stop % self.frame == 0:
                self._look(self._held[:, self._stop - 3 * self.frame : self._stop])
                if self._stop == HELD * self.frame:
                    self._held[:, : 2 * self.frame] = self._held[:, -2 * self.frame :]
                    self._stop = 2 * self.frame

    def result(self) -> DropoutReport:
        """What was found; the stream has ended."""
        if self._held is not None:
            self.update(np.zeros((self.channels, 2 * self.frame), dtype=self._held.dtype))
        gaps = self._sparse(sorted(self._found, key=lambda gap: (gap.event.start_s, gap.event.channel)))
        longest_s = LONGEST_MS * 1e-3
        return DropoutReport(
            gaps=tuple(gap for gap in gaps if gap.event.length_s <= longest_s),
            long=tuple(gap for gap in gaps if gap.event.length_s > longest_s),
        )

    def _sparse(self, gaps: list[Gap]) -> list[Gap]:
        """Gaps that come too thick, or in step, are the music's own."""
        kept = []
        for channel in range(self.channels):
            own = [gap for gap in gaps if gap.event.channel == channel]
            starts = np.array([gap.event.start_s for gap in own])
            for n, gap in enumerate(own):
                near_by = np.count_nonzero(np.abs(starts - starts[n]) < 0.5)
                if near_by <= max(2.0, self.limits.per_second) and not in_step(starts, n):
                    kept.append(gap)
        return sorted(kept, key=lambda gap: (gap.event.start_s, gap.event.channel))

    def _look(self, three: Samples) -> None:
        origin = (self._frames - 2) * self.frame
        self._frames += 1
        if len(self._found) >= MOST_KEPT:
            return
        lags = self._repeating(three)
        for channel, plane in enumerate(three):
            for kind, first, stop in (*self._flat(plane), *self._repeated(plane, lags)):
                if origin + first < 0:
                    continue
                unlike_db = self._judged(plane, first, stop, kind)
                if unlike_db is not None and unlike_db <= self.limits.unlike_db:
                    where = event(origin + first, origin + stop, channel, self.sample_rate_hz)
                    self._found.append(Gap(event=where, kind=kind, unlike_db=unlike_db))

    def _flat(self, plane: Samples) -> Iterator[tuple[Kind, int, int]]:
        """Runs of equal samples that begin in the middle frame."""
        frame = self.frame
        step = (self.shortest - 1) // 2  # a run covers two such sites in a row
        sites = slice(frame, 2 * frame + self.shortest, step), slice(frame + 1, 2 * frame + self.shortest + 1, step)
        equal = plane[sites[0]] == plane[sites[1]]
        if not (equal[1:] & equal[:-1]).any():
            return
        for first, stop in runs(plane[1:] == plane[:-1], self.shortest - 1):
            if frame <= first < 2 * frame and stop - first < frame:
                yield ("silence" if plane[first] == 0.0 else "held"), first, stop + 1

    def _repeating(self, three: Samples) -> list[int]:
        """The lags at which any sample looked at is the same in some channel: mostly none."""
        frame, found = self.frame, []
        for lag in LAGS:
            step = lag // 2
            if (three[:, frame : 2 * frame + lag : step] == three[:, frame - lag : 2 * frame : step]).any():
                found.append(lag)
        return found

    def _repeated(self, plane: Samples, lags: list[int]) -> Iterator[tuple[Kind, int, int]]:
        """Buffers that begin in the middle frame and are a copy of the one before."""
        frame = self.frame
        for lag in lags:
            step = lag // 2
            sites = plane[frame : 2 * frame + lag : step] == plane[frame - lag : 2 * frame : step]
            same = frame + step * np.flatnonzero(sites)
            same = same[plane[same + 1] == plane[same + 1 - lag]]
            if len(same) == 0:
                continue
            left, right = max(lag, int(same[0]) - self.longest), min(len(plane), int(same[-1]) + self.longest)
            equal = plane[left:right] == plane[left - lag : right - lag]
            for start, end in runs(equal, int(0.9 * lag)):
                first, stop = left + start, left + end
                if frame <= first < 2 * frame and 0.9 * lag <= stop - first <= min(4 * lag, self.longest):
                    yield "repeated", first, stop

    def _judged(self, plane: Samples, first: int, stop: int, kind: Kind) -> float | None:
        """How unlike the sounds before and after a gap are, re how each changes by itself; None where it is no gap."""
        reach, beside = 4096 * self.scale, max(8, self.sample_rate_hz // 1000)
        left = plane[max(0, first - reach) : first].astype(np.float64)
        right = plane[stop : stop + reach].astype(np.float64)
        if min(len(left), len(right)) < reach:
            return None
        for side in (left[::-1], right):
            level_db, close_db = power_db(side[: 10 * beside]), power_db(side[:beside])
            if level_db < QUIETEST_DBFS or close_db < level_db - self.limits.fall_db:
                return None
            if kind != "repeated" and np.mean(side[1:] == side[:-1]) > 0.02:
                return None
        if kind == "held" and abs(plane[first]) > 0.9 * max(np.abs(left).max(), np.abs(right).max()):
            return None
        if kind == "repeated" and np.ptp(plane[first:stop]) == 0.0:
            return None
        half = reach // 2
        near_left, near_right, far_left, far_right = left[-half:], right[:half], left[:-half], right[half:]
        across = predicted(near_right, by=near_left) * predicted(near_left, by=near_right)
        own = predicted(near_left, by=far_left) * predicted(near_right, by=far_right)
        return float(db_from_power(across / own)) / 2.0 if own > 0.0 else None


def predicted(samples: Plane, *, by: Plane) -> float:
    """The mean squared error that a model of one stretch makes in another."""
    return prediction_error(samples, fitted([by], min(ALIKE_ORDER, len(by) // 4), dither_db=DITHER_DB))


def power_db(samples: Plane) -> float:
    """Mean power re full scale."""
    return float(db_from_power(float(np.mean(samples**2))))


def in_step(starts: NDArray[np.float64], n: int) -> bool:
    """Whether gap n is one of three at equal distances, as a rhythm's rests are."""
    for apart in (1, 2):
        for before, after in ((n - apart, n + apart), (n - 2 * apart, n - apart), (n + apart, n + 2 * apart)):
            members = sorted((before, n, after))
            if members[0] >= 0 and members[2] < len(starts):
                a, b, c = starts[members]
                if abs((c - b) - (b - a)) <= 0.001 and c - b <= 1.0:
                    return True
    return False


def runs(mask: NDArray[np.bool_], shortest: int) -> list[Span]:
    """First and stop of the stretches of at least `shortest` true members."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.view(np.int8), [0]])))
    found = zip(edges[::2], edges[1::2], strict=True)
    return [(int(first), int(stop)) for first, stop in found if stop - first >= shortest]


EXAMPLES = (
    Dropout(gaps=(Event(start_s=0.04, length_s=0.004), Event(start_s=0.045, length_s=0.002))),
    Dropout(gaps=(Event(start_s=0.16, length_s=0.04, channel=1),), amount=0.5),
)
