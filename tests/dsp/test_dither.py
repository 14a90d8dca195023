"""Dither: the figures of TPDF noise, its independence, and what rendering again must give."""

from __future__ import annotations

import itertools

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.audio import Audio
from dsp.chain import Chain, settings_from
from dsp.effects.dither import Dither
from dsp.errors import SettingsError
from dsp.shaping import ORDER, hearing_weight, shaping_filter
from dsp.units import db_from_power

LSB = 2.0**-15
MEAN_LSB = 0.01
VARIANCE = 0.25
VARIANCE_TOLERANCE = 0.02
CORRELATION = 0.006
"""Six deviations of what a million independent samples show."""


SHAPED_RATES_HZ = (44_100, 48_000, 88_200, 96_000)


def run(samples: np.ndarray, sample_rate_hz: int = 44_100, **fields: int) -> np.ndarray:
    """One pass of the effect over (channels, samples)."""
    return Dither(**fields).processor(sample_rate_hz, samples.shape[0]).process(samples)


def mixed(z: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser in NumPy."""
    with np.errstate(over="ignore"):
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def noise(seed: int, channel: int, position: int, count: int) -> np.ndarray:
    """The triangular noise of one channel, in steps."""
    key = mixed(mixed(np.array([seed + 1], dtype=np.uint64)) + np.uint64(channel))
    with np.errstate(over="ignore"):
        at = np.arange(position, position + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        halves = mixed(key + at).astype("<u8").view("<i4").reshape(-1, 2).astype(np.float64)
    return (halves.sum(axis=1) + 1.0) / 2.0**32


def twin(samples: np.ndarray, bit_depth: int, seed: int, position: int = 0) -> np.ndarray:
    """The plain twin of the kernel."""
    steps = 2.0 ** (bit_depth - 1)
    out = np.empty_like(samples)
    for c, row in enumerate(samples):
        v = row.astype(np.float64) * steps + noise(seed, c, position, row.size)
        out[c] = np.clip(np.round(v), -steps, steps - 1.0) / steps
    return out


def shaped_twin(samples: np.ndarray, bit_depth: int, seed: int, taps: np.ndarray) -> np.ndarray:
    """The plain twin of the kernel with error feedback."""
    steps = 2.0 ** (bit_depth - 1)
    out = np.empty_like(samples)
    for c, row in enumerate(samples):
        errors = [0.0] * len(taps)
        for n, d in enumerate(noise(seed, c, 0, row.size)):
            v = float(row[n]) * steps
            for tap, error in zip(taps, errors, strict=True):
                v += float(tap) * error
            rounded = float(np.round(v + d))
            errors = [rounded - v, *errors[:-1]]
            out[c, n] = min(max(rounded, -steps), steps - 1.0) / steps
    return out


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bit_depth", "seed"), [(16, 0), (24, 5), (16, 2**32 - 1)])
def test_kernel_is_its_twin(dtype: type, bit_depth: int, seed: int) -> None:
    """The compiled loop gives, bit for bit, the samples of the plain one, loud and clamped ones too."""
    x = np.random.default_rng(1).normal(0.0, 0.5, (2, 5_000)).astype(dtype)
    y = run(x, bit_depth=bit_depth, seed=seed)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, twin(x, bit_depth, seed))
    assert np.abs(x).max() > 1.0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("bit_depth", "seed"), [(16, 0), (24, 5)])
def test_shaped_kernel_is_its_twin(dtype: type, bit_depth: int, seed: int) -> None:
    """So does the one that feeds its errors back; a multiply-add may round once less, which moves no sample here."""
    x = np.random.default_rng(1).normal(0.0, 0.5, (2, 3_000)).astype(dtype)
    y = run(x, bit_depth=bit_depth, seed=seed, shaped=True)
    assert y.dtype == dtype
    np.testing.assert_array_equal(y, shaped_twin(x, bit_depth, seed, shaping_filter(44_100)))
    assert np.abs(x).max() > 1.0


@pytest.mark.parametrize("sample_rate_hz", SHAPED_RATES_HZ)
def test_shaping_filter_takes_no_more_than_it_must(sample_rate_hz: int) -> None:
    """Minimum phase, and so a log magnitude whose mean is zero (Gerzon and Craven's bound)."""
    polynomial = np.concatenate([[1.0], shaping_filter(sample_rate_hz)])
    assert len(polynomial) == ORDER + 1
    assert np.abs(np.roots(polynomial)).max() < 0.98
    magnitude_db = 20.0 * np.log10(np.abs(np.fft.fft(polynomial, 1 << 16)))
    assert abs(magnitude_db.mean()) < 1e-3


@pytest.mark.parametrize(("sample_rate_hz", "heard_less_db"), [(44_100, 13.5), (48_000, 14.5)])
def test_shaped_noise_is_heard_less(sample_rate_hz: int, heard_less_db: float) -> None:
    """Under the ear's weighting the noise falls; its spectrum is the filter's, and its mean is zero."""
    n = 1 << 17
    x = 0.3 * np.sin(2.0 * np.pi * 997.0 * np.arange(n) / sample_rate_hz)[None]
    frequency_hz = np.fft.rfftfreq(4096, 1.0 / sample_rate_hz)
    powers = {}
    for shaped in (False, True):
        error_lsb = (run(x, sample_rate_hz, bit_depth=16, shaped=shaped) - x)[0] / LSB
        assert abs(error_lsb.mean()) < MEAN_LSB
        powers[shaped] = (np.abs(np.fft.rfft(error_lsb.reshape(-1, 4096) * np.hanning(4096))) ** 2).mean(axis=0)
    heard = {shaped: np.sum(hearing_weight(frequency_hz) * power) for shaped, power in powers.items()}
    assert db_from_power(heard[False] / heard[True]) > heard_less_db
    drawn = np.abs(np.fft.rfft(np.concatenate([[1.0], shaping_filter(sample_rate_hz)]), 4096)) ** 2
    measured = powers[True] / powers[False].mean()
    loud = drawn > 0.01 * drawn.max()
    assert np.abs(10.0 * np.log10(measured[loud] / drawn[loud])).mean() < 1.0


@pytest.mark.parametrize("level_lsb", np.linspace(-1.0, 1.0, 5))
def test_shaped_error_does_not_depend_on_the_level(level_lsb: float) -> None:
    """Neither does the power of the shaped noise move with the sound."""
    x = np.full((1, 250_000), level_lsb * LSB)
    error_lsb = (run(x, bit_depth=16, shaped=True) - x) / LSB
    total = VARIANCE * (1.0 + float(np.sum(shaping_filter(44_100) ** 2)))
    assert abs(error_lsb.mean()) < MEAN_LSB
    assert error_lsb.var() == pytest.approx(total, rel=VARIANCE_TOLERANCE)


@pytest.mark.parametrize("level_lsb", np.linspace(-1.0, 1.0, 9))
def test_error_does_not_depend_on_the_level(level_lsb: float) -> None:
    """Mean error 0 and variance 1/12 + 1/6 LSB² at every DC level: neither distortion nor noise modulation."""
    x = np.full((1, 250_000), level_lsb * LSB)
    error_lsb = (run(x, bit_depth=16) - x) / LSB
    assert abs(error_lsb.mean()) < MEAN_LSB
    assert error_lsb.var() == pytest.approx(VARIANCE, rel=VARIANCE_TOLERANCE)


@pytest.mark.parametrize(("bit_depth", "rms_dbfs"), [(16, -96.33), (24, -144.49)])
def test_noise_floor(bit_depth: int, rms_dbfs: float) -> None:
    """The noise of dither and rounding together is as loud as theory says."""
    x = np.random.default_rng(2).uniform(-0.5, 0.5, (2, 200_000))
    error = run(x, bit_depth=bit_depth) - x
    assert db_from_power(float(np.mean(error**2))) == pytest.approx(rms_dbfs, abs=0.05)


def harmonics_over_noise(y: np.ndarray, bin_: int) -> np.ndarray:
    """Power of harmonics 2 to 12 of a sine at `bin_`, over the mean power of a bin."""
    power = np.abs(np.fft.rfft(y)) ** 2
    at = bin_ * np.arange(2, 13)
    return power[at] / np.delete(power, np.r_[0, bin_, at]).mean()


def test_shaped_sine_grows_no_harmonics() -> None:
    """Over the noise that is around each of them, for it is not flat."""
    n, bin_ = 2**19, 11_003
    x = 1e-5 * np.sin(2.0 * np.pi * bin_ * np.arange(n) / n)[None]
    power = np.abs(np.fft.rfft(run(x, bit_depth=16, shaped=True)[0])) ** 2
    for harmonic in range(2, 23):
        around = np.delete(power[harmonic * bin_ - 200 : harmonic * bin_ + 201], 200)
        assert power[harmonic * bin_] / around.mean() < 15.0
    near = np.delete(power[bin_ - 200 : bin_ + 201], 200)
    assert power[bin_] / near.mean() > 300.0


@pytest.mark.parametrize("level_dbfs", [-100.0, -84.0])
def test_sine_near_the_last_bit(level_dbfs: float) -> None:
    """A sine below or about one step keeps its level and grows no harmonics; rounding alone fails at both."""
    n, bin_ = 2**19, 11_003
    amplitude = 10.0 ** (level_dbfs / 20.0)
    x = amplitude * np.sin(2.0 * np.pi * bin_ * np.arange(n) / n)[None]
    y = run(x, bit_depth=16)[0]
    assert 2.0 * np.abs(np.fft.rfft(y)[bin_]) / n == pytest.approx(amplitude, rel=0.05)
    assert harmonics_over_noise(y, bin_).max() < 15.0
    rounded = np.round(x[0] / LSB) * LSB
    assert not rounded.any() or harmonics_over_noise(rounded, bin_).max() > 1_000.0


def test_noise_is_white_and_its_own_in_every_channel() -> None:
    """No correlation between channels, seeds, or neighbouring samples."""
    x = np.zeros((2, 1_000_000))
    left, right = run(x, bit_depth=16)
    other_seed = run(x[:1], bit_depth=16, seed=1)[0]
    for a, b in [(left, right), (left, other_seed), (right, other_seed), *((left[k:], left[:-k]) for k in (1, 2, 3))]:
        assert abs(np.corrcoef(a, b)[0, 1]) < CORRELATION
    np.testing.assert_array_equal(left, run(x[:1], bit_depth=16)[0])


@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.integers(0, 3_000), max_size=6), bit_depth=st.sampled_from([16, 24]), shaped=st.booleans())
def test_blocks_make_no_difference(cuts: list[int], bit_depth: int, shaped: bool) -> None:
    """However the stream is cut, empty blocks included, the samples are the same."""
    x = np.random.default_rng(3).normal(0.0, 0.3, (2, 3_000)).astype(np.float32)
    edges = [0, *sorted(cuts), x.shape[1]]
    processor = Dither(bit_depth=bit_depth, seed=9, shaped=shaped).processor(44_100, 2)
    parts = [processor.process(x[:, a:b]) for a, b in itertools.pairwise(edges)]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), run(x, bit_depth=bit_depth, seed=9, shaped=shaped))


