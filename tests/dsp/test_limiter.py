"""Limiter against a plain twin, a meter of the tests' own, and what a listener would hear of it."""

import functools
import itertools

import numpy as np
import pyebur128
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.effects.limiter import Limiter, limiting_db
from matcher.demo import song

RATE_HZ = 44_100
CEILING_DBTP = -1.0
TWIN_DB = -120.0
OVER_DB, MUSIC_OVER_DB, EBUR128_OVER_DB = 0.05, 0.02, 0.05
PHASES, TAPS = 16, 128


def limited(samples, rate_hz=RATE_HZ, cuts=(), **fields):
    """`samples` through a limiter, and what it says it did."""
    processor = Limiter(**{"ceiling_dbtp": CEILING_DBTP, **fields}).processor(rate_hz, samples.shape[0])
    edges = [0, *sorted(cuts), samples.shape[1]]
    parts = [processor.process(samples[:, a:b]) for a, b in itertools.pairwise(edges)]
    return np.concatenate([*parts, processor.finish()], axis=1), processor.measured().get("limiter")


def db(gain):
    return 20 * np.log10(np.maximum(np.abs(gain), 1e-10))


def sine(hz, seconds=1.0, rate_hz=RATE_HZ, peak_db=0.0, phase=0.0):
    """Shape (1, samples)."""
    return 10 ** (peak_db / 20) * np.sin(2 * np.pi * hz * np.arange(int(seconds * rate_hz)) / rate_hz + phase)[None]


# The tests' own meter: 128 taps a phase, Kaiser 8, 16 phases, every one of them everywhere.


