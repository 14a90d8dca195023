"""A source behind its repairs: read in blocks as it is made, or kept on the disk where any part may be asked for."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import msgspec
import numpy as np

from dsp.audio import Samples
from dsp.chain import BLOCK_SAMPLES, Chain
from dsp.errors import FileError
from matcher.io import AudioSource, AudioWriter, check_output, shown


@dataclass(eq=False, kw_only=True)
class Mended(AudioSource):
    """What repairs make of `original`, at its own rate and in its kind of samples; the original stays its owner's."""

    original: AudioSource
    chain: Chain
    measured: dict[str, Any] = field(default_factory=dict)
    """What each repair did, once all has been read."""
    _kept: IO[bytes] | None = field(default=None, repr=False)

    @classmethod
    def of(cls, original: AudioSource, chain: Chain) -> Mended:
        """Nothing is read yet."""
        same = ("name", "path", "sample_rate_hz", "channels", "length_samples", "container", "subtype", "dtype")
        return cls(original=original, chain=chain, **{name: getattr(original, name) for name in same})

    def blocks(self, block_samples: int = BLOCK_SAMPLES) -> Iterator[Samples]:
        if self._kept is not None:
            yield from super().blocks(block_samples)
            return
        run = self.chain.processor(self.sample_rate_hz, self.channels)
        for block in self.original.blocks(block_samples):
            made = run.process(block)
            if made.shape[1]:
                yield made
        rest = run.finish()
        if rest is not None and rest.shape[1]:
            yield rest
        self.measured = run.measured()

    def keep(self, progress: Callable[[float], None] | None = None) -> None:
        """Make all of it once, into a file without a name that goes with this source; FileError for want of space."""
        if self._kept is not None:
            return
        # Closed by `close`, as it lives as long as this source.
        file, done = tempfile.TemporaryFile(), 0  # noqa: SIM115
        try:
            for block in self.blocks():
                file.write(np.ascontiguousarray(block.T, dtype=self.dtype).data)
                done += block.shape[1]
                if progress is not None:
                    progress(done / self.length_samples)
        except OSError as error:
            file.close()
            raise FileError(f"{self.name}: no room to keep what was repaired ({error.strerror})") from error
        except BaseException:
            file.close()
            raise
        self._kept = file

    def read(self, start_sample: int, count_samples: int) -> Samples:
        self.keep()
        assert self._kept is not None  # for the type checker
        count, frame_bytes = self._checked_count(start_sample, count_samples), self.channels * self.dtype.itemsize
        self._kept.seek(start_sample * frame_bytes)
        frames = np.frombuffer(self._kept.read(count * frame_bytes), dtype=self.dtype)
        return np.ascontiguousarray(frames.reshape(count, self.channels).T)

    def content_hash(self) -> str:
        repairs = msgspec.json.encode(self.chain.steps)
        return hashlib.blake2b(self.original.content_hash().encode() + repairs, digest_size=16).hexdigest()

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
            self._kept = None


def check_residual(
    path: Path, sound: AudioSource, output: Path | str | None, *, references: Sequence[Path | str] = (), force: bool
) -> None:
    """FileError where what is taken out of `sound` cannot be written to `path`, or would replace input or output."""
    for other in (sound.path, output, *references):
        if other is not None and os.path.realpath(path) == os.path.realpath(other):
            raise FileError(f"{shown(path)}: is {shown(other)} itself; choose another name for the residual")
    check_output(path, inputs=[], force=force, needed_bytes=sound.length_samples * sound.channels * 4)


def write_residual(path: Path, sound: AudioSource) -> None:
    """What the repairs took out, original minus mended, as 32-bit float WAV; silence where there were none."""
    mended = sound if isinstance(sound, Mended) else Mended.of(sound, Chain())
    kind: dict[str, Any] = {"container": "WAV", "bit_depth": 32, "is_float": True}
    length = mended.length_samples
    with AudioWriter(path, mended.sample_rate_hz, mended.channels, length_samples=length, **kind) as writer:
        start = 0
        for block in mended.blocks():
            writer.write(mended.original.read(start, block.shape[1]) - block)
            start += block.shape[1]
