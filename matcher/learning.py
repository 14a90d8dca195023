"""Learning from music: how far two pieces differ by themselves.

    python -m matcher.learning FOLDER -o references/prior.json

FOLDER holds one folder an album. Nothing in it was mastered on purpose: excerpts of one piece, and of two pieces of one
album, differ by music alone. What the planner takes from it is how far they differ where what they play is so much
alike, and how far the figures of compression differ where the tone differs by so much; what presets take is how tracks
lie around the centre of their album. Statistics only; no audio.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.errors import UnfitError
from dsp.meters.image import quantiles_db
from matcher.analysis import analyze
from matcher.features import Features
from matcher.io import open_audio
from matcher.learned import main_of
from matcher.planner import density, image, tone, width
from matcher.planner.likeness import Moments, compare
from matcher.preset_learning import around_centres
from matcher.presets import as_rows
from matcher.priors import Growth, Image, Line, Prior, missing
from matcher.profile import Profile
from matcher.reference import Reference
from matcher.version import VERSION

EXCERPT_S = 40.0
EXCERPTS = 4
SMALLEST_DB, SMALLEST_SPREAD = 0.05, 0.2
"""Pieces differ by no less, and nothing is known any better."""
FEWEST_PAIRS = 3
"""Through fewer goes any line."""
EQUALLY_LOUD_LU = 2.0
SCATTER_ROUNDS = 60
GROWTH_BOUNDS = ((math.log(0.05), math.log(5.0)), (0.0, 1.0))
"""Of what is sought: the logarithm of the scale, and the exponent."""


def excerpts(path: Path) -> list[Profile]:
    """Profiles of stretches of a track, evenly spread; none of a track too short for two."""
    with open_audio(path) as audio:
        length = round(EXCERPT_S * audio.sample_rate_hz)
        count = min(EXCERPTS, audio.length_samples // length)
        if count < 2:
            return []
        starts = np.linspace(0, audio.length_samples - length, count).astype(int)
        return [analyze(Audio(audio.read(int(s), length), audio.sample_rate_hz)) for s in starts]


Pair = tuple[Profile, Profile]


def pairs_of(albums: list[list[list[Profile]]]) -> list[Pair]:
    """Of excerpts of one track, and for every two tracks of an album one of both. albums: album, track, excerpt."""
    pairs: list[Pair] = []
    for album in albums:
        tracks = [t for t in album if t]
        pairs += [pair for track in tracks for pair in itertools.combinations(track, 2)]
        pairs += [(a[0], b[-1]) for a, b in itertools.combinations(tracks, 2)]
    return pairs


def alike_lines(pairs: list[Pair]) -> dict[str, tuple[Line, ...]]:
    """How far pairs differ in tone and width, whole and in their alike moments, by the similarity of what they play."""
    of_tone, of_width = ([] for _ in range(2))  # each pair's rows of (missing similarity, logarithm of the difference)
    for one, other in pairs:
        alike = compare(one.course, other.course)
        if not alike:
            continue
        reference = Reference.of(other)
        away = [missing(alike[0].similarity), *(missing(each.similarity) for each in alike)]
        difference, heard = tone.measured(one, reference)
        sizes = [_size(d - d[heard].mean(), heard) for d in (difference, *(each.tone_db for each in alike))]
        of_tone.append(np.stack([away, sizes]))
        if reference.wide and width.has_side(one):
            difference, heard = width.measured(one, reference)
            sizes = [_size(d, heard) for d in (difference, *(each.width_db for each in alike))]
            of_width.append(np.stack([away, sizes]))
    return {"alike_tone": _lines(of_tone), "alike_width": _lines(of_width)}


def _size(difference_db: NDArray[np.float64], heard: NDArray[np.bool_]) -> float:
    """Logarithm of the RMS."""
    return float(np.log(max(np.sqrt(np.mean(difference_db[heard] ** 2)), SMALLEST_DB)))


def _lines(rows: list[NDArray[np.float64]]) -> tuple[Line, ...]:
    """The straight line through each version of the difference; UnfitError where there is none to draw."""
    if len(rows) < FEWEST_PAIRS:
        raise UnfitError(f"music: {len(rows)} pairs can be compared, at least {FEWEST_PAIRS} are needed")
    lines = []
    for away, sizes in np.moveaxis(np.array(rows), 0, -1).swapaxes(0, 1):
        slope, offset = np.polyfit(away, sizes, 1)
        spread = max(float(np.std(sizes - offset - slope * away)), SMALLEST_SPREAD)
        lines.append(Line(*(round(float(v), 4) for v in (offset, slope, spread))))
    return tuple(lines)


def equally_loud(albums: list[list[list[Profile]]]) -> list[Pair]:
    """All pairs of excerpts of one track or of two of an album that are about as loud: mastering makes them so."""
    pairs = (pair for album in albums for pair in itertools.combinations([e for track in album for e in track], 2))
    return [(a, b) for a, b in pairs if abs(a.isolated_lufs - b.isolated_lufs) < EQUALLY_LOUD_LU]


def differences(pairs: list[Pair], lines: Sequence[Line]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale of the tone's own difference, difference of the five figures) of each pair.

    lines: of `alike_lines`, for tone.
    """
    scales = [tone.estimate(a, Reference.of(b), Moments(a), lines=lines).music_db for a, b in pairs]
    apart = [density.of_profile(a) - density.of_profile(b) for a, b in pairs]
    return np.array(scales), np.array(apart)


