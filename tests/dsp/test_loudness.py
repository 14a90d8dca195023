"""Loudness against EBU Tech 3341 and 3342, plain NumPy, libebur128 and pyloudnorm."""

import itertools
from pathlib import Path

import numpy as np
import pyebur128
import pyloudnorm
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter, sosfilt, sosfreqz

from dsp.errors import AudioError, SettingsError
from dsp.meters.loudness import (
    LoudnessMeter,
    integrated_lufs,
    k_weighting,
    k_weighting_response_db,
    loudness,
    loudness_range_lu,
    momentary_lufs,
    short_term_lufs,
)
from dsp.units import FLOOR_DB

RATES_HZ = (44_100, 48_000, 96_000, 69_313)
EBU_LU, GOLDEN_LU, PEER_LU = 0.1, 0.002, 0.01
TWIN = 1e-6
MUSIC = Path(__file__).parents[3] / "shared" / "music"
EXCERPTS = (
    "metal__obsidian-shell/02_orphanage.ogg",
    "jazz-latin__mad-bossa/mad-bossa.ogg",
    "lossless-game__monster-rpg-2/jungle.flac",
)


@pytest.fixture(scope="module")
def tones():
    """rate -> one second of a 1 kHz sine; being 1000 whole periods it can be repeated for ever."""
    return {rate: np.sin(2 * np.pi * 1000 * np.arange(rate) / rate).astype(np.float32) for rate in RATES_HZ}


def play(tone, parts, *, weights=None):
    """Meter a tone in steps: (seconds, dBFS of every channel or one for both; None is silence), phase running on."""
    rate = tone.size
    first = parts[0][1]
    channels = len(first) if isinstance(first, tuple) else 2
    meter = LoudnessMeter(rate, channels, weights=weights)
    at, clock = 0, 0.0
    for seconds, level in parts:
        clock += seconds
        end = int(np.floor(clock * rate + 0.5))
        levels = level if isinstance(level, tuple) else (level,) * channels
        gains = np.array([[0.0] if db is None else [10 ** (db / 20)] for db in levels], dtype=np.float32)
        while at < end:
            start = at % rate
            count = min(end - at, rate - start)
            meter.update(gains * tone[start : start + count])
            at += count
    return meter.result()


def programme(rate=48_000, seconds=30.0, seed=7):
    """Pink-ish stereo noise whose level wanders over 30 dB, with gaps."""
    rng = np.random.default_rng(seed)
    samples = int(seconds * rate)
    noise = lfilter([1.0], [1.0, -0.9], rng.standard_normal((2, samples)), axis=1)
    knots = rng.uniform(-50.0, -20.0, 1 + int(seconds))
    level = np.interp(np.arange(samples) / rate, np.arange(knots.size), knots)
    level[int(10 * rate) : int(11.5 * rate)] = -200.0
    return noise * 10 ** (level / 20)


def twin_power(samples, rate, weights):
    """Segment powers the plain way: filter everything, then cut it."""
    weighted = sosfilt(k_weighting(rate), samples.astype(np.float64), axis=1)
    power = np.asarray(weights) @ weighted**2
    count = 100 * samples.shape[1] // rate + 1
    edges = np.floor(np.arange(count + 1) * rate / 100 + 0.5).astype(int)
    edges = edges[edges <= samples.shape[1]]
    return np.array([power[a:b].sum() for a, b in itertools.pairwise(edges)]) / (rate / 100)


