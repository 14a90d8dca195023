"""Destinations, codecs, translation: what is delivered keeps its limits by meters that are not ours."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyebur128
import pytest
import soundfile

import matcher.delivery.delivering as delivering
from dsp.audio import Audio
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.errors import FileError, SettingsError
from dsp.fir import response_db
from matcher import Plan, analyze
from matcher.delivery.checks import Measured, judged
from matcher.delivery.codecs import codec, coded_rate_hz, decode, encode, missing, through
from matcher.delivery.delivering import check, deliver
from matcher.delivery.destinations import BY_NAME, DESTINATIONS, destinations
from matcher.delivery.translation import riaa_record, translation
from matcher.io import open_audio, resampled_blocks, write_audio
from matcher.planner.steps import track
from matcher.plans import Step
from matcher.verifying import true_peak_dbtp

Command = Callable[..., tuple[int, str, str]]
OVER_16X_DB, OVER_LIBEBUR128_DB = 0.05, 0.1


@pytest.fixture
def loud(mix: Audio, tmp_path: Path) -> tuple[Path, Plan]:
    """A target, and a plan that drives it hard into the limiter."""
    path = tmp_path / "song.wav"
    write_audio(path, Audio(mix.samples[:, 44_100:176_400], mix.sample_rate_hz))
    profile = analyze(path)
    steps = (
        Step(settings=Gain(gain_db=-5.0 - profile.integrated_lufs), because="loud"),
        Step(settings=Limiter(ceiling_dbtp=-1.0), because="no peak above"),
    )
    return path, Plan(target=track(profile), steps=steps)


def peaks_dbtp(samples: np.ndarray, rate_hz: int) -> tuple[float, float]:
    """By SciPy at 16 times the rate, and by libebur128; samples: (n, channels)."""
    state = pyebur128.R128State(samples.shape[1], rate_hz, pyebur128.MeasurementMode.MODE_TRUE_PEAK)
    state.add_frames(np.ascontiguousarray(samples, dtype=np.float32).ravel(), len(samples))
    other = max(pyebur128.get_true_peak(state, channel) for channel in range(samples.shape[1]))
    return max(true_peak_dbtp(c) for c in samples.T.astype(np.float64)), float(20.0 * np.log10(other))


def round_trip(path: Path, text: str, folder: Path) -> tuple[np.ndarray, int]:
    """(samples, channels) behind a codec."""
    wanted = codec(text)
    with open_audio(path) as source:
        rate_hz = coded_rate_hz(source.sample_rate_hz, wanted)
        coded = folder / f"coded.{'m4a' if wanted.kind == 'aac' else 'mp3' if wanted.kind == 'mp3' else 'ogg'}"
        blocks = resampled_blocks(source, sample_rate_hz=rate_hz, block_samples=10_000)
        encode(coded, blocks, rate_hz, source.channels, wanted)
        return np.concatenate([b.T for b in decode(coded, rate_hz, source.channels)]), rate_hz


class TestDestinations:
    """The table, and what it says of a file."""

    def test_every_line_is_sound(self) -> None:
        for place in DESTINATIONS:
            assert place.source
            assert place.bit_depth in place.bit_depths
            for text in place.codecs:
                codec(text)
            assert place.rate_for(44_100) in place.rates_hz
            assert place.rate_for(384_000) in place.rates_hz

    def test_rates(self) -> None:
        """Kept where they are taken, else the next above, else the highest."""
        assert BY_NAME["spotify"].rate_for(96_000) == 96_000
        assert BY_NAME["spotify"].rate_for(32_000) == 44_100
        assert BY_NAME["broadcast"].rate_for(44_100) == 48_000
        assert BY_NAME["vinyl"].rate_for(192_000) == 96_000

    @pytest.mark.parametrize(
        ("name", "lufs", "dbtp", "gain_db"),
        [("spotify", -9.0, -1.0, -5.0), ("spotify", -20.0, -5.0, 4.0), ("spotify", -20.0, -12.0, 6.0),
         ("spotify", -16.0, 0.0, 0.0), ("youtube", -20.0, -9.0, 0.0), ("youtube", -8.0, -1.0, -6.0),
         ("bandcamp", -6.0, -1.0, 0.0)],
    )  # fmt: skip
    def test_playback(self, name: str, lufs: float, dbtp: float, gain_db: float) -> None:
        """Spotify's own example among them: -20 LUFS at -5 dBTP plays at -16."""
        assert BY_NAME[name].playback_gain_db(lufs, dbtp) == pytest.approx(gain_db)

    def test_louder_needs_more_room(self) -> None:
        assert BY_NAME["spotify"].ceiling_for(-13.9) == -2.0
        assert BY_NAME["spotify"].ceiling_for(-14.0) == -1.0

    def test_each_demand_is_checked(self) -> None:
        file = Measured(-9.0, -0.5, 44_100, 16, 2, 60.0)
        failed = {c.what for c in judged(file, BY_NAME["broadcast"]).checks if not c.passes}
        assert failed == {"loudness", "true peak", "sample rate", "bit depth"}
        assert judged(Measured(-23.1, -3.0, 48_000, 24, 2, 60.0), BY_NAME["broadcast"]).passes

    def test_unknown_names(self) -> None:
        with pytest.raises(SettingsError, match="'myspace' is not one of spotify, apple"):
            destinations(("cd", "myspace"))

    @pytest.mark.parametrize("text", ["mp3", "mp3:", "mp3:999", "mp3:12.5", "flac:100", "", "aac:-1"])
    def test_unknown_codecs(self, text: str) -> None:
        with pytest.raises(SettingsError, match="codec: "):
            codec(text)


