"""Several references: what is averaged and how, what is taken from whom, and that nothing is measured twice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import matcher.blending
from dsp.audio import Audio
from dsp.errors import UnfitError
from matcher import Aims, Profile, Reference, analyze, blend, match, plan
from matcher.blending import as_blend, measured
from matcher.distance import gap, tone_distance_db
from matcher.io import write_audio
from matcher.profile import THIRD_OCTAVES_HZ

RATE = 44_100
QUICK = Aims(eq=0.0, width=0.0, dynamics=0.0)
TONE = Aims(width=0.0, dynamics=0.0, loudness=0.0, limiter=False)


def noise(seed: int = 1, seconds: float = 8.0, slope: float = 0.5, width: float = 0.4, rate: int = RATE) -> np.ndarray:
    """Two channels of noise whose power falls with frequency to the power of twice `slope`."""
    random = np.random.default_rng(seed)
    count = round(seconds * rate)
    wave = random.normal(size=count) + width * random.normal(size=(2, count)) * [[1.0], [-1.0]]
    spectrum = np.fft.rfft(wave, axis=1) / np.maximum(np.fft.rfftfreq(count, 1.0 / rate), 30.0) ** slope
    wave = np.fft.irfft(spectrum, count, axis=1)
    return 0.5 * wave / np.abs(wave).max()


def profile(samples: np.ndarray, name: str = "x", rate: int = RATE) -> Profile:
    return analyze(Audio(samples, rate)).named(name)


@pytest.fixture(scope="module")
def dark() -> Profile:
    """Falls by 6 dB an octave."""
    return profile(noise(1, slope=1.0), "dark")


@pytest.fixture(scope="module")
def bright() -> Profile:
    """Falls by 3 dB an octave, 20 dB down."""
    return profile(noise(2, slope=0.5) * 0.1, "bright")


@pytest.fixture(scope="module")
def quiet(record: Audio) -> Audio:
    """The record turned down by 6 dB, with less treble."""
    smooth = (record.samples + np.roll(record.samples, 1, axis=1)) / 2.0
    return Audio(smooth * 0.5, record.sample_rate_hz)


class TestAverage:
    """Means in dB."""

    def test_of_tone_is_free_of_level(self, dark: Profile, bright: Profile) -> None:
        """Half-way between the two balances, however loud each is."""
        both = Reference.of(dark, bright)
        assert np.allclose(both.balance_db(), (dark.balance_db() + bright.balance_db()) / 2.0)
        louder = profile(noise(2, slope=0.5), "bright")
        assert np.allclose(Reference.of(dark, louder).balance_db(), both.balance_db(), atol=1e-6)
        assert abs(dark.integrated_lufs - bright.integrated_lufs) > 10.0

    def test_is_between_the_two(self, dark: Profile, bright: Profile) -> None:
        """Every feature of the distance, and the tone half as far from each."""
        both = gap(dark, Reference.of(dark, bright))
        alone = gap(dark, Reference.of(bright))
        for one, two in zip(alone.features, both.features, strict=True):
            assert two.difference == pytest.approx(one.difference / 2.0, abs=1e-9)
        assert both.tone_db == pytest.approx(alone.tone_db / 2.0)

    def test_of_loudness_is_in_lufs(self, dark: Profile, bright: Profile) -> None:
        """The mean of the two figures."""
        mean = (dark.integrated_lufs + bright.integrated_lufs) / 2.0
        assert Reference.of(dark, bright).integrated_lufs == pytest.approx(mean)

    def test_of_a_low_rate_goes_on_where_one_ends(self) -> None:
        """What a file of 16 kHz cannot hold is taken from the other, without a step."""
        full = noise(3)
        spectrum = np.fft.rfft(full, axis=1)[:, : round(8.0 * 8000) + 1]
        low = np.fft.irfft(spectrum, 8 * 16_000, axis=1) * 16_000 / RATE
        one, other = profile(full, "full"), profile(low, "low", 16_000)
        both = Reference.of(one, other)
        assert np.abs(both.balance_db() - one.balance_db())[:28].max() < 0.8
        assert both.balance_db()[24] - other.balance_db()[29] > 20.0
        assert both.bandwidth_hz == one.bandwidth_hz
        assert tone_distance_db(one, both) < 0.8

    def test_of_width_leaves_mono_out(self, dark: Profile) -> None:
        """A mono track among stereo ones has no say in width, and is heard in tone."""
        mono = profile(noise(4, slope=0.5)[:1], "mono")
        both = Reference.of(dark, mono)
        assert both.wide == (dark,)
        assert Reference.of(mono).wide == ()
        found, alone = gap(dark, both), gap(dark, Reference.of(dark))
        for name in ("width", "correlation"):
            values = [next(f.reference for f in g.features if f.name == name) for g in (found, alone)]
            assert values[0] == values[1]
        assert np.array_equal(both.balance_db("side"), dark.balance_db("side"))
        assert found.tone_db > 1.0


class TestWhoServesWhat:
    """Dimensions from tracks of their own."""

    def test_every_track_serves_everything(self, dark: Profile, bright: Profile) -> None:
        """Unless something else is said; a track counts once."""
        both = Reference.of(dark, bright, dark)
        assert both.tone == both.dynamics == both.loudness == both.tracks == (dark, bright)
        assert both.name == "dark + bright"

    def test_a_dimension_of_its_own(self, dark: Profile, bright: Profile) -> None:
        """Replaces the others there, and the name says so."""
        made = Reference.of(dark, loudness=[bright])
        assert (made.tone, made.dynamics, made.loudness) == ((dark,), (dark,), (bright,))
        assert made.serves(dark) == ("tone", "dynamics")
        assert made.name == "dark (tone, dynamics) + bright (loudness)"
        assert made.integrated_lufs == bright.integrated_lufs

    def test_each_figure_is_held_against_its_own_track(self, dark: Profile, bright: Profile) -> None:
        """Loudness and peak from one, dynamics from another, tone and width from the third."""
        names: dict[str, set[str]] = {}
        for dimension in ("tone", "dynamics", "loudness"):
            found = gap(dark, Reference.of(dark, **{dimension: [bright]}))
            names[dimension] = {f.name for f in found.features if f.difference != 0.0}
            assert (found.tone_db > 0.0) == (dimension == "tone")
        assert names == {
            "tone": {"tilt", "width", "correlation"},
            "dynamics": {"loudness range", "peak to loudness", "crest factor"},
            "loudness": {"loudness", "true peak"},
        }

    def test_no_track_is_refused(self, dark: Profile) -> None:
        """The dimension is named."""
        with pytest.raises(UnfitError, match="no track for dynamics"):
            Reference.of(tone=[dark], loudness=[dark])
        with pytest.raises(UnfitError, match="no track for tone, loudness"):
            blend(dynamics_from="a.wav")
        with pytest.raises(UnfitError, match="no track for tone, dynamics, loudness"):
            as_blend([])

    def test_sources_are_told_apart_by_path(self, tmp_path: Path) -> None:
        """One file by two names is one, and what serves nothing is idle."""
        made = blend("a.wav", Path("b.wav"), tone_from="./a.wav", dynamics_from=["c.wav"], loudness_from=("c.wav",))
        assert [str(s) for s in made.sources] == ["a.wav", "b.wav", "c.wav"]
        assert [str(s) for s in made.idle] == ["b.wav"]
        assert made.serving("tone") == ("./a.wav",)


class TestMeasurement:
    """Two at a time, each once."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> list[Path]:
        """Four short files."""
        paths = [tmp_path / f"{i}.wav" for i in range(4)]
        for i, path in enumerate(paths):
            write_audio(path, Audio(noise(i, 1.0), RATE))
        return paths

    def test_each_file_once(
        self, files: list[Path], monkeypatch: pytest.MonkeyPatch, stored: Callable[[Profile], bytes]
    ) -> None:
        """The target among its references too, and every profile in its place."""
        asked: list[str] = []

        def counted(source: Path, **options: object) -> Profile:
            asked.append(source.name)
            return analyze(source, **options)

        monkeypatch.setattr(matcher.blending, "analyze", counted)
        shares: list[float] = []
        made = blend(*files, tone_from=files[0], dynamics_from=files[2:])
        target, there = measured(files[0], made, use_cache=False, progress=shares.append)
        assert sorted(asked) == ["0.wav", "1.wav", "2.wav", "3.wav"]
        assert [p.name for p in there.tone] == ["0.wav"]
        assert [p.name for p in there.dynamics] == ["2.wav", "3.wav"]
        assert [p.name for p in there.loudness] == ["0.wav", "1.wav", "2.wav", "3.wav"]
        for path, found in zip(files, there.loudness, strict=True):
            assert stored(found) == stored(analyze(path, use_cache=False))
        assert target.content_hash == there.tone[0].content_hash
        assert shares[-1] == 1.0
        assert all(0.0 <= s <= 1.0 for s in shares)

    @pytest.mark.parametrize("bad", range(4))
    def test_one_that_fails_stops_all(self, files: list[Path], bad: int) -> None:
        """Named, whichever it is, and no thread is left."""
        write_audio(files[bad], Audio(np.zeros((2, RATE)), RATE))
        with pytest.raises(UnfitError, match=f"{bad}.wav: the {'target' if bad == 0 else 'reference'} is silent"):
            measured(files[0], blend(*files[1:]))
        assert threading.active_count() == 1


