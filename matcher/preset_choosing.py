"""Choosing: which preset, and which of its styles, a track is nearest to, and how sure that is."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dsp.errors import UnfitError
from matcher.features import Array
from matcher.planner import density, tone, width
from matcher.preset_vectors import ONE_MEASURE, vector
from matcher.presets import FIGURES, Preset, Style
from matcher.profile import Profile
from matcher.reference import Record, Reference

OVERSURE = 5.0
"""By how much the likelihoods say too much, since neighbouring bands are not as independent as the model has it. With
this the shipped presets are as often right on tracks they have not seen as they claim to be."""
UNLIKE = 2.0
"""Times the distance that a preset's own tracks have on average, beyond which a track is of another kind."""


@dataclass(frozen=True)
class Nearness:
    """A preset's style beside a track."""

    preset: Preset
    style: Style
    share: float
    """How sure it is that this is the one, 0 to 1 over all that were compared."""
    unlikeness: float
    """Distance in the preset's own deviations; its own tracks lie about 1 away."""


@dataclass(frozen=True)
class Choice:
    """Presets of which the nearest is to be matched to."""

    presets: tuple[Preset, ...]

    def nearest(self, track: Profile) -> Reference:
        """The nearest style of the nearest preset; UnfitError where there is no preset."""
        ranked = rank(track, self.presets)
        best = ranked[0]
        return best.preset.reference(best.style, _said(ranked))


def rank(track: Record, presets: Sequence[Preset]) -> list[Nearness]:
    """The nearest style of each preset, the nearest preset first. UnfitError where there is no preset."""
    if not presets:
        raise UnfitError("no reference: none was named, and there is no preset to choose from")
    found = [(p, max(((log_likelihood(track, s), s) for s in p.styles), key=lambda pair: pair[0])) for p in presets]
    likelihoods = np.array([likelihood for _, (likelihood, _) in found])
    weights = np.exp((likelihoods - likelihoods.max()) / OVERSURE)
    shares = weights / weights.sum()
    ranked = [
        Nearness(preset, style, float(share), unlikeness(track, style))
        for (preset, (_, style)), share in zip(found, shares, strict=True)
    ]
    return sorted(ranked, key=lambda n: -n.share)


def _said(ranked: Sequence[Nearness]) -> str:
    """Which preset, how sure, and what came next; how far the target is from it."""
    best = ranked[0]
    tracks = f"{best.preset.count} track{'s' * (best.preset.count > 1)}, {best.preset.minutes:.0f} min"
    said = f"Beside the preset {best.preset.name} ({tracks})"
    if len(best.preset.styles) > 1:
        said += f", of its {len(best.preset.styles)} styles the {best.style.title} one"
    if len(ranked) > 1:
        sure = "over 99%" if best.share > 0.99 else f"{best.share:.0%}"
        others = ", ".join(f"{n.preset.name} {n.share:.0%}" for n in ranked[1:3] if n.share >= 0.01)
        said += f", the nearest of {len(ranked)}: {sure} sure{'; then ' * bool(others)}{others}"
    if best.unlikeness > UNLIKE:
        said += f". The target is unlike its tracks: {best.unlikeness:.1f} times as far from their centre as they are"
    return said + "."


def log_likelihood(track: Record, style: Style) -> float:
    """Of a track under a style, with what mastering might change in it taken in."""
    total = 0.0
    for away, covariance in _parts(track, style):
        lower = np.linalg.cholesky(covariance)
        white = np.linalg.solve(lower, away)
        total += -0.5 * float(white @ white) - float(np.log(np.diag(lower)).sum())
    return total


def unlikeness(track: Record, style: Style) -> float:
    """Distance of a track from a style's centre, in the style's own deviations: the mean over tone, width, density."""
    squares = [float(np.mean(away**2 / np.diag(covariance))) for away, covariance in _parts(track, style)]
    return float(np.sqrt(np.mean(squares)))


def _parts(track: Record, style: Style) -> list[tuple[Array, Array]]:
    here, heard = vector(track, FIGURES)
    there, known = vector(style.centre, FIGURES)
    spread = style.spread
    found = []
    for columns, own, mastering in zip(
        ONE_MEASURE, (spread.tone, spread.width, spread.density), _mastering(), strict=True
    ):
        seen = np.flatnonzero((heard & known)[columns])
        if len(seen):
            found.append(((here - there)[columns][seen], (own + mastering)[np.ix_(seen, seen)]))
    return found


@functools.cache
def _mastering() -> tuple[Array, Array, Array]:
    return tone.mastering_prior(), width.mastering_prior(), density.mastering_prior()
