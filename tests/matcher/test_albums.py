"""Albums: consistent with the lead, gapless, and never half done."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effects.eq import Band, Eq
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from dsp.errors import AudioError, FileError, SettingsError
from matcher import Aims, Plan, album, analyze, render
from matcher.album_figures import Figures, distances, outliers
from matcher.album_lists import tracks_of
from matcher.album_reporting import AlbumReport
from matcher.album_sides import Side, crossed, render_side
from matcher.album_targets import Limits, loudnesses, targets
from matcher.cli import cli
from matcher.demo import mastered, song
from matcher.io import OutputFormat, write_audio
from matcher.planner.steps import track
from matcher.plans import Step

RATE_HZ = 44_100
BEFORE_TILT_DB = (0.0, -3.0, 3.0, -1.5)
LOUD_LUFS = (-12.0, -17.0, -14.0, -15.5)


def tilted(audio: Audio, tilt_db: float) -> Audio:
    """With a high shelf."""
    shelf = Eq(bands=(Band(shape="high_shelf", frequency_hz=3000.0, gain_db=tilt_db, q=0.7),))
    return Chain((shelf,))(audio)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four tracks of an album that were finished one by one; the first is the lead."""
    place = tmp_path_factory.mktemp("album")
    for number, (tilt_db, lufs) in enumerate(zip(BEFORE_TILT_DB, LOUD_LUFS, strict=True)):
        raw = song(number + 3, seconds=7.0, style="dance" if number % 2 else "ballad", tempo_bpm=100.0 + 4 * number)
        write_audio(place / f"{number + 1}.wav", mastered(tilted(raw, tilt_db), loudness_lufs=lufs))
    return place


