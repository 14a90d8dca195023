"""Width: the mid is never touched, the side gets the curve."""

import numpy as np
import pytest

from dsp.curves import Point
from dsp.effects.width import Width
from dsp.errors import SettingsError

RATES_HZ = (44_100, 96_000)
CURVE_DB = 0.02
ROUNDING = {np.float32: 3e-7, np.float64: 1e-15}
PRE_RINGING_DB = -60.0

WIDER = Width(side=(Point(frequency_hz=200.0, gain_db=-6.0), Point(frequency_hz=6_000.0, gain_db=4.0)))
FOCUSED = Width(focus_below_hz=120.0)
EVERYTHING = Width(side=WIDER.side, focus_below_hz=200.0)


def run(settings, samples, rate_hz=44_100):
    processor = settings.processor(rate_hz, samples.shape[0])
    parts = [processor.process(samples[:, :777]), processor.process(samples[:, 777:])]
    tail = processor.finish()
    return np.concatenate(parts if tail is None else [*parts, tail], axis=1)


def noise(samples=40_000):
    return np.random.default_rng(6).normal(size=(2, samples)) * [[0.3], [0.2]]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("settings", [WIDER, FOCUSED, EVERYTHING])
def test_the_sum_of_left_and_right_stays(settings, dtype):
    """Folded to mono the sound is what it was, to the rounding of one addition."""
    samples = noise().astype(dtype)
    out = run(settings, samples)
    assert out.dtype == dtype
    assert np.abs(np.diff(out, axis=0)).max() > 0.1
    error = out.astype(np.float64).sum(axis=0) - samples.astype(np.float64).sum(axis=0)
    assert np.abs(error).max() <= ROUNDING[dtype] * np.abs(samples).max()


def side_taps(settings, rate_hz, at):
    """What a click on the side becomes, and that the mid stays silent."""
    click = np.zeros((2, int(1.2 * rate_hz)))
    click[:, at] = (1.0, -1.0)
    left, right = run(settings, click, rate_hz)
    assert np.abs(left + right).max() <= 1e-15
    return left


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("settings", [WIDER, FOCUSED, EVERYTHING])
def test_side_has_the_curve(settings, rate_hz):
    """The side's response is the drawn curve with the low cut under it."""
    taps = side_taps(settings, rate_hz, rate_hz // 5)
    n = 1 << 18
    bins = np.unique(np.round(np.geomspace(40.0, 16_000.0, 200) * n / rate_hz).astype(int))
    hz = bins * rate_hz / n
    curve_db = np.interp(np.log(hz), np.log([200.0, 6_000.0]), [-6.0, 4.0]) if settings.side else np.zeros(len(hz))
    focus = settings.focus_below_hz
    low_cut = (hz**4 + 10 ** (-settings.focus_depth_db / 20) * focus**4) / (hz**4 + focus**4)
    wanted = 10 ** (curve_db / 20) * low_cut
    # The response bends into -80 dB: seen where a lot is taken away.
    np.testing.assert_allclose(np.abs(np.fft.rfft(taps, n)[bins]), wanted, rtol=0, atol=2e-4)
    loud = wanted > 0.05
    assert np.abs(20 * np.log10(np.abs(np.fft.rfft(taps, n)[bins]) / wanted))[loud].max() <= CURVE_DB


def side_gain_db(settings, hz, rate_hz=48_000):
    taps = side_taps(settings, rate_hz, 10_000)
    return 20 * np.log10(np.abs(np.exp(-2j * np.pi * np.multiply.outer(hz, np.arange(len(taps))) / rate_hz) @ taps))


@pytest.mark.parametrize("focus_hz", [80.0, 120.0, 300.0])
def test_low_focus_falls_by_24_db_an_octave(focus_hz):
    """6 dB down at the corner, half a dB an octave above, 24 dB at an octave below, until the depth ends it."""
    gain_db = side_gain_db(Width(focus_below_hz=focus_hz, focus_depth_db=60.0), focus_hz * 2.0 ** np.array([1, 0, -1]))
    np.testing.assert_allclose(gain_db, [-0.53, -6.01, -24.47], atol=0.05)


@pytest.mark.parametrize("depth_db", [6.0, 20.0, 40.0])
def test_low_focus_ends_at_its_depth(depth_db):
    """Five octaves below the corner the side has fallen by the depth and no more."""
    gain_db = side_gain_db(Width(focus_below_hz=500.0, focus_depth_db=depth_db), np.array([15.0, 20.0, 5_000.0]))
    np.testing.assert_allclose(gain_db, [-depth_db, -depth_db, 0.0], atol=0.1)


@pytest.mark.parametrize("settings", [WIDER, FOCUSED, EVERYTHING, Width(focus_below_hz=40.0)])
def test_side_does_not_ring_ahead(settings):
    """A click on the side is not heard more than 5 ms early."""
    rate_hz, at = 48_000, 24_000
    energy = side_taps(settings, rate_hz, at) ** 2
    assert abs(int(energy.argmax()) - at) <= 1
    assert energy[: at - int(0.005 * rate_hz)].sum() <= 10 ** (PRE_RINGING_DB / 10) * energy.sum()


def test_side_stays_in_step_with_the_mid():
    """Above 400 Hz the side has no phase shift: instruments grow wider where they stand."""
    rate_hz, at = 48_000, 24_000
    taps = side_taps(EVERYTHING, rate_hz, at)
    hz = np.geomspace(400.0, 16_000.0, 60)
    shift = np.angle(np.exp(-2j * np.pi * np.multiply.outer(hz, np.arange(len(taps)) - at) / rate_hz) @ taps)
    assert np.abs(shift[hz > 1_000.0]).max() <= np.radians(3.0)
    assert np.abs(shift).max() <= np.radians(30.0)


def test_one_point_is_one_gain():
    """A single point turns all of the side up or down, and nothing else happens to it."""
    samples = noise()
    out = run(Width(side=(Point(frequency_hz=1_000.0, gain_db=6.0),)), samples)
    np.testing.assert_allclose(out[0] - out[1], 10 ** (6 / 20) * (samples[0] - samples[1]), atol=1e-6)


@pytest.mark.parametrize("settings", [WIDER, FOCUSED])
def test_mono_passes(settings):
    """A single channel is returned as it is; two equal ones stay equal to the bit."""
    samples = noise()[:1]
    np.testing.assert_array_equal(run(settings, samples), samples)
    both = np.repeat(samples, 2, axis=0)
    np.testing.assert_array_equal(run(settings, both), both)


def test_points_must_rise():
    """Points out of order are refused by name."""
    with pytest.raises(SettingsError, match=r"width\.side: 50 Hz after 100 Hz"):
        Width(side=(Point(frequency_hz=100.0, gain_db=0.0), Point(frequency_hz=50.0, gain_db=1.0)))


def test_half_the_amount():
    """Half of it is half the gain and half the depth in dB, at the same corner; none of it is neutral."""
    half = EVERYTHING.scaled(0.5)
    assert [p.gain_db for p in half.side] == [-3.0, 2.0]
    assert (half.focus_below_hz, half.focus_depth_db) == (200.0, EVERYTHING.focus_depth_db / 2)
    assert EVERYTHING.scaled(0.0).is_neutral()
    assert Width(focus_below_hz=200.0, focus_depth_db=0.0).is_neutral()
    assert not half.is_neutral()
