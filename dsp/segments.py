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

    def __init__(self, duration_s: float, sample_rate_hz: int) -> None:
        self._duration = duration_s * sample_rate_hz
        self._position = 0
        self._parts: list[tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]] = []

    def boundaries(self, count: int, first: int = 0) -> NDArray[np.int64]:
        """First samples of `count` segments from `first` on."""
        return np.floor(np.arange(first, first + count) * self._duration + 0.5).astype(np.int64)

    def cut(self, samples: int) -> NDArray[np.int64]:
        """Where the stretches of the next `samples` end, within the block; advances the stream."""
        first = int(self._position / self._duration)
        inside = self.boundaries(int(samples / self._duration) + 3, first) - self._position
        self._position += samples
        return np.append(inside[(inside > 0) & (inside < samples)], samples)

    def gather(self, stops: NDArray[np.int64], maxima: NDArray[np.float64], sums: NDArray[np.float64]) -> None:
        """Keep what the stretches that `cut` gave contain; maxima and sums have shape (stretches, values)."""
        starts = self._position - stops[-1] + np.concatenate([[0], stops[:-1]])
        first = int(starts[0] / self._duration) - 1
        edges = self.boundaries(len(stops) + 4, first)
        self._parts.append((first + np.searchsorted(edges, starts, side="right") - 1, maxima, sums))

    def result(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(maxima, means) per segment, (values, segments) each; an incomplete last one only where it is alone."""
        index = np.concatenate([part[0] for part in self._parts])
        count = int(index[-1]) + 1
        edges = self.boundaries(count + 1)
        if edges[-1] > self._position and count > 1:
            count -= 1
        maxima = np.zeros((self._parts[0][1].shape[1], int(index[-1]) + 1))
        sums = np.zeros_like(maxima)
        np.maximum.at(maxima.T, index, np.concatenate([part[1] for part in self._parts]))
        np.add.at(sums.T, index, np.concatenate([part[2] for part in self._parts]))
        length = np.minimum(edges[1 : count + 1], self._position) - edges[:count]
        return maxima[:, :count], sums[:, :count] / length
