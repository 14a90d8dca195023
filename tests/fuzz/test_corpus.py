"""Every saved input, and a little fuzzing that is the same each time; `tests/fuzz/run.py` goes on from there."""

from __future__ import annotations

import importlib.util
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
NAMES = ("audio", "plan", "preset", "lists")
ROUNDS = {"audio": 150, "plan": 300, "preset": 100, "lists": 300}


def _loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


mutating, targets = _loaded("mutating"), _loaded("targets")


@pytest.fixture
def fuzzed(monkeypatch: pytest.MonkeyPatch) -> Iterator[object]:
    """The targets, with the PATH as it was afterwards."""
    monkeypatch.setenv("PATH", "")
    made = targets.Targets()
    yield made
    made.close()


@pytest.mark.parametrize("name", NAMES)
def test_saved_inputs(fuzzed: object, name: str) -> None:
    """What fuzzing began with, and all it has ever found."""
    inputs = mutating.seeds(name)
    assert inputs
    for data in inputs:
        fuzzed.named()[name](data)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_a_little_fuzzing(fuzzed: object, name: str) -> None:
    """A fixed seed: a failure here can be repeated."""
    rng, pool = random.Random(name), mutating.seeds(name)
    for _ in range(ROUNDS[name]):
        fuzzed.named()[name](mutating.mutated(rng, pool))  # type: ignore[attr-defined]
