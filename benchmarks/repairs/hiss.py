"""Noise reduction beside spectral subtraction and a plain Wiener filter, on hiss of a known level and colour.

Every tool is told the same noise spectrum and may reduce by as much. An oracle that knows the clean power of each cell
shows what gains could reach at all: where music covers all of the spectrum, little can be won.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import istft, stft

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.restoration.denoise import Denoise, NoiseDetector

Signal = NDArray[np.float64]
REDUCTION_DB = 15.0
SIZE = 2048


@dataclass(frozen=True)
class Row:
    """One noise in one excerpt.

    snr_gain_db: of the whole; distortion_db: log-spectral, RMS over cells with 10 dB or more above the noise, and
    what it was before; kurtosis_ratio: of the power of cells that hold noise alone, after re before (1: no chirping).
    """

    name: str
    colour: str
    snr_db: float
    tool: str
    snr_gain_db: float
    distortion_db: float
    distortion_before_db: float
    kurtosis_ratio: float


def hiss(shape: tuple[int, int], colour: str, seed: int = 5) -> Signal:
    """White noise, or pink from about 20 Hz on, with an RMS of 1."""
    noise = np.random.default_rng(seed).normal(size=shape)
    if colour == "pink":
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), spectrum.shape[1] / 1000.0))
        noise = np.fft.irfft(spectrum, shape[1])
    return noise / np.sqrt(np.mean(noise**2))


def cells(samples: Signal, sample_rate_hz: int) -> NDArray[np.complex128]:
    """Time-frequency cells, (channels, bins, frames)."""
    return stft(samples, sample_rate_hz, nperseg=SIZE, noverlap=SIZE - SIZE // 4)[2]


def _by_gains(gains: Callable[[Signal, Signal], Signal], noisy: Signal, noise: Signal, rate: int) -> Signal:
    """Gains from the noisy power and the mean noise power of each bin, never below the floor."""
    found = cells(noisy, rate)
    mean = np.mean(np.abs(cells(noise, rate)) ** 2, axis=2, keepdims=True)
    cleaned = found * np.maximum(gains(np.abs(found) ** 2, mean), 10.0 ** (-REDUCTION_DB / 20.0))
    return istft(cleaned, rate, nperseg=SIZE, noverlap=SIZE - SIZE // 4)[1][:, : noisy.shape[1]]


def spectral_subtraction(power: Signal, noise: Signal) -> Signal:
    """Boll 1979, on powers."""
    return np.sqrt(np.maximum(1.0 - noise / np.maximum(power, 1e-30), 0.0))


def wiener(power: Signal, noise: Signal) -> Signal:
    """The Wiener gain with the SNR each cell shows."""
    snr = np.maximum(power / noise - 1.0, 0.0)
    return snr / (1.0 + snr)


def told(noise: Signal, rate: int) -> Denoise:
    """The repair for a stretch of noise alone."""
    detector = NoiseDetector(rate, len(noise), span_s=(0.0, noise.shape[1] / rate))
    detector.update(noise)
    repair = detector.result().settings(REDUCTION_DB)
    assert repair is not None
    return repair


def kurtosis_ratio(clean: Signal, noisy: Signal, out: Signal, noise: Signal) -> float:
    """Kurtosis of cell powers where there is noise alone, after re before; nan where music is everywhere."""
    alone = clean < 0.01 * noise
    ratios = []
    for b in range(clean.shape[1]):
        here = alone[:, b]
        if here.sum() >= 200:
            before, after = noisy[:, b][here], out[:, b][here]
            ratios.append(np.mean(after**2) / np.mean(after) ** 2 / (np.mean(before**2) / np.mean(before) ** 2))
    return float(np.mean(ratios)) if ratios else float("nan")


def rows(excerpts: list[tuple[str, Audio]]) -> list[Row]:
    """Each excerpt with white and pink hiss 30, 40 and 50 dB below it, by every tool."""
    found = []
    for name, audio in excerpts:
        music, rate = audio.samples.astype(np.float64), audio.sample_rate_hz
        clean = np.abs(cells(music, rate)) ** 2
        for colour, snr_db in (("white", 30.0), ("white", 40.0), ("pink", 40.0), ("white", 50.0)):
            level = np.sqrt(np.mean(music**2)) * 10.0 ** (-snr_db / 20.0)
            noise = level * hiss((music.shape[0], music.shape[1]), colour)
            noisy = music + noise
            mean = np.mean(np.abs(cells(noise, rate)) ** 2, axis=2, keepdims=True)
            before = np.abs(cells(noisy, rate)) ** 2
            hot = clean > 10.0 * mean

            def distortion(power: Signal, hot: NDArray[np.bool_] = hot) -> float:
                ratio = (power[hot] + 1e-20) / (clean[hot] + 1e-20)  # noqa: B023
                return float(np.sqrt(np.mean((10.0 * np.log10(ratio)) ** 2)))

            def oracle(power: Signal, noise_power: Signal) -> Signal:
                return clean / (clean + noise_power)  # noqa: B023

            made = {
                "denoise": Chain((told(noise[:, : 8 * rate], rate),))(Audio(noisy, rate)).samples,
                "subtraction": _by_gains(spectral_subtraction, noisy, noise, rate),
                "wiener": _by_gains(wiener, noisy, noise, rate),
                "oracle": _by_gains(oracle, noisy, noise, rate),
            }
            for tool, out in made.items():
                power = np.abs(cells(out, rate)) ** 2
                gain = 10.0 * np.log10(np.sum(noise**2) / np.sum((out - music) ** 2))
                kurtosis = kurtosis_ratio(clean, before, power, mean)
                found.append(Row(name, colour, snr_db, tool, gain, distortion(power), distortion(before), kurtosis))
    return found
