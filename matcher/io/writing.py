"""Files written in blocks and put in place as a whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from pathlib import Path
from typing import Any, Self

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.audio import Audio, Samples, check_rate, layout_of
from dsp.chain import blocks_of
from dsp.errors import AudioError, FileError
from dsp.kernels import interleave_float, interleave_pcm
from matcher.io.headers import write_mask
from matcher.io.naming import PathLike, hidden_beside, reason, shown, system_path
from matcher.io.outputs import FLAC_MASKS, OutputFormat, container_of, mode_of
from matcher.metadata import Metadata, write_metadata

_SIZE_LIMIT_BYTES = 2**32 - 2**16
"""WAV and AIFF count their bytes in 32 bits; a little is left for the header."""
_MOST_FRAMES = 1 << 17
_ADD_PEAK_CHUNK = 0x1050
"""libsndfile's SFC_SET_ADD_PEAK_CHUNK."""


class AudioWriter:
    """A file in the making; a context manager whose clean exit puts the file in place.

    Until then the samples go to a hidden file in the same folder. It is flushed to disk and renamed at the end,
    and removed after any exception: no reader ever sees half a file, and what was there before stays until then.

    path: its suffix is not looked at; a link is followed. container, bit_depth, is_float: an `OutputFormat`.
    length_samples: where known; a WAV that would exceed 4 GiB is then written as RF64. channel_mask: which loudspeaker
    each channel is for, of more than two.
    Integer formats: samples are rounded to the nearest step and clamped at full scale. Samples that lie on the
    steps already, as `Dither` leaves them, are kept exactly. Dithering is not done here.
    Raises FileError where the file cannot be written as asked, AudioError for samples that no file can hold.
    """

    def __init__(
        self,
        path: PathLike,
        sample_rate_hz: int,
        channels: int,
        *,
        container: str,
        bit_depth: int,
        is_float: bool = False,
        length_samples: int | None = None,
        channel_mask: int | None = None,
    ) -> None:
        self.name = shown(path)
        self.sample_rate_hz = check_rate(sample_rate_hz)
        layout_of(channels, channel_mask)
        self.channels, self.channel_mask = channels, channel_mask
        self.length_samples = 0
        self.format = OutputFormat(container, bit_depth, is_float).checked(self.name)
        if length_samples is not None and self._is_too_large(length_samples) and container == "WAV":
            self.format = self.format._replace(container="RF64")
        if length_samples is not None and self._is_too_large(length_samples):
            raise FileError(self._too_large())
        if channels > 2:
            self._check_loudspeakers()
        self.metadata = Metadata()
        """What the file is to say beside its samples; to be set before the exit."""
        self._final = Path(os.path.realpath(path))
        self._temporary = hidden_beside(self._final)
        self._file: soundfile.SoundFile | None = None
        self._scratch: NDArray[Any] | None = None

    def __enter__(self) -> Self:
        try:
            mode = mode_of(self._final)
            if mode is not None and not stat.S_ISREG(mode):
                raise FileError(f"{self.name}: is a folder, a device or a pipe; a regular file is needed")
            # Made here, not by libsndfile: an error of the system keeps its name, and no other file is ever hit.
            os.close(os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"{self.name}: cannot be written ({reason(error)})") from error
        try:
            self._file = soundfile.SoundFile(
                system_path(self._temporary),
                "w",
                self.sample_rate_hz,
                self.channels,
                self.format.subtype,
                format="WAVEX" if self.channels > 2 and self.format.container == "WAV" else self.format.container,
            )
            if self.format.is_float:
                # The PEAK chunk holds the time of day, and the same samples would make other bytes.
                # A soundfile without this inner door keeps the chunk, which is no harm to the sound.
                with contextlib.suppress(AttributeError):
                    soundfile._snd.sf_command(self._file._file, _ADD_PEAK_CHUNK, soundfile._ffi.NULL, 0)
        except BaseException as error:
            self.discard()
            if isinstance(error, soundfile.SoundFileError):
                raise FileError(f"{self.name}: cannot be written ({error})") from error
            raise
        return self

    def _check_loudspeakers(self) -> None:
        container = self.format.container
        if container == "FLAC" and self.channel_mask != FLAC_MASKS.get(self.channels):
            raise FileError(f"{self.name}: FLAC has no place for these {self.channels} loudspeakers; write .wav")
        if container == "AIFF":
            raise FileError(f"{self.name}: AIFF does not say which loudspeaker a channel is for; write .wav or .flac")

    def write(self, block: Samples) -> None:
        """Append (channels, n) samples, float32 or float64."""
        if self._file is None:
            raise FileError(f"{self.name}: is not open for writing")
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"{self.name}: block of shape {block.shape} is not ({self.channels}, samples)")
        if block.dtype not in (np.float32, np.float64):
            raise AudioError(f"{self.name}: block of {block.dtype} is not float32 or float64")
        if self._is_too_large(self.length_samples + block.shape[1]):
            raise FileError(self._too_large())
        for part in blocks_of(block, _MOST_FRAMES):
            frames = self._frames(part)
            try:
                self._file.write(frames)
            except (soundfile.SoundFileError, AssertionError) as error:
                raise FileError(self._failed(error)) from error
            self.length_samples += len(frames)

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is not None:
            self.discard()
            return
        try:
            self._put_in_place()
        except BaseException:
            self.discard()
            raise

    def _frames(self, block: Samples) -> NDArray[Any]:
        """Interleaved samples as libsndfile keeps them bit by bit: it would floor what it had to convert."""
        if self._scratch is None or len(self._scratch) < block.shape[1]:
            kind = np.float32 if self.format.is_float else np.int32
            self._scratch = np.empty((block.shape[1], self.channels), dtype=kind)
        frames = self._scratch[: block.shape[1]]
        if self.format.is_float:
            bad = interleave_float(block, frames)
        else:
            bad = interleave_pcm(block, frames, self.format.bit_depth)
        if bad >= 0:
            second = (self.length_samples + bad) / self.sample_rate_hz
            raise AudioError(f"{self.name}: NaN or infinity at {second:.3f} s cannot be written")
        return frames

    def _put_in_place(self) -> None:
        if self._file is None:
            return
        try:
            self._file.close()
            written = soundfile.info(system_path(self._temporary)).frames if self.length_samples else 0
            if written != self.length_samples:
                raise FileError(f"{self.name}: {written} of {self.length_samples} samples arrived on the disk")
            if not written:
                raise FileError(f"{self.name}: there are no samples to write")
            if self.channel_mask is not None and self.format.container in ("WAV", "RF64"):
                write_mask(self._temporary, self.channel_mask)
            if not self.metadata.is_empty():
                write_metadata(self._temporary, self.format.container, self.metadata)
            _flush(self._temporary)
            os.replace(self._temporary, self._final)
        except soundfile.SoundFileError as error:
            raise FileError(self._failed(error)) from error
        except FileError:
            raise
        except OSError as error:
            raise FileError(f"{self.name}: cannot be written ({reason(error)})") from error
        self._file = None
        with contextlib.suppress(OSError):  # not every system lets a folder be flushed
            _flush(self._final.parent)

    def discard(self) -> None:
        """Give up: remove what was written so far, and put nothing in place at the exit."""
        if self._file is not None:
            with contextlib.suppress(soundfile.SoundFileError):
                self._file.close()
            self._file = None
        with contextlib.suppress(FileNotFoundError):
            self._temporary.unlink()

    def _is_too_large(self, length_samples: int) -> bool:
        limited = self.format.container in ("WAV", "AIFF")
        return limited and self.format.size_bytes(length_samples, self.channels) > _SIZE_LIMIT_BYTES

    def _too_large(self) -> str:
        way_out = "give its length beforehand" if self.format.container == "WAV" else "write .wav or .flac"
        return f"{self.name}: more than 4 GiB do not fit into {self.format.container}; {way_out}"

    def _failed(self, error: Exception) -> str:
        try:
            free_mib = shutil.disk_usage(self._final.parent).free / 2**20
        except OSError as gone:
            return f"{self.name}: writing failed ({reason(gone)})"
        cause = "the disk is full" if free_mib < 1.0 else str(error).removeprefix("Error : ").rstrip(".").lower()
        return f"{self.name}: writing failed ({cause}, {free_mib:.0f} MiB are free); nothing was left behind"


def write_audio(path: PathLike, audio: Audio, *, bit_depth: int = 24, is_float: bool = False) -> None:
    """`audio` as a file whose suffix decides the container; rounding, clamping and errors as in `AudioWriter`."""
    container = container_of(path)
    length = audio.length_samples
    with AudioWriter(
        path,
        audio.sample_rate_hz,
        audio.channels,
        container=container,
        bit_depth=bit_depth,
        is_float=is_float,
        length_samples=length,
        channel_mask=audio.channel_mask,
    ) as writer:
        writer.write(audio.samples)


def _flush(path: Path) -> None:
    """Have the system put it on the disk now: renamed over an old file, it must not turn out empty after a crash."""
    handle = os.open(path, os.O_RDONLY if path.is_dir() or os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
