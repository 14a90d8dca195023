"""Autoregression: spans of a stream filled with what a linear model of their surroundings expects.

A model of order p predicts each sample from the p before it. Burg's method fits it to the whole stretches around the
damage; the missing samples are those that make the model's squared errors least (Janssen, Veldhuis & Vries 1986),
found exactly from a Toeplitz system. The system also tells how far from the truth the model expects to be.
"""

from __future__ import annotations

from abc import abstractmethod
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.effect import Processor
from dsp.kernels import burg, fill_gap
from dsp.restoration.events import Event
from dsp.units import db_from_power, gain_from_db

Plane = NDArray[np.float64]
Span = tuple[int, int]
"""First sample and the one after the last."""


@dataclass(frozen=True)
class Model:
    """A predictor: `coefficients` (1, a1 ... ap) of the error filter and the mean squared error to expect of it."""

    coefficients: Plane
    error: float

    @property
    def order(self) -> int:
        """How many samples a prediction rests on."""
        return len(self.coefficients) - 1


def fitted(stretches: Sequence[Plane], order: int, *, dither_db: float | None = None) -> Model:
    """The model of the stretches together, float64 (samples,) each, by Burg's method; nothing is windowed.

    Stretches no longer than `order` say what they can. dither_db: noise put under them, re their power; it keeps what
    is filled in from band-limited sound from resting on digits that are not there.
    Source: Burg 1975, summed over segments as de Waele & Broersen 2000.
    """
    pieces = [np.ascontiguousarray(s) for s in stretches if len(s)]
    if dither_db is not None and pieces:
        length = sum(len(piece) for piece in pieces)
        level = np.sqrt(sum(float(np.dot(piece, piece)) for piece in pieces) / length) * gain_from_db(dither_db)
        noise = np.random.default_rng(0).standard_normal(length) * level
        cuts = np.cumsum([len(piece) for piece in pieces])[:-1]
        pieces = [piece + own for piece, own in zip(pieces, np.split(noise, cuts), strict=True)]
    coefficients, error = burg(pieces, order)
    # What the fit leaves is less than what a prediction will: Akaike's final prediction error (1969).
    share = min(0.5, order / max(1, sum(len(piece) for piece in pieces)))
    return Model(coefficients, error * (1.0 + share) / (1.0 - share))


def fill(window: Plane, span: Span, model: Model) -> float:
    """Write what `model` expects into `span` of `window`, float64 (samples,); the mean squared error it expects there.

    At least `model.order` samples are wanted on both sides.
    """
    return float(model.error * fill_gap(window, *span, model.coefficients))


def known(length: int, spans: Iterable[Span]) -> list[Span]:
    """What `spans`, in order, leave of `length` samples."""
    found, start = [], 0
    for first, stop in spans:
        if first > start:
            found.append((start, first))
        start = max(start, stop)
    return [*found, (start, length)] if start < length else found


def spans_of(
    events: Iterable[Event], sample_rate_hz: int, channels: int, *, longest: int, apart: int
) -> list[list[Span]]:
    """Spans of every channel in order, those less than `apart` samples from each other as one.

    Longer ones than `longest` are left out, for there is no telling what was in them; so are those of channels that
    the stream does not have.
    """
    found: list[list[Span]] = [[] for _ in range(channels)]
    for first, stop, channel in sorted((*e.span_samples(sample_rate_hz), e.channel) for e in events):
        if channel >= channels:
            continue
        spans = found[channel]
        if spans and first < spans[-1][1] + apart:
            spans[-1] = (spans[-1][0], max(stop, spans[-1][1]))
        else:
            spans.append((first, stop))
    return [[span for span in spans if span[1] - span[0] <= longest] for spans in found]


def scale_of(sample_rate_hz: int) -> int:
    """How many times the samples of 44.1 or 48 kHz a stretch of time has."""
    return max(1, round(sample_rate_hz / 48_000))


def expected_snr_db(samples: Plane, error: float) -> float:
    """How much louder a filled span is than its expected mean squared error."""
    return float(db_from_power((float(np.mean(samples**2)) + error + 1e-20) / (error + 1e-20)))


def prediction_error(plane: Plane, model: Model) -> float:
    """The mean squared error of `model` over float64 (samples,)."""
    errors = np.convolve(plane, model.coefficients, "valid")
    return float(np.mean(errors**2)) if len(plane) > model.order else 0.0


