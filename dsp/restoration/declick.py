"""Declick: clicks and crackle found by the prediction error they leave, and filled in from the sound around them.

A click is what a linear predictor of the surroundings cannot foresee, for at most a few milliseconds, and nothing else:
the error is back at its usual level right after it. A drum's is not. What recurs at equal distances within a tenth of a
second (the edges of a square wave, a loop's ticks) is the music's own.
"""

from __future__ import annotations

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
from dsp.restoration.events import Event, event
from dsp.units import db_from_gain, gain_from_db

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
    """How far above its surroundings' usual largest error a click must stand, as a ratio.

    lone: where there are few; common: where `common_per_minute`, and at least `fewest`, stand above `sure`.
    screened: what makes the first, coarse look go on to a close one.
    """

    lone: float
    common: float
    sure: float
    common_per_minute: float
    fewest: int
    screened: float


AUTO = Thresholds(lone=80.0, common=4.0, sure=20.0, common_per_minute=20.0, fewest=5, screened=16.0)
STRONG = Thresholds(lone=8.0, common=3.0, sure=8.0, common_per_minute=5.0, fewest=3, screened=5.0)
SUSPECTING, SEGMENT, JOINED = 1.2, 4096, 32
SHORT_S, LONG_FACTOR, LONE_LONG_FACTOR = 0.0012, 6.0, 4.0
"""Longer clicks must stand out by so much more, since drums last; and where they are few, once more."""

CLICKS_RANGE_DB, STEP_DB, TOO_MANY = 20.0, 3.0, 2.0
"""Clear clicks spread over so much; a step further down may hold so many times as many as a step of them."""

EDGE_S = 0.01
"""What begins or ends a file is no click."""

PLAYED_S, EXACT_S, BEAT_S, ALIKE, NEIGHBOURS = 0.004, 0.0005, 0.7, 1.5, 4
"""Distances of a rhythm, played or programmed, agree so well; they stay below a turn of a record (0.77 s)."""

Found = NDArray[np.float64]
"""Candidates, (n, 5): first, stop, channel, prominence as a ratio, peak of what would be removed."""


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

    strong: find fainter clicks, at the risk of taking some of the music for them.
    Raises AudioError on a rate or a channel count that no sound has.
    """

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        layout_of(channels)
        self.sample_rate_hz = check_rate(sample_rate_hz)
        self.channels = channels
        self.thresholds = STRONG if strong else AUTO
        self.length_samples = 0
        scale, limits = scale_of(sample_rate_hz), self.thresholds
        self._screen = ClickScreen(
            channels,
            scale,
            kept=limits.common,
            screened=limits.screened,
            suspecting=SUSPECTING,
            sure=limits.sure,
            fewest=limits.fewest,
            sure_per_segment=limits.common_per_minute / 60.0 * SEGMENT * scale / sample_rate_hz,
        )
        self._found = np.zeros((0, 5))

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
        found = accepted(found, self.thresholds, minutes, self.sample_rate_hz)
        found = joined(found, JOINED * scale_of(self.sample_rate_hz))
        return ClickReport(
            clicks=tuple(event(int(f), int(s), int(c), self.sample_rate_hz) for f, s, c in found[:, :3]),
            prominence_db=tuple(float(db) for db in db_from_gain(found[:, 3])),
            minutes=minutes,
        )

    def _gather(self) -> None:
        new = self._screen.take()
        if new:
            self._found = np.concatenate([self._found, np.array(new)])
        if len(self._found) > MOST_KEPT:
            self._found = self._found[np.argsort(-self._found[:, 3], kind="stable")[:MOST_KEPT]]


def accepted(found: Found, thresholds: Thresholds, minutes: float, sample_rate_hz: int) -> Found:
    """Those of the candidates, in order of time, that are damage.

    One alone must stand far out; where many do, fainter ones are believed as well.
    """
    long = found[:, 1] - found[:, 0] > SHORT_S * sample_rate_hz
    prominence = found[:, 3] / np.where(long, LONG_FACTOR, 1.0)
    alone = np.where(recurrent(found, sample_rate_hz, even_s=PLAYED_S), 0.0, prominence)
    many = max(thresholds.common_per_minute * minutes, thresholds.fewest)
    if np.count_nonzero(alone > thresholds.sure) < many:
        return found[alone > np.where(long, LONE_LONG_FACTOR, 1.0) * thresholds.lone]
    prominence[recurrent(found, sample_rate_hz, even_s=EXACT_S)] = 0.0
    return found[prominence > where_music_begins(prominence, thresholds)]


def where_music_begins(prominence: NDArray[np.float64], thresholds: Thresholds) -> float:
    """How far a click must stand out where there are many: as little as clicks alone explain, at least `common`.

    Clicks are of all sizes, what the music has of the kind is the more the fainter. So from `sure` downwards in steps,
    the first that holds too many for the clicks above it is the music's.
    """
    level_db = db_from_gain(prominence)
    sure_db, lowest_db = (float(db_from_gain(ratio)) for ratio in (thresholds.sure, thresholds.common))
    expected = np.count_nonzero(level_db > sure_db) / CLICKS_RANGE_DB * STEP_DB
    stop_db = sure_db
    while stop_db > lowest_db:
        below_db = max(stop_db - STEP_DB, lowest_db)
        if np.count_nonzero((level_db > below_db) & (level_db <= stop_db)) > TOO_MANY * expected + 1.0:
            break
        stop_db = below_db
    return float(gain_from_db(stop_db))


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
    return np.array(kept).reshape(-1, 5)


def recurrent(found: Found, sample_rate_hz: int, *, even_s: float) -> NDArray[np.bool_]:
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
            even = np.abs(distances_s[1] - distances_s[0]) <= even_s
            marked[three[:, alike & even & (distances_s[0] <= BEAT_S)]] = True
    return marked


EXAMPLES = (
    Declick(clicks=(Event(start_s=0.05, length_s=0.001), Event(start_s=0.0512, length_s=0.0004))),
    Declick(clicks=(Event(start_s=0.2, length_s=0.004, channel=1),), amount=0.5),
)
