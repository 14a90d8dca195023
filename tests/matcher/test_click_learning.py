"""What clicks are learned from is what it should be, and trees learned from signs tell the kinds apart."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from dsp.errors import UnfitError
from dsp.kernels import CLICK_SIGNS
from dsp.restoration.clicktrees import ClickTrees
from matcher.click_learning import above_db, candidates, trees_of, with_clicks
from matcher.click_sounds import click, played

RATE_HZ = 44_100


@pytest.mark.parametrize("seed", range(40))
def test_sounds_are_sounds(seed: int) -> None:
    """Clicks last 0.08 to 4.5 ms and have a peak of 1; played music lies within full scale, on every draw."""
    made = click(np.random.default_rng(seed), RATE_HZ)
    assert 0.00005 <= len(made) / RATE_HZ <= 0.0046
    assert np.abs(made).max() == pytest.approx(1.0)
    music = played(np.random.default_rng(seed), RATE_HZ)
    assert music.shape == (2, 8 * RATE_HZ)
    assert 0.05 < np.abs(music).max() < 1.0


def test_clicks_are_where_they_were_put() -> None:
    """Samples change in the spans that are named and in those of fainter clicks, and nowhere else."""
    rng = np.random.default_rng(1)
    music = 0.02 * np.sin(0.05 * np.arange(20 * RATE_HZ)) + 0.0005 * rng.standard_normal((2, 20 * RATE_HZ))
    damaged, put = with_clicks(music, RATE_HZ, 300, rng)
    assert 30 <= len(put) <= 2 * 100
    for each in put:
        inside = damaged[each.channel, each.first : each.stop] - music[each.channel, each.first : each.stop]
        assert np.abs(inside).max() > 0.0005
    changed = np.abs(damaged - music) > 0.0
    assert np.count_nonzero(changed) < 0.02 * changed.size
    found = candidates(damaged.astype(np.float32), RATE_HZ)
    hit = sum(any(c == p.channel and a < p.stop and p.first < b for a, b, c in found[:, :3]) for p in put)
    assert hit >= 0.9 * len(put)


def test_above_is_told_in_noise() -> None:
    """One sample of 20 dB above the largest of white noise stands 20 dB above its prediction errors."""
    noise = np.random.default_rng(5).standard_normal(4096)
    top = np.abs(noise[2048 - 882 : 2048 + 882]).max()
    assert above_db(noise, np.array([10.0 * top]), RATE_HZ) == pytest.approx(20.0, abs=1.5)


def test_trees_tell_the_kinds_apart(plain_score: Callable[..., float]) -> None:
    """Signs that differ between the kinds by two deviations are told apart; the score is the logarithm of the odds."""
    rng = np.random.default_rng(2)
    music, synthetic, clicks = (rng.standard_normal((n, CLICK_SIGNS)) for n in (4000, 1000, 3000))
    clicks[:, 3] += 2.0
    trees = trees_of([music[:1000], music[1000:]], [synthetic], [[clicks[:1000]], [clicks[1000:2000]], [clicks[2000:]]])
    assert (trees.tracks, trees.music, trees.clicks) == (2, 5000, 3000)
    for sign in (-0.5, 1.0, 2.5):
        new = rng.standard_normal((60, CLICK_SIGNS))
        new[:, 3] = sign
        told = np.mean([plain_score(trees, row) for row in new])
        assert told == pytest.approx(2.0 * sign - 2.0, abs=0.7)


def test_too_little_is_refused() -> None:
    """Nothing is learned from a handful."""
    few = np.zeros((20, CLICK_SIGNS))
    with pytest.raises(UnfitError, match="too little"):
        trees_of([few], [few], [[few]])


def test_a_folder_that_teaches_nothing_is_one_line(tmp_path: Path) -> None:
    """The command names what is wrong and writes nothing."""
    (tmp_path / "music" / "album").mkdir(parents=True)
    soundfile.write(tmp_path / "music" / "album" / "short.wav", np.zeros((RATE_HZ, 2)), RATE_HZ)
    out = tmp_path / "trees.json"
    arguments = [sys.executable, "-m", "matcher.click_learning", str(tmp_path / "music"), "-o", str(out)]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "too little to learn from" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not out.exists()


@pytest.mark.slow
def test_learns_from_a_folder(tmp_path: Path, plain_score: Callable[..., float]) -> None:
    """What is written for a folder of albums can be read again and holds what it should."""
    for number in range(12):
        (tmp_path / "music" / f"album {number}").mkdir(parents=True)
        music = np.concatenate([played(np.random.default_rng(100 * number + n), RATE_HZ) for n in range(6)], axis=1)
        music += 1e-4 * np.random.default_rng(number).standard_normal(music.shape)
        soundfile.write(tmp_path / "music" / f"album {number}" / "piece.wav", music.T, RATE_HZ, "FLOAT")
    out = tmp_path / "trees.json"
    arguments = [sys.executable, "-m", "matcher.click_learning", str(tmp_path / "music"), "-o", str(out)]
    subprocess.run(arguments, check=True)
    trees = msgspec.json.decode(out.read_bytes(), type=ClickTrees)
    assert trees.tracks == 12
    assert len(trees.roots) == 300
    assert max(trees.sign) < CLICK_SIGNS
    assert -8.0 < plain_score(trees, np.zeros(CLICK_SIGNS)) < 8.0
