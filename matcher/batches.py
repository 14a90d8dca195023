"""Many matches in one go: each target to its reference, resumable, whatever becomes of the others."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from dsp.errors import FileError, MatchError
from matcher.aims import Aims
from matcher.executors import Executor
from matcher.io import SOUNDS, content_hash, left_over, shown
from matcher.matching import match
from matcher.preset_choosing import Choice
from matcher.presets import read_preset
from matcher.version import VERSION

JOURNAL = "match-batch.jsonl"
COLUMNS = ("target", "reference", "output")


@dataclass(frozen=True)
class Task:
    """One match."""

    target: Path
    reference: Path
    """A track, or a preset in a .json."""
    output: Path


@dataclass(frozen=True)
class Manner:
    """How every match of a batch is made."""

    aims: Aims = field(default_factory=Aims)
    bit_depth: int | None = None
    sample_rate_hz: int | None = None
    use_cache: bool = True


@dataclass(frozen=True)
class Done:
    """What became of one match; `kept` where a run before had made it, `cause` where it failed."""

    task: Task
    kept: bool = False
    cause: str | None = None
    entry: dict[str, Any] = field(default_factory=dict)
    """What the journal says of it; empty where it failed."""

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        state = "failed" if self.cause is not None else "kept" if self.kept else "made"
        figures = {name: self.entry.get(name) for name in ("output_hash", "integrated_lufs", "true_peak_dbtp")}
        paths = {name: shown(getattr(self.task, name)) for name in COLUMNS}
        return {**paths, "state": state, "cause": self.cause, **figures}


def tasks_of(source: Path, reference: Path | None, folder: Path) -> list[Task]:
    """The matches of a folder of targets, or of a CSV with the columns target, reference and maybe output.

    Paths in a CSV count from its folder, outputs from `folder`. Raises FileError.
    """
    found = _listed(source, reference, folder) if source.is_file() else _inside(source, reference, folder)
    if not found:
        raise FileError(f"{shown(source)}: holds nothing to match")
    seen: dict[str, Task] = {}
    for task in found:
        for path in (task.target, task.output):
            if "\0" in str(path):
                raise FileError(f"{shown(source)}: {shown(path)} is no name that a file can have")
        place = os.path.realpath(task.output)
        if place in seen:
            both = f"{shown(seen[place].target)} and {shown(task.target)}"
            raise FileError(f"{shown(task.output)}: would be the output of {both}; give them outputs of their own")
        seen[place] = task
    return found


def _inside(source: Path, reference: Path | None, folder: Path) -> list[Task]:
    if not source.is_dir():
        raise FileError(f"{shown(source)}: is neither a folder nor a CSV file")
    if reference is None:
        raise FileError(f"{shown(source)}: is a folder; a reference or a preset for its tracks is needed")
    targets = sorted(p for p in source.iterdir() if p.is_file() and p.suffix.lower() in SOUNDS)
    return [Task(target, reference, folder / f"{target.stem}-mastered.wav") for target in targets]


def _listed(source: Path, reference: Path | None, folder: Path) -> list[Task]:
    found = []
    try:
        with open(source, newline="", encoding="utf-8-sig") as file:
            for number, line in enumerate(csv.DictReader(file), start=2):
                own = {name: (line.get(name) or "").strip() for name in COLUMNS}
                if not own["target"] or not (own["reference"] or reference):
                    missing = "target" if not own["target"] else "reference"
                    raise FileError(f"{shown(source)}: line {number} has no {missing}")
                target = source.parent / own["target"]
                goal = source.parent / own["reference"] if own["reference"] else reference
                assert goal is not None
                found.append(Task(target, goal, folder / (own["output"] or f"{target.stem}-mastered.wav")))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        if isinstance(error, MatchError):
            raise
        raise FileError(f"{shown(source)}: cannot be read as a CSV file ({error})") from error
    return found


def run(
    tasks: Sequence[Task],
    folder: Path,
    workers: Executor,
    manner: Manner | None = None,
    *,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[Done]:
    """Make every match; a `Done` for each, in order.

    A journal in `folder` says what was begun and what was made of which content: a second run keeps the outputs that
    are still right and makes the rest. force: make all anew, and replace files that are not ours. One failure stops no
    other. Raises FileError where `folder` cannot be written to.
    """
    manner = manner or Manner()
    path = folder / JOURNAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.touch()
    except OSError as error:
        raise FileError(f"{shown(folder)}: no folder that can be written to ({error.strerror})") from error
    known = read_journal(path)
    results: dict[int, Done] = {}
    with open(path, "a", encoding="utf-8") as journal:

        def note(entry: dict[str, Any]) -> None:
            journal.write(json.dumps(entry, ensure_ascii=False) + "\n")
            journal.flush()

        def begun() -> Iterator[tuple[Task, Manner, dict[str, Any] | None, bool]]:
            for task in tasks:
                last = known.get(str(task.output))
                # What is begun is ours: a file found there after a crash may be replaced.
                ours = last is not None or not task.output.exists()
                if last is None and ours:
                    note({"output": str(task.output), "state": "begun"})
                yield task, manner, None if force else last, force or ours

        for done, outcome in enumerate(workers.run(_made, begun()), start=1):
            task = outcome.item[0]
            _sweep(task.output)
            if outcome.cause is not None:
                if outcome.item[3]:
                    note({"output": str(task.output), "state": "failed", "cause": outcome.cause})
            elif not outcome.value["kept"]:
                note(outcome.value["entry"])
            kept = outcome.cause is None and outcome.value["kept"]
            entry = {} if outcome.cause is not None else outcome.value["entry"]
            results[outcome.index] = Done(task, kept, outcome.cause, entry)
            if progress is not None:
                progress(done / len(tasks))
    return [results[index] for index in sorted(results)]


def _sweep(output: Path) -> None:
    """Take away what a worker that was killed has left of an output; whoever came after it is done."""
    with contextlib.suppress(OSError):
        for path in left_over(Path(os.path.realpath(output))):
            path.unlink()


def read_journal(path: Path) -> dict[str, dict[str, Any]]:
    """The last entry of each output; a line that was cut off counts for nothing, and is taken away."""
    found: dict[str, dict[str, Any]] = {}
    if not path.exists():
        return found
    whole = 0
    with open(path, "rb") as lines:
        for line in lines:
            try:
                entry = json.loads(line) if line.endswith(b"\n") else None
            except ValueError:
                entry = None
            if entry is None:
                break
            found[entry["output"]] = entry
            whole += len(line)
    os.truncate(path, whole)
    return found


def _made(given: tuple[Task, Manner, dict[str, Any] | None, bool]) -> dict[str, Any]:
    """In the worker: make one match, unless what was made before still holds."""
    task, manner, last, ours = given
    key = _key(task, manner)
    made = last is not None and last.get("key") == key and task.output.exists()
    if made and last is not None and content_hash(task.output) == last["output_hash"]:
        return {"kept": True, "entry": last}
    is_preset = task.reference.suffix.lower() == ".json"
    report = match(
        task.target,
        Choice((read_preset(task.reference),)) if is_preset else task.reference,
        task.output,
        aims=manner.aims,
        force=ours,
        bit_depth=manner.bit_depth,
        sample_rate_hz=manner.sample_rate_hz,
        threads=1,
        use_cache=manner.use_cache,
    )
    entry = {
        "output": str(task.output),
        "state": "done",
        "key": key,
        "output_hash": content_hash(task.output),
        "target": str(task.target),
        "reference": str(task.reference),
        "integrated_lufs": round(float(report.after.integrated_lufs), 2),
        "true_peak_dbtp": round(float(report.after.true_peak_dbtp), 2),
    }
    return {"kept": False, "entry": entry}


def _key(task: Task, manner: Manner) -> str:
    """What the output depends on: both contents, the settings, the version."""
    parts = (
        VERSION,
        content_hash(task.target),
        content_hash(task.reference),
        msgspec.json.encode(manner.aims).decode(),
        task.output.suffix.lower(),
        str(manner.bit_depth),
        str(manner.sample_rate_hz),
    )
    return hashlib.blake2b("\n".join(parts).encode(), digest_size=16).hexdigest()
