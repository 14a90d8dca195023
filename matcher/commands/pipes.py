"""Standard input for a target, standard output for a master."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

PIPE = Path("-")


@dataclass(frozen=True)
class Ends:
    """Where to read and write; files of their own where a pipe stands."""

    target: Path
    output: Path | None
    writes: bool
    """Whether the master goes to standard output, so that nothing else may."""

    def send(self) -> None:
        """The finished master to standard output."""
        if self.writes and self.output is not None:
            with open(self.output, "rb") as made:
                shutil.copyfileobj(made, sys.stdout.buffer, 1 << 20)
            sys.stdout.buffer.flush()


@contextmanager
def ends(target: Path, output: Path | None) -> Iterator[Ends]:
    """The two ends of a match: a pipe is kept in a temporary folder, as sound is read more than once.

    A usage error where a target without a name has no output.
    """
    if PIPE not in (target, output):
        yield Ends(target, output, writes=False)
        return
    if output is None:
        raise click.UsageError("the target is standard input: name an output with -o, or -o - for standard output")
    with tempfile.TemporaryDirectory(prefix="match-") as folder:
        if target == PIPE:
            target = Path(folder) / "standard-input"
            with open(target, "wb") as file:
                shutil.copyfileobj(sys.stdin.buffer, file, 1 << 20)
        writes = output == PIPE
        yield Ends(target, Path(folder) / "standard-output.wav" if writes else output, writes)