class TestMatch:
    """Through the library's door."""

    def test_a_list_is_a_blend_is_a_reference(self, mix: Audio, record: Audio, quiet: Audio) -> None:
        """Three ways to say the same."""
        ways = ([record, quiet], blend(record, quiet), Reference.of(analyze(record), analyze(quiet)))
        plans = [plan(mix, way, QUICK) for way in ways]
        assert plans[0] == plans[1] == plans[2]
        assert len(plans[0].references) == 2
        assert plans[0].goal_lufs == pytest.approx(np.mean([t.integrated_lufs for t in plans[0].references]), abs=1e-3)

    def test_loudness_from_another(self, mix: Audio, record: Audio, quiet: Audio) -> None:
        """Its loudness is reached; tone is the first one's, and the plan says who served what."""
        report = match(mix, blend(record, loudness_from=quiet), aims=QUICK)
        assert report.after.integrated_lufs == pytest.approx(analyze(quiet).integrated_lufs, abs=0.15)
        assert [t.serves for t in report.plan.references] == [("tone", "dynamics"), ("loudness",)]

    def test_tone_from_another(self, mix: Audio, record: Audio, quiet: Audio) -> None:
        """The same equalizer as with that one alone."""
        here = plan(mix, blend(record, tone_from=[quiet]), TONE).step("eq")
        alone, other = (plan(mix, track, TONE).step("eq") for track in (quiet, record))
        assert here.settings == alone.settings != other.settings

    def test_two_of_a_kind_are_one(self, mix: Audio, record: Audio) -> None:
        """A track blended with itself changes nothing."""
        assert plan(mix, [record, record], QUICK) == plan(mix, record, QUICK)

    def test_mono_has_no_say_in_width(self, mix: Audio, record: Audio) -> None:
        """Beside a stereo track it changes no width; alone it asks for none."""
        mono = Audio(record.samples[:1].copy(), record.sample_rate_hz)
        aims = Aims(eq=0.0, dynamics=0.0, loudness=0.0, limiter=False, belief=0.5)
        alone, both = (plan(mix, way, aims).believed.side for way in (record, [record, mono]))
        assert both.difference_db == alone.difference_db
        assert plan(mix, mono, aims).believed.side is None
        assert plan(mix, mono, aims).step("width") is None

    def test_a_low_rate_leaves_the_treble_heard(self, record: Audio) -> None:
        """Of two references the one that has treble says what there is of it."""
        spectrum = np.fft.rfft(record.samples, axis=1)[:, : record.length_samples * 16_000 // RATE // 2 + 1]
        low = Audio(np.fft.irfft(spectrum, axis=1) * 16_000 / RATE, 16_000)
        made = plan(record, [record, low], TONE).believed.tone
        assert all(np.array(made.heard)[(THIRD_OCTAVES_HZ > 50.0) & (THIRD_OCTAVES_HZ < 13_000.0)])
        assert np.abs(made.difference_db)[np.array(made.heard)].max() < 1.0
