"""DC: a constant that the converter left in a channel, taken away by subtraction."""

from __future__ import annotations

from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from dsp.audio import Samples
from dsp.effect import Processor, Settings

Offset = Annotated[float, Meta(ge=-1.0, le=1.0)]


class Dcoffset(Settings, frozen=True, kw_only=True):
    """Subtracts a constant from each channel; ±1.0 is full scale. A single channel counts as left."""

    title: ClassVar[str] = "DC removal"
    repairs: ClassVar[bool] = True

    left: Offset = 0.0
    right: Offset = 0.0

    def is_neutral(self) -> bool:
        return self.left == self.right == 0.0

    def scaled(self, amount: float) -> Dcoffset:
        return Dcoffset(left=self.left * amount, right=self.right * amount)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return DcoffsetProcessor((self.left, self.right)[:channels])


class DcoffsetProcessor(Processor):
    """Subtraction of one number from each channel."""

    def __init__(self, offsets: tuple[float, ...]) -> None:
        self.offsets = np.array(offsets)[:, None]

    def process(self, block: Samples) -> Samples:
        return block - self.offsets.astype(block.dtype)


EXAMPLES = (Dcoffset(left=0.01), Dcoffset(left=-0.002, right=0.003))
