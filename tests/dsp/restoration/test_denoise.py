"""Steady noise: its floor is found where it lies bare, turned down without harm, and taken for nothing else."""

import functools

import numpy as np
import pytest
from scipy.signal import stft
from scipy.special import exp1

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.errors import AudioError, SettingsError
from dsp.kernels import NoiseGains
from dsp.restoration.denoise import Denoise, NoiseDetector, NoisePoint

RATE_HZ = 32_000
SECONDS = 30
REDUCTION_DB = 15.0
FLOOR_ERROR_DB = 1.0


@functools.cache
def music(seconds=SECONDS, seed=1):
    """Plucked notes with overtones up to 3 kHz and pauses between phrases; (2, samples), no noise of its own."""
    rng = np.random.default_rng(seed)
    out = np.zeros((2, seconds * RATE_HZ))
    t = np.arange(RATE_HZ) / RATE_HZ
    for start in np.arange(0.5, seconds - 1.5, 0.3):
        if start % 6.0 > 4.5:
            continue
        hz, pan = 110.0 * 2.0 ** (rng.integers(0, 30) / 12.0), rng.uniform(0.3, 0.7)
        note = sum(np.sin(2 * np.pi * k * hz * t + rng.uniform(0, 6)) / k for k in range(1, int(3_000 / hz)))
        note *= np.exp(-t / 0.15) * np.minimum(1.0, t / 0.003) * 0.3
        first = int(start * RATE_HZ)
        out[:, first : first + len(t)] += np.array([[1.0 - pan], [pan]]) * note
    out.flags.writeable = False
    return out


def hiss(snr_db, colour="white", shape=None, seed=2):
    noise = np.random.default_rng(seed).normal(size=shape or music().shape)
    if colour == "pink":
        spectrum = np.fft.rfft(noise)
        spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), spectrum.shape[1] / 1_000))
        noise = np.fft.irfft(spectrum, noise.shape[1])
    return noise * np.sqrt(np.mean(music() ** 2) / np.mean(noise**2)) * 10 ** (-snr_db / 20)


def found(samples, cut=None, **options):
    detector = NoiseDetector(RATE_HZ, samples.shape[0], **options)
    for start in range(0, samples.shape[1], cut or samples.shape[1]):
        detector.update(samples[:, start : start + (cut or samples.shape[1])])
    return detector.result()


def run(settings, samples):
    return Chain((settings,))(Audio(samples, RATE_HZ)).samples


def powers(samples):
    return np.abs(stft(samples, RATE_HZ, nperseg=1024)[2]) ** 2


@pytest.mark.parametrize(("colour", "snr_db"), [("white", 30.0), ("white", 40.0), ("pink", 35.0)])
def test_hiss_is_found_and_goes(colour, snr_db):
    """The floor is found within 1 dB in the treble; the SNR grows by 6 dB, what stands clear is off by 1 dB at most."""
    noise = hiss(snr_db, colour)
    result = found(music() + noise)
    repair = result.settings(REDUCTION_DB)
    hz = np.geomspace(4_000, 12_000, 9)
    measured = 10 * np.log10(np.interp(hz, np.fft.rfftfreq(1024, 1 / RATE_HZ), powers(noise).mean(axis=(0, 2))))
    measured += 10 * np.log10(1.5 / (RATE_HZ / 1024)) - 10 * np.log10(0.75)  # stft: peak amplitude of Hann, one-sided
    got = 10 * np.log10(repair.density(hz))
    np.testing.assert_allclose(got - got.mean(), measured - measured.mean(), rtol=0, atol=FLOOR_ERROR_DB)
    out = run(repair, music() + noise)
    assert 10 * np.log10(np.sum(noise**2) / np.sum((out - music()) ** 2)) >= (6.0 if colour == "white" else 3.0)
    clean, after = powers(music()), powers(out)
    clear = clean > 10.0 * powers(noise).mean(axis=2, keepdims=True)
    assert np.sqrt(np.mean((10 * np.log10(after[clear] / clean[clear])) ** 2)) <= 1.0


def test_the_floor_is_a_density():
    """White noise of a known power reads as that power over the band, whether found or told."""
    noise = hiss(30.0)
    density_db = 10 * np.log10(np.mean(noise**2) / (RATE_HZ / 2))
    for result in (found(noise, span_s=(2.0, 20.0)), found(music() + noise)):
        levels = [p.level_dbfs_hz for p in result.profile if p.frequency_hz > 4_000]
        np.testing.assert_allclose(levels, density_db, rtol=0, atol=FLOOR_ERROR_DB)


