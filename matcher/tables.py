"""Tables of a corpus: a row of figures a track, in Parquet or Arrow, for pandas, DuckDB and `match learn`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from dsp.errors import FileError, SettingsError
from matcher.corpus import Failed, Row, measure
from matcher.executors import Executor
from matcher.io import hidden_beside, shown

SUFFIXES = (".parquet", ".arrow")
ROWS = 4096
"""Rows of a table that are in memory at once while it is written."""


def collect(
    files: Sequence[Path],
    table: Path,
    workers: Executor,
    *,
    use_cache: bool = True,
    force: bool = False,
    progress: Callable[[float], None] | None = None,
) -> list[Failed]:
    """Analyse `files` into a table, in their order; what is left is the tracks that failed. No table is made of none.

    A run that was stopped goes on where it was: rows are kept in a journal beside the table until it is whole. force:
    measure anew, and replace a table that exists. Raises FileError, SettingsError.
    """
    check_table(table, force=force)
    journal = table.with_name(f"{table.name}.journal")
    found = measure(files, journal, workers, use_cache=use_cache, force=force, progress=progress)
    if found.places:
        write(table, found.rows())
        found.done()
    return list(found.failed)


def check_table(table: Path, *, force: bool) -> None:
    """Refuse before any work what could not be written after it."""
    if table.suffix not in SUFFIXES:
        raise FileError(f"{shown(table)}: ends in {table.suffix or 'nothing'}; a table is {' or '.join(SUFFIXES)}")
    if not table.parent.is_dir():
        raise FileError(f"{shown(table)}: its folder {shown(table.parent)} does not exist")
    if table.exists() and not force:
        raise FileError(f"{shown(table)}: exists already; choose another name, or force it")
    _arrow()


def write(path: Path, rows: Iterator[Row]) -> None:
    """Write a table whole or not at all, a few thousand rows in memory at a time."""
    pa = _arrow()
    schema = _schema(pa)
    temporary = hidden_beside(path)
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
