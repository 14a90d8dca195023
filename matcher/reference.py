"""Reference: where to go. A track, several blended, or the centre of a preset's tracks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dsp.errors import UnfitError
from matcher.features import Spread
from matcher.profile import THIRD_OCTAVES_HZ

DIMENSIONS = ("tone", "dynamics", "loudness")
"""What can be taken from tracks of its own; width goes with tone."""


MASTERED_LU = 6.0
"""How far mastering moves loudness: one standard deviation."""


class Record(Protocol):
    """What a reference is made of: the profile of a track, or the features of a preset's centre."""

    @property
    def name(self) -> str: ...
    @property
    def content_hash(self) -> str: ...
    @property
    def sample_rate_hz(self) -> int: ...
    @property
    def channels(self) -> int: ...
    @property
    def integrated_lufs(self) -> float: ...
    @property
    def isolated_lufs(self) -> float: ...
    @property
    def true_peak_dbtp(self) -> float: ...
    @property
    def bandwidth_hz(self) -> float: ...
    @property
    def figures(self) -> NDArray[np.float64]: ...
    @property
    def overall_width_db(self) -> float: ...
    @property
    def width_db(self) -> NDArray[np.float64]: ...
    @property
    def has_side(self) -> bool: ...
    def balance_db(self, channel: str = "mid") -> NDArray[np.float64]: ...
    def third_octaves_db(self, channel: str = "mid") -> NDArray[np.float64]: ...
    def summary(self) -> dict[str, Any]: ...


@dataclass(frozen=True, eq=False)
class Reference:
    """One or several tracks that say what a master should be like.

    tone, dynamics, loudness: the tracks that each dimension is taken from; several are averaged in dB, at equal
    loudness where it is the balance that counts. Width is taken from those tracks of `tone` that have a side.
    """

    tone: tuple[Record, ...]
    dynamics: tuple[Record, ...]
    loudness: tuple[Record, ...]
    spread: Spread | None = None
    """How far music of this kind lies around the centre; None where the reference is tracks."""
    chosen: str = ""
    """Why this preset, where one was chosen."""

    @classmethod
    def of(
        cls,
        *profiles: Record,
        tone: Iterable[Record] = (),
        dynamics: Iterable[Record] = (),
        loudness: Iterable[Record] = (),
    ) -> Reference:
        """Every dimension from `profiles`, except those that are given tracks of their own; a track counts once.

        Raises UnfitError where a dimension would be left without a track.
        """
        parts = [_once(tuple(own) or profiles) for own in (tone, dynamics, loudness)]
        for name, part in zip(DIMENSIONS, parts, strict=True):
            if not part:
                raise UnfitError(f"the reference: no track for {name}; at least one is needed")
        return cls(tone=parts[0], dynamics=parts[1], loudness=parts[2])

    @property
    def tracks(self) -> tuple[Record, ...]:
        """Every track that has a say, once."""
        return _once((*self.tone, *self.dynamics, *self.loudness))

    @property
    def name(self) -> str:
        """The tracks' names, with what each is for where they differ in it."""
        return " + ".join(f"{p.name}{self._only(p)}" for p in self.tracks)

    def serves(self, track: Record) -> tuple[str, ...]:
        """The dimensions that are taken from a track."""
        return tuple(name for name in DIMENSIONS if any(_same(track, p) for p in getattr(self, name)))

    def _only(self, track: Record) -> str:
        serves = self.serves(track)
        return "" if serves == DIMENSIONS else f" ({', '.join(serves)})"

    @property
    def wide(self) -> tuple[Record, ...]:
        """The tracks that width is taken from: those of `tone` with a side; none where all are mono."""
        return tuple(p for p in self.tone if p.has_side)

    @property
    def integrated_lufs(self) -> float:
        """The loudness to reach."""
        return float(np.mean([p.integrated_lufs for p in self.loudness]))

    def wanted_lufs(self, here_lufs: float) -> float:
        """The loudness for a track of `here_lufs`: the reference's, or nearly, as far as its kind itself varies."""
        if self.spread is None:
            return self.integrated_lufs
        share = MASTERED_LU**2 / (MASTERED_LU**2 + self.spread.loudness_lu**2)
        return here_lufs + share * (self.integrated_lufs - here_lufs)

    @property
    def bandwidth_hz(self) -> float:
        """Up to where the tone is known."""
        return max(p.bandwidth_hz for p in self.tone)

    def balance_db(self, channel: str = "mid") -> NDArray[np.float64]:
        """Third-octave levels against loudness, the mean of the tracks of `tone`; of the side, of those with one.

        Above the end of one track the others go on from the mean, without a step. Shape (30,).
        """
        tracks = self.wide if channel == "side" and self.wide else self.tone
        levels = np.array([p.balance_db(channel) for p in tracks])
        known = np.array([p.bandwidth_hz / 10.0**0.05 >= THIRD_OCTAVES_HZ for p in tracks])
        mean: NDArray[np.float64] = levels.mean(axis=0)
        for band in range(1, len(mean)):
            going_on = known[:, band]
            if going_on.any() and not going_on.all():
                mean[band] = mean[band - 1] + (levels[going_on, band] - levels[going_on, band - 1]).mean()
        return mean


def _same(one: Record, other: Record) -> bool:
    return one is other or one.content_hash == other.content_hash


def _once(profiles: Iterable[Record]) -> tuple[Record, ...]:
    found: dict[str, Record] = {}
    for profile in profiles:
        found.setdefault(profile.content_hash, profile)
    return tuple(found.values())
