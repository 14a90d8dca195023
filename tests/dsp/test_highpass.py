"""High-pass against SciPy's Butterworth."""

import numpy as np
import pytest
from scipy.signal import butter, sosfilt, sosfreqz

from dsp.effects.highpass import Highpass, butterworth_highpass

TWIN = 1e-9


def run(settings, samples, rate_hz=44_100):
    processor = settings.processor(rate_hz, samples.shape[0])
    return np.concatenate([processor.process(samples[:, :501]), processor.process(samples[:, 501:])], axis=1)


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("slope_db_oct", [12, 24])
@pytest.mark.parametrize("hz", [5.0, 30.0, 150.0, 1_000.0])
def test_is_scipys_butterworth(hz, slope_db_oct, rate_hz):
    """The samples are those of SciPy's filter, in each channel."""
    samples = np.random.default_rng(7).normal(size=(2, 20_000)) + np.array([[0.5], [-0.2]])
    wanted = sosfilt(butter(slope_db_oct // 6, hz, "highpass", fs=rate_hz, output="sos"), samples)
    settings = Highpass(frequency_hz=hz, slope_db_oct=slope_db_oct)
    np.testing.assert_allclose(run(settings, samples, rate_hz), wanted, rtol=0, atol=TWIN)
    single = run(settings, samples.astype(np.float32), rate_hz)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, wanted, rtol=0, atol=2e-6)


@pytest.mark.parametrize("slope_db_oct", [12, 24])
def test_corner_and_slope(slope_db_oct):
    """3 dB down at the corner, the slope an octave further down, and flat in the music."""
    sections = butterworth_highpass(40.0, slope_db_oct // 6, 48_000)
    gain_db = 20 * np.log10(np.abs(sosfreqz(sections, [40.0, 10.0, 5.0, 400.0], fs=48_000)[1]))
    np.testing.assert_allclose(gain_db[0], -3.0103, atol=0.001)
    np.testing.assert_allclose(gain_db[1] - gain_db[2], slope_db_oct, atol=0.3)
    assert abs(gain_db[3]) <= 0.001


def test_dc_goes():
    """An offset is gone after a second."""
    out = run(Highpass(frequency_hz=20.0), np.full((1, 44_100), 0.5))
    assert abs(out[0, 0]) > 0.4
    assert np.abs(out[0, -100:]).max() <= 1e-6


def test_silence_after_sound_is_not_denormal():
    """The tail sinks into a floor far below any file's last bit and stays out of denormals."""
    samples = np.zeros((2, 400_000))
    samples[:, :1_000] = 1.0
    tail = np.abs(run(Highpass(frequency_hz=1_000.0, slope_db_oct=24), samples)[:, -1_000:])
    assert tail.max() <= 1e-25
    assert not ((tail > 0) & (tail < np.finfo(np.float64).tiny)).any()


def test_layout_in_memory_does_not_matter():
    """Blocks stored channel by channel or sample by sample give the same."""
    samples = np.random.default_rng(8).normal(size=(2, 4_000))
    processed = [
        Highpass(frequency_hz=90.0).processor(44_100, 2).process(s) for s in (samples, np.asfortranarray(samples))
    ]
    np.testing.assert_array_equal(*processed)