CODECS = ["mp3:128", "mp3:320", "vorbis:192", "opus:64", "opus:128", "aac:128", "aac:256"]


class TestCodecs:
    """Encoded and decoded again."""

    @pytest.mark.parametrize("text", CODECS)
    def test_is_measured(self, mix: Audio, tmp_path: Path, text: str) -> None:
        """Peak as other meters read it, no delay, about the bit rate that was asked for."""
        if missing(codec(text)):
            pytest.skip(missing(codec(text)))
        path = tmp_path / "song.wav"
        part = mix.samples[:, 44_100:176_400]
        write_audio(path, Audio(part * np.float32(0.9 / np.abs(part).max()), mix.sample_rate_hz))
        found = through(path, codec(text))
        samples, rate_hz = round_trip(path, text, tmp_path)
        assert found.sample_rate_hz == rate_hz
        assert found.true_peak_dbtp == pytest.approx(peaks_dbtp(samples, rate_hz)[0], abs=0.05)
        assert found.length_samples == len(samples)
        assert found.delay_samples == 0
        assert abs(found.extra_samples) < 2_200
        if not text.startswith("vorbis"):  # a quality, not a rate
            assert found.bit_rate_kbps == pytest.approx(codec(text).kbps, rel=0.25)
        assert found.kept_to_hz > 9_000.0
        assert text in found.said()
        json.dumps(found.to_dict())

    @pytest.mark.parametrize("rate_hz", [8_000, 44_100, 96_000])
    @pytest.mark.parametrize("channels", [1, 2])
    def test_any_rate(self, tmp_path: Path, rate_hz: int, channels: int) -> None:
        """Above 48 kHz a codec gets 48 kHz; mono stays mono."""
        path = tmp_path / "a.wav"
        noise = np.random.default_rng(1).normal(0.0, 0.1, (channels, rate_hz)).astype(np.float32)
        write_audio(path, Audio(noise, rate_hz))
        for text in ("mp3:128", "vorbis:128", "opus:64"):
            found = through(path, codec(text))
            assert found.sample_rate_hz == coded_rate_hz(rate_hz, codec(text)) <= 48_000
            assert found.delay_samples == 0

    def test_without_ffmpeg(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loud: tuple[Path, Plan]) -> None:
        """AAC is not tried, and a line says so; the rest is."""
        monkeypatch.setenv("PATH", str(tmp_path))
        found = check(loud[0], ("apple",), codecs=("aac:128", "mp3:128"))
        assert [d.codec for d in found.decoded] == ["mp3:128"]
        assert "aac:128: not tried: it needs the program ffmpeg" in found.not_tried[0]
        assert found.delivered[0].decoded == ()


