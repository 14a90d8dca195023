"""`match learn`, `match presets`, `--preset`, and no reference at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dsp.audio import Audio
from matcher.demo import mastered, song
from matcher.io import write_audio
from matcher.presets import read_preset

Command = Callable[..., tuple[int, str, str]]
QUICK = ("--restore", "off")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five short pieces of one kind, one of them in a folder further down."""
    folder = tmp_path_factory.mktemp("corpus")
    (folder / "more").mkdir()
    for number in range(5):
        made = mastered(song(20 + number, seconds=4.0, style="dance"))
        write_audio(folder / ("more" if number == 4 else ".") / f"{number}.wav", made)
    return folder


def without_date(path: Path) -> dict:
    """A preset's JSON but for when it was made."""
    return json.loads(path.read_text()) | {"made_at": ""}


class TestLearn:
    """A corpus becomes a preset."""

    def test_by_name(self, command: Command, corpus: Path, own_cache: Path) -> None:
        """It goes to the user's own presets, is listed, and says of what it was made."""
        code, out, err = command("learn", corpus, "--name", "dance", "--licence", "CC0")
        assert (code, err) == (0, "")
        assert out.startswith("dance: 5 tracks, 0 min, made 20")
        made = read_preset(own_cache / "presets" / "dance.json")
        assert (made.count, made.licence) == (5, "CC0")
        assert str(corpus) not in (own_cache / "presets" / "dance.json").read_text()
        assert not list((own_cache / "presets").glob("*.journal"))
        code, out, err = command("presets")
        assert "dance: 5 tracks" in out
        assert "LUFS, peak to loudness" in out
        listed = {each["name"]: each for each in json.loads(command("presets", "--json")[1])}
        assert listed["dance"]["styles"][0]["figures"]["integrated_lufs"]["centre"] < 0.0
        assert listed["folk"]["licence"]

    def test_jobs_change_nothing(self, command: Command, corpus: Path, tmp_path: Path) -> None:
        """Two processes, the same preset bit for bit; nor does a second run over part of it."""
        assert command("learn", corpus, "-n", "dance", "-o", tmp_path / "one.json", "-q")[0] == 0
        assert command("learn", corpus, "-n", "dance", "-o", tmp_path / "two.json", "-q", "-j", 2, "--no-cache")[0] == 0
        assert without_date(tmp_path / "one.json") == without_date(tmp_path / "two.json")

    def test_joins_presets_tables_and_tracks(self, command: Command, corpus: Path, tmp_path: Path) -> None:
        """Learned in parts and joined is learned at once; a table is as good as the tracks."""
        pytest.importorskip("pyarrow")
        tracks = sorted(corpus.rglob("*.wav"))
        at_once, part, both = (tmp_path / f"{name}.json" for name in ("at-once", "part", "both"))
        assert command("learn", corpus, "-n", "dance", "-o", at_once, "-q")[0] == 0
        assert command("learn", *tracks[:3], "-n", "part", "-o", part, "-q")[0] == 0
        assert command("analyze", *tracks[2:], "--table", tmp_path / "rest.parquet")[0] == 0
        assert command("learn", part, tmp_path / "rest.parquet", "-n", "dance", "-o", both, "-q")[0] == 0
        assert without_date(at_once) == without_date(both)

    def test_a_folder_is_a_table(self, command: Command, corpus: Path, tmp_path: Path) -> None:
        """A corpus is measured once, opened by others, and learned from: the preset is that of its tracks."""
        parquet = pytest.importorskip("pyarrow.parquet")
        code, out, _ = command("analyze", corpus, "--table", tmp_path / "all.parquet")
        assert (code, out.split(" (")[1]) == (0, "5 of 5 tracks)\n")
        assert parquet.read_table(tmp_path / "all.parquet").column("name").to_pylist() == [f"{n}.wav" for n in range(5)]
        assert command("learn", corpus, "-n", "dance", "-o", tmp_path / "tracks.json", "-q")[0] == 0
        assert command("learn", tmp_path / "all.parquet", "-n", "dance", "-o", tmp_path / "table.json", "-q")[0] == 0
        assert without_date(tmp_path / "tracks.json") == without_date(tmp_path / "table.json")

    def test_no_table_of_nothing(self, command: Command, tmp_path: Path) -> None:
        """Where every track failed, none stands in the way of the next run."""
        pytest.importorskip("pyarrow")
        (tmp_path / "bad.wav").write_bytes(b"RIFF....")
        code, _, err = command("analyze", tmp_path, "--table", tmp_path / "all.parquet")
        assert code == 3
        assert "bad.wav" in err
        assert "not written" in err
        assert [p.name for p in tmp_path.iterdir()] == ["bad.wav"]

    def test_a_bad_track_stops_no_other(self, command: Command, corpus: Path, tmp_path: Path) -> None:
        """It is named, the rest is learned, and the exit code says so."""
        bad = tmp_path / "bad.wav"
        bad.write_bytes(b"no sound")
        code, out, err = command("learn", corpus, bad, "-n", "dance", "-o", tmp_path / "p.json")
        assert code == 3
        assert "bad.wav" in err
        assert err.count("\n") == 1
        assert "dance: 5 tracks" in out
        code, out, _ = command("learn", corpus, bad, "-n", "dance", "-o", tmp_path / "p.json", "--force", "--json")
        told = json.loads(out)
        assert (code, told["name"], told["tracks"], len(told["failed"])) == (3, "dance", 5, 1)

    def test_refuses_before_any_work(self, command: Command, corpus: Path, tmp_path: Path) -> None:
        """A name that is none, a folder without tracks, an output that exists: one line, nothing written."""
        (tmp_path / "empty").mkdir()
        (tmp_path / "there.json").write_text("mine")
        before = sorted(tmp_path.rglob("*"))
        for arguments, code, said in (
            ((corpus, "-n", "a/b", "-o", tmp_path / "p.json"), 4, "name: 'a/b'"),
            ((tmp_path / "empty", "-n", "a", "-o", tmp_path / "p.json"), 3, "empty: holds no track; known are .aif"),
            ((corpus, "-n", "a", "-o", tmp_path / "there.json"), 3, "there.json: exists already"),
            ((tmp_path / "no.wav", "-n", "a", "-o", tmp_path / "p.json"), 3, "a: 0 tracks are too few"),
        ):
            found = command("learn", *arguments)
            assert found[0] == code
            assert said in found[2]
        assert sorted(tmp_path.rglob("*")) == before
        assert (tmp_path / "there.json").read_text() == "mine"


