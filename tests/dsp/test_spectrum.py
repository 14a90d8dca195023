"""Spectra: Parseval, mid and side identities, and what blocks, rates and short streams must not change."""

import itertools

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.kernels import windowed
from dsp.meters.spectrum import (
    BLOCK_S,
    BandMeter,
    LongSpectrum,
    _Bands,
    _Course,
    _window,
    band_centres_hz,
    band_edges_hz,
)
from dsp.units import erb_number

RATES_HZ = (22_050, 44_100, 48_000, 69_313, 96_000)
LEVEL_DB, CUTS, TWIN = 0.1, 1e-6, 1e-6


def fed(meter, samples, cuts=()):
    edges = [0, *sorted(min(c, samples.shape[1]) for c in cuts), samples.shape[1]]
    for a, b in itertools.pairwise(edges):
        meter.update(samples[:, a:b])
    return meter.result()


def noise(seconds, rate_hz, channels=2, seed=3):
    return np.random.default_rng(seed).normal(size=(channels, int(seconds * rate_hz)))


def sine(hz, rate_hz, seconds=2.0, amplitude=1.0):
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)[None]


def test_bands_are_even_in_erb():
    """Forty bands from 22 Hz to 20 kHz, one ERB step apart, centres between."""
    edges = band_edges_hz()
    assert (len(edges), len(band_centres_hz())) == (41, 40)
    np.testing.assert_allclose(edges[[0, -1]], [22.0, 20_000.0])
    np.testing.assert_allclose(np.diff(erb_number(edges)), np.diff(erb_number(edges))[0])
    assert ((edges[:-1] < band_centres_hz()) & (band_centres_hz() < edges[1:])).all()


# --- levels


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_white_noise_fills_bands_by_their_width(rate_hz):
    """The mean power of each band is its share of the spectrum, and together they are the signal's."""
    samples = noise(12.0, rate_hz, channels=1)
    bands = fed(BandMeter(rate_hz), samples)
    edges = np.minimum(band_edges_hz(), rate_hz / 2)
    share = np.diff(edges) / (rate_hz / 2)
    got = bands.astype(np.float64).mean(axis=1)
    heard = share > 0
    blocks_worth = np.sqrt(share[heard] * rate_hz / 2 * 12.0)
    assert (np.abs(got[heard] / share[heard] - 1) <= 4.0 / blocks_worth + 0.01).all()
    assert not got[~heard].any()
    assert got.sum() == pytest.approx(share.sum() * np.mean(samples**2), rel=0.01)


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_long_spectrum_sums_to_the_power(rate_hz):
    """Its bins sum to the mean square, with fractions of bins where bands cut them, and with all of them together."""
    samples = noise(10.0, rate_hz)
    spectrum = fed(LongSpectrum(rate_hz), samples)
    mid, side = samples.sum(axis=0) / 2, np.diff(samples, axis=0)[0] / 2
    assert spectrum.mid.sum() == pytest.approx(np.mean(mid**2), rel=0.01)
    assert spectrum.side.sum() == pytest.approx(np.mean(side**2), rel=0.01)
    edges = np.array([0.0, 33.3, 100.0, 101.0, 5_000.0, rate_hz])
    parts = spectrum.in_bands(spectrum.mid, edges)
    assert parts.sum() == pytest.approx(spectrum.mid.sum(), rel=1e-12)
    width = np.diff(np.minimum(edges, rate_hz / 2)) / (rate_hz / 2)
    assert parts[3:] == pytest.approx(width[3:] * np.mean(mid**2), rel=0.05)
    whole = spectrum.in_bands(spectrum.mid, np.array([40.0, 4_000.0]))
    split = spectrum.in_bands(spectrum.mid, np.linspace(40.0, 4_000.0, 77))
    assert split.sum() == pytest.approx(whole.sum(), rel=1e-12)


@pytest.mark.parametrize("hz_of_rate", [0.0, 0.5])
def test_dc_and_nyquist_count_once(hz_of_rate):
    """The two bins without a mirror image are not doubled: DC and the Nyquist frequency read their mean square."""
    samples = np.cos(2 * np.pi * hz_of_rate * np.arange(3 * 48_000))[None]
    spectrum = fed(LongSpectrum(48_000), samples)
    middle = spectrum.mid.sum()
    assert 10 * np.log10(middle) == pytest.approx(0.0, abs=LEVEL_DB)
    assert spectrum.frequency_hz[spectrum.mid.argmax()] == pytest.approx(hz_of_rate * 48_000)


