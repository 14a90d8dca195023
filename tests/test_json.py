"""What `--json` prints is what `docs/json.md` says: what comes stands there, and what stands there comes."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest

from dsp.audio import Audio
from matcher.cli import cli
from matcher.demo import mastered, song, unfinished
from matcher.features import Features
from matcher.io import write_audio

PAGE = (Path(__file__).parents[1] / "docs" / "json.md").read_text(encoding="utf-8")
FEATURES = set(Features.__struct_fields__)
Section = dict[str, str]


def sections() -> dict[str, Section]:
    """Anchor to the fields of its table, each with what is said of it."""
    found: dict[str, Section] = {}
    for part in PAGE.split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        rows = re.findall(r"^\| (`.+?) \| (.+) \|$", text, flags=re.MULTILINE)
        fields = {name: said for names, said in rows for name in re.findall(r"`([a-z0-9_]+)`", names)}
        found[title.lower().replace(" ", "-")] = fields
    return found


SECTIONS = sections()
COMMANDS = dict(
    re.findall(r"^\| `match ?([a-z ]*?)(?: TARGET REFERENCE)?` \| .*?\(#([a-z-]+)\)", PAGE, flags=re.MULTILINE)
)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Command to what it prints, in several ways."""
    folder = tmp_path_factory.mktemp("json")
    mix = unfinished(song(1, seconds=5.0))
    made = {
        "mix.wav": mix, "reference.wav": mastered(song(2, seconds=5.0, style="dance")),
        "clipped.wav": Audio(np.clip(4.0 * mix.samples, -0.5, 0.5), mix.sample_rate_hz),
    }  # fmt: skip
    for name, audio in made.items():
        write_audio(folder / name, audio)
    (folder / "songs").mkdir()
    write_audio(folder / "songs" / "song.wav", mix)
    (folder / "songs" / "bad.wav").write_bytes(b"no sound")
    environment = os.environ | {"MATCH_CACHE_DIR": str(folder / "cache"), "MATCH_PRESETS_DIR": str(folder / "own")}

    def run(*words: str, codes: tuple[int, ...] = (0,)) -> Any:
        ask = [sys.executable, "-c", "from matcher.cli import main; main()", *words, "--json"]
        done = subprocess.run(ask, cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode in codes, done.stderr
        return json.loads(done.stdout)

    places = ("--for", "spotify,cd", "--codec-check", "mp3:128")
    return {
        "": [
            run("mix.wav", "reference.wav", "-o", "m.wav", "--plan", "plan.json", *places),
            run("mix.wav", "--preset", "folk", "-o", "folk.wav"),
        ],
        "render": [run("render", "mix.wav", "plan.json", "-o", "again.wav")],
        "analyze": [run("analyze", "mix.wav", "--music")],
        "inspect": [run("inspect", "mix.wav", "clipped.wav")],
        "restore": [run("restore", "clipped.wav", "-o", "whole.wav")],
        "deliver": [run("deliver", "m.wav", "--for", "spotify", "--deliver", "out")],
        "album": [run("album", "reference.wav", "mix.wav", "clipped.wav", "-o", "album")],
        "batch": [run("batch", "songs", "reference.wav", "-o", "masters", codes=(3,))],
        "learn": [run("learn", "mix.wav", "reference.wav", "clipped.wav", "-n", "three", "-o", "three.json")],
        "presets": [run("presets")],
        "presets compare": [run("presets", "compare", "folk", "metal")],
    }


def with_json(group: click.Group, before: str = "") -> Iterator[str]:
    """The commands that take `--json`; the main job has no name."""
    for name, command in group.commands.items():
        path = "" if name == "master" else f"{before} {name}".strip()
        if any("--json" in option.opts for option in command.params):
            yield path
        if isinstance(command, click.Group):
            yield from with_json(command, path)


def walk(value: Any, section: str, came: set[tuple[str, str]]) -> None:
    """Hold a value, or each of a list, to a section and to those that it leads to."""
    for item in value if isinstance(value, list) else [value]:
        for name, inner in item.items():
            assert name in SECTIONS[section], f"{section}: `{name}` is not on the page"
            came.add((section, name))
            link = re.search(r"\(#([a-z-]+)\)", SECTIONS[section][name])
            nested = isinstance(inner, dict) or (isinstance(inner, list) and inner and isinstance(inner[0], dict))
            first = inner[0] if isinstance(inner, list) and nested else None
            if first is not None and set(first) == FEATURES:  # a preset's centre: the page leads to its own description
                assert "#features-of-a-track" in SECTIONS[section][name]
            elif link is not None and nested:
                record = SECTIONS[section][name].startswith("record")
                walk(list(inner.values()) if record else inner, link[1], came)
            elif nested:
                assert "plan-and-profile.md" in SECTIONS[section][name] or "record" in SECTIONS[section][name], name


def test_every_command_is_there(printed: dict[str, list[Any]]) -> None:
    """Those that have `--json` are those of the page, and all of them are looked at."""
    assert set(printed) == set(COMMANDS) == set(with_json(cli))


def test_all_that_comes_is_on_the_page(printed: dict[str, list[Any]]) -> None:
    """And all that is on the page comes."""
    came: set[tuple[str, str]] = set()
    for command, outputs in printed.items():
        for output in outputs:
            walk(output, COMMANDS[command], came)
    assert {(section, name) for section, fields in SECTIONS.items() for name in fields} - came == set()
