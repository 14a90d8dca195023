"""Filling in by sparsity: samples known only by bounds, chosen so that the spectrum is sparse and steady.

Social sparsity (Kowalski, Siedenburg and Dörfler 2013; Siedenburg, Kowalski and Dörfler 2014, "Audio declipping with
social sparsity"): a tight Gabor frame, persistent empirical Wiener shrinkage whose threshold falls, and FISTA. The
restart at every threshold is left out here: the threshold falls at each step and the momentum lives on, which comes as
far in 150 steps as the published schedule does in thousands.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.kernels import social_step
from dsp.transforms import fft

Signal = NDArray[np.float32]
Spectra = NDArray[np.complex64]

OVERLAP = 4
REACH_FRAMES = 3
"""Frames to either side whose energy speaks for a coefficient; in frequency it is one bin."""
FIRST_THRESHOLD, LAST_THRESHOLD = 2.0, 0.008
"""Roots of energies, for a signal that is bounded near ±1."""
FIRST_MOMENTUM, MOST_MOMENTUM = 0.3, 0.96


class Frame:
    """A tight Gabor frame over `length_samples` samples: what is seen outside of them is free."""

    def __init__(self, length_samples: int, window_samples: int) -> None:
        self.length, self.size = length_samples, window_samples
        self.hop = window_samples // OVERLAP
        self.lead = window_samples - self.hop
        self.count = -(-(self.lead + length_samples) // self.hop)
        hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window_samples) / window_samples)
        self.window = (hann / np.sqrt(1.5)).astype(np.float32)  # squared and overlapped it sums to 1

    @property
    def total(self) -> int:
        """Samples under any of the windows."""
        return (self.count - 1) * self.hop + self.size

    def spectra(self, signal: Signal) -> Spectra:
        """(total,) to (frames, bins)."""
        frames = np.lib.stride_tricks.sliding_window_view(signal, self.size)[:: self.hop]
        return fft.rfft(frames * self.window, norm="ortho", overwrite_x=True)

    def signal(self, spectra: Spectra) -> Signal:
        """(frames, bins) to (total,)."""
        frames = fft.irfft(spectra, self.size, norm="ortho")
        frames *= self.window
        out = np.zeros((self.count + OVERLAP - 1, self.hop), np.float32)
        for part in range(OVERLAP):
            out[part : part + self.count] += frames[:, part * self.hop : (part + 1) * self.hop]
        return out.reshape(-1)


def sparsest(low: Signal, high: Signal, *, window_samples: int, steps: int) -> Signal:
    """The signal between `low` and `high` with sparse and steady spectra, as far as `steps` steps come.

    low, high: float32, shape (samples,), around ±1; equal where a sample is known, infinite where it is free.
    Returns float32, shape (samples,). Needs some 40 bytes of memory for each sample.
    """
    frame = Frame(len(low), window_samples)
    around = (frame.lead, frame.total - frame.lead - frame.length)
    low = np.pad(low, around, constant_values=-np.inf)
    high = np.pad(high, around, constant_values=np.inf)
    point = np.zeros((frame.count, frame.size // 2 + 1), np.complex64)
    estimate = np.zeros_like(point)
    fall = (LAST_THRESHOLD / FIRST_THRESHOLD) ** (1.0 / max(1, steps))
    for step in range(steps):
        seen = frame.signal(point)
        point += frame.spectra(np.clip(seen, low, high) - seen)
        social_step(
            point.view(np.float32),
            estimate.view(np.float32),
            (FIRST_THRESHOLD * fall**step) ** 2,
            min(MOST_MOMENTUM, FIRST_MOMENTUM + step / (step + 6)),
            REACH_FRAMES,
        )
    found = np.clip(frame.signal(estimate), low, high)
    return found[frame.lead : frame.lead + frame.length]
