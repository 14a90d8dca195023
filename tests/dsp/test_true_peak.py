"""True peak against analytic sines, EBU Tech 3341 and a plain twin that skips nothing."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import firwin, oaconvolve

from dsp.errors import AudioError
from dsp.meters.true_peak import TruePeakMeter, interpolator
from dsp.units import FLOOR_DB

RATES_HZ = (44_100, 48_000, 96_000, 69_313)
SINE_DB, UNDER_DB, OVER_DB = 0.02, 0.14, 0.02
TWIN_DB = 1e-9


def measured(samples, rate=48_000, cuts=()):
    meter = TruePeakMeter(rate, samples.shape[0])
    for a, b in itertools.pairwise([0, *sorted(cuts), samples.shape[1]]):
        meter.update(samples[:, a:b])
    return meter.result()


def twin_db(channel):
    """True peak by eight whole convolutions."""
    padded = np.pad(np.asarray(channel, dtype=np.float64), 127)
    return 20 * np.log10(max(np.abs(np.convolve(padded, taps[::-1], "valid")).max() for taps in interpolator()))


def faded(samples, fade):
    ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(fade) + 0.5) / fade)
    shape = np.ones(samples.size)
    shape[:fade], shape[-fade:] = ramp, ramp[::-1]
    return samples * shape


def sine(frequency, phase, amplitude=1.0, *, samples=6000, fade=1500):
    """A sine of `frequency` in cycles per sample, faded in and out, shape (1, samples)."""
    return amplitude * faded(np.sin(2 * np.pi * frequency * np.arange(samples) + phase), fade)[None]


# --- EBU Tech 3341


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize(
    ("case", "divisor", "degrees", "amplitude"),
    [(15, 4, 0, 0.5), (16, 4, 45, 0.5), (17, 6, 60, 0.5), (18, 8, 67.5, 0.5), (19, 4, 45, 1.41)],
)
def test_sine_case(rate, case, divisor, degrees, amplitude):
    """Tech 3341 cases 15 to 19 are read to 0.02 dB of what they are, wherever the samples fall."""
    tone = sine(1 / divisor, np.radians(degrees), amplitude, samples=rate // 5, fade=rate // 100)
    read = measured(np.repeat(tone, 2, axis=0), rate).peak_dbtp
    nominal = {15: -6.0, 16: -6.0, 17: -6.0, 18: -6.0, 19: 3.0}[case]
    assert nominal - 0.4 <= read <= nominal + 0.2
    assert read == pytest.approx(20 * np.log10(amplitude), abs=SINE_DB)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize(("case", "offset"), [(20, 0), (21, 1), (22, 2), (23, 3)])
def test_burst_case(rate, case, offset):
    """Tech 3341 cases 20 to 23: one period at full scale hides in a tone of half of it, at every sampling phase."""
    tone = 0.5 * np.sin(2 * np.pi * np.arange(24 * 200) / 24)
    burst = np.sin(2 * np.pi * np.arange(16) / 16)
    fine = faded(np.concatenate([tone, burst, tone]), 4 * rate // 100)
    band_limited = oaconvolve(fine, firwin(1025, 0.92 / 4, window=("kaiser", 10.0)), "same")
    read = measured(band_limited[None, offset::4], rate).peak_dbtp
    assert -0.4 <= read <= 0.2
    assert read == pytest.approx(-0.115, abs=0.06), case


# --- sines, DC, edges


@settings(max_examples=120, deadline=None)
@given(frequency=st.floats(0.001, 0.45), phase=st.floats(0.0, 6.3), level=st.sampled_from([1e-3, 0.5, 1.0, 4.0]))
def test_any_sine(frequency, phase, level):
    """A sine of any phase up to 0.45 of the rate is read at most 0.14 dB under and 0.02 dB over."""
    error = measured(sine(frequency, phase, level)).peak_dbtp - 20 * np.log10(level)
    # A low tone may not pass its crest between the fades: what it does reach is known from a fine grid.
    crest = np.abs(np.sin(2 * np.pi * frequency * np.arange(1500, 4500, 0.05) + phase)).max()
    assert -UNDER_DB + 20 * np.log10(crest) <= error <= OVER_DB


@pytest.mark.parametrize("level", [0.1, 1.0])
def test_dc_is_kept(level):
    """DC that comes and goes gently reads as it is."""
    held = faded(np.full(8000, level), 2000)[None]
    assert measured(held).peak_dbtp == pytest.approx(20 * np.log10(level), abs=1e-4)


def test_ends_count():
    """Silence lies before and after: a wave cut at its crest overshoots, on both sides alike."""
    cut = np.cos(2 * np.pi * 0.2 * np.arange(2000))[None]
    read = measured(cut).peak_dbtp
    assert read > 0.1
    assert read == pytest.approx(twin_db(cut[0]), abs=TWIN_DB)
    assert read == pytest.approx(measured(np.ascontiguousarray(cut[:, ::-1])).peak_dbtp, abs=TWIN_DB)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_sample(dtype):
    """One sample is an impulse: its own height."""
    result = measured(np.array([[-0.25]], dtype=dtype))
    assert result.peak_dbtp == result.sample_peak_dbfs == pytest.approx(20 * np.log10(0.25))


@pytest.mark.parametrize("samples", [0, 1, 10_000])
def test_silence(samples):
    """Silence, and nothing at all, read the floor."""
    result = measured(np.zeros((2, samples)))
    assert result.peak_dbtp == result.sample_peak_dbfs == FLOOR_DB
    assert result.channel_peaks_dbtp == (FLOOR_DB, FLOOR_DB)


def test_channels_are_apart():
    """Each channel has its own peak, the highest is the peak, and swapping channels swaps the readings."""
    rng = np.random.default_rng(4)
    samples = rng.standard_normal((3, 3000)) * [[0.1], [0.5], [0.2]]
    result = measured(samples)
    assert result.channel_peaks_dbtp == pytest.approx([twin_db(c) for c in samples], abs=TWIN_DB)
    assert result.peak_dbtp == result.channel_peaks_dbtp[1]
    assert measured(samples[::-1]).channel_peaks_dbtp == result.channel_peaks_dbtp[::-1]
    assert measured(samples[:1]).channel_peaks_dbtp == result.channel_peaks_dbtp[:1]


def test_interpolator_identities():
    """Phase 0 is the sample, every phase keeps DC, and phases p and 8 - p are mirror images."""
    taps = interpolator()
    np.testing.assert_allclose(taps[0], np.eye(128)[63], atol=1e-12)
    np.testing.assert_allclose(taps.sum(axis=1), 1.0, atol=1e-12)
    for p in range(1, 8):
        np.testing.assert_allclose(taps[p], taps[8 - p][::-1], atol=1e-12)


def test_bad_input():
    """No channels, a block of another channel count and an impossible rate are refused."""
    with pytest.raises(AudioError, match="channels: 0"):
        TruePeakMeter(48_000, 0)
    with pytest.raises(AudioError, match="sample_rate_hz"):
        TruePeakMeter(10, 2)
    with pytest.raises(AudioError, match=r"shape \(1, 5\)"):
        TruePeakMeter(48_000, 2).update(np.zeros((1, 5)))


# --- the kernel skips nothing that counts


def signals():
    rng = np.random.default_rng(11)
    n = 20_000
    noise = rng.standard_normal(n)
    slow = np.convolve(noise, np.hanning(40) / 20, "same")
    clicks = np.zeros(n)
    clicks[rng.integers(0, n, 40)] = rng.choice([-1.0, 1.0], 40)
    alternating = np.zeros(n)
    alternating[5000:5040] = np.resize([1.0, -1.0], 40)
    alternating[9000:9020:2], alternating[9001:9021:2] = 1.0, -1.0
    alternating[9020:9040] = -alternating[9000:9020]
    return {
        "noise": noise,
        "clipped noise": np.clip(noise, -0.5, 0.5),
        "slow": slow,
        "slow, driven": np.tanh(4 * slow),
        "slow, clipped": np.clip(3 * slow, -0.7, 0.7),
        "crescendo": slow * np.linspace(0.01, 1.0, n),
        "clicks": clicks,
        "alternating": alternating,
        "square": np.sign(np.sin(2 * np.pi * 0.0123 * np.arange(n))),
        "near Nyquist": np.sin(2 * np.pi * 0.499 * np.arange(n)),
        "quiet with DC": 0.3 + 1e-3 * noise,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", signals())
def test_nothing_is_missed(name, dtype):
    """With and without skipping the peak is the same, on signals gentle and hostile, and never below the samples'."""
    signal = signals()[name].astype(dtype)
    result = measured(signal[None])
    assert result.peak_dbtp == pytest.approx(twin_db(signal), abs=TWIN_DB)
    assert result.peak_dbtp >= result.sample_peak_dbfs
    assert result.sample_peak_dbfs == pytest.approx(20 * np.log10(float(np.abs(signal).max())), abs=TWIN_DB)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), drive=st.floats(0.1, 20.0), pole=st.floats(-0.5, 0.98))