@pytest.mark.parametrize("rate_hz", [44_100, 96_000])
@pytest.mark.parametrize("band", [12, 20, 30, 38])
def test_sine_reads_its_level_in_its_band(band, rate_hz):
    """A sine in the middle of a band wide enough for the window has its power there, in every block."""
    bands = fed(BandMeter(rate_hz), sine(band_centres_hz()[band], rate_hz, amplitude=0.5))
    inner = 10 * np.log10(bands[:, 2:-2].astype(np.float64) + 1e-30)
    np.testing.assert_allclose(inner[band], 10 * np.log10(0.125), atol=LEVEL_DB)
    assert np.delete(inner, [band - 1, band, band + 1], axis=0).max() <= -60.0


@pytest.mark.parametrize(("hz", "short_db"), [(25.0, 0.5), (50.0, 0.1), (440.0, 0.1), (10_000.0, 0.1)])
def test_sine_reads_its_level_in_a_third_octave(hz, short_db):
    """The long spectrum has a sine's power within a third octave around it; at 25 Hz the window takes 0.4 dB."""
    spectrum = fed(LongSpectrum(48_000), sine(hz, 48_000, 8.0))
    third = spectrum.in_bands(spectrum.mid, hz * 2.0 ** np.array([-1 / 6, 1 / 6]))
    assert 10 * np.log10(2 * third[0]) == pytest.approx(0.0, abs=short_db)


# --- mid, side and their product


def test_left_and_right_follow():
    """Left is mid + side + twice their product, right the same with a minus."""
    samples = noise(2.0, 44_100)
    samples = np.stack([samples[0], 0.6 * samples[0] - 0.3 * samples[1]])
    both = fed(LongSpectrum(44_100), samples)
    left, right = (fed(LongSpectrum(44_100), channel[None]) for channel in samples)
    scale = left.mid.max()
    np.testing.assert_allclose(both.mid + both.side + 2 * both.cross, left.mid, rtol=1e-4, atol=1e-6 * scale)
    np.testing.assert_allclose(both.mid + both.side - 2 * both.cross, right.mid, rtol=1e-4, atol=1e-6 * scale)
    assert (both.cross**2 <= both.mid * both.side * (1 + 1e-4) + 1e-12).all()


def test_channels_swapped_and_scaled():
    """Swapped channels turn the product's sign, 6 dB more is four times the power, equal channels have no side."""
    samples = noise(1.0, 44_100)
    plain, swapped = (fed(LongSpectrum(44_100), np.ascontiguousarray(s)) for s in (samples, samples[::-1]))
    louder = fed(LongSpectrum(44_100), 2.0 * samples)
    for name, sign in (("mid", 1), ("side", 1), ("cross", -1)):
        scale = np.abs(getattr(plain, name)).max()
        np.testing.assert_allclose(getattr(swapped, name), sign * getattr(plain, name), atol=1e-6 * scale)
        np.testing.assert_allclose(getattr(louder, name), 4 * getattr(plain, name), rtol=1e-5, atol=1e-9 * scale)
    equal = fed(LongSpectrum(44_100), np.repeat(samples[:1], 2, axis=0))
    mono = fed(LongSpectrum(44_100), samples[:1])
    assert np.abs(equal.side).max() <= 1e-12 * equal.mid.max()
    np.testing.assert_allclose(equal.mid, mono.mid, rtol=1e-5)


def test_bands_are_of_the_mid():
    """Bands over time are those of half the sum of the channels; a side alone is silent in them."""
    samples = noise(1.0, 44_100)
    both, mid = fed(BandMeter(44_100), samples), fed(BandMeter(44_100), samples.mean(axis=0, keepdims=True))
    np.testing.assert_array_equal(both, mid)
    assert not fed(BandMeter(44_100), np.stack([samples[0], -samples[0]])).any()


# --- time


