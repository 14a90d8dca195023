"""The rule-based baseline: a 2048-tap EQ to the reference's mean spectrum, then a compressor until it is as loud.

    python rules.py TARGET REFERENCE OUTPUT

As in the style-transfer literature: both spectra smoothed, their ratio made a linear-phase FIR filter; the peak put
where the reference has it (-12 dBFS in that protocol); then the threshold, to half a decibel, that is as loud.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import signal

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from judging.chains import compressed
from judging.sound import RATE_HZ, Sound, at_peak, lufs, read, write

TAPS = 2048
SIZE = 65_536
CLOSE_LU, STEP_DB, DEEPEST_DB = 0.25, 0.5, 80.0


def mean_spectrum(sound: Sound) -> np.ndarray:
    """Smoothed mean magnitude of both channels."""
    _, _, frames = signal.stft(sound.T, RATE_HZ, nperseg=SIZE)
    mean = np.abs(frames).mean(axis=(0, 2))
    return np.maximum(signal.savgol_filter(mean, 1025, 2), mean.max() * 1e-5)


def processed(target: Sound, reference: Sound) -> Sound:
    """The target through EQ and compressor, with the reference's peak."""
    ratio = mean_spectrum(reference) / mean_spectrum(target)
    taps = signal.firwin2(TAPS + 1, np.linspace(0.0, 1.0, len(ratio)), ratio)
    filtered = signal.fftconvolve(target, taps[:, None], axes=0)[TAPS // 2 :][: len(target)]
    peak_dbfs = float(20.0 * np.log10(np.abs(reference).max()))
    made = shaped = at_peak(filtered, peak_dbfs)
    wanted, low_db, high_db = lufs(reference), peak_dbfs - DEEPEST_DB, peak_dbfs
    # The lower the threshold the louder, once the peak is put back: halved as often as half a decibel asks for.
    while wanted - lufs(made) > CLOSE_LU and high_db - low_db > STEP_DB:
        threshold_db = (low_db + high_db) / 2.0
        tried = at_peak(compressed(shaped, threshold_db, 3.0, 1.0, 50.0), peak_dbfs)
        if lufs(tried) < wanted:
            high_db, made = threshold_db, tried
        else:
            low_db = threshold_db
    return made


def main() -> None:
    """Read, process, write."""
    target, reference, output = map(Path, sys.argv[1:4])
    write(output, processed(read(target), read(reference)))


if __name__ == "__main__":
    main()
