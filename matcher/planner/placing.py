"""Placing: where in another track a stretch of sound comes back to the sample.

By cross-correlation of the whitened waveforms: at a low rate over all of the track, then around the place at its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import soxr
from numpy.typing import NDArray
from scipy import fft

from dsp.audio import Samples
from matcher.io import AudioSource, in_stereo

LOW_RATE_HZ = 6000
SEARCHED_HZ = (120.0, 2600.0)
QUIETEST_DB = 30.0
"""Places this far below the loudest are none."""
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

    passages: mid and side, all of the same shape (2, samples). A track that is shorter than they are has silence there.
    """
    places_s = _places_s([passage[0] for passage in passages], sample_rate_hz, track)
    found: list[Floats] = [passage for passage in passages]
    for i in np.argsort(places_s, kind="stable"):  # some formats can only be read on from where one is
        around = _around(track, places_s[i], passages[i].shape[1], sample_rate_hz)
        found[i] = _aligned(passages[i], around)
    return found


def _places_s(mids: Sequence[Floats], sample_rate_hz: int, track: AudioSource) -> list[float]:
    here = [soxr.resample(mid, sample_rate_hz, LOW_RATE_HZ, quality="LQ") for mid in mids]
    there, length = np.concatenate(list(_low_rate(track))), len(here[0])
    if len(there) < length:
        return [0.0] * len(mids)
    size = fft.next_fast_len(len(there) + length, real=True)
    spectrum = fft.rfft(there, size)
    spectrum *= _whitening(spectrum, size)
    energy = np.cumsum(np.square(fft.irfft(spectrum, size)[: len(there)], dtype=np.float64))
    power = np.append(energy[length - 1], energy[length:] - energy[:-length])
    root = np.sqrt(np.maximum(power, power.max() * 10.0 ** (-QUIETEST_DB / 10.0)) + 1e-30).astype(np.float32)
    own = _whitening(fft.rfft(np.concatenate(here)), sum(map(len, here)))
    taps = np.interp(np.linspace(0.0, 1.0, len(spectrum)), np.linspace(0.0, 1.0, len(own)), own).astype(np.float32)

    def place_s(mid: Floats) -> float:
        alike = fft.irfft(spectrum * (np.conj(fft.rfft(mid, size)) * taps), size)[: len(root)]
        return float(np.argmax(np.abs(alike) / root)) / LOW_RATE_HZ

    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(place_s, here))


def _low_rate(track: AudioSource) -> Iterator[Floats]:
    """The mid at `LOW_RATE_HZ`, in blocks."""
    stream = soxr.ResampleStream(track.sample_rate_hz, LOW_RATE_HZ, 1, dtype="float32", quality="LQ")
    left = int(MOST_SEARCHED_S * track.sample_rate_hz)
    for block in in_stereo(track).blocks():
        yield stream.resample_chunk(np.ascontiguousarray(mid_and_side(block[:, :left])[0]))
        left -= block.shape[1]
        if left <= 0:
            break
    yield stream.resample_chunk(np.empty(0, dtype=np.float32), last=True)


def _whitening(spectrum: NDArray[np.complex64], size: int) -> Floats:
    """What makes a spectrum of `size` samples flat in the long term within `SEARCHED_HZ`; 0 beyond."""
    hz = np.arange(len(spectrum)) * (LOW_RATE_HZ / size)
    edges_hz = np.geomspace(SEARCHED_HZ[0] / 2.0, LOW_RATE_HZ / 2.0, 40)
    at = np.searchsorted(hz, edges_hz)
    summed = np.concatenate([[0.0], np.cumsum(np.abs(spectrum) ** 2, dtype=np.float64)])
    power = (summed[at[1:]] - summed[at[:-1]]) / np.maximum(np.diff(at), 1)
    power = np.maximum(power, power.max() * 1e-6 + 1e-30)
    centres_hz = np.sqrt(edges_hz[1:] * edges_hz[:-1])
    flat = np.exp(np.interp(np.log(np.maximum(hz, 1.0)), np.log(centres_hz), -0.5 * np.log(power)))
    return np.where((hz >= SEARCHED_HZ[0]) & (hz <= SEARCHED_HZ[1]), flat, 0.0).astype(np.float32)


def _around(track: AudioSource, place_s: float, length: int, sample_rate_hz: int) -> Floats:
    """Mid and side from `MARGIN` before a place to `MARGIN` behind it; silence where the track has ended."""
    rate, wanted = track.sample_rate_hz, length + 2 * MARGIN
    start = round(place_s * rate) - round(MARGIN * rate / sample_rate_hz)
    first = min(max(start, 0), track.length_samples)
    count = -(-wanted * rate // sample_rate_hz) - (first - start)
    found = np.pad(mid_and_side(in_stereo(track).read(first, max(count, 0))), ((0, 0), (first - start, 0)))
    if rate != sample_rate_hz:
        found = soxr.resample(found.T, rate, sample_rate_hz, quality="HQ").T
    return np.pad(found[:, :wanted], ((0, 0), (0, max(wanted - found.shape[1], 0))))


def _aligned(passage: Floats, around: Floats) -> Floats:
    """To the sample. Differences weigh the treble more, where a sample matters."""
    size = fft.next_fast_len(around.shape[1], real=True)
    here, there = (fft.rfft(np.diff(part[0]), size) for part in (passage, around))
    lag = int(np.argmax(np.abs(fft.irfft(there * np.conj(here), size)[: 2 * MARGIN + 1])))
    return around[:, lag : lag + passage.shape[1]]