def near(spans: list[Span], start: int, stop: int) -> list[Span]:
    """Those of `spans`, in order, that reach into samples `start` to `stop`, counted from `start`."""
    first = bisect_right(spans, start, key=lambda span: span[1])
    last = bisect_left(spans, stop, key=lambda span: span[0])
    return [(max(a - start, 0), min(b - start, stop - start)) for a, b in spans[first:last]]


def filled_together(
    plane: Plane, spans: Sequence[Span], model: Model, *, sweeps: int = 3
) -> tuple[list[Plane], list[float]]:
    """New samples of `spans` of `plane`, float64 (samples,), and the mean squared error expected in each.

    Spans nearer to each other than the model's order are filled in turn until they agree. Beyond either end of the
    plane there is silence.
    """
    order = model.order
    padded = np.pad(plane, order)
    moved = [(first + order, stop + order) for first, stop in spans]
    for first, stop in moved:
        padded[first:stop] = np.linspace(padded[first - 1], padded[stop], stop - first + 2)[1:-1]
    alone = all(b[0] - a[1] >= order for a, b in pairwise(moved))
    for _ in range(1 if alone else sweeps):
        errors = [fill(padded, span, model) for span in moved]
    return [padded[first:stop] for first, stop in moved], errors


@dataclass(frozen=True)
class Cluster:
    """Spans of one channel that are filled together."""

    channel: int
    spans: tuple[Span, ...]

    @property
    def first(self) -> int:
        """Its first sample."""
        return self.spans[0][0]

    @property
    def stop(self) -> int:
        """The sample after its last."""
        return self.spans[-1][1]


def clusters_of(spans: list[list[Span]], *, joined: int, longest: int) -> list[Cluster]:
    """All spans in order of time; those with less than `joined` samples between them together, up to `longest`."""
    found: list[Cluster] = []
    for channel, of_channel in enumerate(spans):
        run: list[Span] = []
        for span in of_channel:
            if run and (span[0] - run[-1][1] >= joined or span[1] - run[0][0] > longest):
                found.append(Cluster(channel, tuple(run)))
                run = []
            run.append(span)
        if run:
            found.append(Cluster(channel, tuple(run)))
    return sorted(found, key=lambda cluster: (cluster.first, cluster.channel))


class SpanRepairer(Processor):
    """Fills clusters of spans from `context` samples on either side; holds samples back only near a cluster.

    Subclasses say how in `filled`. All samples outside the spans are returned as they came.
    """

    def __init__(self, clusters: list[Cluster], *, context: int, amount: float) -> None:
        self.waiting = clusters[::-1]
        self.context = context
        self.amount = amount
        self.held: Samples | None = None
        self.start = 0  # of `held`, in samples of the stream
        self.emitted = 0

    @abstractmethod
    def filled(self, window: Plane, cluster: Cluster, start: int) -> list[Plane]:
        """New samples of each span; `window`, float64 (channels, samples), begins at sample `start` of the stream."""

    def process(self, block: Samples) -> Samples:
        self.held = block if self.held is None else np.concatenate([self.held, block], axis=1)
        return self._ready(final=False)

    def finish(self) -> Samples | None:
        return None if self.held is None else self._ready(final=True)

    def _ready(self, *, final: bool) -> Samples:
        held = self.held
        assert held is not None
        end = self.start + held.shape[1]
        due: list[Cluster] = []
        while self.waiting and self._is_due(self.waiting[-1], end, final):
            due.append(self.waiting.pop())
        if due:
            held = held.copy()
            for cluster in due:
                self._repair(held, cluster, end)
        ready = end if final or not self.waiting else min(end, max(self.emitted, self.waiting[-1].first))
        out = held[:, self.emitted - self.start : ready - self.start].copy()
        self.emitted = ready
        kept = max(self.start, ready - self.context) if self.waiting else ready
        self.held, self.start = held[:, kept - self.start :], kept
        return out

    def _is_due(self, cluster: Cluster, end: int, final: bool) -> bool:
        return cluster.first < end if final else cluster.stop + self.context <= end

    def _repair(self, held: Samples, cluster: Cluster, end: int) -> None:
        spans = tuple((first, min(stop, end)) for first, stop in cluster.spans if first < end)
        cluster = Cluster(cluster.channel, spans)
        left, right = max(self.start, cluster.first - self.context), min(end, cluster.stop + self.context)
        window = held[:, left - self.start : right - self.start].astype(np.float64)
        found = self.filled(window, cluster, left)
        for (first, stop), new in zip(spans, found, strict=True):
            place = held[cluster.channel, first - self.start : stop - self.start]
            place += (self.amount * (new - place)).astype(held.dtype)
