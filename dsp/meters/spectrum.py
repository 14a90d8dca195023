"""Spectrum: band levels of the mid over time; mid, side and how they hang together over the whole.

Two resolutions in one pass. `BandMeter` gives about 40 ERB-wide bands every 50 ms (Glasberg & Moore 1990), from a Hann
window of about 90 ms centred on each block; `LongSpectrum` the mean power spectrum from windows of about 0.37 s every
100 ms (Welch 1967), fine enough for third octaves from 25 Hz. Both lie on a grid of 50 ms: a stream that starts later
by a multiple gives the same frames.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.kernels import band_powers, windowed
from dsp.transforms import fft
from dsp.units import erb_number, frequency_from_erb_number

BLOCK_S = 0.05
LOWEST_HZ, HIGHEST_HZ = 22.0, 20_000.0
BANDS = 40
STRETCH_FRAMES, MOST_STRETCHES = 100, 64
"""Of a course of more than `MOST_STRETCHES`, at least half as many are kept, evenly spread."""
_BATCH = 48
_CHANNELS = ("mid", "side")
_NO_TOTALS = np.empty((3, 0))
_LOW, _HIGH = slice(None, -1), slice(1, None)


def band_edges_hz() -> NDArray[np.float64]:
    """The `BANDS` + 1 edges, equally spaced in ERB-number; the same at every sample rate."""
    low, high = erb_number(np.array([LOWEST_HZ, HIGHEST_HZ]))
    return frequency_from_erb_number(np.linspace(low, high, BANDS + 1))


def band_centres_hz() -> NDArray[np.float64]:
    """Centre of each band on the ERB scale."""
    edges = erb_number(band_edges_hz())
    return frequency_from_erb_number((edges[:-1] + edges[1:]) / 2)


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


def short_window(sample_rate_hz: int) -> int:
    """Samples of a window of about 90 ms, a power of two."""
    return 1 << round(np.log2(0.093 * sample_rate_hz))


def _window(size: int) -> NDArray[np.float64]:
    """Hann, scaled so that the squared one-sided spectrum sums to the mean square of the signal."""
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    return hann * np.sqrt(2.0 / (np.sum(hann**2) * size))


class _Bands:
    """Bands of a spectrum's bins, those at the edges by their share; measured by a kernel.

    channels: which power each set of edges is for, 0 mid, 1 side, 2 mid times side.
    """

    def __init__(self, size: int, sample_rate_hz: int, groups: list[tuple[int, NDArray[np.float64]]]) -> None:
        self.sizes = [len(edges) - 1 for _, edges in groups]
        power = np.repeat([channel for channel, _ in groups], self.sizes)
        # In bins: one reaches half its width to either side. DC belongs to no band.
        places = [np.clip(edges * (size / sample_rate_hz), 0.5, size // 2 + 0.5) for _, edges in groups]
        low, high = (np.concatenate([place[part] for place in (*places, np.empty(0))]) for part in (_LOW, _HIGH))
        first, last = np.floor(low + 0.5), np.ceil(high + 0.5) - 1.0
        self._table = (
            power.astype(np.int64),
            np.where(high > low, first, 0).astype(np.int64),
            np.where(high > low, last, -1).astype(np.int64),
            np.minimum(first + 0.5, high) - low,
            high - (last - 0.5),
        )

    def powers(self, frames: NDArray[np.floating], totals: NDArray[np.float64]) -> NDArray[np.float32]:
        """Windowed frames (channels, frames, size) to band powers (frames, bands); totals (3, bins) get every bin."""
        spectra = fft.rfft(frames, axis=-1)
        out = np.empty((frames.shape[1], len(self._table[0])), dtype=np.float32)
        band_powers(spectra.view(frames.dtype), *self._table, totals, out)
        return out


class Frames:
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
                batches.append(self._gather(self.pending, starts))
                starts = []
            if not inside or start + self.size > end:
                break
        keep = max(0, self.centre(self.index) - self.size // 2 - self.origin)
        keep = min(keep, self.pending.shape[1])
        self.pending = self.pending[:, keep:]
        self.origin += keep
        return batches

    def _gather(self, block: Samples, starts: list[int]) -> NDArray[np.floating]:
        frames = np.empty((block.shape[0], len(starts), self.size), dtype=block.dtype)
        windowed(block, np.array(starts), self.window.astype(block.dtype), frames)
        return frames

    def flush(self) -> list[NDArray[np.floating]]:
        if self.pending is None:
            return []
        return self.push(np.zeros((self.pending.shape[0], self.size), dtype=self.pending.dtype), last=True)


class BandMeter:
    """ERB-like band powers of the mid of one stream of one or two channels, a column every 50 ms.

    Powers are mean squares, shape (bands, blocks); bands above the stream's Nyquist frequency are zero.
    """

    def __init__(self, sample_rate_hz: int) -> None:
        size = short_window(sample_rate_hz)
        self._frames = Frames(size, BLOCK_S * sample_rate_hz)
        self._bands = _Bands(size, sample_rate_hz, [(_CHANNELS.index("mid"), band_edges_hz())])
        self._columns: list[NDArray[np.float32]] = []

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._take(self._frames.push(_mid(block)))

    def _take(self, batches: list[NDArray[np.floating]]) -> None:
        self._columns += [self._bands.powers(frames, _NO_TOTALS) for frames in batches]

    @property
    def waiting(self) -> int:
        """Blocks that are complete and were not taken yet."""
        return sum(map(len, self._columns))

    def take(self) -> NDArray[np.float32]:
        """The blocks that wait: who takes them now and then need not hold hours of them."""
        columns = np.concatenate([*self._columns, np.empty((0, BANDS), dtype=np.float32)])
        self._columns = []
        return columns.T

    def result(self) -> NDArray[np.float32]:
        """All blocks that were not taken; ends the stream."""
        self._take(self._frames.flush())
        return self.take()


def _mid(block: Samples) -> Samples:
    return block if len(block) == 1 else 0.5 * (block[:1] + block[1:])


class _Course:
    """Columns of a stream of any length, every one of them, or of more than `MOST_STRETCHES` an even choice."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, NDArray[np.float32]]] = []  # the stretch each is of
        self._count = 0
        self._every = 1

    def add(self, columns: NDArray[np.float32]) -> None:
        """(frames, bands), the next ones."""
        while len(columns):
            stretch, inside = divmod(self._count, STRETCH_FRAMES)
            now, columns = np.split(columns, [STRETCH_FRAMES - inside])
            if stretch % self._every == 0:
                self._parts.append((stretch, now))
            self._count += len(now)
            if self._count >= STRETCH_FRAMES * self._every * MOST_STRETCHES:
                self._every *= 2
                self._parts = [part for part in self._parts if part[0] % self._every == 0]

    def result(self) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """What is kept, (bands, frames), and the number of each frame."""
        columns = np.concatenate([part for _, part in self._parts])
        stretches = dict.fromkeys(stretch for stretch, _ in self._parts)
        numbers = np.concatenate([stretch * STRETCH_FRAMES + np.arange(STRETCH_FRAMES) for stretch in stretches])
        return columns.T, numbers[: len(columns)]


