"""Compressor against plain twins, the textbook's static curve, and its own time constants."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.chain import settings_from
from dsp.effects.compressor import Compressor, CompressorBand, band_gain_db, low_share
from dsp.errors import SettingsError

RATE_HZ = 48_000
TWIN, SINGLE = 1e-9, 2e-6
CURVE_DB, CROSSOVER_DB = 0.1, 0.05
GRID_MS = 0.36


def run(compressor, samples, rate_hz=RATE_HZ, cuts=()):
    processor = compressor.processor(rate_hz, samples.shape[0])
    edges = [0, *sorted(min(c, samples.shape[1]) for c in cuts), samples.shape[1]]
    parts = [processor.process(samples[:, a:b]) for a, b in itertools.pairwise(edges)]
    tail = processor.finish()
    return np.concatenate(parts if tail is None else [*parts, tail], axis=1), processor.measured()["compressor"][
        "bands"
    ]


def sine(hz, peak_db, seconds=1.0, rate_hz=RATE_HZ):
    return 10 ** (peak_db / 20) * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz)[None]


def noise(channels=2, samples=30_000):
    """Bursts of noise over a floor of it, channels apart."""
    rng = np.random.default_rng(8)
    bursts = np.where(np.arange(samples) % 9_000 < 4_000, 0.5, 0.02)
    return bursts * rng.normal(size=(channels, samples)) * np.array([[0.5], [0.3]])[:channels]


# --- plain twins


def static_db(level_db, band):
    """The textbook's soft-knee gain for a level."""
    over, slope = level_db - band.threshold_db, 1.0 / band.ratio - 1.0
    if 2 * over < -band.knee_db or over <= -band.knee_db / 2:
        return 0.0
    if 2 * over <= band.knee_db:
        return slope * (over + band.knee_db / 2) ** 2 / (2 * band.knee_db)
    return slope * over


def ballistic_db(wanted_db, step_s, band):
    """Down at once and up at the release's pace, then one pole of the attack's time constant; in dB."""
    held, gain, found = 0.0, 0.0, []
    for wanted in wanted_db:
        held = min(wanted, wanted + (held - wanted) * np.exp(-step_s / (band.release_ms * 1e-3)))
        gain = held + (gain - held) * np.exp(-step_s / (band.attack_ms * 1e-3))
        if wanted == 0.0 and min(gain, held) > -1e-4:
            held = gain = 0.0
        found.append(gain)
    return np.array(found)


def twin(samples, rate_hz, band):
    """One band on everything: peaks on a grid, gain in straight lines one step behind."""
    grid = {8_000: 2, 44_100: 15, 96_000: 32}[rate_hz]  # the longest part of 100 ms within 0.36 ms
    steps = samples.shape[1] // grid
    peaks = np.abs(samples[:, : steps * grid].astype(np.float64)).reshape(len(samples), steps, grid).max(axis=(0, 2))
    gains_db = ballistic_db([static_db(level, band) for level in 20 * np.log10(peaks + 1e-10)], grid / rate_hz, band)
    corners = 10 ** ((np.concatenate([[0.0, 0.0], gains_db]) + band.makeup_db) / 20)
    at = (np.arange(samples.shape[1]) + 1) / grid
    return samples * np.interp(at, np.arange(len(corners)), corners), gains_db


