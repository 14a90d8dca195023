"""Equalizer against the analogue prototypes, the Hilbert pair of minimum phase, and what mid and side must not do."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import freqs

from dsp.curves import Point
from dsp.effects.eq import Band, Curve, Eq, band_db
from dsp.errors import SettingsError

RATES_HZ = (44_100, 48_000, 96_000)
PROTOTYPE_DB, RATES_APART_DB, FORMULA_DB = 0.01, 0.02, 1e-9
UNTOUCHED_DB = -120.0
PRE_RINGING_DB = -60.0
AUDIBLE_HZ = np.geomspace(20.0, 16_000.0, 400)

BANDS = [
    Band(shape=shape, frequency_hz=hz, gain_db=gain_db, q=q)
    for (shape, q), (hz, gain_db) in itertools.product(
        [("peak", 0.5), ("peak", 4.0), ("low_shelf", 0.7071), ("high_shelf", 0.5)],
        [(60.0, 6.0), (60.0, -12.0), (1_000.0, 24.0), (9_000.0, -3.0), (15_000.0, 12.0), (20_000.0, -6.0)],
    )
]


def run(settings, samples, rate_hz=44_100):
    processor = settings.processor(rate_hz, samples.shape[0])
    parts = [processor.process(samples), processor.finish()]
    return np.concatenate(parts, axis=1)


def impulse_response(settings, rate_hz, *, at=0, seconds=1.5):
    impulse = np.zeros((1, int(seconds * rate_hz)))
    impulse[0, at] = 1.0
    return run(settings, impulse, rate_hz)[0]


def response(taps, hz, rate_hz):
    """The spectrum at any frequencies, without a grid between."""
    return np.exp(-2j * np.pi * np.multiply.outer(hz, np.arange(len(taps))) / rate_hz) @ taps


def on_grid(taps, rate_hz, hz=AUDIBLE_HZ):
    """Bins nearest to `hz` and the response there, dB."""
    n = 1 << 18
    bins = np.unique(np.round(hz * n / rate_hz).astype(int))
    return bins * rate_hz / n, 20 * np.log10(np.abs(np.fft.rfft(taps, n)[bins]))


def prototype_db(band, hz):
    """R. Bristow-Johnson's analogue transfer functions through SciPy."""
    a, q = 10 ** (band.gain_db / 40), band.q
    top, bottom = {
        "peak": ([1, a / q, 1], [1, 1 / (a * q), 1]),
        "low_shelf": ([a, a * a**0.5 / q, a * a], [a, a**0.5 / q, 1]),
        "high_shelf": ([a * a, a * a**0.5 / q, a], [1, a**0.5 / q, a]),
    }[band.shape]
    return 20 * np.log10(np.abs(freqs(top, bottom, worN=hz / band.frequency_hz)[1]))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    shape=st.sampled_from(["peak", "low_shelf", "high_shelf"]),
    hz=st.floats(5.0, 96_000.0),
    gain_db=st.floats(-24.0, 24.0),
    q=st.floats(0.1, 20.0),
)
def test_formula_is_the_prototype(shape, hz, gain_db, q):
    """The formula for a band's gain is the prototype's transfer function."""
    band = Band(shape=shape, frequency_hz=hz, gain_db=gain_db, q=q)
    np.testing.assert_allclose(band_db(band, AUDIBLE_HZ), prototype_db(band, AUDIBLE_HZ), rtol=0, atol=FORMULA_DB)


