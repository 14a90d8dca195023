"""`match analyze`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from matcher.commands.options import PATH
from matcher.commands.terminal import console, loading, progress


@click.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with every figure.")
@click.option("--music", is_flag=True, help="Tempo, key and form too, by librosa (seconds a track).")
@click.option("--no-cache", is_flag=True, help="Analyse again what was analysed before.")
def analyze(files: tuple[Path, ...], as_json: bool, music: bool, no_cache: bool) -> None:
    """Measure files: loudness, peaks, dynamics, tone and width."""
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
        return
    from matcher.reporting import print_profiles

    print_profiles(profiles, console())
    for profile, piece in zip(profiles, pieces, strict=True):
        for name, value in piece.get("music", {}).items():
            click.echo(f"{profile.name}: {name} {value}")
