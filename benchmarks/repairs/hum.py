"""Hum removal beside notches: how far added hum of known lines goes down, and how much of the music goes with it.

The hum has eight lines, differs between the channels and drifts by up to 0.05 Hz/s. Notches act on music and hum by
themselves, which they can since they are linear. `Dehum` subtracts what was measured, whatever it is given: all that
it gets wrong, hum left and music taken alike, is one difference from the true hum, and is charged to both columns.
`told` is the same kind of estimate by somebody who knows that there is hum, which lines it has, how its fundamental
drifts and that no line's amplitude moves: what the music leaves to be known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import iirnotch, lfilter, resample_poly

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.restoration.humdetection import HumDetector

Signal = NDArray[np.float64]

LINES = {1: 0.0, 2: -4.0, 3: -2.0, 4: -12.0, 5: -9.0, 6: -16.0, 7: -14.0, 9: -18.0}
"""Harmonic to level, dB."""
NOTCH_HZ = 1.0


@dataclass(frozen=True)
class Row:
    """One excerpt with one hum: how far the hum went down, and the music's change re the music, both in dB."""

    name: str
    mains_hz: float
    level_dbfs: float
    tool: str
    hum_down_db: float
    music_changed_db: float


def drifting_cycles(length: int, sample_rate_hz: int, mains_hz: float) -> Signal:
    """The fundamental's phase, in turns, of a hum that swings by 0.2 Hz, at most 0.045 Hz/s; (length,)."""
    t = np.arange(length) / sample_rate_hz
    return np.asarray(np.cumsum(mains_hz + 0.2 * np.sin(0.225 * t)) / sample_rate_hz)


def drifting_hum(
    length: int, sample_rate_hz: int, mains_hz: float, level_dbfs: float, *, channels: int = 2, seed: int = 3
) -> Signal:
    """Hum of `LINES` on `drifting_cycles`, with an RMS of `level_dbfs`; (channels, length)."""
    rng = np.random.default_rng(seed)
    cycles = drifting_cycles(length, sample_rate_hz, mains_hz)
    out = np.zeros((channels, length))
    for harmonic, db in LINES.items():
        for channel in range(channels):
            phase = harmonic * cycles + rng.random()
            out[channel] += (1.0 - 0.3 * channel) * 10.0 ** (db / 20.0) * np.cos(2.0 * np.pi * phase)
    return out * 10.0 ** (level_dbfs / 20.0) / np.sqrt(np.mean(out**2))


def db(part: Signal, whole: Signal) -> float:
    """Power of `part` re `whole`."""
    return float(10.0 * np.log10(max(np.mean(part**2), 1e-30) / np.mean(whole**2)))


def notches(samples: Signal, sample_rate_hz: int, mains_hz: float) -> Signal:
    """The plain way: a fixed notch at every line that is known to be there."""
    for harmonic in LINES:
        b, a = iirnotch(harmonic * mains_hz, harmonic * mains_hz / NOTCH_HZ, fs=sample_rate_hz)
        samples = lfilter(b, a, samples)
    return samples


def told_wrong_power(music: Signal, hum: Signal, sample_rate_hz: int, mains_hz: float) -> float:
    """Mean power a channel of what `told` gets wrong.

    Least squares over frames of two seconds, each worth as much as is quiet beside the line and as it agrees with the
    rest. Weights come from the mixture; what they make of the music by itself is the error.
    """
    factor = sample_rate_hz // 2900
    cycles = drifting_cycles(music.shape[1], sample_rate_hz, mains_hz)[::factor]
    apart, mixed = (resample_poly(part, 1, factor, axis=1) for part in (music, music + hum))
    hop = sample_rate_hz // factor
    size = 2 * hop
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(size) + 0.5) / size)
    beside = np.exp(-2j * np.pi * np.outer(np.arange(size), [0, -6, -5, -4, -3, 3, 4, 5, 6]) / size)
    weighed = (2.0 / hann.sum()) * hann[:, None] * beside

    def frames(signal: Signal, harmonic: int) -> NDArray[np.complex128]:
        shifted = signal * np.exp(-2j * np.pi * harmonic * cycles)
        return np.asarray(np.lib.stride_tricks.sliding_window_view(shifted, size)[::hop] @ weighed)

    wrong = 0.0
    for harmonic in LINES:
        for alone, with_hum in zip(apart, mixed, strict=True):
            seen = frames(with_hum, harmonic)
            line, noise = seen[:, 0], np.median(np.abs(seen[:, 1:]) ** 2, axis=1) + 1e-16
            weight = 1.0 / noise
            for _ in range(5):
                weight = 1.0 / (noise + np.abs(line - np.average(line, weights=weight)) ** 2 / 4.0)
            wrong += 0.5 * np.abs(np.average(frames(alone, harmonic)[:, 0], weights=weight)) ** 2 / len(music)
    return float(wrong)


def rows(excerpts: list[tuple[str, Audio]], *, strong: bool = True) -> list[Row]:
    """Each excerpt with hum of 50 and 60 Hz at three levels by each tool; give it a minute or more."""
    found = []
    for name, audio in excerpts:
        music = audio.samples.astype(np.float64)
        for mains_hz, level_dbfs in ((50.0, -30.0), (60.0, -40.0), (50.0, -50.0)):
            hum = drifting_hum(audio.length_samples, audio.sample_rate_hz, mains_hz, level_dbfs, channels=len(music))
            detector = HumDetector(audio.sample_rate_hz, len(music), strong=strong)
            detector.update(music + hum)
            repair = detector.result().settings()
            wrong = hum
            if repair is not None:
                silence = Audio(np.zeros_like(music), audio.sample_rate_hz)
                wrong = hum + Chain((repair,))(silence).samples
            changed = db(wrong, music) if repair is not None else -300.0
            found.append(Row(name, mains_hz, level_dbfs, "dehum", -db(wrong, hum), changed))
            power = told_wrong_power(music, hum, audio.sample_rate_hz, mains_hz)
            down, changed = (10.0 * np.log10(power / np.mean(part**2)) for part in (hum, music))
            found.append(Row(name, mains_hz, level_dbfs, "told", -down, changed))
            left = notches(hum, audio.sample_rate_hz, mains_hz)
            taken = notches(music, audio.sample_rate_hz, mains_hz) - music
            found.append(Row(name, mains_hz, level_dbfs, "notches", -db(left, hum), db(taken, music)))
    return found
