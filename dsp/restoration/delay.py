"""Delay between channels: one that comes late is moved forward by whole samples, so that nothing is resampled."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from dsp.audio import Samples
from dsp.effect import Processor, Settings

Advance = Annotated[float, Meta(ge=0.0, le=50.0)]


class Delay(Settings, frozen=True, kw_only=True):
    """Moves a channel forward in time, to the nearest sample; its end is filled with silence.

    There is no half of an alignment that would sound better than none, so it does not scale.
    """

    title: ClassVar[str] = "channel alignment"
    repairs: ClassVar[bool] = True

    left_early_ms: Advance = 0.0
    """How much earlier the left channel is to come."""
    right_early_ms: Advance = 0.0
    """How much earlier the right channel is to come."""

    def is_neutral(self) -> bool:
        return self.left_early_ms == self.right_early_ms == 0.0

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        early = [round(ms * 1e-3 * sample_rate_hz) for ms in (self.left_early_ms, self.right_early_ms)]
        return DelayProcessor(early[:channels] if channels > 1 else [0])


class DelayProcessor(Processor):
    """Holds back as many samples as the channel that moves most needs."""

    def __init__(self, early: list[int]) -> None:
        self.early, self.most = early, max(early)
        self.held: Samples | None = None

    def process(self, block: Samples) -> Samples:
        samples = block if self.held is None else np.concatenate([self.held, block], axis=1)
        ready = max(0, samples.shape[1] - self.most)
        self.held = samples[:, ready:].copy()
        return self._moved(samples, ready)

    def finish(self) -> Samples | None:
        if self.held is None or not self.held.shape[1]:
            return None
        silence = np.zeros((self.held.shape[0], self.most), dtype=self.held.dtype)
        return self._moved(np.concatenate([self.held, silence], axis=1), self.held.shape[1])

    def _moved(self, samples: Samples, ready: int) -> Samples:
        return np.stack([row[early : early + ready] for row, early in zip(samples, self.early, strict=True)])


EXAMPLES = (Delay(left_early_ms=0.5), Delay(left_early_ms=0.2, right_early_ms=0.7))
