"""What tells a click from the music's own: regression trees over the signs that `dsp/kernels/clicks.cpp` measures.

Their sum is the natural logarithm of how many times likelier the signs are of a click than of music. They were learned
by `python -m matcher.click_learning` from music and from clicks put into it.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

FILE = Path(__file__).with_name("clicktrees.json")

SIGNS = (
    "prominence", "backward", "length", "left", "saved", "next_highest", "soon", "louder_soon", "louder_later",
    "size", "removed", "sound", "foreseen", "bright", "even", "one_sided", "attack", "company",
)  # fmt: skip
"""By number; the kernel says what each is."""


class ClickTrees(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All trees' nodes in one row; made by `matcher.click_learning`, never by hand."""

    base: float
    """Added to what the trees say."""
    roots: tuple[int, ...]
    """The first node of every tree."""
    sign: tuple[int, ...]
    """Which sign a node asks for; -1 where it is a leaf."""
    at: tuple[float, ...]
    """The threshold of a node, the value of a leaf."""
    next: tuple[int, ...]
    """The node that follows where the sign is not above the threshold; the one after it where it is."""
    tracks: int
    clicks: int
    music: int
    """How many of either kind they were learned from."""
    made_by: str

    def for_kernel(self) -> dict[str, Any]:
        """As arguments of `dsp.kernels.ClickScreen`."""
        nodes = {name: np.array(getattr(self, name), dtype=np.int32) for name in ("sign", "next", "roots")}
        return {"base": self.base, "at": np.array(self.at, dtype=np.float64), **nodes}


NO_TREES = ClickTrees(base=0.0, roots=(), sign=(), at=(), next=(), tracks=0, clicks=0, music=0, made_by="")
"""Judge nothing: every score is 0."""


@functools.cache
def shipped() -> ClickTrees:
    """The trees that the detector uses."""
    return msgspec.json.decode(FILE.read_bytes(), type=ClickTrees)
