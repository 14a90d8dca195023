"""The second opinion: an independent true peak, and what it says of a file that is not what was promised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from matcher import analyze
from matcher.verifying import DisagreementError, true_peak_dbtp, verify


@pytest.mark.parametrize("length", [1000, 65_536, 65_537, 200_000])
@pytest.mark.parametrize("at", [0, 0.5, 1])
def test_true_peak_is_that_of_the_whole_signal(length: int, at: float) -> None:
    """In pieces it reads what SciPy's resampler reads at once, wherever the peak lies."""
    samples = np.random.default_rng(1).normal(0.0, 0.05, length)
    place = min(int(at * length), length - 2)
    samples[place : place + 2] = 0.7
    window = ("kaiser", 8.0)
    taps = signal.firwin(16 * 128 + 1, 1.0 / 16.0, window=window)
    whole = np.abs(signal.resample_poly(np.pad(samples, 200), 16, 1, window=taps)).max()
    assert true_peak_dbtp(samples) == pytest.approx(20.0 * np.log10(whole), abs=0.01)


def test_true_peak_between_samples() -> None:
    """A quarter of the rate at 45 degrees peaks 3.01 dB above its samples."""
    sine = 0.5 * np.sin(0.5 * np.pi * np.arange(48_000) + 0.25 * np.pi) * signal.windows.tukey(48_000, 0.2)
    assert true_peak_dbtp(sine) == pytest.approx(-6.02, abs=0.02)


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        ({"length_samples": 7}, "length reads back as"),
        ({"sample_rate_hz": 48_000}, "sample rate reads back as 44100"),
        ({"channels": 1}, "channels reads back as 2"),
        ({"integrated_lufs": -3.0}, "our meter -3.00"),
        ({"true_peak_dbtp": 2.0}, "ours 2.00"),
    ],
)
def test_what_was_not_promised_is_named(mix_file: Path, claim: dict[str, float], said: str) -> None:
    """Length, rate, channels, loudness and peak, each by itself; the true figures pass."""
    ours = analyze(mix_file)
    read = verify(mix_file, ours, None)
    assert read.integrated_lufs == pytest.approx(ours.integrated_lufs, abs=0.1)
    with pytest.raises(DisagreementError, match=said):
        verify(mix_file, replace(ours, **claim), None)
    assert mix_file.exists()


def test_a_peak_above_the_ceiling_is_named(mix_file: Path) -> None:
    """More than 0.05 dB above what was asked."""
    ours = analyze(mix_file)
    verify(mix_file, ours, ours.true_peak_dbtp)
    with pytest.raises(DisagreementError, match="above the ceiling of -20"):
        verify(mix_file, ours, -20.0)
