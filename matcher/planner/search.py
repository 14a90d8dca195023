"""What travels through the closed loop: what is believed, where it is heading, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from dsp.chain import Chain
from dsp.effect import Settings
from dsp.effects.compressor import Compressor
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter
from matcher.aims import Aims
from matcher.planner import density, explain, width
from matcher.planner.gaussian import Array, Estimate
from matcher.planner.sections import Trial
from matcher.planner.shaping import Curves, Shape

QUANTISING_DB = 0.02
"""The limiter stays this far below the ceiling, for the steps of the file's bit depth."""
LIMITING = {"lookahead_ms": 3.0, "hold_ms": 8.0, "release_ms": 60.0, "settle_ms": 200.0}
"""Fast: what surrounds a peak keeps its level, so loudness costs crest and little else."""
FASTER_LIMITING = {"lookahead_ms": 1.5, "hold_ms": 3.0, "release_ms": 30.0, "settle_ms": 50.0}
"""Where more gain into the limiter gives hardly more loudness: it lets go between the peaks, at some distortion."""


@dataclass(frozen=True)
class Beliefs:
    """What of the differences between target and reference is taken for mastering."""

    tone: Estimate
    width: width.WidthEstimate | None
    density: density.Density
    passages: int = 0
    """How many of the target hold the same recording as the reference, so that tone and width were measured in them."""


@dataclass(frozen=True)
class Known:
    """What was made of more than this one track, and is taken as it is: an album's statistics."""

    tone: Estimate
    width: width.WidthEstimate | None
    density_db: Array
    """By how much the five figures of `density` differ from where they are to go."""


@dataclass(frozen=True)
class Goal:
    """Where the loop is heading, with the amounts already taken in."""

    curves: Curves
    density_db: Array
    """Change of the five figures of `density`."""
    loudness_lufs: float
    """As if silence lay around the track."""
    ceiling_dbtp: float


@dataclass
class Search:
    """Where the loop stands."""

    shape: Shape
    gain_db: float
    ceiling_dbtp: float
    compressor: Compressor = field(default_factory=Compressor)
    knee_db: float = 0.0
    reduction_p95_db: float = 0.0
    held_back: str = ""
    """Why the loudness was not reached: "", `limiting` or `ceiling`."""
    reached_lufs: float = 0.0
    """By the latest trial, as if silence lay around the track."""
    crest_cost_db: float = 0.0
    """What the limiter takes of the crest factor."""
    compressed_db: tuple[explain.Reduction, ...] = ()
    """What the compressor takes of each band."""

    limiting: dict[str, float] = field(default_factory=lambda: LIMITING)
    _last: tuple[float, float] | None = None

    def yielded(self, trial: Trial, driven_lufs: float) -> float:
        """How many LU a dB of gain gives: less than one into a limiter. driven_lufs: what goes into that."""
        before, self._last = self._last, (driven_lufs, trial.isolated_lufs)
        if before is None or abs(driven_lufs - before[0]) < 0.02:
            return 0.5 + 0.5 * trial.share_unlimited
        return float(np.clip((trial.isolated_lufs - before[1]) / (driven_lufs - before[0]), 0.25, 1.0))

    def limit_faster(self) -> None:
        """From here on; what gain has given before says nothing any more."""
        self.limiting, self._last = FASTER_LIMITING, None

    def linear(self) -> Chain:
        """Tone and width alone."""
        return Chain(Chain((self.shape.eq, self.shape.width)).active())

    def stages(self, aims: Aims) -> tuple[Chain, Chain, Chain]:
        """The whole chain: tone and width, the compressor, what makes it loud."""
        loud = Chain((Gain(gain_db=bounded(self.gain_db)), *self.limiter(aims)))
        return self.linear(), Chain((self.compressor,)), loud

    def limiter(self, aims: Aims) -> tuple[Settings, ...]:
        """The limiter, where one is wanted."""
        if not aims.limiter:
            return ()
        ceiling_dbtp = round(self.ceiling_dbtp - QUANTISING_DB, 6)
        return (Limiter(ceiling_dbtp=ceiling_dbtp, knee_db=self.knee_db, **self.limiting),)


def bounded(gain_db: float) -> float:
    """A gain that the effect takes, in millionths of a dB: what is rounded here is magnified round by round."""
    return float(np.clip(round(gain_db, 6), -60.0, 60.0))