@settings(max_examples=8, deadline=None, derandomize=True)
@given(
    cuts=st.lists(st.integers(0, 40_000), max_size=15),
    rate_hz=st.sampled_from([22_050, 44_100, 69_313]),
    dtype=st.sampled_from([np.float32, np.float64]),
)
def test_cuts_change_nothing(cuts, rate_hz, dtype):
    """However the stream is cut, both meters read the same."""
    samples = noise(0.9, rate_hz).astype(dtype)
    bands = [fed(BandMeter(rate_hz), samples, where) for where in (cuts, ())]
    spectra = [fed(LongSpectrum(rate_hz), samples, where) for where in (cuts, ())]
    pairs = [bands, *([getattr(s, name) for s in spectra] for name in ("mid", "side", "cross"))]
    for got, wanted in pairs:
        assert got.shape == wanted.shape
        np.testing.assert_allclose(got, wanted, rtol=CUTS, atol=CUTS * np.abs(wanted).max())


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("seconds", [0.001, 0.03, 0.0501, 0.1, 1.26])
def test_a_column_for_every_whole_block(seconds, rate_hz):
    """Streams have a column per 50 ms that lies in them whole, and never none."""
    samples = noise(seconds, rate_hz)
    bands = fed(BandMeter(rate_hz), samples)
    ends = np.floor(np.arange(1, 60) * BLOCK_S * rate_hz + 0.5)
    assert bands.shape == (40, max(1, int((ends <= samples.shape[1]).sum())))
    assert bands.dtype == np.float32
    assert bands.sum() > 0
    spectrum = fed(LongSpectrum(rate_hz), samples)
    assert len(spectrum.frequency_hz) == len(spectrum.mid)
    assert spectrum.frequency_hz[-1] == pytest.approx(rate_hz / 2)
    assert spectrum.mid.sum() > 0


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 48_000, 69_313])
def test_shifted_sound_shifts_columns(rate_hz):
    """100 ms of silence before the sound are two columns before the same columns."""
    samples = noise(1.0, rate_hz)
    late = np.concatenate([np.zeros((2, round(0.1 * rate_hz))), samples], axis=1)
    plain, shifted = fed(BandMeter(rate_hz), samples), fed(BandMeter(rate_hz), late)
    assert shifted.shape[1] == plain.shape[1] + 2
    whole = (0.1 * rate_hz) % 1 == 0
    np.testing.assert_allclose(shifted[:, 2:], plain, atol=(1e-6 if whole else 0.02) * plain.max())
    assert not shifted[:, 0].any()


def test_a_click_is_in_the_column_where_it_is():
    """Energy lands in the block that holds it, and decays over the window's 45 ms to either side."""
    rate_hz = 48_000
    samples = np.zeros((1, rate_hz))
    samples[0, int(0.525 * rate_hz)] = 1.0
    power = fed(BandMeter(rate_hz), samples).sum(axis=0)
    assert power.argmax() == 10
    assert power[[9, 11]].max() <= 0.01 * power[10]
    assert not power[:9].any()
    assert not power[12:].any()


def test_a_click_between_two_columns_is_in_both():
    """On the border of two blocks a click counts as much in the one as in the other: windows lie centred."""
    samples = np.zeros((1, 48_000))
    samples[0, int(0.55 * 48_000)] = 1.0
    power = fed(BandMeter(48_000), samples).sum(axis=0)
    assert power[10] == pytest.approx(power[11], rel=1e-4)
    assert power[10] > 0.0


@pytest.mark.parametrize("channels", [1, 2])
def test_silence(channels):
    """Silence has no power, and a stream of no samples is silence."""
    for length in (0, 30_000):
        spectrum = fed(LongSpectrum(44_100), np.zeros((channels, length)))
        assert not spectrum.mid.any()
        assert not spectrum.side.any()
        assert not fed(BandMeter(44_100), np.zeros((channels, length))).any()


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000, 96_000])
def test_course_adds_up_to_the_spectrum(rate_hz: int) -> None:
    """The band powers over time are those of the mean spectrum, block by block of any length."""
    samples = np.random.default_rng(5).normal(0.0, 0.1, (2, 3 * rate_hz)).astype(np.float32)
    edges = np.geomspace(90.0, 0.4 * rate_hz, 20)
    meters = [LongSpectrum(rate_hz, (("mid", edges), ("side", edges[::2]))) for _ in range(2)]
    meters[0].update(samples)
    for start in range(0, samples.shape[1], 7_001):
        meters[1].update(samples[:, start : start + 7_001])
    spectrum, _ = (m.result() for m in meters)
    for power, part, bands in zip(
        (spectrum.mid, spectrum.side), meters[0].course()[0], (edges, edges[::2]), strict=True
    ):
        mean = part.sum(axis=1) * 0.1 * rate_hz / samples.shape[1]
        assert np.allclose(mean, spectrum.in_bands(power, bands), rtol=1e-4)
    for one, other in zip(meters[0].course()[0], meters[1].course()[0], strict=True):
        assert np.allclose(one, other, rtol=1e-5)