class TestCompare:
    """Two presets beside each other."""

    def test_says_it(self, command: Command) -> None:
        """A table and a sentence; as JSON too."""
        code, out, _ = command("presets", "compare", "metal", "lofi")
        assert code == 0
        assert "in deviations" in out
        assert out.splitlines()[-1].startswith("metal is ")
        data = json.loads(command("presets", "compare", "metal", "lofi", "--json")[1])
        assert (data["one"], data["other"]) == ("metal", "lofi")
        assert {row["name"] for row in data["differences"]} >= {"loudness", "bass", "treble"}

    def test_refuses_what_is_not_there(self, command: Command) -> None:
        """One line."""
        code, out, err = command("presets", "compare", "metal", "polka")
        assert (code, out) == (4, "")
        assert "preset polka: there is none of this name" in err


class TestMatch:
    """A preset instead of a track."""

    def test_a_preset(self, command: Command, mix_file: Path, tmp_path: Path) -> None:
        """By name; the report says whose tracks, and the plan keeps it."""
        out = tmp_path / "m.wav"
        code, text, _ = command(mix_file, "--preset", "metal", "-o", out, "--plan", tmp_path / "p.json", *QUICK)
        assert code == 0
        assert "beside the preset metal" in text
        assert "Beside the preset metal (5 tracks, 24 min)." in " ".join(text.split())
        plan = json.loads((tmp_path / "p.json").read_text())
        assert [t["name"] for t in plan["references"]] == ["the preset metal"]
        assert command("render", mix_file, tmp_path / "p.json", "-o", tmp_path / "again.wav", "-q")[0] == 0
        assert (tmp_path / "again.wav").read_bytes() == out.read_bytes()

    def test_a_preset_file(self, command: Command, corpus: Path, mix_file: Path, tmp_path: Path) -> None:
        """In JSON, with the report as a page."""
        preset = tmp_path / "dance.json"
        assert command("learn", corpus, "-n", "dance", "-o", preset, "-q")[0] == 0
        page = tmp_path / "r.html"
        given = ("-p", preset, "-o", tmp_path / "m.wav", "--report", page, "--json", *QUICK)
        code, text, err = command(mix_file, *given)
        assert (code, err) == (0, "")
        assert json.loads(text)["references"][0]["name"] == "the preset dance"
        assert "the preset dance" in page.read_text()

    def test_no_reference(self, command: Command, mix_file: Path, tmp_path: Path) -> None:
        """The nearest of all, which one, and how sure that is."""
        code, text, _ = command(mix_file, "-o", tmp_path / "m.wav", *QUICK)
        assert code == 0
        assert "the nearest of 6:" in " ".join(text.split())
        assert "sure" in text

    def test_a_track_and_a_preset(self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """One of them is one too many."""
        code, _, err = command(mix_file, record_file, "-p", "metal", "-o", tmp_path / "m.wav")
        assert code == 2
        assert "--preset is a reference of its own" in err

    def test_a_preset_that_is_none(self, command: Command, mix_file: Path, tmp_path: Path) -> None:
        """One line, nothing written."""
        (tmp_path / "bad.json").write_text('{"format": "match-preset", "version": 1}')
        before = sorted(tmp_path.iterdir())
        bad, absent = tmp_path / "bad.json", tmp_path / "no.json"
        for name, said in (("polka", "preset polka"), (bad, "bad.json: "), (absent, "no.json: cannot be read")):
            code, out, err = command(mix_file, "-p", name, "-o", tmp_path / "m.wav")
            assert code in (3, 4)
            assert out == ""
            assert said in err
            assert err.count("\n") == 1
        assert sorted(tmp_path.iterdir()) == before

    def test_a_batch(self, command: Command, mix: Audio, tmp_path: Path) -> None:
        """A folder beside a preset; a second run keeps what is made."""
        (tmp_path / "in").mkdir()
        write_audio(tmp_path / "in" / "a.wav", mix)
        given = ("batch", tmp_path / "in", "-p", "metal", "-o", tmp_path / "out", *QUICK)
        assert command(*given)[1].endswith("1 made, 0 kept, 0 failed\n")
        assert command(*given)[1].endswith("0 made, 1 kept, 0 failed\n")
