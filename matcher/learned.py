"""The command of what learns from a folder and keeps it as JSON, one field a line."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from dsp.errors import MatchError


def main_of(name: str, learn: Callable[[Path], msgspec.Struct]) -> None:
    """Learn from the folder named on the command line and write what came of it; a failure is one line."""
    if len(sys.argv) != 4 or sys.argv[2] != "-o":
        sys.exit(f"usage: python -m matcher.{name} FOLDER -o FILE.json")
    try:
        data = msgspec.to_builtins(learn(Path(sys.argv[1])))
        lines = (f"{json.dumps(field)}: {json.dumps(value)}" for field, value in data.items())
        Path(sys.argv[3]).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    except (MatchError, OSError) as error:
        sys.exit(f"{name}: {error}")
