"""Limiter: no true peak above the ceiling, as little else as possible.

Two stages. The first shapes the sound: it looks ahead, goes down along a smooth slope that is in time for the peak,
holds long enough for the next crest of a low note (so a steady bass is turned down, not bent), and comes back at a pace
that depends on the programme: a lone transient is back within half a dB after a few tenths of a second, sustained
limiting settles on a slow average and does not pump. The second measures what the first has made and takes out the
fractions of a dB that moving gains leave. Both look 16 times oversampled wherever a peak can hide. Where neither is
needed, samples pass untouched.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp import kernels
from dsp.audio import Samples
from dsp.effect import Processor, Settings
from dsp.units import db_from_gain, gain_from_db

HEARD_DB = 0.1
"""Reductions below this do not count as limiting."""
DB_PER_NEPER = 8.685889638065035
_MARGIN_DB = 0.005


class Limiter(Settings, frozen=True, kw_only=True):
    """A ceiling for the true peak; channels are turned down together."""

    title: ClassVar[str] = "limiter"

    ceiling_dbtp: Annotated[float, Meta(ge=-60.0, le=0.0)] | None = None
    """None lets everything pass."""
    knee_db: Annotated[float, Meta(ge=0.0, le=24.0)] = 0.0
    """How softly limiting sets in: from half of this below the ceiling, whole from half of it above."""
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


def limiting_db(over_db: NDArray[np.float64], knee_db: float) -> NDArray[np.float64]:
    """Static gain (0 or less) of peaks `over_db` above the ceiling: a parabola over the knee, then the ceiling."""
    into_db = np.clip(over_db + knee_db / 2.0, 0.0, None)
    soft_db = into_db**2 / (2.0 * max(knee_db, 1e-9))
    return -np.where(into_db < knee_db, soft_db, np.maximum(over_db, 0.0))


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
            settings.knee_db / DB_PER_NEPER,
            samples(settings.lookahead_ms),
            samples(settings.hold_ms),
            settings.release_ms * 1e-3,
            settings.settle_ms * 1e-3,
            float(gain_from_db(-HEARD_DB)),
        )
        self._owed = self._kernel.delay
        self._last: Samples | None = None

    def process(self, block: Samples) -> Samples:
        self._last = block[:, :0]
        out = np.empty_like(block, order="C")
        self._kernel.process(np.ascontiguousarray(block), out)
        early = min(self._owed, block.shape[1])
        self._owed -= early
        return out[:, early:]

    def finish(self) -> Samples | None:
        if self._last is None:
            return None
        # The silence behind the stream pushes out all that is owed, be the stream shorter than the delay or longer.
        return self.process(np.zeros((self._last.shape[0], self._kernel.delay), dtype=self._last.dtype))

    def measured(self) -> dict[str, Any]:
        total, limited = self._kernel.noted, self._kernel.limited
        if not total:
            return {}
        reduction_db = np.abs(db_from_gain(self._kernel.lows().astype(np.float64)))
        return {
            "limiter": {
                "max_reduction_db": float(reduction_db.max()),
                "mean_reduction_db": float(abs(self._kernel.log_sum)) * DB_PER_NEPER / max(limited, 1),
                "p95_reduction_db": float(np.percentile(reduction_db, 95)),
                "share_limited": limited / total,
                "reduction_db": reduction_db.astype(np.float32),
            }
        }


EXAMPLES = (
    Limiter(ceiling_dbtp=-12.0),
    Limiter(ceiling_dbtp=-12.0, knee_db=9.0),
    Limiter(ceiling_dbtp=-20.0, lookahead_ms=2.0, hold_ms=2.0, release_ms=30.0, settle_ms=200.0),
)
