"""Suitability: each warning on sound that deserves it, and none on sound that does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsp.audio import Audio
from matcher import Profile, analyze
from matcher.suitability import condition, suitability, unlikeness_db

RATE = 44_100


def beat(seconds: float = 24.0, seed: int = 1) -> np.ndarray:
    """Two channels of noise in bursts, four a second, falling by 3 dB an octave, peaking at half of full scale."""
    random = np.random.default_rng(seed)
    count = round(seconds * RATE)
    common, sides = random.normal(size=count), random.normal(size=(2, count)) * 0.4
    spectrum = np.fft.rfft(common + sides, axis=1)
    spectrum /= np.sqrt(np.maximum(np.arange(spectrum.shape[1]), 40.0))
    noise = np.fft.irfft(spectrum, count, axis=1)
    noise *= 0.05 + np.exp(-(np.arange(count) % (RATE // 4)) / (0.05 * RATE))
    return 0.5 * noise / np.abs(noise).max()


def pad(seconds: float = 24.0) -> np.ndarray:
    """A dull steady chord."""
    at = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2.0 * np.pi * hz * at) / hz for hz in (110.0, 220.0, 277.2, 329.6, 440.0))
    noise = np.random.default_rng(2).normal(0.0, 1e-6, (2, len(at)))
    return 0.3 * chord / np.abs(chord).max() + noise


def lowpassed(samples: np.ndarray, top_hz: float) -> np.ndarray:
    spectrum = np.fft.rfft(samples, axis=1)
    spectrum[:, np.fft.rfftfreq(samples.shape[1], 1.0 / RATE) > top_hz] = 0.0
    return np.fft.irfft(spectrum, samples.shape[1], axis=1)


def profile(samples: np.ndarray, name: str = "record.wav", rate: int = RATE) -> Profile:
    return analyze(Audio(samples, rate)).named(name)


@pytest.fixture(scope="module")
def target() -> Profile:
    """A sound mix."""
    return profile(beat(), "mix.wav")


@pytest.fixture(scope="module")
def good() -> Profile:
    """Another stretch of the same kind."""
    return profile(beat(seed=9))


def only(lines: tuple[str, ...], *words: str) -> str:
    """The one line there is, with the file's name and the words in it."""
    (line,) = lines
    for word in ("record.wav", *words):
        assert word in line
    return line


def test_a_good_reference_has_no_warning(target: Profile, good: Profile) -> None:
    """Another stretch of the same kind, and the target itself."""
    assert suitability(target, good) == ()
    assert suitability(target, target) == ()


@pytest.mark.parametrize("gain_db", [-30.0, 5.9])
def test_level_is_no_fault(target: Profile, gain_db: float) -> None:
    """Quiet or loud, a reference is what it is."""
    assert suitability(target, profile(beat(seed=9) * 10 ** (gain_db / 20.0))) == ()


class TestClipped:
    """Flat tops."""

    @pytest.mark.parametrize("turned_down", [1.0, 0.5])
    def test_is_counted(self, target: Profile, turned_down: float) -> None:
        """Also in a file that was turned down after it was clipped."""
        clipped = profile(np.clip(beat(seed=9) * 4.0, -0.9, 0.9) * turned_down)
        level = 20.0 * np.log10(0.9 * turned_down)
        words = ("is clipped", f"{clipped.flat_tops} flat tops", f"{level:.1f} dBFS", "a minute")
        only(suitability(target, clipped), *words)
        assert condition(clipped) == suitability(target, clipped)

    def test_a_few_are_no_habit(self, good: Profile) -> None:
        """Nine in 24 s are let pass, ten are not; in ten minutes fifty are needed."""
        assert condition(replace(good, flat_tops=9)) == ()
        assert len(condition(replace(good, flat_tops=10))) == 1
        longer = replace(good, length_samples=600 * RATE)
        assert condition(replace(longer, flat_tops=49)) == ()
        assert len(condition(replace(longer, flat_tops=50))) == 1

    def test_over_full_scale(self, target: Profile) -> None:
        """Peaks that only a decoder or floating point can hold; a mix in floating point may have them."""
        loud = profile(beat(seed=9) * 2.3)
        only(suitability(target, loud), "1.2 dB over full scale")
        assert condition(loud) == ()


class TestLossy:
    """A cut at the top."""

    def test_is_found(self, target: Profile) -> None:
        """Below 16.5 kHz, with the frequency."""
        cut = profile(lowpassed(beat(seed=9), 15_500.0))
        assert cut.bandwidth_hz == pytest.approx(15_500.0, rel=0.03)
        only(suitability(target, cut), "looks like a lossy file", f"nothing above {cut.bandwidth_hz / 1000:.1f} kHz")

    def test_a_higher_cut_is_let_pass(self, target: Profile) -> None:
        """19 kHz is where good coders and converters end."""
        assert suitability(target, profile(lowpassed(beat(seed=9), 19_000.0))) == ()

    def test_a_low_rate_is_no_cut(self, target: Profile) -> None:
        """What a file of 32 kHz has not, it cannot have."""
        low = profile(lowpassed(beat(seed=9), 11_000.0), rate=32_000)
        assert not any("lossy" in line for line in suitability(target, low))


