"""Many tracks at once: processes on this machine, or a Dask cluster, behind one interface.

An executor runs a function over items and yields an `Outcome` for each as it ends, in any order; whoever needs an order
sorts by `index`. Only a few batches are under way at a time, so neither the items nor the results pile up. The function
and its items are pickled: the function stands at the top of a module, and what it returns is small.
"""

from __future__ import annotations

import os
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing import get_context
from types import TracebackType
from typing import Any, Protocol, Self

from dsp.errors import MatchError, SettingsError
from matcher.memory import keep_freed
from matcher.version import VERSION

Work = Callable[[Any], Any]

DIED = "its worker process died twice on it"
"""The cause recorded for a track that takes its worker down: memory, or a fault in compiled code."""
KEY = "match-"
"""What the names of our tasks on a cluster begin with."""
AHEAD = 2
"""Batches under way for each worker of a cluster: one running, one waiting beside it."""
THREADS = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
"""One thread a worker: as many tracks at once as there are cores, and sums in one order whatever the machine has."""


@dataclass(frozen=True)
class Outcome:
    """What became of one item: `value`, or `cause` on one line where it failed."""

    index: int
    item: Any
    value: Any = None
    cause: str | None = None


class Executor(Protocol):
    """Where work is done. To be closed by `with`."""

    def run(self, work: Work, items: Iterable[Any], *, batch: int = 1) -> Iterator[Outcome]:
        """`work(item)` for every item, an `Outcome` for each as it ends; `batch` items are handed over together.

        A MatchError or any other exception becomes the outcome's cause. A batch whose worker died is done again item
        by item by other workers; an item that takes a second worker down is given up.
        """
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def executor(*, jobs: int = 1, scheduler: str | None = None) -> Executor:
    """The executor asked for: `jobs` processes here, or the cluster behind the address of a Dask scheduler.

    Raises SettingsError where the cluster cannot be used.
    """
    return Processes(jobs) if scheduler is None else Cluster(scheduler)


@dataclass(frozen=True)
class _Batch:
    """Items handed over together; `deaths`: how many workers died on it, or on the batch it comes from."""

    items: tuple[tuple[int, Any], ...]
    deaths: int = 0

    @property
    def singly(self) -> list[_Batch]:
        """The same items apart, after a worker died."""
        return [_Batch((item,), self.deaths + 1) for item in self.items]

    @property
    def given_up(self) -> bool:
        """Whether a further death is the item's own: it was alone, and not for the first time."""
        return len(self.items) == 1 and self.deaths >= 1

    def lost(self) -> list[Outcome]:
        return [Outcome(index, item, cause=DIED) for index, item in self.items]


class _Queue:
    """What is still to be done: items not yet taken, and what has to be done again."""

    def __init__(self, items: Iterable[Any], batch: int) -> None:
        self._items, self._size = enumerate(items), batch
        self._again: deque[_Batch] = deque()

    def fresh(self) -> _Batch | None:
        """What nobody has tried."""
        items = tuple(islice(self._items, self._size))
        return _Batch(items) if items else None

    def again(self) -> _Batch | None:
        """What a worker died on."""
        return self._again.popleft() if self._again else None

    def died(self, batch: _Batch) -> list[Outcome]:
        """After a worker's death: what is given up; the rest will come again."""
        if batch.given_up:
            return batch.lost()
        self._again.extend(batch.singly)
        return []


class Processes:
    """Processes on this machine. Each has a pool of its own, so that a death tells whose it was."""

    def __init__(self, jobs: int) -> None:
        if jobs < 1:
            raise SettingsError(f"jobs: {jobs} is below 1")
        self.jobs = jobs
        self._idle: list[ProcessPoolExecutor] = []
        self._busy: dict[Future[Any], tuple[ProcessPoolExecutor, _Batch]] = {}

    def run(self, work: Work, items: Iterable[Any], *, batch: int = 1) -> Iterator[Outcome]:
        """As `Executor.run`."""
        waiting = _Queue(items, batch)
        while self._fill(work, waiting):
            for future in wait(self._busy, return_when=FIRST_COMPLETED).done:
                pool, given = self._busy.pop(future)
                try:
                    found = future.result()
                except BrokenProcessPool:
                    pool.shutdown(wait=False)
                    yield from waiting.died(given)
                    continue
                self._idle.append(pool)
                yield from _outcomes(given, found)

    def _fill(self, work: Work, waiting: _Queue) -> bool:
        """Give every idle process a batch; whether any is at work."""
        while len(self._busy) < self.jobs and (given := waiting.again() or waiting.fresh()) is not None:
            pool = self._idle.pop() if self._idle else _process()
            try:
                future = pool.submit(_done, work, [item for _, item in given.items])
            except BrokenProcessPool:  # it died while idle: nobody's fault
                pool.shutdown(wait=False)
                pool = _process()
                future = pool.submit(_done, work, [item for _, item in given.items])
            self._busy[future] = pool, given
        return bool(self._busy)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pools = [*self._idle, *(pool for pool, _ in self._busy.values())]
        self._idle, self._busy = [], {}
        for pool in pools:
            pool.shutdown(wait=True, cancel_futures=True)


