"""The queue: jobs in the order they came, each in a process of its own that a cancel ends."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import shutil
import threading
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess

import msgspec

from dsp.errors import SettingsError
from matcher.serve.store import Job, Status, Store

ACTIVE = ("queued", "running")


@dataclass
class Progress:
    """How far a running job is."""

    stage: str = ""
    share: float = 0.0


@dataclass(eq=False)
class Queue:
    """Runs what is queued in `store`, `workers` at a time; `start` and `close` belong to the server's life."""

    store: Store
    workers: int = 1
    progress: dict[str, Progress] = field(default_factory=dict)
    _processes: dict[str, SpawnProcess] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)
    _threads: list[threading.Thread] = field(default_factory=list)
    _closed: bool = False

    def start(self) -> None:
        """What was running when an earlier server ended is done again; then the workers begin."""
        for job in self.store.all_jobs():
            if job.status not in ACTIVE:
                continue
            finished = (self.store.result(job.id)).is_dir()  # the work was done, only nobody was there to note it
            self.store.put_job(msgspec.structs.replace(job, status="done" if finished else "queued"))
            self.store.tidy(job.id)
        self._threads = [threading.Thread(target=self._serve, daemon=True) for _ in range(self.workers)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """End all work; what was under way stays queued for the next server."""
        with self._changed:
            self._closed = True
            for process in self._processes.values():
                process.kill()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def add(self, job: Job, plan: str | None = None) -> Job:
        """Queue a job. plan: what a render is to be made by."""
        with self._changed:
            queued = self.store.add_job(msgspec.structs.replace(job, status="running" if plan else "queued"))
            if plan is not None:  # nobody takes it before its plan is there
                (self.store.jobs / queued.id / "plan.json").write_text(plan, encoding="utf-8")
                queued = self._note(queued, "queued")
            self._changed.notify_all()
        return queued

    def cancel(self, identity: str) -> Job:
        """End a job that waits or runs; SettingsError for one that is neither."""
        with self._changed:
            job = self.store.job(identity)
            if job.status not in ACTIVE:
                raise SettingsError(f"{job.title}: is {job.status}; only what is queued or running can be cancelled")
            job = self._note(job, "cancelled")
            process = self._processes.get(identity)
            if process is not None:
                process.kill()
            self._changed.notify_all()
        return job

    def again(self, identity: str) -> Job:
        """Queue what failed or was cancelled once more."""
        with self._changed:
            job = self.store.job(identity)
            if job.status not in ("failed", "cancelled"):
                raise SettingsError(f"{job.title}: is {job.status}; only what failed or was cancelled is done again")
            self._changed.wait_for(lambda: identity not in self._processes, timeout=5.0)
            job = self._note(msgspec.structs.replace(job, error=""), "queued")
            self._changed.notify_all()
        return job

    def remove(self, identity: str) -> None:
        """Cancel a job and what was made from it, and take all of it away."""
        for job in self.store.all_jobs():
            if identity in (job.id, job.of) and job.status in ACTIVE:
                with contextlib.suppress(SettingsError):
                    self.cancel(job.id)
        with self._changed:
            self._changed.wait_for(lambda: identity not in self._processes, timeout=5.0)
            self.store.remove_job(identity)

    @property
    def running(self) -> int:
        """How many workers are at work."""
        return len(self._processes)

    def _note(self, job: Job, status: Status, error: str = "") -> Job:
        return self.store.put_job(msgspec.structs.replace(job, status=status, error=error or job.error))

    def _serve(self) -> None:
        """One worker's life."""
        while True:
            with self._changed:
                taken = self._next()
                while taken is None and not self._closed:
                    self._changed.wait()
                    taken = self._next()
                if self._closed or taken is None:
                    return
                job = self._note(taken, "running")
                self.progress[job.id] = Progress()
                process, receiving = _started(self.store, job)
                self._processes[job.id] = process
            said = self._listen(job.id, receiving)
            process.join()
            with self._changed:
                del self._processes[job.id]
                self.progress.pop(job.id, None)
                self._settle(job.id, said)
                self._changed.notify_all()

    def _next(self) -> Job | None:
        return next((job for job in self.store.all_jobs() if job.status == "queued"), None)

    def _listen(self, identity: str, receiving: Connection) -> tuple[str, object] | None:
        """Take in progress until the work ends; what it said last, None where it was ended."""
        with receiving, contextlib.suppress(EOFError, OSError):
            while True:
                kind, value = receiving.recv()
                if kind != "progress":
                    return kind, value
                self.progress[identity] = Progress(*value)
        return None

    def _settle(self, identity: str, said: tuple[str, object] | None) -> None:
        """Note how a job ended."""
        self.store.tidy(identity)
        job = self.store.job(identity)
        if job.status != "running":  # cancelled meanwhile, even if the last moment brought a result
            shutil.rmtree(self.store.result(identity), ignore_errors=True)
        elif said is None and self._closed:
            self._note(job, "queued")
        elif said is None:
            self._note(job, "failed", "its process ended: out of memory, or stopped from outside")
        elif said[0] == "done":
            self._note(job, "done")
        else:
            self._note(job, "failed", str(said[1]))


def _started(store: Store, job: Job) -> tuple[SpawnProcess, Connection]:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_in_process, args=(str(store.folder), job.id, sending, os.getpid()), daemon=True)
    process.start()
    sending.close()
    return process, receiving


def _in_process(folder: str, identity: str, sending: Connection, parent: int) -> None:
    """The heavy modules are loaded here and not in the server."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the server ends this one
    from matcher.memory import keep_freed
    from matcher.serve.work import work

    keep_freed()
    work(folder, identity, sending.send, parent)
