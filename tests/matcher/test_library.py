"""The engine through its public door: what a match keeps, what it must not depend on, what a plan promises."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

import matcher
from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effects.eq import Band, Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.errors import PlanError
from dsp.meters.loudness import momentary_lufs
from matcher import Aims, Plan, Profile, analyze, match, plan, render
from matcher.demo import demo_mix, demo_reference
from matcher.io import write_audio
from matcher.plans import Step, Track

SAME_DB = -90.0


def level_db(samples: np.ndarray) -> float:
    return float(20.0 * np.log10(np.abs(samples).max(initial=0.0) + 1e-20))


def within_ceiling(audio: Audio, peak: float = 0.5) -> Audio:
    return Audio(audio.samples * (peak / np.abs(audio.samples).max()), audio.sample_rate_hz)


@pytest.fixture(scope="module")
def usual(mix: Audio, record: Audio) -> matcher.Report:
    """The mix matched to the record, in memory."""
    return match(mix, record)


@pytest.fixture(scope="module")
def made(usual: matcher.Report) -> Plan:
    """The plan of that match."""
    return usual.plan


class TestItself:
    """A track matched to itself."""

    @pytest.mark.parametrize(
        ("name", "subtype"),
        [("x.wav", "PCM_16"), ("x.wav", "PCM_24"), ("x.wav", "PCM_32"), ("x.wav", "FLOAT"), ("x.flac", "PCM_16"),
         ("x.flac", "PCM_24"), ("x.aiff", "PCM_16"), ("x.aiff", "PCM_24"), ("x.aiff", "FLOAT")],
    )  # fmt: skip
    def test_comes_back_bit_by_bit(self, mix: Audio, tmp_path: Path, name: str, subtype: str) -> None:
        """Within the ceiling nothing is done, and the file holds the very same samples."""
        path, out = tmp_path / name, tmp_path / f"out{Path(name).suffix}"
        soundfile.write(path, within_ceiling(mix).samples.T, mix.sample_rate_hz, subtype=subtype)
        report = match(path, path, out)
        assert report.plan.steps == ()
        assert "nothing to do" in report.verdict()
        before, after = soundfile.read(path), soundfile.read(out)
        assert np.array_equal(before[0], after[0])
        assert soundfile.info(out).subtype == subtype

    def test_above_the_ceiling_meets_the_limiter_alone(self, mix: Audio) -> None:
        """A peak at full scale is all there is to mend."""
        loud = within_ceiling(mix, 1.0)
        report = match(loud, loud)
        assert [type(s.settings).__name__ for s in report.plan.steps] == ["Limiter"]
        assert report.after.true_peak_dbtp <= -1.0


class TestIndifference:
    """What must not matter."""

    def test_does_something(self, usual: matcher.Report, mix: Audio) -> None:
        """The comparisons below are not between untouched samples."""
        assert {"Eq", "Gain", "Limiter"} <= {type(s.settings).__name__ for s in usual.plan.steps}
        assert usual.audio is not None
        assert level_db(usual.audio.samples - mix.samples) > -30.0

    @pytest.mark.parametrize("factor", [0.1, 0.37])
    def test_gain_of_the_target(self, usual: matcher.Report, mix: Audio, record: Audio, factor: float) -> None:
        """A quieter target gives the same master."""
        quiet = match(Audio(mix.samples * factor, mix.sample_rate_hz), record).audio
        assert level_db(quiet.samples - usual.audio.samples) < SAME_DB

    def test_swap_of_the_channels(self, usual: matcher.Report, mix: Audio, record: Audio) -> None:
        """Left and right swapped come out swapped."""
        swapped = match(Audio(mix.samples[::-1].copy(), mix.sample_rate_hz), record).audio
        assert level_db(swapped.samples[::-1] - usual.audio.samples) < SAME_DB

    @pytest.mark.parametrize("tenths", [1, 7])
    def test_silence_before_the_music(
        self, usual: matcher.Report, mix: Audio, record: Audio, tenths: int
    ) -> None:
        """The same music some tenths of a second later gives the same master as much later."""
        by = tenths * mix.sample_rate_hz // 10
        later = match(Audio(np.pad(mix.samples, ((0, 0), (by, 0))), mix.sample_rate_hz), record).audio
        assert level_db(later.samples[:, by:] - usual.audio.samples) < SAME_DB
        assert level_db(later.samples[:, :by]) < SAME_DB

    def test_any_other_shift(self) -> None:
        """37 ms later tone, width, level and ceiling are the same within 0.1 dB, and so are the master's levels."""
        mix, record = demo_mix(), demo_reference()
        rate = mix.sample_rate_hz
        mix = Audio(np.pad(mix.samples, ((0, 0), (rate, rate))), rate)
        here = plan(mix, record)
        there = plan(Audio(np.roll(mix.samples, round(0.037 * rate), axis=1), rate), record)
        hz = np.geomspace(30.0, 16_000.0, 100)
        tone = [p.step("eq").settings.response_db(hz, "mid") for p in (here, there)]
        assert np.abs(tone[0] - tone[1]).max() < 0.1
        width = [p.step("width").settings.response_db(hz) for p in (here, there)]
        assert np.abs(width[0] - width[1]).max() < 0.1
        assert abs(here.step("gain").settings.gain_db - there.step("gain").settings.gain_db) < 0.1
        assert abs(here.step("limiter").settings.ceiling_dbtp - there.step("limiter").settings.ceiling_dbtp) < 0.1
        loud = [momentary_lufs(analyze(render(mix, p).audio).segment_power) for p in (here, there)]
        heard = loud[0] > loud[0].max() - 30.0
        assert np.abs(loud[0] - loud[1])[heard].max() < 0.1

    @pytest.mark.xfail(
        strict=True,
        reason="the spread of a band, measured every 10 ms, moves by up to 0.17 dB with the place of a few seconds of"
        " music on that grid, and the fit makes up to 1 dB of threshold of it",
    )
    def test_any_other_shift_of_the_compressor(self, usual: matcher.Report, mix: Audio, record: Audio) -> None:
        """13 ms later the compressor is the same within 0.1 dB."""
        there = plan(_later(mix, 13.0), record).step("compressor").settings
        pairs = zip(usual.plan.step("compressor").settings.bands, there.bands, strict=True)
        assert all(abs(a.threshold_db - b.threshold_db) < 0.1 for a, b in pairs)


