"""Hum: found where it is, and only there; followed; subtracted as deep as it was."""

import functools
import itertools
import tracemalloc

import numpy as np
import pytest

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.errors import AudioError, SettingsError
from dsp.kernels import Decimator
from dsp.restoration.dehum import Dehum, Line, LinePoint, TrackPoint
from dsp.restoration.humdetection import HumDetector, best_path
from dsp.restoration.humlines import locked

RATE_HZ = 16_000
SECONDS = 45
DEEP_DB = 25.0
TOUCHED_DB = -42.0
"""In 45 s; what the estimate takes of the music falls by 3 dB for each doubling of the length."""


@functools.cache
def music(seed=1, seconds=SECONDS, rate_hz=RATE_HZ):
    """Decaying notes of a scale over two octaves of bass and two above, with a breath of noise; (2, samples)."""
    rng = np.random.default_rng(seed)
    out = 0.003 * rng.normal(size=(2, seconds * rate_hz))
    scale = 55.0 * 2.0 ** (np.array([0, 2, 3, 5, 7, 8, 10, 12, 15, 19, 24, 27, 31, 36]) / 12.0)
    t = np.arange(int(1.2 * rate_hz)) / rate_hz
    for start in np.arange(0.0, seconds - 1.3, 0.25):
        hz, pan = rng.choice(scale), rng.uniform(0.3, 0.7)
        note = sum(np.sin(2 * np.pi * k * hz * t + rng.uniform(0, 6)) / k for k in range(1, 6))
        note *= np.exp(-t / rng.uniform(0.1, 0.4)) * np.minimum(1.0, t / 0.005) * rng.uniform(0.05, 0.25)
        first = int(start * rate_hz)
        out[:, first : first + len(t)] += 2.0 * np.array([[1.0 - pan], [pan]]) * note
    out.flags.writeable = False
    return out


@functools.cache
def hum(mains_hz=50.0, level_dbfs=-36.0, seconds=SECONDS, rate_hz=RATE_HZ, swing_hz=0.2):
    """Six lines that drift by up to 0.05 Hz/s, other phases in each channel."""
    rng = np.random.default_rng(2)
    t = np.arange(seconds * rate_hz) / rate_hz
    cycles = np.cumsum(mains_hz + swing_hz * np.sin(0.24 * t)) / rate_hz
    out = np.zeros((2, len(t)))
    for k, db in {1: 0, 2: -6, 3: -3, 5: -9, 7: -14, 9: -18}.items():
        for channel in range(2):
            out[channel] += 10 ** (db / 20) * np.cos(2 * np.pi * (k * cycles + rng.random()))
    out *= 10 ** (level_dbfs / 20) / np.sqrt(np.mean(out**2))
    out.flags.writeable = False
    return out


def found(samples, rate_hz=RATE_HZ, cut=None, **options):
    detector = HumDetector(rate_hz, samples.shape[0], **options)
    for start in range(0, samples.shape[1], cut or samples.shape[1]):
        detector.update(samples[:, start : start + (cut or samples.shape[1])])
    return detector.result()


def subtracted(repair, length, rate_hz=RATE_HZ):
    """What the repair takes away from anything."""
    return -Chain((repair,))(Audio(np.zeros((2, length)), rate_hz)).samples


def db(part, whole):
    return 10 * np.log10(np.mean(part**2) / np.mean(whole**2))


@pytest.mark.parametrize(("mains_hz", "level_dbfs"), [(50.0, -30.0), (60.0, -36.0), (60.0, -40.0)])
def test_drifting_hum_goes_and_the_music_stays(mains_hz, level_dbfs):
    """Hum that drifts by 0.05 Hz/s is named, goes down by 25 dB, and the music is left within -42 dB."""
    added = hum(mains_hz, level_dbfs)
    result = found(music() + added)
    assert abs(result.fundamental_hz - mains_hz) <= 0.05
    assert {1, 2, 3, 5} <= set(result.harmonics) <= {1, 2, 3, 5, 7, 9}
    wrong = added - subtracted(result.settings(), added.shape[1])
    assert db(wrong, added) <= -DEEP_DB
    assert db(wrong, music()) <= TOUCHED_DB


@pytest.mark.parametrize("rate_hz", [44_100, 48_000])
def test_works_at_the_rates_of_music(rate_hz):
    """The same depth at full rates, in noise."""
    noise = 0.001 * np.random.default_rng(3).normal(size=(2, 24 * rate_hz))
    added = hum(50.0, -40.0, 24, rate_hz)
    wrong = added - subtracted(found(noise + added, rate_hz).settings(), added.shape[1], rate_hz)
    assert db(wrong, added) <= -DEEP_DB


