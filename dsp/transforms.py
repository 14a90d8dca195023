"""SciPy's Fourier transforms, loaded without what they do not need: a third of the time.

SciPy's array layer copies every name NumPy has, those of its wrapper generator and its test helpers, too, which loads
them and Python's mail package. Its logarithmic transforms load all special functions for two of them. Both wait here
until somebody asks for them; whatever else imports NumPy or SciPy finds them as always.
"""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

_UNUSED = {"ctypeslib", "f2py", "ma", "polynomial", "testing"}


@contextlib.contextmanager
def _unlisted() -> Iterator[None]:
    """NumPy's lists of its names without those of `_UNUSED`."""
    listed: set[str] = getattr(np, "__numpy_submodules__", set())
    names, hidden = np.__all__, listed & _UNUSED
    np.__all__ = [name for name in names if name not in hidden]
    listed -= hidden
    try:
        yield
    finally:
        np.__all__ = names
        listed |= hidden


@contextlib.contextmanager
def _deferred(name: str) -> Iterator[None]:
    """A module whose functions, where they are imported meanwhile, load it when they are first called."""
    if name in sys.modules:
        yield
        return

    def deferred(function: str) -> Callable[..., Any]:
        return lambda *args, **named: getattr(importlib.import_module(name), function)(*args, **named)

    stand_in = ModuleType(name)
    stand_in.__getattr__ = deferred  # type: ignore[method-assign]
    sys.modules[name] = stand_in
    try:
        yield
    finally:
        del sys.modules[name]


with _unlisted(), _deferred("scipy.special"):
    from scipy import fft

__all__ = ["fft"]
