"""FIR design and streaming against plain convolution; curves between their points."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import fftconvolve

from dsp import fir
from dsp.curves import Point, check_ascending, curve_db, scaled_points
from dsp.errors import SettingsError

DOUBLE, SINGLE_DB = 1e-12, -120.0


def filters(seed, count, length):
    """Decaying random filters that begin before time zero, each with its own lead."""
    rng = np.random.default_rng(seed)
    found = []
    for k in range(count):
        taps = rng.normal(size=length + 3 * k) * np.exp(-np.arange(length + 3 * k) / (0.3 * length))
        found.append(fir.Fir(taps / np.abs(taps).sum(), int(rng.integers(0, length))))
    return found


def convolved(channel, filt):
    """`channel` through one filter, aligned and as long."""
    return fftconvolve(np.asarray(channel, dtype=np.float64), filt.taps)[filt.lead_samples :][: len(channel)]


def padded(channel, filt):
    """The same for streams shorter than the filter's lead."""
    return convolved(np.pad(channel, (0, len(filt.taps))), filt)[: len(channel)]


def streamed(stream, samples, cuts=()):
    edges = [0, *sorted(min(c, samples.shape[1]) for c in cuts), samples.shape[1]]
    parts = [stream.process(samples[:, a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, stream.finish()], axis=-1)


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    seed=st.integers(0, 999),
    length=st.sampled_from([1, 2, 100, 1_365, 1_366, 3_000]),
    samples=st.sampled_from([1, 50, 4_095, 4_096, 4_097, 20_000]),
    cuts=st.lists(st.integers(0, 20_000), max_size=12),
)
def test_stream_is_convolution(seed, length, samples, cuts):
    """Each channel through its own filter, however it is cut, is what one long convolution gives."""
    signal = np.random.default_rng(seed).normal(size=(2, samples))
    pair = filters(seed, 2, length)
    wanted = np.stack([padded(channel, f) for channel, f in zip(signal, pair, strict=True)])
    out = streamed(fir.FirStream(pair), signal, cuts)
    np.testing.assert_allclose(out, wanted, rtol=0, atol=DOUBLE)
    np.testing.assert_array_equal(out, streamed(fir.FirStream(pair), signal))
    single = streamed(fir.FirStream(pair), signal.astype(np.float32), cuts)
    assert single.dtype == np.float32
    assert np.mean((single - wanted) ** 2) <= 10 ** (SINGLE_DB / 10) * np.mean(signal**2)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(seed=st.integers(0, 999), channels=st.integers(1, 2), cuts=st.lists(st.integers(0, 9_000), max_size=8))
def test_bank_is_every_filter_on_every_channel(seed, channels, cuts):
    """A bank gives (filters, channels, samples), all aligned."""
    signal = np.random.default_rng(seed).normal(size=(channels, 9_000))
    three = filters(seed, 3, 400)
    out = streamed(fir.FirStream(three, bank=True), signal, cuts)
    assert out.shape == (3, channels, 9_000)
    for plane, filt in zip(out, three, strict=True):
        np.testing.assert_allclose(plane, [convolved(channel, filt) for channel in signal], rtol=0, atol=DOUBLE)


def test_nothing_in_nothing_out():
    """A stream without a block owes nothing; one of empty blocks gives an empty tail."""
    stream = fir.FirStream(filters(0, 1, 10))
    assert stream.finish() is None
    assert stream.process(np.zeros((1, 0))).shape == (1, 0)
    assert stream.finish().shape == (1, 0)


@pytest.mark.parametrize("phase", ["minimum", "linear"])
@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
def test_design_of_a_level_curve_is_one_tap(rate_hz, phase):
    """A gain that is the same everywhere needs a single tap."""
    found = fir.design(lambda hz: np.full_like(hz, -6.0), rate_hz, phase=phase)
    assert (found.taps.size, found.lead_samples) == (1, 0)
    np.testing.assert_allclose(found.taps, 10 ** (-6 / 20), rtol=1e-7)


@pytest.mark.parametrize("phase", ["minimum", "linear"])
def test_design_has_the_curve(phase):
    """The shortest filter has the response it was asked for, and `response_db` says so."""
    wanted = lambda hz: 8.0 * np.sin(np.log(np.maximum(hz, 20.0))) * (hz / (hz + 50.0))  # noqa: E731
    found = fir.design(wanted, 48_000, phase=phase)
    hz = np.geomspace(25.0, 20_000.0, 60)
    np.testing.assert_allclose(fir.response_db(found, hz, 48_000), wanted(hz), atol=0.01)
    spectrum = np.exp(-2j * np.pi * np.multiply.outer(hz, np.arange(len(found.taps))) / 48_000) @ found.taps
    np.testing.assert_allclose(20 * np.log10(np.abs(spectrum)), wanted(hz), atol=0.01)
    assert found.lead_samples == 0 or phase == "linear"


def test_a_bottomless_curve_bends_into_the_floor():
    """Minus infinity becomes -80 dB, so that the filter ends."""
    with np.errstate(divide="ignore"):
        found = fir.design(lambda hz: np.where(hz < 100.0, -300.0, 0.0), 44_100)
    assert np.isfinite(found.taps).all()
    assert fir.response_db(found, np.array([30.0]), 44_100)[0] <= -60.0


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
def test_zero_phase_is_symmetric_and_true(rate_hz):
    """A zero-phase filter is symmetric about time zero and has the linear gain it was asked for."""
    gain = lambda hz: 1.0 / (1.0 + (hz / 300.0) ** 4)  # noqa: E731
    found = fir.zero_phase(gain, rate_hz, 0.01)
    np.testing.assert_allclose(found.taps, found.taps[::-1], atol=1e-15)
    assert found.lead_samples == len(found.taps) // 2
    hz = np.geomspace(20.0, 0.49 * rate_hz, 100)
    lags = np.arange(len(found.taps)) - found.lead_samples
    spectrum = np.cos(2 * np.pi * np.multiply.outer(hz, lags) / rate_hz) @ found.taps
    np.testing.assert_allclose(spectrum, gain(hz), atol=2e-5)


# --- curves


CURVE = (Point(frequency_hz=100.0, gain_db=-2.0), Point(frequency_hz=400.0, gain_db=4.0))


def test_curve_is_straight_over_octaves():
    """Halfway in octaves is halfway in dB; beyond the ends it stays; at 0 Hz it is finite."""
    hz = np.array([0.0, 50.0, 100.0, 200.0, 400.0, 20_000.0])
    np.testing.assert_allclose(curve_db(CURVE, hz), [-2.0, -2.0, -2.0, 1.0, 4.0, 4.0], atol=1e-12)
    np.testing.assert_array_equal(curve_db((), hz), np.zeros(6))
    np.testing.assert_array_equal(curve_db(CURVE[1:], hz), np.full(6, 4.0))


def test_points_scale_in_db():
    """Scaling leaves frequencies and multiplies gains."""
    assert scaled_points(CURVE, 0.25) == (
        Point(frequency_hz=100.0, gain_db=-0.5),
        Point(frequency_hz=400.0, gain_db=1.0),
    )


def test_points_must_rise():
    """Rising points pass, equal and falling ones are refused by the owner's name."""
    check_ascending("anything", CURVE)
    for wrong in (CURVE[::-1], (CURVE[0], CURVE[0])):
        with pytest.raises(SettingsError, match=r"anything: .* points must rise in frequency"):
            check_ascending("anything", wrong)
