"""Spectrum: band levels of mid and side and how they hang together, over time and over the whole.

Two resolutions in one pass. `BandMeter` gives about 40 ERB-wide bands every 50 ms (Glasberg & Moore 1990), from a Hann
window of about 90 ms centred on each block; `LongSpectrum` the mean power spectrum from windows of about 0.37 s every
100 ms (Welch 1967), fine enough for third octaves from 25 Hz. Both lie on a grid of 50 ms: a stream that starts later
by a multiple gives the same frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.units import erb_number, frequency_from_erb_number

BLOCK_S = 0.05
LOWEST_HZ, HIGHEST_HZ = 22.0, 20_000.0
BANDS = 40
_BATCH = 48


def band_edges_hz() -> NDArray[np.float64]:
    """The `BANDS` + 1 edges, equally spaced in ERB-number; the same at every sample rate."""
    low, high = erb_number(np.array([LOWEST_HZ, HIGHEST_HZ]))
    return frequency_from_erb_number(np.linspace(low, high, BANDS + 1))


def band_centres_hz() -> NDArray[np.float64]:
    """Centre of each band on the ERB scale."""
    edges = erb_number(band_edges_hz())
    return frequency_from_erb_number((edges[:-1] + edges[1:]) / 2)


@dataclass(frozen=True)
class Bands:
    """Power (mean square) per band and block, shape (bands, blocks); cross is the mean of mid times side.

    Mono has a silent side. Bands above the stream's Nyquist frequency are zero.
    """

    mid: NDArray[np.float32]
    side: NDArray[np.float32]
    cross: NDArray[np.float32]


@dataclass(frozen=True)
class Spectrum:
    """Power of each FFT bin (mean square, sums to the signal's power), shape (bins,)."""

    frequency_hz: NDArray[np.float64]
    mid: NDArray[np.float64]
    side: NDArray[np.float64]
    cross: NDArray[np.float64]

    def in_bands(self, power: NDArray[np.float64], edges_hz: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sum one of the spectra into bands between successive edges, splitting bins at the edges."""
        step = self.frequency_hz[1]
        running = np.concatenate([[0.0], np.cumsum(power)])
        at = np.concatenate([[0.0], self.frequency_hz + step / 2])
        return np.diff(np.interp(edges_hz, at, running))


def _window(size: int) -> NDArray[np.float64]:
    """Hann, scaled so that the squared one-sided spectrum sums to the mean square of the signal."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    return hann * np.sqrt(2.0 / (np.sum(hann**2) * size))


def _powers(frames: NDArray[np.floating]) -> tuple[NDArray[np.floating], ...]:
    """(channels, frames, size) windowed left/right or mono to power of mid, side and their product, (frames, bins)."""
    spectra = scipy.fft.rfft(frames, axis=-1)
    spectra[..., [0, -1]] *= np.sqrt(0.5)  # the two bins without a mirror image, sizes being even
    if len(spectra) == 1:
        mid = spectra[0].real ** 2 + spectra[0].imag ** 2
        return mid, np.zeros_like(mid), np.zeros_like(mid)
    left, right = spectra
    power_left = left.real**2 + left.imag**2
    power_right = right.real**2 + right.imag**2
    both = 2.0 * (left.real * right.real + left.imag * right.imag)
    total = power_left + power_right
    return 0.25 * (total + both), 0.25 * (total - both), 0.25 * (power_left - power_right)


class _Frames:
    """Windows centred on a grid of a stream that comes in blocks of any length; the ends are extended by silence.

    The grid's blocks that lie wholly in the stream each have a window; with `every`, all windows that touch it are
    taken, so that silence around the music adds none that are not empty.
    """

    def __init__(self, size: int, hop_samples: float, *, every: bool = False) -> None:
        self.size, self.hop, self.every = size, hop_samples, every
        self.window = _window(size)
        self.index = -int(np.ceil(size / 2 / hop_samples)) if every else 0  # of the next frame
        self.position = 0  # of the stream's end
        self.pending: Samples | None = None
        self.origin = self.centre(self.index) - size // 2  # of pending's first sample

    def centre(self, index: int) -> int:
        return int(np.floor((index + 0.5) * self.hop + 0.5))

    def push(self, block: Samples, *, last: bool = False) -> list[NDArray[np.floating]]:
        """Windowed batches, (channels, frames, size) each, of the frames that are complete."""
        if self.pending is None:
            self.pending = np.zeros((block.shape[0], max(0, -self.origin)), dtype=block.dtype)
            self.origin = min(self.origin, 0)
        self.position += 0 if last else block.shape[1]
        self.pending = np.concatenate([self.pending, block], axis=1)
        end = self.origin + self.pending.shape[1]
        batches, starts = [], []
        while True:
            start = self.centre(self.index) - self.size // 2
            if self.every:
                inside = start < self.position
            else:  # the first one always belongs to the stream
                inside = np.floor((self.index + 1) * self.hop + 0.5) <= self.position or (last and self.index == 0)
            if inside and start + self.size <= end:
                starts.append(start - self.origin)
                self.index += 1
            if starts and (len(starts) == _BATCH or not inside or start + self.size > end):
                batches.append(self._gather(starts))
                starts = []
            if not inside or start + self.size > end:
                break
        keep = max(0, self.centre(self.index) - self.size // 2 - self.origin)
        keep = min(keep, self.pending.shape[1])
        self.pending = self.pending[:, keep:]
        self.origin += keep
        return batches

    def _gather(self, starts: list[int]) -> NDArray[np.floating]:
        assert_pending: Samples = self.pending  # type: ignore[assignment]
        frames = np.stack([assert_pending[:, s : s + self.size] for s in starts], axis=1)
        frames *= self.window.astype(frames.dtype)
        return frames

    def flush(self) -> list[NDArray[np.floating]]:
        if self.pending is None:
            return []
        return self.push(np.zeros((self.pending.shape[0], self.size), dtype=self.pending.dtype), last=True)


class BandMeter:
    """ERB-like band powers of one stream of one or two channels, a column every 50 ms."""

    def __init__(self, sample_rate_hz: int) -> None:
        size = 1 << round(np.log2(0.093 * sample_rate_hz))
        self._frames = _Frames(size, BLOCK_S * sample_rate_hz)
        self._weights = _band_weights(size, sample_rate_hz)
        self._columns: list[NDArray[np.float32]] = []

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._take(self._frames.push(block))

    def _take(self, batches: list[NDArray[np.floating]]) -> None:
        for frames in batches:
            powers = [power.astype(np.float32, copy=False) @ self._weights for power in _powers(frames)]
            self._columns.append(np.stack(powers))

    def result(self) -> Bands:
        """All blocks; ends the stream."""
        self._take(self._frames.flush())
        mid, side, cross = np.concatenate(self._columns, axis=1).transpose(0, 2, 1)
        return Bands(np.ascontiguousarray(mid), np.ascontiguousarray(side), np.ascontiguousarray(cross))


def _band_weights(size: int, sample_rate_hz: int) -> NDArray[np.float32]:
    """How much of each bin falls into each band, (bins, bands); bins are split at the band edges."""
    step = sample_rate_hz / size
    low = (np.arange(size // 2 + 1) - 0.5) * step
    edges = band_edges_hz()
    share = np.minimum(low[:, None] + step, edges[1:]) - np.maximum(low[:, None], edges[:-1])
    return (np.clip(share, 0.0, None) / step).astype(np.float32)


class LongSpectrum:
    """Mean power spectrum of one stream of one or two channels; with `course` also band powers over time.

    course: the channels (`mid`, `side`) to follow, each with the edges of its bands in Hz.
    """

    def __init__(self, sample_rate_hz: int, course: tuple[tuple[str, NDArray[np.float64]], ...] = ()) -> None:
        self._rate = sample_rate_hz
        self._followed = course
        self._course: list[list[NDArray[np.float32]]] = [[] for _ in course]
        self._size = 1 << round(np.log2(0.3715 * sample_rate_hz))
        self._frames = _Frames(self._size, 2.0 * BLOCK_S * sample_rate_hz, every=True)
        self._sums = np.zeros((3, self._size // 2 + 1))

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._take(self._frames.push(block))

    def _take(self, batches: list[NDArray[np.floating]]) -> None:
        for frames in batches:
            powers = _powers(frames)
            for total, power in zip(self._sums, powers, strict=True):
                total += power.sum(axis=0, dtype=np.float64)
            if self._followed:
                self._follow({"mid": powers[0], "side": powers[1]})

    def _follow(self, powers: dict[str, NDArray[np.floating]]) -> None:
        sums_to = {name: np.cumsum(powers[name], axis=1, dtype=np.float64) for name, _ in self._followed}
        for column, (name, edges) in zip(self._course, self._followed, strict=True):
            running = sums_to[name]
            # In bins; a bin reaches half its width to either side, and what lies above the last one is empty.
            place = np.clip(edges * (self._size / self._rate) - 0.5, 0.0, running.shape[1] - 1.0)
            below = np.minimum(place.astype(int), running.shape[1] - 2)
            share = place - below
            sums = running[:, below] * (1.0 - share) + running[:, below + 1] * share
            column.append(np.maximum(np.diff(sums, axis=1), 0.0).astype(np.float32))

    def course(self) -> tuple[NDArray[np.float32], ...]:
        """Power in the bands asked for, one array for each set of edges, (bands, frames), every 100 ms.

        To be asked for after the result, which ends the stream.
        """
        return tuple(np.ascontiguousarray(np.concatenate(parts).T) for parts in self._course)

    def result(self) -> Spectrum:
        """The mean over the stream; ends it."""
        self._take(self._frames.flush())
        hz = scipy.fft.rfftfreq(self._size, 1.0 / self._rate)
        return Spectrum(hz, *(self._sums * (self._frames.hop / max(self._frames.position, 1))))
