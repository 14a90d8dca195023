"""What a candidate looks like does not depend on what it should not, and the compiled trees say what plain ones say."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp.kernels import CLICK_SIGNS, ClickScreen
from dsp.restoration.clicktrees import NO_TREES, SIGNS, ClickTrees, shipped
from dsp.restoration.declick import AUTO, KEPT, believed

RATE_HZ = 44_100
Signal = NDArray[np.float64]


def screened(samples: Signal, trees: ClickTrees = NO_TREES) -> list[tuple[Any, ...]]:
    screen = ClickScreen(len(samples), 1, kept=KEPT, screened=0.0, **trees.for_kernel())
    screen.process(np.ascontiguousarray(samples))
    screen.finish()
    return screen.take()


def tones(seconds: float = 3.0) -> Signal:
    """Partials over noise, with clicks of several lengths in one channel, float64 (2, samples)."""
    rng = np.random.default_rng(4)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    music = sum(np.sin(2.0 * np.pi * hz * t) / n for n, hz in enumerate((220.0, 331.0, 1245.0), 1))
    samples = 0.1 * np.stack([music, music]) + 0.001 * rng.standard_normal((2, len(t)))
    for number, start in enumerate(range(20_000, len(t) - 20_000, 9000)):
        size = 5 + 12 * number
        samples[0, start : start + size] += 0.4 * np.exp(-5.0 * np.arange(size) / size)
    return samples


def test_trees_are_their_plain_twin(plain_score: Callable[..., float]) -> None:
    """The compiled trees give every candidate the score that plain ones give it."""
    found = screened(tones(), shipped())
    assert len(found) >= 8
    for *_, score, signs in found:
        assert score == pytest.approx(plain_score(shipped(), signs), abs=1e-9)


def test_every_node_leads_further() -> None:
    """The shipped trees have no loop, ask for signs that there are, and end in leaves."""
    trees = shipped()
    assert len(SIGNS) == CLICK_SIGNS
    for node, sign in enumerate(trees.sign):
        assert sign == -1 or (0 <= sign < CLICK_SIGNS and node < trees.next[node] < len(trees.sign) - 1)
    assert trees.clicks > 1000 < trees.music


@pytest.mark.parametrize("factor", [0.5, -1.0])
def test_only_the_level_knows_the_level(factor: float) -> None:
    """A sound at half the level, or of the other polarity, shows the same signs; but for how loud it is."""
    one, other = screened(tones()), screened(factor * tones())
    assert [row[:3] for row in one] == [row[:3] for row in other]
    for row, changed in zip(one, other, strict=True):
        if row[0] < 2048 or row[1] > 3 * RATE_HZ - 2048:
            continue  # beside digital silence, which is no louder
        expected = dict(zip(SIGNS, row[-1], strict=True))
        expected["sound"] += math.log(abs(factor))
        np.testing.assert_allclose(changed[-1], list(expected.values()), atol=2e-3)


def test_signs_say_what_they_are_called() -> None:
    """Of a single high sample in noise: one side, bridged by the model, nobody near, all of the surroundings alike."""
    samples = 0.01 * np.random.default_rng(2).standard_normal((1, RATE_HZ))
    samples[0, 20_000] = 0.9
    (row,) = [row for row in screened(samples) if row[0] <= 20_000 < row[1]]
    signs = dict(zip(SIGNS, row[-1], strict=True))
    assert signs["prominence"] == pytest.approx(math.log(row[3]))
    assert signs["length"] == pytest.approx(math.log(row[1] - row[0]))
    assert signs["sound"] == pytest.approx(math.log(0.04), abs=0.3)
    assert signs["size"] == pytest.approx(math.log(0.9 / 0.04), abs=0.3)
    assert signs["prominence"] > 3.0 > 0.7 > signs["left"]
    assert signs["saved"] < -3.0
    assert signs["one_sided"] > math.log(0.8)
    assert signs["company"] == 0.0
    for name in ("backward", "soon", "louder_soon", "louder_later"):
        assert abs(signs[name]) < 0.4, name


def rows(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Candidates at odd times with these scores."""
    first = np.cumsum(np.random.default_rng(6).integers(4000, 40_000, len(scores))).astype(float)
    size = np.random.default_rng(7).uniform(0.01, 1.0, len(scores))
    return np.stack([first, first + 20, 0 * first, 0 * first + 9, size, scores], axis=1)


def test_many_make_others_likelier() -> None:
    """What is too faint to be believed alone is believed among many, and music is not, however much there is."""
    rng = np.random.default_rng(3)
    music, clicks = rng.normal(-6.0, 1.0, 2000), rng.normal(5.0, 1.0, 300)
    assert len(believed(rows(music), AUTO, RATE_HZ)) == 0
    assert len(believed(rows(np.append(music, 5.0)), AUTO, RATE_HZ)) == 0
    assert 285 <= len(believed(rows(np.append(music, clicks)), AUTO, RATE_HZ)) <= 300
    assert len(believed(rows(np.append(music[:20], 9.0)), AUTO, RATE_HZ)) == 1
    assert len(believed(rows(np.zeros(0)), AUTO, RATE_HZ)) == 0
