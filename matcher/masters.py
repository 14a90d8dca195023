"""Masters made here, known again by the hash of their content.

What is believed of a difference is a share of it, so a second match would move by a share of the rest, and so on. Held
against the same references with the same aims, a master is what was wanted: nothing is left to do.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec

from dsp.errors import PlanError
from matcher import cache
from matcher.plans import Believed, Curve, Figure, Plan

MOST = 2000
"""Masters that are remembered; the oldest go first."""


def remember(content_hash: str, plan: Plan) -> None:
    """Keep the plan that a master was made by; a folder that cannot be written is no reason to fail."""
    with contextlib.suppress(OSError):
        path = _path(content_hash)
        cache.put(path, plan.to_json().encode())
        for old in sorted(path.parent.glob("*.json"), key=lambda p: p.stat().st_mtime, reverse=True)[MOST:]:
            old.unlink(missing_ok=True)


def finished(wanted: Plan) -> Plan | None:
    """`wanted` with nothing to do, where its target was made beside the same references with the same aims."""
    try:
        made = Plan.from_json(_path(wanted.target.content_hash).read_bytes())
    except (OSError, PlanError):
        return None
    if made.aims != wanted.aims or _sources(made) != _sources(wanted):
        return None
    left = None if made.believed is None else _after(made.believed)
    said = f"{wanted.target.name} was made beside the same reference with the same aims: nothing is left to do"
    return msgspec.structs.replace(wanted, remarks=(said,), believed=left)


def _path(content_hash: str) -> Path:
    return cache.kept("masters", f"{content_hash}.json")


def _sources(plan: Plan) -> list[tuple[str, tuple[str, ...]]]:
    return [(track.content_hash, track.serves) for track in plan.references]


def _after(believed: Believed) -> Believed:
    """What is left to believe once what was wanted is made."""
    return msgspec.structs.replace(
        believed,
        tone=_left(believed.tone),
        side=None if believed.side is None else _left(believed.side),
        density=tuple(_left_of(figure) for figure in believed.density),
    )


def _left(curve: Curve) -> Curve:
    def less(values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(round(v - made, 2) + 0.0 for v, made in zip(values, curve.wanted_db, strict=True))

    return msgspec.structs.replace(
        curve,
        difference_db=less(curve.difference_db),
        believed_db=less(curve.believed_db),
        wanted_db=tuple(0.0 for _ in curve.wanted_db),
    )


def _left_of(figure: Figure) -> Figure:
    return msgspec.structs.replace(
        figure,
        target_db=round(figure.target_db + figure.wanted_db, 2),
        believed_db=round(figure.believed_db - figure.wanted_db, 2) + 0.0,
        wanted_db=0.0,
    )
