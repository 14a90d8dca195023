"""Faults of channels: each is found alone, mended by what it names, and none is seen in plain stereo."""

import functools

import numpy as np
import pytest

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.errors import AudioError
from dsp.restoration.dcoffset import Dcoffset
from dsp.restoration.delay import Delay
from dsp.restoration.faults import FaultDetector
from dsp.restoration.polarity import Polarity

RATE_HZ = 22_050


@functools.cache
def music(width=0.3):
    """Filtered noise in bursts, the same in both channels but for a share of their own; (2, samples), 25 s."""
    rng = np.random.default_rng(1)
    common, own = rng.normal(size=(1, 25 * RATE_HZ)), rng.normal(size=(2, 25 * RATE_HZ))
    out = (1.0 - width) * common + width * own
    spectrum = np.fft.rfft(out)
    hz = np.fft.rfftfreq(out.shape[1], 1 / RATE_HZ)
    out = np.fft.irfft(spectrum * (hz > 40) / np.sqrt(np.maximum(hz, 40.0) / 40.0), out.shape[1])
    out *= 0.1 + np.abs(np.sin(np.arange(out.shape[1]) / RATE_HZ * 3.0))
    out *= 0.3 / np.abs(out).max()
    out.flags.writeable = False
    return out


def found(samples, cut=None, **options):
    detector = FaultDetector(RATE_HZ, samples.shape[0], **options)
    for start in range(0, samples.shape[1], cut or samples.shape[1]):
        detector.update(np.ascontiguousarray(samples[:, start : start + (cut or samples.shape[1])]))
    return detector.result()


def mended(samples, result):
    return Chain(result.settings())(Audio(samples, RATE_HZ)).samples


@pytest.mark.parametrize("strong", [False, True])
@pytest.mark.parametrize("width", [0.0, 0.3, 1.0])
def test_stereo_is_no_fault(width, strong):
    """Mono in two channels, a stereo mix and channels that share nothing are left alone; so is one channel."""
    for samples in (music(width), music(width)[:1], np.zeros((2, 5 * RATE_HZ))):
        result = found(samples, strong=strong)
        assert result.settings() == ()
        assert result.highpass_hz == 0.0


def test_side_instruments_in_antiphase_are_no_fault():
    """A voice in the middle with a wide synthesiser upside down beside it is a mix."""
    middle, side = music(0.0), music(1.0)[:1] * np.array([[1.0], [-1.0]])
    assert found(middle + 0.7 * side).settings() == ()


def test_dc_is_subtracted():
    """Each channel's own offset is measured within a thousandth of full scale and taken away."""
    result = found(music() + np.array([[0.04], [-0.05]]))
    assert [type(step) for step in result.settings()] == [Dcoffset]
    np.testing.assert_allclose(result.offsets, [0.04, -0.05], rtol=0, atol=1e-3)
    np.testing.assert_allclose(mended(music() + np.array([[0.04], [-0.05]]), result), music(), rtol=0, atol=1e-3)


def test_a_small_offset_is_left():
    """An offset of a thousandth does no harm: named only when looked for strongly."""
    samples = music() + 0.001
    assert found(samples).settings() == ()
    assert [type(step) for step in found(samples, strong=True).settings()] == [Dcoffset]


@pytest.mark.parametrize("width", [0.0, 0.2])
def test_polarity_is_turned_back(width):
    """A channel upside down is named, and comes out as it was, bit for bit."""
    wrong = music(width) * np.array([[1.0], [-1.0]])
    result = found(wrong)
    assert result.settings() == (Polarity(invert="right"),)
    np.testing.assert_array_equal(mended(wrong, result), music(width))


@pytest.mark.parametrize("late", [3, 40, -17])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_delay_is_taken_out_to_the_sample(late, sign):
    """A channel that comes late, upside down or not, is moved by exactly as many samples."""
    shifted = np.zeros_like(music(0.0))
    early_channel, late_channel = (0, 1) if late > 0 else (1, 0)
    shifted[early_channel] = music(0.0)[early_channel]
    shifted[late_channel, abs(late) :] = music(0.0)[late_channel, : -abs(late)]
    result = found(shifted * np.array([[1.0], [sign]]))
    assert result.late_ms == pytest.approx(1e3 * late / RATE_HZ)
    inside = slice(0, music().shape[1] - abs(late))
    np.testing.assert_array_equal(mended(shifted * np.array([[1.0], [sign]]), result)[:, inside], music(0.0)[:, inside])


def test_rumble_is_named():
    """Rumble at 8 Hz louder than the bass asks for a low cut; the same at 50 Hz does not."""
    t = np.arange(music().shape[1]) / RATE_HZ
    for hz, cut in ((8.0, True), (50.0, False)):
        assert bool(found(music() + 0.05 * np.sin(2 * np.pi * hz * t)).highpass_hz) == cut


def test_blocks_do_not_matter():
    """What is found does not depend on how the stream is cut."""
    samples = (music() * np.array([[1.0], [-1.0]]) + 0.03).astype(np.float32)
    assert found(samples, cut=1_237) == found(samples)


def test_delay_moves_whole_samples():
    """The channel comes earlier by so many samples, its end is silent, the other is untouched."""
    samples = music()[:, :1_000]
    out = Chain((Delay(right_early_ms=1e3 * 7 / RATE_HZ),))(Audio(samples, RATE_HZ), block_samples=5).samples
    np.testing.assert_array_equal(out[0], samples[0])
    np.testing.assert_array_equal(out[1], np.append(samples[1, 7:], np.zeros(7)))


def test_what_cannot_be_is_refused():
    """Other shapes and no channels are refused."""
    with pytest.raises(AudioError, match="block"):
        FaultDetector(RATE_HZ, 2).update(np.zeros((1, 10)))
    with pytest.raises(AudioError, match="channels"):
        FaultDetector(RATE_HZ, 0)


@pytest.mark.parametrize("length", [0, 1, 1_000, RATE_HZ])
def test_short_files(length):
    """Short ones are no error."""
    assert found(music()[:, :length], cut=700).settings() == ()