def _process() -> ProcessPoolExecutor:
    # Spawned, not forked: a copy of a process with threads may hang, and loads its libraries with their threads.
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin)


def _begin() -> None:
    """First thing in a new process, before anything numeric is loaded; Ctrl-C is for the parent."""
    import signal

    os.environ.update(THREADS)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


class Cluster:
    """The workers of a Dask scheduler, which must run the same version and see the same files at the same paths."""

    def __init__(self, address: str) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise SettingsError(f'scheduler: {address} needs Dask; pip install "match-master[cluster]"') from error
        try:
            self._client: Any = Client(address, set_as_default=False, timeout=10)
        except (OSError, ValueError) as error:
            raise SettingsError(f"scheduler: {address} does not answer as a Dask scheduler ({error})") from error
        others = {v for v in self._client.run(_version, on_error="return").values() if v != VERSION}
        if others:
            self._client.close()
            raise SettingsError(f"scheduler: a worker of {address} has match {others.pop()}; {VERSION} is needed")
        self._client.register_plugin(_first_death_tells())

    def run(self, work: Work, items: Iterable[Any], *, batch: int = 1) -> Iterator[Outcome]:
        """As `Executor.run`."""
        from distributed import KilledWorker, as_completed

        waiting = _Queue(items, batch)
        under_way: dict[Any, _Batch] = {}
        # Results are taken one at a time and let go of: neither this process nor the scheduler gathers them.
        ended = as_completed(loop=self._client.loop)

        def submit(given: _Batch) -> None:
            work_items = [item for _, item in given.items]
            future = self._client.submit(_done, work, work_items, key=f"{KEY}{uuid.uuid4().hex}", pure=False)
            under_way[future] = given
            ended.add(future)

        def fill() -> bool:
            while len(under_way) < AHEAD * max(1, self._threads()) and (given := waiting.fresh()) is not None:
                submit(given)
            # A worker takes down with it what waits beside its task. Tried last and alone, a death is the item's own.
            if not under_way and (given := waiting.again()) is not None:
                submit(given)
            return bool(under_way)

        while fill():
            future = next(ended)
            given = under_way.pop(future)
            try:
                found = future.result()
            except KilledWorker:
                yield from waiting.died(given)
                continue
            finally:
                future.release()
            yield from _outcomes(given, found)

    def _threads(self) -> int:
        return sum(self._client.nthreads().values())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()


def _first_death_tells() -> Any:
    """A plug-in for Dask's scheduler: a task of ours fails with the first worker that dies on it.

    By default it would be given to three more. Made here, so that it travels whole: the scheduler need not have match.
    """
    from distributed import SchedulerPlugin

    ours = KEY

    class FirstDeathTells(SchedulerPlugin):  # type: ignore[misc]
        name = "match-first-death-tells"
        idempotent = True

        def start(self, scheduler: Any) -> None:
            self.scheduler = scheduler

        def transition(self, key: Any, start: str, finish: str, *args: Any, **details: Any) -> None:
            if finish == "processing" and str(key).startswith(ours):
                self.scheduler.tasks[key].suspicious = self.scheduler.allowed_failures

    return FirstDeathTells()


def _version() -> str:
    return VERSION


def _outcomes(given: _Batch, found: Sequence[tuple[Any, str | None]]) -> Iterator[Outcome]:
    for (index, item), (value, cause) in zip(given.items, found, strict=True):
        yield Outcome(index, item, value, cause)


def _done(work: Work, items: Sequence[Any]) -> list[tuple[Any, str | None]]:
    """In the worker: value or cause for each item."""
    from threadpoolctl import threadpool_limits

    keep_freed()
    found: list[tuple[Any, str | None]] = []
    with threadpool_limits(1):
        for item in items:
            try:
                found.append((work(item), None))
            except Exception as error:
                found.append((None, _cause(error)))
    return found


def _cause(error: Exception) -> str:
    said = " ".join(str(error).split())
    return said if isinstance(error, MatchError) else f"{type(error).__name__}: {said}"
