"""Image: how far apart the sources of a stereo track lie, point by point of its spectrum.

A point of the spectrum is a window of about 90 ms and some 11 Hz. Where one source sounds alone, side against mid say
where it lies (Avendano, "Frequency-domain source identification and manipulation in stereo mixes", WASPAA 2003): 0 dB
is hard left or right, and where left and right have nothing to do with each other they lie around 0 dB as well. Points
are counted, however loud they are: the levels of whole bands hang on the few loudest sources, and say far less of how
wide a mix is. A change of width moves every point by the same.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.meters.spectrum import Frames, short_window
from dsp.transforms import fft
from dsp.units import db_from_power

HOP_S = 0.1
OCTAVES_HZ = ((600.0, 1200.0), (1200.0, 2400.0))
LOWEST_DB, HIGHEST_DB = -40, 25
SHARES = (0.5, 0.75, 0.9, 0.95, 0.98, 0.99)
"""How many of the points lie below a quantile: the wide ones are where pieces differ least by themselves."""
_QUIETEST = 1e-6
"""Points this far below the mean power of their window are nothing that is heard."""


class ImageMeter:
    """Side against mid in the points of one stream of one or two channels, counted."""

    def __init__(self, sample_rate_hz: int) -> None:
        size = short_window(sample_rate_hz)
        self._frames = Frames(size, HOP_S * sample_rate_hz, every=True)
        edges = np.ceil(np.unique(OCTAVES_HZ) * size / sample_rate_hz).astype(int)
        self._bins = slice(edges[0], edges[-1])
        self._octave = np.repeat(np.arange(len(OCTAVES_HZ)), np.diff(edges))
        self._counts = np.zeros((len(OCTAVES_HZ), HIGHEST_DB - LOWEST_DB), dtype=np.int64)

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        if len(block) == 2:
            self._take(self._frames.push(block))

    def _take(self, batches: list[NDArray[np.floating]]) -> None:
        for frames in batches:
            left, right = fft.rfft(frames, axis=-1)[..., self._bins]
            mid, side = (np.square(both.real) + np.square(both.imag) for both in (left + right, left - right))
            mean = np.mean(mid + side, axis=-1, keepdims=True)
            heard = mid + side > np.maximum(_QUIETEST * mean, np.finfo(np.float32).tiny)
            away = db_from_power(side[heard] / np.maximum(mid[heard], np.finfo(np.float32).tiny))
            steps = self._counts.shape[1]
            step = np.clip(np.floor(away) - LOWEST_DB, 0, steps - 1).astype(int)
            place = np.broadcast_to(steps * self._octave, heard.shape)[heard] + step
            self._counts += np.bincount(place, minlength=self._counts.size).reshape(self._counts.shape)

    def result(self) -> NDArray[np.int64]:
        """How many points of each of `OCTAVES_HZ` lie in each dB from `LOWEST_DB`, shape (2, 65); ends the stream.

        What lies beyond either end is counted in the last dB there. All zero of one channel.
        """
        self._take(self._frames.flush())
        return self._counts


def quantiles_db(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Side against mid that each of `SHARES` of the points lies below, octave by octave, dB, shape (12,).

    counts: of an `ImageMeter`, with at least one point in every octave.
    """
    edges_db = np.arange(LOWEST_DB, HIGHEST_DB + 1, dtype=np.float64)
    below = np.cumsum(counts, axis=1) / counts.sum(axis=1, keepdims=True)
    return np.concatenate([np.interp(SHARES, np.append(0.0, share), edges_db) for share in below])
