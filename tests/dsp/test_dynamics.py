"""Dynamics and the time grid under it, against SciPy's filters and direct sums."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from dsp.meters.dynamics import (
    BANDS,
    CROSSOVERS_HZ,
    SEGMENT_S,
    DynamicsMeter,
    figures,
)
from dsp.segments import Segments

RATES_HZ = (8_000, 22_050, 44_100, 48_000, 69_313, 96_000)
TWIN = 1e-9


def fed(samples, rate_hz, cuts=()):
    meter = DynamicsMeter(rate_hz)
    edges = [0, *sorted(min(c, samples.shape[1]) for c in cuts), samples.shape[1]]
    for a, b in itertools.pairwise(edges):
        meter.update(samples[:, a:b])
    return meter.result()


def noise(samples, channels=2, seed=9):
    return np.random.default_rng(seed).normal(size=(channels, samples)) * np.array([[0.5], [0.3]])[:channels]


def edges_of(samples, duration_s, rate_hz):
    """First sample of every segment that lies whole in the stream, and of the one after."""
    edges = np.floor(np.arange(samples / rate_hz / duration_s + 2) * duration_s * rate_hz + 0.5).astype(int)
    return edges[edges <= samples]


def twin(samples, rate_hz):
    """Fourth-order Linkwitz-Riley bands by SciPy, then peaks and mean squares by slices."""

    def slope(kind, hz, x):
        sos = butter(2, hz, kind, fs=rate_hz, output="sos")
        return sosfilt(sos, sosfilt(sos, x))

    samples = samples.astype(np.float64)
    low_hz, high_hz = CROSSOVERS_HZ
    middle = slope("lowpass", high_hz, slope("highpass", low_hz, samples))
    bands = [slope("lowpass", low_hz, samples), middle, slope("highpass", high_hz, samples), samples]
    edges = edges_of(samples.shape[1], SEGMENT_S, rate_hz)
    peak = [[np.abs(band[:, a:b]).max() for a, b in itertools.pairwise(edges)] for band in bands]
    power = [[np.mean(band[:, a:b] ** 2) for a, b in itertools.pairwise(edges)] for band in bands]
    return np.array(peak), np.array(power)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_is_its_twin(rate_hz, channels, dtype):
    """Peaks and powers of every band and segment are SciPy's."""
    samples = noise(int(0.517 * rate_hz), channels).astype(dtype)
    peak, power = twin(samples, rate_hz)
    found = fed(samples, rate_hz)
    assert found.peak.shape == found.power.shape == (len(BANDS), 51)
    np.testing.assert_allclose(found.peak, peak, rtol=0, atol=TWIN)
    np.testing.assert_allclose(found.power, power, rtol=0, atol=TWIN)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 9_000), max_size=20), rate_hz=st.sampled_from(RATES_HZ))
def test_cuts_change_nothing(cuts, rate_hz):
    """However the stream is cut, peaks are the same bits and powers the same to rounding."""
    samples = noise(9_000)
    whole, cut = fed(samples, rate_hz), fed(samples, rate_hz, cuts)
    np.testing.assert_array_equal(cut.peak, whole.peak)
    np.testing.assert_allclose(cut.power, whole.power, rtol=1e-12)


