"""Work by two threads: a stream of blocks through stages, each of which sees its blocks in order, or two calls.

Which thread does what of a stream is not settled beforehand: each takes the next block of whatever stage is free, the
last stage first. So they share the work evenly, whichever stage is the dear one, and hardly a block waits.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from dsp.audio import Samples
from dsp.effect import Processor
from matcher.analysis import Progress

Item = TypeVar("Item")

MOST_WAITING = 2
"""Blocks before a stage, from which on the stage before it rests."""

Work = Callable[[Samples | None], Samples | None]
"""Takes a block, and None behind the last; returns what it has ready for the next stage, if anything."""


def processed(run: Processor) -> Work:
    """A processor as a stage."""

    def work(block: Samples | None) -> Samples | None:
        return run.finish() if block is None else run.process(block)

    return work


def passed_to(take: Callable[[Samples], object]) -> Work:
    """A stage that shows `take` what goes through."""

    def work(block: Samples | None) -> Samples | None:
        if block is not None:
            take(block)
        return block

    return work


def flow(blocks: Iterator[Samples], stages: Sequence[Work], threads: int) -> None:
    """Take all blocks through all stages.

    An error in any stage ends the work and is raised here, and so does Ctrl-C; no thread is left behind.
    """
    line = _Line(blocks, [_Stage(work) for work in stages])
    others = [threading.Thread(target=line.work_on, daemon=True) for _ in range(threads - 1)]
    try:
        for thread in others:
            thread.start()
        line.work_on()
    finally:
        line.stop()
        for thread in others:
            _join(thread)
    if line.error is not None:
        raise line.error


@dataclass(eq=False)
class _Stage:
    work: Work
    waiting: deque[Samples | None] = field(default_factory=deque)
    """None stands for the end."""
    busy: bool = False


class _Line:
    """The stages, and who works where."""

    def __init__(self, blocks: Iterator[Samples], stages: list[_Stage]) -> None:
        self._blocks, self._stages = blocks, stages
        self._reading = self._read = self._done = False
        self._changed = threading.Condition()
        self.error: BaseException | None = None

    def stop(self) -> None:
        """Nobody begins anything any more."""
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def work_on(self) -> None:
        """Do what there is to do until all is done, or somebody fails."""
        try:
            while (task := self._next()) is not None:
                task()
        except BaseException as error:  # for the caller of `flow`, whichever thread it was
            with self._changed:
                self.error = self.error or error
            self.stop()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._done:
                for number in range(len(self._stages) - 1, -1, -1):
                    stage = self._stages[number]
                    if stage.waiting and not stage.busy and self._has_room(number + 1):
                        stage.busy = True
                        block = stage.waiting.popleft()
                        return lambda: self._run(number, block)
                if not self._reading and not self._read and self._has_room(0):
                    self._reading = True
                    return self._take
                self._changed.wait()
            return None

    def _has_room(self, number: int) -> bool:
        return number == len(self._stages) or len(self._stages[number].waiting) < MOST_WAITING

    def _take(self) -> None:
        block = next(self._blocks, None)
        with self._changed:
            self._reading, self._read = False, block is None
            self._hand_on(0, block, ended=block is None)

    def _run(self, number: int, block: Samples | None) -> None:
        made = self._stages[number].work(block)
        with self._changed:
            self._stages[number].busy = False
            self._hand_on(number + 1, made, ended=block is None)

    def _hand_on(self, number: int, block: Samples | None, *, ended: bool) -> None:
        if number == len(self._stages):
            self._done = self._done or ended
        else:
            if block is not None and block.shape[1]:
                self._stages[number].waiting.append(block)
            if ended:
                self._stages[number].waiting.append(None)
        self._changed.notify_all()


class _Stopped(Exception):
    """Ends work whose result nobody waits for."""


def both(first: Callable[[], Item], second: Callable[[Progress], Item]) -> tuple[Item, Item]:
    """Two calls at the same time; `second` reports its progress to what it is given, which ends it if `first` fails.

    No thread is left behind: one that is still in compiled code when Python ends takes the whole process down.
    """
    results: dict[int, Any] = {}
    errors: list[BaseException] = []
    stopped = threading.Event()

    def go_on(done: float) -> None:
        if stopped.is_set():
            raise _Stopped

    def work() -> None:
        try:
            results[1] = second(go_on)
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=work, daemon=True)
    try:
        worker.start()
        result = first()
        worker.join()
    finally:
        stopped.set()
        _join(worker)
    if errors:
        raise errors[0]
    return result, results[1]


def _join(worker: threading.Thread) -> None:
    """Wait for a thread that Ctrl-C may have kept from starting."""
    if worker.ident is not None:
        worker.join()
