"""`match analyze`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from matcher.commands.options import PATH, WORKERS, with_options
from matcher.commands.terminal import DONE, UNREADABLE, console, going_on, loading, progress, say


@click.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE|FOLDER...")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with every figure.")
@click.option("--music", is_flag=True, help="Tempo, key and form too, by librosa (seconds a track).")
@click.option("--no-cache", is_flag=True, help="Analyse again what was analysed before.")
@click.option("--table", type=PATH, default=None, metavar="FILE", help="Write a table instead: .parquet or .arrow.")
@click.option("--force", is_flag=True, help="Replace a table that exists.")
@with_options(WORKERS)
def analyze(
    files: tuple[Path, ...],
    as_json: bool,
    music: bool,
    no_cache: bool,
    table: Path | None,
    force: bool,
    jobs: int,
    scheduler: str | None,
) -> int:
    """Measure files, or all tracks in folders: loudness, peaks, dynamics, tone and width."""
    if table is not None and as_json:
        raise click.UsageError("--json and --table are two forms of the same figures: ask for one of them")
    with loading():
        from matcher.corpus import tracks_inside

    files = tuple(tracks_inside(files))
    if table is not None:
        return _table(files, table, force, not no_cache, jobs, scheduler)
    with loading():
        from matcher import analyze as measure

    with progress(not as_json) as stages:
        profiles = []
        for file in files:
            tell = None if stages is None else lambda done, name=file.name: stages(name, done)
            profiles.append(measure(file, use_cache=not no_cache, progress=tell))
    pieces: list[dict[str, Any]] = [{} for _ in files]
    if music:
        from matcher.music import listen

        pieces = [{"music": listen(file).summary()} for file in files]
    if as_json:
        data = [profile.summary() | piece for profile, piece in zip(profiles, pieces, strict=True)]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return DONE
    from matcher.reporting import print_profiles

    print_profiles(profiles, console())
    for profile, piece in zip(profiles, pieces, strict=True):
        for name, value in piece.get("music", {}).items():
            click.echo(f"{profile.name}: {name} {value}")
    return DONE


def _table(
    files: tuple[Path, ...], table: Path, force: bool, use_cache: bool, jobs: int, scheduler: str | None
) -> int:
    """Many files to a table; the exit code says whether all went well."""
    with loading():
        from matcher.executors import executor
        from matcher.io import shown
        from matcher.tables import check_table, collect

    check_table(table, force=force)
    paths = tuple(path.absolute() for path in files)
    with going_on(table.parent), progress(True) as stages, executor(jobs=jobs, scheduler=scheduler) as workers:
        tell = None if stages is None else lambda done: stages("analyze", done)
        failed = collect(paths, table, workers, use_cache=use_cache, force=force, progress=tell)
    for track in failed:
        say(track.cause)
    if len(failed) == len(files):
        say(f"{shown(table)}: not written, as none of its tracks could be measured")
        return UNREADABLE
    click.echo(f"{shown(table)} ({len(files) - len(failed)} of {len(files)} tracks)")
    return UNREADABLE if failed else DONE