def growth(scales_db: NDArray[np.float64], apart_db: NDArray[np.float64]) -> Growth:
    """The most likely one for these differences of a figure."""
    from scipy import optimize, stats

    scales_db = np.maximum(scales_db, SMALLEST_DB)

    def unlikely(settings: NDArray[np.float64]) -> float:
        scale_db = np.exp(settings[0]) * scales_db ** settings[1]
        return float(-stats.t.logpdf(apart_db / scale_db, density.TAILS).sum() + np.log(scale_db).sum())

    found = optimize.minimize(unlikely, np.array([0.0, 0.5]), method="L-BFGS-B", bounds=GROWTH_BOUNDS).x
    return Growth(round(float(np.exp(found[0])), 4), round(float(found[1]), 4))


def images(tracks: Sequence[Sequence[Profile]]) -> Image:
    """How far apart the sources of the tracks lie, every track as important as any other, from its excerpts.

    UnfitError where none of them has a side.
    """
    found = [[quantiles_db(e.image) for e in track if image.has_points(e)] for track in tracks]
    found = [track for track in found if track]
    if not found:
        raise UnfitError("music: no track with a side")
    every = np.concatenate(found)
    weight = np.concatenate([np.full(len(track), 1.0 / len(track)) for track in found])
    centre, around = scattered(every, weight)
    apart = [a - b for track in found for a, b in itertools.permutations(track, 2)] or [np.zeros(every.shape[1])]
    _, within = scattered(np.array(apart), np.ones(len(apart)))
    return Image(tuple(np.round(centre, 3).tolist()), as_rows(around), as_rows(within))


def scattered(
    points: NDArray[np.float64], weight: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centre and scatter of the multivariate t distribution of points, shape (points, size), by their weights.

    Expectation and maximization (Lange, Little & Taylor 1989), each figure expected to stray by `image.STRAYS_DB`.
    """
    size, strays = points.shape[1], image.STRAYS_DB**2 * np.eye(points.shape[1])
    centre, scatter = np.average(points, axis=0, weights=weight), np.cov(points.T, aweights=weight, bias=True) + strays
    for _ in range(SCATTER_ROUNDS):
        counted = weight * (image.TAILS + size) / (image.TAILS + image.squares(points - centre, scatter))
        centre = counted @ points / counted.sum()
        away = points - centre
        scatter = ((away.T * counted) @ away + counted.sum() * strays) / weight.sum()
    return centre, scatter


def learn(folder: Path) -> Prior:
    """The prior of a folder of albums; MatchError names a track that cannot be read."""
    albums, whole, tracks = [], [], 0
    for album in sorted(p for p in folder.iterdir() if p.is_dir()):
        paths = sorted(p for p in album.iterdir() if p.is_file())
        albums.append([excerpts(path) for path in paths])
        whole.append([Features.of(analyze(path)) for path in paths])
        tracks += sum(bool(track) for track in albums[-1])
    around = around_centres(album for album in whole if len(album) > 1)
    pairs = pairs_of(albums)
    lines = alike_lines(pairs)
    scales, apart = differences(equally_loud(albums), lines["alike_tone"])
    return Prior(
        figures=tuple(growth(scales, figure) for figure in apart.T),
        **{group: as_rows(matrix) for group, matrix in around.items()},
        alike_tone=lines["alike_tone"],
        alike_width=lines["alike_width"],
        image=images([track for album in albums for track in album]),
        tracks=tracks,
        pairs=len(pairs),
        made_by=f"match {VERSION}",
    )


if __name__ == "__main__":
    main_of("learning", learn)
