"""Shared passages: the same recording found in both tracks, and the master read from it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import soxr

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effects.eq import Band, Eq
from matcher import analyze, plan
from matcher.aims import Aims
from matcher.io import open_audio
from matcher.planner import passages, placing, tone, width
from matcher.planner.gaussian import UNKNOWN_LEVEL_DB, Evidence, believed, kernel
from matcher.planner.likeness import Alike, Moments
from matcher.planner.sections import Section, pick
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.reference import Reference

RATE = 44_100
EQ = Eq(
    bands=(
        Band(shape="low_shelf", frequency_hz=150.0, gain_db=4.0, q=0.7),
        Band(shape="peak", frequency_hz=900.0, gain_db=-3.0, q=0.9),
        Band(shape="high_shelf", frequency_hz=6000.0, gain_db=4.0, q=0.7),
    )
)
WANTED_DB = EQ.response_db(THIRD_OCTAVES_HZ, "mid")
SIDE_DB = -4.0
INSIDE = (THIRD_OCTAVES_HZ > 60.0) & (THIRD_OCTAVES_HZ < 14_000.0)


def noise(seconds: float, seed: int, tilt: float = 0.5, rate: int = RATE) -> np.ndarray:
    """Two channels of coloured noise in hits, half of it common to both: what drums and sampled loops are like."""
    rng = np.random.default_rng(seed)
    count = int(seconds * rate)
    white = rng.standard_normal((2, count))
    white = white + white.mean(axis=0) * 2.0
    spectrum = np.fft.rfft(white)
    hz = np.fft.rfftfreq(count, 1.0 / rate)
    coloured = np.fft.irfft(spectrum / np.maximum(hz, 30.0) ** tilt, count)
    beat = np.exp(-((np.arange(count) / rate * 4.0) % 1.0) * 3.0)
    return coloured / coloured.std() * beat


def melody(seconds: float, seed: int) -> np.ndarray:
    """Notes with overtones in the middle, other ones for every seed."""
    rng = np.random.default_rng(seed)
    count = int(seconds * RATE)
    time, out = np.arange(count) / RATE, np.zeros(count)
    for start in range(0, count, RATE // 4):
        hz = 220.0 * 2.0 ** (rng.integers(0, 24) / 12.0)
        part = slice(start, start + RATE // 4)
        for overtone in range(1, 6):
            out[part] += np.sin(2.0 * np.pi * hz * overtone * time[part]) / overtone**1.5
    return np.stack([out, out]) / out.std()


def song(loop: np.ndarray, seconds: float, seed: int, level: float = 0.5) -> np.ndarray:
    """A loop over and over under a melody of its own."""
    count = int(seconds * RATE)
    looped = np.tile(loop, -(-count // loop.shape[1]))[:, :count]
    return 0.05 * (looped + level * melody(seconds, seed))


def mastered(samples: np.ndarray, gain_db: float = 3.0) -> np.ndarray:
    """Equalized, narrower and louder."""
    eq = Chain((EQ,)).processor(RATE, 2)
    out = eq.process(samples.astype(np.float32))
    tail = eq.finish()
    out = out if tail is None else np.concatenate([out, tail], axis=1)
    mid, side = (out[0] + out[1]) / 2.0, (out[0] - out[1]) / 2.0 * 10.0 ** (SIDE_DB / 20.0)
    return np.stack([mid + side, mid - side]) * 10.0 ** (gain_db / 20.0)


def audio(samples: np.ndarray, rate: int = RATE) -> Audio:
    return Audio(np.ascontiguousarray(samples, dtype=np.float32), rate)


def compared(target: np.ndarray, reference: np.ndarray, rate: int = RATE) -> passages.Shared:
    whole = open_audio(audio(target)), open_audio(audio(reference, rate))
    with whole[0] as here, whole[1] as there, ThreadPoolExecutor(1) as reader:
        return passages.shared(pick(analyze(audio(target)), here, reader), RATE, there)


def errors_db(evidence: Evidence, wanted_db: np.ndarray) -> np.ndarray:
    """In the bands that are heard, the level left out where it is not known."""
    away = evidence.curve_db - wanted_db[evidence.heard]
    if evidence.covariance.min() > 1.0:
        away = away - np.average(away, weights=1.0 / (np.diag(evidence.covariance) - UNKNOWN_LEVEL_DB**2))
    return away


def sure_errors_db(evidence: Evidence, wanted_db: np.ndarray) -> np.ndarray:
    """Where it is said to be exact, which is nearly everywhere but under the melody."""
    unknown = UNKNOWN_LEVEL_DB**2 if evidence.covariance.min() > 1.0 else 0.0
    sure = np.diag(evidence.covariance) - unknown < 0.7**2
    assert sure.sum() >= 12
    return errors_db(evidence, wanted_db)[sure]


LOOP = noise(3.37, seed=1)
HERE = song(LOOP, 16.0, seed=2)
THERE = mastered(np.roll(song(LOOP, 16.0, seed=3), 31_234, axis=1))


class TestShared:
    """Two arrangements over one loop."""

    def test_reads_the_master_off_the_loop(self) -> None:
        found = compared(HERE, THERE)
        assert found.passages >= 5
        assert found.tone is not None
        assert found.width is not None
        assert found.tone.heard[INSIDE].sum() >= 20
        assert np.abs(sure_errors_db(found.tone, WANTED_DB)).max() < 0.3
        assert np.abs(sure_errors_db(found.width, np.full(30, SIDE_DB))).max() < 0.3
        away = errors_db(found.tone, WANTED_DB) / np.sqrt(np.diag(found.tone.covariance) - UNKNOWN_LEVEL_DB**2)
        assert np.abs(away).max() < 2.0, "as exact as it says, under the melody too"

    def test_a_melody_on_one_side_alone_is_less_exact_and_says_so(self) -> None:
        """What the target has besides makes its bands less coherent: they count less."""
        bare = compared(song(LOOP, 16.0, 0, level=0.0), mastered(song(LOOP, 16.0, 0, level=0.0)))
        covered = compared(song(LOOP, 16.0, 2, level=2.0), mastered(song(LOOP, 16.0, 0, level=0.0)))
        assert bare.tone is not None
        assert covered.tone is not None
        both = bare.tone.heard & covered.tone.heard & (THIRD_OCTAVES_HZ > 250.0) & (THIRD_OCTAVES_HZ < 2000.0)
        one, other = (np.diag(t.covariance)[both[t.heard]] for t in (bare.tone, covered.tone))
        assert other.mean() > one.mean() + 0.3

    @pytest.mark.parametrize("rate", [48_000, 32_000])
    def test_a_reference_at_another_rate(self, rate: int) -> None:
        there = soxr.resample(THERE.T, RATE, rate).T
        found = compared(HERE, there, rate)
        assert found.tone is not None
        assert found.passages >= 5
        assert np.abs(sure_errors_db(found.tone, WANTED_DB)).max() < 0.3

    def test_a_turned_polarity_and_mono(self) -> None:
        found = compared(HERE, -THERE)
        assert found.tone is not None
        assert np.abs(sure_errors_db(found.tone, WANTED_DB)).max() < 0.3
        mono = compared(HERE.mean(axis=0, keepdims=True), THERE.mean(axis=0, keepdims=True))
        assert mono.tone is not None
        assert mono.width is None

    def test_the_same_kind_of_sound_is_not_the_same_recording(self) -> None:
        """Other noise in the same beat, the same chord by another instrument: alike, and nothing to compare."""
        assert not compared(HERE, mastered(song(noise(3.37, seed=9), 16.0, seed=3))).passages
        time = np.arange(16 * RATE) / RATE
        here, there = (
            sum(np.sin(2.0 * np.pi * (hz + off) * time) for hz in (110.0, 220.0, 330.0)) + 0.3 * noise(16.0, seed)[0]
            for off, seed in ((0.0, 11), (0.8, 12))
        )
        assert not compared(np.stack([here, here]) * 0.05, np.stack([there, there]) * 0.05).passages

    def test_nothing_to_look_for(self) -> None:
        """Too short, silent in part, a reference of half a second."""
        assert not compared(HERE[:, :RATE], THERE).passages
        assert not compared(HERE, THERE[:, : RATE // 2]).passages
        with_pause = np.concatenate([np.zeros((2, 6 * RATE)), HERE], axis=1)
        assert compared(with_pause, THERE).tone is not None
        assert compared(HERE, np.concatenate([np.zeros((2, 6 * RATE)), THERE], axis=1)).tone is not None


class TestPlacing:
    """Where a passage comes back."""

    @pytest.mark.parametrize("at_s", [0.0, 1.234_567, 19.3, 20.0, 21.0, 39.999, 48.0])
    def test_to_the_sample(self, at_s: float) -> None:
        """Wherever one chunk of what is searched ends, and at either end of the track."""
        passage = placing.mid_and_side(noise(2.0, seed=4).astype(np.float32))
        at = round(at_s * RATE)
        track = 0.2 * noise(50.0, seed=5)
        track[:, at : at + passage.shape[1]] += np.stack([passage[0] + passage[1], passage[0] - passage[1]])
        with open_audio(audio(track)) as there:
            (found,) = placing.placed([passage], RATE, there)
        expected = placing.mid_and_side(track[:, at : at + passage.shape[1]].astype(np.float32))
        np.testing.assert_array_equal(found, expected)

    def test_what_lies_behind_the_end_is_silence(self) -> None:
        passage = placing.mid_and_side(noise(2.0, seed=4).astype(np.float32))
        with open_audio(audio(noise(1.0, seed=5))) as there:
            (found,) = placing.placed([passage], RATE, there)
        assert found.shape == passage.shape
        assert not found[:, int(1.1 * RATE) :].any()


def alike(*similarities: float) -> list[Alike]:
    return [Alike(np.zeros(30), np.zeros(30), similarity) for similarity in similarities]


class TestWhen:
    """Only where it may help is a reference read once more."""

    def test_neither_strangers_nor_the_same_file(self) -> None:
        for seconds in (40.0, 240.0):
            assert not passages.may_share([], seconds)
            assert not passages.may_share(alike(0.3, 0.35, 0.4), seconds)
            assert not passages.may_share(alike(0.99, 0.995, 1.0), seconds)
            assert passages.may_share(alike(0.5, 0.6, 0.7), seconds)

    def test_a_short_reference_is_searched_on_a_suspicion(self) -> None:
        assert passages.may_share(alike(0.4, 0.5, 0.55), 40.0)
        assert not passages.may_share(alike(0.4, 0.5, 0.55), 240.0)

    def test_a_plan_says_so_and_is_nearer(self) -> None:
        """From the files' names to the reason of the equalizer."""
        other_part = 0.08 * noise(12.0, seed=21, tilt=1.2) + 0.02 * melody(12.0, seed=22)
        here = audio(song(LOOP, 16.0, seed=2, level=0.2))
        there = audio(mastered(np.concatenate([song(LOOP, 12.0, seed=3, level=0.2), other_part], axis=1)))
        made = plan(here, there)
        step = made.step("eq")
        assert step is not None
        assert "both hold the same recording" in step.because
        blind = plan(here, Reference.of(analyze(there)))
        other = blind.step("eq")
        assert other is None or "same recording" not in other.because
        assert made.believed is not None
        assert blind.believed is not None
        away = [
            np.std((np.array(p.believed.tone.believed_db) - WANTED_DB)[INSIDE])
            for p in (made, blind)
            if p.believed is not None
        ]
        assert away[0] < 0.6
        assert away[0] < 0.6 * away[1]

    def test_everything_asked_for_needs_no_judgement(self) -> None:
        step = plan(audio(HERE), audio(THERE), Aims(belief=1.0)).step("eq")
        assert step is not None
        assert "same recording" not in step.because


