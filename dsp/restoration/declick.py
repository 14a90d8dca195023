"""Declick: clicks and crackle found by the prediction error they leave, and filled in from the sound around them.

A click is what a linear predictor of the surroundings cannot foresee, for at most a few milliseconds. Music has such
sounds as well; trees learned from it tell them apart by what is around them, and by whether the sound goes on, once
they are filled in, as if they had not been. What recurs at exactly equal distances (the edges of a square wave, a
loop's ticks) is the music's own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate, layout_of
from dsp.effect import Processor, Settings
from dsp.errors import AudioError
from dsp.kernels import ClickScreen
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
    scale_of,
    spans_of,
)
from dsp.restoration.clicktrees import shipped
from dsp.restoration.events import Event, event
from dsp.units import db_from_gain

LONGEST_MS = 5.0
DITHER_DB = -50.0
MOST_KEPT = 65_536
"""Candidates, the clearest; of more than that there is no telling."""


class Declick(Settings, frozen=True, kw_only=True):
    """Clicks replaced by what the sound around them predicts."""

    title: ClassVar[str] = "clicks and crackle"
    repairs: ClassVar[bool] = True

    clicks: tuple[Event, ...] = ()
    amount: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0

    def is_neutral(self) -> bool:
        return not self.clicks or self.amount == 0.0

    def scaled(self, amount: float) -> Declick:
        return Declick(clicks=self.clicks, amount=self.amount * amount)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return Declicker(self, sample_rate_hz, channels)


class Declicker(SpanRepairer):
    """Least-squares interpolation (Janssen) of clicks by a model of 46 ms on either side."""

    CONTEXT, ORDER, JOINED = 2048, 768, 128  # samples at 44.1 or 48 kHz
    SWEEPS = 3

    def __init__(self, settings: Declick, sample_rate_hz: int, channels: int) -> None:
        scale = scale_of(sample_rate_hz)
        longest = round(LONGEST_MS * 2e-3 * sample_rate_hz)
        spans = spans_of(settings.clicks, sample_rate_hz, channels, longest=longest, apart=4)
        context = self.CONTEXT * scale
        clusters = clusters_of(spans, joined=self.JOINED * scale, longest=context)
        super().__init__(clusters, context=context, amount=settings.amount)
        self.order = self.ORDER * scale
        self.spans = spans
        self.expected_db: list[float] = []

    def filled(self, window: Plane, cluster: Cluster, start: int) -> list[Plane]:
        plane = window[cluster.channel]
        damaged = near(self.spans[cluster.channel], start, start + len(plane))
        model = self._model(plane, damaged)
        # What is damaged just behind the cluster is unknown as well, though it is written later.
        first, stop = cluster.first - start, cluster.stop - start + model.order
        spans = [span for span in damaged if first <= span[0] < stop]
        found, errors = filled_together(plane, spans, model)
        count = len(cluster.spans)
        self.expected_db += [
            expected_snr_db(new, error) for new, error in zip(found[:count], errors[:count], strict=True)
        ]
        return found[:count]

    def _model(self, plane: Plane, damaged: list[Span]) -> Model:
        """The model of what is whole; where that is in pieces, of the whole filled by a lesser model first."""
        whole = [plane[first:stop] for first, stop in known(len(plane), damaged)]
        if sum(max(0, len(piece) - self.order) for piece in whole) >= 2 * self.order:
            return fitted(whole, self.order, dither_db=DITHER_DB)
        filled = plane.copy()
        found, _ = filled_together(plane, damaged, fitted(whole, self.order // 8))
        for (first, stop), new in zip(damaged, found, strict=True):
            filled[first:stop] = new
        return fitted([filled], self.order, dither_db=DITHER_DB)

    def measured(self) -> dict[str, Any]:
        if not self.expected_db:
            return {}
        return {"declick": {"clicks": len(self.expected_db), "expected_snr_db": float(np.median(self.expected_db))}}


@dataclass(frozen=True)
class Thresholds:
    """What it takes to be believed.

    screened: how far a stretch must stand above its surroundings, as a ratio, for the first look to become a close one;
    at 0 every look is one. few: clicks expected among `WHOLE` sounds before anything was heard. least: logarithm of the
    odds that a candidate is a click.
    """

    screened: float
    few: float
    least: float


AUTO, STRONG = Thresholds(screened=8.0, few=0.02, least=0.2), Thresholds(screened=0.0, few=2.0, least=-2.0)
KEPT = 3.0
"""Prominence of a candidate, as a ratio."""
JOINED = 32

WHOLE, ROUNDS = 20.0, 60
"""Sounds that what is expected beforehand weighs as much as; rounds until the share of clicks settles."""

EDGE_S = 0.01
"""What begins or ends a file is no click."""

EXACT_S, BEAT_S, ALIKE, NEIGHBOURS = 0.0005, 0.7, 1.5, 4
"""Distances of a programmed rhythm agree so well; they stay below a turn of a record (0.77 s)."""

Found = NDArray[np.float64]
"""Candidates, (n, 6): first, stop, channel, prominence as a ratio, peak of what would be removed, and evidence: the
logarithm of how many times likelier its signs are of a click than of music."""


@dataclass(frozen=True)
class ClickReport:
    """What was found in one stream: the clicks, in order, and how far each stands above the sound around it."""

    clicks: tuple[Event, ...]
    prominence_db: tuple[float, ...]
    minutes: float

    @property
    def per_minute(self) -> float:
        """Clicks of all channels in a minute."""
        return len(self.clicks) / self.minutes if self.minutes else 0.0

    def settings(self) -> Declick | None:
        """The repair; None where nothing is damaged."""
        return Declick(clicks=self.clicks) if self.clicks else None


class ClickDetector:
    """Clicks of one stream of (channels, samples) blocks, the same whatever the blocks.

    strong: find fainter clicks, at the risk of taking some of the music for them. closely: look closely everywhere,
    which takes ten times as long; a first look finds most clear clicks, enough to tell whether there are any.
    Raises AudioError on a rate or a channel count that no sound has.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, *, strong: bool = False, closely: bool = False
    ) -> None:
        layout_of(channels)
        self.sample_rate_hz = check_rate(sample_rate_hz)
        self.channels = channels
        self.thresholds = STRONG if strong else AUTO
        self.length_samples = 0
        self._screen = ClickScreen(
            channels,
            scale_of(sample_rate_hz),
            kept=KEPT,
            screened=0.0 if closely else self.thresholds.screened,
            **shipped().for_kernel(),
        )
        self._found = np.zeros((0, 6))

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self.length_samples += block.shape[1]
        self._screen.process(np.ascontiguousarray(block))
        self._gather()

    def result(self) -> ClickReport:
        """What was found; the stream has ended."""
        self._screen.finish()
        self._gather()
        minutes = self.length_samples / self.sample_rate_hz / 60.0
        edge = EDGE_S * self.sample_rate_hz
        found = self._found
        found = found[(found[:, 0] > edge) & (found[:, 1] < self.length_samples - edge)]
        found = found[np.lexsort((found[:, 2], found[:, 0]))]
        found = believed(found, self.thresholds, self.sample_rate_hz)
        found = joined(found, JOINED * scale_of(self.sample_rate_hz))
        return ClickReport(
            clicks=tuple(event(int(f), int(s), int(c), self.sample_rate_hz) for f, s, c in found[:, :3]),
            prominence_db=tuple(float(db) for db in db_from_gain(found[:, 3])),
            minutes=minutes,
        )

    def _gather(self) -> None:
        new = [row[:6] for row in self._screen.take()]
        if new:
            self._found = np.concatenate([self._found, np.array(new)])
        if len(self._found) > MOST_KEPT:
            self._found = self._found[np.argsort(-self._found[:, 5], kind="stable")[:MOST_KEPT]]


