"""Frames of a file from any position, exactly, also where libsndfile's own seeking is not to be trusted.

libsndfile 1.2.2 seeks in Ogg Vorbis and Opus to wrong samples near the end of a file, and what it decodes from mono
MP3 depends, in the last bit, on how much is asked for at once. Both are therefore decoded from the start, in
pieces of one length, whatever is asked for; going back starts over.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile

from dsp.audio import Samples
from dsp.errors import FileError
from matcher.io.naming import shown, system_path

_PIECE_SAMPLES = 65_536


class Decoder(Protocol):
    """What reads frames."""

    def read(self, start: int, frames: Samples) -> int:
        """Fill `frames`, (samples, channels), from `start` on; how many there were. Raises what soundfile raises."""

    def close(self) -> None:
        """Let go of the file."""


def decoder(file: soundfile.SoundFile, path: Path) -> Decoder:
    """The right one for an open file; it owns `file` from now on."""
    return ForwardDecoder(file, path) if file.format in ("OGG", "MP3") else SeekingDecoder(file)


class SeekingDecoder:
    """Formats in which libsndfile finds every sample."""

    def __init__(self, file: soundfile.SoundFile) -> None:
        self.file = file
        self.position = 0

    def read(self, start: int, frames: Samples) -> int:
        if start != self.position:
            self.position = -1  # unknown, should seeking fail
            self.position = self.file.seek(start)
        count = len(self.file.read(len(frames), dtype=frames.dtype.name, out=frames))
        self.position = start + count
        return count

    def close(self) -> None:
        self.file.close()


class ForwardDecoder:
    """Formats that are decoded piece by piece, in order; the last piece is kept."""

    def __init__(self, file: soundfile.SoundFile, path: Path) -> None:
        self.file = file
        self.path = path
        self.length = file.frames
        self.next_piece = 0
        self.piece: Samples = np.empty((0, file.channels), dtype=np.float32)

    def read(self, start: int, frames: Samples) -> int:
        done = 0
        while done < len(frames):
            index, offset = divmod(start + done, _PIECE_SAMPLES)
            part = self._piece(index)[offset : offset + len(frames) - done]
            if not len(part):
                break
            frames[done : done + len(part)] = part
            done += len(part)
        return done

    def close(self) -> None:
        self.file.close()

    def _piece(self, index: int) -> Samples:
        if index < self.next_piece - 1:
            self._start_over()
        while self.next_piece <= index:
            self.piece = self.file.read(_PIECE_SAMPLES, dtype="float32", always_2d=True)
            self.next_piece += 1
        return self.piece

    def _start_over(self) -> None:
        self.file.close()
        self.file = soundfile.SoundFile(system_path(self.path))
        self.next_piece = 0
        if self.file.frames != self.length:
            raise FileError(f"{shown(self.path)}: has changed while it was read")
