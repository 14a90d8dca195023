"""`match album LEAD TRACK... -o DIR`."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matcher.commands.options import AIMS, PATH, WORKERS, aims_of, depth, with_options
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
    from matcher.album_reporting import AlbumReport
    from matcher.albums import Mapped
    from matcher.executors import Executor


def _counts(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Whole numbers with commas."""
    if value is None:
        return ()
    parts = value.split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise click.BadParameter(f"{value!r} is not numbers of tracks with commas, as 5,4")
    return tuple(int(part) for part in parts)


MOVE = click.FloatRange(0.0, 24.0)


@click.command()
@click.argument("lead", type=PATH)
@click.argument("tracks", type=PATH, nargs=-1, required=True, metavar="TRACK...")
@click.option("--output", "-o", type=PATH, required=True, metavar="DIR", help="The folder for the masters.")
@click.option("--levels", type=click.Choice(["keep", "even"]), default="keep", show_default=True,
              help="Keep how loud the tracks are beside each other, or bring each to the lead's loudness.")
@click.option("--gapless", is_flag=True, help="All tracks as one stream, cut where they were cut.")
@click.option("--one-plan", is_flag=True, help="With --gapless: one plan for all of it; needs --restore off.")
@click.option("--most-tone", type=MOVE, default=6.0, show_default=True, metavar="DB",
              help="No track's tone is moved further.")
@click.option("--most-width", type=MOVE, default=6.0, show_default=True, metavar="DB", help="Nor its width.")
@click.option("--most-loudness", type=MOVE, default=12.0, show_default=True, metavar="LU", help="Nor its loudness.")
@click.option("--format", "container", type=click.Choice(["wav", "flac", "aiff"]), default="wav", show_default=True,
              help="Of the masters.")
@click.option("--bit-depth", type=click.Choice(["16", "24", "32"]), default=None,
              help="16 and 24 are integers, 32 is floating point; each track's own by default.")
@click.option("--cue", is_flag=True,
              help="Also write what a pressing plant wants: all tracks as one WAV, CUE sheet, PQ list, checksums.")
@click.option("--sides", callback=_counts, default=None, metavar="N,N",
              help="With --cue: how many tracks each side has, a WAV for each.")
@click.option("--report", "report_path", type=PATH, default=None, metavar="FILE.html",
              help="Also write the report, as a page; as JSON where the name ends in .json.")
@click.option("--force", is_flag=True, help="Begin anew and replace what is there.")
@click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@with_options(WORKERS, AIMS)
def album(
    lead: Path,
    tracks: tuple[Path, ...],
    output: Path,
    report_path: Path | None,
    jobs: int,
    scheduler: str | None,
    **options: Any,
) -> int:
    """Make the tracks of an album consistent with its lead single.

    Each TRACK is a file, a folder, an M3U playlist or a CUE sheet. A run that was stopped goes on where it was.
    """
    with loading():
        from matcher import album as make
        from matcher.album_targets import Limits
        from matcher.executors import executor

    force, as_json, quiet = options["force"], options.pop("as_json"), options.pop("quiet")
    cue, sides = options.pop("cue"), options.pop("sides")
    if sides and not cue:
        raise click.UsageError("--sides is for --cue")
    if report_path is not None:
        check_text(report_path, force, others=(lead, *tracks))
    limits = Limits(
        tone_db=options.pop("most_tone"), width_db=options.pop("most_width"), loudness_lu=options.pop("most_loudness")
    )
    aims, bit_depth, use_cache = aims_of(options), depth(options), not options.pop("no_cache")
    del options["bit_depth"]
    with going_on(output), progress(not quiet and not as_json) as stages, contextlib.ExitStack() as stack:
        several = jobs > 1 or scheduler is not None
        workers = stack.enter_context(executor(jobs=jobs, scheduler=scheduler)) if several else None
        report = make(
            lead.absolute(),
            tuple(track.absolute() for track in tracks),
            output.absolute(),
            limits=limits,
            aims=aims,
            bit_depth=bit_depth,
            use_cache=use_cache,
            map=_mapped(workers, stages),
            **options,
        )
    if cue and not report.failed:
        _handed_over(report, output, sides, gapless=options["gapless"], quiet=quiet or as_json)
    elif cue:
        say("not handed over: a track is missing")
    if report_path is not None:
        from matcher.page.albums import album_page

        as_data = report_path.suffix.lower() == ".json"
        write_text(report_path, report.to_json() if as_data else album_page(report))
    if as_json:
        click.echo(report.to_json(), nl=False)
    elif not quiet:
        report.print_to(console())
    for line in report.not_made:
        say(f"not made: {line}")
    return UNREADABLE if report.failed else DONE


def _handed_over(report: AlbumReport, output: Path, sides: tuple[int, ...], *, gapless: bool, quiet: bool) -> None:
    """All tracks as one WAV a side, in the folder of the masters."""
    from matcher.album_handover import entry_of, hand_over
    from matcher.io import shown

    entries = [entry_of(track.output) for track in report.tracks]
    name = f"{output.absolute().name}-album"
    # What an earlier run handed over is of these very tracks, and made anew.
    made = hand_over(entries, output, name, sides=sides, gapless=gapless, force=True)
    for remark in made.remarks:
        say(remark)
    if not quiet:
        click.echo(f"handed over: {', '.join(shown(path.name) for path in made.files)}")


def _mapped(workers: Executor | None, stages: Callable[[str, float], None] | None) -> Mapped:
    """The album's loop over its tracks: here, or by workers; it goes over them to measure, to plan and to render."""
    from dsp.errors import MatchError
    from matcher.albums import one_by_one

    rounds = itertools.count(1)

    def mapped(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        todo, name = list(items), f"round {next(rounds)}"
        if workers is None:
            results = one_by_one(function, todo)
        else:
            outcomes = workers.run(function, todo)
            results = ((o.item, o.value if o.cause is None else MatchError(o.cause)) for o in outcomes)
        for done, result in enumerate(results, start=1):
            if stages is not None:
                stages(name, done / len(todo))
            yield result

    return mapped
