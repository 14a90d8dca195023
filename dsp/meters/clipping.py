"""Clipping: how often a channel is cut off flat at its own highest or lowest value.

Three or more equal samples at the very top of a channel, with an edge beside them, are counted as one flat top. The
level does not matter, so a file that was clipped and then turned down is found; what a lossy codec or a new sample
rate has made of a flat top is flat no more, and is not.
"""

from __future__ import annotations

import numpy as np

from dsp.audio import Samples
from dsp.errors import AudioError
from dsp.kernels import FlatTops


class ClippingMeter:
    """Flat tops of one stream of any number of channels, the same whatever the blocks.

    Raises AudioError on less than one channel.
    """

    def __init__(self, channels: int) -> None:
        if channels < 1:
            raise AudioError(f"channels: {channels} is less than 1")
        self.channels = channels
        self._flat_tops = FlatTops(channels)

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self._flat_tops.process(np.ascontiguousarray(block))

    def result(self) -> int:
        """The number of flat tops in all samples so far, as if silence followed; more may follow."""
        return self._flat_tops.total()
