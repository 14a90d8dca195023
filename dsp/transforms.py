"""SciPy's Fourier transforms, loaded without what they do not need.

SciPy's array layer copies every name NumPy has, those of its compilers' wrappers and test helpers, too, which loads
them and half of the standard library's mail package: half of the time that loading the transforms takes, and a fifth of
a match of ten seconds. They are left out of NumPy's lists while SciPy loads, and found there as always afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np

_UNUSED = {"ctypeslib", "f2py", "ma", "polynomial", "testing"}


@contextlib.contextmanager
def _unlisted() -> Iterator[None]:
    listed: set[str] = getattr(np, "__numpy_submodules__", set())
    names, hidden = np.__all__, listed & _UNUSED
    np.__all__ = [name for name in names if name not in hidden]
    listed -= hidden
    try:
        yield
    finally:
        np.__all__ = names
        listed |= hidden


with _unlisted():
    from scipy import fft

__all__ = ["fft"]
