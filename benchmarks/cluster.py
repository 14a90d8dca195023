"""A corpus through a Dask cluster beside one process: the same rows, how fast, and how much memory.

    python benchmarks/cluster.py [--tracks 2000] [--seconds 5] [--workers 3] [--folder FOLDER] [--json FILE]

Starts a scheduler and workers on loopback, makes short synthetic tracks (or takes those of FOLDER), collects their
figures into a table once in one process and once through the cluster, and learns a preset from either. Efficiency is
the cluster's throughput over that of one process times the cores that can work at once. Memory is the resident set of
client and scheduler, in the middle and at the end of the run: flat where both are alike.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np
from rich.console import Console
from rich.table import Table

from dsp.audio import Audio
from matcher import tables as table_files
from matcher.executors import executor
from matcher.features import Features
from matcher.io import SOUNDS, write_audio
from matcher.preset_sums import learn_many

RATE_HZ = 44_100


def tracks(count: int, seconds: float, room: Path) -> list[Path]:
    """Short tracks, each of its own: a chord with a beat, coloured noise around it."""
    files = []
    time_s = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    for number in range(count):
        rng = np.random.default_rng(number)
        chord = sum(np.sin(2.0 * np.pi * hz * time_s) for hz in rng.uniform(60.0, 2000.0, 4)) / 8.0
        noise = np.cumsum(rng.standard_normal((2, len(time_s))), axis=1)
        noise -= noise.mean(axis=1, keepdims=True)
        beat = np.exp(-4.0 * (time_s * rng.uniform(1.5, 3.0) % 1.0))
        sound = beat * (chord + 0.2 * noise / np.abs(noise).max())
        files.append(room / f"{number:05}.wav")
        write_audio(files[-1], Audio((sound / (1.5 * np.abs(sound).max())).astype(np.float32), RATE_HZ))
    return files


@contextmanager
def cluster(workers: int) -> Iterator[tuple[str, int]]:
    """Address and process of a scheduler with worker processes of one thread each, on loopback."""
    begin = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen([*begin, "--no-dashboard", "--no-show"], stderr=subprocess.PIPE)
    assert scheduler.stderr is not None
    address = next(part for line in scheduler.stderr for part in line.decode().split() if part.startswith("tcp://"))
    work = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-dashboard"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [subprocess.Popen(work, **quiet) for _ in range(workers)]
    try:
        from distributed import Client

        with Client(address, set_as_default=False) as client:
            client.wait_for_workers(workers, timeout=60)
        yield address, scheduler.pid
    finally:
        for process in (*processes, scheduler):
            process.terminate()
            process.wait()
        scheduler.stderr.close()


def resident_mib(process: int) -> float:
    """Resident set of a process (Linux)."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2.0**20


class Memory:
    """Resident sets of some processes at shares of the way."""

    def __init__(self, **processes: int) -> None:
        self.processes = processes
        self.seen: dict[str, list[float]] = {name: [] for name in processes}
        self._marks = [0.25, 0.5, 0.75, 1.0]

    def __call__(self, done: float) -> None:
        if self._marks and done >= self._marks[0]:
            self._marks.pop(0)
            for name, process in self.processes.items():
                self.seen[name].append(round(resident_mib(process), 1))


@click.command(help=(__doc__ or "").split("\n")[0])
@click.option("--tracks", "count", type=click.IntRange(1), default=2000, show_default=True)
@click.option("--seconds", type=click.FloatRange(1.0), default=5.0, show_default=True, help="Length of a made track.")
@click.option("--workers", type=click.IntRange(1), default=3, show_default=True)
@click.option("--folder", type=click.Path(exists=True, file_okay=False, path_type=Path), help="Tracks of your own.")
@click.option("--json", "data", type=click.Path(dir_okay=False, path_type=Path), help="Every figure.")
def main(count: int, seconds: float, workers: int, folder: Path | None, data: Path | None) -> None:
    with tempfile.TemporaryDirectory() as place:
        room = Path(place)
        if folder is None:
            files = tracks(count, seconds, room)
        else:
            files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SOUNDS)
        rows: list[dict[str, Any]] = []
        tables: dict[str, Path] = {}
        with cluster(workers) as (address, scheduler):
            ways: dict[str, dict[str, Any]] = {
                "one process": {"jobs": 1},
                f"cluster of {workers}": {"scheduler": address},
            }
            for name, way in ways.items():
                memory = Memory(client=os.getpid(), scheduler=scheduler)
                tables[name] = room / f"{len(tables)}.parquet"
                started = time.perf_counter()
                with executor(**way) as workers_here:
                    failed = table_files.collect(files, tables[name], workers_here, use_cache=False, progress=memory)
                spent = time.perf_counter() - started
                rows.append({"way": name, "seconds": spent, "tracks_a_second": len(files) / spent, **memory.seen})
                if failed:
                    raise click.ClickException(f"{name}: {failed[0].path}: {failed[0].cause}")
        one, many = rows
        cores = min(workers, os.cpu_count() or 1)
        efficiency = one["seconds"] / many["seconds"] / cores
        started = time.perf_counter()
        learned = [
            learn_many(lambda path=path: (Features.of(row) for row in table_files.rows_of(path)), "corpus")
            for path in tables.values()
        ]
        learning_s = (time.perf_counter() - started) / len(learned)
        presets_same = learned[0].content_hash == learned[1].content_hash
        same = table_files.read(tables[str(one["way"])]) == table_files.read(tables[str(many["way"])])
    table = Table("way", "s", "tracks/s", "client MiB at 1/4..4/4", "scheduler MiB")
    for row in rows:
        memories = [" ".join(f"{mib:.0f}" for mib in row[who]) for who in ("client", "scheduler")]
        table.add_row(row["way"], f"{row['seconds']:.1f}", f"{row['tracks_a_second']:.1f}", *memories)
    Console().print(table)
    click.echo(f"{len(files)} tracks, {cores} cores at work: efficiency {efficiency:.2f}; rows equal: {same}")
    click.echo(f"preset of them in {learning_s:.1f} s, equal: {presets_same}")
    if data:
        figures = {
            "tracks": len(files),
            "cores": cores,
            "efficiency": efficiency,
            "equal": same,
            "learning_s": learning_s,
            "presets_equal": presets_same,
            "runs": rows,
        }
        data.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
