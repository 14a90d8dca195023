"""Limiter: no true peak above the ceiling, as little else as possible.

Two stages. The first shapes the sound: it looks ahead, goes down along a smooth slope that is in time for the peak,
holds long enough for the next crest of a low note (so a steady bass is turned down, not bent), and comes back at a pace
that depends on the programme: a lone transient is back within half a dB after a few tenths of a second, sustained
limiting settles on a slow average and does not pump. The second measures what the first has made, 16 times oversampled
wherever it can matter, and takes out the fractions of a dB that coarser measuring and moving gains leave. Where neither
is needed, samples pass untouched.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta

from dsp import kernels
from dsp.audio import Samples
from dsp.effect import Processor, Settings
from dsp.segments import Segments
from dsp.units import db_from_gain, gain_from_db

SEGMENT_S = 0.01
HEARD_DB = 0.1
"""Reductions below this do not count as limiting."""
_MARGIN_DB = 0.005


class Limiter(Settings, frozen=True, kw_only=True):
    """A ceiling for the true peak; channels are turned down together."""

    title: ClassVar[str] = "limiter"

    ceiling_dbtp: Annotated[float, Meta(ge=-60.0, le=0.0)] | None = None
    """None lets everything pass."""
    lookahead_ms: Annotated[float, Meta(ge=0.5, le=20.0)] = 4.0
    hold_ms: Annotated[float, Meta(ge=0.0, le=50.0)] = 10.0
    release_ms: Annotated[float, Meta(ge=5.0, le=2000.0)] = 100.0
    """Time constant after a lone peak."""
    settle_ms: Annotated[float, Meta(ge=50.0, le=5000.0)] = 500.0
    """Time constant of the average that sustained limiting settles on."""

    def is_neutral(self) -> bool:
        return self.ceiling_dbtp is None

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return LimiterProcessor(self, sample_rate_hz, channels)


class LimiterProcessor(Processor):
    """The compiled limiter with its delay taken out, and a record of what it did."""

    def __init__(self, settings: Limiter, sample_rate_hz: int, channels: int) -> None:
        def samples(ms: float) -> int:
            return max(1, round(ms * 1e-3 * sample_rate_hz))

        ceiling_db = 400.0 if settings.ceiling_dbtp is None else settings.ceiling_dbtp - _MARGIN_DB
        self._kernel = kernels.Limiter(
            float(sample_rate_hz),
            channels,
            float(gain_from_db(ceiling_db)),
            samples(settings.lookahead_ms),
            samples(settings.hold_ms),
            settings.release_ms * 1e-3,
            settings.settle_ms * 1e-3,
        )
        self._owed = self._kernel.delay
        self._segments = Segments(SEGMENT_S, sample_rate_hz)
        self._limited = self._total = 0
        self._reduction_sum = 0.0
        self._last: Samples | None = None

    def process(self, block: Samples) -> Samples:
        self._last = block[:, :0]
        out = np.empty_like(block, order="C")
        gains = np.empty(block.shape[1], dtype=np.float32)
        self._kernel.process(np.ascontiguousarray(block), out, gains)
        early = min(self._owed, block.shape[1])
        self._owed -= early
        self._note(gains[early:])
        return out[:, early:]

    def finish(self) -> Samples | None:
        if self._last is None:
            return None
        owed = self._kernel.delay - self._owed
        # A stream shorter than the delay has given nothing yet; the silence behind it pushes all of it out.
        silence = np.zeros((self._last.shape[0], self._kernel.delay), dtype=self._last.dtype)
        tail = self.process(silence)
        return tail[:, :owed] if tail.shape[1] > owed else tail

    def _note(self, gains: np.ndarray) -> None:
        if not len(gains):
            return
        stops = self._segments.cut(len(gains))
        reduction = 1.0 - gains.astype(np.float64)
        starts = np.concatenate([[0], stops[:-1]])
        heard = gains < gain_from_db(-HEARD_DB)
        self._limited += int(heard.sum())
        self._total += len(gains)
        self._reduction_sum -= float(db_from_gain(gains[heard].astype(np.float64)).sum())
        deepest = np.maximum.reduceat(reduction, starts)[:, None]
        self._segments.gather(stops, deepest, np.zeros_like(deepest))

    def measured(self) -> dict[str, Any]:
        if not self._total:
            return {}
        reduction_db = -db_from_gain(1.0 - self._segments.result()[0][0])
        return {
            "limiter": {
                "max_reduction_db": float(reduction_db.max()),
                "mean_reduction_db": self._reduction_sum / max(self._limited, 1),
                "p95_reduction_db": float(np.percentile(reduction_db, 95)),
                "share_limited": self._limited / self._total,
                "reduction_db": reduction_db.astype(np.float32),
            }
        }


EXAMPLES = (
    Limiter(ceiling_dbtp=-12.0),
    Limiter(ceiling_dbtp=-20.0, lookahead_ms=2.0, hold_ms=2.0, release_ms=30.0, settle_ms=200.0),
)
