"""What is written, and where: formats, default names, and all refusals before any work begins."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from dsp.errors import FileError
from matcher.io.naming import PathLike, hidden_beside, reason, shown

if TYPE_CHECKING:
    from matcher.io.reading import AudioSource

_CONTAINERS = {".wav": "WAV", ".wave": "WAV", ".rf64": "RF64", ".flac": "FLAC", ".aif": "AIFF", ".aiff": "AIFF"}
FLAC_MASKS = {3: 0x7, 4: 0x33, 5: 0x37, 6: 0x3F, 7: 0x70F, 8: 0x63F}
"""Which loudspeakers the channels of a FLAC are for, by their number."""
_HEADER_BYTES = 4096
"""More than any header that is written here."""


class OutputFormat(NamedTuple):
    """How samples are stored; `AudioWriter(..., **format._asdict())` takes it."""

    container: str
    """WAV, RF64, AIFF or FLAC."""
    bit_depth: int
    """16, 24 or 32; 32 with `is_float` is floating point."""
    is_float: bool = False

    @property
    def subtype(self) -> str:
        """libsndfile's name of the encoding."""
        return "FLOAT" if self.is_float else f"PCM_{self.bit_depth}"

    @property
    def dither_bits(self) -> Literal[16, 24] | None:
        """What to set `Dither.bit_depth` to: 16 or 24; None where the steps are finer than the engine's noise."""
        if self.is_float:
            return None
        return 16 if self.bit_depth == 16 else 24 if self.bit_depth == 24 else None

    def size_bytes(self, length_samples: int, channels: int) -> int:
        """The most that a file of this length can take."""
        return length_samples * channels * self.bit_depth // 8 + _HEADER_BYTES

    def checked(self, name: str) -> OutputFormat:
        """Itself; FileError, naming the file, where the container cannot hold it."""
        if self.container not in _CONTAINERS.values():
            allowed = ", ".join(dict.fromkeys(_CONTAINERS.values()))
            raise FileError(f"{name}: {self.container!r} cannot be written; allowed are {allowed}")
        depths = (32,) if self.is_float else (16, 24, 32)
        if self.bit_depth not in depths:
            raise FileError(f"{name}: a bit depth of {self.bit_depth} cannot be written; allowed are 16, 24 and 32")
        if self.container == "FLAC" and self.bit_depth == 32:
            raise FileError(f"{name}: FLAC holds no 32-bit samples; allowed are 16 and 24, or write .wav or .aiff")
        return self


def container_of(path: PathLike) -> str:
    """The container that the suffix of an output stands for; FileError for a suffix that stands for none."""
    suffix = Path(path).suffix
    if suffix.lower() not in _CONTAINERS:
        said = f"the ending {suffix!r} is not known" if suffix else "has no ending"
        raise FileError(f"{shown(path)}: {said}; allowed are {', '.join(_CONTAINERS)}")
    return _CONTAINERS[suffix.lower()]


def output_format(target: AudioSource, path: PathLike, bit_depth: int | None = None) -> OutputFormat:
    """How to store what is made of `target` in `path`.

    bit_depth: 16, 24 or 32, where 32 is floating point. None keeps the target's own: 8 becomes 16; floating point
    stays so, but is 24 in FLAC, as 32-bit integers are; lossy files and audio in memory become 24.
    RF64 stays RF64. Raises FileError for an unknown suffix, and where the container cannot hold what was asked.
    """
    container = container_of(path)
    if container == "WAV" and target.container == "RF64":
        container = "RF64"
    if bit_depth is not None:
        return OutputFormat(container, bit_depth, bit_depth == 32).checked(shown(path))
    if target.is_lossy or target.container == "MEMORY":
        return OutputFormat(container, 24)
    if container == "FLAC":
        return OutputFormat(container, 16 if (target.bit_depth or 24) <= 16 else 24)
    if target.is_float:
        return OutputFormat(container, 32, is_float=True)
    return OutputFormat(container, max(16, target.bit_depth or 24))


def default_output(target_path: PathLike) -> Path:
    """`NAME-mastered.wav` beside the target."""
    target = Path(target_path)
    return target.parent / f"{target.stem}-mastered.wav"  # of a folder too, which is refused when it is opened


def check_output(path: PathLike, *, inputs: Sequence[PathLike], force: bool, needed_bytes: int) -> None:
    """Refuse what could not be written at the end, before any work begins; leaves nothing behind.

    inputs: files that are read; force: whether a file that exists, an input too, may be replaced.
    Raises FileError: the suffix, the folder, an input, an existing file, no right to write, no space.
    """
    container_of(path)
    name = shown(path)
    try:
        final = Path(os.path.realpath(path))
        mode = mode_of(final)
        _check_folder(final.parent, name)
        if mode is not None and stat.S_ISDIR(mode):
            raise FileError(f"{name}: is a folder; a file is needed")
        if mode is not None and not stat.S_ISREG(mode):
            raise FileError(f"{name}: is a device or a pipe; a regular file is needed")
        if mode is not None and not force:
            for source in inputs:
                if os.path.exists(source) and os.path.samefile(final, source):
                    raise FileError(f"{name}: is the input {shown(source)} itself; choose another name, or force it")
            raise FileError(f"{name}: exists already; choose another name, or force it")
        _check_writable(final, name)
        free_bytes = shutil.disk_usage(final.parent).free
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(f"{name}: cannot be written ({reason(error)})") from error
    if free_bytes < needed_bytes:
        needed_mib, free_mib = -(-needed_bytes // 2**20), free_bytes // 2**20
        raise FileError(f"{name}: needs {needed_mib} MiB of space, {free_mib} MiB are free in its folder")


def mode_of(path: Path) -> int | None:
    """The mode bits of what is there, None for nothing; OSError for a name that cannot be, as one too long."""
    try:
        return path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return None


def _check_folder(folder: Path, name: str) -> None:
    if not folder.exists():
        raise FileError(f"{name}: its folder {shown(folder)} does not exist")
    if not folder.is_dir():
        raise FileError(f"{name}: {shown(folder)} is not a folder")


def _check_writable(final: Path, name: str) -> None:
    """By trying: what the rights say is of no account to an administrator, and not all that counts."""
    probe = hidden_beside(final)
    try:
        os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise FileError(f"{name}: its folder may not be written to ({reason(error)})") from error
    probe.unlink()
