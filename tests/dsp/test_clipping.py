"""The clipping meter: flat tops counted like a plain twin does, at any level, in any blocks."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dsp.errors import AudioError
from dsp.meters.clipping import ClippingMeter

RATE = 44_100


def measured(samples: np.ndarray, block: int | None = None) -> int:
    meter = ClippingMeter(len(samples))
    step = block or samples.shape[1]
    for start in range(0, samples.shape[1], step):
        meter.update(samples[:, start : start + step])
    return meter.result()


def plainly(samples: np.ndarray) -> int:
    """Runs of three equal samples or more at a channel's extreme, with an edge of a thousandth of it beside them."""
    count = 0
    for signal in (sign * channel.astype(np.float64) for channel in samples for sign in (1.0, -1.0)):
        top = max(0.0, signal.max(initial=0.0))
        around = np.concatenate([[0.0], signal, [0.0]])
        at = 1
        for value, run in itertools.groupby(signal):
            length = len(list(run))
            edge = top - min(around[at - 1], around[at + length])
            count += bool(value == top > 0.0 and length >= 3 and edge > 1e-3 * top)
            at += length
    return count


def sine(frequency_hz: float, peak: float, bits: int = 16) -> np.ndarray:
    wave = peak * np.sin(2.0 * np.pi * frequency_hz * np.arange(2 * RATE) / RATE + 0.1)
    return (np.rint(wave * 2 ** (bits - 1)) / 2 ** (bits - 1))[None]


LEVELS = st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0])
STEPS = arrays(np.float64, st.tuples(st.integers(1, 2), st.integers(1, 200)), elements=LEVELS)


@given(STEPS, st.integers(1, 90))
def test_counts_like_its_twin(samples: np.ndarray, block: int) -> None:
    """Whatever comes, in whatever blocks."""
    assert measured(samples, block) == plainly(samples)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [None, 1, 63, 4096])
def test_counts_like_its_twin_on_clipped_noise(dtype: type, block: int | None) -> None:
    """Long and loud, where whole groups are passed over."""
    noise = np.random.default_rng(8).normal(0.0, 0.1, (2, 20_000)).cumsum(axis=1)
    noise = np.clip(noise / np.abs(noise).max(), -0.6, 0.7).astype(dtype)
    assert measured(noise, block) == plainly(noise) > 3


@pytest.mark.parametrize("peak", [0.05, 0.3, 0.99])
@pytest.mark.parametrize("frequency_hz", [30.0, 60.0, 1000.0, 11_025.0])
def test_a_clean_tone_has_none(frequency_hz: float, peak: float) -> None:
    """The round top of a low tone is flat for several samples of 16 bit, but has no edges."""
    assert measured(sine(frequency_hz, peak)) == 0


@pytest.mark.parametrize("turned_down", [1.0, 0.31])
def test_a_clipped_tone_has_two_a_period(turned_down: float) -> None:
    """At any level afterwards."""
    clipped = np.clip(sine(100.0, 1.0), -0.7, 0.7) * turned_down
    assert measured(clipped) == pytest.approx(2 * 100 * 2, abs=2)


def test_each_channel_has_its_own_top() -> None:
    """A clipped channel is found beside a louder clean one."""
    clean, clipped = sine(440.0, 0.9)[0], np.clip(sine(440.0, 0.9)[0], -0.4, 0.4)
    assert measured(np.stack([clean, clipped])) == measured(clipped[None]) > 1000


def test_silence_has_none() -> None:
    """Nothing at all is no top."""
    assert measured(np.zeros((2, 1000))) == 0


def test_refuses_other_shapes() -> None:
    """Channels must stay what they are, and be there."""
    with pytest.raises(AudioError):
        ClippingMeter(0)
    with pytest.raises(AudioError):
        ClippingMeter(2).update(np.zeros((1, 10)))
