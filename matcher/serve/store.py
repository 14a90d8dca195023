"""What the page keeps on disk: sounds that were given to it, jobs, and what came of them.

    STATE/files/ID/NAME.wav, file.json      STATE/jobs/ID/job.json, result/

Ids are made here; a name from outside is only ever the last part of a path, cleaned. A job's result is put in place by
one rename, so what is there is whole.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
import unicodedata
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from dsp.errors import FileError, SettingsError

Kind = Literal["match", "render", "album"]
Status = Literal["queued", "running", "done", "failed", "cancelled"]

SUFFIXES = (".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".flac", ".caf", ".ogg", ".oga", ".opus", ".mp3")
_ID = re.compile(r"[0-9a-f]{16}")
_ODD = re.compile(r"[^\w .,()+&'-]")
_LONGEST_NAME = 100

Record = TypeVar("Record", bound=msgspec.Struct)


class Sound(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was given to the page."""

    id: str
    name: str
    """As it is shown and stored: cleaned."""
    size_bytes: int
    duration_s: float
    sample_rate_hz: int
    channels: int


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of work."""

    id: str
    kind: Kind
    created: float
    """Seconds since 1970."""
    targets: tuple[str, ...]
    references: tuple[str, ...] = ()
    preset: str | None = None
    aims: dict[str, Any] = {}
    levels: str = "keep"
    """Of an album."""
    of: str | None = None
    """Of a render: the match whose plan was changed."""
    title: str = ""
    status: Status = "queued"
    error: str = ""
    draft: bool = False
    """A render made in the background: the next one takes its place."""


class Store:
    """The folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            for part in (self.files, self.jobs):
                part.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise FileError(f"{folder}: cannot be used to keep the page's state ({error.strerror})") from error

    @property
    def files(self) -> Path:
        """Sounds."""
        return self.folder / "files"

    @property
    def jobs(self) -> Path:
        """Work and its results."""
        return self.folder / "jobs"

    def new_sound(self) -> tuple[str, Path]:
        """An id and its folder, made."""
        return self._new(self.files)

    def add_sound(self, sound: Sound) -> None:
        """Make a sound known, whose file is in place."""
        _write(self.files / sound.id / "file.json", sound)

    def sound(self, identity: str) -> Sound:
        """FileError where there is none."""
        return self._read(self.files, identity, "file.json", Sound)

    def sound_path(self, identity: str) -> Path:
        """Where a sound is."""
        return self.files / identity / self.sound(identity).name

    def sounds(self) -> list[Sound]:
        """All that can be used."""
        return [s for path in self.files.iterdir() if (s := _maybe(self.sound, path.name)) is not None]

    def add_job(self, job: Job) -> Job:
        """The job with an id."""
        identity, _ = self._new(self.jobs)
        return self.put_job(msgspec.structs.replace(job, id=identity, created=time.time()))

    def put_job(self, job: Job) -> Job:
        """Write a job's record over what there is."""
        _write(self.jobs / job.id / "job.json", job)
        return job

    def job(self, identity: str) -> Job:
        """FileError where there is none."""
        return self._read(self.jobs, identity, "job.json", Job)

    def all_jobs(self) -> list[Job]:
        """All jobs, the oldest first."""
        found = [j for path in self.jobs.iterdir() if (j := _maybe(self.job, path.name)) is not None]
        return sorted(found, key=lambda job: job.created)

    def result(self, identity: str) -> Path:
        """Where a job's result is, or will be."""
        return self.jobs / self.job(identity).id / "result"

    def scratch(self, identity: str) -> Path:
        """A new folder of a job's for work on the way."""
        folder = self.jobs / identity / f".work-{secrets.token_hex(4)}"
        folder.mkdir()
        return folder

    def tidy(self, identity: str) -> None:
        """Take away what work that ended early has left."""
        for left in (self.jobs / identity).glob(".work-*"):
            shutil.rmtree(left, ignore_errors=True)

    def remove_job(self, identity: str) -> None:
        """A job, the renders made from it, and the sounds that nothing needs any more."""
        gone = {self.job(identity).id} | {job.id for job in self.all_jobs() if job.of == identity}
        used: set[str] = set()
        for job in self.all_jobs():
            sounds = {*job.targets, *job.references}
            used |= sounds if job.id not in gone else set()
        mine = {s for j in gone for s in (*self.job(j).targets, *self.job(j).references)}
        for one in gone:
            (self.jobs / one / "job.json").unlink(missing_ok=True)  # first, so that half of a job is none
            shutil.rmtree(self.jobs / one, ignore_errors=True)
        for sound in mine - used:
            shutil.rmtree(self.files / sound, ignore_errors=True)

    def _new(self, parent: Path) -> tuple[str, Path]:
        identity = secrets.token_hex(8)
        folder = parent / identity
        folder.mkdir(mode=0o700)
        return identity, folder

    def _read(self, parent: Path, identity: str, name: str, kind: type[Record]) -> Record:
        if not _ID.fullmatch(identity):
            raise FileError("id: is not one of this page's")
        try:
            return msgspec.json.decode((parent / identity / name).read_bytes(), type=kind)
        except (OSError, msgspec.DecodeError) as error:
            raise FileError(f"{identity}: is not known here, or no longer") from error


def clean_name(given: str) -> str:
    """A file's name without folders, control characters and whatever else a system may trip over.

    Raises SettingsError where its ending is none of `SUFFIXES`.
    """
    last = unicodedata.normalize("NFC", given).replace("\\", "/").rpartition("/")[2]
    stem, dot, suffix = last.rpartition(".")
    if f"{dot}{suffix.lower()}" not in SUFFIXES:
        shown = _ODD.sub("_", last)[:_LONGEST_NAME] or "without a name"
        raise SettingsError(f"{shown}: is no sound file that is taken here; allowed are {', '.join(SUFFIXES)}")
    clean = " ".join(_ODD.sub("_", stem).split())[:_LONGEST_NAME].strip(" .-")
    return f"{clean or 'sound'}.{suffix.lower()}"


def _write(path: Path, record: msgspec.Struct) -> None:
    temporary = path.with_name(f".{secrets.token_hex(4)}")
    with temporary.open("wb") as file:
        file.write(msgspec.json.encode(record))
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def _maybe(read: Callable[[str], Record], identity: str) -> Record | None:
    with contextlib.suppress(FileError):
        return read(identity)
    return None


@contextlib.contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Only one server at a time works in a folder; FileError for the second."""
    path = folder / "lock"
    with path.open("a+b") as file:
        try:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # Windows: no second server is looked for
            pass
        except OSError as error:
            raise FileError(f"{folder}: another match serve works in it; end that one, or use --folder") from error
        yield
