"""How fast, and how much memory: whole processes, turn by turn with Matchering and a program of stock library calls.

    python benchmarks/speed.py TARGET REFERENCE [--minutes 4] [--rate 44100] [--runs 5] [--threads 2]
        [--matchering PYTHON | --install-matchering] [--no-naive] [--json FILE]

TARGET and REFERENCE are repeated or cut to so many minutes and written as 24-bit WAV at -1 dBFS. `cold` has no profile
in its cache, `cached` has both. Wall clock, processor seconds and the largest resident set of each process, as medians
with their range; ratios are ours over theirs. `--minutes` and `--rate` may be given several times. Compare only what
stands in one table.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import rich.box
import soundfile
import soxr
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from judging.competitors import engine, matchering
from quality import own_matchering


@dataclass(frozen=True)
class Cost:
    """Of one process."""

    wall_s: float
    cpu_s: float
    rss_mib: float


@dataclass(frozen=True)
class Way:
    """A way to make the master; `ready` comes before each run and is not counted."""

    name: str
    words: list[str]
    ready: Callable[[], None]
    environment: dict[str, str]


def cost(way: Way) -> Cost:
    """Run it once."""
    way.ready()
    environment = os.environ | way.environment
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # or whoever is not installed is compiled at each start
    launcher = [sys.executable, "-I", "-S", str(Path(__file__).parent / "judging" / "launcher.py")]
    told = subprocess.run([*launcher, *way.words], env=environment, check=True, capture_output=True, text=True).stdout
    wall_s, cpu_s, rss_kib, exit_code = map(float, told.split())
    if exit_code:
        raise click.ClickException(f"{way.name}: exit {exit_code:g}")
    return Cost(wall_s, cpu_s, rss_kib / 1024.0)


def written(source: Path, place: Path, minutes: float, rate_hz: int) -> None:
    """The music again and again for so long, as 24-bit WAV."""
    samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    samples = np.repeat(samples, 2, axis=1) if samples.shape[1] == 1 else samples[:, :2]
    samples = samples if rate == rate_hz else soxr.resample(samples, rate, rate_hz, quality="VHQ")
    samples = samples * (10.0 ** (-1.0 / 20.0) / np.abs(samples).max())
    left = round(60.0 * minutes * rate_hz)
    with soundfile.SoundFile(place, "w", rate_hz, 2, "PCM_24", format="RF64" if left > 3e8 else "WAV") as file:
        while left > 0:
            file.write(samples[:left])
            left -= len(samples)


def ways(pair: tuple[Path, Path], room: Path, threads: int, python: str | None, naive: bool) -> list[Way]:
    """All that are compared."""
    target, reference = pair
    cache, output = room / "cache", room / "out.wav"
    command = engine("match", "--threads", str(threads)).command
    assert command is not None
    ours = command(target, reference, output)
    own = {"MATCH_CACHE_DIR": str(cache)}
    found = [
        Way("match, cold", ours, lambda: shutil.rmtree(cache, ignore_errors=True), own),
        Way("match, cached", ours, lambda: shutil.rmtree(cache / "masters", ignore_errors=True), own),
    ]
    if python is not None:
        made = matchering(python).command
        assert made is not None
        found.append(Way("Matchering", made(target, reference, room / "matchering.wav"), lambda: None, {}))
    if naive:
        script = Path(__file__).parent / "judging" / "naive.py"
        words = [sys.executable, str(script), str(target), str(reference), str(room / "naive.wav")]
        found.append(Way("stock calls", words, lambda: None, {}))
    return found


def show(console: Console, title: str, costs: dict[str, list[Cost]]) -> None:
    """Medians with their range, and the first row as a share of each."""
    table = Table(title=title, box=rich.box.SIMPLE)
    for heading in ("", "wall s", "CPU s", "RSS MiB", "ours/theirs: wall", "CPU", "RSS"):
        table.add_column(heading, justify="right" if heading else "left")
    middle = {name: [statistics.median(getattr(c, kind) for c in found) for kind in ("wall_s", "cpu_s", "rss_mib")]
              for name, found in costs.items()}  # fmt: skip
    ours = middle["match, cold"]
    for name, found in costs.items():
        cells = []
        for kind, digits in (("wall_s", 2), ("cpu_s", 2), ("rss_mib", 0)):
            values = [getattr(c, kind) for c in found]
            low, high = min(values), max(values)
            cells.append(f"{statistics.median(values):.{digits}f} ({low:.{digits}f}-{high:.{digits}f})")
        ratios = ["" if name == "match, cold" else f"{a / b:.3f}" for a, b in zip(ours, middle[name], strict=True)]
        table.add_row(name, *cells, *ratios)
    console.print(table)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("target", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("reference", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--minutes", type=click.FloatRange(0.1), multiple=True, default=(4.0,), show_default=True)
@click.option("--rate", type=click.IntRange(8000), multiple=True, default=(44_100,), show_default=True)
@click.option("--runs", type=click.IntRange(1), default=5, show_default=True)
@click.option("--threads", type=click.IntRange(1, 2), default=2, show_default=True)
@click.option("--matchering", "python", type=click.Path(exists=True, dir_okay=False), help="Its interpreter.")
@click.option("--install-matchering", is_flag=True, help="Install Matchering 2.0.6 in an environment of its own.")
@click.option("--no-naive", is_flag=True, help="Without the program of stock calls.")
@click.option("--json", "data", type=click.Path(dir_okay=False, path_type=Path), help="Every run.")
def main(
    target: Path,
    reference: Path,
    minutes: tuple[float, ...],
    rate: tuple[int, ...],
    runs: int,
    threads: int,
    python: str | None,
    install_matchering: bool,
    no_naive: bool,
    data: Path | None,
) -> None:
    """Measure all lengths and rates."""
    console = Console(width=130)
    python = own_matchering() if install_matchering else python
    every = []
    for rate_hz in rate:
        for long in minutes:
            with tempfile.TemporaryDirectory() as name:
                room = Path(name)
                pair = room / "target.wav", room / "reference.wav"
                written(target, pair[0], long, rate_hz)
                written(reference, pair[1], min(long, 4.0), rate_hz)
                # Matchering refuses more than 15 minutes; beyond 20 the stock calls would not fit in memory.
                compared = ways(pair, room, threads, python if long <= 15.0 else None, not no_naive and long <= 20.0)
                costs: dict[str, list[Cost]] = {way.name: [] for way in compared}
                for _ in range(runs):
                    for way in compared:
                        costs[way.name].append(cost(way))
                show(console, f"{long:g} min at {rate_hz} Hz, {threads} threads, {runs} runs in turn", costs)
                rows = {way: [vars(c) for c in found] for way, found in costs.items()}
                every.append({"minutes": long, "rate_hz": rate_hz, "threads": threads, "runs": rows})
    if data is not None:
        data.write_text(json.dumps(every, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
