"""`match batch`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from matcher.commands.options import AIMS, PATH, WORKERS, aims_of, with_options
from matcher.commands.terminal import DONE, UNREADABLE, going_on, loading, progress, say


@click.command()
@click.argument("targets", type=PATH, metavar="FOLDER|CSV")
@click.argument("reference", type=PATH, required=False)
@click.option("--output", "-o", "folder", type=PATH, required=True, metavar="DIR", help="Where the masters go.")
@click.option("--preset", "-p", default=None, metavar="NAME|FILE.json",
              help="What is matched to where a line names no reference: a kind of music instead of a track.")
@click.option("--force", is_flag=True, help="Make all anew, and replace files that are in the way.")
@click.option("--bit-depth", type=click.Choice(["16", "24", "32"]), default=None,
              help="16 and 24 are integers, 32 is floating point; the target's own by default.")
@click.option("--sample-rate", type=click.IntRange(8000, 384_000), default=None, metavar="HZ",
              help="Rate of the results; the target's own by default.")
@click.option("--json", "as_json", is_flag=True, help="What became of each as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@with_options(WORKERS, AIMS)
def batch(
    targets: Path,
    reference: Path | None,
    folder: Path,
    preset: str | None,
    force: bool,
    bit_depth: str | None,
    sample_rate: int | None,
    as_json: bool,
    quiet: bool,
    jobs: int,
    scheduler: str | None,
    **options: Any,
) -> int:
    """Master a folder of tracks to REFERENCE or a preset, or the lines of a CSV: target, reference, output.

    A run that was stopped goes on where it was; a track that fails stops no other.
    """
    with loading():
        from matcher.batches import Manner, run, tasks_of
        from matcher.executors import executor
        from matcher.io import shown
        from matcher.preset_store import find

    manner = Manner(
        use_cache=not options.pop("no_cache"),
        aims=aims_of(options),
        bit_depth=None if bit_depth is None else int(bit_depth),
        sample_rate_hz=sample_rate,
    )
    if preset is not None and reference is not None:
        raise click.UsageError("--preset is a reference of its own: name it without REFERENCE")
    if preset is not None:
        reference = find(preset).path
    goal = None if reference is None else reference.absolute()
    tasks = tasks_of(targets.absolute(), goal, folder.absolute())
    bar = not quiet and not as_json
    with going_on(folder), progress(bar) as stages, executor(jobs=jobs, scheduler=scheduler) as workers:
        tell = None if stages is None else lambda done: stages("match", done)
        found = run(tasks, folder.absolute(), workers, manner, force=force, progress=tell)
    failed = [done for done in found if done.cause is not None]
    for done in failed:
        say(f"{shown(done.task.output)}: not made: {done.cause}")
    if as_json:
        click.echo(json.dumps([done.to_dict() for done in found], indent=2, ensure_ascii=False))
    elif not quiet:
        kept = sum(done.kept for done in found)
        click.echo(f"{shown(folder)}: {len(found) - len(failed) - kept} made, {kept} kept, {len(failed)} failed")
    return UNREADABLE if failed else DONE