def test_a_change_of_level_is_followed():
    """Hum that fades to a quarter over the file is subtracted as it fades, not as it is on average."""
    added = hum(50.0, -30.0) * np.linspace(1.0, 0.25, SECONDS * RATE_HZ)
    wrong = added - subtracted(found(music() + added).settings(), added.shape[1])
    assert db(wrong, added) <= -20.0


def test_hum_that_pauses_is_taken_out_on_both_sides():
    """From the file's very start, not at all in the middle, and again to its end."""
    seconds = 200
    gate = np.interp(np.arange(seconds * RATE_HZ) / RATE_HZ, [64.0, 64.1, 130.0, 130.1], [1.0, 0.0, 0.0, 1.0])
    added = hum(level_dbfs=-30.0, seconds=seconds) * gate
    repair = found(music(seconds=seconds) + added).settings()
    assert repair is not None
    left = added - subtracted(repair, added.shape[1])
    for part in (slice(2 * RATE_HZ, 62 * RATE_HZ), slice(133 * RATE_HZ, 198 * RATE_HZ)):
        assert db(left[:, part], added[:, part]) <= -20.0
    assert np.abs(left[:, 68 * RATE_HZ : 126 * RATE_HZ]).max() < 1e-5


def test_little_is_kept_of_a_hum():
    """What is kept of each second in which lines are followed stays below 2 kB."""
    chunk_s, chunks = 64, 8
    added = hum(seconds=chunk_s) + 0.001 * np.random.default_rng(5).normal(size=(2, chunk_s * RATE_HZ))
    detector, kept = HumDetector(RATE_HZ, 2), []
    tracemalloc.start()
    try:
        for _ in range(chunks):
            detector.update(added)
            kept.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()
    assert detector.result().presence > 0.9
    assert (kept[-1] - kept[1]) / ((chunks - 2) * chunk_s) < 2000


@pytest.mark.parametrize("strong", [False, True])
def test_music_is_not_hum(strong):
    """Neither notes, nor noise, nor silence, nor a drone on a low G or B is named, even looked for strongly."""
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    silence = np.zeros_like(music())
    drones = [sum(0.05 * np.sin(2 * np.pi * k * hz * t) / k for k in range(1, 9)) for hz in (48.9994, 61.7354)]
    noise = 0.1 * np.random.default_rng(4).normal(size=silence.shape)
    for samples in (music(), silence, noise, *(music() + drone for drone in drones)):
        assert found(samples, strong=strong).settings() is None


