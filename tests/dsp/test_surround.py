"""Surround: loudspeakers and weights, the stereo mix, and a chain over all channels."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.curves import Point
from dsp.effects.compressor import Compressor, CompressorBand
from dsp.effects.eq import Band, Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.effects.width import Width
from dsp.errors import AudioError
from dsp.meters.loudness import LoudnessMeter
from dsp.meters.true_peak import TruePeakMeter
from dsp.surround import Speakers, surround_processor

RATE_HZ = 48_000
FIVE_ONE, SEVEN_ONE = Speakers(0x3F), Speakers(0x63F)
CHAIN = Chain(
    (
        Eq(bands=(Band(frequency_hz=120.0, gain_db=4.0), Band(frequency_hz=3000.0, gain_db=-3.0, channels="side"))),
        Width(side=(Point(frequency_hz=1000.0, gain_db=2.0),)),
        Compressor(
            crossovers_hz=(200.0,),
            bands=(CompressorBand(threshold_db=-30.0, ratio=2.0), CompressorBand(threshold_db=-30.0, ratio=3.0)),
        ),
        Gain(gain_db=12.0),
        Limiter(ceiling_dbtp=-1.0),
    )
)


def noise(channels: int, samples: int = RATE_HZ) -> np.ndarray:
    levels = np.linspace(0.05, 0.3, channels)[:, None]
    return np.random.default_rng(channels).normal(size=(channels, samples)) * levels


def run(chain: Chain, speakers: Speakers, samples: np.ndarray, cuts: tuple[int, ...] = ()) -> np.ndarray:
    processor = surround_processor(chain, RATE_HZ, speakers)
    edges = [0, *cuts, samples.shape[1]]
    parts = [processor.process(np.ascontiguousarray(samples[:, a:b])) for a, b in itertools.pairwise(edges)]
    tail = processor.finish()
    return np.concatenate(parts if tail is None else [*parts, tail], axis=1)


def tone(peak_db: float, seconds: float = 20.0) -> np.ndarray:
    return 10.0 ** (peak_db / 20.0) * np.sin(2.0 * np.pi * 1000.0 * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


def lufs(samples: np.ndarray, speakers: Speakers) -> float:
    meter = LoudnessMeter(RATE_HZ, len(samples), weights=speakers.weights)
    meter.update(samples)
    return meter.result().integrated_lufs


def test_tech_3341_case_6() -> None:
    """5.0: left and right at -28 dBFS, centre at -24, surrounds at -30 read -23 LUFS, whatever the LFE does."""
    silence = np.zeros(20 * RATE_HZ)
    five = np.stack([tone(-28.0), tone(-28.0), tone(-24.0), silence, tone(-30.0), tone(-30.0)])
    assert lufs(five, FIVE_ONE) == pytest.approx(-23.0, abs=0.1)
    assert lufs(five, FIVE_ONE) == pytest.approx(-23.0163, abs=0.002)
    five[3] = tone(-6.0)
    assert lufs(five, FIVE_ONE) == pytest.approx(-23.0163, abs=0.002)


def test_weights_and_places() -> None:
    """A lone pair of surrounds counts 1.41; beside side surrounds the back ones count 1."""
    assert FIVE_ONE.weights == [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]
    assert Speakers(0x60F).weights == [1.0, 1.0, 1.0, 0.0, 1.41, 1.41]
    assert SEVEN_ONE.weights == [1.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.41, 1.41]
    assert FIVE_ONE.pairs == [[0, 1], [4, 5]]
    assert (SEVEN_ONE.lfe, SEVEN_ONE.bed) == (3, [0, 1, 2, 4, 5, 6, 7])


@pytest.mark.parametrize("mask", [0x4, 0x1, 0x13, 0x40003, 0xC3])
def test_other_layouts_are_refused(mask: int) -> None:
    """A left without a right, height channels, no front pair."""
    with pytest.raises(AudioError, match="channel mask"):
        Speakers(mask)


def test_stereo_mix() -> None:
    """After BS.775: centre on both sides 3 dB down, surrounds on their own, no LFE."""
    block = np.eye(6)
    half = np.sqrt(0.5)
    np.testing.assert_allclose(FIVE_ONE.folded(block), [[1, 0, half, 0, half, 0], [0, 1, half, 0, 0, half]])


@pytest.mark.parametrize("speakers", [FIVE_ONE, SEVEN_ONE, Speakers(0x33), Speakers(0x7)])
def test_blocks_make_no_difference(speakers: Speakers) -> None:
    """All samples come out, the same however the stream is cut."""
    x = noise(speakers.channels)
    whole = run(CHAIN, speakers, x)
    assert whole.shape == x.shape
    np.testing.assert_array_equal(run(CHAIN, speakers, x, cuts=(1, 1, 7_000, 30_001)), whole)


def test_no_channel_passes_the_ceiling() -> None:
    """The LFE is limited too, by itself: however loud it is, the others do not move."""
    x = noise(6)
    quiet = run(CHAIN, FIVE_ONE, x)
    x[3] *= 20.0
    loud = run(CHAIN, FIVE_ONE, x)
    np.testing.assert_array_equal(np.delete(loud, 3, axis=0), np.delete(quiet, 3, axis=0))
    meter = TruePeakMeter(RATE_HZ, 6)
    meter.update(loud)
    assert max(meter.result().channel_peaks_dbtp) <= -1.0
    assert meter.result().channel_peaks_dbtp[3] > -1.2


def test_channels_are_limited_together() -> None:
    """A peak in one surround turns all of the bed down by the same gain."""
    x = np.full((6, RATE_HZ), 0.1)
    x[4, 20_000:20_100] = 2.0
    y = run(Chain((Limiter(ceiling_dbtp=-1.0),)), FIVE_ONE, x)
    gain = y[FIVE_ONE.bed] / x[FIVE_ONE.bed]
    assert gain.min() < 0.5
    np.testing.assert_allclose(gain, np.broadcast_to(gain[0], gain.shape), rtol=1e-9)


def test_stereo_in_surround_is_stereo() -> None:
    """Two sounding channels of six are treated as they would be alone, but for what the silent ones are asked."""
    x = np.zeros((6, RATE_HZ))
    x[:2] = noise(2)
    y = run(CHAIN, FIVE_ONE, x)
    alone = CHAIN(Audio(x[:2], RATE_HZ)).samples
    np.testing.assert_allclose(y[:2], alone, atol=1e-9)
    assert not y[2:].any()


def test_repairs_are_refused() -> None:
    """An effect that knows two channels says so."""
    from dsp.effects.highpass import Highpass

    with pytest.raises(AudioError, match="highpass: works on mono and stereo, not on 6 channels"):
        surround_processor(Chain((Highpass(frequency_hz=30.0),)), RATE_HZ, FIVE_ONE)