@functools.cache
def meter_taps(taps=TAPS, phases=PHASES, beta=8.0):
    """Row k interpolates k/phases of the way from sample taps/2 - 1 to the next, unity at DC."""
    x = np.arange(taps) - (taps // 2 - 1) - np.arange(phases)[:, None] / phases
    inside = np.clip(1.0 - (2.0 * x / taps) ** 2, 0.0, None)
    rows = np.sinc(x) * np.i0(beta * np.sqrt(inside)) * (np.abs(2.0 * x / taps) < 1.0)
    return rows / rows.sum(axis=1, keepdims=True)


def interpolated(channel, taps=TAPS, phases=PHASES, beta=8.0):
    """Magnitudes from taps - 1 samples before to as many after: row k, column n is n - taps/2 + k/phases."""
    padded = np.pad(np.asarray(channel, dtype=np.float64), taps - 1)
    windows = np.lib.stride_tricks.sliding_window_view(padded, taps)
    return np.abs(meter_taps(taps, phases, beta) @ windows.T)


def peak_dbtp(samples):
    return float(db(max(interpolated(channel).max() for channel in samples)))


# --- the plain twin


def twin_envelope(needed, lookahead, hold, release_s, slow_s, rate_hz):
    """The gain at each index from what each index needs; both reach over `lookahead` more indices at either end."""
    padded = np.concatenate([np.ones(lookahead + hold), needed, np.ones(lookahead)])
    lows = np.lib.stride_tricks.sliding_window_view(padded, lookahead + hold + 1).min(axis=1)
    quick, slowly = 1 - np.exp(-1 / (release_s * rate_hz)), 1 - np.exp(-1 / (slow_s * rate_hz)) if slow_s else 0.0
    fast = slow = 1.0
    wanted = np.ones(len(lows))
    for n, low in enumerate(lows):
        fast = low if low <= fast else fast + (low - fast) * quick
        if low == 1.0 and fast > 1 - 1e-6:
            fast = 1.0
        slow += (fast - slow) * slowly
        if fast == 1.0 and slow > 1 - 1e-6:
            slow = 1.0
        wanted[n] = min(fast, slow) if slow_s else fast
    slope = np.convolve(*[np.full(n, 1 / n) for n in (lookahead // 2 + 1, lookahead - lookahead // 2)])
    smooth = np.convolve(np.concatenate([np.ones(len(slope) - 1), wanted]), slope, "valid")
    return smooth[lookahead:]


def twin_gain(peaks, ceiling, knee_db):
    """The static curve: straight on, a parabola of the knee's width around the ceiling, and the ceiling."""
    over_db = db(np.maximum(peaks, 1e-30) / ceiling)
    hard_db = np.maximum(over_db, 0.0)
    soft_db = np.clip(over_db + knee_db / 2, 0.0, None) ** 2 / (2 * max(knee_db, 1e-9))
    return 10 ** (-np.where(np.abs(over_db) < knee_db / 2, soft_db, hard_db) / 20)


def twin_stage(samples, ceiling, detector, lookahead, hold, release_s, slow_s, rate_hz, knee_db=0.0):
    """One stage: each sample multiplied by the envelope of what the stretch up to the next one needs."""
    taps = detector[0]
    peaks = np.max([interpolated(channel, *detector).max(axis=0) for channel in samples], axis=0)
    for channel in samples:
        peaks[taps // 2 : taps // 2 + len(channel)] = np.maximum(peaks[taps // 2 :][: len(channel)], np.abs(channel))
    if knee_db:  # what lies between samples matters at the ceiling, not below it
        heard = np.zeros_like(peaks)
        heard[taps // 2 : taps // 2 + samples.shape[1]] = np.abs(samples).max(axis=0)
        peaks = np.where(peaks > ceiling, peaks, heard)
    needed = twin_gain(peaks, ceiling, knee_db)
    gain = twin_envelope(needed, lookahead, hold, release_s, slow_s, rate_hz)[taps // 2 :][: samples.shape[1]]
    return samples * gain, gain


def twin(samples, rate_hz, *, lookahead_ms=4.0, hold_ms=10.0, release_ms=100.0, settle_ms=500.0, knee_db=0.0):
    """Both stages of the limiter, measuring everywhere and skipping nothing; (samples, gain)."""
    ceiling = 10 ** ((CEILING_DBTP - 0.005) / 20)
    lookahead, hold = (max(1, round(ms * 1e-3 * rate_hz)) for ms in (lookahead_ms, hold_ms))
    shape = (TAPS, PHASES, 8.0), lookahead, hold, release_ms * 1e-3, settle_ms * 1e-3
    reach, steady = max(int(0.0015 * rate_hz), TAPS) + 2, max(int(0.0005 * rate_hz), TAPS // 2) + 2
    guard = (TAPS, PHASES, 8.0), reach, steady, 0.03, 0.0
    samples, first = twin_stage(np.asarray(samples, dtype=np.float64), ceiling, *shape, rate_hz, knee_db)
    samples, second = twin_stage(samples, ceiling, *guard, rate_hz)
    return samples, first * second


def dense(samples, rate_hz, seed=1):
    """Noise that grows beyond the ceiling, a tone between samples in the second half; (2, samples)."""
    rng = np.random.default_rng(seed)
    t = np.arange(samples)
    noise = 0.7 * rng.normal(size=(2, samples)) * np.linspace(0.2, 2.0, samples)
    noise[0] += 3.0 * np.sin(np.pi / 2 * t + 0.7) * (t > samples // 2)
    return noise


@pytest.mark.parametrize("rate_hz", [8_000, 44_100])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"lookahead_ms": 1.5, "hold_ms": 0.0, "release_ms": 20.0, "settle_ms": 60.0},
        {"hold_ms": 50.0},
        {"knee_db": 8.0},
    ],
)
def test_is_its_twin(rate_hz, fields):
    """The kernel gives what the plain twin gives, samples and record alike."""
    samples = dense(int(0.3 * rate_hz), rate_hz)
    expected, gain = twin(samples, rate_hz, **fields)
    out, done = limited(samples, rate_hz, cuts=(1, 5, 700), **fields)
    assert db(np.sqrt(np.mean((out - expected) ** 2) / np.mean(expected**2))) <= TWIN_DB
    np.testing.assert_allclose(out, expected, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(done["max_reduction_db"], -db(gain.min()), atol=1e-4)
    np.testing.assert_allclose(done["share_limited"], (db(gain) < -0.1).mean(), atol=1e-3)
    np.testing.assert_allclose(done["mean_reduction_db"], -db(gain[db(gain) < -0.1]).mean(), atol=1e-3)
    edges = np.floor(np.arange(0, 32) * 0.01 * rate_hz + 0.5).astype(int)
    lows = [gain[a:b].min() for a, b in itertools.pairwise(edges) if b <= len(gain)]
    np.testing.assert_allclose(done["reduction_db"], -db(np.array(lows)), atol=1e-4)
    np.testing.assert_allclose(done["p95_reduction_db"], np.percentile(-db(np.array(lows)), 95), atol=1e-4)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(length=st.integers(1, 400), seed=st.integers(0, 2**32 - 1), level=st.sampled_from([0.5, 1.0, 10.0]))
def test_shortest_streams_are_the_twin(length, seed, level):
    """From one sample on, shorter than the limiter's own delay, the output is whole and right."""
    samples = level * np.random.default_rng(seed).normal(size=(2, length))
    out, done = limited(samples, cuts=(length // 2,))
    np.testing.assert_allclose(out, twin(samples, RATE_HZ)[0], rtol=1e-6, atol=1e-6)
    assert peak_dbtp(out) <= CEILING_DBTP + OVER_DB
    assert len(done["reduction_db"]) == 1


@settings(max_examples=10, deadline=None, derandomize=True)
@given(cuts=st.lists(st.integers(0, 12_000), max_size=12), dtype=st.sampled_from([np.float32, np.float64]))
def test_cuts_change_nothing(cuts, dtype):
    """However the stream is cut, samples and record are the same bits."""
    samples = dense(12_000, RATE_HZ).astype(dtype)
    (whole, done), (cut, cut_done) = limited(samples), limited(samples, cuts=cuts)
    assert cut.dtype == dtype
    np.testing.assert_array_equal(cut, whole)
    np.testing.assert_array_equal(cut_done.pop("reduction_db"), done.pop("reduction_db"))
    assert cut_done == pytest.approx(done, rel=1e-9)


def test_layout_in_memory_does_not_matter():
    """Blocks stored channel by channel or sample by sample give the same."""
    samples = dense(5_000, RATE_HZ)
    np.testing.assert_array_equal(limited(np.asfortranarray(samples))[0], limited(samples)[0])


# --- nothing to do


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_idle_is_bit_identical(dtype, channels, rate_hz):
    """What stays below the ceiling passes bit by bit, and nothing is reported."""
    noise = np.random.default_rng(2).normal(size=(channels, rate_hz // 2))
    samples = (noise * 0.88 / max(np.abs(interpolated(channel)).max() for channel in noise)).astype(dtype)
    out, done = limited(samples, rate_hz)
    assert peak_dbtp(samples) > CEILING_DBTP - 0.2
    np.testing.assert_array_equal(out, samples)
    assert (done["max_reduction_db"], done["share_limited"], done["mean_reduction_db"]) == (0.0, 0.0, 0.0)


def test_returns_to_bit_identical():
    """Long after a peak the limiter is out of the way again, bit by bit, and before its look-ahead it was."""
    samples = 0.3 * np.random.default_rng(3).normal(size=(2, 12 * RATE_HZ)).clip(-1, 1)
    samples[:, RATE_HZ] = 3.0
    out, _ = limited(samples)
    reach = int(0.010 * RATE_HZ)
    np.testing.assert_array_equal(out[:, : RATE_HZ - reach], samples[:, : RATE_HZ - reach])
    assert not np.array_equal(out[:, RATE_HZ + reach :][:, :RATE_HZ], samples[:, RATE_HZ + reach :][:, :RATE_HZ])
    np.testing.assert_array_equal(out[:, -RATE_HZ:], samples[:, -RATE_HZ:])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_silence_and_no_end_of_it(dtype):
    """Silence stays silence, before and after sound, without a denormal."""
    samples = np.zeros((2, 60_000), dtype=dtype)
    assert not limited(samples)[0].any()
    samples[:, 20_000:20_100] = 4.0
    out, _ = limited(samples)
    assert not out[:, :20_000].any()
    assert not out[:, 20_100:].any()


def test_dc_is_turned_down_whole():
    """DC beyond the ceiling ends at the ceiling, steady; DC below it passes as it is."""
    out, _ = limited(np.full((2, RATE_HZ), 2.0))
    steady = db(out[:, RATE_HZ // 2 : -2_000])
    assert np.abs(steady - CEILING_DBTP).max() <= 0.03
    np.testing.assert_array_equal(limited(np.full((1, 9_000), 0.5))[0][:, 200:-200], 0.5)


# --- the ceiling


def hostile(rate_hz):
    """Name to signal, full scale, 0.15 s each: what makes true peaks high, or hard to find."""
    n = int(0.15 * rate_hz)
    t, rng = np.arange(n), np.random.default_rng(rate_hz)
    alternating = np.where(t % 2, -1.0, 1.0)
    low_hz, high_hz = min(20_000.0, 0.45 * rate_hz), min(22_000.0, 0.4999 * rate_hz)
    bursts, clicks, gated = np.zeros(n), np.zeros(n), np.sin(np.pi / 2 * t + np.pi / 4)
    for k, start in enumerate(range(n // 20, n - 80, n // 10)):
        bursts[start : start + 2 * k + 3] = alternating[: 2 * k + 3]
    clicks[rng.integers(0, n, 30)] = rng.choice([-1.0, 1.0], 30)
    return {
        "fs/4 at 45 degrees": np.sin(np.pi / 2 * t + np.pi / 4),
        "fs/6": np.sin(np.pi / 3 * t + np.pi / 3),
        "fs/8": np.sin(np.pi / 4 * t + 3 * np.pi / 8),
        "sweep": np.sin(2 * np.pi * np.cumsum(np.linspace(low_hz, high_hz, n)) / rate_hz),
        "near Nyquist": np.sin(2 * np.pi * 0.4995 * t),
        "bursts": bursts,
        "tone bursts": gated * (t % (n // 6) < n // 40),
        "noise": rng.standard_normal(n) / 3,
        "coin tosses": rng.choice([-1.0, 1.0], n),
        "square, low": np.sign(np.sin(2 * np.pi * 110.0 * t / rate_hz + 0.1)),
        "square, high": np.sign(np.sin(2 * np.pi * 0.123 * t + 0.1)),
        "clicks": clicks,
        "one flip": alternating * np.where(t < n // 2, 1, -1),
        "flips": alternating * np.where(rng.random(n) < 0.03, -1, 1).cumprod(),
    }


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000, 96_000])
@pytest.mark.parametrize("name", hostile(8_000))
def test_hostile_signals_stay_under_the_ceiling(name, rate_hz):
    """Whatever the drive, the tests' own meter finds nothing above the ceiling."""
    signal = hostile(rate_hz)[name]
    for drive_db in (0.0, 6.0, 20.0):
        samples = np.stack([signal, np.roll(signal, 3)]) * 10 ** (drive_db / 20)
        out, _ = limited(samples, rate_hz)
        assert peak_dbtp(out) <= CEILING_DBTP + OVER_DB
        assert peak_dbtp(out) >= CEILING_DBTP - 1.5


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    rate_hz=st.sampled_from([8_000, 22_050, 44_100, 96_000]),
    frequency=st.floats(0.0, 0.5),
    phase=st.floats(0.0, 6.3),
    flips=st.lists(st.integers(0, 900), max_size=5),
    gaps=st.lists(st.integers(0, 900), max_size=2),
    drive_db=st.floats(0.0, 20.0),
    ceiling_dbtp=st.sampled_from([0.0, -1.0, -12.0]),
)
def test_any_hard_signal_stays_under_the_ceiling(rate_hz, frequency, phase, flips, gaps, drive_db, ceiling_dbtp):
    """Tones of any frequency, cut and flipped anywhere, do not get past it."""
    samples = np.sin(2 * np.pi * frequency * np.arange(900) + phase)[None] * 10 ** (drive_db / 20)
    for flip in flips:
        samples[:, flip:] *= -1.0
    for gap in gaps:
        samples[:, gap : gap + 40] = 0.0
    out, _ = limited(samples, rate_hz, ceiling_dbtp=ceiling_dbtp)
    assert peak_dbtp(out) <= ceiling_dbtp + OVER_DB


@settings(max_examples=40, deadline=None, derandomize=True)
@given(rate_hz=st.sampled_from([8_000, 44_100]), seed=st.integers(0, 2**32 - 1), row=st.integers(1, PHASES - 1))
def test_a_signal_made_against_the_meter_stays_under_the_ceiling(rate_hz, seed, row):
    """Signs chosen so that every tap of the meter adds up, in the midst of coin tosses, do not get past it either."""
    rng = np.random.default_rng(seed)
    samples = 4.0 * rng.choice([-1.0, 1.0], (1, 900)) * rng.choice([0.0, 1.0, 1.0], (1, 900))
    samples[0, 400 : 400 + TAPS] = 4.0 * np.sign(meter_taps()[row])
    assert peak_dbtp(limited(samples, rate_hz)[0]) <= CEILING_DBTP + OVER_DB


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("drive_db", [6.0, 12.0, 20.0])
def test_music_stays_under_the_ceiling(drive_db, dtype):
    """A driven song fills the room below the ceiling and no more, by two meters that are not the limiter's."""
    samples = (music() * 10 ** (drive_db / 20)).astype(dtype)
    out, done = limited(samples)
    assert done["max_reduction_db"] > drive_db - 5.0
    assert CEILING_DBTP - 0.02 <= peak_dbtp(out) <= CEILING_DBTP + MUSIC_OVER_DB
    state = pyebur128.R128State(2, RATE_HZ, pyebur128.MeasurementMode.MODE_TRUE_PEAK)
    state.add_frames(np.ascontiguousarray(out.T).ravel(), out.shape[1])
    assert db(max(pyebur128.get_true_peak(state, c) for c in range(2))) <= CEILING_DBTP + EBUR128_OVER_DB


@functools.cache
def music():
    """Four seconds of a chorus, peak near -3 dB."""
    samples = song(3, seconds=6.0, style="dance").samples[:, : 4 * RATE_HZ]
    return np.asarray(samples)


@pytest.mark.parametrize("length", [30, 1_000, 10_000])
@pytest.mark.parametrize("hz", [40.0, 0.2 * RATE_HZ])
def test_both_ends_of_a_file_stay_under_the_ceiling(length, hz):
    """A loud file that starts or ends at a crest, with silence around it, is held from its first sample to its last."""
    crest = 2.0 * np.cos(2 * np.pi * hz * (np.arange(length) - length + 1) / RATE_HZ)[None]
    for samples in (crest, np.ascontiguousarray(crest[:, ::-1])):
        out, _ = limited(samples)
        assert peak_dbtp(out) <= CEILING_DBTP + OVER_DB
        assert np.abs(out).max() >= 0.5 * 10 ** (CEILING_DBTP / 20)
        assert np.sign(out[0, [0, -1]]).tolist() == np.sign(samples[0, [0, -1]]).tolist()


# --- what it sounds like


def noise_and_distortion_db(samples, hz):
    """What is left of the last second without its sine, re the sine."""
    last, t = samples[0, -RATE_HZ:], np.arange(RATE_HZ) / RATE_HZ
    basis = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], axis=1)
    tone = basis @ np.linalg.lstsq(basis, last, rcond=None)[0]
    return float(db(np.sqrt(np.mean((last - tone) ** 2) / np.mean(tone**2))))


@pytest.mark.parametrize("over_db", [3.0, 6.0, 12.0])
@pytest.mark.parametrize(
    ("hz", "allowed_db"), [(30, -80), (40, -100), (60, -120), (100, -120), (440, -120), (997, -120), (5_000, -70)]
)
def test_a_steady_tone_is_turned_down_not_bent(hz, allowed_db, over_db):
    """THD+N of driven sines; required were -55 dB at 40 Hz, -60 dB at 60 Hz and -80 dB at 997 Hz."""
    out, done = limited(sine(hz, 3.0, peak_db=CEILING_DBTP + over_db))
    assert done["max_reduction_db"] == pytest.approx(over_db, abs=0.1)
    assert noise_and_distortion_db(out[:, : -RATE_HZ // 10], hz) <= allowed_db


def lines_db(samples, hz):
    """Level of whole frequencies in the last second, re the first of them."""
    spectrum = np.abs(np.fft.rfft(samples[0, -RATE_HZ:] * np.hanning(RATE_HZ)))
    return db(spectrum[list(hz)] / spectrum[hz[0]])


@pytest.mark.parametrize("over_db", [3.0, 6.0])
def test_smpte_intermodulation(over_db):
    """60 Hz and 7 kHz at 4:1: all side lines of 7 kHz together are 90 dB below it."""
    samples = (0.8 * sine(60, 3.0) + 0.2 * sine(7_000, 3.0)) * 10 ** ((CEILING_DBTP + over_db) / 20)
    sides = lines_db(limited(samples)[0], (7_000, 6_940, 7_060, 6_880, 7_120, 6_820, 7_180))[1:]
    assert 10 * np.log10((10 ** (sides / 10)).sum()) <= -90.0


@pytest.mark.parametrize("over_db", [3.0, 6.0])
def test_ccif_intermodulation(over_db):
    """19 and 20 kHz: the difference tone is 100 dB below them; required were 60."""
    samples = 0.5 * (sine(19_000, 3.0) + sine(20_000, 3.0)) * 10 ** ((CEILING_DBTP + over_db) / 20)
    assert lines_db(limited(samples)[0], (19_000, 1_000, 18_000, 21_000))[1:].max() <= -100.0


def gain_db_under(signal, rate_hz=RATE_HZ, **fields):
    """The gain that `signal` brings about, read off a small constant in the other channel."""
    probe = np.full_like(signal, 1e-3)
    return db(limited(np.stack([signal, probe]), rate_hz, **fields)[0][1] / 1e-3)


@pytest.mark.parametrize("over_db", [6.0, 20.0])
@pytest.mark.parametrize("lookahead_ms", [2.0, 4.0, 10.0])
def test_attack_is_a_smooth_slope_in_time(lookahead_ms, over_db):
    """A click is met at the end of an even slope as long as the look-ahead, nothing of it earlier."""
    at, ahead = 20_000, round(lookahead_ms * 1e-3 * RATE_HZ)
    click = np.zeros(40_000)
    click[at] = 10 ** ((CEILING_DBTP + over_db) / 20)
    gain_db = gain_db_under(click, lookahead_ms=lookahead_ms)
    gain = 10 ** (gain_db / 20)
    assert gain_db[at] == pytest.approx(-over_db, abs=0.02)
    assert gain_db[at] <= gain_db.min() + 0.005
    # Two means of half the look-ahead each: no step is larger than the whole way over the longer half.
    assert np.abs(np.diff(gain)).max() <= 1.05 * (1 - gain[at]) / (ahead // 2)
    assert np.abs(np.diff(gain, 2)).max() <= 1.1 * (1 - gain[at]) / (ahead // 2) ** 2
    assert (np.diff(gain[at - ahead - 20 : at - 2]) <= 1e-6).all()
    assert np.abs(gain_db[: at - ahead - 20]).max() <= 0.01


def test_steps_of_gain_on_music_are_small():
    """On a driven song no two neighbouring samples differ in gain by more than a tenth of a dB."""
    samples = music() * 10 ** (12.0 / 20)
    assert np.abs(np.diff(gain_db_under(samples[0]))).max() <= 0.1


@pytest.mark.parametrize("knee_db", [3.0, 12.0, 24.0])
def test_knee_follows_its_curve_and_keeps_the_ceiling(knee_db):
    """A steady tone leaves at the level of the parabola; what stays below the knee's start is bit-identical."""
    for over_db in (-knee_db / 2 - 0.5, -knee_db / 4, 0.0, knee_db / 4, knee_db / 2 + 2.0):
        tone = sine(997.0, 1.0, peak_db=CEILING_DBTP + over_db)
        out, _ = limited(tone, knee_db=knee_db)
        expected_db = over_db + db(twin_gain(10 ** (over_db / 20), 1.0, knee_db))
        middle = slice(RATE_HZ // 2, RATE_HZ // 2 + 4410)
        np.testing.assert_allclose(limiting_db(np.array([over_db]), knee_db)[0], expected_db - over_db, atol=1e-9)
        level_db = db(np.sqrt(2.0 * np.mean(out[:, middle] ** 2)))
        assert abs(level_db - CEILING_DBTP - expected_db) < 0.02
        assert peak_dbtp(out) <= CEILING_DBTP + (0.02 if over_db > 0.0 else 0.1)  # the burst itself rings
        assert over_db > -knee_db / 2 or np.array_equal(out, tone)


def test_channels_get_one_gain():
    """What one channel needs both get, so the image stays where it is."""
    samples = dense(20_000, RATE_HZ) * [[1.0], [0.01]]
    out, _ = limited(samples)
    left, right = out / samples
    np.testing.assert_allclose(left, right, rtol=1e-12)
    assert left.min() < 0.5
    np.testing.assert_array_equal(limited(np.ascontiguousarray(samples[::-1]))[0], out[::-1])
    np.testing.assert_array_equal(limited(samples[:1])[0], out[:1])


@pytest.mark.parametrize(("over_db", "allowed_db"), [(3.0, 2.9), (6.0, 5.3)])
def test_kick_pumps_less_than_it_is_over(over_db, allowed_db):
    """Two kicks a second under a quiet tone: the tone moves with them, by 2.7 dB at 3 dB over, 5.1 at 6."""
    t = np.arange(4 * RATE_HZ) / RATE_HZ
    kick = 10 ** ((CEILING_DBTP + over_db) / 20) * np.sin(2 * np.pi * 60 * (t % 0.5)) * np.exp(-(t % 0.5) / 0.08)
    tone = sine(1_000, 4.0, peak_db=-20.0)[0]
    window = np.hanning(442) / np.hanning(442).sum()

    def level_db(samples):
        return db(np.convolve(samples * np.exp(-2j * np.pi * 1_000 * t), window, "same"))

    out, _ = limited((kick + tone)[None])
    moved = (level_db(out[0]) - level_db(kick + tone))[2 * RATE_HZ : -2_000]
    assert 0.5 * over_db <= np.ptp(moved) <= allowed_db


def recovery_ms(gain_db, end, to_db):
    """How long after sample `end` the gain stays below `to_db`."""
    return (np.flatnonzero(gain_db[end:] < to_db)[-1] + 1) / RATE_HZ * 1e3


def test_release_follows_the_programme():
    """After a lone 5 ms burst, 6 dB over, -1 dB is back in 180 ms, -0.5 dB in 500; after a second of it much later."""
    ends, gains = [], []
    for seconds in (0.005, 1.0):
        signal = np.zeros(3 * RATE_HZ)
        burst = sine(1_000, seconds, peak_db=CEILING_DBTP + 6.0)[0]
        signal[RATE_HZ // 2 :][: len(burst)] = burst
        ends.append(RATE_HZ // 2 + len(burst))
        gains.append(gain_db_under(signal))
    for gain_db, end in zip(gains, ends, strict=True):
        assert gain_db.min() == pytest.approx(-6.0, abs=0.05)
        # Held over the next crest of a low note, then never down again.
        assert gain_db[end + int(0.007 * RATE_HZ)] <= -5.9
        assert (np.diff(gain_db[end:]) >= -1e-4).all()
    lone, sustained = ({to: recovery_ms(g, end, to) for to in (-1.0, -0.5)} for g, end in zip(gains, ends, strict=True))
    assert 100.0 <= lone[-1.0] <= 180.0
    assert lone[-0.5] <= 500.0
    assert 600.0 <= sustained[-1.0] <= 1_000.0
    assert sustained[-0.5] >= 2.0 * lone[-0.5]


@pytest.mark.parametrize(
    ("field", "short", "long"), [("release_ms", 20.0, 500.0), ("settle_ms", 50.0, 1_000.0), ("hold_ms", 0.0, 50.0)]
)
def test_slower_settings_recover_slower(field, short, long):
    """A longer hold, release or settling time each keeps the gain down for longer."""
    signal = np.concatenate([sine(1_000, 2.0, peak_db=CEILING_DBTP + 6.0)[0], np.zeros(2 * RATE_HZ)])
    times = [recovery_ms(gain_db_under(signal, **{field: value}), 2 * RATE_HZ, -3.0) for value in (short, long)]
    assert times[0] + 20.0 < times[1]


# --- what it says


def test_record_of_a_known_case():
    """A tone 4 dB over in the middle third: the record has its depth, its place and its share."""
    samples = sine(1_000, 3.0, peak_db=-20.0)
    samples[:, RATE_HZ : 2 * RATE_HZ] *= 10 ** ((CEILING_DBTP + 4.0 + 20.0) / 20)
    _, done = limited(samples, release_ms=20.0, settle_ms=50.0)
    reduction_db = done["reduction_db"]
    assert reduction_db.dtype == np.float32
    assert len(reduction_db) == 300
    assert done["max_reduction_db"] == pytest.approx(4.0, abs=0.02)
    assert done["p95_reduction_db"] == pytest.approx(4.0, abs=0.02)
    np.testing.assert_allclose(reduction_db[101:200], 4.0, atol=0.02)
    np.testing.assert_allclose(reduction_db[:98], 0.0, atol=1e-6)
    np.testing.assert_allclose(reduction_db[-30:], 0.0, atol=0.02)
    assert 0.335 <= done["share_limited"] <= 0.45
    assert 3.0 <= done["mean_reduction_db"] <= 4.0


def test_nothing_taken_nothing_said():
    """Before the first sample there is no record, and the end of an empty stream gives no samples."""
    processor = Limiter(ceiling_dbtp=-1.0).processor(RATE_HZ, 2)
    assert processor.finish() is None
    assert processor.measured() == {}
    out, done = limited(np.zeros((2, 0)))
    assert out.shape == (2, 0)
    assert done is None


def test_without_a_ceiling_all_passes():
    """No ceiling is neutral, and its processor leaves the loudest sound as it is."""
    assert Limiter().is_neutral()
    assert not Limiter(ceiling_dbtp=0.0).is_neutral()
    samples = 100.0 * dense(3_000, RATE_HZ)
    np.testing.assert_array_equal(limited(samples, ceiling_dbtp=None)[0], samples)
