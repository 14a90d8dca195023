"""How far apart the sources of a stereo track lie."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp.meters.image import HIGHEST_DB, LOWEST_DB, OCTAVES_HZ, SHARES, ImageMeter, quantiles_db

RATE_HZ = 44_100
Stereo = NDArray[np.float64]


def counts(samples: Stereo, rate_hz: int = RATE_HZ, block: int = 65_536) -> NDArray[np.int64]:
    meter = ImageMeter(rate_hz)
    for start in range(0, samples.shape[1], block):
        meter.update(samples[:, start : start + block])
    return meter.result()


@pytest.fixture(scope="module")
def noise() -> Stereo:
    """Ten seconds of two channels that have nothing to do with each other."""
    return np.random.default_rng(1).normal(0.0, 0.1, (2, 10 * RATE_HZ))


def widened(samples: Stereo, gain_db: float) -> Stereo:
    mid, side = samples.mean(axis=0), (samples[0] - samples[1]) / 2.0 * 10.0 ** (gain_db / 20.0)
    return np.stack([mid + side, mid - side])


def test_agrees_with_plain_counting(noise: Stereo) -> None:
    """Window by window, point by point."""
    samples = widened(noise[:, : 2 * RATE_HZ], -6.0)
    size, hop = 4096, 4410
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(size) / size)
    padded = np.pad(samples, ((0, 0), (2 * size, 2 * size)))
    hz = np.arange(size // 2 + 1) * RATE_HZ / size
    expected = np.zeros((2, HIGHEST_DB - LOWEST_DB), dtype=int)
    for index in range(-1, 21):
        start = int((index + 0.5) * hop) - size // 2 + 2 * size
        left, right = np.fft.rfft(padded[:, start : start + size] * window)
        with np.errstate(divide="ignore", invalid="ignore"):
            away_db = 20.0 * np.log10(np.abs(left - right) / np.abs(left + right))
        for octave, (low, high) in enumerate(OCTAVES_HZ):
            for value in away_db[(hz >= low) & (hz < high)]:
                if np.isfinite(value):
                    expected[octave, int(np.clip(np.floor(value) - LOWEST_DB, 0, expected.shape[1] - 1))] += 1
    np.testing.assert_array_equal(counts(samples), expected)


def test_hard_left_and_independent_channels_lie_around_0_db(noise: Stereo) -> None:
    """Of one channel alone every point does, of two the middle one."""
    one_channel = noise * [[1.0], [0.0]]
    assert counts(one_channel)[:, -LOWEST_DB - 1 : -LOWEST_DB + 1].sum() == counts(one_channel).sum() > 10_000
    np.testing.assert_allclose(quantiles_db(counts(noise))[[0, 6]], 0.0, atol=0.3)


@pytest.mark.parametrize("gain_db", [-7.0, 3.0])
def test_a_change_of_width_moves_all_points_alike(noise: Stereo, gain_db: float) -> None:
    """By exactly its dB."""
    inside = slice(10, -10)  # what is pushed out at either end is counted there
    moved = np.roll(counts(noise), int(gain_db), axis=1)
    np.testing.assert_array_equal(counts(widened(noise, gain_db))[:, inside], moved[:, inside])
    moved_db = quantiles_db(counts(widened(noise, gain_db))) - quantiles_db(counts(noise))
    np.testing.assert_allclose(moved_db, gain_db, atol=1e-9)


def test_level_and_equalizing_change_nothing(noise: Stereo) -> None:
    """Of a filter that both channels went through, no more than its own ringing."""
    quieter = 0.01 * (noise[:, 1:] - 0.7 * noise[:, :-1])
    np.testing.assert_array_equal(counts(0.5 * noise), counts(noise))
    np.testing.assert_allclose(quantiles_db(counts(quieter)), quantiles_db(counts(noise)), atol=0.2)


def test_silence_and_blocks_make_no_difference(noise: Stereo) -> None:
    """Whole steps of the grid before the music, anything behind it, and blocks of any length."""
    padded = np.pad(noise, ((0, 0), (3 * RATE_HZ // 10, RATE_HZ)))
    np.testing.assert_array_equal(counts(padded), counts(noise))
    np.testing.assert_array_equal(counts(noise, block=1234), counts(noise))


def test_what_is_not_heard_is_not_counted(noise: Stereo) -> None:
    """Points 60 dB below the others of their window: those where a tone is not."""
    tone = np.sin(2.0 * np.pi * 1000.0 * np.arange(5 * RATE_HZ) / RATE_HZ)
    assert 0 < counts(np.stack([tone, tone])).sum() < 0.4 * counts(noise[:, : 5 * RATE_HZ]).sum()


def test_one_channel_has_no_image(noise: Stereo) -> None:
    """And no points."""
    assert not counts(noise[:1]).any()


def test_quantiles_are_those_of_the_points() -> None:
    """To within the dB that they are counted in."""
    points_db = np.random.default_rng(2).normal(-5.0, 6.0, 20_000)
    counted = np.histogram(points_db, np.arange(LOWEST_DB, HIGHEST_DB + 1))[0]
    found_db = quantiles_db(np.stack([counted, counted]))
    np.testing.assert_allclose(found_db.reshape(2, -1)[1], np.quantile(points_db, SHARES), atol=0.15)


def test_other_sample_rates_see_the_same() -> None:
    """48 and 96 kHz, from the same sound."""
    soxr = pytest.importorskip("soxr")
    left, right = np.random.default_rng(3).normal(0.0, 0.1, (2, 20 * RATE_HZ))
    samples = np.stack([left + 0.4 * right, 0.2 * left + right])
    usual = quantiles_db(counts(samples))
    for rate_hz in (48_000, 96_000):
        there = soxr.resample(samples.T, RATE_HZ, rate_hz).T
        np.testing.assert_allclose(quantiles_db(counts(np.ascontiguousarray(there), rate_hz)), usual, atol=0.5)
