"""Placing: where in another track a stretch of sound comes back to the sample.

By cross-correlation of the whitened waveforms: at a low rate over all of the track, then around the place at its own.
In one pass, since some formats can only be read on from where one is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft

from dsp.audio import Samples
from matcher.io import AudioSource, in_stereo

LOW_RATE_HZ = 6000
SEARCHED_HZ = (120.0, 2600.0)
CHUNK_S = 20.0
"""What is searched at a time; starts of passages lie in one chunk each."""
QUIETEST_DB = 30.0
"""Places this far below the loudest so far are none."""
MOST_SEARCHED_S = 600.0
"""Of a longer track its beginning is searched."""
MARGIN = 24
"""Samples by which a place that was found at the low rate may be off."""

Floats = NDArray[np.float32]


def mid_and_side(samples: Samples) -> Floats:
    """Of one channel or two, shape (2, samples)."""
    left, right = samples[0], samples[-1]
    return (np.stack([left + right, left - right]) / 2.0).astype(np.float32)


def placed(passages: Sequence[Floats], sample_rate_hz: int, track: AudioSource) -> list[Floats]:
    """What a track plays where each passage most likely comes back: mid and side, at the passages' rate.

    passages: mid and side, all of the same shape (2, samples). What lies beyond either end of the track is silence.
    """
    rate, length = track.sample_rate_hz, passages[0].shape[1]
    margin = -(-MARGIN * rate // sample_rate_hz)
    around = -(-length * rate // sample_rate_hz) + 2 * margin
    search = _Search([passage[0] for passage in passages], sample_rate_hz)
    best, found = np.full(len(passages), -1.0), [np.zeros((2, around), dtype=np.float32) for _ in passages]
    with ThreadPoolExecutor(max_workers=2) as pool:
        for chunk in _chunks(track, margin, around):
            mid = soxr.resample(chunk[0, margin:], rate, LOW_RATE_HZ, quality="LQ")
            for i, (likeness, place_s) in enumerate(pool.map(search.within(mid), range(len(passages)))):
                if likeness > best[i]:
                    start = round(place_s * rate)
                    best[i], found[i] = likeness, chunk[:, start : start + around].copy()
        aligned = partial(_aligned, rate=rate, sample_rate_hz=sample_rate_hz)
        return list(pool.map(aligned, passages, found))


def _chunks(track: AudioSource, margin: int, around: int) -> Iterator[Floats]:
    """Mid and side, `CHUNK_S` and `around` samples at a time, of which the next chunk has the latter again.

    The first begins with `margin` samples of silence; the last ends with enough of it for what begins at the end.
    """
    step, left = int(CHUNK_S * track.sample_rate_hz), int(MOST_SEARCHED_S * track.sample_rate_hz)
    ready = [np.zeros((2, margin), dtype=np.float32)]
    for block in in_stereo(track).blocks():
        ready.append(mid_and_side(block[:, :left]))
        left -= block.shape[1]
        if sum(part.shape[1] for part in ready) >= step + around:
            chunk = np.concatenate(ready, axis=1)
            yield chunk[:, : step + around]
            ready = [chunk[:, step:]]
        if left <= 0:
            break
    yield np.concatenate([*ready, np.zeros((2, margin), dtype=np.float32)], axis=1)


@dataclass(frozen=True, eq=False)
class _Within:
    """A chunk at the low rate, whitened: how alike passages are to it anywhere."""

    passages: Sequence[NDArray[np.complex64]]
    spectrum: NDArray[np.complex64]
    root: Floats
    """Of its energy over the length of a passage, for each place that a passage may begin at."""

    def __call__(self, number: int) -> tuple[float, float]:
        """Likeness and place in seconds of the most likely one."""
        if not len(self.root):
            return -1.0, 0.0
        product = fft.irfft(self.spectrum * self.passages[number], 2 * (len(self.spectrum) - 1))
        alike = np.abs(product[: len(self.root)]) / self.root
        place = int(np.argmax(alike))
        return float(alike[place]), place / LOW_RATE_HZ


class _Search:
    """Passages at the low rate, whitened by what they have in common."""

    def __init__(self, mids: Sequence[Floats], sample_rate_hz: int) -> None:
        here = [soxr.resample(mid, sample_rate_hz, LOW_RATE_HZ, quality="LQ") for mid in mids]
        self._length, self._loudest = len(here[0]), 0.0
        longest = int((CHUNK_S + 1.0) * LOW_RATE_HZ) + 2 * self._length
        self._size = 2 * fft.next_fast_len(-(-longest // 2), real=True)
        spectra = [fft.rfft(mid, self._size) for mid in here]
        self._passages = [np.conj(each) * _whitening(sum(np.abs(s) ** 2 for s in spectra)) for each in spectra]

    def within(self, mid: Floats) -> _Within:
        """Where in a chunk to look; what is far below the loudest so far counts as if it were louder."""
        spectrum = fft.rfft(mid, self._size)
        spectrum *= _whitening(np.abs(spectrum) ** 2)
        energy = np.cumsum(np.square(fft.irfft(spectrum, self._size)[: len(mid)], dtype=np.float64))
        energy, places = np.append(0.0, energy), max(len(mid) + 1 - self._length, 0)
        power = energy[len(energy) - places :] - energy[:places]
        self._loudest = max(self._loudest, float(power.max(initial=0.0)))
        root = np.sqrt(np.maximum(power, self._loudest * 10.0 ** (-QUIETEST_DB / 10.0)) + 1e-30)
        return _Within(self._passages, spectrum, root.astype(np.float32))


def _whitening(power: Floats) -> Floats:
    """What makes a spectrum flat in the long term within `SEARCHED_HZ`; 0 beyond."""
    hz = np.linspace(0.0, LOW_RATE_HZ / 2.0, len(power))
    edges_hz = np.geomspace(SEARCHED_HZ[0] / 2.0, LOW_RATE_HZ / 2.0, 40)
    at = np.searchsorted(hz, edges_hz)
    summed = np.concatenate([[0.0], np.cumsum(power, dtype=np.float64)])
    level = (summed[at[1:]] - summed[at[:-1]]) / np.maximum(np.diff(at), 1)
    level = np.maximum(level, level.max() * 1e-6 + 1e-30)
    centres_hz = np.sqrt(edges_hz[1:] * edges_hz[:-1])
    flat = np.exp(np.interp(np.log(np.maximum(hz, 1.0)), np.log(centres_hz), -0.5 * np.log(level)))
    return np.where((hz >= SEARCHED_HZ[0]) & (hz <= SEARCHED_HZ[1]), flat, 0.0).astype(np.float32)


def _aligned(passage: Floats, around: Floats, rate: int, sample_rate_hz: int) -> Floats:
    """To the sample, at the passage's rate. Differences weigh the treble more, where a sample matters."""
    if rate != sample_rate_hz:
        around = soxr.resample(around.T, rate, sample_rate_hz, quality="HQ").T
    length = passage.shape[1]
    around = np.pad(around, ((0, 0), (0, max(length + 2 * MARGIN - around.shape[1], 0))))
    size = fft.next_fast_len(around.shape[1], real=True)
    here, there = (fft.rfft(np.diff(part[0]), size) for part in (passage, around))
    lag = int(np.argmax(np.abs(fft.irfft(there * np.conj(here), size)[: 2 * MARGIN + 1])))
    return around[:, lag : lag + length]
