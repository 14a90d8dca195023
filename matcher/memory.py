"""Memory that was freed stays with the process for its next arrays."""

from __future__ import annotations

import functools
from contextlib import suppress

KEPT_BYTES = 128 * 1024 * 1024
"""The most that is kept so."""


@functools.cache
def keep_freed() -> None:
    """Let glibc keep what was freed: blocks of sound come and go, and to get each from the system anew takes as long as
    some of the work. Dask starts its workers so that none is ever kept, which doubles the time. All threads share one
    store, or each would keep as much of its own."""
    import ctypes

    trim_threshold, mmap_threshold, most_stores = -1, -3, -8
    with suppress(AttributeError, OSError, TypeError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        for parameter in (mmap_threshold, trim_threshold):
            mallopt(parameter, KEPT_BYTES)
        mallopt(most_stores, 1)
