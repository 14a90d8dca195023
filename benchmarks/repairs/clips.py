"""Declipping beside others: SDR gain on excerpts clipped to a given SDR, and on instruments made for it."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

Signal = NDArray[np.float64]

# A-SPADE as published: Hann 8192, hop 2048, DFT redundancy 2, s = r = 1; epsilon on coefficients of a unitary DFT.
WINDOW, HOP, REDUNDANCY = 8192, 2048, 2
EPSILON = 0.1
FRAMES_AT_ONCE = 8


def a_spade(clipped: Signal, level: float) -> Signal:
    """SParse Audio DEclipper, analysis variant, of a signal with its peak near 1 that was clipped at ±level.

    Kitić, Bertin and Gribonval, "Sparsity and cosparsity for audio declipping" (LVA/ICA 2015), in the settings of
    Záviška et al., "A survey and an extensive evaluation of popular audio declipping methods" (JSTSP 2021).
    """
    window = np.hanning(WINDOW + 1)[:WINDOW]
    padded = np.pad(clipped, (WINDOW, 2 * WINDOW))
    starts = np.arange(0, len(clipped) + WINDOW, HOP)
    frames = np.stack([padded[s : s + WINDOW] for s in starts])
    bad = np.abs(frames) >= level * (1.0 - 1e-9)
    todo = np.flatnonzero(bad.any(axis=1))
    restored = frames * window
    for some in np.array_split(todo, max(1, len(todo) // FRAMES_AT_ONCE)):
        restored[some] = _spade_frames(restored[some], bad[some])
    out, weight = np.zeros_like(padded), np.zeros_like(padded)
    for start, frame in zip(starts, restored, strict=True):
        out[start : start + WINDOW] += window * frame
        weight[start : start + WINDOW] += window**2
    inside = slice(WINDOW, WINDOW + len(clipped))
    return out[inside] / weight[inside]


def _spade_frames(windowed: Signal, bad: NDArray[np.bool_]) -> Signal:
    """The best of each frame's iterates; all frames go in step, since the sparsity grows with the iteration."""
    size = WINDOW * REDUNDANCY
    observed = windowed.astype(np.float32)
    sign, least = np.sign(observed), np.abs(observed)

    def coefficients(x: NDArray[np.float32]) -> NDArray[np.complex64]:
        return scipy.fft.rfft(x, size, norm="ortho")

    best, best_norm = observed.copy(), np.full(len(observed), np.inf)
    active = np.arange(len(observed))
    x, z = observed, coefficients(observed)
    u = np.zeros_like(z)
    for sparsity in range(1, z.shape[1]):
        wanted = z + u
        power = wanted.real**2 + wanted.imag**2
        kth = np.partition(power, -sparsity, axis=1)[:, -sparsity, None]
        sparse = np.where(power >= kth, wanted, 0)
        miss = z - sparse
        norm = np.sqrt(2.0 * (miss.real**2 + miss.imag**2).sum(axis=1))  # both halves of the spectrum
        better = norm <= best_norm[active]
        best[active[better]], best_norm[active[better]] = x[better], norm[better]
        on = norm > EPSILON
        if not on.any():
            break
        active, sparse, u, = active[on], sparse[on], u[on]
        x = scipy.fft.irfft(sparse - u, size, norm="ortho")[:, :WINDOW]
        x = np.where(bad[active], sign[active] * np.maximum(sign[active] * x, least[active]), observed[active])
        z = coefficients(x)
        u += z - sparse
    return best.astype(np.float64)