BANDS = [
    CompressorBand(threshold_db=-30.0, ratio=3.0),
    CompressorBand(threshold_db=-25.0, ratio=20.0, knee_db=0.0, attack_ms=0.5, release_ms=5.0),
    CompressorBand(threshold_db=-40.0, ratio=1.5, knee_db=24.0, attack_ms=80.0, release_ms=900.0, makeup_db=5.0),
]


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("band", BANDS)
def test_is_its_twin(band, channels, rate_hz):
    """The kernel gives what the plain twin gives, samples and record alike, in both precisions."""
    samples = noise(channels)
    expected, gains_db = twin(samples, rate_hz, band)
    out, (record,) = run(Compressor(bands=(band,)), samples, rate_hz, cuts=(1, 2, 700, 701))
    np.testing.assert_allclose(out, expected, rtol=0, atol=TWIN)
    assert record["max_reduction_db"] == pytest.approx(-gains_db.min(), abs=1e-9)
    assert record["mean_reduction_db"] == pytest.approx(-gains_db.mean(), abs=1e-9)
    assert gains_db.min() < -1.0
    single, _ = run(Compressor(bands=(band,)), samples.astype(np.float32), rate_hz)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=0, atol=SINGLE)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    levels=st.lists(st.floats(-100.0, 6.0), min_size=1, max_size=40),
    step_s=st.floats(1e-4, 0.05),
    threshold_db=st.floats(-60.0, 0.0),
    ratio=st.floats(1.0, 20.0),
    knee_db=st.floats(0.0, 24.0),
    attack_ms=st.floats(0.5, 500.0),
    release_ms=st.floats(5.0, 3_000.0),
)
def test_gains_for_a_track_of_levels(levels, step_s, **fields):
    """The planner's trial of settings on levels is the same curve and the same ballistics, makeup left out."""
    band = CompressorBand(**fields, makeup_db=3.0)
    expected = ballistic_db([static_db(level, band) for level in levels], step_s, band)
    np.testing.assert_allclose(band_gain_db(np.array(levels), step_s, band), expected, rtol=0, atol=TWIN)


# --- nothing to do


MULTIBAND = Compressor(
    crossovers_hz=(120.0, 1_000.0, 5_000.0),
    bands=tuple(CompressorBand(threshold_db=db, ratio=4.0, knee_db=3.0) for db in (-20.0, -24.0, -24.0, -30.0)),
)


@pytest.mark.parametrize("compressor", [MULTIBAND, Compressor(bands=(CompressorBand(threshold_db=-20.0, ratio=4.0),))])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_idle_is_bit_identical(dtype, compressor):
    """Below every threshold the input passes bit by bit, however many bands it was split into."""
    samples = (0.01 * noise()).astype(dtype)
    out, records = run(compressor, samples)
    np.testing.assert_array_equal(out, samples)
    assert all(record == {"max_reduction_db": 0.0, "mean_reduction_db": 0.0} for record in records)
    assert all(np.copysign(1.0, record["max_reduction_db"]) == 1.0 for record in records)
    assert not np.array_equal(run(compressor, (100 * samples).astype(dtype))[0], 100 * samples)


@pytest.mark.parametrize("crossovers_hz", [(), (200.0, 3_200.0)])
def test_without_bands_all_passes(crossovers_hz):
    """No bands, with crossovers or without, are neutral, and their processor returns the input."""
    compressor = Compressor(crossovers_hz=crossovers_hz)
    assert compressor.is_neutral()
    out, records = run(compressor, noise())
    np.testing.assert_array_equal(out, noise())
    assert records == []


@pytest.mark.parametrize("makeup_db", [-12.0, 6.0])
def test_bands_sum_to_the_input(makeup_db):
    """One gain in every band is that gain on the whole."""
    compressor = Compressor(
        crossovers_hz=MULTIBAND.crossovers_hz, bands=tuple(CompressorBand(makeup_db=makeup_db) for _ in range(4))
    )
    samples = noise()
    np.testing.assert_allclose(run(compressor, samples)[0], 10 ** (makeup_db / 20) * samples, rtol=0, atol=1e-12)


# --- how much


@pytest.mark.parametrize("hz", [1_000.0, 3_000.0, 7_900.0])
@pytest.mark.parametrize("knee_db", [0.0, 6.0, 24.0])
@pytest.mark.parametrize("ratio", [1.5, 4.0, 20.0])
def test_static_curve(ratio, knee_db, hz):
    """Steady sines around the threshold come out as the textbook has it."""
    band = CompressorBand(threshold_db=-24.0, ratio=ratio, knee_db=knee_db, attack_ms=5.0, release_ms=50.0)
    for level_db in (-40.0, -30.0, -25.0, -23.0, -18.0, -6.0, 0.0):
        out, _ = run(Compressor(bands=(band,)), sine(hz, level_db, 0.4))
        got_db = 20 * np.log10(np.std(out[0, -4_800:]) / np.std(sine(hz, level_db, 0.4)[0, -4_800:]))
        assert got_db == pytest.approx(static_db(level_db, band), abs=CURVE_DB), level_db


