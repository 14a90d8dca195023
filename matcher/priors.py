"""What was learned from music beforehand, read from `references/`."""

from __future__ import annotations

import functools
import math
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from dsp.effect import Bounded

FILE = "prior.json"


class Line(NamedTuple):
    """How far two pieces differ by themselves where what they play is so similar, learned from music."""

    offset: float
    slope: float
    spread: float
    """In natural logarithms of dB: a straight line over that of what is missing to `SAME`, and how far off it is."""

    def expected(self, similarity: float) -> tuple[float, float]:
        """(mean, standard deviation) of the logarithm of the music's own difference in dB."""
        return self.offset + self.slope * missing(similarity), self.spread


SAME = 1.02
"""A little more than the similarity of the same notes: no two recordings differ by nothing."""


def missing(similarity: float) -> float:
    """The logarithm over which a `Line` is straight."""
    return math.log(SAME - similarity)


class Growth(NamedTuple):
    """How far two pieces differ in a figure by themselves, by how far they differ in tone: a power of that."""

    at_1_db: float
    exponent: float

    def expected(self, music_db: float) -> float:
        """The scale of a Student's t distribution, dB."""
        return float(self.at_1_db * music_db**self.exponent)


class Image(NamedTuple):
    """How the quantiles of `dsp.meters.image` lie: the centre and the scatter of a t distribution, dB and dB²."""

    centre: tuple[float, ...]
    tracks: tuple[tuple[float, ...], ...]
    """Scatter of tracks around the centre."""
    pieces: tuple[tuple[float, ...], ...]
    """Scatter of the differences between two excerpts of one piece around nothing."""


class Prior(Bounded, frozen=True, kw_only=True):
    """How far pieces differ by themselves; made by `matcher.learning`, never by hand."""

    figures: tuple[Growth, ...]
    """How far each of the five figures of `density` differs by itself, between pieces that are equally loud."""
    tone: tuple[tuple[float, ...], ...]
    """Covariance of a track about the centre of its album, dB²: third octaves of the mid at equal loudness."""
    width: tuple[tuple[float, ...], ...]
    """The same of the side against the mid."""
    density: tuple[tuple[float, ...], ...]
    """The same of the five figures of compression."""
    alike_tone: tuple[Line, ...]
    """How far two pieces differ in tone by themselves, by how alike is what they play: of whole tracks, then of the
    moments of each of `likeness.SHARES`."""
    alike_width: tuple[Line, ...]
    """The same of the side against the mid."""
    image: Image
    """How far apart the sources of music lie by themselves."""
    tracks: int
    pairs: int
    made_by: str

    def to_data(self) -> dict[str, Any]:
        """Plain JSON data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


def folder() -> Path:
    """Where the shipped references are: inside the installed package, or beside it in the sources."""
    here = Path(__file__).parent
    return here / "references" if (here / "references").is_dir() else here.parent / "references"


@functools.cache
def shipped() -> Prior:
    """The prior that the planner uses."""
    return msgspec.json.decode((folder() / FILE).read_bytes(), type=Prior)
