"""Names of files: in a message on one line, whatever they hold, and of files in the making."""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from dsp.errors import printable

PathLike = str | os.PathLike[str]
SOUNDS = frozenset(
    (".wav", ".wave", ".rf64", ".w64", ".flac", ".aif", ".aiff", ".caf", ".mp3", ".ogg", ".oga", ".opus")
)
"""What the names of tracks in a folder end in."""


def shown(path: PathLike) -> str:
    """`path` for a message; line breaks, control characters and undecodable bytes are written as escapes."""
    return printable(os.fspath(path))


def system_path(path: PathLike) -> str | bytes:
    """`path` as libsndfile takes it: in bytes, where a name may hold some that are no text."""
    return os.fspath(path) if os.name == "nt" else os.fsencode(path)


def reason(error: OSError | ValueError) -> str:
    """What the operating system says, in lower case: `permission denied`."""
    text = getattr(error, "strerror", None) or str(error)
    return text[:1].lower() + text[1:]


def hidden_beside(final: Path) -> Path:
    """A new name for a file in the making, in the folder of `final`."""
    return final.parent / f"{_hidden_prefix(final)}{secrets.token_hex(4)}{final.suffix}"


def left_over(final: Path) -> list[Path]:
    """Files in the making of `final` that stand there: of a process that was killed, or that is at work."""
    prefix = _hidden_prefix(final)
    return [path for path in final.parent.iterdir() if path.name.startswith(prefix)]


def _hidden_prefix(final: Path) -> str:
    """A digest, as there may be no room for the name itself."""
    return f".{hashlib.blake2b(os.fsencode(final.name), digest_size=6).hexdigest()}-"
