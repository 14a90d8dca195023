"""A corpus as a table: one row of figures a track, in Parquet or Arrow, for pandas, DuckDB and `match learn`."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from dsp.errors import FileError, SettingsError
from matcher.analysis import analyze
from matcher.executors import Executor
from matcher.io import content_hash, shown
from matcher.profile import PROFILE_VERSION, Profile

SUFFIXES = (".parquet", ".arrow")
BATCH = 8
"""Tracks handed to a worker together: analysis takes a second or less."""
ROWS = 4096
"""Rows of a table that are in memory at once while it is written."""


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


def collect(
    files: Sequence[Path],
    table: Path,
    workers: Executor,
    *,
    use_cache: bool = True,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[Failed]:
    """Analyse `files` into a table, in their order; what is left is the tracks that failed.

    A run that was stopped goes on where it was: rows are kept in a journal beside the table until it is whole, each
    valid while its file's content is the same. force: measure anew, and replace a table that exists. Raises FileError,
    SettingsError.
    """
    check_table(table, force=force)
    journal = table.with_name(f"{table.name}.journal")
    if force:
        journal.unlink(missing_ok=True)
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
    order = [places[str(path)] for path in files if str(path) in places]
    write(table, (_row_at(journal, place) for place in order))
    journal.unlink()
    return [failed[index] for index in sorted(failed)]


def check_table(table: Path, *, force: bool) -> None:
    """Refuse before any work what could not be written after it."""
    if table.suffix not in SUFFIXES:
        raise FileError(f"{shown(table)}: ends in {table.suffix or 'nothing'}; a table is {' or '.join(SUFFIXES)}")
    if not table.parent.is_dir():
        raise FileError(f"{shown(table)}: its folder {shown(table.parent)} does not exist")
    if table.exists() and not force:
        raise FileError(f"{shown(table)}: exists already; choose another name, or force it")
    _arrow()


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


def write(path: Path, rows: Iterator[Row]) -> None:
    """Write a table whole or not at all, a few thousand rows in memory at a time."""
    pa = _arrow()
    schema = _schema(pa)
    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        with _writer(temporary, schema) as writer:
            waiting: list[dict[str, Any]] = []
            for row in rows:
                waiting.append(asdict(row))
                if len(waiting) == ROWS:
                    writer.write_table(pa.Table.from_pylist(waiting, schema))
                    waiting = []
            writer.write_table(pa.Table.from_pylist(waiting, schema))
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be written ({error})") from error
    finally:
        with suppress(OSError):  # it is gone where all went well
            temporary.unlink()


def read(path: Path | str) -> list[Row]:
    """The rows of a table that `collect` or `write` made; FileError where it is none."""
    return list(rows_of(path))


def rows_of(path: Path | str) -> Iterator[Row]:
    """The rows of a table one by one, a few thousand in memory at a time; FileError where it is none."""
    pa, path = _arrow(), Path(path)
    names = [f.name for f in fields(Row)]
    try:
        for batch in _batches(path):
            missing = [name for name in names if name not in batch.schema.names]
            if missing:
                raise FileError(f"{shown(path)}: has no column {missing[0]}; match analyze --table makes such tables")
            for row in batch.select(names).to_pylist():
                yield Row(**row)
    except (OSError, pa.ArrowInvalid) as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{shown(path)}: cannot be read as a table ({str(error).splitlines()[0]})") from error


def _batches(path: Path) -> Iterator[Any]:
    if path.suffix == ".arrow":
        with _arrow().ipc.open_file(path) as file:
            yield from (file.get_batch(i) for i in range(file.num_record_batches))
        return
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        yield from file.iter_batches(ROWS)


def _writer(path: Path, schema: Any) -> Any:
    if path.suffix == ".arrow":
        return _arrow().ipc.new_file(path, schema)
    from pyarrow import parquet

    return parquet.ParquetWriter(path, schema, compression="zstd")


def _schema(pa: Any) -> Any:
    kinds = {"str": pa.string(), "int": pa.int64(), "float": pa.float64(), "list[float]": pa.list_(pa.float64())}
    return pa.schema([(f.name, kinds[str(f.type)]) for f in fields(Row)])


def _arrow() -> Any:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError as error:
        raise SettingsError('table: needs pyarrow; pip install "match-master[table]"') from error
    return pyarrow
