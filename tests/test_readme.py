"""The README keeps its word: its commands and its Python run, and its options exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dsp.audio import Audio
from matcher.demo import mastered, song, unfinished
from matcher.io import write_audio

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of."""
    place = tmp_path_factory.mktemp("readme")
    made: dict[str, Audio] = {
        "mix.wav": unfinished(song(1, seconds=5.0)),
        "reference.wav": mastered(song(2, seconds=5.0, style="dance")),
        "other.wav": mastered(song(3, seconds=5.0)),
    }
    for name, audio in made.items():
        write_audio(place / name, audio)
    (place / "songs").mkdir()
    write_audio(place / "songs" / "song.wav", made["mix.wav"])
    return place


def run(words: list[str], folder: Path) -> str:
    environment = os.environ | {"MATCH_CACHE_DIR": str(folder / "cache")}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_its_commands_run(folder: Path) -> None:
    """In the order of the page."""
    (page,) = blocks("sh")
    for line in page.strip().splitlines():
        command, *words = shlex.split(line)
        assert command == "match"
        assert run([sys.executable, "-c", "from matcher.cli import main; main()", *words], folder)
    written = ("master", "blended", "mixed", "from-plan", "restored", "removed")
    for name in (*(f"{stem}.wav" for stem in written), "quieter.flac", "plan.json", "report.html"):
        assert (folder / name).stat().st_size > 1000


def test_its_python_runs(folder: Path) -> None:
    """And prints a verdict."""
    (page,) = blocks("python")
    assert "reference" in run([sys.executable, "-c", page], folder)
    assert (folder / "python.wav").exists()
    assert (folder / "both.wav").exists()


def test_its_options_exist() -> None:
    """Every option it names is in `--help`, and the two commands are in the Makefile."""
    ask = [sys.executable, "-c", "from matcher.cli import main; main()", "--help"]
    shown = subprocess.run(ask, capture_output=True, text=True, check=True).stdout
    table = README[README.index("| option |") : README.index("`match --help` has")]
    for option in re.findall(r"`(--[a-z-]+)", table):
        assert option in shown
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make ([a-z-]+)", README, flags=re.MULTILINE):
        assert re.search(rf"^{target}:", rules, flags=re.MULTILINE)
