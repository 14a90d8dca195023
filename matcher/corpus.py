"""A corpus: the figures of many tracks, measured by workers, kept in a journal so that a stopped run goes on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dsp.errors import FileError
from matcher.analysis import analyze
from matcher.executors import Executor
from matcher.io import SOUNDS, content_hash, shown
from matcher.profile import PROFILE_VERSION, Profile

BATCH = 8
"""Tracks handed to a worker together: analysis takes a second or less."""


@dataclass(frozen=True)
class Row:
    """One track's figures, as measured and not rounded; the lists follow `THIRD_OCTAVES_HZ` and `OCTAVES_HZ`."""

    path: str
    name: str
    content_hash: str
    profile_version: int
    sample_rate_hz: int
    channels: int
    length_samples: int
    duration_s: float
    integrated_lufs: float
    isolated_lufs: float
    spectral_lufs: float
    range_lu: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    true_peak_dbtp: float
    sample_peak_dbfs: float
    flat_tops: int
    plr_db: float
    psr_db: float
    crest_db: float
    tilt_db_oct: float
    overall_width_db: float
    correlation: float
    bandwidth_hz: float
    figures: list[float]
    """The four of `dsp.meters.dynamics.figures`."""
    mid_db: list[float]
    side_db: list[float]
    """Level per third octave, dBFS."""
    width_db: list[float]
    """Side minus mid per octave."""

    @classmethod
    def of(cls, profile: Profile, path: Path | str) -> Row:
        """The row of a profile."""
        made = {
            "path": str(path),
            "profile_version": PROFILE_VERSION,
            "figures": profile.figures.tolist(),
            "mid_db": profile.third_octaves_db("mid").tolist(),
            "side_db": profile.third_octaves_db("side").tolist(),
            "width_db": profile.width_db.tolist(),
        }
        plain = {"str": str, "int": int, "float": float}
        rest = [f for f in fields(cls) if f.name not in made]
        return cls(**made, **{f.name: plain[str(f.type)](getattr(profile, f.name)) for f in rest})


@dataclass(frozen=True)
class Failed:
    """A track without a row, and why."""

    path: str
    cause: str


@dataclass(frozen=True)
class Measured:
    """The rows of a corpus, in a journal until they are put where they belong."""

    journal: Path
    places: tuple[int, ...]
    """Where in the journal the rows begin, in the order of the files."""
    failed: tuple[Failed, ...]

    def rows(self) -> Iterator[Row]:
        """One by one, in the order of the files; from the beginning at each call."""
        for place in self.places:
            yield _row_at(self.journal, place)

    def done(self) -> None:
        """The rows are where they belong; the journal goes."""
        self.journal.unlink(missing_ok=True)


def tracks_inside(sources: Sequence[Path]) -> list[Path]:
    """The files among `sources` and all tracks in its folders and theirs, by name; FileError where one holds none."""
    found = []
    for source in sources:
        inside = [source]
        if source.is_dir():
            inside = sorted(p for p in source.rglob("*") if p.suffix.lower() in SOUNDS and not p.name.startswith("."))
        if not inside:
            raise FileError(f"{shown(source)}: holds no track; known are {', '.join(sorted(SOUNDS))}")
        found.extend(inside)
    return found


def measure(
    files: Sequence[Path],
    journal: Path,
    workers: Executor,
    *,
    use_cache: bool = True,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Measured:
    """Analyse `files`; one that fails stops no other.

    A run that was stopped goes on where it was: each row in the journal is valid while its file's content is the same.
    force: measure anew. Raises FileError, SettingsError.
    """
    try:
        if force:
            journal.unlink(missing_ok=True)
        journal.touch()
    except OSError as error:
        raise FileError(f"{shown(journal)}: cannot be written ({error.strerror})") from error
    places = _places(journal)
    tasks = ((str(path), _hash_at(journal, places.get(str(path))), use_cache) for path in files)
    failed: dict[int, Failed] = {}
    with open(journal, "ab") as kept:
        for done, outcome in enumerate(workers.run(_row, tasks, batch=BATCH), start=1):
            path = outcome.item[0]
            if outcome.cause is not None:
                failed[outcome.index] = Failed(path, outcome.cause)
                places.pop(path, None)
            elif outcome.value is not None:
                places[path] = kept.tell()
                kept.write(json.dumps(outcome.value).encode() + b"\n")
                kept.flush()
            if progress is not None:
                progress(done / len(files))
    order = tuple(places[str(path)] for path in files if str(path) in places)
    if not order:
        journal.unlink()
    return Measured(journal, order, tuple(failed[index] for index in sorted(failed)))


def _row(task: tuple[str, str | None, bool]) -> dict[str, Any] | None:
    """In the worker: a file's row; None where the one there is still holds."""
    path, known, use_cache = task
    if known is not None and content_hash(path) == known:
        return None
    return asdict(Row.of(analyze(path, use_cache=use_cache), path))


def _places(journal: Path) -> dict[str, int]:
    """Where in the journal the row of each path begins; a line that was cut off is taken away."""
    found: dict[str, int] = {}
    if not journal.exists():
        return found
    whole = 0
    with open(journal, "rb") as lines:
        for line in lines:
            try:
                row = json.loads(line) if line.endswith(b"\n") else {}
            except ValueError:
                row = {}
            if row.get("profile_version") == PROFILE_VERSION:
                found[row["path"]] = whole
            elif not row:
                break
            whole += len(line)
    os.truncate(journal, whole)
    return found


def _row_at(journal: Path, place: int) -> Row:
    with open(journal, "rb") as lines:
        lines.seek(place)
        return Row(**json.loads(lines.readline()))


def _hash_at(journal: Path, place: int | None) -> str | None:
    return None if place is None else _row_at(journal, place).content_hash
