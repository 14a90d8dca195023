"""Sound to be read in blocks: a file, opened lazily, or an `Audio` in memory, with one interface."""

from __future__ import annotations

import contextlib
import math
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, Self

import numpy as np
import soundfile

from dsp.audio import HIGHEST_RATE_HZ, LOWEST_RATE_HZ, Audio, Samples
from dsp.chain import BLOCK_SAMPLES
from dsp.errors import AudioError, FileError, UnfitError
from dsp.kernels import deinterleave
from dsp.surround import Speakers
from matcher.io.decoding import Decoder, decoder
from matcher.io.foreign import available, decoded
from matcher.io.hashing import audio_hash, content_hash
from matcher.io.headers import Header, Spliced, read_header
from matcher.io.naming import PathLike, reason, shown, system_path
from matcher.io.outputs import FLAC_MASKS
from matcher.io.resampling import resampled_blocks

READABLE = "WAV, RF64, BW64, W64, AIFF, FLAC, CAF, OGG (Vorbis, Opus) and MP3"
FOREIGN = ("MP4", "Matroska")
"""What is read through ffmpeg."""
SHORTEST_S = 0.5
_LONGEST_SAMPLES = 2**48
"""Beyond it lies what libsndfile says of a FLAC without a length."""

_BITS = {
    "PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32,
    "ALAC_16": 16, "ALAC_20": 24, "ALAC_24": 24, "ALAC_32": 32, "FLOAT": None, "DOUBLE": None,
}  # fmt: skip
"""Lossless encodings and the integer depth that holds them; what is not listed is lossy."""


class Closable(Protocol):
    """What holds something until it is closed."""

    def close(self) -> None: ...


