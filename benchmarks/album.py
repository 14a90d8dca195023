"""How much of one piece an album becomes, beside Matchering track by track, on folders of music.

    python benchmarks/album.py FOLDER [--seconds 40] [--levels even|keep|both] [--lead middle|loudest|quietest]
        [--matchering PYTHON] [--json FILE]

FOLDER holds one folder an album; those with five tracks and more are taken, the track of median loudness for the lead.
Each row: mean distance to the album's centre before and after, tone, width, loudness and all together, how many tracks
moved away and the furthest that one did (below zero where the least moved still came nearer), how far the differences
in loudness have moved, the highest true peak of the masters.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
import rich.box
import soundfile
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))
from judging.competitors import FailedError, matchering

from matcher import album, analyze
from matcher.album_figures import Consistency, Figures, distances
from matcher.album_lists import tracks_of

FEWEST = 5
LEADS = {"quietest": 0.0, "middle": 0.5, "loudest": 1.0}
"""Where the lead stands among the tracks of its album, by loudness."""


def excerpts(folder: Path, seconds: float | None, room: Path) -> list[Path]:
    """The middle of every track as float WAV; whole tracks where no length is given."""
    room.mkdir(parents=True, exist_ok=True)
    found = []
    for track in tracks_of([folder]):
        info = soundfile.info(track)
        frames = info.frames if seconds is None else min(info.frames, round(seconds * info.samplerate))
        samples, rate = soundfile.read(track, start=(info.frames - frames) // 2, frames=frames, dtype="float32")
        found.append(room / f"{track.stem}.wav")
        soundfile.write(found[-1], samples, rate, subtype="FLOAT")
    return found


def figures_of(files: Sequence[Path]) -> list[Figures]:
    """Measured from the files, whoever made them."""
    return [Figures.of(analyze(f)) for f in files]


def judged(before: Sequence[Figures], after: Sequence[Figures]) -> dict[str, Any]:
    """All measures of one album."""
    was, became = Consistency.of(before), Consistency.of(after)
    pairs = list(zip(distances(before), distances(after), strict=True))
    levels = [np.array([f.isolated_lufs for f in part]) for part in (before, after)]
    apart = [lufs - lufs.mean() for lufs in levels]
    return {
        "before": was.total_db,
        "after": became.total_db,
        "less_percent": 100.0 * (1.0 - became.total_db / was.total_db),
        "tone": f"{was.tone_db:.2f} > {became.tone_db:.2f}",
        "width": f"{was.width_db:.2f} > {became.width_db:.2f}",
        "loudness": f"{was.loudness_lu:.2f} > {became.loudness_lu:.2f}",
        "moved_away": sum(b.total_db > a.total_db for a, b in pairs),
        "furthest_db": max(b.total_db - a.total_db for a, b in pairs),
        "levels_moved_lu": float(np.ptp(apart[1] - apart[0])),
        "order_kept": bool((np.argsort(levels[0]) == np.argsort(levels[1])).all()),
        "true_peak_dbtp": max(f.true_peak_dbtp for f in after),
    }


def run(
    folder: Path, seconds: float | None, levels: Sequence[str], lead_is: str, python: str | None, room: Path
) -> list[Any]:
    """One album by everybody."""
    tracks = excerpts(folder, seconds, room / "in")
    before = figures_of(tracks)
    by_loudness = np.argsort([f.integrated_lufs for f in before])
    lead = tracks[int(by_loudness[min(int(LEADS[lead_is] * len(tracks)), len(tracks) - 1)])]
    rows = []
    for level in levels:
        started = time.perf_counter()
        report = album(lead, tracks, room / level, levels=level)  # type: ignore[arg-type]
        if report.failed:
            raise click.ClickException(f"{folder.name}: {report.failed}")
        spent = time.perf_counter() - started
        row = judged(before, figures_of([t.output for t in report.tracks]))
        rows.append({"album": folder.name, "by": f"match, {level}", **row, "seconds": spent})
    if python is not None:
        other, made = matchering(python), []
        (room / "other").mkdir()
        started = time.perf_counter()
        for track in tracks:
            place = room / "other" / track.name
            try:
                # Matchering refuses a track as its own reference: the lead stays what it is.
                if track != lead:
                    other.master(track, lead, place)
                made.append(lead if track == lead else place)
            except FailedError as why:
                click.echo(f"{folder.name}: {other.name} failed on {track.name}, {why}", err=True)
        if len(made) == len(tracks):
            row = judged(before, figures_of(made))
            rows.append({"album": folder.name, "by": other.name, **row, "seconds": time.perf_counter() - started})
    return rows


def show(rows: Sequence[dict[str, Any]]) -> None:
    """One table, a line for each album and competitor."""
    table = Table(box=rich.box.SIMPLE, padding=(0, 1, 0, 0))
    for name in rows[0]:
        table.add_column(name.replace("_", "\n"), justify="left" if name in ("album", "by") else "right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    Console(width=max(Console().width, 150)).print(table)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--seconds", type=click.FloatRange(5.0), default=None, help="Length of an excerpt; whole tracks if none.")
@click.option("--levels", type=click.Choice(["even", "keep", "both"]), default="both", show_default=True)
@click.option("--lead", type=click.Choice(list(LEADS)), default="middle", show_default=True, help="By loudness.")
@click.option("--matchering", "python", type=click.Path(exists=True, dir_okay=False), help="Its interpreter.")
@click.option("--json", "data", type=click.Path(dir_okay=False, path_type=Path), help="Every figure.")
def main(
    folder: Path, seconds: float | None, levels: str, lead: str, python: str | None, data: Path | None
) -> None:
    rows: list[dict[str, Any]] = []
    for place in sorted(f for f in folder.iterdir() if f.is_dir()):
        if len([f for f in place.iterdir() if f.suffix.lower() in (".wav", ".flac", ".ogg", ".mp3")]) < FEWEST:
            continue
        with tempfile.TemporaryDirectory() as room:
            several = ("even", "keep") if levels == "both" else (levels,)
            rows += run(place, seconds, several, lead, python, Path(room))
        click.echo(f"{place.name} done", err=True)
    if not rows:
        raise click.UsageError(f"{folder}: holds no folder with {FEWEST} tracks")
    show(rows)
    if data:
        data.write_text(json.dumps({"seconds": seconds, "lead": lead, "runs": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
