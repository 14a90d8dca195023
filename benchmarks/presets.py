"""What presets are worth: is a track nearest to its own kind, and does a preset bring a track where its kind is?

    python benchmarks/presets.py FOLDER [--part own|recover|both] [--seconds 60] [--seed 1] [--json FILE]

FOLDER holds one folder an album; those with five tracks and more are taken. `own`: every track is left out once, all
that presets are drawn towards included, and ranked among the presets of all albums. `recover`: every album is put
through a hidden mastering chain; a preset is learned from all masters but one, the track left out is matched to it, and
judged against its own master, beside itself at that loudness.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import click
import msgspec
import numpy as np
import rich.box
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from judging import measures
from judging.chains import master
from judging.sound import albums, at_loudness, lufs, read, write

from matcher import Choice, analyze, match, priors
from matcher.features import Features
from matcher.preset_choosing import rank
from matcher.preset_learning import around_centres, learn
from matcher.presets import as_rows

FEWEST = 5
LEVEL_LUFS = -20.0
CLOSER = {"tone": ("tone_db", "side_tone_db"), "width": ("width_db",), "dynamics": ("micro_db", "spread_db")}
"""What a track is judged by, and the measures whose mean that is."""


def own(kinds: dict[str, list[Features]]) -> dict[str, Any]:
    """Which preset each track left out is nearest to, and how sure that is said to be."""
    rows = []
    for name, tracks in kinds.items():
        for track in tracks:
            rest = {kind: [t for t in found if t is not track] for kind, found in kinds.items()}
            around = {group: as_rows(matrix) for group, matrix in around_centres(rest.values()).items()}
            prior = msgspec.structs.replace(priors.shipped(), **around)
            with mock.patch.object(priors, "shipped", return_value=prior):
                nearest = rank(track, [learn(found, kind) for kind, found in rest.items()])[0]
            rows.append({"track": track.name, "kind": name, "nearest": nearest.preset.name, "sure": nearest.share})
    right = float(np.mean([row["kind"] == row["nearest"] for row in rows]))
    return {"right": right, "said": float(np.mean([row["sure"] for row in rows])), "rows": rows}


def show_own(console: Console, found: dict[str, Any]) -> None:
    """The confusion table."""
    kinds = list(dict.fromkeys(row["kind"] for row in found["rows"]))
    table = Table(title="Left out: nearest to", box=rich.box.SIMPLE)
    for heading in ("", *kinds):
        table.add_column(heading, justify="right" if heading else "left")
    for kind in kinds:
        nearest = [row["nearest"] for row in found["rows"] if row["kind"] == kind]
        table.add_row(kind, *(str(nearest.count(other)) for other in kinds))
    console.print(table)
    console.print(f"own preset {found['right']:.0%}, said to be {found['said']:.0%} (chance {1 / len(kinds):.0%})")


def recover(
    name: str, tracks: list[Path], seconds: float, rng: np.random.Generator, room: Path
) -> list[dict[str, Any]]:
    """Each track of an album matched to the preset of the others' masters."""
    chain = master(rng)
    before, after, features = [], [], []
    for number, path in enumerate(tracks):
        before.append(at_loudness(read(path, rng.random(), seconds), LEVEL_LUFS))
        after.append(chain(before[-1]))
        write(room / f"{number}.wav", after[-1])
        features.append(Features.of(analyze(room / f"{number}.wav", use_cache=False)))
    rows = []
    for number, path in enumerate(tracks):
        preset = learn([f for i, f in enumerate(features) if i != number], name)
        write(room / "target.wav", before[number])
        match(room / "target.wav", Choice((preset,)), room / "made.wav", force=True, bit_depth=32, use_cache=False)
        made, truth = read(room / "made.wav"), after[number]
        levelled = at_loudness(before[number], lufs(truth))
        found, untouched = (measures.to_truth(sound, truth) for sound in (made, levelled))
        row: dict[str, Any] = {"album": name, "track": path.name}
        for what, names in CLOSER.items():
            row[what] = [float(np.mean([d[n] for n in names])) for d in (found, untouched)]
        row["loudness"] = [found["loudness_lu"], abs(lufs(before[number]) - lufs(truth))]
        rows.append(row)
        click.echo(f"\r{name} {number + 1}/{len(tracks)}   ", nl=False, err=True)
    return rows


def show_recovered(console: Console, rows: list[dict[str, Any]]) -> None:
    """For each album and measure: the mean distance after and before, and on how many tracks it is smaller."""
    table = Table(title="Matched to a preset: distance to the hidden master / of the input at its loudness; nearer on")
    what = [*CLOSER, "loudness"]
    for heading in ("", *what):
        table.add_column(heading, justify="right" if heading else "left")
    for name in [*dict.fromkeys(row["album"] for row in rows), "all"]:
        mine = [row for row in rows if name in (row["album"], "all")]
        cells = []
        for each in what:
            pairs = np.array([row[each] for row in mine])
            nearer = int(np.sum(pairs[:, 0] < pairs[:, 1]))
            cells.append(f"{pairs[:, 0].mean():.2f} / {pairs[:, 1].mean():.2f}  {nearer} of {len(mine)}")
        table.add_row(name, *cells)
    console.print(table)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--part", type=click.Choice(["own", "recover", "both"]), default="both", show_default=True)
@click.option("--seconds", type=click.FloatRange(10.0), default=60.0, show_default=True, help="Of each track.")
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--json", "json_path", type=click.Path(path_type=Path), help="All rows.")
def main(folder: Path, part: str, seconds: float, seed: int, json_path: Path | None) -> None:
    """Run, print, and write what was asked for."""
    console = Console(width=150)
    corpora = {tracks[0].parent.name: tracks for tracks in albums(folder) if len(tracks) >= FEWEST}
    found: dict[str, Any] = {}
    if part != "recover":
        kinds = {name.split("__")[0]: [Features.of(analyze(t)) for t in tracks] for name, tracks in corpora.items()}
        found["own"] = own(kinds)
        show_own(console, found["own"])
    if part != "own":
        rng = np.random.default_rng(seed)
        found["recover"] = []
        with tempfile.TemporaryDirectory() as room:
            for name, tracks in corpora.items():
                found["recover"] += recover(name.split("__")[0], tracks, seconds, rng, Path(room))
        click.echo("", err=True)
        show_recovered(console, found["recover"])
    if json_path is not None:
        json_path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
