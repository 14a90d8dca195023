"""What an album's folder remembers: plans and finished tracks by content, so that a second run goes on.

All lies in a hidden folder beside the masters. A master is written there, its record after it, and only then is it
moved to its place: whatever stops the work, a file in its place is whole and known.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from dsp.errors import FileError
from matcher import cache
from matcher.album_figures import Figures
from matcher.io import content_hash, shown

Record = TypeVar("Record")

FOLDER = ".match-album"


class Planned(Struct, frozen=True, kw_only=True):
    """A plan, and where its trials ended."""

    plan: str
    reached_lufs: float


class Finished(Struct, frozen=True, kw_only=True):
    """A finished track."""

    key: str
    output_hash: str
    plan: str
    """The plan it was rendered by, its gain set right."""
    after: Figures


def key_of(*parts: Any) -> str:
    """32 hexadecimal digits for plain data and records."""
    return hashlib.blake2b(msgspec.json.encode(parts), digest_size=16).hexdigest()


class State:
    """The memory of one output folder; made by `opened_state`."""

    def __init__(self, output: Path) -> None:
        self.output, self.folder = output, output / FOLDER
        self.staging = self.folder / "staging"

    def plan(self, key: str) -> Planned | None:
        """A plan that was made before."""
        return _read(self.folder / "plans" / f"{key}.json", Planned)

    def keep_plan(self, key: str, planned: Planned) -> None:
        """Remember a plan."""
        _write(self.folder / "plans" / f"{key}.json", planned)

    def finished(self, name: str, key: str) -> Finished | None:
        """The record of a master that is in its place and whole, moved there now where that was all that was left."""
        record = self._record(name)
        if record is None or record.key != key:
            return None
        place, staged = self.output / name, self.staging / name
        if staged.is_file() and content_hash(staged) == record.output_hash:
            self._put_in_place(name)
        return record if place.is_file() and content_hash(place) == record.output_hash else None

    def finish(self, name: str, key: str, plan: str, after: Figures) -> Finished:
        """Record a master that stands in `staging`, and put it in its place."""
        record = Finished(key=key, output_hash=content_hash(self.staging / name), plan=plan, after=after)
        _write(self._path(name), record)
        self._put_in_place(name)
        return record

    def check_free(self, name: str, *, force: bool) -> None:
        """FileError where another file than what is to be made again or was half done stands in a master's place."""
        place = self.output / name
        if place.is_dir():
            raise FileError(f"{shown(place)}: is a folder; a file is needed")
        if place.exists() and not force:
            record = self._record(name)
            ours = record is not None and content_hash(place) == record.output_hash
            said = "was made with other tracks or settings" if ours else "exists already"
            raise FileError(f"{shown(place)}: {said}; choose another folder, or force it")

    def forget(self) -> None:
        """Begin anew."""
        for path in sorted(self.folder.rglob("*.json")):
            path.unlink(missing_ok=True)

    def clear_staging(self) -> None:
        """Remove what was left half done."""
        for path in self.staging.iterdir():
            with contextlib.suppress(OSError):
                path.unlink()

    def _put_in_place(self, name: str) -> None:
        os.replace(self.staging / name, self.output / name)

    def _record(self, name: str) -> Finished | None:
        return _read(self._path(name), Finished)

    def _path(self, name: str) -> Path:
        return self.folder / "tracks" / f"{name}.json"


@contextlib.contextmanager
def opened_state(output: Path) -> Iterator[State]:
    """The memory of a folder, which is made where there is none; FileError where another run is at work in it."""
    state = State(output)
    try:
        state.staging.mkdir(parents=True, exist_ok=True)
        lock = (state.folder / "lock").open("w")
    except OSError as error:
        raise FileError(f"{shown(output)}: no folder that can be written to ({error.strerror})") from error
    with lock:
        _locked(lock.fileno(), output)
        yield state
        with contextlib.suppress(OSError):
            state.clear_staging()


def _locked(handle: int, output: Path) -> None:
    try:
        import fcntl
    except ImportError:  # not every system has it; there the caller sees to it that one run is at work
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise FileError(f"{shown(output)}: another run is at work in it; wait for its end") from error


def _read(path: Path, kind: type[Record]) -> Record | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (OSError, msgspec.DecodeError):
        return None


def _write(path: Path, record: Struct) -> None:
    try:
        cache.put(path, msgspec.json.encode(record))
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be written ({error.strerror})") from error
