"""Rate conversion between all studio rates: flat to 20 kHz, no alias, nothing shifted, exact length."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from dsp.audio import Audio
from matcher.io import open_audio, read_audio, resampled_length_samples

RATES_HZ = (44_100, 48_000, 88_200, 96_000, 192_000)
PAIRS = list(itertools.permutations(RATES_HZ, 2))
PASSBAND_DB, ALIAS_DB = 0.01, -120.0


def converted(samples: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """One channel, as the engine converts it."""
    audio = Audio(samples[None].astype(np.float64), from_hz)
    return read_audio(open_audio(audio), sample_rate_hz=to_hz).samples[0]


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_passband_and_alignment(from_hz: int, to_hz: int) -> None:
    """An impulse comes out at its very place, symmetric, with a flat spectrum."""
    ratio = math.gcd(from_hz, to_hz)
    up, down = to_hz // ratio, from_hz // ratio
    at = down * math.ceil(0.5 * from_hz / down)
    x = np.zeros(2 * at + 1)
    x[at] = 1.0
    y = converted(x, from_hz, to_hz)
    assert len(y) == resampled_length_samples(len(x), from_hz, to_hz) == int(len(x) * to_hz / from_hz + 0.5)
    centre = at * up // down
    assert int(np.argmax(np.abs(y))) == centre
    reach = 4_000
    around = y[centre - reach : centre + reach + 1]
    np.testing.assert_allclose(around, around[::-1], rtol=0.0, atol=1e-9)
    spectrum = np.fft.rfft(np.roll(around, -reach)) * from_hz / to_hz
    hz = np.fft.rfftfreq(len(around), 1.0 / to_hz)
    gain_db = 20.0 * np.log10(np.abs(spectrum[hz <= 20_000.0]))
    assert np.abs(gain_db).max() <= PASSBAND_DB
    assert np.abs(np.angle(spectrum[hz <= 20_000.0])).max() < 1e-4


def level_db(y: np.ndarray, *, without_hz: float | None = None, rate_hz: int = 1) -> float:
    """The highest line of a windowed spectrum, 0 dB for a full-scale sine; but for what lies around one frequency."""
    window = np.blackman(len(y)) ** 2
    power = np.abs(np.fft.rfft(y * window)) * 2.0 / window.sum()
    if without_hz is not None:
        hz = np.fft.rfftfreq(len(y), 1.0 / rate_hz)
        power = power[np.abs(hz - without_hz) > 200.0]
    return float(20.0 * np.log10(power.max() + 1e-20))


@pytest.mark.parametrize(("from_hz", "to_hz"), PAIRS)
def test_no_alias_and_no_image(from_hz: int, to_hz: int) -> None:
    """Tones that the new rate cannot hold vanish; tones that it can bring no others with them."""
    time = np.arange(from_hz) / from_hz
    nyquist = to_hz / 2.0
    gone = [f for share in (1.0005, 1.02, 1.2, 1.5, 1.9) if (f := nyquist * share) < 0.499 * from_hz]
    for hz in gone:
        y = converted(np.sin(2.0 * np.pi * hz * time), from_hz, to_hz)
        assert level_db(y[to_hz // 4 : -to_hz // 4]) <= ALIAS_DB, f"{hz} Hz"
    for hz in (997.0, 10_007.0, 19_997.0):
        y = converted(np.sin(2.0 * np.pi * hz * time), from_hz, to_hz)
        assert level_db(y[to_hz // 4 : -to_hz // 4], without_hz=hz, rate_hz=to_hz) <= ALIAS_DB, f"{hz} Hz"