def test_bands_sum_to_the_whole():
    """Linkwitz-Riley slopes are 6 dB down where they meet, so a sine's three bands add up to it in amplitude."""
    for hz in (30.0, 200.0, 800.0, 3_200.0, 12_000.0):
        tone = np.sin(2 * np.pi * hz * np.arange(48_000) / 48_000)[None]
        power = fed(tone, 48_000).power[:, 50:].mean(axis=1)
        amplitudes = np.sqrt(2 * power)
        assert amplitudes[:3].sum() == pytest.approx(1.0, abs=0.02), hz
        assert amplitudes[3] == pytest.approx(1.0, abs=1e-3)
        if hz in CROSSOVERS_HZ:
            met = CROSSOVERS_HZ.index(hz)
            assert amplitudes[met : met + 2] == pytest.approx([0.5, 0.5], abs=0.01)


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_shifted_sound_shifts_segments(rate_hz):
    """100 ms of silence before the sound are ten segments before the same ones."""
    samples = noise(rate_hz // 2)
    plain = fed(samples, rate_hz)
    shifted = fed(np.concatenate([np.zeros((2, rate_hz // 10)), samples], axis=1), rate_hz)
    np.testing.assert_allclose(shifted.peak[:, 10:], plain.peak, atol=1e-12)
    np.testing.assert_allclose(shifted.power[:, 10:], plain.power, atol=1e-12)
    assert shifted.peak[:, :10].max() <= 1e-25


@pytest.mark.parametrize("samples", [1, 100, 440, 441, 442, 881, 882])
def test_short_streams(samples):
    """An incomplete segment counts only where it is the only one; its mean is over what there is."""
    found = fed(np.full((1, samples), 0.5), 44_100)
    assert found.power.shape == (4, max(1, samples // 441))
    np.testing.assert_allclose(found.power[3], 0.25, rtol=1e-12)
    np.testing.assert_array_equal(found.peak[3], 0.5)


def test_silence_is_not_denormal():
    """After the sound the bands sink to a floor and stay there, out of denormals; the whole is exactly silent."""
    samples = np.zeros((2, 300_000))
    samples[:, :2_000] = noise(2_000)
    found = fed(samples, 44_100)
    assert found.peak[:3, -1].max() <= 1e-25
    assert not found.peak[3, -1]
    tail = found.peak[:, -10:]
    assert not ((tail > 0) & (tail < np.finfo(np.float64).tiny)).any()


def test_taken_segments_are_those_of_the_result():
    """Who takes segments on the way gets the same ones, with the rest or none left for the end."""
    samples = noise(44_100)
    for cuts in ([10_000, 10_050, 30_000], [44_100]):
        meter, parts = DynamicsMeter(44_100), []
        for part in np.split(samples, cuts, axis=1):
            meter.update(part)
            waiting = meter.waiting
            parts.append(meter.take())
            assert parts[-1].power.shape == (4, waiting)
        parts.append(meter.result())
        whole = fed(samples, 44_100)
        np.testing.assert_array_equal(np.hstack([p.peak for p in parts]), whole.peak)
        np.testing.assert_allclose(np.hstack([p.power for p in parts]), whole.power, rtol=1e-12)


# --- figures


def plain_figures(power, peak):
    """Crest and spreads by convolution, window by window."""

    def level_db(course, length):
        return 10 * np.log10(np.convolve(np.pad(course, 40), np.ones(length) / length, "valid") + 1e-20)

    whole = level_db(power[3], 5)
    heard = whole > whole.max() - 55.0
    spreads = [np.subtract(*np.percentile(level_db(band, 5)[heard], [95, 50])) for band in power[:3]]
    level = level_db(power[3], 40)
    tops = np.lib.stride_tricks.sliding_window_view(np.pad(peak, 40), 40).max(axis=1)
    heard = level > level.max() - 55.0
    level, crest = level[heard], (20 * np.log10(tops + 1e-20) - level)[heard]
    return np.array([np.median(crest[level >= np.median(level)]), *np.minimum(spreads, 30.0)])


@pytest.mark.parametrize("segments", [80, 81, 471, 472, 3_001, 140_000])
def test_figures_are_their_twin(segments):
    """Of any length, in double or in single precision."""
    rng = np.random.default_rng(segments)
    course = np.exp(rng.normal(-4.0, 1.5, (4, segments)))
    course[:, segments // 2 : segments // 2 + 30] *= 1e-2
    course[2] *= 1e-13  # as good as nothing up there, which has a spread all the same
    peak = np.sqrt(course[3]) * rng.uniform(1.5, 4.0, segments)
    wanted = plain_figures(course, peak)
    np.testing.assert_allclose(figures(course, peak), wanted, atol=1e-3)
    np.testing.assert_allclose(figures(course.astype(np.float32), peak.astype(np.float32)), wanted, atol=1e-3)


def test_figures_of_next_to_nothing():
    """Shorter than two windows of the crest factor, or silent: no figures."""
    assert not figures(np.ones((4, 79)), np.ones(79)).any()
    assert not figures(np.zeros((4, 500)), np.zeros(500)).any()


# --- the grid itself


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rate_hz=st.sampled_from([8_000, 11_025, 22_050, 44_100, 48_000, 69_313]),
    duration_s=st.sampled_from([0.01, 0.05, 0.1, 0.0123, 1.0]),
    lengths=st.lists(st.integers(1, 5_000), min_size=1, max_size=12),
)
def test_segments_are_direct_sums(rate_hz, duration_s, lengths):
    """Maxima and means over the grid are those of slices, at rates where segments are no whole number of samples."""
    total = sum(lengths)
    values = np.random.default_rng(total).random(total)
    grid, start = Segments(duration_s, rate_hz, 1), 0
    for length in lengths:
        part = values[start : start + length]
        stops = grid.cut(length)
        assert stops[-1] == length
        stretches = list(itertools.pairwise([0, *stops]))
        maxima = np.array([[part[a:b].max()] for a, b in stretches])
        grid.gather(maxima, np.array([[part[a:b].sum()] for a, b in stretches]))
        start += length
    maxima, means = grid.result()
    edges = edges_of(total, duration_s, rate_hz)
    if len(edges) < 2:
        edges = np.array([0, total])
    np.testing.assert_array_equal(maxima[0], [values[a:b].max() for a, b in itertools.pairwise(edges)])
    np.testing.assert_allclose(means[0], [values[a:b].mean() for a, b in itertools.pairwise(edges)], rtol=1e-12)


@pytest.mark.parametrize("rate_hz", [22_050, 69_313])
def test_grid_does_not_drift(rate_hz):
    """After an hour a boundary is still within half a sample of where it belongs."""
    grid = Segments(0.01, rate_hz, 1)
    late = grid.boundaries(3, 360_000)
    np.testing.assert_allclose(late, np.arange(360_000, 360_003) * 0.01 * rate_hz, atol=0.5)
    assert set(np.diff(grid.boundaries(1_000))) == {int(0.01 * rate_hz), int(0.01 * rate_hz) + 1}