@pytest.fixture(scope="module")
def even(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AlbumReport:
    """The album, each track as loud as the lead."""
    return album(folder / "1.wav", [folder], tmp_path_factory.mktemp("even"), levels="even", use_cache=False)


@pytest.fixture(scope="module")
def kept(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> AlbumReport:
    """The album, its loudness relations kept, beside a lead that is not one of it."""
    tracks = [folder / f"{n}.wav" for n in (2, 3, 4)]
    return album(folder / "1.wav", tracks, tmp_path_factory.mktemp("keep"), use_cache=False)


class TestConsistency:
    """What the album is made for."""

    def test_tracks_come_together(self, even: AlbumReport) -> None:
        """The mean distance to the centre falls by 30 % and more, and no track moves away from it."""
        assert even.consistency is not None
        before, after = even.consistency
        assert after.total_db < 0.7 * before.total_db
        assert after.tone_db < before.tone_db
        pairs = zip(distances([t.before for t in even.tracks]), distances([t.after for t in even.tracks]), strict=True)
        assert all(b.total_db > a.total_db for b, a in pairs)

    def test_even_is_the_leads_loudness(self, even: AlbumReport) -> None:
        """Each track comes out as loud as the lead."""
        lead = even.tracks[0].before.isolated_lufs
        assert [t.after.isolated_lufs for t in even.tracks] == pytest.approx([lead] * 4, abs=0.3)

    def test_keep_keeps_the_relations(self, kept: AlbumReport) -> None:
        """One gain for all: the differences in loudness stay within 0.3 LU."""
        moved = [t.after.isolated_lufs - t.before.isolated_lufs for t in kept.tracks]
        assert np.ptp(moved) < 0.3
        assert np.mean(moved) > 1.0

    def test_the_lead_among_them_stays(self, folder: Path, even: AlbumReport) -> None:
        """Nothing but the ceiling is asked of a lead that is one of the tracks."""
        lead, _ = soundfile.read(folder / "1.wav")
        made, _ = soundfile.read(even.tracks[0].output)
        assert np.sqrt(np.mean((made - lead) ** 2)) < 0.05 * np.sqrt(np.mean(lead**2))

    def test_true_peaks_hold(self, even: AlbumReport, kept: AlbumReport) -> None:
        """No master is above the ceiling."""
        assert max(t.after.true_peak_dbtp for t in (*even.tracks, *kept.tracks)) <= -1.0

    def test_a_ballad_stays_a_ballad(self, folder: Path) -> None:
        """What one track differs by from the others is not all taken back."""
        profiles = [analyze(folder / f"{n}.wav") for n in (1, 2, 3, 4)]
        known = targets(profiles[0], profiles, Limits(), -1.0)
        here = known[1].tone.heard & known[2].tone.heard
        apart = (known[1].tone.difference_db - known[2].tone.difference_db)[here]
        moved = (known[1].tone.mean_db - known[2].tone.mean_db)[here]
        share = float(apart @ moved / (apart @ apart))
        assert 0.2 < share < 0.8

    def test_copies_of_one_track_move_alike(self, folder: Path) -> None:
        """Tracks that do not differ at all give curves, the same for each."""
        lead, track = (analyze(folder / f"{n}.wav") for n in (1, 2))
        known = targets(lead, [replace(track, content_hash=str(n)) for n in range(4)], Limits(), -1.0)
        assert np.abs(known[0].tone.mean_db).max() > 0.1
        assert all(np.array_equal(k.tone.mean_db, known[0].tone.mean_db) for k in known)

    def test_the_shared_is_known_better_than_one(self, folder: Path) -> None:
        """A shelf that all tracks lack is believed to a larger part from four tracks than from any one of them."""
        lead = analyze(folder / "1.wav")
        dull = []
        for number in (5, 6, 7, 8):
            sound = song(number, seconds=6.0, style="dance" if number % 2 else "ballad", tempo_bpm=90.0 + 5 * number)
            dull.append(analyze(tilted(sound, -6.0), use_cache=False))
        every = targets(lead, dull, Limits(), -1.0)
        together = np.mean([k.tone.mean_db for k in every], axis=0)
        truth = np.mean([k.tone.difference_db for k in every], axis=0)
        assert together[-8:-3].mean() > 0.4 * truth[-8:-3].mean() > 0.0
        from_one = [targets(lead, [each], Limits(), -1.0)[0].tone.mean_db[-8:-3].mean() for each in dull]
        assert together[-8:-3].mean() > np.mean(from_one)

    def test_limits_hold(self, folder: Path) -> None:
        """No target is further away than allowed, in tone, width or loudness."""
        profiles = [analyze(folder / f"{n}.wav") for n in (1, 2, 3, 4)]
        limits = Limits(tone_db=0.5, width_db=0.25, loudness_lu=1.0)
        for known in targets(profiles[0], profiles, limits, -1.0):
            assert np.abs(known.tone.mean_db).max() <= 0.5
            assert known.width is None or np.abs(known.width.side.mean_db).max() <= 0.25
        for levels in ("even", "keep"):
            goals = loudnesses(profiles[0], profiles, levels, limits)
            assert max(abs(g - p.isolated_lufs) for g, p in zip(goals, profiles, strict=True)) <= 1.0 + 1e-9

    def test_targets_are_frozen(self, folder: Path, even: AlbumReport, tmp_path: Path) -> None:
        """Tracks finished in the opposite order come out the same, bit for bit."""

        def backwards(function, items):  # type: ignore[no-untyped-def]
            return ((item, function(item)) for item in reversed(list(items)))

        again = album(folder / "1.wav", [folder], tmp_path, levels="even", map=backwards)
        assert contents(tmp_path) == contents(even.tracks[0].output.parent)
        assert [t.name for t in again.tracks] == [t.name for t in even.tracks]


class TestReport:
    """What is said of it."""

    def test_names_outliers(self) -> None:
        """A track that is far from the others in a figure is named with it; the others are not."""
        plain = figures(0.0)
        odd = msgspec.structs.replace(plain, width_db=plain.width_db - 9.0)
        said = outliers(["a", "b", "c", "d"], [plain, plain, odd, plain])
        assert len(said) == 1
        assert said[0].startswith("c: width")

    def test_json_is_whole(self, even: AlbumReport) -> None:
        """The JSON holds every track's figures before and after, and the consistency."""
        data = json.loads(even.to_json())
        assert [t["name"] for t in data["tracks"]] == ["1.wav", "2.wav", "3.wav", "4.wav"]
        assert data["consistency"]["after"]["total_db"] < data["consistency"]["before"]["total_db"]
        assert {"short_term_p95_lufs", "range_lu", "plr_db", "width_db"} <= data["tracks"][0]["after"].keys()

    def test_distance_is_zero_among_equals(self) -> None:
        """Equal tracks have no distance; one that is 3 dB wider than another is 1.5 dB from their middle."""
        one = figures(0.0)
        wider = msgspec.structs.replace(one, width_db=one.width_db + 3.0)
        assert [d.total_db for d in distances([one, one])] == [0.0, 0.0]
        assert [d.total_db for d in distances([one, wider])] == pytest.approx([1.5, 1.5])


def figures(lufs: float) -> Figures:
    """Of no track in particular."""
    names = [f for f in Figures.__struct_fields__ if f != "balance_db"]
    return Figures(**dict.fromkeys(names, lufs), balance_db=(-20.0,) * 30)


class TestLists:
    """Which tracks, in what order."""

    def test_a_folder_is_in_the_order_of_its_numbers(self, tmp_path: Path) -> None:
        """2 comes before 10, and what is no sound is left out."""
        for name in ("10.wav", "2.flac", "notes.txt", ".hidden.wav"):
            (tmp_path / name).touch()
        assert [f.name for f in tracks_of([tmp_path])] == ["2.flac", "10.wav"]

    def test_a_playlist_fixes_the_order(self, tmp_path: Path) -> None:
        """Comments are skipped, paths are from the playlist, each track counts once."""
        (tmp_path / "a.m3u").write_text("#EXTM3U\nz.wav\n\nb/ä.wav\nz.wav\n", encoding="utf-8")
        assert tracks_of([tmp_path / "a.m3u"]) == [tmp_path / "z.wav", tmp_path / "b/ä.wav"]

    def test_a_sheet_fixes_the_order(self, tmp_path: Path) -> None:
        """A CUE sheet with a file a track is read; one with several tracks in a file is refused by name."""
        sheet = tmp_path / "a.cue"
        sheet.write_text('FILE "b 2.wav" WAVE\n  TRACK 01 AUDIO\nFILE a.wav WAVE\n  TRACK 02 AUDIO\n')
        assert [f.name for f in tracks_of([sheet])] == ["b 2.wav", "a.wav"]
        sheet.write_text('FILE "image.wav" WAVE\n  TRACK 01 AUDIO\n  TRACK 02 AUDIO\n')
        with pytest.raises(FileError, match=r"image\.wav holds several"):
            tracks_of([sheet])

    def test_an_empty_list_is_refused(self, tmp_path: Path) -> None:
        """A folder without sound names no track."""
        with pytest.raises(FileError, match="names no track"):
            tracks_of([tmp_path])


def plan_of(audio: Audio, *steps: object) -> Plan:
    """A plan with these settings."""
    return Plan(target=track(analyze(audio, use_cache=False)), steps=tuple(Step(settings=s) for s in steps))


def cut(samples: NDArray[np.float64], places: list[int], folder: Path) -> list[Path]:
    """The piece as files, cut at the places."""
    files = []
    for number, (start, stop) in enumerate(zip([0, *places], [*places, samples.shape[1]], strict=True)):
        files.append(folder / f"{number}.wav")
        write_audio(files[-1], Audio(samples[:, start:stop], RATE_HZ))
    return files


def gapless(files: list[Path], plans: list[Plan], folder: Path) -> NDArray[np.float64]:
    """The side rendered to 16-bit files, and joined again."""
    folder.mkdir()
    render_side(files, plans, lambda n: folder / f"{n}.wav", lambda n, p: None, OutputFormat("WAV", 16))
    return np.concatenate([soundfile.read(folder / f"{n}.wav")[0] for n in range(len(files))])


DENSE = (
    Eq(bands=(Band(shape="low_shelf", frequency_hz=120.0, gain_db=3.0, q=0.7),)),
    Gain(gain_db=5.0),
    Limiter(ceiling_dbtp=-1.0),
)
PLACES = [39_001, 95_477, 141_120, 200_003]


class TestGapless:
    """One stream, cut where it was cut."""

    def test_a_cut_piece_is_the_uncut_one(self, tmp_path: Path) -> None:
        """Cut in five at odd samples and rendered with one plan it is the uncut render bit for bit, dither and all."""
        piece = song(4, seconds=6.0)
        whole = tmp_path / "whole.wav"
        write_audio(whole, piece)
        plan = plan_of(piece, *DENSE)
        render(whole, plan, tmp_path / "uncut.wav", bit_depth=16)
        uncut, _ = soundfile.read(tmp_path / "uncut.wav")
        files = cut(piece.samples, PLACES, tmp_path)
        joined = gapless(files, [plan] * 5, tmp_path / "out")
        assert np.array_equal(joined, uncut)
        assert [soundfile.info(tmp_path / "out" / f"{n}.wav").frames for n in range(5)] == np.diff(
            [0, *PLACES, piece.length_samples]
        ).tolist()

    def test_settings_cross_over_without_a_step(self, tmp_path: Path) -> None:
        """No step within 50 ms of a boundary between two plans exceeds the 99.9th percentile of the 100 ms around."""
        # The same every 200 samples: its largest step comes often enough to be the percentile by itself.
        t = np.arange(6 * RATE_HZ) / RATE_HZ
        tone = 0.2 * np.sin(2 * np.pi * 220.5 * t) + 0.1 * np.sin(2 * np.pi * 1323.0 * t + 1.0)
        piece = Audio(np.stack([tone, 0.8 * tone]), RATE_HZ)
        files = cut(piece.samples, PLACES, tmp_path)
        gains_db = (0.0, 5.0, -4.0, 3.0, -2.0)
        plans = [plan_of(piece, Gain(gain_db=gain_db), Limiter(ceiling_dbtp=-1.0)) for gain_db in gains_db]
        (tmp_path / "out").mkdir()
        places = [tmp_path / "out" / f"{n}.wav" for n in range(5)]
        render_side(files, plans, places.__getitem__, lambda n, p: None, OutputFormat("WAV", 32, is_float=True))
        joined = np.concatenate([soundfile.read(place)[0] for place in places])
        steps = np.abs(np.diff(joined, axis=0)).max(axis=1)
        gain = np.repeat(10.0 ** (np.array(gains_db) / 20.0), np.diff([0, *PLACES, len(tone)]))
        abrupt = np.abs(np.diff(tone * gain))
        near, far = round(0.05 * RATE_HZ), round(0.1 * RATE_HZ)
        clicks = []
        for place in PLACES:
            around = np.concatenate([steps[place - far : place - near], steps[place + near : place + far]])
            assert steps[place - near : place + near].max() <= np.percentile(around, 99.9) * (1.0 + 1e-5)
            clicks.append(abrupt[place - near : place + near].max() > np.percentile(around, 99.9) * 1.01)
        assert any(clicks)  # a switch without a crossing is heard, and seen here

    def test_settings_are_those_of_the_track_beyond_the_crossing(self, tmp_path: Path) -> None:
        """25 ms from a boundary each track has its own gain alone, and blocks of another size change no sample."""
        piece = song(4, seconds=6.0)
        files = cut(piece.samples, PLACES, tmp_path)
        chains = [Chain((Gain(gain_db=float(n)),)) for n in range(5)]
        with Side.of(files) as side:
            made = np.concatenate(list(crossed(side, chains)), axis=1)
            again = np.concatenate(list(crossed(side, chains, block_samples=1000)), axis=1)
            given = side.read(0, side.length_samples)
        assert np.array_equal(made, again)
        half = round(0.025 * RATE_HZ)
        for number, (start, stop) in enumerate(zip([0, *PLACES], [*PLACES, side.length_samples], strict=True)):
            inside = slice(start + half, stop - half)
            assert np.allclose(made[:, inside], given[:, inside] * 10.0 ** (number / 20.0), rtol=1e-6)

    def test_silence_stays_silent(self, tmp_path: Path) -> None:
        """Silence at the end of a track is silence in the float master."""
        samples = song(4, seconds=4.0).samples.copy()
        samples[:, 60_000:90_000] = 0.0
        files = cut(samples, [90_000], tmp_path)
        chains = [Chain((Gain(gain_db=3.0),)), Chain((Gain(gain_db=-3.0),))]
        with Side.of(files) as side:
            made = np.concatenate(list(crossed(side, chains)), axis=1)
        assert not made[:, 60_000:90_000].any()
        assert made[:, 90_000:].any()

    def test_a_side_has_one_rate(self, tmp_path: Path) -> None:
        """A track at another rate is refused by name."""
        write_audio(tmp_path / "a.wav", song(4, seconds=1.0))
        write_audio(tmp_path / "b.wav", song(4, seconds=1.0, sample_rate_hz=48_000))
        with pytest.raises(AudioError, match=r"b\.wav: sample_rate_hz 48000 is not 44100"):
            Side.of([tmp_path / "a.wav", tmp_path / "b.wav"])

    def test_the_whole_recipe(self, folder: Path, tmp_path: Path) -> None:
        """An album made gapless has every track at its own length, as loud as asked and below the ceiling."""
        report = album(folder / "1.wav", [folder], tmp_path, levels="even", gapless=True)
        assert [t.name for t in report.tracks] == ["1.wav", "2.wav", "3.wav", "4.wav"]
        for made in report.tracks:
            assert soundfile.info(made.output).frames == soundfile.info(folder / made.name).frames
            assert made.after.true_peak_dbtp <= -1.0
            assert made.after.isolated_lufs == pytest.approx(report.tracks[0].before.isolated_lufs, abs=0.5)

    def test_one_plan_needs_a_stream(self, folder: Path, tmp_path: Path) -> None:
        """One plan for all is for a gapless album without repairs; refused otherwise."""
        with pytest.raises(SettingsError, match="one_plan"):
            album(folder / "1.wav", [folder], tmp_path, one_plan=True)
        with pytest.raises(SettingsError, match="restore"):
            album(folder / "1.wav", [folder], tmp_path, one_plan=True, gapless=True)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file at a final path."""
    return {f.name: f.read_bytes() for f in sorted(folder.iterdir()) if f.is_file()}


class TestGoingOn:
    """What a stop leaves, and what a second run does with it."""

    def test_a_second_run_keeps_all(self, folder: Path, even: AlbumReport) -> None:
        """Finished tracks are not touched, and the report is the same."""
        place = even.tracks[0].output.parent
        before = {f.name: f.stat().st_mtime_ns for f in place.glob("*.wav")}
        again = album(folder / "1.wav", [folder], place, levels="even")
        assert {f.name: f.stat().st_mtime_ns for f in place.glob("*.wav")} == before
        assert all(t.kept for t in again.tracks)
        assert [t.after for t in again.tracks] == [t.after for t in even.tracks]

    def test_other_settings_are_not_put_over_it(self, folder: Path, tmp_path: Path, even: AlbumReport) -> None:
        """A foreign file in a master's place is refused by name and left; forced, it is replaced."""
        (tmp_path / "2.wav").write_bytes(b"mine")
        report = album(folder / "1.wav", [folder / "2.wav"], tmp_path)
        assert "exists already" in next(iter(report.failed.values()))
        assert (tmp_path / "2.wav").read_bytes() == b"mine"
        report = album(folder / "1.wav", [folder / "2.wav"], tmp_path, force=True)
        assert not report.failed
        assert soundfile.info(tmp_path / "2.wav").frames == soundfile.info(folder / "2.wav").frames

    def test_one_bad_file_stops_no_other(self, folder: Path, tmp_path: Path) -> None:
        """It is named at the end, the exit code says so, and the others are made."""
        bad = tmp_path / "bad.wav"
        bad.write_bytes(b"RIFF....")
        asked = ["album", folder / "1.wav", bad, folder / "2.wav", "-o", tmp_path / "out", "--quiet"]
        done = CliRunner().invoke(cli, list(map(str, asked)), standalone_mode=False)
        assert done.return_value == 3
        assert done.stderr.count("not made") == 1
        assert "bad.wav" in done.stderr
        assert sorted(contents(tmp_path / "out")) == ["2.wav"]

    def test_an_input_is_never_the_output(self, folder: Path) -> None:
        """Writing into the tracks' own folder is refused, forced or not."""
        with pytest.raises(FileError, match="is an input itself"):
            album(folder / "1.wav", [folder], folder, force=True)

    def test_processes_change_nothing(
        self, command: Callable[..., tuple[int, str, str]], folder: Path, even: AlbumReport, tmp_path: Path
    ) -> None:
        """Two tracks at a time, the same masters bit for bit."""
        code, out, err = command("album", folder / "1.wav", folder, "-o", tmp_path, "--levels", "even", "-j", 2, "-q")
        assert (code, out, err) == (0, "", "")
        assert contents(tmp_path) == contents(even.tracks[0].output.parent)

    @pytest.mark.slow
    def test_killed_ten_times(self, folder: Path, even: AlbumReport, tmp_path: Path) -> None:
        """Killed at random moments and started again, it ends with the files of an undisturbed run, none partial."""
        wanted = contents(even.tracks[0].output.parent)
        rng = random.Random(5)
        code = (
            "import sys; from matcher import album; "
            "album(sys.argv[1], [sys.argv[2]], sys.argv[3], levels='even', force=False)"
        )
        run = [sys.executable, "-c", code, str(folder / "1.wav"), str(folder), str(tmp_path)]
        for _ in range(10):
            process = subprocess.Popen(run)
            time.sleep(rng.uniform(0.3, 6.0))
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            for name, found in contents(tmp_path).items():
                assert found == wanted[name]
        subprocess.run(run, check=True)
        assert contents(tmp_path) == wanted
        assert not list((tmp_path / ".match-album" / "staging").iterdir())


def test_aims_travel(folder: Path, tmp_path: Path) -> None:
    """A ceiling that is asked for holds in the album."""
    report = album(folder / "1.wav", [folder / "2.wav"], tmp_path, levels="even", aims=Aims(ceiling_dbtp=-3.0))
    assert report.tracks[0].after.true_peak_dbtp <= -3.0
