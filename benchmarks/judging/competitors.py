"""Who is judged: each makes a master from two files. All but the untouched input run as programs of their own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judging.sound import Sound, read

TIMEOUT_S = 900.0
ROUNDED = 2
"""Samples that a change of rate there and back may cost."""
_MATCHERING = (
    "import sys, matchering as mg;"
    "t, r, o = sys.argv[1:];"
    "mg.process(target=t, reference=r, results=[mg.Result(o, 'FLOAT', use_limiter=True)],"
    " config=mg.Config(allow_equality=True))"
)

Command = Callable[[Path, Path, Path], list[str]]


class FailedError(Exception):
    """A competitor gave no master."""


@dataclass(frozen=True)
class Competitor:
    """A name for the table and the command that turns (target, reference, output) into a master; None copies."""

    name: str
    command: Command | None

    def master(self, target: Path, reference: Path, output: Path) -> tuple[Sound, float]:
        """The master and the seconds it took, as long as the target; FailedError says why there is none."""
        source = read(target)
        if self.command is None:
            return source, 0.0
        started = time.perf_counter()
        try:
            run = subprocess.run(
                self.command(target, reference, output), capture_output=True, text=True, timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired:
            raise FailedError(f"no answer in {TIMEOUT_S:g} s") from None
        seconds = time.perf_counter() - started
        if run.returncode or not output.exists():
            last = (run.stderr or run.stdout).strip().splitlines()[-1:]
            raise FailedError(f"exit {run.returncode}: {' '.join(last)}")
        made = read(output)
        missing = len(source) - len(made)
        if abs(missing) > ROUNDED:
            raise FailedError(f"{len(made)} samples for {len(source)}")
        return np.pad(made, ((0, max(missing, 0)), (0, 0)))[: len(source)], seconds


def engine(name: str, *options: str) -> Competitor:
    """Ours, as a person calls it."""
    here = Path(sys.executable).with_name("match")
    start = [str(here)] if here.exists() else [sys.executable, "-m", "matcher.cli"]
    return Competitor(name, lambda t, r, o: [*start, str(t), str(r), "-o", str(o), "--quiet", "--force", *options])


def rules() -> Competitor:
    """The rule-based EQ and compressor of `rules.py`."""
    script = Path(__file__).with_name("rules.py")
    return Competitor("rules", lambda t, r, o: [sys.executable, str(script), str(t), str(r), str(o)])


def matchering(python: str) -> Competitor:
    """Matchering in the environment of the interpreter named."""
    return Competitor("matchering", lambda t, r, o: [python, "-c", _MATCHERING, str(t), str(r), str(o)])


UNTOUCHED = Competitor("input", None)
