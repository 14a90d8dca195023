"""`match learn`, `match presets`."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matcher.commands.options import PATH, WORKERS, with_options
from matcher.commands.terminal import (
    DONE,
    UNREADABLE,
    check_text,
    console,
    going_on,
    loading,
    progress,
    say,
    write_text,
)

if TYPE_CHECKING:
    from matcher.features import Features
    from matcher.presets import Preset


@click.command()
@click.argument("sources", type=PATH, nargs=-1, required=True, metavar="FOLDER|FILE...")
@click.option("--name", "-n", required=True, help="What the preset is called.")
@click.option("--output", "-o", type=PATH, default=None, metavar="FILE.json",
              help="Where the preset goes; among your own presets by default, to be used by its name.")
@click.option("--source", "origin", default="", help="Where the tracks come from; stands in the preset.")
@click.option("--licence", default="", help="The tracks' licence; stands in the preset.")
@click.option("--no-cache", is_flag=True, help="Analyse again what was analysed before.")
@click.option("--force", is_flag=True, help="Replace a preset that exists, and measure anew.")
@click.option("--json", "as_json", is_flag=True, help="What was learned as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@with_options(WORKERS)
def learn(
    sources: tuple[Path, ...],
    name: str,
    output: Path | None,
    origin: str,
    licence: str,
    no_cache: bool,
    force: bool,
    as_json: bool,
    quiet: bool,
    jobs: int,
    scheduler: str | None,
) -> int:
    """Learn a preset: what music of a kind has in common, and how far its tracks lie apart.

    Sources are folders of tracks, tracks, tables made by match analyze --table, and presets, whose tracks are joined: a
    track counts once, however it comes. A track that cannot be read stops no other.
    """
    with loading():
        from matcher import preset_store
        from matcher.corpus import measure
        from matcher.executors import executor
        from matcher.features import Features
        from matcher.io import shown
        from matcher.preset_sums import joined
        from matcher.presets import checked_name, read_preset
        from matcher.tables import SUFFIXES, rows_of

    checked_name(name)
    if output is None:
        output = preset_store.folder() / f"{name}{preset_store.ENDING}"
        output.parent.mkdir(parents=True, exist_ok=True)
    check_text(output, force, others=sources)
    files, tables, presets = _sorted(sources, SUFFIXES, preset_store.ENDING)
    known = [read_preset(path) for path in presets]
    journal = output.with_name(f"{output.name}.journal")
    bar = not quiet and not as_json
    workforce = executor(jobs=jobs, scheduler=scheduler)
    with going_on(output.parent), progress(bar) as stages, workforce as workers:
        tell = None if stages is None else lambda done: stages("analyze", done)
        found = measure(files, journal, workers, use_cache=not no_cache, force=force, progress=tell)

        def tracks() -> Iterator[Features]:
            yield from (Features.of(row) for row in found.rows())
            for table in tables:
                yield from (Features.of(row) for row in rows_of(table))

        for track in found.failed:
            say(track.cause)
        made = joined(known, tracks, name, source=origin, licence=licence)
        write_text(output, made.to_json().decode())
        found.done()
    if as_json:
        data = {**_summary(made), "path": shown(output), "failed": [track.cause for track in found.failed]}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif not quiet:
        for left_out in made.names_left_out:
            click.echo(f"left out, unlike the others: {shown(left_out)}")
        _say_presets([made])
        click.echo(shown(output))
    return UNREADABLE if found.failed else DONE


def _sorted(
    sources: tuple[Path, ...], tables: tuple[str, ...], presets: str
) -> tuple[list[Path], list[Path], list[Path]]:
    """Tracks, tables and presets among the sources; folders are looked through. FileError where one holds no track."""
    from matcher.corpus import tracks_inside

    found: tuple[list[Path], list[Path], list[Path]] = ([], [], [])
    for source in tracks_inside(sources):
        which = 1 if source.suffix in tables else 2 if source.suffix == presets else 0
        found[which].append(source.absolute())
    return found


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="A JSON list.")
@click.pass_context
def presets(ctx: click.Context, as_json: bool) -> None:
    """List the presets: of what they were learned, their centre and how far their tracks lie around it."""
    if ctx.invoked_subcommand is not None:
        return
    with loading():
        from matcher import preset_store

    stored = preset_store.every()
    if as_json:
        data = [{**_summary(each.preset), "path": str(each.path)} for each in stored]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    _say_presets(each.preset for each in stored)
    click.echo(f"Your own presets are in {preset_store.folder()}")


@presets.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--output", "-o", type=PATH, required=True, metavar="FILE.html", help="Where the page goes.")
@click.option("--force", is_flag=True, help="Replace a page that exists.")
def show(names: tuple[str, ...], output: Path, force: bool) -> None:
    """Write a page about presets: their figures, their tone with its spread and tracks, what sets them apart.

    NAMEs are of presets, or files in .json.
    """
    with loading():
        from matcher.io import shown
        from matcher.page.presets import presets_page
        from matcher.preset_store import find

    found = [find(name) for name in names]
    check_text(output, force, others=tuple(each.path for each in found))
    write_text(output, presets_page([each.preset for each in found]))
    click.echo(shown(output))


@presets.command()
@click.argument("one")
@click.argument("other")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(one: str, other: str, as_json: bool) -> None:
    """What sets two presets apart, in decibels and in the deviations of their own tracks.

    ONE and OTHER are names of presets or files in .json.
    """
    with loading():
        from matcher.preset_store import find
        from matcher.preset_words import apart, sentence

    here, there = find(one).preset, find(other).preset
    rows = apart(here, there)
    if as_json:
        data = {"one": here.name, "other": there.name, "differences": [row.to_dict() for row in rows]}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("", here.name, there.name, "", "in deviations"):
        table.add_column(heading, justify="left" if heading == "" else "right")
    for row in rows:
        values = (f"{row.one:.{row.digits}f}", f"{row.other:.{row.digits}f}")
        table.add_row(row.name, *values, row.unit, f"{row.deviations:+.1f}")
    console().print(table)
    click.echo(sentence(here, there, rows))


def _summary(preset: Preset) -> dict[str, Any]:
    """What `match presets --json` says of one."""
    from matcher.preset_words import figures_of

    return {
        "name": preset.name,
        "tracks": preset.count,
        "left_out": preset.names_left_out,
        "minutes": round(preset.minutes, 1),
        "source": preset.source,
        "licence": preset.licence,
        "made_at": preset.made_at,
        "made_by": preset.made_by,
        "styles": [
            {"title": style.title, "tracks": style.tracks, "figures": figures_of(style)} for style in preset.styles
        ],
    }


def _say_presets(presets: Iterable[Preset]) -> None:
    from matcher.preset_words import in_words

    for preset in presets:
        made = f"made {preset.made_at[:10]} by {preset.made_by}"
        click.echo(f"{preset.name}: {preset.count} tracks, {preset.minutes:.0f} min, {made}")
        for style in preset.styles:
            title = f"{style.title} ({style.tracks} tracks): " if style.title else ""
            click.echo(f"    {title}{in_words(style)}")
