"""The same work by stock library calls, as a first program would do it: what speed and memory are compared with.

    python naive.py TARGET REFERENCE OUTPUT

Loudness by pyloudnorm, spectra by SciPy's STFT, a linear-phase FIR on mid and side, a compressor in three bands, true
peak by resampling four times, a limiter by running minima, 24-bit WAV.
"""

from __future__ import annotations

import sys

import numpy as np
import pyloudnorm
import soundfile
from scipy import ndimage, signal

SIZE = 4096
CONTROL = 64


def spectrum(channel: np.ndarray, rate: int) -> np.ndarray:
    """Mean power spectrum."""
    _, _, bins = signal.stft(channel, rate, nperseg=SIZE)
    return np.asarray((np.abs(bins) ** 2).mean(axis=1)) + 1e-12


def true_peak(sound: np.ndarray) -> float:
    """By four times as many samples."""
    return float(np.abs(signal.resample_poly(sound, 4, 1, axis=0)).max())


def matched(sound: np.ndarray, wanted: np.ndarray, rate: int) -> np.ndarray:
    """Mid or side through the FIR between two spectra."""
    gain_db = 10.0 * np.log10(wanted / spectrum(sound, rate))
    gain_db = np.clip(ndimage.gaussian_filter1d(gain_db, 40), -12.0, 12.0)
    hz = np.linspace(0.0, rate / 2.0, len(gain_db))
    taps = signal.firwin2(SIZE + 1, hz, 10.0 ** (gain_db / 20.0), fs=rate)
    return np.asarray(signal.fftconvolve(sound, taps, mode="same"))


def compressed(band: np.ndarray) -> np.ndarray:
    """2:1 above the band's own level, by control blocks."""
    count = -(-len(band) // CONTROL)
    power = np.pad((band**2).mean(axis=1), (0, count * CONTROL - len(band))).reshape(count, CONTROL).mean(axis=1)
    over_db = np.maximum(10.0 * np.log10((power + 1e-12) / (power.mean() + 1e-12)), 0.0)
    gain_db = signal.lfilter([0.05], [1.0, -0.95], -0.5 * over_db)
    places = (np.arange(count) + 0.5) * CONTROL
    return band * 10.0 ** (np.interp(np.arange(len(band)), places, gain_db) / 20.0)[:, None]


def main() -> None:
    """Match."""
    target, rate = soundfile.read(sys.argv[1], always_2d=True)
    reference, reference_rate = soundfile.read(sys.argv[2], always_2d=True)
    if reference_rate != rate:
        reference = signal.resample_poly(reference, rate, reference_rate, axis=0)
    meter = pyloudnorm.Meter(rate)
    wanted = meter.integrated_loudness(reference)
    true_peak(reference)
    pairs = []
    for sign in (1.0, -1.0):
        here, there = ((sound[:, 0] + sign * sound[:, 1]) / 2.0 for sound in (target, reference))
        pairs.append(matched(here, spectrum(there, rate), rate))
    sound = np.stack([pairs[0] + pairs[1], pairs[0] - pairs[1]], axis=1)
    low = signal.sosfiltfilt(signal.butter(2, 200.0, fs=rate, output="sos"), sound, axis=0)
    high = signal.sosfiltfilt(signal.butter(2, 3000.0, "high", fs=rate, output="sos"), sound, axis=0)
    sound = compressed(low) + compressed(sound - low - high) + compressed(high)
    gain = 10.0 ** ((wanted - meter.integrated_loudness(sound)) / 20.0)
    for _ in range(2):
        loud = sound * gain
        peaks = np.abs(signal.resample_poly(loud, 4, 1, axis=0)).max(axis=1)[: 4 * len(loud)].reshape(-1, 4).max(axis=1)
        needed = np.minimum(1.0, 0.89 / np.maximum(peaks, 1e-9))
        reach = int(0.004 * rate)
        smooth = ndimage.uniform_filter1d(ndimage.minimum_filter1d(needed, 2 * reach + 1), 2 * reach + 1)
        made = loud * smooth[:, None]
        gain *= 10.0 ** ((wanted - meter.integrated_loudness(made)) / 20.0)
    true_peak(made)
    soundfile.write(sys.argv[3], np.clip(made, -1.0, 1.0), rate, subtype="PCM_24")


if __name__ == "__main__":
    main()