class LongSpectrum:
    """Mean power spectrum of one stream of one or two channels; with `course` also band powers over time.

    course: the channels (`mid`, `side`) to follow, each with the edges of its bands in Hz.
    """

    def __init__(self, sample_rate_hz: int, course: tuple[tuple[str, NDArray[np.float64]], ...] = ()) -> None:
        self._rate = sample_rate_hz
        self._size = 1 << round(np.log2(0.3715 * sample_rate_hz))
        self._frames = Frames(self._size, 2.0 * BLOCK_S * sample_rate_hz, every=True)
        self._bands = _Bands(self._size, sample_rate_hz, [(_CHANNELS.index(name), edges) for name, edges in course])
        self._course = _Course()
        self._sums = np.zeros((3, self._size // 2 + 1))

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        self._take(self._frames.push(block))

    def _take(self, batches: list[NDArray[np.floating]]) -> None:
        for frames in batches:
            self._course.add(self._bands.powers(frames, self._sums))

    def course(self) -> tuple[tuple[NDArray[np.float32], ...], NDArray[np.int64]]:
        """Power in the bands asked for, one array for each set of edges, (bands, frames), and the number of each frame.

        There is one every 100 ms; of a stream so long that there are more than `MOST_STRETCHES` times `STRETCH_FRAMES`,
        evenly spread stretches are kept. To be asked for after the result, which ends the stream.
        """
        every, numbers = self._course.result()
        parts = np.split(every, np.cumsum(self._bands.sizes)[:-1])
        return tuple(np.ascontiguousarray(part) for part in parts), numbers

    def result(self) -> Spectrum:
        """The mean over the stream; ends it."""
        self._take(self._frames.flush())
        hz = fft.rfftfreq(self._size, 1.0 / self._rate)
        return Spectrum(hz, *(self._sums * (self._frames.hop / max(self._frames.position, 1))))
