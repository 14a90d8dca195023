"""Filters given by a magnitude curve: designed at the rate they run at, run by FFT in blocks.

A curve in dB over Hz becomes a FIR filter by the real cepstrum: its causal half alone gives the minimum phase
(Oppenheim & Schafer, Discrete-Time Signal Processing, 13.5), its even half the zero phase, and the mixture used
here for `linear` is even for quefrencies up to a few ms and causal beyond. So the magnitude is the same for every
choice, and the ringing before a transient is bounded however low and narrow the curve is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.transforms import fft

Phase = Literal["minimum", "linear"]
MagnitudeDb = Callable[[NDArray[np.float64]], NDArray[np.float64]]

PRE_RINGING_MS = 3.0
"""Quefrencies above this are causal in a `linear` filter; what rings earlier is below -60 dB in all."""
FLOOR_DB = -80.0
"""Curves bend into this depth; a bottomless one would ring without end."""
_DESIGN_S = 1.4  # long enough for the cepstrum of a 10 Hz resonance not to alias
_TAIL_POWER = 1e-13  # what truncation may lose, re the filter's energy


@dataclass(frozen=True)
class Fir:
    """Taps of one filter, shape (taps,), of which the first `lead_samples` act before time zero."""

    taps: NDArray[np.float64]
    lead_samples: int


def design(magnitude_db: MagnitudeDb, sample_rate_hz: int, *, phase: Phase = "minimum") -> Fir:
    """The shortest FIR whose response is `magnitude_db` (Hz in, dB out, both shape (n,)) at `sample_rate_hz`."""
    n = 1 << int(np.ceil(np.log2(_DESIGN_S * sample_rate_hz)))
    hz = fft.rfftfreq(n, 1.0 / sample_rate_hz)
    log_gain = 0.5 * np.log(10.0 ** (magnitude_db(hz) / 10.0) + 10.0 ** (FLOOR_DB / 10.0))
    cepstrum = fft.irfft(log_gain, n)
    quefrency = np.minimum(np.arange(n), n - np.arange(n))
    causal = np.where(np.arange(n) <= n // 2, 1.0, -1.0)
    causal[[0, n // 2]] = 0.0
    spectrum = np.exp(fft.rfft(cepstrum * (1.0 + causal * _causal_share(quefrency, sample_rate_hz, phase))))
    return _truncated(fft.irfft(spectrum, n))


def _causal_share(quefrency: NDArray[np.int64], sample_rate_hz: int, phase: Phase) -> NDArray[np.float64]:
    """How far each cepstral coefficient is moved to the causal side: 1 is minimum phase, 0 zero phase."""
    if phase == "minimum":
        return np.ones(len(quefrency))
    edge = np.clip(quefrency / (PRE_RINGING_MS * 1e-3 * sample_rate_hz), 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * edge)


def _truncated(response: NDArray[np.float64]) -> Fir:
    """A circular impulse response cut where what is left of either tail no longer counts."""
    n = len(response)
    centred = np.roll(response, n // 2)
    energy = np.cumsum(centred**2)
    first = int(np.searchsorted(energy, _TAIL_POWER * energy[-1]))
    last = int(np.searchsorted(energy, (1.0 - _TAIL_POWER) * energy[-1])) + 1
    first, last = min(first, n // 2), max(last, n // 2 + 1)
    return Fir(centred[first:last].copy(), n // 2 - first)


def zero_phase(magnitude: MagnitudeDb, sample_rate_hz: int, reach_s: float) -> Fir:
    """The symmetric FIR of a linear magnitude (Hz in, gain out), cut smoothly `reach_s` to either side."""
    reach = max(1, int(np.ceil(reach_s * sample_rate_hz)))
    n = 1 << int(np.ceil(np.log2(4 * reach)))
    hz = fft.rfftfreq(n, 1.0 / sample_rate_hz)
    response = np.roll(fft.irfft(magnitude(hz), n), reach)[: 2 * reach + 1]
    fade = np.clip((reach - np.abs(np.arange(-reach, reach + 1))) / (0.2 * reach), 0.0, 1.0)
    return Fir(response * (0.5 - 0.5 * np.cos(np.pi * fade)), reach)


def response_db(fir: Fir, frequency_hz: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Magnitude of the filter at the frequencies given, dB."""
    n = 1 << int(np.ceil(np.log2(max(len(fir.taps), sample_rate_hz))))
    hz = fft.rfftfreq(n, 1.0 / sample_rate_hz)
    magnitude = np.abs(fft.rfft(fir.taps, n))
    return np.interp(frequency_hz, hz, 20.0 * np.log10(np.maximum(magnitude, 1e-10)))


class FirStream:
    """Filters over one stream, by overlap-save: one for each channel, or a bank of several for every channel.

    A bank gives a leading axis: (bands, channels, samples). Frames lie at fixed positions of the stream, so its samples
    do not depend on how it is cut into blocks.
    """

    def __init__(self, firs: list[Fir], *, bank: bool = False) -> None:
        lead = max(f.lead_samples for f in firs)
        length = max(lead - f.lead_samples + len(f.taps) for f in firs)
        taps = np.zeros((len(firs), length))
        for row, f in zip(taps, firs, strict=True):
            start = lead - f.lead_samples
            row[start : start + len(f.taps)] = f.taps
        self._taps = taps[:, None, None] if bank else taps[:, None]
        self._frame = max(4096, 1 << int(np.ceil(np.log2(3 * length))))
        self._history = length - 1
        self._hop = self._frame - self._history
        self._lead = self._skip = lead  # output n needs input up to n + lead: the first outputs fall before the start
        self._spectrum: NDArray[np.complexfloating] | None = None
        self._pending: Samples | None = None
        self._taken = self._given = 0

    def process(self, block: Samples) -> Samples:
        """(channels, n) in, the (channels, m) that are ready out."""
        if self._pending is None:
            self._spectrum = fft.rfft(self._taps, self._frame).astype(
                np.complex64 if block.dtype == np.float32 else np.complex128
            )
            self._pending = np.zeros((block.shape[0], self._history), dtype=block.dtype)
        self._taken += block.shape[1]
        return self._run(np.concatenate([self._pending, block], axis=1))

    def finish(self) -> Samples | None:
        """The last samples, as many as are still owed."""
        if self._pending is None:
            return None
        owed = self._taken - self._given
        zeros = np.zeros((self._pending.shape[0], self._lead + owed + self._hop), dtype=self._pending.dtype)
        return self._run(np.concatenate([self._pending, zeros], axis=1))[..., :owed]

    def _run(self, samples: Samples) -> Samples:
        frames = max(0, (samples.shape[1] - self._history) // self._hop)
        used = frames * self._hop
        self._pending = samples[:, used:]
        if not frames:
            return np.empty((*self._taps.shape[:-3], samples.shape[0], 0), dtype=samples.dtype)
        windows = np.lib.stride_tricks.sliding_window_view(samples, self._frame, axis=1)
        spectra = fft.rfft(windows[:, :: self._hop][:, :frames], axis=-1) * self._spectrum
        out = fft.irfft(spectra, self._frame, axis=-1, overwrite_x=True)[..., self._history :]
        ready = out.reshape(*out.shape[:-2], used)[..., self._skip :]
        self._skip = max(0, self._skip - used)
        self._given += ready.shape[-1]
        return ready