@dataclass(eq=False, kw_only=True)
class AudioSource(ABC):
    """Sound that can be read in blocks; a context manager. One reader at a time: a source keeps its place.

    name: for messages; path: None in memory; length_samples: per channel.
    container, subtype: as libsndfile names them (`WAV`, `PCM_24`), `MEMORY` for an `Audio`.
    dtype: of all blocks, float32 where it holds every sample of the source exactly, otherwise float64.
    warnings: one line each on what is odd but legal, such as a file that ends before its header says.
    channel_mask: the loudspeakers that the channels are for, as in WAVE_FORMAT_EXTENSIBLE; None where it is not said.
    """

    name: str
    path: Path | None
    sample_rate_hz: int
    channels: int
    length_samples: int
    container: str
    subtype: str
    dtype: np.dtype[Any]
    warnings: tuple[str, ...] = ()
    channel_mask: int | None = None

    @property
    def bit_depth(self) -> int | None:
        """Of integer samples: 8, 16, 24 or 32; None for floating point and lossy coding."""
        return _BITS.get(self.subtype)

    @property
    def is_float(self) -> bool:
        """Whether the samples are stored as floating-point numbers."""
        return self.subtype in ("FLOAT", "DOUBLE")

    @property
    def is_lossy(self) -> bool:
        """Whether a codec or companding has thrown something away."""
        return self.subtype not in _BITS

    @property
    def duration_s(self) -> float:
        """How long it plays."""
        return self.length_samples / self.sample_rate_hz

    @property
    def speakers(self) -> Speakers | None:
        """The loudspeakers of more than two channels; None of mono and stereo."""
        return Speakers(self.channel_mask) if self.channels > 2 and self.channel_mask is not None else None

    def blocks(self, block_samples: int = BLOCK_SAMPLES) -> Iterator[Samples]:
        """All samples from the start, as arrays (channels, block_samples) of `dtype`, the last one shorter.

        Raises FileError where decoding fails and where a sample is NaN or infinite.
        """
        for start in range(0, self.length_samples, block_samples):
            yield self.read(start, block_samples)

    @abstractmethod
    def read(self, start_sample: int, count_samples: int) -> Samples:
        """Samples from `start_sample` on, (channels, count_samples), fewer at the end; errors as in `blocks`."""

    @abstractmethod
    def content_hash(self) -> str:
        """32 hexadecimal digits that stand for the content: of the file's bytes, or of the samples in memory."""

    @abstractmethod
    def close(self) -> None:
        """Let go of the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _checked_count(self, start_sample: int, count_samples: int) -> int:
        if not 0 <= start_sample <= self.length_samples or count_samples < 0:
            raise AudioError(
                f"{self.name}: {count_samples} samples from {start_sample} on are not within 0 to {self.length_samples}"
            )
        return min(count_samples, self.length_samples - start_sample)


@dataclass(eq=False, kw_only=True)
class AudioArray(AudioSource):
    """An `Audio` in memory as a source; its blocks are read-only."""

    audio: Audio = field(repr=False)

    def read(self, start_sample: int, count_samples: int) -> Samples:
        count = self._checked_count(start_sample, count_samples)
        block = np.ascontiguousarray(self.audio.samples[:, start_sample : start_sample + count])
        block.flags.writeable = False
        return block

    def content_hash(self) -> str:
        return audio_hash(self.audio)

    def close(self) -> None:
        pass


@dataclass(eq=False, kw_only=True)
class AudioFile(AudioSource):
    """A file as a source."""

    path: Path
    decoder: Decoder = field(repr=False)
    valid_bits: int | None = None
    kept: Closable | None = field(default=None, repr=False)
    """What has to stay open as long as the decoder."""
    _scratch: Samples | None = field(default=None, repr=False)
    _hash: str | None = field(default=None, repr=False)

    def read(self, start_sample: int, count_samples: int) -> Samples:
        count = self._checked_count(start_sample, count_samples)
        planes = np.empty((self.channels, count), dtype=self.dtype)
        # One channel is its own plane, and is read in place.
        frames = planes.T if self.channels == 1 else self._frames(count)
        try:
            decoded = self.decoder.read(start_sample, frames) if count else 0
        except (soundfile.SoundFileError, RuntimeError) as error:
            raise FileError(self._broken_at(start_sample, _cause(error))) from error
        if decoded < count:
            raise FileError(self._broken_at(start_sample + decoded, "the file ends there"))
        bad = deinterleave(frames, planes)
        if bad >= 0:
            second = (start_sample + bad) / self.sample_rate_hz
            raise FileError(f"{self.name}: has NaN or infinity at {second:.3f} s; every sample must be a finite number")
        return planes

    def content_hash(self) -> str:
        if self._hash is None:
            self._hash = content_hash(self.path)
        return self._hash

    def close(self) -> None:
        self.decoder.close()
        if self.kept is not None:
            self.kept.close()

    @property
    def bit_depth(self) -> int | None:
        depth = super().bit_depth
        if depth is None or self.valid_bits is None:
            return depth
        return next(bits for bits in (8, 16, 24, 32) if bits >= self.valid_bits)

    def _frames(self, count: int) -> Samples:
        """Room for interleaved frames, kept from block to block: fresh pages cost more than the work on them."""
        if count > 4 * BLOCK_SAMPLES:
            return np.empty((count, self.channels), dtype=self.dtype)
        if self._scratch is None or len(self._scratch) < count:
            self._scratch = np.empty((count, self.channels), dtype=self.dtype)
        return self._scratch[:count]

    def _broken_at(self, sample: int, cause: str) -> str:
        return (
            f"{self.name}: cannot be decoded beyond {sample / self.sample_rate_hz:.1f} s of "
            f"{self.duration_s:.1f} s ({cause}); the file is damaged or incomplete"
        )


def open_audio(source: PathLike | Audio | AudioSource) -> AudioSource:
    """A source of blocks from a path or an `Audio`; an open source is returned as it is, for its owner to close.

    Reads no more than the header. Raises FileError where it is no audio that can be read, with more than two channels
    and no mask that places them, or a rate outside 8,000 to 384,000 Hz; UnfitError where there are no samples, or less
    than half a second of them. Silence is for the analysis to refuse.
    """
    if isinstance(source, AudioSource):
        return source
    opened: AudioSource = _in_memory(source) if isinstance(source, Audio) else _file(Path(source))
    try:
        _check_fit(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def read_audio(source: PathLike | Audio | AudioSource, *, sample_rate_hz: int | None = None) -> Audio:
    """A whole source in memory, resampled (soxr VHQ) where another rate is asked for; errors as in `open_audio`."""
    opened = open_audio(source)
    with contextlib.nullcontext() if opened is source else opened:
        if sample_rate_hz is None or sample_rate_hz == opened.sample_rate_hz:
            return Audio(opened.read(0, opened.length_samples), opened.sample_rate_hz, opened.channel_mask)
        blocks = list(resampled_blocks(opened, sample_rate_hz=sample_rate_hz))
        return Audio(np.concatenate(blocks, axis=1), sample_rate_hz, opened.channel_mask)


def _in_memory(audio: Audio) -> AudioArray:
    return AudioArray(
        name="the audio in memory",
        path=None,
        sample_rate_hz=audio.sample_rate_hz,
        channels=audio.channels,
        length_samples=audio.length_samples,
        container="MEMORY",
        subtype="FLOAT" if audio.samples.dtype == np.float32 else "DOUBLE",
        dtype=audio.samples.dtype,
        channel_mask=audio.channel_mask,
        audio=audio,
    )


def _file(path: Path) -> AudioFile:
    header = _peek(path)
    file, kept = _opened(path, header)
    if file.frames > _LONGEST_SAMPLES:
        file.close()
        raise FileError(
            f"{shown(path)}: its header does not say how long it is (a stream, or unfinished); convert it first"
        )
    container = "WAV" if file.format == "WAVEX" else file.format
    foreign = kept is not None and not isinstance(kept, Spliced)
    wide = file.subtype in ("DOUBLE", "PCM_32", "ALAC_32")
    opened = AudioFile(
        name=shown(path),
        path=path,
        sample_rate_hz=file.samplerate,
        channels=file.channels,
        length_samples=file.frames,
        container="DECODED" if foreign else "RF64" if header.format == "BW64" else container,
        subtype="DECODED" if foreign else file.subtype,
        dtype=np.dtype(np.float64 if wide else np.float32),
        decoder=decoder(file, path),
        valid_bits=header.valid_bits,
        channel_mask=FLAC_MASKS.get(file.channels) if file.format == "FLAC" else header.channel_mask,
        kept=kept,
    )
    odd = (f"{opened.name}: {header.odd}",) if header.odd else ()
    opened.warnings = odd + _cut_short(opened, header)
    return opened


def _opened(path: Path, header: Header) -> tuple[soundfile.SoundFile, Closable | None]:
    """The file in libsndfile's hands, behind a header or a conversion where it needs one; and what to close with it."""
    name = shown(path)
    kept: Closable | None = None
    try:
        if header.format in FOREIGN and available():
            kept = decoded(path)
            return soundfile.SoundFile(kept.name), kept
        if header.plain and header.sound is not None:
            kept = Spliced(header.plain, path.open("rb"), header.sound.start, header.sound.present_bytes)
            return soundfile.SoundFile(kept), kept
        return soundfile.SoundFile(system_path(path)), None
    except (soundfile.SoundFileError, RuntimeError, TypeError, ValueError) as error:
        if kept is not None:
            kept.close()
        if header.format is None and available():
            with contextlib.suppress(FileError):
                kept = decoded(path)
                return soundfile.SoundFile(kept.name), kept
        # TypeError: soundfile wants a rate for what ends in .raw.
        raise FileError(_refusal(name, header.format, error)) from error