def test_bass_notes_at_the_mains_are_not_hum():
    """Notes of exactly 50 Hz that come and go are music."""
    t = np.arange(SECONDS * RATE_HZ) / RATE_HZ
    bass = sum(0.1 * np.sin(2 * np.pi * 50.0 * k * t) / k for k in range(1, 6))
    bass = bass * np.exp(-(t % 1.5) / 0.3) * ((t // 6) % 2 == 0)
    assert found(music() + bass).settings() is None


def test_blocks_do_not_matter():
    """What is found does not depend on how the stream is cut, in either precision."""
    for kind in (np.float32, np.float64):
        samples = (music() + hum()).astype(kind)
        assert found(samples, cut=4097) == found(samples) != found(music().astype(kind))


def test_memory_does_not_grow_with_music():
    """Where there is no comb of lines, nothing is kept but the samples of the chunk at hand."""
    detector = HumDetector(8_000, 1)
    noise = np.random.default_rng(5).normal(size=(1, 8_000 * 40)).astype(np.float32)
    held = []
    for _ in range(8):
        detector.update(noise)
        held.append(sum(part.nbytes for part in detector._held) + sum(len(c._frames) for c in detector._combs))
    assert max(held[4:]) <= max(held[:4])


def test_untouched_where_there_is_no_line():
    """Outside the points of a line that fades, samples come out bit for bit."""
    points = [LinePoint(time_s=t, cosine=c, sine=0.0) for t, c in ((1.0, 0.0), (1.5, 0.1), (2.0, 0.0))]
    repair = Dehum(
        track=(TrackPoint(time_s=0.0, frequency_hz=50.0),), lines=(Line(harmonic=2, channel=1, points=tuple(points)),)
    )
    samples = music()[:, : 3 * RATE_HZ]
    out = Chain((repair,))(Audio(samples, RATE_HZ)).samples
    np.testing.assert_array_equal(out[0], samples[0])
    np.testing.assert_array_equal(out[1, : RATE_HZ - 64], samples[1, : RATE_HZ - 64])
    np.testing.assert_array_equal(out[1, 2 * RATE_HZ + 64 :], samples[1, 2 * RATE_HZ + 64 :])
    assert np.abs(out[1] - samples[1]).max() > 0.09


def test_lines_are_what_the_settings_say():
    """The samples are those of the plain sum of cosines over the integral of the track."""
    repair = Dehum(
        track=(TrackPoint(time_s=0.5, frequency_hz=50.0), TrackPoint(time_s=1.5, frequency_hz=50.05)),
        lines=(
            Line(harmonic=1, points=(LinePoint(time_s=0.0, cosine=0.1, sine=0.05),)),
            Line(
                harmonic=7,
                channel=1,
                points=(LinePoint(time_s=0.0, cosine=0.1, sine=0.0), LinePoint(time_s=2.0, cosine=0.0, sine=-0.1)),
            ),
        ),
    )
    t = np.arange(2 * RATE_HZ) / RATE_HZ
    since = np.clip(t - 0.5, 0.0, 1.0)
    cycles = 50.0 * np.minimum(t, 1.5) + 0.025 * since**2 + 50.05 * np.maximum(t - 1.5, 0.0)
    first = ((0.1 + 0.05j) * np.exp(2j * np.pi * cycles)).real
    share = np.minimum(t / 2.0, 1.0)
    seventh = (((1 - share) * 0.1 - 0.1j * share) * np.exp(14j * np.pi * cycles)).real
    np.testing.assert_allclose(subtracted(repair, len(t)), [first, seventh], rtol=0, atol=2e-5)


def test_the_decimator_is_a_filter_and_a_stride():
    """The kernel gives every n-th sample of the convolution, whatever the blocks."""
    rng = np.random.default_rng(6)
    taps, samples = rng.normal(size=48), rng.normal(size=(2, 1_000))
    padded = np.pad(samples, ((0, 0), (24, 0)))
    wanted = np.array([np.correlate(row, taps, "valid")[::7] for row in padded])
    decimator, parts = Decimator(taps, 7, 2), []
    for block in (samples[:, :13], samples[:, 13:400], samples[:, 400:]):
        out = np.empty((2, decimator.ready(block.shape[1], False)))
        decimator.process(np.ascontiguousarray(block), out)
        parts.append(out)
    np.testing.assert_allclose(np.concatenate(parts, axis=1), wanted, rtol=0, atol=1e-12)


def test_the_path_is_the_best_one():
    """The path of highest total is the one that trying all of them finds."""
    score = np.random.default_rng(7).normal(size=(4, 9))
    best = max(
        sum(score[n, s] for n, s in enumerate(path)) - 0.05 * sum(abs(a - b) for a, b in itertools.pairwise(path))
        for path in np.ndindex(9, 9, 9, 9)
        if max(abs(a - b) for a, b in itertools.pairwise(path)) <= 3
    )
    path, mean = best_path(score)
    assert 4 * mean - 0.05 * np.abs(np.diff(path)).sum() == pytest.approx(best)


def test_what_cannot_be_is_refused():
    """Points that do not rise in time, other shapes and rates are refused by name."""
    twice = (TrackPoint(time_s=1.0, frequency_hz=50.0), TrackPoint(time_s=1.0, frequency_hz=50.0))
    with pytest.raises(SettingsError, match=r"dehum\.track"):
        Dehum(track=twice)
    with pytest.raises(AudioError, match="block"):
        HumDetector(44_100, 2).update(np.zeros((1, 10)))
    with pytest.raises(AudioError, match="channels"):
        HumDetector(44_100, 0)


@pytest.mark.parametrize("length", [0, 1, 1_000, RATE_HZ * 3])
def test_short_files_have_no_hum(length):
    """Too short to tell is not found, and no error."""
    assert found(music()[:, :length].copy(), cut=700).settings() is None


def test_a_track_half_a_turn_off_comes_back():
    """Where the track ran half a turn ahead for ten seconds, every other line fits there: all together they tell."""
    orders, hop_s, frames = np.arange(1, 10), 1.0, 60
    size = np.where(orders % 2 == 0, 1.0, 0.5)  # the even ones are stronger
    noise = np.full((len(orders), 1, frames), 0.01)
    truth = np.full(frames, 50.0)
    wrong = truth + np.interp(np.arange(frames), [20, 23, 26, 34, 37, 40], [0.0, 0.1667, 0.0, 0.0, -0.1667, 0.0])

    def lines(track):
        cycles = hop_s * (np.cumsum(truth - track) - 0.5 * (truth - track))
        return (size[:, None] * np.exp(2j * np.pi * np.outer(orders, cycles)))[:, None]

    nothing = np.zeros((len(orders), 1))
    ends = {}
    for slips in (False, True):
        track = wrong
        for _ in range(8):
            known = nothing.astype(np.complex128), nothing
            track = track + locked(lines(track), noise, orders, track, np.zeros(0), known, hop_s, slips=slips)
        ends[slips] = np.abs(np.angle(lines(track)[0, 0] / lines(track)[0, 0, 0])).max() / (2 * np.pi)
    assert ends[False] > 0.4
    assert ends[True] < 0.01
