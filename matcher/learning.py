"""Learning from music: how far two pieces differ by themselves.

    python -m matcher.learning FOLDER -o references/prior.json

FOLDER holds one folder an album. Nothing in it was mastered on purpose: excerpts of one piece, and of two pieces of one
album, differ by music alone. What the planner takes from it is how far the figures of compression differ where the tone
differs by so much; what presets take is how tracks lie around the centre of their album. Statistics only; no audio.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.errors import MatchError
from matcher.analysis import analyze
from matcher.features import Features
from matcher.io import open_audio
from matcher.planner import density, tone
from matcher.planner.likeness import Moments
from matcher.preset_learning import around_centres
from matcher.presets import as_rows
from matcher.priors import Prior
from matcher.profile import Profile
from matcher.reference import Reference
from matcher.version import VERSION

EXCERPT_S = 40.0
EXCERPTS = 4
MOST_PERCENTILE = 80.0
"""Beyond this share of the differences a figure says nothing more of the pieces."""


def excerpts(path: Path) -> list[Profile]:
    """Profiles of stretches of a track, evenly spread; none of a track too short for two."""
    with open_audio(path) as audio:
        length = round(EXCERPT_S * audio.sample_rate_hz)
        count = min(EXCERPTS, audio.length_samples // length)
        if count < 2:
            return []
        starts = np.linspace(0, audio.length_samples - length, count).astype(int)
        return [analyze(Audio(audio.read(int(s), length), audio.sample_rate_hz)) for s in starts]


def differences(albums: list[list[list[Profile]]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(scale of the tone's own difference, absolute difference of the five figures) for pairs within each album.

    albums: album, track, excerpt. Every album counts the same number of pairs of one track and of two.
    """
    scales, apart = [], []
    for album in albums:
        tracks = [t for t in album if t]
        pairs = [pair for track in tracks for pair in itertools.combinations(track, 2)]
        pairs += [(a[0], b[-1]) for a, b in itertools.combinations(tracks, 2)]
        for one, other in pairs:
            scales.append(tone.estimate(one, Reference.of(other), Moments(one)).music_db)
            apart.append(np.abs(density.of_profile(one) - density.of_profile(other)))
    return np.array(scales), np.array(apart)


def learn(folder: Path) -> Prior:
    """The prior of a folder of albums; MatchError names a track that cannot be read."""
    from sklearn.linear_model import HuberRegressor

    albums, whole, tracks = [], [], 0
    for album in sorted(p for p in folder.iterdir() if p.is_dir()):
        paths = sorted(p for p in album.iterdir() if p.is_file())
        albums.append([excerpts(path) for path in paths])
        whole.append([Features.of(analyze(path)) for path in paths])
        tracks += sum(bool(track) for track in albums[-1])
    around = around_centres(album for album in whole if len(album) > 1)
    scales, apart = differences(albums)
    slopes, most = [], []
    for figure in apart.T:
        # Robust, as a few pairs differ wildly; of a normal variable the mean size is 0.8 of its deviation.
        line = HuberRegressor(fit_intercept=False, alpha=0.0).fit(scales[:, None], figure)
        slopes.append(round(float(line.coef_[0]) / 0.8, 4))
        most.append(round(float(np.percentile(figure, MOST_PERCENTILE)), 3))
    return Prior(
        figure_slopes=tuple(slopes),
        figure_most_db=tuple(most),
        **{group: as_rows(matrix) for group, matrix in around.items()},
        tracks=tracks,
        pairs=len(scales),
        made_by=f"match {VERSION}",
    )


def main() -> None:
    """Learn from the folder named and write the JSON."""
    if len(sys.argv) != 4 or sys.argv[2] != "-o":
        sys.exit("usage: python -m matcher.learning FOLDER -o PRIOR.json")
    try:
        prior = learn(Path(sys.argv[1]))
    except MatchError as error:
        sys.exit(f"learning: {error}")
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in prior.to_data().items())
    Path(sys.argv[3]).write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