class TestEvidence:
    """A second measurement in the Gaussian estimate."""

    def test_is_what_conditioning_on_both_gives(self) -> None:
        """One scale of music, so that the posterior is a plain one."""
        rng = np.random.default_rng(0)
        octaves = np.log2(THIRD_OCTAVES_HZ)
        mastering, music = kernel(octaves, 2.5, 1.5), kernel(octaves, 1.0, 1.0) + 0.1 * np.eye(30)
        difference, heard = rng.normal(0.0, 3.0, 30), rng.random(30) > 0.2
        shown = rng.random(30) > 0.5
        noise_db2 = np.diag(rng.uniform(0.1, 2.0, shown.sum()))
        curve = rng.normal(0.0, 2.0, shown.sum())
        found = believed(
            THIRD_OCTAVES_HZ,
            difference,
            heard,
            mastering,
            music,
            floor_db=0.5,
            scales_db=np.array([2.0]),
            evidence=(Evidence(shown, curve, noise_db2),),
        )
        # A Kalman step for each of the two measurements, one behind the other.
        mean, covariance = np.zeros(30), mastering.copy()
        for mask, value, aside in (
            (heard, difference[heard], (4.0 * music + 0.25 * np.eye(30))[np.ix_(heard, heard)]),
            (shown, curve, noise_db2),
        ):
            gain = covariance[:, mask] @ np.linalg.inv(covariance[np.ix_(mask, mask)] + aside)
            mean, covariance = mean + gain @ (value - mean[mask]), covariance - gain @ covariance[mask]
        np.testing.assert_allclose(found.mean_db, mean, atol=1e-8)
        np.testing.assert_allclose(found.sd_db, np.sqrt(np.diag(covariance)), atol=1e-6)

    def test_a_level_that_is_not_known_moves_nothing(self) -> None:
        target = analyze(audio(HERE))
        moments = Moments(target)
        reference = Reference.of(analyze(audio(THERE)))
        shown = np.ones(30, dtype=bool)
        curves = [
            tone.estimate(
                target, reference, moments,
                evidence=Evidence(shown, level + WANTED_DB, 0.1 * np.eye(30) + UNKNOWN_LEVEL_DB**2),
            ).mean_db
            for level in (0.0, 10.0)
        ]  # fmt: skip
        np.testing.assert_allclose(curves[0], curves[1], atol=0.15)

    def test_width_follows_a_sure_measurement(self) -> None:
        target, reference = analyze(audio(HERE)), Reference.of(analyze(audio(THERE)))
        moments = Moments(target)
        curve = tone.estimate(target, reference, moments)
        wanted_db = np.linspace(-6.0, 3.0, 30)
        sure = Evidence(np.ones(30, dtype=bool), wanted_db, 0.2 * np.eye(30))
        found = width.estimate(target, reference, moments, curve, evidence=sure)
        assert found is not None
        assert np.abs(found.side.mean_db - wanted_db)[INSIDE].max() < 1.0


def test_passages_count_from_where_sections_count() -> None:
    """What runs in before a section is not compared."""
    samples = np.zeros((2, 5 * RATE), dtype=np.float32)
    samples[:, : RATE // 2] = 1.0
    found = passages._passages([Section(samples, RATE // 2)], 2 * RATE)
    assert not found, "all of it is silence behind the run-in"
