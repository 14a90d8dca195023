"""Segments: a fixed time grid on a stream that comes in blocks of any length.

Segment k runs from sample floor(k·duration·rate + 1/2) to the same of k + 1, so at rates where a duration is no
whole number of samples the segments differ by one sample and never drift.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Segments:
    """Sums and maxima over the segments of one stream, gathered from stretches of its blocks.

    `cut` says where a block crosses segment boundaries; `gather` takes what was measured in each stretch.
    """

    def __init__(self, duration_s: float, sample_rate_hz: int, values: int) -> None:
        """values: how many are gathered of each segment."""
        self._duration = duration_s * sample_rate_hz
        self._position = 0
        self._count = 0  # of finished segments
        self._maxima = [np.empty((0, values))]
        self._means = [np.empty((0, values))]
        self._open: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None

    def boundaries(self, count: int, first: int = 0) -> NDArray[np.int64]:
        """First samples of `count` segments from `first` on."""
        return np.floor(np.arange(first, first + count) * self._duration + 0.5).astype(np.int64)

    def cut(self, samples: int) -> NDArray[np.int64]:
        """Where the stretches of the next `samples` end, within the block; advances the stream."""
        first = int(self._position / self._duration)
        inside = self.boundaries(int(samples / self._duration) + 3, first) - self._position
        self._position += samples
        return np.append(inside[(inside > 0) & (inside < samples)], samples)

    def gather(self, maxima: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
        """Take what the stretches that `cut` gave contain, shape (stretches, values); maxima and sums are changed."""
        if self._open is not None:
            maxima[0] = np.maximum(maxima[0], self._open[0])
            sums[0] += self._open[1]
        end = self.boundaries(1, self._count + len(sums))[0]
        closed = len(sums) - (end > self._position)
        lengths = np.diff(self.boundaries(closed + 1, self._count))
        self._maxima.append(maxima[:closed])
        self._means.append(sums[:closed] / lengths[:, None])
        self._count += closed
        self._open = None if closed == len(sums) else (maxima[-1], sums[-1])

    @property
    def waiting(self) -> int:
        """Segments that are finished and were not taken yet."""
        return sum(map(len, self._means))

    def take(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(maxima, means) of the segments that wait, (values, segments) each."""
        maxima, means = np.concatenate(self._maxima), np.concatenate(self._means)
        self._maxima, self._means = [maxima[:0]], [means[:0]]
        return maxima.T, means.T

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Those that were not taken; an incomplete last one only where it is the only one of the stream."""
        if not self._count and self._open is not None:
            top, total = self._open
            return top[:, None], total[:, None] / self._position
        return self.take()
