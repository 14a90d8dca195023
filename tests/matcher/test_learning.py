"""What is learned from music, and what ships of it."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import numpy as np
import pytest

from dsp.audio import Audio
from matcher.demo import song
from matcher.io import write_audio
from matcher.learning import differences, equally_loud, growth, learn
from matcher.planner import density
from matcher.planner.density import music_scale_db
from matcher.planner.likeness import SHARES
from matcher.priors import Prior, folder, shipped


def test_the_shipped_prior_is_sound() -> None:
    """It is beside the package, names its corpus, and doubts more the further two pieces are apart."""
    prior = shipped()
    assert (folder() / "prior.json").is_file()
    assert prior.tracks >= 20
    assert len(prior.figures) == len(density.NAMES)
    assert all(0.1 < growth.at_1_db < 3.0 and 0.1 < growth.exponent < 1.0 for growth in prior.figures)
    assert np.all(music_scale_db(0.0) == 0.0)
    assert np.all(music_scale_db(2.0) < music_scale_db(10.0))
    for lines in (prior.alike_tone, prior.alike_width):
        assert len(lines) == len(SHARES) + 1
        assert all(line.slope > 0.5 and 0.2 <= line.spread < 1.5 for line in lines)
        assert all(np.exp(line.expected(0.9)[0]) < 1.5 < 3.0 < np.exp(line.expected(0.2)[0]) for line in lines)


def test_learning_gives_a_prior(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder of albums, the same each time; one piece differs less from itself than from another."""
    monkeypatch.setattr("matcher.learning.EXCERPT_S", 3.0)
    monkeypatch.setattr("matcher.learning.EXCERPTS", 2)
    for album, styles in (("one", ("ballad", "dance")), ("two", ("dance", "ballad"))):
        (tmp_path / album).mkdir()
        for number, style in enumerate(styles):
            made = song(10 + number, seconds=7.0, style=style)
            write_audio(tmp_path / album / f"{number}.wav", Audio(made.samples, made.sample_rate_hz))
    first, again = learn(tmp_path), learn(tmp_path)
    assert first == again
    assert (first.tracks, first.pairs) == (4, 6)
    assert msgspec.json.decode(json.dumps(first.to_data()), type=Prior) == first
    assert len(first.alike_tone) == len(first.alike_width) == len(SHARES) + 1
    for group, size in (("tone", 30), ("width", 30), ("density", 5)):
        covariance = np.array(getattr(first, group))
        assert covariance.shape == (size, size)
        assert np.linalg.eigvalsh(covariance)[0] > 0.0


def test_a_piece_does_not_differ_from_itself(tmp_path: Path) -> None:
    """The same excerpt twice: no difference in any figure, and next to none inferred in tone."""
    from matcher import analyze

    made = song(3, seconds=4.0)
    profile = analyze(made)
    scales, apart = differences([(profile, profile)], shipped().alike_tone)
    assert np.all(apart == 0.0)
    assert scales[0] < 1.0


def test_growth_is_found_again() -> None:
    """Differences drawn with a known scale and exponent, and the tails that are expected of music."""
    rng = np.random.default_rng(3)
    scales_db = np.exp(rng.uniform(np.log(0.2), np.log(15.0), 4000))
    found = growth(scales_db, 0.7 * scales_db**0.4 * rng.standard_t(density.TAILS, 4000))
    assert found.at_1_db == pytest.approx(0.7, rel=0.06)
    assert found.exponent == pytest.approx(0.4, abs=0.03)
    assert found.expected(4.0) == pytest.approx(0.7 * 4.0**0.4, rel=0.06)


def test_pairs_of_equal_loudness_alone() -> None:
    """Excerpts of one album, of one track or of two, within 2 LU of each other."""
    from matcher import analyze

    made = song(3, seconds=4.0)
    here, same, loud = (analyze(Audio(made.samples * g, made.sample_rate_hz)) for g in (0.5, 0.55, 1.0))
    assert equally_loud([[[here, loud], [same]], [[here]]]) == [(here, same)]
