"""Several references through the real command: which is which, what is refused, what is warned of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from matcher.io import write_audio

Command = Callable[..., tuple[int, str, str]]
QUICK = ("--only", "loudness", "--no-limiter")


@pytest.fixture
def other_file(record: Audio, tmp_path: Path) -> Path:
    """The record turned down by 8 dB, cut off flat."""
    path = tmp_path / "other.wav"
    write_audio(path, Audio(np.clip(record.samples, -0.4, 0.4) * 0.4, record.sample_rate_hz))
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


class TestWays:
    """To say which references there are."""

    def test_positional_or_by_option(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path
    ) -> None:
        """The same master however they are named, and another than from one alone."""
        ways = ((record_file, "-r", other_file), ("--reference", record_file, "-r", other_file), (record_file,))
        made = []
        for i, way in enumerate(ways):
            out = tmp_path / f"{i}.wav"
            assert command(mix_file, *way, "-o", out, "-q", *QUICK) == (0, "", "")
            made.append(out.read_bytes())
        assert made[0] == made[1] != made[2]

    def test_loudness_from_another(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path
    ) -> None:
        """Reached, and the report and the written plan say who served what."""
        words = ("-o", tmp_path / "o.wav", "--json", "--plan", tmp_path / "p.json", "--only", "loudness")
        code, out, err = command(mix_file, record_file, "--loudness-from", other_file, *words)
        assert code == 0, err
        report, written = json.loads(out), json.loads((tmp_path / "p.json").read_text())
        names = {p["name"]: p for p in report["references"]}
        assert list(names) == ["record.wav", "other.wav"]
        assert report["result"]["integrated_lufs"] == pytest.approx(names["other.wav"]["integrated_lufs"], abs=0.2)
        assert names["record.wav"]["integrated_lufs"] - names["other.wav"]["integrated_lufs"] > 5.0
        served = {t["name"]: t["serves"] for t in written["references"]}
        assert served == {"record.wav": ["tone", "dynamics"], "other.wav": ["loudness"]}

    def test_three_dimensions_need_no_other(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path
    ) -> None:
        """And one that is named all the same serves nothing, which is said."""
        own = ("--tone-from", record_file, "--dynamics-from", record_file, "--loudness-from", other_file)
        words = (*own, "-o", tmp_path / "p.json", "--force", "--only", "loudness")
        code, out, _ = command("plan", mix_file, *words)
        assert code == 0
        assert "beside record.wav (tone, dynamics) + other.wav (loudness)" in " ".join(out.split())
        assert "serves nothing" not in out
        idle = tmp_path / "idle.wav"
        idle.write_bytes(record_file.read_bytes() + b"\0\0")
        code, out, _ = command("plan", mix_file, idle, *words)
        assert code == 0
        assert "idle.wav: serves nothing" in " ".join(out.split())

    def test_plan_then_render(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path
    ) -> None:
        """A plan of several references renders to what the main job makes."""
        pair, plan = (mix_file, record_file, "-r", other_file), tmp_path / "p.json"
        assert command(*pair, "-o", tmp_path / "a.wav", "-q", "--plan", plan, *QUICK)[0] == 0
        assert [t["name"] for t in json.loads(plan.read_text())["references"]] == ["record.wav", "other.wav"]
        assert command("render", mix_file, plan, "-o", tmp_path / "b.wav", "-q")[0] == 0
        assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()


class TestUsage:
    """Without a reference for some of it."""

    @pytest.mark.parametrize("job", [(), ("plan",)])
    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (("--tone-from",), "no reference for dynamics and loudness: name one"),
            (("--tone-from", "--loudness-from"), "no reference for dynamics: name one"),
        ],
    )
    def test_is_one_clear_error(
        self, command: Command, mix_file: Path, record_file: Path, job: tuple, given: tuple, said: str
    ) -> None:
        """Exit code 2, what is missing, and what may be given; nothing is written."""
        before = contents(mix_file.parent)
        words = [word for option in given for word in (option, record_file)]
        code, out, err = command(*job, mix_file, *words, "-o", mix_file.with_name("new.json"))
        assert (code, out) == (2, "")
        assert f"Error: {said}" in err
        assert "--loudness-from" in err
        assert err.count("Error") == 1
        assert contents(mix_file.parent) == before

    def test_needs_no_heavy_module(self) -> None:
        """It is said before anything is loaded."""
        code = "import sys; sys.argv = ['match', 'a.wav', '--tone-from', 'b.wav']\nimport matcher.cli\n"
        code += "try: matcher.cli.main()\nexcept SystemExit: print('numpy' in sys.modules)"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == "False"


class TestRefusals:
    """Whichever reference it is."""

    OPTIONS = ("-r", "--tone-from", "--dynamics-from", "--loudness-from")

    @pytest.mark.parametrize("option", OPTIONS)
    @pytest.mark.parametrize("kind", ["missing", "text", "silent"])
    def test_one_that_cannot_be_used(
        self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path, option: str, kind: str
    ) -> None:
        """One line that names it, code 3, nothing written."""
        bad = tmp_path / "bad.wav"
        if kind == "text":
            bad.write_text("words, not samples " * 40)
        if kind == "silent":
            soundfile.write(bad, np.zeros((44_100, 2)), 44_100)
        before = contents(tmp_path)
        code, out, err = command(mix_file, record_file, option, bad, "-o", tmp_path / "new.wav")
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "bad.wav" in err
        assert contents(tmp_path) == before

    @pytest.mark.parametrize("option", OPTIONS)
    def test_output_is_a_reference(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, option: str
    ) -> None:
        """Not replaced, and said which."""
        before = contents(mix_file.parent)
        code, _, err = command(mix_file, record_file, option, other_file, "-o", other_file)
        assert (code, err.count("\n")) == (3, 1)
        assert f"is the input {other_file}" in err
        assert contents(mix_file.parent) == before

    @pytest.mark.parametrize("option", OPTIONS)
    def test_plan_is_a_reference(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path, option: str
    ) -> None:
        """Forced or not, by link or not, in both jobs."""
        os.link(other_file, tmp_path / "hard.json")
        before = contents(tmp_path)
        for plan in (other_file, tmp_path / "hard.json"):
            main = (mix_file, record_file, option, other_file, "-o", tmp_path / "n.wav", "--plan", plan, "--force")
            for words in (main, ("plan", mix_file, record_file, option, other_file, "-o", plan, "--force")):
                code, out, err = command(*words)
                assert (code, out, err.count("\n")) == (3, "", 1)
                assert "itself; choose another name" in err
        assert contents(tmp_path) == before

    def test_even_one_that_serves_nothing_must_be_there(
        self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """A mistyped name is never passed over."""
        own = [word for name in ("tone", "dynamics", "loudness") for word in (f"--{name}-from", record_file)]
        code, _, err = command("plan", mix_file, tmp_path / "mistyped.wav", *own, "-o", tmp_path / "p.json")
        assert code == 3
        assert "mistyped.wav: there is no such file" in err


class TestWarnings:
    """Said once, and never in the way."""

    def test_on_the_terminal_and_in_json(
        self, command: Command, mix_file: Path, record_file: Path, other_file: Path, tmp_path: Path
    ) -> None:
        """By name and with the figure; the other reference is not accused."""
        pair = (mix_file, record_file, "-r", other_file, "--only", "loudness")
        code, out, _ = command(*pair, "-o", tmp_path / "a.wav")
        assert code == 0
        assert " ".join(out.split()).count("warning: other.wav is clipped") == 1
        assert "record.wav is clipped" not in out
        code, out, _ = command(*pair, "-o", tmp_path / "b.wav", "--json")
        assert code == 0
        assert out.count("other.wav is clipped") == 1
        (line,) = (w for w in json.loads(out)["warnings"] if "clipped" in w)
        other = json.loads(out)["references"][1]
        assert f"{other['flat_tops']} flat tops" in line
        assert command(*pair, "-o", tmp_path / "c.wav", "--quiet") == (0, "", "")

    def test_of_the_target(self, command: Command, record_file: Path, other_file: Path, tmp_path: Path) -> None:
        """A clipped mix is named too, once where it is matched to itself; one that is mended is no more."""
        for reference in (record_file, other_file):
            paths = (other_file, reference, "-o", tmp_path / "p.json", "--force")
            code, out, _ = command("plan", *paths, "--restore", "off", *QUICK)
            assert code == 0
            assert out.count("other.wav is clipped") == 1
        mended = command("plan", other_file, record_file, "-o", tmp_path / "p.json", "--force", *QUICK)[1]
        assert "other.wav is clipped" not in mended
