"""Reference: where to go. A track, or several blended."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from matcher.profile import Profile


@dataclass(frozen=True, eq=False)
class Reference:
    """One or several tracks that say what a master should be like.

    tone, dynamics, loudness: the tracks that each dimension is taken from; several are averaged in dB.
    """

    tone: tuple[Profile, ...]
    dynamics: tuple[Profile, ...]
    loudness: tuple[Profile, ...]

    @classmethod
    def of(cls, *profiles: Profile) -> Reference:
        """Every dimension from the same tracks."""
        return cls(profiles, profiles, profiles)

    @property
    def tracks(self) -> tuple[Profile, ...]:
        """Every track that has a say, once."""
        found = {p.content_hash: p for p in (*self.tone, *self.dynamics, *self.loudness)}
        return tuple(found.values())

    @property
    def name(self) -> str:
        """The tracks' names."""
        return " + ".join(p.name for p in self.tracks)

    @property
    def integrated_lufs(self) -> float:
        """The loudness to reach."""
        return float(np.mean([p.integrated_lufs for p in self.loudness]))