@pytest.mark.parametrize(("band_index", "hz"), [(0, 150.0), (1, 1_000.0), (2, 12_000.0)])
def test_static_curve_within_a_band(band_index, hz):
    """Well inside a band a steady sine gets that band's gain and no other's."""
    bands = tuple(
        CompressorBand(threshold_db=-30.0, ratio=ratio, attack_ms=30.0, release_ms=300.0) for ratio in (2.0, 4.0, 8.0)
    )
    crossovers_hz = ((600.0, 5_000.0), (100.0, 8_000.0), (400.0, 2_500.0))[band_index]
    out, records = run(Compressor(crossovers_hz=crossovers_hz, bands=bands), sine(hz, -18.0, 1.5))
    got_db = 20 * np.log10(np.std(out[0, 48_000:67_200]) / np.std(sine(hz, -18.0)[0]))
    wanted_db = static_db(-18.0, bands[band_index])
    assert got_db == pytest.approx(wanted_db, abs=CURVE_DB)
    assert np.argmax([record["max_reduction_db"] for record in records]) == band_index


def test_static_curve_is_smooth_through_the_knee():
    """The gain never rises with level, bends within the knee only, and meets both straight lines."""
    band = CompressorBand(threshold_db=-20.0, ratio=4.0, knee_db=10.0)
    levels = np.linspace(-40.0, 0.0, 401)
    gain = np.array([band_gain_db(np.full(400, level), 1.0, band)[-1] for level in levels])
    slopes = np.diff(gain) / 0.1
    assert (slopes <= 1e-9).all()
    assert np.abs(np.diff(slopes)).max() <= 0.01
    np.testing.assert_allclose(gain[levels <= -25.0], 0.0, atol=1e-9)
    np.testing.assert_allclose(gain[levels >= -15.0], -0.75 * (levels[levels >= -15.0] + 20.0), atol=1e-9)


# --- how fast


def gain_db_under(levels_db, seconds, band):
    """Gain over time under a tone that steps between levels, read off a small constant in the other channel."""
    tone = np.concatenate([sine(1_000, level, length)[0] for level, length in zip(levels_db, seconds, strict=True)])
    probe = np.full_like(tone, 1e-6)
    out, _ = run(Compressor(bands=(band,)), np.stack([tone, probe]))
    return 20 * np.log10(out[1] / 1e-6)


def reached_ms(gain_db, start_s):
    """When 63 % of the way from the gain at `start_s` to the last one lies behind."""
    begin = int(start_s * RATE_HZ)
    way = (gain_db[begin:] - gain_db[begin]) / (gain_db[-1] - gain_db[begin])
    return np.flatnonzero(way >= 1 - np.exp(-1))[0] / RATE_HZ * 1e3


@pytest.mark.parametrize("attack_ms", [5.0, 20.0, 100.0])
def test_attack_time(attack_ms):
    """Down to 63 % takes the attack, and a quarter of the tone's period or two steps of the grid more."""
    band = CompressorBand(threshold_db=-30.0, ratio=4.0, attack_ms=attack_ms, release_ms=500.0)
    took_ms = reached_ms(gain_db_under((-60.0, -6.0), (0.2, 1.0), band), 0.2)
    assert 0.95 * attack_ms <= took_ms <= 1.05 * attack_ms + 2 * GRID_MS


@pytest.mark.parametrize("release_ms", [20.0, 100.0, 600.0])
def test_release_time(release_ms):
    """Up to 63 % takes the release and the attack behind it."""
    band = CompressorBand(threshold_db=-30.0, ratio=4.0, knee_db=0.0, attack_ms=2.0, release_ms=release_ms)
    took_ms = reached_ms(gain_db_under((-18.0, -24.0), (0.5, 4.0), band), 0.5)
    assert 0.85 * release_ms <= took_ms <= 1.05 * release_ms + 2.0 + 2 * GRID_MS


