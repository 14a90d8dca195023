"""`match TARGET REFERENCE`, `match plan`, `match render`."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matcher.commands.delivery import asked, show
from matcher.commands.options import (
    AIMS,
    DELIVERY,
    PATH,
    REFERENCES,
    WRITING,
    aims_of,
    depth,
    files,
    reference_of,
    with_options,
)
from matcher.commands.pipes import Ends, ends
from matcher.commands.terminal import (
    EPILOG,
    MainJob,
    check_text,
    console,
    in_place,
    kind,
    loading,
    progress,
    read_plan,
    say,
    verified,
    write_text,
)

if TYPE_CHECKING:
    from matcher.delivery.delivering import Delivery
    from matcher.reporting import Report


@click.command(cls=MainJob, epilog=EPILOG)
@with_options(REFERENCES)
@click.option("--output", "-o", type=PATH, default=None,
              help="Where the master goes: .wav, .flac or .aiff; - for standard output, as WAV.")
@click.option("--plan", "plan_path", type=PATH, default=None, help="Also write the plan, as JSON that can be edited.")
@click.option("--report", "report_path", type=PATH, default=None,
              help="Also write the report as one HTML page, with curves and clips to play.")
@click.option("--residual", type=PATH, default=None, help="Also write what the repairs took out, as a float WAV.")
@with_options(AIMS, DELIVERY, WRITING)
def master(
    target: Path,
    output: Path | None,
    plan_path: Path | None,
    report_path: Path | None,
    residual: Path | None,
    **options: Any,
) -> None:
    """Master TARGET to belong beside REFERENCE, or beside the nearest preset (the default command).

    A TARGET of - is standard input.
    """
    with ends(target, output) as pipe:
        _mastered(pipe, plan_path, report_path, residual, options)


def _mastered(
    pipe: Ends, plan_path: Path | None, report_path: Path | None, residual: Path | None, options: dict[str, Any]
) -> None:
    with loading():
        reference = reference_of(options)
        places, codecs, folder = asked(options)
        from matcher import match
        from matcher.io import default_output, shown

    target, output = pipe.target, pipe.output
    with contextlib.ExitStack() as held:
        if folder is not None:
            from matcher.delivery.delivering import refuse_early, there

            refuse_early(target, folder, places, force=options["force"])
            held.enter_context(there(folder))  # from here on, for what else is to be written in it
        aims = aims_of(options)
        texts = [path for path in (plan_path, report_path) if path is not None]
        for path in texts:
            sounds = (target, *files(reference), output or default_output(target))
            check_text(path, options["force"], others=(*sounds, *(other for other in texts if other is not path)))
        with progress(not options["quiet"] and not options["as_json"]) as stages:
            report = match(
                target,
                reference,
                output,
                aims=aims,
                force=options["force"],
                bit_depth=depth(options),
                sample_rate_hz=options["sample_rate"],
                dither=options["dither"],
                replay_gain=options["replaygain"],
                threads=options["threads"],
                use_cache=not options["no_cache"],
                residual=residual,
                stages=stages,
            )
        with in_place(report.rendered):
            if plan_path is not None:
                write_text(plan_path, report.plan.to_json())
            made = output or default_output(target)
            delivery = _delivered(made, target, report, places, codecs, folder, options)
            if report_path is not None:
                from matcher.page.writing import report_page

                first = next(iter(files(reference)), None)
                write_text(report_path, report_page(report, target, made, first, delivery))
            if options["verify"]:
                verified(target, report.rendered, report.plan)
            if options["as_json"]:
                data = report.to_dict() | ({} if delivery is None else {"delivery": delivery.to_dict()})
                click.echo(json.dumps(data, indent=2, ensure_ascii=False), err=pipe.writes)
            elif not options["quiet"]:
                place = "standard output" if pipe.writes else shown(made)
                report.print_to(console(stderr=pipe.writes))
                if delivery is not None:
                    show(delivery, stderr=pipe.writes)
                click.echo(f"{place} ({kind(report.rendered)}, {report.seconds:.1f} s)", err=pipe.writes)
        pipe.send()


def _delivered(
    made: Path,
    target: Path,
    report: Report,
    places: tuple[str, ...],
    codecs: tuple[str, ...],
    folder: Path | None,
    options: dict[str, Any],
) -> Delivery | None:
    """The master at its destinations and behind codecs, where that was asked for."""
    if not places and not codecs:
        return None
    from matcher.delivery.delivering import check, deliver

    if folder is None:
        return check(made, places, codecs=codecs)
    given = {"dither": options["dither"], "force": options["force"]}
    return deliver(target, folder, places, report.plan, codecs=codecs, stem=made.stem, **given)


@click.command()
@with_options(REFERENCES)
@click.option("--output", "-o", type=PATH, required=True, help="Where the plan goes.")
@click.option("--force", is_flag=True, help="Replace a plan that exists.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@with_options(AIMS)
def plan(target: Path, output: Path, force: bool, quiet: bool, **options: Any) -> None:
    """Fit a plan and write it as JSON; render it, edited or not, with `match render`."""
    with loading():
        reference = reference_of(options)
        from matcher import plan as fit

    aims = aims_of(options)
    check_text(output, force, others=(target, *files(reference)))
    with progress(not quiet) as stages:
        made = fit(target, reference, aims, use_cache=not options["no_cache"], stages=stages)
    write_text(output, made.to_json())
    if not quiet:
        from matcher.io import shown
        from matcher.reporting import print_plan

        print_plan(made, console())
        click.echo(shown(output))


@click.command()
@click.argument("target", type=PATH)
@click.argument("plan_file", type=PATH, metavar="PLAN")
@click.option("--output", "-o", type=PATH, default=None, help="Where the master goes: .wav, .flac or .aiff.")
@with_options(WRITING)
def render(target: Path, plan_file: Path, output: Path | None, **options: Any) -> None:
    """Render TARGET through a PLAN that `match plan` or a person has written."""
    with loading():
        from matcher import render as make
        from matcher.io import content_hash, default_output, shown

    output = output or default_output(target)
    made = read_plan(plan_file)
    if content_hash(target) != made.target.content_hash:
        who = f"{made.target.name}, not for {shown(target.name)}"
        say(f"{shown(plan_file)}: was made for {who}; rendering all the same")
    with progress(not options["quiet"] and not options["as_json"]) as stages:
        rendered = make(
            target,
            made,
            output,
            force=options["force"],
            bit_depth=depth(options),
            sample_rate_hz=options["sample_rate"],
            dither=options["dither"],
            replay_gain=options["replaygain"],
            threads=options["threads"],
            progress=None if stages is None else lambda done: stages("render", done),
        )
    with in_place(rendered):
        if options["verify"]:
            verified(target, rendered, made)
    if options["as_json"]:
        data = {"result": rendered.profile.summary(), "output": str(rendered.output)}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif not options["quiet"]:
        from matcher.reporting import print_profiles

        print_profiles([rendered.profile], console())
        click.echo(f"{shown(output)} ({kind(rendered)})")
