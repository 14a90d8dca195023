"""Dither: rounding to a bit depth under TPDF noise, the last step before an integer file."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.effect import Processor, Settings
from dsp.errors import SettingsError
from dsp.kernels import NoiseShapers, quantise
from dsp.shaping import shaping_filter


class Dither(Settings, frozen=True, kw_only=True):
    """Rounds to the steps of an integer file, and keeps the rounding from turning into distortion.

    The noise is triangular, 2 LSB wide (Lipshitz, Wannamaker & Vanderkooy 1992), different in every channel, and
    depends on seed, channel and position alone: a second rendering, in other blocks, gives the same samples.
    Digital silence is dithered like everything else: noise that comes and goes is heard sooner than noise that
    stays. What lies beyond full scale is clamped and counted; NaN stays NaN, which files refuse.

    Shaped, the error of each sample is fed into those after it so that the noise leaves the ear's keenest range for
    the top octave: 14 dB less to be heard at 44.1 kHz, 13 dB more in all.
    """

    title: ClassVar[str] = "dither"

    bit_depth: Literal[16, 24] | None = None
    """Of the file to come; None leaves the samples as they are."""
    seed: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    shaped: bool = False
    """Whether the noise follows the threshold of hearing, or is white."""

    def __post_init__(self) -> None:
        super().__post_init__()
        depth: object = self.bit_depth  # what msgspec checks when it decodes, a caller may still get wrong
        if depth not in (None, 16, 24) or isinstance(depth, float):
            raise SettingsError(f"dither.bit_depth: {self.bit_depth!r} is not 16, 24 or none")
        seed: object = self.seed
        if not isinstance(seed, int):
            raise SettingsError(f"dither.seed: {self.seed!r} is not a whole number")
        if not isinstance(self.shaped, bool):
            raise SettingsError(f"dither.shaped: {self.shaped!r} is neither true nor false")

    def is_neutral(self) -> bool:
        return self.bit_depth is None

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        taps = shaping_filter(sample_rate_hz) if self.shaped else None
        return DitherProcessor(self.bit_depth, self.seed, channels, taps)


class DitherProcessor(Processor):
    """Noise, rounding and clamping by sample position; float32 and float64 hold every step exactly.

    taps: of the noise shaping, shape (order,); None leaves the noise white.
    """

    def __init__(self, bit_depth: int | None, seed: int, channels: int, taps: NDArray[np.float64] | None) -> None:
        self.bit_depth = bit_depth
        self.seed = seed
        self.position = 0
        self.clamped = 0
        self._shapers = None if taps is None else NoiseShapers(np.ascontiguousarray(taps), channels)

    def process(self, block: Samples) -> Samples:
        if self.bit_depth is None:
            return block
        out = np.empty(block.shape, dtype=block.dtype)
        rounded = quantise if self._shapers is None else self._shapers.quantise
        self.clamped += rounded(np.ascontiguousarray(block), out, self.bit_depth, self.seed, self.position)
        self.position += block.shape[1]
        return out

    def measured(self) -> dict[str, Any]:
        return {} if self.bit_depth is None else {"clamped_samples": self.clamped}


EXAMPLES = (Dither(bit_depth=16), Dither(bit_depth=24, seed=7), Dither(bit_depth=16, shaped=True))
