"""README and documentation keep their word: their commands and Python run, and what is generated is current."""

from __future__ import annotations

import os
import re
import runpy
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


DOCS = sorted((ROOT / "docs").glob("*.md"))


def blocks(language: str, page: str = README) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, flags=re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the README speaks of."""
    return filled(tmp_path_factory.mktemp("readme"))


def filled(place: Path) -> Path:
    """The files that every page speaks of."""
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
    environment = os.environ | {"MATCH_CACHE_DIR": str(folder / "cache"), "MATCH_PRESETS_DIR": str(folder / "own")}
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


@pytest.mark.parametrize("page", DOCS, ids=lambda path: path.name)
def test_the_documentation_runs(page: Path, tmp_path: Path) -> None:
    """Every command and every piece of Python of a page, in its order."""
    text = page.read_text(encoding="utf-8")
    found = re.findall(r"```(sh|python)\n(.*?)```", text, flags=re.DOTALL)
    folder = filled(tmp_path) if found else tmp_path
    for language, code in found:
        if language == "python":
            run([sys.executable, "-c", code], folder)
            continue
        for line in code.strip().splitlines():
            command, *words = shlex.split(line)
            assert command == "match"
            run([sys.executable, "-c", "from matcher.cli import main; main()", *words], folder)


MADE = [("make_cli.py", "cli.md"), ("make_schema.py", "plan-and-profile.md"), ("make_delivery.py", "delivery.md")]


@pytest.mark.parametrize(("maker", "page"), MADE)
def test_what_is_generated_is_current(maker: str, page: str) -> None:
    """The command line's reference is what `--help` says, the schema what the types are, the places as decided by."""
    made = runpy.run_path(str(ROOT / "docs" / maker))["page"]()
    assert made == (ROOT / "docs" / page).read_text(encoding="utf-8"), f"python docs/{maker} writes it anew"


def test_links_lead_somewhere() -> None:
    """Every file that a page links to is there."""
    for page in (ROOT / "README.md", *DOCS):
        for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (page.parent / link).exists(), f"{page.name}: {link}"
