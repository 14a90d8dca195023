"""Audio: what may call itself sound, and mid and side."""

import dataclasses

import numpy as np
import pytest

from dsp.audio import Audio, check_rate, layout_of, left_right, mid_side
from dsp.errors import AudioError, MatchError


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("channels", "layout"), [(1, "mono"), (2, "stereo")])
def test_describes_itself(dtype: type, channels: int, layout: str) -> None:
    """Layout, channels, length and duration follow from shape and rate; samples keep their kind."""
    audio = Audio(np.zeros((channels, 22_050), dtype=dtype), 44_100)
    assert (audio.layout, audio.channels, audio.length_samples, audio.duration_s) == (layout, channels, 22_050, 0.5)
    assert audio.samples.dtype == dtype


@pytest.mark.parametrize(
    ("samples", "rate_hz", "message"),
    [
        (np.zeros(100), 44_100, r"shape \(100,\)"),
        (np.zeros((2, 10, 1)), 44_100, r"shape \(2, 10, 1\)"),
        (np.zeros((3, 100)), 44_100, "channels: 3"),
        (np.zeros((0, 100)), 44_100, "channels: 0"),
        (np.zeros((1, 100), dtype=np.int16), 44_100, "int16"),
        (np.zeros((1, 100), dtype=np.float16), 44_100, "float16"),
        (np.zeros((1, 100)), 7_999, "sample_rate_hz: 7999"),
        (np.zeros((1, 100)), 384_001, "sample_rate_hz: 384001"),
        (np.zeros((1, 100)), 44_100.5, "sample_rate_hz: 44100.5"),
        (np.array([[0.0, np.nan, np.inf]]), 44_100, "samples: 2 are NaN or infinite"),
    ],
)
def test_refuses_what_is_no_sound(samples: np.ndarray, rate_hz: float, message: str) -> None:
    """Another shape, kind or rate, and NaN, are refused with the value in the message."""
    with pytest.raises(AudioError, match=message) as caught:
        Audio(samples, rate_hz)
    assert isinstance(caught.value, MatchError)
    assert isinstance(caught.value, ValueError)
    assert "\n" not in str(caught.value)


def test_samples_cannot_be_written_to() -> None:
    """A stage that forgets raises at once, while the caller's own array stays writeable."""
    mine = np.zeros((2, 10))
    audio = Audio(mine, 44_100)
    with pytest.raises(ValueError, match="read-only"):
        audio.samples[0, 0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        audio.samples = mine
    assert mine.flags.writeable


def test_rows_lie_together() -> None:
    """Interleaved samples, turned, become planes that the kernels can read."""
    interleaved = np.arange(20.0).reshape(10, 2)
    audio = Audio(interleaved.T, 44_100)
    assert audio.samples.flags.c_contiguous
    assert np.array_equal(audio.samples[1], interleaved[:, 1])


def test_rates_and_layouts() -> None:
    """A whole number given as float becomes an int; five channels have no layout."""
    assert check_rate(48_000.0) == 48_000
    assert isinstance(check_rate(48_000.0), int)
    with pytest.raises(AudioError, match="channels: 6"):
        layout_of(6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mid_and_side_come_back(dtype: type) -> None:
    """There and back is the same sound, in the same kind, and loud samples survive."""
    samples = 3.0 * np.random.default_rng(440).normal(size=(2, 1000)).astype(dtype)
    back = left_right(mid_side(samples))
    assert back.dtype == dtype
    assert np.allclose(back, samples, atol=4 * np.finfo(dtype).eps * np.abs(samples).max(), rtol=0)


@pytest.mark.parametrize(
    ("left", "right", "mid", "side"), [(1.0, 1.0, 1.0, 0.0), (1.0, -1.0, 0.0, 1.0), (1.0, 0.0, 0.5, 0.5)]
)
def test_mid_and_side_are_halves(left: float, right: float, mid: float, side: float) -> None:
    """The centre is all mid at its own level, opposite polarity all side, hard left half of each."""
    assert np.array_equal(mid_side(np.array([[left], [right]])), [[mid], [side]])