def twin_gated(samples, rate):
    """Integrated loudness of BS.1770-5 from the samples, block by block."""
    weighted = (sosfilt(k_weighting(rate), samples, axis=1) ** 2).sum(axis=0)
    edges = [int(np.floor(k * rate / 100 + 0.5)) for k in range(100 * samples.shape[1] // rate + 1)]
    blocks = np.array([weighted[edges[k] : edges[k + 40]].mean() for k in range(0, len(edges) - 40, 10)])
    level = -0.691 + 10 * np.log10(blocks)
    gate = -0.691 + 10 * np.log10(blocks[level > -70].mean()) - 10
    return -0.691 + 10 * np.log10(blocks[(level > -70) & (level > gate)].mean())


def measured(samples, rate, weights=None):
    meter = LoudnessMeter(rate, samples.shape[0], weights=weights)
    meter.update(samples)
    return meter.result()


# --- EBU Tech 3341 and 3342

CASES = {
    1: [(20, -23)],
    2: [(20, -33)],
    3: [(10, -36), (60, -23), (10, -36)],
    4: [(10, -72), (10, -36), (60, -23), (10, -36), (10, -72)],
    5: [(20, -26), (20.1, -20), (20, -26)],
}


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize(("case", "expected"), [(1, -23.0), (2, -33.0), (3, -23.0), (4, -23.0), (5, -23.0)])
def test_integrated_case(tones, rate, case, expected):
    """Tech 3341 cases 1 to 5 read as the EBU asks, at even and at odd rates."""
    result = play(tones[rate], CASES[case])
    assert result.integrated_lufs == pytest.approx(expected, abs=EBU_LU)
    if case <= 2:
        assert result.max_momentary_lufs == pytest.approx(expected, abs=EBU_LU)
        assert result.max_short_term_lufs == pytest.approx(expected, abs=EBU_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_surround_case(tones, rate):
    """Tech 3341 case 6: five channels, the surrounds weighing 1.41."""
    result = play(tones[rate], [(20, (-28, -28, -24, -30, -30))], weights=(1, 1, 1, 1.41, 1.41))
    assert result.integrated_lufs == pytest.approx(-23.0, abs=EBU_LU)
    if rate == 48_000:
        assert result.integrated_lufs == pytest.approx(-23.0163, abs=GOLDEN_LU)


@pytest.mark.parametrize(
    ("rate", "case", "golden"),
    [
        (44_100, 1, -22.9944),
        (48_000, 1, -22.9933),
        (96_000, 1, -22.9890),
        (48_000, 2, -32.9933),
        (48_000, 3, -23.0139),
        (48_000, 4, -23.0139),
        (48_000, 5, -22.9787),
    ],
)
def test_golden_integrated(tones, rate, case, golden):
    """The reading of a correct implementation is known far closer than the EBU's tolerance."""
    assert play(tones[rate], CASES[case]).integrated_lufs == pytest.approx(golden, abs=GOLDEN_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_constant_short_term(tones, rate):
    """Tech 3341 case 9: the short-term loudness stands still while the level alternates within its window."""
    power = play(tones[rate], [(1.34, -20), (1.66, -30)] * 5).segment_power
    levels = short_term_lufs(power, hop_ms=10)
    np.testing.assert_allclose(levels, -23.0, atol=EBU_LU)
    assert np.ptp(levels) < GOLDEN_LU
    if rate == 48_000:
        np.testing.assert_allclose(levels, -22.9863, atol=GOLDEN_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_constant_momentary(tones, rate):
    """Tech 3341 case 12: the momentary loudness stands still while the level alternates within its window."""
    levels = momentary_lufs(play(tones[rate], [(0.18, -20), (0.22, -30)] * 25).segment_power)[60:]
    np.testing.assert_allclose(levels, -23.0, atol=EBU_LU)
    if rate == 48_000:
        np.testing.assert_allclose(levels, -22.9604, atol=GOLDEN_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_short_term_bursts(tones, rate):
    """Tech 3341 case 10: a burst of 3 s is read in full wherever it begins."""
    read = [play(tones[rate], [(i * 0.15, None), (3, -23), (1, None)]).max_short_term_lufs for i in range(20)]
    np.testing.assert_allclose(read, -23.0, atol=EBU_LU)
    if rate == 48_000:
        np.testing.assert_allclose(read, -22.9933, atol=GOLDEN_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_momentary_bursts(tones, rate):
    """Tech 3341 case 13: a burst of 400 ms is read in full wherever it begins."""
    read = [play(tones[rate], [(i * 0.02, None), (0.4, -23), (1, None)]).max_momentary_lufs for i in range(20)]
    np.testing.assert_allclose(read, -23.0, atol=EBU_LU)
    if rate == 48_000:
        np.testing.assert_allclose(read, -22.9936, atol=GOLDEN_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_live_short_term(tones, rate):
    """Tech 3341 case 11: bursts that rise by 1 dB are read one after another."""
    parts = [part for i in range(20) for part in [(i * 0.15, None), (3, -38 + i), (3 - i * 0.15, None)]]
    levels = short_term_lufs(play(tones[rate], parts).segment_power, hop_ms=10)
    read = [levels[: 600 * (i + 1) - 300 + 1].max() for i in range(20)]
    np.testing.assert_allclose(read, np.arange(-38, -18), atol=EBU_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
def test_live_momentary(tones, rate):
    """Tech 3341 case 14: short bursts that rise by 1 dB are read one after another."""
    parts = [part for i in range(20) for part in [(i * 0.02, None), (0.4, -38 + i), (0.4 - i * 0.02, None)]]
    levels = momentary_lufs(play(tones[rate], parts).segment_power)
    read = [levels[: 80 * (i + 1) - 40 + 1].max() for i in range(20)]
    np.testing.assert_allclose(read, np.arange(-38, -18), atol=EBU_LU)


@pytest.mark.parametrize("rate", RATES_HZ)
@pytest.mark.parametrize(
    ("levels", "expected"),
    [((-20, -30), 10), ((-20, -15), 5), ((-40, -20), 20), ((-50, -35, -20, -35, -50), 15)],
)
def test_loudness_range(tones, rate, levels, expected):
    """Tech 3342 cases 1 to 4, which allow 1 LU, come out to a hundredth."""
    result = play(tones[rate], [(20, level) for level in levels])
    assert result.range_lu == pytest.approx(expected, abs=0.01)


# --- the filter

K_DB = {20: -13.275, 50: -3.934, 100: -1.134, 997: 0.6910, 1e3: 0.6977, 2e3: 3.071, 3e3: 3.808, 5e3: 4.013, 1e4: 4.042}


def test_k_weighting_at_48_khz():
    """The derived coefficients are the digits that BS.1770 prints."""
    printed = [
        [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585],
        [1, -2, 1, 1, -1.99004745483398, 0.99007225036621],
    ]
    np.testing.assert_allclose(k_weighting(48_000), printed, atol=1e-12)


@pytest.mark.parametrize("rate", [*RATES_HZ, 192_000, 384_000])
def test_k_response(rate):
    """Every rate has the response of 48 kHz within 0.01 dB."""
    hz = np.array(list(K_DB))
    read = k_weighting_response_db(hz, rate)
    np.testing.assert_allclose(read, list(K_DB.values()), atol=0.0006 if rate == 48_000 else 0.01)
    _, response = sosfreqz(k_weighting(rate), hz, fs=rate)
    np.testing.assert_allclose(read, 20 * np.log10(np.abs(response)), atol=1e-6)


def test_k_response_at_dc():
    """The high-pass lets no DC through, and says so with the floor."""
    assert k_weighting_response_db(np.array([0.0]), 48_000) == FLOOR_DB


@pytest.mark.parametrize("rate", [8_000, 44_100, 192_000])
@pytest.mark.parametrize("hz", [25, 100, 997, 2500])
def test_sine_follows_response(rate, hz):
    """A steady sine reads its level plus the response at its frequency."""
    sine = 0.5 * np.sin(2 * np.pi * hz * np.arange(2 * rate) / rate)[None]
    expected = 20 * np.log10(0.5) - 3.0103 - 0.691 + k_weighting_response_db(np.array([hz]), rate)[0]
    assert integrated_lufs(measured(sine, rate).segment_power[60:]) == pytest.approx(expected, abs=0.01)


# --- the kernel against its twin


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("rate", "weights"), [(48_000, (1, 1)), (69_313, (1,)), (11_025, (1, 0.5, 1.41))])
def test_powers_match_twin(rate, weights, dtype):
    """The kernel's powers are those of SciPy's filter, for any channel count, rate and kind."""
    rng = np.random.default_rng(3)
    samples = rng.standard_normal((len(weights), 2 * rate + 77)).astype(dtype)
    twin = twin_power(samples, rate, weights)
    np.testing.assert_allclose(measured(samples, rate, weights).segment_power, twin, rtol=TWIN)


@settings(max_examples=25, deadline=None)
@given(cuts=st.lists(st.integers(0, 12_000), max_size=12), dtype=st.sampled_from([np.float32, np.float64]))
def test_cuts_change_nothing(cuts, dtype):
    """However the stream is cut, the powers are the same bits."""
    samples = np.random.default_rng(5).standard_normal((3, 12_000)).astype(dtype)
    weights = (1.0, 1.0, 1.41)
    meter = LoudnessMeter(22_050, 3, weights=weights)
    for a, b in itertools.pairwise([0, *sorted(cuts), 12_000]):
        meter.update(samples[:, a:b])
    whole = measured(samples, 22_050, weights)
    assert whole.segment_power.size == 54
    np.testing.assert_array_equal(meter.result().segment_power, whole.segment_power)


@pytest.mark.parametrize("rate", [48_000, 69_313])
def test_gating_matches_twin(rate):
    """Gated loudness agrees with the standard's text worked through block by block."""
    samples = programme(rate, seconds=20.0)
    assert measured(samples, rate).integrated_lufs == pytest.approx(twin_gated(samples, rate), abs=2e-4)


def test_result_in_mid_stream():
    """Reading the meter does not disturb it."""
    samples = programme(seconds=4.0)
    meter = LoudnessMeter(48_000, 2)
    meter.update(samples[:, :70_001])
    early = meter.result().segment_power
    meter.update(samples[:, 70_001:])
    np.testing.assert_array_equal(meter.result().segment_power, measured(samples, 48_000).segment_power)
    np.testing.assert_array_equal(early, meter.result().segment_power[: early.size])


# --- identities and edges


def test_windows_are_plain_means():
    """The windows of the readings are means of their segments, at every width and hop."""
    power = np.random.default_rng(2).uniform(0.1, 1.0, 733)
    for levels, width, hop in (
        (momentary_lufs(power), 40, 1),
        (momentary_lufs(power, hop_ms=100), 40, 10),
        (short_term_lufs(power), 300, 10),
        (short_term_lufs(power, hop_ms=10), 300, 1),
    ):
        means = [power[k : k + width].mean() for k in range(0, power.size - width + 1, hop)]
        np.testing.assert_allclose(levels, -0.691 + 10 * np.log10(means), atol=1e-9)


def test_quiet_after_loud_is_exact():
    """A whisper after hours of noise is not drowned in rounding."""
    power = np.concatenate([np.full(400_000, 10.0), np.full(500, 1e-12)])
    assert short_term_lufs(power)[-1] == pytest.approx(-120.691, abs=1e-6)


def test_incomplete_block_is_not_used():
    """A loud end shorter than a whole step of the gate is not counted."""
    power = np.concatenate([np.full(100, 1e-3), np.full(9, 1.0)])
    assert integrated_lufs(power) == integrated_lufs(power[:100])
    assert integrated_lufs(np.append(power, 1.0)) > integrated_lufs(power)


def test_gates_are_where_the_standard_puts_them():
    """What lies below -70 LUFS, or more than 10 LU below the rest, is not counted."""

    def at(lufs, segments=400):
        return np.full(segments, 10 ** ((lufs + 0.691) / 10))

    assert integrated_lufs(at(-70.01)) == FLOOR_DB
    assert integrated_lufs(at(-69.99)) == pytest.approx(-69.99)
    # With half of the time at -20 LUFS the mean is -22.7 or below, and the relative gate at -32.7.
    far = integrated_lufs(np.concatenate([at(-20, 4000), at(-34, 4000)]))
    near = integrated_lufs(np.concatenate([at(-20, 4000), at(-31, 4000)]))
    # Three blocks of some 400 lie astride the step, half as loud on average: 0.016 LU.
    assert far == pytest.approx(-20.0, abs=0.02)
    assert near == pytest.approx(10 * np.log10((10**-2.0 + 10**-3.1) / 2), abs=0.02)


def test_range_percentiles_are_nearest_ranks():
    """The range takes the 10th and 95th percentile by nearest rank, of 3 s windows every 100 ms."""
    power = 10 ** (np.linspace(-4.0, -2.5, 3000))
    levels = np.sort(short_term_lufs(np.concatenate([power, np.zeros(150)])))
    n = levels.size
    expected = levels[int(np.floor((n - 1) * 0.95 + 0.5))] - levels[int(np.floor((n - 1) * 0.10 + 0.5))]
    assert loudness_range_lu(power) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("gain_db", [-20.0, 12.0])
def test_gain_shifts_loudness(gain_db):
    """Gain moves all levels by as much and leaves the range."""
    samples = programme(seconds=8.0)
    before, after = measured(samples, 48_000), measured(samples * 10 ** (gain_db / 20), 48_000)
    assert after.integrated_lufs - before.integrated_lufs == pytest.approx(gain_db, abs=1e-9)
    assert after.max_momentary_lufs - before.max_momentary_lufs == pytest.approx(gain_db, abs=1e-9)
    assert after.max_short_term_lufs - before.max_short_term_lufs == pytest.approx(gain_db, abs=1e-9)
    if gain_db > 0:
        assert after.range_lu == pytest.approx(before.range_lu, abs=1e-9)


def test_mono_is_counted_once():
    """A mono file reads 3.01 LU below the same signal on both channels."""
    mono = programme(seconds=5.0)[:1]
    pair = measured(np.repeat(mono, 2, axis=0), 48_000).integrated_lufs
    assert pair - measured(mono, 48_000).integrated_lufs == pytest.approx(3.0103, abs=1e-3)


@pytest.mark.parametrize("samples", [0, 1, 479, 19_199, 200_000])
def test_silence_and_too_little(samples):
    """Silence of any length reads the floor and a range of nothing."""
    result = measured(np.zeros((2, samples), dtype=np.float32), 48_000)
    assert result.integrated_lufs == result.max_momentary_lufs == result.max_short_term_lufs == FLOOR_DB
    assert result.range_lu == 0.0


def test_shortest_reading():
    """From 400 ms on there is a loudness, from 3 s on a short-term one."""
    tone = np.sin(np.arange(3 * 48_000) * 0.1)[None]
    assert measured(tone[:, :19_199], 48_000).integrated_lufs == FLOOR_DB
    assert measured(tone[:, :19_200], 48_000).integrated_lufs > -10
    assert measured(tone[:, :-1], 48_000).max_short_term_lufs == FLOOR_DB
    assert measured(tone, 48_000).max_short_term_lufs > -10


def test_states_die_after_the_music():
    """Long after the music the powers are zero, not denormal."""
    samples = np.zeros((1, 30 * 8_000))
    samples[0, :4000] = 1.0
    power = measured(samples, 8_000).segment_power
    assert power[60] > 0.0
    assert power[-1] == 0.0
    assert not ((power > 0.0) & (power < 1e-290)).any()


def test_readings_come_from_the_powers():
    """`loudness` of the exposed powers is what the meter said."""
    result = measured(programme(seconds=6.0), 48_000)
    again = loudness(result.segment_power)
    assert (again.integrated_lufs, again.range_lu) == (result.integrated_lufs, result.range_lu)
    assert (again.max_momentary_lufs, again.max_short_term_lufs) == (
        result.max_momentary_lufs,
        result.max_short_term_lufs,
    )


@pytest.mark.parametrize(
    ("channels", "weights"), [(0, None), (3, None), (0, []), (2, [1.0]), (2, [1.0, -1.0]), (1, [np.nan])]
)
def test_bad_weights(channels, weights):
    """Channels without a weight, and weights that are none, are refused."""
    with pytest.raises(AudioError, match="weights"):
        LoudnessMeter(48_000, channels, weights=weights)


def test_bad_block_and_hop():
    """A block of another channel count, and a hop between the segments, are refused."""
    with pytest.raises(AudioError, match=r"shape \(1, 5\)"):
        LoudnessMeter(48_000, 2).update(np.zeros((1, 5)))
    with pytest.raises(SettingsError, match="hop_ms: 15"):
        momentary_lufs(np.ones(100), hop_ms=15)


# --- other meters


def libebur128(samples, rate):
    """Integrated loudness of libebur128."""
    state = pyebur128.R128State(samples.shape[0], rate, pyebur128.MeasurementMode.MODE_I)
    interleaved = np.ascontiguousarray(samples.T, dtype=np.float64).ravel()
    state.add_frames(interleaved, samples.shape[1])
    return pyebur128.get_loudness_global(state)


def de_man(samples, rate):
    """Integrated loudness of pyloudnorm with the standard's filter."""
    return pyloudnorm.Meter(rate, filter_class="DeMan").integrated_loudness(samples.T)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_agrees_with_peers(seed):
    """Three implementations agree on programme material at 48 kHz."""
    samples = programme(seconds=30.0, seed=seed)
    read = measured(samples, 48_000).integrated_lufs
    assert read == pytest.approx(libebur128(samples, 48_000), abs=PEER_LU)
    assert read == pytest.approx(de_man(samples, 48_000), abs=PEER_LU)


@pytest.mark.skipif(not MUSIC.is_dir(), reason="no music beside the project")
@pytest.mark.parametrize("name", EXCERPTS)
def test_agrees_on_music(name):
    """Three implementations agree on music at 48 kHz."""
    rate = soundfile.info(MUSIC / name).samplerate
    samples, _ = soundfile.read(MUSIC / name, frames=40 * rate, always_2d=True)
    samples = np.ascontiguousarray(soxr.resample(samples, rate, 48_000).T)
    read = measured(samples, 48_000).integrated_lufs
    assert read == pytest.approx(libebur128(samples, 48_000), abs=PEER_LU)
    assert read == pytest.approx(de_man(samples, 48_000), abs=PEER_LU)
