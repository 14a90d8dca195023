"""`match export`."""

from __future__ import annotations

from pathlib import Path

import click

from matcher.commands.options import PATH
from matcher.commands.terminal import check_text, loading, read_plan, write_text

KINDS = ("rew", "eq-apo", "csv", "ir", "reaper", "json")


@click.command()
@click.argument("plan_file", type=PATH, metavar="PLAN")
@click.option("--to", "kind", type=click.Choice(KINDS), required=True,
              help="Room EQ Wizard, Equalizer APO, a table, an impulse response, a Reaper JSFX, JSON.")
@click.option("--output", "-o", type=PATH, default=None, help="Where it goes; beside the plan by default.")
@click.option("--rate", type=click.IntRange(8000, 384_000), default=None, metavar="HZ",
              help="The rate at which it will be used; the target's by default.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
def export(plan_file: Path, kind: str, output: Path | None, rate: int | None, force: bool) -> None:
    """Write what a PLAN does for another tool.

    The tone comes as cookbook bands, fitted to within 0.1 dB of ours from 20 Hz to 16 kHz, or as the very filter. Where
    mid and side have filters of their own, tools that know one channel get two files, NAME-mid and NAME-side.
    """
    with loading():
        from matcher.exporting.formats import TEXTS
        from matcher.exporting.impulse import impulses
        from matcher.io import shown, write_audio

    plan = read_plan(plan_file)
    rate_hz = rate or plan.target.sample_rate_hz
    ending = ".wav" if kind == "ir" else TEXTS[kind][0]
    output = output or plan_file.with_name(f"{plan_file.stem}-{kind}{ending}")
    made = impulses(plan, rate_hz) if kind == "ir" else TEXTS[kind][1](plan, rate_hz)
    places = {part: output.with_stem(f"{output.stem}-{part}") if part else output for part in made}
    for place in places.values():
        check_text(place, force, others=(plan_file,))
    for part, content in made.items():
        if isinstance(content, str):
            write_text(places[part], content)
        else:
            write_audio(places[part], content, bit_depth=32, is_float=True)
        click.echo(shown(places[part]))