def find_clicks(
    blocks: Callable[[], Iterable[Samples]], sample_rate_hz: int, channels: int, *, strong: bool = False
) -> ClickReport:
    """The clicks of a stream that `blocks` begins anew: of a first look, or of a close one where that finds any."""
    report = _look(blocks(), ClickDetector(sample_rate_hz, channels, strong=strong))
    return report if strong or not report.clicks else look_closely(blocks(), sample_rate_hz, channels)


def look_closely(blocks: Iterable[Samples], sample_rate_hz: int, channels: int) -> ClickReport:
    """The clicks of a stream that has some: unless `strong`, the first look sees only the clearest."""
    return _look(blocks, ClickDetector(sample_rate_hz, channels, closely=True))


def _look(blocks: Iterable[Samples], detector: ClickDetector) -> ClickReport:
    for block in blocks:
        detector.update(block)
    return detector.result()


def believed(found: Found, thresholds: Thresholds, sample_rate_hz: int) -> Found:
    """Those of the candidates, in order of time, whose odds of being a click are high enough.

    Where many are likely, the others are likelier too: their share is the one that makes all of them likeliest
    together (expectation and maximisation).
    """
    evidence = np.where(recurrent(found, sample_rate_hz), -np.inf, found[:, 5])
    odds = np.log(thresholds.few / WHOLE)
    for _ in range(ROUNDS):
        clicks = (1.0 / (1.0 + np.exp(-np.clip(evidence + odds, -500.0, 500.0)))).sum() + thresholds.few
        odds = np.log(clicks / (len(found) + WHOLE - clicks))
    return found[evidence + odds > thresholds.least]


def joined(found: Found, apart: int) -> Found:
    """Candidates of one channel with less than `apart` samples between them as one: a click's beginning and its end."""
    kept: list[NDArray[np.float64]] = []
    latest: dict[float, int] = {}
    for row in found:
        at = latest.get(row[2])
        if at is not None and row[0] - kept[at][1] < apart:
            kept[at][1] = max(kept[at][1], row[1])
            kept[at][3:] = np.maximum(kept[at][3:], row[3:])
        else:
            latest[row[2]] = len(kept)
            kept.append(row.copy())
    return np.array(kept).reshape(-1, 6)


def recurrent(found: Found, sample_rate_hz: int) -> NDArray[np.bool_]:
    """Which candidates are one of three at equal distances and of much the same size: a tone's, or a rhythm's."""
    marked = np.zeros(len(found), dtype=bool)
    for channel in np.unique(found[:, 2]):
        own = np.flatnonzero(found[:, 2] == channel)
        for apart in range(1, NEIGHBOURS + 1):
            if len(own) <= 2 * apart:
                break
            three = np.stack([own[: -2 * apart], own[apart:-apart], own[2 * apart :]])
            distances_s = np.diff(found[three, 0], axis=0) / sample_rate_hz
            sizes = found[three, 4]
            alike = sizes.max(axis=0) <= ALIKE * sizes.min(axis=0)
            even = np.abs(distances_s[1] - distances_s[0]) <= EXACT_S
            marked[three[:, alike & even & (distances_s[0] <= BEAT_S)]] = True
    return marked


EXAMPLES = (
    Declick(clicks=(Event(start_s=0.05, length_s=0.001), Event(start_s=0.0512, length_s=0.0004))),
    Declick(clicks=(Event(start_s=0.2, length_s=0.004, channel=1),), amount=0.5),
)