@pytest.mark.parametrize("minutes", [10, 11, 25, 43])
def test_a_long_course_is_evenly_spread(minutes):
    """Of more than 64 stretches of 100 frames, 32 to 64 are kept, evenly spread, each whole and in its place."""
    course, frames = _Course(), np.arange(minutes * 600 + 7, dtype=np.float32)
    for part in np.array_split(frames, 130):
        course.add(part[:, None])
    columns, numbers = course.result()
    np.testing.assert_array_equal(columns[0], numbers)
    kept = np.unique(numbers // 100)
    assert 32 <= len(kept) <= 64
    assert len(set(np.diff(kept))) == 1
    assert len(frames) - numbers[-1] <= np.diff(kept)[0] * 100
    assert (np.bincount((numbers // 100).astype(int))[kept[:-1]] == 100).all()


def test_taken_blocks_are_those_of_the_result():
    """Who takes blocks on the way gets the same ones."""
    samples, meter, parts = noise(3.045, 44_100), BandMeter(44_100), []
    for part in np.array_split(samples, 5, axis=1):
        meter.update(part)
        if meter.waiting:
            parts.append(meter.take())
    np.testing.assert_array_equal(np.hstack([*parts, meter.result()]), fed(BandMeter(44_100), samples))
    assert len(parts) == 5


# --- the kernels against their twins


def twin_bands(spectra, size, rate_hz, edges):
    """Band powers of mid, side and product (frames, 3, bands), and every bin's sum (3, bins), by NumPy alone."""
    left, right = spectra[0].astype(np.complex128), spectra[-1].astype(np.complex128)
    mid, side = (left + right) / 2, (left - right) / 2
    powers = np.stack([np.abs(mid) ** 2, np.abs(side) ** 2, (mid * side.conj()).real])
    powers[..., [0, -1]] /= 2
    low = (np.arange(size // 2 + 1) - 0.5) * rate_hz / size
    share = np.minimum(low[:, None] + rate_hz / size, edges[1:]) - np.maximum(low[:, None], edges[:-1])
    share = np.clip(share, 0.0, None) * size / rate_hz
    share[0] = 0.0
    return np.moveaxis(powers @ share, 0, 1), powers.sum(axis=1)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_powers_match_twin(channels, dtype):
    """Windows are NumPy's to the bit, bands those of the same spectra; a side 60 dB below the mid keeps its digits."""
    size, rate_hz = 1024, 8_000
    samples = noise(2.0, rate_hz, channels)
    if channels == 2:
        samples[1] = samples[0] + 1e-3 * samples[1]
    samples = samples.astype(dtype)
    edges = np.array([0.0, 3.0, 22.0, 23.0, 400.0, 407.5, 3_990.0, 4_500.0, 5_000.0])
    starts, window = [0, 500, 1_024, 9_999], _window(size).astype(dtype)
    frames = np.empty((channels, len(starts), size), dtype)
    windowed(samples, np.array(starts), window, frames)
    np.testing.assert_array_equal(frames, np.stack([samples[:, s : s + size] * window for s in starts], axis=1))
    totals = np.zeros((3, size // 2 + 1))
    got = _Bands(size, rate_hz, [(channel, edges) for channel in range(3)]).powers(frames, totals)
    wanted, sums = twin_bands(scipy.fft.rfft(frames, axis=-1), size, rate_hz, edges)
    np.testing.assert_allclose(got.reshape(len(starts), 3, -1)[:, :2], wanted[:, :2], rtol=TWIN, atol=1e-30)
    np.testing.assert_allclose(totals[:2], sums[:2], rtol=TWIN, atol=1e-30)
    # The product may be small where neither factor is: against the larger of what it can be.
    highest = np.sqrt(wanted[:, 0] * wanted[:, 1])
    assert (np.abs(got.reshape(len(starts), 3, -1)[:, 2] - wanted[:, 2]) <= TWIN * highest + 1e-30).all()
    assert (np.abs(totals[2] - sums[2]) <= TWIN * np.sqrt(sums[0] * sums[1]) + 1e-30).all()