def test_nothing_is_missed_in_random_music(seed, drive, pole):
    """Coloured noise at any drive into a clipper loses nothing to the skipping."""
    noise = np.random.default_rng(seed).standard_normal(3000)
    coloured = np.convolve(noise, pole ** np.arange(200), "same")
    signal = np.clip(drive * coloured / np.abs(coloured).max(), -1.0, 1.0)
    assert measured(signal[None]).peak_dbtp == pytest.approx(twin_db(signal), abs=TWIN_DB)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(sorted(signals())),
    cuts=st.lists(st.integers(0, 20_000), max_size=10),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_cuts_change_nothing(name, cuts, dtype):
    """However the stream is cut, the peaks are the same bits."""
    signal = np.stack([signals()[name], signals()["noise"]]).astype(dtype)
    assert measured(signal, cuts=cuts) == measured(signal)


def test_sample_by_sample():
    """A stream fed one sample at a time gives the same bits."""
    signal = signals()["slow, clipped"][None, :1500]
    assert measured(signal, cuts=range(1, 1500)) == measured(signal)


def test_result_in_mid_stream():
    """Reading the meter does not disturb it, and a peak once seen stays."""
    signal = np.stack([signals()["slow, driven"], signals()["alternating"]])
    meter = TruePeakMeter(48_000, 2)
    meter.update(signal[:, :5020])
    early = meter.result()
    meter.update(signal[:, 5020:])
    assert meter.result() == measured(signal)
    assert early == measured(signal[:, :5020])
