"""`match deliver`, and the same behind a match."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from matcher.commands.options import DELIVERY, PATH, with_options
from matcher.commands.terminal import console, loading, progress, read_plan

if TYPE_CHECKING:
    from matcher.delivery.delivering import Delivery


@click.command()
@click.argument("file", type=PATH)
@with_options(DELIVERY)
@click.option("--plan", "plan_path", type=PATH, default=None,
              help="FILE is the target of this plan, which is rendered for each destination.")
@click.option("--dither", type=click.Choice(["tpdf", "shaped", "none"]), default="tpdf", show_default=True,
              help="The noise under which the files are rounded.")
@click.option("--force", is_flag=True, help="Replace files that exist.")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON on standard output.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
def deliver(
    file: Path, plan_path: Path | None, dither: Any, force: bool, as_json: bool, quiet: bool, **options: Any
) -> None:
    """Prove a finished master FILE at the places where it will be played, and write a file for each.

    Without --deliver nothing is written. What is too loud for a destination, or clips behind its codec, is turned down
    as a whole; only broadcast and podcast demand a loudness.
    """
    with loading():
        places, codecs, folder = asked(options)
        from matcher.delivery.delivering import check, deliver

    if not places and not codecs:
        raise click.UsageError("nothing to do: name destinations with --for, or codecs with --codec-check")
    made = None if plan_path is None else read_plan(plan_path)
    if made is not None and folder is None:
        raise click.UsageError("--plan needs --deliver DIR, where the renders go")
    with progress(not quiet and not as_json) as stages:
        if folder is None:
            found = check(file, places, codecs=codecs)
        else:
            found = deliver(file, folder, places, made, codecs=codecs, dither=dither, force=force, tell=stages)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=2, ensure_ascii=False))
    elif not quiet:
        show(found)


def asked(options: dict[str, Any]) -> tuple[tuple[str, ...], tuple[str, ...], Path | None]:
    """The delivery options taken out of `options`: destinations, codecs, folder; a usage error for unknown names."""
    places, codecs, folder = options.pop("places"), options.pop("codecs"), options.pop("deliver_to")
    if folder is not None and not places:
        raise click.UsageError("--deliver needs destinations: name them with --for")
    if not places and not codecs:
        return places, codecs, folder
    from dsp.errors import SettingsError
    from matcher.delivery.codecs import codec
    from matcher.delivery.destinations import destinations

    try:
        destinations(places)
        for text in codecs:
            codec(text)
    except SettingsError as error:
        raise click.UsageError(str(error)) from error
    return places, codecs, folder


def show(found: Delivery, *, stderr: bool = False) -> None:
    """Print it."""
    from matcher.delivery.printing import print_delivery

    print_delivery(found, console(stderr=stderr))
