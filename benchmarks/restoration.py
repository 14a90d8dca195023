"""How good the repairs are, beside textbook methods, on a folder of music: clean, clicks, gaps, clips, hum, hiss.

    python benchmarks/restoration.py FOLDER [--part clean|clicks|gaps|clips|instruments|hum|hiss|matched|all]
        [--count 10] [--seconds 8] [--seed 1] [--json FILE] [--plot FILE.svg]

FOLDER holds one folder an album; excerpts are drawn from all of them in turn. `clean` searches whole tracks and tells
how much the repair of what it finds would change them, in dB re the track.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import rich.box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks.judging.sound import RATE_HZ, albums, read
from benchmarks.repairs import clicks, clips, gaps, hiss, hum, matched
from benchmarks.repairs.waves import drawing
from dsp.audio import Audio
from matcher.damage import inspect
from matcher.io import open_audio
from matcher.mending import Mended

Excerpts = list[tuple[str, Audio]]
Rows = list[dict[str, Any]]
QUIETEST = 0.01
"""RMS of an excerpt that says something."""


def excerpts(folder: Path, count: int, seconds: float, seed: int) -> Excerpts:
    """Stretches of tracks, an album after the other, so that few come from one."""
    rng, found = np.random.default_rng(seed), []
    lists = [list(rng.permutation(np.array([str(p) for p in tracks]))) for tracks in albums(folder)]
    while len(found) < count and any(lists):
        for tracks in lists:
            if tracks and len(found) < count:
                path = Path(tracks.pop())
                sound = read(path, rng.random(), seconds)
                if np.sqrt(np.mean(sound**2)) > QUIETEST and len(sound) >= 0.9 * seconds * RATE_HZ:
                    samples = np.ascontiguousarray(np.clip(sound, -1.0, 1.0).T.astype(np.float32))
                    found.append((f"{path.parent.name[:12]}/{path.stem[:20]}", Audio(samples, RATE_HZ)))
    return found


def clean(folder: Path) -> Rows:
    """What is found in each track, and by how much its repair would change it."""
    rows: Rows = []
    for path in (path for tracks in albums(folder) for path in tracks):
        damage = inspect(path, use_cache=False)
        changed_db = -300.0
        if damage.mendable:
            with open_audio(path) as original, Mended.of(original, damage.chain) as mended:
                taken, whole, start = 0.0, 0.0, 0
                for block in mended.blocks():
                    before = original.read(start, block.shape[1]).astype(np.float64)
                    taken += float(np.sum((before - block) ** 2))
                    whole += float(np.sum(before**2))
                    start += block.shape[1]
                changed_db = float(10.0 * np.log10(max(taken, 1e-30) / whole))
        said = "; ".join(f"{finding.kind}: {finding.said}" for finding in damage.findings)
        rows.append({"name": f"{path.parent.name}/{path.name}", "changed_db": changed_db, "said": said})
    return rows


def mean_by(rows: Sequence[Any], keys: tuple[str, ...], least: str | None = None) -> Rows:
    """Means of all figures over the rows that agree in `keys`, and the least of one."""
    data = [row if isinstance(row, dict) else dataclasses.asdict(row) for row in rows]
    groups: dict[tuple[Any, ...], Rows] = {}
    for row in data:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    found = []
    for group, members in groups.items():
        numbers = [k for k, v in members[0].items() if isinstance(v, int | float) and k not in keys]
        means = {k: float(np.nanmean([float(m[k]) for m in members])) for k in numbers}
        row = dict(zip(keys, group, strict=True)) | {"n": len(members)} | means
        found.append(row if least is None else row | {f"least_{least}": min(float(m[least]) for m in members)})
    return found


PARTS: dict[str, Callable[[Excerpts], dict[str, Rows]]] = {
    "clicks": lambda found: {
        "clicks found": mean_by(clicks.detection(found), ("per_minute",)),
        "clicks repaired, median SNR": clicks.repair(found),
    },
    "gaps": lambda found: {"gaps found": gaps.find(found), "gaps filled, median SNR": gaps.fill(found)},
    "clips": lambda found: {"declipping, SDR gain": mean_by(clips.rows(found), ("input_sdr_db",), "match_db")},
    "instruments": lambda found: {
        "declipping of solo instruments": mean_by(clips.rows(clips.instruments()), ("input_sdr_db",), "match_db")
    },
    "hum": lambda found: {"hum": mean_by(hum.rows(found), ("level_dbfs", "tool"))},
    "matched": lambda found: {"matched damaged beside matched whole": matched.rows(found)},
    "hiss": lambda found: {"hiss": mean_by(hiss.rows(found), ("colour", "snr_db", "tool"))},
}


def show(console: Console, title: str, rows: Rows) -> None:
    """One table."""
    table = Table(title=title, box=rich.box.SIMPLE, pad_edge=False)
    for name in rows[0]:
        table.add_column(name.replace("_", " "), justify="left" if isinstance(rows[0][name], str) else "right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    console.print(table)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--part", type=click.Choice(["clean", *PARTS, "all"]), default="all")
@click.option("--count", type=click.IntRange(1, 1000), default=10)
@click.option("--seconds", type=click.FloatRange(4.0, 600.0), default=8.0)
@click.option("--seed", type=int, default=1)
@click.option("--json", "json_path", type=click.Path(path_type=Path), default=None)
@click.option("--plot", type=click.Path(path_type=Path), default=None)
def main(
    folder: Path, part: str, count: int, seconds: float, seed: int, json_path: Path | None, plot: Path | None
) -> None:
    """Measure, print, and keep what is asked for."""
    console, tables = Console(highlight=False), dict[str, Rows]()
    if part in ("clean", "all"):
        tables["whole tracks in which something is found"] = [row for row in clean(folder) if row["said"]]
    drawn = excerpts(folder, count, seconds, seed)
    if not drawn:
        raise click.ClickException(f"{folder}: no music of {seconds:g} s in it or in its folders")
    for name, measure in PARTS.items():
        if part in (name, "all"):
            tables |= measure(drawn)
    for title, rows in tables.items():
        if rows:
            show(console, title, rows)
        else:
            console.print(f"{title}: none")
    if json_path is not None:
        json_path.write_text(json.dumps(tables, indent=2) + "\n")
    if plot is not None:
        plot.write_text(drawing(drawn[0][1]))


if __name__ == "__main__":
    main()