def test_rides_on_the_crests_of_a_low_note():
    """At 50 Hz the gain moves by less than 0.4 dB between two crests, though the wave passes through nothing there."""
    band = CompressorBand(threshold_db=-30.0, ratio=2.5, attack_ms=3.0, release_ms=40.0)
    probe = np.full(RATE_HZ, 1e-6)
    out, _ = run(Compressor(bands=(band,)), np.stack([sine(50, -20.0)[0], probe]))
    gain_db = 20 * np.log10(out[1] / 1e-6)[RATE_HZ // 2 :]
    assert np.ptp(gain_db) < 0.4
    assert gain_db.mean() == pytest.approx(static_db(-20.0, band), abs=0.7)


def test_no_overshoot_at_the_start():
    """Loud from the first sample, the gain leaves 0 dB smoothly, once, and never goes below where it settles."""
    band = CompressorBand(threshold_db=-30.0, ratio=4.0, attack_ms=10.0, release_ms=200.0)
    gain_db = gain_db_under((-6.0,), (1.0,), band)
    assert abs(gain_db[0]) <= 0.01
    assert gain_db.max() <= 1e-9
    assert gain_db.min() >= gain_db[-1] - 0.05
    assert (np.diff(gain_db[: RATE_HZ // 10]) <= 1e-3).all()
    assert np.abs(np.diff(gain_db)).max() <= 0.05


def test_silence_lets_go():
    """After the sound has ended the gain returns to exactly one: what follows passes bit by bit."""
    band = CompressorBand(threshold_db=-30.0, ratio=4.0, attack_ms=5.0, release_ms=50.0)
    samples = np.concatenate([sine(1_000, 0.0), np.zeros((1, 2 * RATE_HZ)), 1e-4 * noise(1)], axis=1)
    out, _ = run(Compressor(bands=(band,)), samples)
    assert not out[:, RATE_HZ : 3 * RATE_HZ].any()
    np.testing.assert_array_equal(out[:, 3 * RATE_HZ :], samples[:, 3 * RATE_HZ :])


# --- bands and channels


def low_band(crossover_hz, rate_hz):
    """What a click leaves in the band below a crossover; its middle is the click."""
    click = np.zeros((1, rate_hz))
    click[0, rate_hz // 2] = 1.0
    lifted = Compressor(crossovers_hz=(crossover_hz,), bands=(CompressorBand(makeup_db=6.0), CompressorBand()))
    return (run(lifted, click, rate_hz)[0] - click)[0] / (10 ** (6 / 20) - 1)


@pytest.mark.parametrize("rate_hz", [22_050, 44_100, 96_000])
@pytest.mark.parametrize("crossover_hz", [30.0, 200.0, 3_200.0, 9_000.0, 16_000.0])
def test_crossover_response(crossover_hz, rate_hz):
    """Below the crossover lies 1/(1 + (f/fc)^4) of it, above it the rest."""
    low = low_band(crossover_hz, rate_hz)
    hz = crossover_hz * np.array([0.1, 0.25, 0.5, 0.8, 1.0, 1.25, 2.0, 3.0])
    hz = hz[hz < 0.5 * rate_hz]
    wanted = 1.0 / (1.0 + (hz / crossover_hz) ** 4)
    np.testing.assert_allclose(low_share(hz, crossover_hz), wanted)
    lags = np.arange(rate_hz) - rate_hz // 2
    got = np.cos(2 * np.pi * np.multiply.outer(hz, lags) / rate_hz) @ low
    assert np.abs(20 * np.log10(got / wanted)).max() <= CROSSOVER_DB
    high = hz > 0.4 * crossover_hz
    assert np.abs(20 * np.log10((1 - got) / (1 - wanted)))[high].max() <= CROSSOVER_DB


@pytest.mark.parametrize("crossover_hz", [60.0, 1_000.0])
def test_makeup_has_no_phase_shift(crossover_hz):
    """A constant gain per band is an equalizer whose click is symmetric in time."""
    low = low_band(crossover_hz, RATE_HZ)
    middle = RATE_HZ // 2
    np.testing.assert_allclose(low[middle + 1 :][: middle - 1], low[1:middle][::-1], atol=1e-12)
    assert low.argmax() == middle


def test_channels_are_linked():
    """Both channels get one gain, from the higher of their peaks; swapped channels come out swapped."""
    band = CompressorBand(threshold_db=-30.0, ratio=4.0)
    samples = noise() * np.array([[1.0], [0.1]])
    out, _ = run(Compressor(bands=(band,)), samples)
    np.testing.assert_allclose(out[0] * samples[1], out[1] * samples[0], rtol=1e-9, atol=1e-15)
    assert (out[0] / samples[0]).min() < 0.8
    swapped = np.ascontiguousarray(samples[::-1])
    np.testing.assert_allclose(run(MULTIBAND, swapped)[0], run(MULTIBAND, samples)[0][::-1], rtol=0, atol=1e-12)
    twice = np.repeat(noise(1), 2, axis=0)
    np.testing.assert_allclose(run(MULTIBAND, twice)[0][:1], run(MULTIBAND, noise(1))[0], rtol=0, atol=1e-12)


def test_other_bands_are_left_alone():
    """A bass that is turned down leaves the treble where it was."""
    bands = (CompressorBand(threshold_db=-40.0, ratio=8.0), CompressorBand())
    bass, treble = sine(80, -6.0), sine(6_000, -20.0)
    out, _ = run(Compressor(crossovers_hz=(500.0,), bands=bands), bass + treble)
    alone, _ = run(Compressor(crossovers_hz=(500.0,), bands=bands), bass)
    rest = out - alone
    assert np.sqrt(np.mean((rest - treble) ** 2)) <= 1e-3 * np.sqrt(np.mean(treble**2))
    assert np.std(alone) < 0.2 * np.std(bass)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 12_000), max_size=10), dtype=st.sampled_from([np.float32, np.float64]))
def test_cuts_change_nothing(cuts, dtype):
    """However the stream is cut, samples and record are the same bits."""
    samples = noise(2, 12_000).astype(dtype)
    whole, record = run(MULTIBAND, samples)
    cut, cut_record = run(MULTIBAND, samples, cuts=cuts)
    np.testing.assert_array_equal(cut, whole)
    assert cut_record == record


# --- settings


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"bands": (CompressorBand(), CompressorBand())},
            r"compressor\.bands: 2 bands with 0 crossovers, 1 are needed",
        ),
        ({"crossovers_hz": (100.0,), "bands": (CompressorBand(),)}, r"compressor\.bands: 1 bands with 1 crossovers"),
        (
            {"crossovers_hz": (100.0, 200.0, 300.0, 400.0), "bands": (CompressorBand(),) * 5},
            r"compressor\.bands: 5 bands, at most 4",
        ),
        (
            {"crossovers_hz": (200.0, 200.0), "bands": (CompressorBand(),) * 3},
            r"compressor\.crossovers_hz: 200 after 200, they must rise",
        ),
        ({"crossovers_hz": (29.0,)}, r"compressor\.crossovers_hz: 29\.0 is not within 30 to 16000"),
        ({"crossovers_hz": (float("nan"),)}, r"compressor\.crossovers_hz: nan"),
    ],
)
def test_impossible_bands_are_refused_by_name(fields, message):
    """Bands and crossovers that cannot be are refused with what was allowed."""
    with pytest.raises(SettingsError, match=message):
        Compressor(**fields)


def test_bad_json_is_refused_by_name():
    """So are they from a plan, with the path of the field."""
    with pytest.raises(SettingsError, match=r"bands\[0\]\.ratio: 0\.5"):
        settings_from({"effect": "compressor", "bands": [{"ratio": 0.5}]})


def test_half_the_amount():
    """Half of it has half the excess ratio and half the makeup; threshold and times stay."""
    band = CompressorBand(threshold_db=-20.0, ratio=5.0, makeup_db=4.0, attack_ms=3.0)
    (half,) = Compressor(bands=(band,)).scaled(0.5).bands
    assert (half.ratio, half.makeup_db, half.threshold_db, half.attack_ms) == (3.0, 2.0, -20.0, 3.0)
    assert Compressor(bands=(band,)).scaled(0.0).is_neutral()
    assert not Compressor(bands=(band,)).is_neutral()
