"""Where presets are: the user's own, and those shipped in `references/`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from dsp.errors import PresetError
from matcher import priors
from matcher.io import shown
from matcher.presets import Preset, read_preset

ENDING = ".json"


@dataclass(frozen=True)
class Stored:
    """A preset and the file it is in."""

    preset: Preset
    path: Path


def folder() -> Path:
    """Where the user's own presets are: MATCH_PRESETS_DIR, or the user's data folder."""
    return Path(os.environ.get("MATCH_PRESETS_DIR") or Path(platformdirs.user_data_dir("match")) / "presets")


def paths() -> dict[str, Path]:
    """The file of each preset by its name; the user's own before a shipped one of the same name."""
    found: dict[str, Path] = {}
    for place in (priors.folder(), folder()):
        if place.is_dir():
            found |= {path.stem: path for path in sorted(place.glob(f"*{ENDING}")) if path.name != priors.FILE}
    return dict(sorted(found.items()))


def every() -> list[Stored]:
    """All presets, by name. Raises FileError, PresetError."""
    return [Stored(read_preset(path), path) for path in paths().values()]


def find(name: str) -> Stored:
    """The preset of a name, or in a file whose name ends in .json. Raises FileError, PresetError."""
    return Stored(read_preset(name), Path(name)) if name.endswith(ENDING) else named(name)


def named(name: str) -> Stored:
    """The preset of a name, never of a path. Raises FileError, PresetError."""
    known = paths()
    if name not in known:
        names = ", ".join(known) or "none"
        raise PresetError(f"preset {shown(name)}: there is none of this name; there are {names}, or a file in {ENDING}")
    return Stored(read_preset(known[name]), known[name])
