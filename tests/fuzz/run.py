"""Fuzz one target for as long as you like.

    python tests/fuzz/run.py audio --minutes 10

Inputs are made of the saved corpus by turning bits, numbers and pieces over; what a target should never do - raise
anything but our own errors, take longer than 5 s, hold more than 1 GiB, take the process down - is saved beside the
corpus as `found-...` and ends the run.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from mutating import mutated, seeds
from targets import CORPUS, Targets

SLOWEST_S, MOST_BYTES = 5.0, 2**30


def slow(run: Callable[[bytes], None], data: bytes) -> bool:
    """Whether the target works for too long on an input; what it merely waited for may be another program's doing."""
    started, worked = time.monotonic(), time.process_time()
    run(data)
    assert time.process_time() - worked < SLOWEST_S, "too slow"
    return time.monotonic() - started >= SLOWEST_S


def work(name: str, minutes: float, seed: int, latest: str, count: object) -> None:
    """Run the target on input after input; the one at work is in the file `latest`."""
    faulthandler.enable()
    targets = Targets()
    run, rng, pool = targets.named()[name], random.Random(seed), seeds(name)
    end = time.monotonic() + 60.0 * minutes
    try:
        while time.monotonic() < end:
            data = mutated(rng, pool)
            Path(latest).write_bytes(data)
            assert not (slow(run, data) and slow(run, data)), "hangs"
            held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
            assert held < MOST_BYTES, f"{held >> 20} MiB held"
            count.value += 1  # type: ignore[attr-defined]
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    finally:
        targets.close()


def main() -> None:
    """Fuzz, watched from another process, and tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", choices=["audio", "plan", "preset", "lists"])
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    count = context.Value("q", 0)
    room = tempfile.TemporaryDirectory()
    latest = Path(room.name) / "latest"
    process = context.Process(target=work, args=(options.target, options.minutes, options.seed, str(latest), count))
    process.start()
    before, since = -1, time.monotonic()
    while process.is_alive():
        process.join(1.0)
        if count.value != before:
            before, since = count.value, time.monotonic()
        elif time.monotonic() - since > 12 * SLOWEST_S:  # the start takes its time, too
            process.kill()
    data = latest.read_bytes() if latest.exists() else b""
    room.cleanup()
    if process.exitcode:
        found = CORPUS / options.target / f"found-{hashlib.sha256(data).hexdigest()[:12]}"
        found.write_bytes(data)
        print(f"{options.target}: exit {process.exitcode} after {count.value} inputs: {found}")
        sys.exit(1)
    print(f"{options.target}: {count.value} inputs in {options.minutes:g} minutes, nothing found (seed {options.seed})")


if __name__ == "__main__":
    main()