class TestDeliver:
    """A file for each destination."""

    def test_every_limit_holds(self, loud: tuple[Path, Plan], tmp_path: Path) -> None:
        """Before and behind the codecs, by two meters of others; loudness only where it is demanded."""
        path, plan = loud
        out = tmp_path / "out"
        delivery = deliver(path, out, [place.name for place in DESTINATIONS], plan)
        assert sorted(p.name for p in out.iterdir()) == sorted(f"song-{place.name}.wav" for place in DESTINATIONS)
        for each in delivery.delivered:
            place, profile = each.verdict.destination, each.profile
            assert each.output is not None
            assert profile is not None
            assert each.verdict.passes, (place.name, each.verdict.checks)
            info = soundfile.info(each.output)
            assert (info.samplerate, info.subtype) == (place.rate_for(44_100), f"PCM_{place.bit_depth}")
            limit = place.ceiling_for(profile.integrated_lufs)
            heard = [soundfile.read(each.output, always_2d=True)]
            heard += [round_trip(each.output, t, tmp_path) for t in place.codecs if not missing(codec(t))]
            for samples, rate_hz in heard:
                ours, theirs = peaks_dbtp(samples, rate_hz)
                assert ours <= limit + OVER_16X_DB, place.name
                assert theirs <= limit + OVER_LIBEBUR128_DB, place.name
            if place.goal_lufs is not None:
                assert profile.integrated_lufs == pytest.approx(place.goal_lufs, abs=place.tolerance_lu)
            else:
                assert each.gain_db > -4.5
        assert delivery.master.true_peak_dbtp <= -1.0
        json.dumps(delivery.to_dict())

    def test_a_quiet_one_is_raised_where_it_must_be(self, mix: Audio, tmp_path: Path) -> None:
        """A podcast of -16 LUFS from a master of -30: up, into a limiter; for all others it stays."""
        path = tmp_path / "song.wav"
        level_db = -30.0 - analyze(mix).integrated_lufs
        write_audio(path, Audio(mix.samples * np.float32(10.0 ** (level_db / 20.0)), mix.sample_rate_hz))
        delivery = deliver(path, tmp_path / "out", ["podcast", "tidal"])
        podcast, tidal = delivery.delivered
        assert podcast.verdict.passes
        assert podcast.verdict.integrated_lufs == pytest.approx(-16.0, abs=1.0)
        assert tidal.gain_db == 0.0
        original = soundfile.read(path)[0]
        np.testing.assert_array_equal(soundfile.read(tidal.output)[0], original)

    def test_turned_down_is_the_same_sound(self, loud: tuple[Path, Plan], tmp_path: Path) -> None:
        """What is too hot for a destination is the master, quieter, and nothing else."""
        path, plan = loud
        tidal, amazon = deliver(path, tmp_path / "out", ["tidal", "amazon"], plan).delivered
        one, other = (soundfile.read(each.output)[0] for each in (tidal, amazon))
        assert amazon.gain_db - tidal.gain_db == pytest.approx(-1.0, abs=0.02)
        assert tidal.gain_db == pytest.approx(-0.04, abs=0.04)
        assert np.abs(one * float(np.vdot(one, other) / np.vdot(one, one)) - other).max() < 3.0 / 2**23

    def test_what_is_refused(
        self, loud: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Before any work: a file that exists, a folder that cannot be."""
        path, plan = loud
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "song-cd.wav").write_bytes(b"mine")
        with pytest.raises(FileError, match=r"song-cd.wav: exists already"):
            deliver(path, tmp_path / "out", ["tidal", "cd"], plan)
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["song-cd.wav"]
        for impossible in (path / "below", tmp_path / ("long" * 100)):
            with pytest.raises(FileError, match="cannot be made"):
                deliver(path, impossible, ["cd"], plan)
        monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
        with pytest.raises(FileError, match="MiB of space"):
            deliver(path, tmp_path / "new", ["cd"], plan)
        assert not (tmp_path / "new").exists()

    def test_an_interruption_leaves_whole_files_only(
        self, loud: tuple[Path, Plan], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Nothing hidden, nothing half-written."""
        path, plan = loud

        def interrupted(*asked: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(delivering, "through", interrupted)
        with pytest.raises(KeyboardInterrupt):
            deliver(path, tmp_path / "out", ["cd", "bandcamp"], plan)
        assert [p.name for p in (tmp_path / "out").iterdir()] == ["song-cd.wav"]
        monkeypatch.setattr(delivering, "render", interrupted)
        for folder, stays in (("other", False), ("out", True)):
            with pytest.raises(KeyboardInterrupt):
                deliver(path, tmp_path / folder, ["tidal"], plan)
            assert (tmp_path / folder).exists() is stays


class TestTranslation:
    """Each question has an answer, and a verdict that can be bad."""

    def found(self, samples: np.ndarray, tmp_path: Path) -> dict[str, bool]:
        path = tmp_path / "a.wav"
        write_audio(path, Audio(samples.astype(np.float32), 44_100))
        return {finding.what: finding.good for finding in translation(path, analyze(path, use_cache=False))}

    def test_a_sound_master(self, record: Audio, tmp_path: Path) -> None:
        good = self.found(record.samples, tmp_path)
        assert set(good) == {
            "mono", "low end", "phone", "small speaker", "sibilance", "below 30 Hz", "record"
        }  # fmt: skip
        assert good["mono"]
        assert good["low end"]

    def test_faults_are_seen(self, tmp_path: Path) -> None:
        """Bass out of phase, a wide middle, hiss, rumble."""
        rng = np.random.default_rng(3)
        time = np.arange(44_100 * 4) / 44_100
        bass, rumble = 0.2 * np.sin(2 * np.pi * 80.0 * time), 0.3 * np.sin(2 * np.pi * 20.0 * time)
        voice = 0.02 * np.sin(2 * np.pi * 1000.0 * time)
        assert not self.found(np.stack([bass + voice, voice - bass]), tmp_path)["low end"]
        wide = 0.1 * rng.normal(size=(2, len(time)))
        assert not self.found(np.stack([wide[0] + 0.1 * wide[1], 0.1 * wide[1] - wide[0]]), tmp_path)["mono"]
        hiss = np.diff(wide, axis=1, prepend=0.0)
        bad = self.found(np.stack([hiss[0] + 0.1 * voice, hiss[0] + 0.1 * voice]), tmp_path)
        assert not bad["sibilance"]
        assert not bad["record"]
        assert not self.found(np.stack([rumble + voice] * 2), tmp_path)["below 30 Hz"]
        assert not self.found(np.stack([bass] * 2), tmp_path)["small speaker"]

    @pytest.mark.parametrize(("hz", "db"), [(20.0, -19.27), (100.0, -13.09), (1000.0, 0.0), (10_000.0, 13.73)])
    @pytest.mark.parametrize("rate_hz", [44_100, 96_000])
    def test_riaa(self, rate_hz: int, hz: float, db: float) -> None:
        """The cutting curve at the points that IEC 60098 lists."""
        assert response_db(riaa_record(rate_hz), np.array([hz]), rate_hz)[0] == pytest.approx(db, abs=0.1)


class TestCommand:
    """`match deliver`, and the options of a match."""

    def test_check_alone_writes_nothing(self, loud: tuple[Path, Plan], command: Command, tmp_path: Path) -> None:
        before = sorted(tmp_path.iterdir())
        code, said, err = command("deliver", loud[0], "--for", "cd,broadcast", "--codec-check", "mp3:192")
        assert (code, err) == (0, "")
        assert "broadcast: loudness:" in said
        assert "codec mp3:192:" in said
        assert "mono: folded to mono" in said
        assert sorted(tmp_path.iterdir()) == before

    def test_json(self, loud: tuple[Path, Plan], command: Command, tmp_path: Path) -> None:
        code, said, _ = command("deliver", loud[0], "--for", "cd", "--deliver", tmp_path / "out", "--json")
        data = json.loads(said)
        assert code == 0
        assert data["destinations"][0]["destination"] == "cd"
        assert data["destinations"][0]["output"].endswith("song-cd.wav")
        assert {f["what"] for f in data["translation"]} >= {"mono", "record"}

    def test_plan_is_rendered(self, loud: tuple[Path, Plan], command: Command, tmp_path: Path) -> None:
        path, plan = loud
        (tmp_path / "plan.json").write_text(plan.to_json())
        words = ("--for", "cd", "--deliver", tmp_path / "out", "--plan", tmp_path / "plan.json", "--quiet")
        assert command("deliver", path, *words) == (0, "", "")
        assert analyze(tmp_path / "out" / "song-cd.wav").integrated_lufs > analyze(path).integrated_lufs + 3.0

    @pytest.mark.parametrize(
        ("words", "line"),
        [((), "nothing to do"), (("--for", "myspace"), "'myspace' is not one of"),
         (("--codec-check", "mp3:1"), "is a whole number from 32 to 320"), (("--deliver", "out"), "needs destinations"),
         (("--for", "cd", "--plan", "p.json"), "--plan needs --deliver")],
    )  # fmt: skip
    def test_usage(self, loud: tuple[Path, Plan], command: Command, words: tuple[str, ...], line: str) -> None:
        (loud[0].parent / "p.json").write_text(loud[1].to_json())
        words = tuple(str(loud[0].parent / w) if w == "p.json" else w for w in words)
        code, said, err = command("deliver", loud[0], *words)
        assert (code, said) == (2, "")
        assert line in err

    def test_behind_a_match(self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """The same table, the same report, in a folder that is new; one that was made for nothing is gone again."""
        out, page = tmp_path / "m.wav", tmp_path / "d" / "r.html"
        words = ("--only", "loudness", "--for", "cd,tidal", "--deliver", tmp_path / "d", "--report", page)
        code, said, err = command(mix_file, record_file, "-o", out, *words)
        assert (code, err) == (0, "")
        assert sorted(p.name for p in (tmp_path / "d").iterdir()) == ["m-cd.wav", "m-tidal.wav", "r.html"]
        assert "CD" in said
        text = page.read_text()
        assert "Where it goes" in text
        assert "folded to mono" in text
        code, _, err = command(mix_file, tmp_path / "none.wav", "--for", "cd", "--deliver", tmp_path / "e")
        assert (code != 0, "none.wav" in err, (tmp_path / "e").exists()) == (True, True, False)


def test_ffmpeg_is_used_where_it_is() -> None:
    """The tests above tried AAC, where they could."""
    assert (missing(codec("aac:256")) == "") == (shutil.which("ffmpeg") is not None)