@pytest.mark.parametrize("phase", ["minimum", "linear"])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_sound_is_the_prototype(rate_hz, phase):
    """What comes out has the prototype's response from 20 Hz to 16 kHz, uncramped at every rate."""
    for band in BANDS:
        hz, got_db = on_grid(impulse_response(Eq(bands=(band,), phase=phase), rate_hz, at=rate_hz // 10), rate_hz)
        assert np.abs(got_db - prototype_db(band, hz)).max() <= PROTOTYPE_DB, band


def test_one_plan_sounds_alike_at_every_rate():
    """Bands and curve together differ by next to nothing between rates."""
    plan = Eq(
        bands=(BANDS[0], BANDS[9], BANDS[13], BANDS[22]),
        curves=(Curve(points=(Point(frequency_hz=200.0, gain_db=-2.0), Point(frequency_hz=9_000.0, gain_db=3.0))),),
    )
    curves = {}
    for rate_hz in (44_100, 48_000, 88_200, 96_000):
        taps = impulse_response(plan, rate_hz, seconds=0.5)
        curves[rate_hz] = 20 * np.log10(np.abs(response(taps, AUDIBLE_HZ[::8], rate_hz)))
    for curve in curves.values():
        assert np.abs(curve - curves[96_000]).max() <= RATES_APART_DB
        assert np.ptp(curve) > 6.0


def test_minimum_phase_is_minimum():
    """Nothing sounds before the impulse, and the phase is the Hilbert transform of the log magnitude."""
    rate_hz, at = 48_000, 5_000
    plan = Eq(bands=(BANDS[0], BANDS[8], BANDS[15]))
    shifted = impulse_response(plan, rate_hz, at=at)
    assert (shifted[:at] ** 2).sum() <= 1e-24 * (shifted**2).sum()
    n = 1 << 17
    spectrum = np.fft.fft(shifted[at : at + n // 2], n)
    folded = np.fft.ifft(np.log(np.abs(spectrum))).real
    folded[1 : n // 2] *= 2
    folded[n // 2 + 1 :] = 0
    wanted = np.fft.fft(folded).imag
    bins = np.unique(np.round(AUDIBLE_HZ * n / rate_hz).astype(int))
    np.testing.assert_allclose(np.angle(spectrum[bins]), wanted[bins], atol=1e-4)
    delay = -np.diff(np.unwrap(np.angle(spectrum[: n // 2]))) / (2 * np.pi / n)
    wanted_delay = -np.diff(wanted[: n // 2]) / (2 * np.pi / n)
    np.testing.assert_allclose(delay[bins], wanted_delay[bins], atol=0.02)
    assert delay.max() - delay.min() > 10.0


LOW_AND_NARROW = [
    Band(frequency_hz=hz, gain_db=gain_db, q=q)
    for hz, gain_db, q in [(40.0, 6.0, 2.0), (50.0, 12.0, 8.0), (60.0, -12.0, 10.0), (120.0, 12.0, 6.0)]
] + [Band(shape="low_shelf", frequency_hz=60.0, gain_db=-12.0), Band(frequency_hz=3_000.0, gain_db=9.0, q=2.0)]


@pytest.mark.parametrize("band", LOW_AND_NARROW)
def test_linear_phase_does_not_ring_ahead(band):
    """However low and narrow, what sounds more than 5 ms before a click is 60 dB below all of it."""
    rate_hz, at = 48_000, 30_000
    taps = impulse_response(Eq(bands=(band,), phase="linear"), rate_hz, at=at)
    energy = taps**2
    assert abs(int(energy.argmax()) - at) <= 1
    assert energy[: at - int(0.005 * rate_hz)].sum() <= 10 ** (PRE_RINGING_DB / 10) * energy.sum()


def test_linear_phase_is_linear_where_it_can_be():
    """Above some 300 Hz there is no phase shift at all: broad bells come out symmetric."""
    rate_hz, at = 48_000, 20_000
    plan = Eq(bands=(Band(frequency_hz=2_000.0, gain_db=6.0, q=0.7), BANDS[22]), phase="linear")
    taps = impulse_response(plan, rate_hz, at=at, seconds=1.0)
    hz = np.geomspace(400.0, 16_000.0, 100)
    phase = np.angle(response(taps[at - 4_000 : at + 4_001], hz, rate_hz) * np.exp(2j * np.pi * hz * 4_000 / rate_hz))
    assert np.abs(phase).max() <= np.radians(1.0)
    minimum = impulse_response(Eq(bands=plan.bands), rate_hz, at=at, seconds=1.0)
    late = response(minimum[at - 4_000 : at + 4_001], hz, rate_hz) * np.exp(2j * np.pi * hz * 4_000 / rate_hz)
    assert np.abs(np.angle(late)).max() >= np.radians(10.0)


# --- mid and side


def noise(channels=2, samples=30_000):
    return np.random.default_rng(5).normal(size=(channels, samples))


def rms_db(samples):
    return 10 * np.log10(np.mean(samples**2) + 1e-40)


@pytest.mark.parametrize("phase", ["minimum", "linear"])
@pytest.mark.parametrize("channel", ["mid", "side"])
def test_the_other_of_mid_and_side_is_untouched(channel, phase):
    """A band on the side leaves the mid alone, one on the mid the side; the one it acts on changes as it should."""
    band = Band(frequency_hz=700.0, gain_db=9.0, channels=channel)
    samples = noise()
    out = run(Eq(bands=(band,), phase=phase), samples)
    sign = 1.0 if channel == "mid" else -1.0
    acted, left = (out[0] + sign * out[1]) / 2, (out[0] - sign * out[1]) / 2
    before, left_before = (samples[0] + sign * samples[1]) / 2, (samples[0] - sign * samples[1]) / 2
    assert rms_db(left - left_before) <= UNTOUCHED_DB
    alone = run(Eq(bands=(Band(frequency_hz=700.0, gain_db=9.0),), phase=phase), before[None])[0]
    assert rms_db(acted - alone) <= UNTOUCHED_DB
    assert rms_db(acted - before) > -20.0


def test_all_acts_on_each_channel_alone():
    """A band on both channels is the same filter left and right, and nothing crosses over."""
    plan = Eq(bands=(Band(frequency_hz=700.0, gain_db=9.0),))
    samples = noise()
    out = run(plan, samples)
    for channel in (0, 1):
        np.testing.assert_allclose(out[channel], run(plan, samples[channel : channel + 1])[0], atol=1e-12)
    assert not run(plan, samples * [[1.0], [0.0]])[1].any()


def test_mono_is_the_mid():
    """Mono takes what is meant for the mid and for all, and nothing of what is meant for the side."""
    side = Eq(bands=(Band(gain_db=9.0, channels="side"),))
    mid, both = (Eq(bands=(Band(gain_db=9.0, channels=channels),)) for channels in ("mid", "all"))
    assert rms_db(run(side, noise(1)) - noise(1)) <= UNTOUCHED_DB
    np.testing.assert_array_equal(run(mid, noise(1)), run(both, noise(1)))


# --- settings


def test_bands_and_curves_add_up():
    """The response of many is the sum of each, in dB, on the channel they are meant for."""
    curve = Curve(points=(Point(frequency_hz=100.0, gain_db=2.0),), channels="side")
    plan = Eq(bands=(BANDS[2], BANDS[9]), curves=(curve,))
    both = band_db(BANDS[2], AUDIBLE_HZ) + band_db(BANDS[9], AUDIBLE_HZ)
    np.testing.assert_allclose(plan.response_db(AUDIBLE_HZ, "mid"), both)
    np.testing.assert_allclose(plan.response_db(AUDIBLE_HZ, "side"), both + 2.0)


def test_half_the_amount_is_half_the_gain():
    """Half of a plan has half of every gain in dB and leaves frequencies and Q."""
    curve = Curve(points=(Point(frequency_hz=100.0, gain_db=2.0), Point(frequency_hz=300.0, gain_db=-8.0)))
    half = Eq(bands=(BANDS[2],), curves=(curve,), phase="linear").scaled(0.5)
    assert half.bands == (Band(shape="peak", frequency_hz=1_000.0, gain_db=12.0, q=0.5),)
    assert [p.gain_db for p in half.curves[0].points] == [1.0, -4.0]
    assert half.phase == "linear"
    assert Eq(bands=(BANDS[2],), curves=(curve,)).scaled(0.0).is_neutral()


@pytest.mark.parametrize("later_hz", [100.0, 99.0])
def test_points_must_rise(later_hz):
    """Two points at one frequency, or in falling order, are refused with both frequencies."""
    with pytest.raises(SettingsError, match=rf"curve\.points: {later_hz:g} Hz after 100 Hz"):
        Curve(points=(Point(frequency_hz=100.0, gain_db=0.0), Point(frequency_hz=later_hz, gain_db=1.0)))
