"""How good the matches are, beside others, on a folder of music: recovery, style transfer, audio features.

    python benchmarks/quality.py FOLDER [--protocol recovery|style|features|all] [--count 16] [--seconds 40] [--seed 1]
        [--matchering PYTHON | --install-matchering] [--only NAME] [--jobs 2] [--json FILE] [--plot FILE.svg]
        [--keep FOLDER]

FOLDER holds one folder an album. Every competitor gets the same files: `match` as it is, with `--belief 0.75`
(match-most) and with `--belief 1` (match-all), the rule-based EQ and compressor, the untouched input and, where asked
for, Matchering in an environment of its own. Only the ratios within a run say anything of speed.
"""

from __future__ import annotations

import concurrent.futures
import json
import os
import subprocess
import sys
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import platformdirs
import rich.box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from judging.bars import drawing
from judging.competitors import UNTOUCHED, Competitor, FailedError, engine, matchering, rules
from judging.protocols import PROTOCOLS, Case
from judging.sound import albums, write


@dataclass(frozen=True)
class Job:
    """One competitor's run on one case; the files lie in `folder`."""

    protocol: str
    number: int
    case: Case
    folder: Path
    competitor: Competitor


def judged(job: Job) -> dict[str, float | str | int]:
    """The measures of one run, or `failed` and why."""
    row: dict[str, float | str | int] = {
        "protocol": job.protocol,
        "case": job.number,
        "kind": job.case.kind,
        "competitor": job.competitor.name,
    }
    output = job.folder / f"{job.competitor.name}.wav"
    try:
        made, seconds = job.competitor.master(job.folder / "target.wav", job.folder / "reference.wav", output)
    except FailedError as why:
        return row | {"failed": str(why)}
    return row | {"seconds": seconds, **PROTOCOLS[job.protocol].measure(made, job.case)}


def run(
    protocol: str, folder: Path, count: int, seconds: float, seed: int, who: list[Competitor], jobs: int, room: Path
) -> list[dict[str, float | str | int]]:
    """All competitors on all cases of a protocol."""
    rng = np.random.default_rng(seed)
    rows = []
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for number, case in enumerate(PROTOCOLS[protocol].cases(albums(folder), count, seconds, rng)):
            place = room / f"{protocol}-{number:03d}"
            place.mkdir(parents=True, exist_ok=True)
            for name, sound in (("target", case.target), ("reference", case.reference), ("truth", case.truth)):
                if sound is not None:
                    write(place / f"{name}.wav", sound)
            rows += pool.map(judged, [Job(protocol, number, case, place, each) for each in who])
            click.echo(f"\r{protocol} {number + 1}/{count}", nl=False, err=True)
    click.echo("", err=True)
    return rows


def means(rows: list[dict[str, float | str | int]], kind: str | None = None) -> dict[str, dict[str, float]]:
    """Competitor to the mean of every measure over the cases in which nobody failed."""
    failed = {(r["protocol"], r["case"]) for r in rows if "failed" in r}
    found: dict[str, dict[str, float]] = {}
    for name in dict.fromkeys(str(r["competitor"]) for r in rows):
        mine = [r for r in rows if r["competitor"] == name and kind in (None, r["kind"])]
        mine = [r for r in mine if (r["protocol"], r["case"]) not in failed]
        keys = [k for k, v in mine[0].items() if isinstance(v, float)] if mine else []
        found[name] = {k: float(np.mean([float(r[k]) for r in mine])) for k in keys}
    return found