def _peek(path: Path) -> Header:
    """What the header claims; FileError where there is no file with bytes to read."""
    name = shown(path)
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise FileError(f"{name}: is a folder; an audio file is needed")
        if not stat.S_ISREG(mode):
            raise FileError(f"{name}: is a device or a pipe; an audio file is needed")
        with open(path, "rb") as file:
            if not file.read(1):
                raise FileError(f"{name}: is empty (0 bytes)")
            return read_header(file)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise FileError(f"{name}: there is no such file") from error
    except PermissionError as error:
        raise FileError(f"{name}: may not be read (permission denied)") from error
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a null character in the name
        raise FileError(f"{name}: cannot be read ({reason(error)})") from error


def _refusal(name: str, claimed: str | None, error: Exception) -> str:
    """The line for a file that libsndfile does not open."""
    if claimed in FOREIGN:
        return f"{name}: {claimed} is read by way of the program ffmpeg, which is not on the PATH; install it"
    if claimed is not None:
        return f"{name}: begins like {claimed}, but its header is damaged or cut off ({_cause(error)})"
    return f"{name}: is not audio that can be read; allowed are {READABLE}; with ffmpeg also M4A, AAC, ALAC and video"


def _cause(error: Exception) -> str:
    """libsndfile's own words, without the path and the full stop."""
    text = getattr(error, "error_string", None) or str(error)
    if text.startswith("File does not exist"):  # so it says of an MP3 in which it finds nothing to decode
        return "nothing in it can be decoded"
    return " ".join(text.removeprefix("Error : ").split()).rstrip(".")


def _cut_short(source: AudioSource, header: Header) -> tuple[str, ...]:
    chunk = header.sound
    if chunk is None or not chunk.claimed_bytes or not chunk.present_bytes:
        return ()
    claimed_samples = round(source.length_samples * chunk.claimed_bytes / chunk.present_bytes)
    if claimed_samples <= source.length_samples:
        return ()
    claimed_s = claimed_samples / source.sample_rate_hz
    return (f"{source.name}: is cut short: {source.duration_s:.1f} s are there, its header says {claimed_s:.1f} s",)


def _check_loudspeakers(source: AudioSource) -> None:
    if source.channel_mask is None or source.channel_mask.bit_count() != source.channels:
        raise FileError(
            f"{source.name}: has {source.channels} channels and no channel mask that says which loudspeaker each is"
            " for; allowed are mono, stereo, and WAV or FLAC with one, as 5.1 and 7.1"
        )
    try:
        Speakers(source.channel_mask)
    except AudioError as error:
        raise FileError(f"{source.name}: {error}") from error


def _check_fit(source: AudioSource) -> None:
    """What the engine can work on."""
    name = source.name
    if source.channels > 2:
        _check_loudspeakers(source)
    if not LOWEST_RATE_HZ <= source.sample_rate_hz <= HIGHEST_RATE_HZ:
        raise FileError(
            f"{name}: its sample rate, {source.sample_rate_hz} Hz, is not within {LOWEST_RATE_HZ} to "
            f"{HIGHEST_RATE_HZ} Hz"
        )
    if source.length_samples == 0:
        raise UnfitError(f"{name}: holds no samples")
    if source.duration_s < SHORTEST_S:
        lasts_ms = math.floor(1000.0 * source.duration_s)
        raise UnfitError(f"{name}: lasts {lasts_ms / 1000.0:.3f} s; at least {SHORTEST_S} s are needed")
