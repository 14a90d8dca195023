"""Blocks through stages by one, two or three threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from dsp.audio import Samples
from matcher.flowing import MOST_WAITING, Work, flow, passed_to


def numbered(count: int) -> Iterator[Samples]:
    """Blocks of one sample, 0 to count - 1."""
    for number in range(count):
        yield np.full((1, 1), float(number))


def held_back(count: int) -> Work:
    """A stage that owes `count` blocks and gives them at the end, as one."""
    held: list[Samples] = []

    def work(block: Samples | None) -> Samples | None:
        if block is None:
            return np.concatenate(held, axis=1)
        held.append(block)
        return held.pop(0) if len(held) > count else np.empty((1, 0))

    return work


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_every_stage_sees_all_blocks_in_order(threads: int) -> None:
    """However long each takes, behind stages that hold back and return nothing for a while too."""
    rng, seen = np.random.default_rng(threads), [[], [], []]

    def slow(place: int) -> Work:
        def take(block: Samples) -> None:
            time.sleep(rng.random() * 1e-3)
            seen[place] += block[0].tolist()

        return passed_to(take)

    flow(numbered(60), [slow(0), held_back(3), slow(1), held_back(7), slow(2)], threads)
    assert seen == [[float(n) for n in range(60)]] * 3


@pytest.mark.parametrize("threads", [1, 2])
def test_hardly_a_block_waits(threads: int) -> None:
    """A source that could give everything at once is not asked to where the last stage is the slow one."""
    given, taken, most = 0, 0, 0

    def source() -> Iterator[Samples]:
        nonlocal given
        for block in numbered(40):
            given += 1
            yield block

    def take(block: Samples) -> None:
        nonlocal taken, most
        time.sleep(2e-3)
        most, taken = max(most, given - taken), taken + 1

    flow(source(), [passed_to(lambda block: None), passed_to(take)], threads)
    assert taken == 40
    assert most <= 2 * (MOST_WAITING + 1) + 1


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", ["source", "stage", "end"])
def test_an_error_anywhere_ends_the_work(threads: int, where: str) -> None:
    """It is raised as it is, what was to come is left, and no thread is left behind."""
    before, came = threading.active_count(), []

    def source() -> Iterator[Samples]:
        for number, block in enumerate(numbered(1000)):
            if where == "source" and number == 5:
                raise ValueError("source")
            yield block

    def work(block: Samples | None) -> Samples | None:
        if (where == "stage" and block is not None and block[0, 0] == 5.0) or (where == "end" and block is None):
            raise ValueError(where)
        return block

    with pytest.raises(ValueError, match=where):
        flow(source(), [work, passed_to(came.append)], threads)
    assert threading.active_count() == before
    assert where == "end" or len(came) < 1000


def test_two_threads_work_at_the_same_time() -> None:
    """The second stage has a block in hand while the first has the next: each waits for the other there."""
    meeting = threading.Barrier(2, timeout=20.0)

    def first(block: Samples) -> None:
        if block[0, 0] > 0.0:
            meeting.wait()

    def second(block: Samples) -> None:
        if block[0, 0] < 9.0:
            meeting.wait()

    flow(numbered(10), [passed_to(first), passed_to(second)], 2)