def _later(audio: Audio, ms: float) -> Audio:
    by = round(ms / 1000.0 * audio.sample_rate_hz)
    return Audio(np.pad(audio.samples, ((0, 0), (by, 0))), audio.sample_rate_hz)


class TestPlan:
    """A plan is a document."""

    @pytest.mark.parametrize("threads", [1, 2])
    @pytest.mark.parametrize("block_samples", [1023, 65_536, 10**9])
    def test_gives_the_same_samples(self, made: Plan, mix: Audio, threads: int, block_samples: int) -> None:
        """Whatever the blocks and threads."""
        usual = render(mix, made).audio
        again = render(mix, made, threads=threads, block_samples=block_samples).audio
        assert np.array_equal(again.samples, usual.samples)

    def test_gives_the_same_samples_one_by_one(self, made: Plan, mix: Audio) -> None:
        """In blocks of a single sample too."""
        short = Audio(mix.samples[:, 30_000:55_000].copy(), mix.sample_rate_hz)
        assert np.array_equal(render(short, made, block_samples=1).audio.samples, render(short, made).audio.samples)

    def test_survives_json(self, made: Plan) -> None:
        """What is written is what is read."""
        assert Plan.from_json(made.to_json()) == made

    @given(st.data())
    def test_survives_json_whatever_is_in_it(self, data: st.DataObject) -> None:
        """Any settings within bounds, any amount and any words come back as they were."""
        db = st.floats(-24.0, 24.0)
        band = st.builds(Band, frequency_hz=st.floats(20.0, 20_000.0), gain_db=db, q=st.floats(0.2, 8.0))
        settings = st.one_of(
            st.builds(Gain, gain_db=st.floats(-60.0, 60.0)),
            st.builds(Limiter, ceiling_dbtp=st.floats(-20.0, 0.0)),
            st.builds(Eq, bands=st.lists(band, max_size=4).map(tuple)),
        )
        words = st.text(st.characters(codec="utf-8"), max_size=20)
        step = st.builds(Step, settings=settings, because=words, enabled=st.booleans(), amount=st.floats(0.0, 1.0))
        track = Track(name=data.draw(words), content_hash="0", sample_rate_hz=48_000, channels=2, integrated_lufs=-14.0)
        aims = Aims(amount=data.draw(st.floats(0.0, 1.0)), belief=data.draw(st.none() | st.floats(0.0, 1.0)))
        drawn = Plan(target=track, aims=aims, steps=tuple(data.draw(st.lists(step, max_size=4))))
        assert Plan.from_json(drawn.to_json()) == drawn

    def test_sounds_the_same_at_twice_the_rate(self, made: Plan) -> None:
        """Made at one rate, tone and width respond the same at another, within 0.1 dB up to 16 kHz."""
        responses = []
        for rate in (48_000, 96_000):
            click = np.zeros((2, rate))
            click[0, rate // 4] = 1.0
            kept = tuple(s for s in made.steps if type(s.settings).__name__ in ("Eq", "Width"))
            linear = Plan(target=made.target, steps=kept)
            left, right = render(Audio(click, rate), linear).audio.samples
            out = np.stack([left + right, left - right])  # what leaks across may be next to nothing
            responses.append(20.0 * np.log10(np.abs(np.fft.rfft(out, axis=1))[:, 20:16_001] + 1e-9))
        assert np.abs(responses[0] - responses[1]).max() < 0.1

    def test_does_what_a_hand_writes(self, made: Plan, mix: Audio) -> None:
        """An edited gain, a step switched off and one turned down are rendered so."""
        data = json.loads(made.to_json())
        for step in data["steps"]:
            step["enabled"] = step["settings"]["effect"] == "gain"
            if step["enabled"]:
                step["settings"]["gain_db"], step["amount"] = -6.0, 0.5
        edited = Plan.from_json(json.dumps(data))
        assert np.allclose(render(mix, edited).audio.samples, mix.samples * 10 ** (-3.0 / 20.0), atol=1e-12)
        assert edited.chain.active() == (Gain(gain_db=-3.0),)

    @pytest.mark.parametrize(
        ("change", "named"),
        [
            (lambda d: d.update(version=99), "version: 99 is newer than"),
            (lambda d: d.update(loudness=3), "loudness"),
            (lambda d: d["steps"][0].update(colour="red"), "colour"),
            (lambda d: d["steps"][0].update(amount=2), "steps[0].amount: 2"),
            (lambda d: d["steps"][-1]["settings"].update(ceiling_dbtp=5.0), "ceiling_dbtp: 5.0"),
            (lambda d: d["steps"][0]["settings"].update(effect="reverb"), "'reverb' is not known"),
            (lambda d: d.update(format="other"), "not a plan"),
        ],
    )
    def test_is_refused_by_name(self, made: Plan, change: object, named: str) -> None:
        """Unknown fields, values out of bounds and newer versions are named."""
        data = json.loads(made.to_json())
        change(data)
        with pytest.raises(PlanError) as refusal:
            Plan.from_json(json.dumps(data))
        assert named in str(refusal.value)
        assert "\n" not in str(refusal.value)

    def test_is_in_time(self, made: Plan, mix: Audio) -> None:
        """What comes out has the target's length, and a click begins where it was; only the side may ring before it."""
        click = np.zeros((2, 2 * mix.sample_rate_hz))
        at = mix.sample_rate_hz
        click[:, at] = 0.25
        kept = tuple(s for s in made.steps if type(s.settings).__name__ != "Compressor")
        linear = Plan(target=made.target, steps=kept)
        out = render(Audio(click, mix.sample_rate_hz), linear).audio.samples
        assert out.shape == click.shape
        early = out[:, :at]
        assert np.sum(early**2) < 1e-9 * np.sum(out**2)
        assert np.abs(out).argmax() % out.shape[1] - at in range(3)

    def test_peak_to_loudness_is_said_as_it_comes_about(self, usual: matcher.Report) -> None:
        """Gain and ceiling make it: what the plan says of it is what the master has, whatever was believed."""
        assert usual.plan.believed is not None
        figure = next(f for f in usual.plan.believed.density if f.name == "peak to loudness")
        before, after = (p.true_peak_dbtp - p.integrated_lufs for p in (usual.before, usual.after))
        assert abs(figure.believed_db - figure.wanted_db) > 0.5  # else this would say nothing
        assert figure.wanted_db == pytest.approx(after - before, abs=0.3)
        assert not any(figure.name in step.because for step in usual.plan.steps)


def _standing_gain_db(plan: Plan, frequency_hz: np.ndarray) -> float:
    """The most that equalizer, gain and the high band's makeup do to what is too quiet to be compressed."""
    eq, compressor, gain = (plan.step(name) for name in ("eq", "compressor", "gain"))
    total = 0.0 if gain is None else gain.settings.gain_db
    total += 0.0 if eq is None else float(eq.settings.response_db(frequency_hz, "mid").max())
    return total + (0.0 if compressor is None else compressor.settings.bands[-1].makeup_db)


class TestHarm:
    """What must not be done."""

    def test_noise_in_the_side_is_not_widened(self, mix: Audio, record: Audio) -> None:
        """A side of dither alone gets no boost, and the report says why."""
        mid = mix.samples.mean(axis=0)
        noise = np.random.default_rng(3).uniform(-1.0, 1.0, mid.shape) / 32768
        report = match(Audio(np.stack([mid + noise, mid - noise]), mix.sample_rate_hz), record)
        assert report.plan.step("width") is None
        assert any("no side signal" in remark for remark in report.plan.remarks)
        side = [10.0 * np.log10(p.spectrum.side.sum()) for p in (report.before, report.after)]
        # What the compressor and the limiter take from loud moments they do not take from the noise between them.
        assert side[1] - side[0] < _standing_gain_db(report.plan, np.geomspace(100.0, 20_000.0, 50)) + 0.5

    def test_nothing_is_boosted_above_the_band(self, mix: Audio, record: Audio) -> None:
        """A target cut at 15 kHz gets no more there than the level of the whole."""
        spectrum = np.fft.rfft(mix.samples, axis=1)
        hz = np.fft.rfftfreq(mix.length_samples, 1.0 / mix.sample_rate_hz)
        spectrum[:, hz > 15_000.0] = 0.0
        cut = np.fft.irfft(spectrum, mix.length_samples, axis=1)
        cut += np.random.default_rng(4).normal(0.0, 1.0 / 32768, cut.shape)
        report = match(Audio(cut, mix.sample_rate_hz), record)
        eq = report.plan.step("eq")
        assert report.before.bandwidth_hz < 16_500.0
        if eq is not None:
            above = eq.settings.response_db(np.linspace(15_600.0, 20_000.0, 50), "mid")
            below = eq.settings.response_db(np.linspace(8_000.0, 14_000.0, 50), "mid")
            assert above.max() < max(below.max(), 0.0) + 0.5
        powers = [np.abs(np.fft.rfft(x, axis=1)) ** 2 for x in (cut, report.audio.samples)]
        there = (hz > 15_500.0) & (hz < 20_000.0)
        raised_db = 10.0 * np.log10(powers[1][:, there].sum() / powers[0][:, there].sum())
        # Gain and makeup stand while the music is quiet; beyond them nothing may rise.
        assert raised_db < _standing_gain_db(report.plan, hz[there]) + 0.5

    def test_mono_stays_mono(self, mix: Audio, record: Audio) -> None:
        """One channel in, one out, and a remark that width was left out."""
        report = match(Audio(mix.samples[:1].copy(), mix.sample_rate_hz), record)
        assert report.audio is not None
        assert report.audio.channels == 1
        assert any("mono" in remark for remark in report.plan.remarks)

    def test_limits_only_so_far(self, mix: Audio, record: Audio) -> None:
        """Loudness is given up for the cap, and the plan says so."""
        report = match(mix, record, aims=Aims(loudness_lufs=-4.0, max_limiting_db=2.0))
        assert any("max_limiting_db" in remark for remark in report.plan.remarks)
        assert report.rendered.measured["limiter"]["p95_reduction_db"] < 3.0

    def test_without_a_limiter_peaks_stay_below_the_ceiling(self, mix: Audio, record: Audio) -> None:
        """Loudness ends where the peaks meet the ceiling."""
        report = match(mix, record, aims=Aims(limiter=False, loudness_lufs=-6.0))
        assert report.plan.step("limiter") is None
        assert report.after.true_peak_dbtp < -1.0 + 0.3
        assert any("ceiling" in remark for remark in report.plan.remarks)


class TestAims:
    """What a person asks for."""

    def test_amount_zero_changes_nothing(self, mix: Audio, record: Audio) -> None:
        """No amount, no steps."""
        assert match(within_ceiling(mix), record, aims=Aims(amount=0.0)).plan.steps == ()

    def test_half_the_loudness(self, mix: Audio, record: Audio) -> None:
        """The loudness asked for is reached."""
        report = match(mix, record, aims=Aims(loudness_lufs=-16.0))
        assert report.after.integrated_lufs == pytest.approx(-16.0, abs=0.15)

    def test_the_loudness_of_an_excerpt_is_the_references(self) -> None:
        """Six seconds that begin and end in the midst of sound beside twenty: equal on a meter."""
        rng = np.random.default_rng(3)
        here, there = (Audio(rng.normal(0.0, sd, (2, s * 44_100)), 44_100) for sd, s in ((0.01, 6), (0.05, 20)))
        report = match(here, there)
        assert report.after.integrated_lufs == pytest.approx(analyze(there).integrated_lufs, abs=0.05)
        assert report.plan.goal_lufs == pytest.approx(analyze(there).integrated_lufs, abs=1e-3)

    def test_the_side_follows_its_own_reference(self) -> None:
        """Where the mid may not be raised as far as is asked for, the side still comes to its level."""
        rate, rng = 44_100, np.random.default_rng(6)
        mid, side = rng.normal(0.0, 0.05, (2, 12 * rate))
        hollow = Chain((Eq(bands=(Band(shape="peak", frequency_hz=1000.0, gain_db=-22.0, q=1.0),)),))
        (scooped,) = hollow.processor(rate, 1).process(mid[None])
        mid, side = mid[: len(scooped)], side[: len(scooped)]
        here = Audio(np.stack([scooped + 0.1 * side, scooped - 0.1 * side]), rate)
        there = Audio(np.stack([mid + 0.25 * side, mid - 0.25 * side]) * 0.5, rate)
        report = match(here, there, aims=Aims(belief=1.0, dynamics=0.0))
        heard = slice(6, 26)
        missing = [(analyze(there).balance_db(c) - report.after.balance_db(c))[heard] for c in ("mid", "side")]
        assert missing[0].max() > 4.0
        assert np.abs(missing[1]).max() < 2.0

    def test_belief_one_matches_the_balance(self, usual: matcher.Report, mix: Audio, record: Audio) -> None:
        """Asked for everything, the tone comes much closer than by itself."""
        all_of_it = match(mix, record, aims=Aims(belief=1.0))
        assert all_of_it.gap_after.tone_db < 0.6 * usual.gap_before.tone_db
        assert all_of_it.gap_after.tone_db < 0.7 * usual.gap_after.tone_db

    def test_all_of_the_tone_alone(self, mix: Audio, record: Audio) -> None:
        """Whoever asks for all of the tone and no width gets no width."""
        made = plan(mix, record, aims=Aims(belief=1.0, width=0.0))
        assert made.step("eq") is not None
        assert made.step("width") is None

    def test_belief_one_raises_nothing_by_more_than_12_db(self, mix: Audio) -> None:
        """Against a far brighter and wider reference neither tone nor tone and width together exceed 12 dB."""
        rng = np.random.default_rng(9)
        mid, side = rng.normal(0.0, 0.05, (2, 6 * mix.sample_rate_hz))
        hiss = np.diff(np.stack([mid + side, mid - side]), axis=1)
        made = plan(mix, Audio(hiss, mix.sample_rate_hz), aims=Aims(belief=1.0))
        hz = np.geomspace(20.0, 20_000.0, 2000)
        eq, sides = made.step("eq").settings, made.step("width").settings
        assert 11.0 < eq.response_db(hz, "mid").max() <= 12.0
        assert (eq.response_db(hz, "side") + sides.response_db(hz)).max() <= 12.2
        assert len(eq.bands) <= 8
        assert eq.curves

    def test_a_lower_ceiling_is_for_who_asks_for_everything(self, mix: Audio, record: Audio) -> None:
        """A quiet, dense reference: peaks may stand as high as allowed, and only with belief 1 as low as its own."""
        limited = Chain((Limiter(ceiling_dbtp=-15.0),))(record)
        quiet = Audio(limited.samples * 10.0 ** (6.0 / 20.0), record.sample_rate_hz)
        usual, everything = (plan(mix, quiet, aims=Aims(belief=belief)) for belief in (None, 1.0))
        assert usual.step("limiter").settings.ceiling_dbtp == pytest.approx(-1.0, abs=0.05)
        assert everything.step("limiter").settings.ceiling_dbtp == pytest.approx(-9.0, abs=0.3)
        assert "The reference's peaks stand no higher" in everything.step("limiter").because

    def test_no_curve_where_nothing_more_is_asked_for(self, made: Plan) -> None:
        """The default is a handful of bands."""
        eq = made.step("eq").settings
        assert 1 <= len(eq.bands) <= 8
        assert not eq.curves

    def test_one_dimension_alone(self, mix: Audio, record: Audio) -> None:
        """Width and dynamics left out are not in the plan."""
        made = plan(mix, record, Aims(width=0.0, dynamics=0.0))
        assert made.step("width") is None
        assert made.step("compressor") is None
        assert made.step("eq") is not None


class TestDoor:
    """The public names."""

    def test_every_name_is_there(self) -> None:
        """`__all__` holds nothing that cannot be had."""
        for name in matcher.__all__:
            assert getattr(matcher, name) is not None

    def test_takes_paths(self, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Paths in, a file out: length, rate and depth are the target's, the loudness the reference's."""
        report = match(mix_file, str(record_file), tmp_path / "master.flac")
        written, source = soundfile.info(tmp_path / "master.flac"), soundfile.info(mix_file)
        assert (written.frames, written.samplerate, written.subtype) == (source.frames, source.samplerate, "PCM_24")
        assert report.after.integrated_lufs == pytest.approx(report.reference.integrated_lufs, abs=0.2)
        assert report.after.true_peak_dbtp <= -1.0

    def test_takes_another_rate_and_depth(self, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """The rate asked for is the rate of the file, and the ceiling holds there."""
        report = match(mix_file, record_file, tmp_path / "m.wav", sample_rate_hz=48_000, bit_depth=16)
        info = soundfile.info(tmp_path / "m.wav")
        assert (info.samplerate, info.subtype) == (48_000, "PCM_16")
        assert info.frames == round(soundfile.info(mix_file).frames * 48_000 / 44_100)
        assert report.after.true_peak_dbtp <= -1.0


class TestProfiles:
    """Profiles and their cache."""

    def test_come_back_from_their_file(self, mix: Audio, stored: Callable[[Profile], bytes]) -> None:
        """Stored and read, every figure and array is the same."""
        profile = analyze(mix)
        again = Profile.read(io.BytesIO(stored(profile)))
        assert again.summary() == profile.summary()
        assert np.array_equal(again.sketch.mid, profile.sketch.mid)
        assert np.array_equal(again.segment_db, profile.segment_db)

    def test_the_cache_gives_what_a_fresh_analysis_gives(
        self, mix_file: Path, stored: Callable[[Profile], bytes]
    ) -> None:
        """The second time is the first time."""
        fresh, kept = analyze(mix_file), analyze(mix_file)
        assert stored(kept) == stored(fresh)

    def test_a_damaged_cache_is_ignored(self, mix_file: Path, own_cache: Path) -> None:
        """A file that cannot be read is measured again."""
        fresh = analyze(mix_file)
        for file in own_cache.rglob("*.npz"):
            file.write_bytes(b"PK nonsense")
        assert analyze(mix_file).summary() == fresh.summary()

    def test_a_cache_that_cannot_be_written_is_no_failure(
        self, mix_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where the cache's place is a file, nothing is kept and nothing fails."""
        (tmp_path / "taken").write_text("")
        monkeypatch.setenv("MATCH_CACHE_DIR", str(tmp_path / "taken"))
        assert analyze(mix_file).duration_s > 0

    def test_an_analysed_file_is_small(self, mix: Audio) -> None:
        """The sketch of an hour, and the loudness of its moments, stay below 6 MiB."""
        profile = analyze(mix)
        kept = [getattr(profile.sketch, field.name) for field in fields(profile.sketch)] + [profile.segment_db]
        assert sum(course.nbytes for course in kept) / profile.duration_s * 3600 < 6 * 2**20

    def test_writes_nothing_beside_the_target(self, mix_file: Path) -> None:
        """Analysis leaves the folder as it was."""
        before = sorted(mix_file.parent.iterdir())
        analyze(mix_file)
        assert sorted(mix_file.parent.iterdir()) == before


def test_audio_in_memory_is_written_by_the_library(mix: Audio, tmp_path: Path) -> None:
    """`write_audio` and a match of what it wrote agree on the length."""
    write_audio(tmp_path / "a.wav", mix)
    assert analyze(tmp_path / "a.wav").length_samples == mix.length_samples
