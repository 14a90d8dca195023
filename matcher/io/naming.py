"""How a file is named in a message: on one line, whatever its name holds."""

from __future__ import annotations

import os

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
