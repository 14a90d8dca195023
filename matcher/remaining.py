"""Remaining: what still lies between a master and its reference, and how much of that is the music's own.

The plan holds what was measured and what of it was taken for mastering; the rest belongs to the piece and is left
alone on purpose. In every band, so much of what remains is the music's own as has the sign of that rest and is no
larger; what is over was believed to be mastering and not made, or made too much.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from matcher.planner import density, width
from matcher.plans import Believed, Curve, Plan
from matcher.profile import Profile
from matcher.reference import Reference

Array = NDArray[np.float64]
WORTH_DB = 0.15
"""Less is not worth a sentence."""


@dataclass(frozen=True)
class Remaining:
    """One dimension: by how much it still differs, and how much of that is believed to be the music's own."""

    name: str
    """`tone`, `side` or `density`."""
    differs_db: float
    """RMS over the third octaves; of density, the mean over its figures."""
    own_db: float
    """The same share of it as the music's own has of the absolute differences."""

    planned: bool = False
    """Whether this is what a plan means to leave, not what was measured of a master."""

    def sentence(self) -> str:
        """Plain words and both numbers."""
        what = {"tone": "the tone", "side": "the side against the mid", "density": "the density"}[self.name]
        still = "will still differ by" if self.planned else "still differs by"
        own = f"{self.own_db:.1f} dB are"
        if self.own_db >= 0.97 * self.differs_db:
            own = "all is"
        elif self.own_db < 0.05:
            own = "nothing is"
        return f"Of the {self.differs_db:.1f} dB that {what} {still}, {own} believed to be the music's own."

    def to_dict(self) -> dict[str, object]:
        """Plain JSON data."""
        return {"name": self.name, "differs_db": round(self.differs_db, 3), "own_db": round(self.own_db, 3)}


def after_render(plan: Plan, after: Profile, reference: Reference, tone_db: float) -> tuple[Remaining, ...]:
    """What remains as measured of the master; tone_db: its distance as the report has it. Nothing without a belief."""
    believed = plan.believed
    if believed is None:
        return ()
    tone = _curve("tone", reference.balance_db() - after.balance_db(), believed.tone, level_free=True)
    share = tone.own_db / tone.differs_db if tone.differs_db else 0.0
    found = [Remaining("tone", tone_db, tone_db * share)]
    if believed.side is not None and after.has_side and reference.wide:
        found.append(_curve("side", width.measured(after, reference)[0], believed.side))
    here = density.of_profile(after)
    found.append(_density(believed, np.array([f.reference_db for f in believed.density]) - here))
    return tuple(r for r in found if r.differs_db >= WORTH_DB)


def as_planned(plan: Plan) -> tuple[Remaining, ...]:
    """What the plan alone means to leave."""
    believed = plan.believed
    if believed is None:
        return ()
    found = [_curve("tone", _left(believed.tone), believed.tone, level_free=True)]
    if believed.side is not None:
        found.append(_curve("side", _left(believed.side), believed.side))
    left = [f.reference_db - f.target_db - f.wanted_db for f in believed.density]
    found.append(_density(believed, np.array(left)))
    return tuple(replace(r, planned=True) for r in found if r.differs_db >= WORTH_DB)


def _curve(name: str, left_db: Array, curve: Curve, *, level_free: bool = False) -> Remaining:
    """level_free: whether the mean of a curve says nothing, as it does of tone, which is compared at equal loudness."""
    heard = np.array(curve.heard)
    if not heard.any():
        return Remaining(name, 0.0, 0.0)
    left, own = left_db[heard], _own(curve)[heard]
    if level_free:
        left, own = left - left.mean(), own - own.mean()
    differs = float(np.sqrt(np.mean(left**2)))
    return Remaining(name, differs, differs * _share(left, own))


def _density(believed: Believed, left_db: Array) -> Remaining:
    own = np.array([f.reference_db - f.target_db - f.believed_db for f in believed.density])
    differs = float(np.mean(np.abs(left_db))) if len(left_db) else 0.0
    return Remaining("density", differs, differs * _share(left_db, own))


def _left(curve: Curve) -> Array:
    return np.array(curve.difference_db) - np.array(curve.wanted_db)


def _own(curve: Curve) -> Array:
    return np.array(curve.difference_db) - np.array(curve.believed_db)


def _share(left_db: Array, own_db: Array) -> float:
    """How much of the absolute differences that are left has the sign of the music's own and is no larger, 0 to 1."""
    of_it = np.where(left_db * own_db > 0.0, np.minimum(np.abs(left_db), np.abs(own_db)), 0.0)
    total = float(np.abs(left_db).sum())
    return float(of_it.sum()) / total if total > 0.0 else 0.0
