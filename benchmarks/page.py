"""How soon a change in the page is heard: the stretch that plays, rendered again through the server, and by itself.

    python benchmarks/page.py TARGET REFERENCE [--seconds 10] [--count 10]

Seconds from the request to its last byte, as the page waits for them, beside the render alone in this process; each
time with another gain and another band, so that nothing can be kept.
"""

from __future__ import annotations

import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import httpx

from matcher.plans import Plan
from matcher.serve.windows import RATE_HZ, Renderer


def changed(plan: dict[str, Any], number: int) -> list[dict[str, Any]]:
    """The plan's steps with another level and another equalizer."""
    steps = json.loads(json.dumps(plan["steps"]))
    for step in steps:
        if step["settings"]["effect"] == "gain":
            step["settings"]["gain_db"] += 0.1 * (number + 1)
        for band in step["settings"].get("bands", []) if step["settings"]["effect"] == "eq" else []:
            band["gain_db"] += 0.1 * (number + 1)
    return list(steps)


@click.command(help=(__doc__ or "").split("\n")[0])
@click.argument("target", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("reference", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--seconds", type=click.FloatRange(1.0, 60.0), default=10.0, show_default=True)
@click.option("--count", type=click.IntRange(1), default=10, show_default=True)
def main(target: Path, reference: Path, seconds: float, count: int) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["serve", "--port", "0", "--no-browser", "--folder", folder]
        code = "from matcher.cli import main; main()"
        with subprocess.Popen([sys.executable, "-c", code, *words], stdout=subprocess.PIPE, text=True,
                              env={**os.environ, "PYTHONUNBUFFERED": "1"}) as server:  # fmt: skip
            assert server.stdout is not None
            found = re.search(r"(http://\S+)/\?token=(\S+)", server.stdout.readline())
            assert found is not None
            cookie = {f"match-{found[1].rpartition(':')[2]}": found[2]}
            with httpx.Client(base_url=found[1], cookies=cookie, timeout=600.0) as client:
                through, alone = measured(client, target, reference, seconds, count)
            server.send_signal(signal.SIGTERM)
    ratio = statistics.median(through) / statistics.median(alone)
    for name, times in (("through the page", through), ("the render alone", alone)):
        click.echo(f"{name}: median {statistics.median(times):.2f} s, {min(times):.2f} to {max(times):.2f}")
    click.echo(f"ratio {ratio:.2f}, {count} changes of {seconds:.0f} s")


def measured(
    client: httpx.Client, target: Path, reference: Path, seconds: float, count: int
) -> tuple[list[float], list[float]]:
    """Seconds through the server and alone, alternating."""
    sounds = [
        client.post("/api/files", params={"name": path.name}, content=path.read_bytes()).raise_for_status().json()["id"]
        for path in (target, reference)
    ]
    asked = {"targets": sounds[:1], "references": sounds[1:]}
    job = client.post("/api/jobs", json=asked).raise_for_status().json()["id"]
    while (status := client.get(f"/api/jobs/{job}").json()["status"]) in ("queued", "running"):
        time.sleep(0.2)
    if status != "done":
        raise click.ClickException(f"the match is {status}")
    plan = client.get(f"/api/jobs/{job}").json()["plan"]
    start, length = round(20.0 * RATE_HZ), round(seconds * RATE_HZ)
    renderer, through, alone = Renderer(), [], []
    with tempfile.TemporaryDirectory() as kept:
        for number in range(-1, count):  # the first one warms up
            steps = changed(plan, number)
            began = time.perf_counter()
            answer = client.post(f"/api/jobs/{job}/section", json={"steps": steps, "start": start, "count": length})
            between = time.perf_counter()
            answer.raise_for_status()
            own = Plan.from_json(json.dumps({**plan, "steps": steps}))
            renderer.rendered(target, own, start, length, keep_in=Path(kept))
            ended = time.perf_counter()
            if number >= 0:
                through.append(between - began)
                alone.append(ended - between)
    return through, alone


if __name__ == "__main__":
    main()
