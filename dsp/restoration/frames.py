"""Frames at fixed places of a stream, with stretches between them that nobody looks at."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from dsp.audio import Samples


class SpacedFrames:
    """Cuts frames of `size` samples out of blocks; one begins every `every` samples, which are `size` or more."""

    def __init__(self, size: int, every: int) -> None:
        self.size, self.every = size, every
        self._skip = 0  # samples of the next block that lie before the next frame
        self._begun: list[Samples] = []  # what came of the frame that is not whole yet
        self._missing = size

    def of(self, block: Samples) -> Iterator[Samples]:
        """The frames that end in the next block (channels, samples): (channels, size), the same whatever the blocks.

        What lies in the block is not copied: it is the caller's until the next block.
        """
        samples, start = block.shape[1], self._skip
        while start < samples:
            part = block[:, start : start + self._missing]
            if part.shape[1] < self._missing:
                self._begun.append(part.copy())
                self._missing -= part.shape[1]
                start = samples
                break
            yield np.concatenate([*self._begun, part], axis=1) if self._begun else part
            start += self._missing + self.every - self.size
            self._begun, self._missing = [], self.size
        self._skip = start - samples