def show(console: Console, protocol: str, rows: list[dict[str, float | str | int]]) -> None:
    """One table of a protocol: a line for each kind of case and competitor, the best of each in bold."""
    digits = {"centroid_hz": 0, "seconds": 1, "recovered": 3, "af_loss": 3, "af_all_loss": 3}
    kinds = list(dict.fromkeys(str(r["kind"]) for r in rows))
    table = Table(title=PROTOCOLS[protocol].title, box=rich.box.SIMPLE, padding=(0, 1, 0, 0))
    columns: list[str] = []
    for kind in kinds:
        by_name = means(rows, kind)
        if not columns:
            columns = list(next(iter(by_name.values()), {}))
            for column in ("", "n", *columns):
                table.add_column(column.replace("_", "\n"), justify="right" if column else "left", no_wrap=True)
        count = len({r["case"] for r in rows if r["kind"] == kind})
        for name, values in by_name.items():
            cells = []
            for column in columns:
                all_values = [v[column] for v in by_name.values() if column in v]
                best = max(all_values) if column in PROTOCOLS[protocol].higher else min(all_values)
                text = f"{values[column]:.{digits.get(column, 2)}f}" if column in values else "-"
                cells.append(f"[bold]{text}[/bold]" if column != "seconds" and values.get(column) == best else text)
            table.add_row(f"{name}, {kind}", str(count), *cells)
    console.print(table)
    for row in rows:
        if "failed" in row:
            console.print(f"{protocol} {row['case']}: {row['competitor']} failed, {row['failed']}", style="red")


def own_matchering() -> str:
    """The interpreter of an environment with Matchering, made in the user's cache on first use."""
    place = Path(platformdirs.user_cache_dir("match")) / "benchmarks" / "matchering"
    python = place / "bin" / "python"
    if not python.exists():
        venv.create(place, with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "matchering==2.0.6"], check=True)
    return str(python)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--protocol", type=click.Choice([*PROTOCOLS, "all"]), default="all", show_default=True)
@click.option("--count", type=click.IntRange(1), default=16, show_default=True, help="Cases of each protocol.")
@click.option("--seconds", type=click.FloatRange(5.0), default=40.0, show_default=True, help="Length of an excerpt.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--matchering", "python", type=click.Path(exists=True, dir_okay=False), help="Its interpreter.")
@click.option("--install-matchering", is_flag=True, help="Install Matchering 2.0.6 in an environment of its own.")
@click.option("--only", multiple=True, metavar="NAME", help="A competitor; may be given again. All by default.")
@click.option("--jobs", type=click.IntRange(1), default=max(1, (os.cpu_count() or 1)), show_default=True)
@click.option("--json", "data", type=click.Path(dir_okay=False, path_type=Path), help="Every run's measures.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="The means as SVG.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Where all sound is kept.")
def main(
    folder: Path,
    protocol: str,
    count: int,
    seconds: float,
    seed: int,
    python: str | None,
    install_matchering: bool,
    only: tuple[str, ...],
    jobs: int,
    data: Path | None,
    plot: Path | None,
    keep: Path | None,
) -> None:
    if not albums(folder):
        raise click.UsageError(f"{folder}: holds no music, nor does a folder in it")
    python = own_matchering() if install_matchering else python
    other = [matchering(python)] if python else []
    who = [
        engine("match"),
        engine("match-most", "--belief", "0.75"),
        engine("match-all", "--belief", "1"),
        rules(),
        *other,
        UNTOUCHED,
    ]
    unknown = set(only) - {each.name for each in who}
    if unknown:
        known = ", ".join(each.name for each in who)
        raise click.UsageError(f"--only: {', '.join(sorted(unknown))} is not among {known}")
    who = [each for each in who if not only or each.name in only]
    names = list(PROTOCOLS) if protocol == "all" else [protocol]
    console = Console(width=max(Console().width, 110))
    rows: list[dict[str, float | str | int]] = []
    with tempfile.TemporaryDirectory() as scratch:
        for name in names:
            found = run(name, folder, count, seconds, seed, who, jobs, keep or Path(scratch))
            if not found:
                raise click.UsageError(f"{folder}: no track is long enough for the protocol {name}")
            rows += found
            show(console, name, found)
    if data:
        data.write_text(json.dumps({"seed": seed, "seconds": seconds, "runs": rows}, indent=1) + "\n", encoding="utf-8")
    if plot:
        tables = {PROTOCOLS[n].title: means([r for r in rows if r["protocol"] == n]) for n in names}
        plot.write_text(drawing(tables), encoding="utf-8")


if __name__ == "__main__":
    main()