def test_positions_beyond_32_bits() -> None:
    """The noise goes on, and does not repeat, after 2^32 samples."""
    x = np.zeros((1, 4_096))
    processor = Dither(bit_depth=16).processor(192_000, 1)
    processor.position = 2**32
    late = processor.process(x)
    np.testing.assert_array_equal(late, twin(x, 16, 0, position=2**32))
    assert not np.array_equal(late, run(x, bit_depth=16))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bit_depth", [16, 24])
def test_samples_lie_on_the_steps(dtype: type, bit_depth: int) -> None:
    """What comes out is a whole number of steps within full scale, exactly, in float32 as well."""
    x = np.random.default_rng(4).normal(0.0, 0.4, (2, 50_000)).astype(dtype)
    before = x.copy()
    steps = run(x, bit_depth=bit_depth).astype(np.float64) * 2 ** (bit_depth - 1)
    np.testing.assert_array_equal(steps, np.round(steps))
    assert steps.min() == -(2 ** (bit_depth - 1))
    assert steps.max() == 2 ** (bit_depth - 1) - 1
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("bit_depth", [16, 24])
def test_shaped_samples_lie_on_the_steps(bit_depth: int) -> None:
    """Clamped ones too, and what is cut off there is not pushed into the samples that follow."""
    x = np.random.default_rng(4).normal(0.0, 0.4, (2, 20_000))
    x[:, 5_000:6_000] = 3.0
    y = run(x, bit_depth=bit_depth, shaped=True)
    steps = y * 2 ** (bit_depth - 1)
    np.testing.assert_array_equal(steps, np.round(steps))
    assert np.abs(y - x)[:, 6_000:][np.abs(x[:, 6_000:]) < 0.9].max() < 40.0 / 2 ** (bit_depth - 1)