def test_noise_alone_sinks_evenly():
    """Noise alone goes down by the depth asked for, and no lone cells are left to chirp."""
    noise = hiss(30.0)
    out = run(found(noise, span_s=(0.0, 10.0)).settings(REDUCTION_DB), noise)
    before, after = powers(noise)[:, 5:-5, 5:-5], powers(out)[:, 5:-5, 5:-5]
    assert 10 * np.log10(before.mean() / after.mean()) >= REDUCTION_DB - 2.0
    kurtosis = [np.mean(p**2) / np.mean(p) ** 2 for p in (before, after)]
    assert kurtosis[1] / kurtosis[0] <= 2.0


@pytest.mark.parametrize("strong", [False, True])
def test_music_is_not_noise(strong):
    """Music without noise, silence, a cymbal-like wash that swells, and a fade-out's tail are left alone."""
    rng = np.random.default_rng(5)
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    wash = 0.05 * rng.normal(size=music().shape) * 10 ** (-(t % 3.0) * 0.7)
    tail = (music() + 0.3 * wash) * np.clip((SECONDS - t) / 10.0, 0.0, 1.0) ** 2
    for samples in (music(), np.zeros_like(music()), music() + wash, tail):
        assert found(samples, strong=strong).settings() is None


def test_gains_are_those_of_the_papers():
    """The first pass is the log-spectral amplitude of Ephraim & Malah, the second Wiener's for its smoothed SNR."""
    power = np.random.default_rng(6).exponential(size=(6, 1, 40)) * 60.0
    kernel, gains = NoiseGains(40, 1, 0.0), np.empty((1, 40))
    for frame in power:
        kernel.process(frame, np.ones(40), 1e-4, 4, 0.8, gains)
    # Without memory a strong cell's first gain is the plain estimator: that something is there is certain.
    snr = np.maximum(power[:, 0], 1e-3)
    xi = np.maximum(snr - 1.0, 1e-3)
    v = xi / (1.0 + xi) * snr
    first = np.minimum(xi / (1.0 + xi) * np.exp(0.5 * exp1(v)), 1.0) ** 2 * snr
    near = 0.25 * np.roll(first, 1, axis=1) + 0.5 * first + 0.25 * np.roll(first, -1, axis=1)
    prior = 0.25 * near[3] + 0.5 * near[4] + 0.25 * near[5]
    strong = np.array([k for k in range(1, 39) if (snr[3:6, k - 1 : k + 2] > 12.0).all()])
    assert len(strong) >= 3
    np.testing.assert_allclose(gains[0, strong], (prior / (1.0 + prior))[strong], rtol=2e-3)


def test_nothing_beyond_the_profile():
    """A tone outside of the profile's frequencies comes out as it went in."""
    tone = 0.1 * np.sin(2 * np.pi * 1_000.0 * np.arange(RATE_HZ) / RATE_HZ)[None]
    points = tuple(NoisePoint(frequency_hz=hz, level_dbfs_hz=-60.0) for hz in (6_000.0, 12_000.0))
    out = run(Denoise(profile=points, reduction_db=20.0), tone)
    np.testing.assert_allclose(out[:, 2_000:-2_000], tone[:, 2_000:-2_000], rtol=0, atol=1e-5)


def test_blocks_do_not_matter():
    """What is found does not depend on how the stream is cut."""
    samples = (music() + hiss(30.0)).astype(np.float32)
    assert found(samples, cut=3_001) == found(samples) == found(samples, cut=100_000)


def test_what_cannot_be_is_refused():
    """Points that do not rise, a span that ends before it starts or lies after the end, other shapes: refused."""
    with pytest.raises(SettingsError, match=r"denoise\.profile"):
        Denoise(profile=(NoisePoint(frequency_hz=50.0, level_dbfs_hz=-90.0),) * 2)
    with pytest.raises(AudioError, match="span_s"):
        NoiseDetector(RATE_HZ, 2, span_s=(3.0, 1.0))
    with pytest.raises(AudioError, match="span_s"):
        found(hiss(30.0), span_s=(100.0, 101.0))
    with pytest.raises(AudioError, match="block"):
        NoiseDetector(RATE_HZ, 2).update(np.zeros((1, 10)))


@pytest.mark.parametrize("length", [0, 1, 1_000, RATE_HZ])
def test_short_files_have_no_floor(length):
    """Too short to tell is not found, and no error."""
    assert found(hiss(30.0)[:, :length].copy(), cut=700).settings() is None
