"""What tests of both packages share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dsp.restoration.clicktrees import ClickTrees


@pytest.fixture
def plain_score() -> Callable[[ClickTrees, Sequence[float]], float]:
    """The twin of the compiled trees: down every tree in turn."""

    def score(trees: ClickTrees, signs: Sequence[float]) -> float:
        total = trees.base
        for node in trees.roots:
            while trees.sign[node] >= 0:
                node = trees.next[node] + (signs[trees.sign[node]] > trees.at[node])
            total += trees.at[node]
        return total

    return score