class TestMono:
    """No side."""

    @pytest.mark.parametrize("channels", [1, 2])
    def test_is_found(self, target: Profile, channels: int) -> None:
        """One channel, or two that are the same."""
        mid = beat(seed=9).mean(axis=0)
        line = only(suitability(target, profile(np.stack([mid] * channels))), "is mono", "width")
        assert ("dB below" in line) == (channels == 2)

    def test_does_not_matter_to_a_mono_target(self) -> None:
        """Two of a kind."""
        here, there = (profile(beat(seed=s)[:1]) for s in (1, 9))
        assert suitability(here, there) == ()

    def test_does_not_matter_where_tone_comes_from_elsewhere(self, target: Profile) -> None:
        """Width goes with tone."""
        mono = profile(beat(seed=9)[:1])
        assert suitability(target, mono, ("dynamics", "loudness")) == ()


class TestShort:
    """Little to go by."""

    @pytest.mark.parametrize(
        ("target_s", "reference_s", "warned"),
        [(240, 59, True), (240, 61, False), (120, 31, False), (120, 29, True), (24, 19, True), (18, 19, False),
         (24, 24, False)],
    )  # fmt: skip
    def test_by_length(self, target: Profile, good: Profile, target_s: int, reference_s: int, warned: bool) -> None:
        """Under a quarter and a minute, or under 20 s and shorter than the target."""
        here = replace(target, length_samples=target_s * RATE)
        there = replace(good, length_samples=reference_s * RATE)
        lines = suitability(here, there)
        if warned:
            only(lines, f"lasts {reference_s}.0 s", f"the target {target_s}.0 s")
        else:
            assert lines == ()


class TestSilent:
    """Nothing for long."""

    @pytest.mark.parametrize(("silent_s", "warned"), [(8.0, True), (3.0, False)])
    @pytest.mark.parametrize("noise", [0.0, 2e-5])
    def test_by_its_share(self, target: Profile, silent_s: float, warned: bool, noise: float) -> None:
        """More than a fifth, digital silence or a noise floor."""
        sound = beat(seed=9)
        gap = np.random.default_rng(3).normal(0.0, 1.0, (2, round(silent_s * RATE))) * noise
        lines = suitability(target, profile(np.concatenate([sound, gap], axis=1)))
        if warned:
            line = only(lines, "is silent for", f"of its {24.0 + silent_s:.1f} s")
            assert float(line.split("silent for ")[1].split(" s")[0]) == pytest.approx(silent_s, abs=0.6)
        else:
            assert lines == ()

    def test_pauses_between_beats_are_not_silence(self, target: Profile) -> None:
        """A quarter of a second of nothing, again and again."""
        gated = beat(seed=9) * (np.arange(24 * RATE) % (RATE // 4) < RATE // 10)
        assert not any("silent" in line for line in suitability(target, profile(gated)))


class TestUnlike:
    """Other kinds of music."""

    def test_a_pad_is_no_beat(self, target: Profile) -> None:
        """Both figures are named."""
        tone_db, motion_db = unlikeness_db(target, profile(pad()))
        lines = suitability(target, profile(pad()))
        (line,) = (x for x in lines if "unlike" in x)
        assert f"differs by {tone_db:.1f} dB" in line
        assert f"move by {motion_db:.1f} dB" in line

    def test_mastering_does_not_make_a_stranger(self, target: Profile) -> None:
        """6 dB more treble, and compression of what is loud."""
        spectrum = np.fft.rfft(beat(seed=9), axis=1)
        spectrum[:, np.fft.rfftfreq(24 * RATE, 1.0 / RATE) > 4000.0] *= 2.0
        bright = np.fft.irfft(spectrum, 24 * RATE, axis=1)
        pressed = np.sign(bright) * np.abs(bright) ** 0.8
        assert suitability(target, profile(pressed / np.abs(pressed).max() * 0.9)) == ()

    def test_is_the_same_both_ways_and_nothing_to_itself(self, target: Profile) -> None:
        """A distance, whatever the level."""
        other = profile(pad())
        assert unlikeness_db(target, other) == pytest.approx(unlikeness_db(other, target))
        assert max(unlikeness_db(target, profile(beat() * 0.1))) < 0.2

    def test_does_not_matter_for_loudness(self, target: Profile) -> None:
        """How loud a record is can be taken from any."""
        assert not any("unlike" in line for line in suitability(target, profile(pad()), ("loudness",)))
