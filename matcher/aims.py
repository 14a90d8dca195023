"""Aims: what a person asks of a match beyond the two files."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from dsp.effect import Bounded

Share = Annotated[float, Meta(ge=0.0, le=1.0)]


class Aims(Bounded, frozen=True, kw_only=True):
    """How far to go and where to stop; the defaults are what most masters want."""

    ceiling_dbtp: Annotated[float, Meta(ge=-30.0, le=0.0)] = -1.0
    """No true peak above this."""
    loudness_lufs: Annotated[float, Meta(ge=-60.0, le=0.0)] | None = None
    """Integrated loudness to reach; the reference's where None."""
    belief: Share | None = None
    """How much of a difference is taken for mastering: 1 matches everything; judged from the tracks where None."""
    amount: Share = 1.0
    """How much of the planned move is made, in every dimension."""
    eq: Share = 1.0
    width: Share = 1.0
    dynamics: Share = 1.0
    loudness: Share = 1.0
    restore: Literal["auto", "off", "strong"] = "auto"
    """Whether damage is mended first: where it is sure, not at all, or on weaker signs too."""
    limiter: bool = True
    max_limiting_db: Annotated[float, Meta(ge=0.0, le=24.0)] = 10.0
    """The limiter's gain reduction stays below this for 95 % of the time; loudness is given up for it."""
