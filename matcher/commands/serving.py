"""`match serve`."""

from __future__ import annotations

from pathlib import Path

import click

from matcher.commands.options import PATH
from matcher.commands.terminal import DONE, loading


@click.command()
@click.option("--port", type=click.IntRange(0, 65_535), default=8437, show_default=True,
              help="0 takes one that is free.")
@click.option("--host", default="127.0.0.1", show_default=True, metavar="ADDRESS",
              help="Anything but this machine's own address needs --token.")
@click.option("--token", default=None, metavar="TEXT", help="What the browser has to show; made anew by default.")
@click.option("--folder", type=PATH, default=None, metavar="DIR", help="Where sounds, jobs and results are kept.")
@click.option("--workers", type=click.IntRange(1, 64), default=None,
              help="How many jobs run at once; half the cores by default.")
@click.option("--largest", type=click.FloatRange(min=0.000001), default=2.0, show_default=True, metavar="GB",
              help="No file above this is taken.")
@click.option("--browser/--no-browser", default=True, help="Open the page in the browser.")
def serve(
    port: int,
    host: str,
    token: str | None,
    folder: Path | None,
    workers: int | None,
    largest: float,
    browser: bool,
) -> int:
    """Open the page: match, listen, adjust and download in the browser, on this machine alone."""
    with loading():
        from matcher.serve.running import serve as run

    run(
        host=host,
        port=port,
        token=token,
        folder=folder,
        workers=workers,
        largest_bytes=int(largest * 1024**3),
        browser=browser,
        say=lambda line: click.echo(line),
    )
    return DONE
