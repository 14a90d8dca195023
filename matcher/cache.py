"""Profiles kept on disk by content hash, so that no track is ever analysed twice."""

from __future__ import annotations

import contextlib
import os
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import platformdirs

from matcher.profile import PROFILE_VERSION, Profile

LIMIT_BYTES = 512 * 1024 * 1024
"""The folder is kept below this; what was not used for longest goes first."""


def folder() -> Path:
    """Where profiles are kept: MATCH_CACHE_DIR, or the user's cache folder."""
    return Path(os.environ.get("MATCH_CACHE_DIR") or platformdirs.user_cache_dir("match")) / "profiles"


def kept(kind: str, name: str) -> Path:
    """Where something else than a profile is kept."""
    return folder().parent / kind / name


def _path(content_hash: str) -> Path:
    return folder() / f"{content_hash}-{PROFILE_VERSION}.npz"


def load(content_hash: str) -> Profile | None:
    """The stored profile, or None where there is none that can be read."""
    path = _path(content_hash)
    try:
        with open(path, "rb") as file:
            profile = Profile.read(file)
        os.utime(path)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    return profile if profile.content_hash == content_hash else None


def store(profile: Profile) -> None:
    """Keep a profile; a cache that cannot be written is no reason to fail."""
    with contextlib.suppress(OSError):
        _put(_path(profile.content_hash), profile.write)
        _shrink()


def put(path: Path, content: bytes) -> None:
    """A whole file or none, its folder made where there is none; OSError where it cannot be written."""
    _put(path, lambda file: file.write(content))


def _put(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """The same by what writes into the open file: what is large is not held twice."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _shrink() -> None:
    files = sorted(folder().glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > LIMIT_BYTES:
            path.unlink(missing_ok=True)