def test_overs_are_counted_and_nan_stays() -> None:
    """Clamped samples are in the report, samples inside are not; NaN is not hidden in a full-scale spike."""
    processor = Dither(bit_depth=16).processor(44_100, 1)
    processor.process(np.array([[2.0, -1.5, 0.99, -0.99, np.inf]]))
    assert processor.measured() == {"clamped_samples": 3}
    assert np.isnan(run(np.array([[np.nan]]), bit_depth=16)).all()


def test_default_changes_nothing() -> None:
    """Without a bit depth the effect is neutral, in a chain and on its own."""
    audio = Audio(np.random.default_rng(5).normal(0.0, 0.1, (2, 1_000)), 44_100)
    assert Dither().is_neutral()
    np.testing.assert_array_equal(Chain((Dither(),))(audio).samples, audio.samples)
    np.testing.assert_array_equal(run(audio.samples), audio.samples)
    assert not Dither(bit_depth=16).scaled(0.0).is_neutral()


@pytest.mark.parametrize(
    "fields", [{"bit_depth": 17}, {"bit_depth": 16.0}, {"seed": -1}, {"seed": 1.5}, {"seed": 2**32}, {"shaped": 1}]
)
def test_wrong_settings_are_refused(fields: dict[str, float]) -> None:
    """Depths and seeds that are not allowed are named, built or decoded."""
    name = next(iter(fields))
    with pytest.raises(SettingsError, match=f"dither.{name}"):
        Dither(**fields)
    if fields != {"bit_depth": 16.0}:  # JSON has one kind of number: 16.0 is 16 there
        with pytest.raises(SettingsError):
            settings_from({"effect": "dither", **fields})


def test_json_round_trip() -> None:
    """What a plan stores gives the same settings."""
    step = Dither(bit_depth=24, seed=11)
    assert settings_from(msgspec.json.decode(msgspec.json.encode(step))) == step
