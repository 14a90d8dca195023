"""What a lossy codec makes of a file: encoded, decoded again, and measured.

MP3 (LAME), Vorbis and Opus come with libsndfile; AAC is made by the user's `ffmpeg`, where there is one.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

from dsp.audio import Samples
from dsp.errors import FileError, SettingsError
from dsp.meters.spectrum import LongSpectrum, Spectrum
from dsp.meters.true_peak import TruePeakMeter
from dsp.transforms import fft
from dsp.units import db_from_power
from matcher.io import AudioSource, open_audio, resampled_blocks, resampled_length_samples, system_path
from matcher.profile import THIRD_OCTAVES_HZ, TONE_EDGES_HZ

RATES_KBPS = {"mp3": (32, 320), "aac": (32, 320), "vorbis": (64, 500), "opus": (16, 512)}
"""Codecs, and the lowest and highest bit rate of each in stereo."""
FRAMES = 32_768
"""At once: libsndfile 1.2.2 crashes where it is given a long piece of Vorbis as a whole."""
EXCERPT_SAMPLES = 1 << 17
"""What the delay is looked for in."""
HIGHEST_RATE_HZ = 48_000
LOST_DB = 6.0
"""A third octave that comes back this much weaker is lost."""
ENDINGS = {"mp3": ".mp3", "aac": ".m4a", "vorbis": ".ogg", "opus": ".ogg"}
_FORMATS = {"mp3": ("MP3", "MPEG_LAYER_III"), "vorbis": ("OGG", "VORBIS"), "opus": ("OGG", "OPUS")}
_VORBIS_KBPS = (64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
"""Nominal rates of the quality steps 0 to 10, 44.1 kHz stereo."""


@dataclass(frozen=True)
class Codec:
    """A codec at a bit rate."""

    kind: str
    kbps: int

    @property
    def name(self) -> str:
        """As `--codec-check` takes it."""
        return f"{self.kind}:{self.kbps}"


@dataclass(frozen=True)
class Decoded:
    """What came back from a codec."""

    codec: str
    true_peak_dbtp: float
    over_db: float
    """By how much that is above the peak of what went in."""
    length_samples: int
    """At the codec's rate; `extra_samples` more than went in."""
    extra_samples: int
    delay_samples: int
    sample_rate_hz: int
    bit_rate_kbps: float
    """That the file has, headers and all."""
    kept_to_hz: float
    """The highest third octave that comes back within 6 dB."""
    changed_db: float
    """The largest change of a third octave below that."""

    def said(self) -> str:
        """One line."""
        odd = f", {self.delay_samples:+d} samples late" if self.delay_samples else ""
        odd += f", {self.extra_samples:+d} samples long" if self.extra_samples else ""
        return (
            f"{self.codec}: {self.true_peak_dbtp:.2f} dBTP ({self.over_db:+.2f} dB),"
            f" to {self.kept_to_hz / 1000:.0f} kHz within {self.changed_db:.1f} dB{odd}"
        )

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {key: round(v, 2) if isinstance(v, float) else v for key, v in asdict(self).items()}


def codec(text: str) -> Codec:
    """`mp3:256` and the like; SettingsError for anything else."""
    kind, _, rate = text.strip().partition(":")
    if kind not in RATES_KBPS:
        raise SettingsError(f"codec: {text!r} is not one of {', '.join(f'{name}:KBPS' for name in RATES_KBPS)}")
    lowest, highest = RATES_KBPS[kind]
    if not rate.isdecimal() or not lowest <= int(rate) <= highest:
        raise SettingsError(f"codec: {text!r}: the rate of {kind} is a whole number from {lowest} to {highest} kbit/s")
    return Codec(kind, int(rate))


def missing(wanted: Codec) -> str:
    """Why a codec cannot be tried here, in a line; nothing where it can."""
    if wanted.kind != "aac" or shutil.which("ffmpeg") is not None:
        return ""
    return f"{wanted.name}: not tried: it needs the program ffmpeg, which is not on the PATH"


def through(path: Path, wanted: Codec) -> Decoded:
    """Encode and decode a file; what is above 48 kHz goes in at 48 kHz, and all of Opus does.

    Raises FileError where the file cannot be read or the codec fails.
    """
    with open_audio(path) as source:
        return _through(source, wanted)


def coded_rate_hz(sample_rate_hz: int, wanted: Codec) -> int:
    """The rate at which a codec takes what has this one."""
    if wanted.kind == "opus" or sample_rate_hz > HIGHEST_RATE_HZ:
        return HIGHEST_RATE_HZ
    if wanted.kind == "mp3" and sample_rate_hz not in (32_000, 44_100, 48_000):
        return 44_100
    return sample_rate_hz


def _through(source: AudioSource, wanted: Codec) -> Decoded:
    rate_hz = coded_rate_hz(source.sample_rate_hz, wanted)
    with tempfile.TemporaryDirectory(prefix="match-codec-") as folder:
        path = Path(folder) / f"coded{ENDINGS[wanted.kind]}"
        middle = resampled_length_samples(source.length_samples, source.sample_rate_hz, rate_hz) // 2
        given, came = (_Measured(rate_hz, source.channels, middle) for _ in range(2))
        blocks = (given.update(b) for b in resampled_blocks(source, sample_rate_hz=rate_hz, block_samples=FRAMES))
        try:
            encode(path, blocks, rate_hz, source.channels, wanted)
            for block in decode(path, rate_hz, source.channels):
                came.update(block)
        except (soundfile.SoundFileError, subprocess.SubprocessError, OSError) as error:
            raise FileError(f"{source.name}: {wanted.name} failed ({error})") from error
        kbps = path.stat().st_size * 8.0 / 1000.0 / max(given.length / rate_hz, 1e-9)
    before, after = given.spectrum.result(), came.spectrum.result()
    kept_to_hz, changed_db = _loss(before, after)
    peak, own = came.peak.result().peak_dbtp, given.peak.result().peak_dbtp
    return Decoded(
        codec=wanted.name,
        true_peak_dbtp=peak,
        over_db=peak - own,
        length_samples=came.length,
        extra_samples=came.length - given.length,
        delay_samples=_delay(given.excerpt(), came.excerpt()),
        sample_rate_hz=rate_hz,
        bit_rate_kbps=kbps,
        kept_to_hz=kept_to_hz,
        changed_db=changed_db,
    )


class _Measured:
    """Peak and spectrum of one stream, and a little of its first channel around one place."""

    def __init__(self, sample_rate_hz: int, channels: int, middle: int) -> None:
        self.peak = TruePeakMeter(sample_rate_hz, channels)
        self.spectrum = LongSpectrum(sample_rate_hz)
        self.length = 0
        self._around = (max(0, middle - EXCERPT_SAMPLES // 2), middle + EXCERPT_SAMPLES // 2)
        self._parts: list[Samples] = []

    def update(self, block: Samples) -> Samples:
        self.peak.update(block)
        self.spectrum.update(block)
        first, last = (min(max(0, at - self.length), block.shape[1]) for at in self._around)
        self._parts.append(block[0, first:last].copy())
        self.length += block.shape[1]
        return block

    def excerpt(self) -> Samples:
        """The samples around that place."""
        return np.concatenate(self._parts)


def encode(path: Path, blocks: Iterator[Samples], rate_hz: int, channels: int, wanted: Codec) -> None:
    """Write blocks (channels, n) as a file of the codec, at `coded_rate_hz`; its ending is one of `ENDINGS`."""
    (_write_aac if wanted.kind == "aac" else _write)(path, blocks, rate_hz, channels, wanted)


def decode(path: Path, rate_hz: int, channels: int) -> Iterator[Samples]:
    """Blocks (channels, n) of a file that `encode` wrote, unclipped float."""
    return (_read_aac if path.suffix == ENDINGS["aac"] else _read)(path, rate_hz, channels)


def _write(path: Path, blocks: Iterator[Samples], rate_hz: int, channels: int, wanted: Codec) -> None:
    container, subtype = _FORMATS[wanted.kind]
    more: dict[str, Any] = {"compression_level": _level(wanted, channels)}
    if wanted.kind == "mp3":
        more["bitrate_mode"] = "CONSTANT"
    with soundfile.SoundFile(system_path(path), "w", rate_hz, channels, subtype, format=container, **more) as file:
        for block in blocks:
            file.write(np.ascontiguousarray(block.T))


def _level(wanted: Codec, channels: int) -> float:
    """libsndfile's compression level, 0 the best, that stands for the bit rate."""
    if wanted.kind == "mp3":
        level = (320.0 - wanted.kbps) / 288.0
    elif wanted.kind == "opus":
        level = 1.0 - (1000.0 * wanted.kbps / channels - 6000.0) / 250_000.0
    else:
        level = 1.0 - float(np.interp(wanted.kbps, _VORBIS_KBPS, np.linspace(0.0, 1.0, len(_VORBIS_KBPS))))
    return float(np.clip(level, 0.0, 1.0))


def _read(path: Path, rate_hz: int, channels: int) -> Iterator[Samples]:
    with soundfile.SoundFile(system_path(path)) as file:
        while len(frames := file.read(FRAMES, dtype="float32", always_2d=True)):
            yield np.ascontiguousarray(frames.T)


def _write_aac(path: Path, blocks: Iterator[Samples], rate_hz: int, channels: int, wanted: Codec) -> None:
    command = ["ffmpeg", "-v", "error", "-nostdin", *_raw(rate_hz, channels), "-i", "pipe:0"]
    command += ["-c:a", "aac", "-b:a", f"{wanted.kbps}k", "-y", str(path)]
    with _running(command, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        for block in blocks:
            process.stdin.write(np.ascontiguousarray(block.T, dtype="<f4").tobytes())
        process.stdin.close()


def _read_aac(path: Path, rate_hz: int, channels: int) -> Iterator[Samples]:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), *_raw(rate_hz, channels), "pipe:1"]
    with _running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        while data := process.stdout.read(FRAMES * channels * 4):
            yield np.ascontiguousarray(np.frombuffer(data, dtype="<f4").reshape(-1, channels).T)


def _raw(rate_hz: int, channels: int) -> list[str]:
    return ["-f", "f32le", "-ar", str(rate_hz), "-ac", str(channels)]


@contextlib.contextmanager
def _running(command: list[str], **pipes: int) -> Iterator[subprocess.Popen[bytes]]:
    """A program until its end; what it says of an error is raised, and no exception leaves it running."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stderr=said, **pipes)  # type: ignore[call-overload]
        try:
            yield process
            code = process.wait()
        except BrokenPipeError:
            code = process.wait()
        except BaseException:
            process.kill()
            process.wait()
            raise
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
        if code:
            said.seek(0)
            lines = said.read().decode(errors="replace").split("\n")
            raise OSError(next((line for line in lines if line), f"{command[0]} ended with {code}"))


def _loss(before: Spectrum, after: Spectrum) -> tuple[float, float]:
    """Up to where third octaves come back within `LOST_DB`, and the largest change below."""
    levels = [db_from_power(s.in_bands(s.mid + s.side, TONE_EDGES_HZ)) for s in (before, after)]
    heard = levels[0] > levels[0].max() - 70.0
    changed = np.abs(levels[1] - levels[0])
    lost = np.flatnonzero(heard & (changed > LOST_DB) & (THIRD_OCTAVES_HZ > 5000.0))
    end = int(lost[0]) if len(lost) else int(np.flatnonzero(heard)[-1]) + 1
    within = heard & (np.arange(len(heard)) < end)
    return float(THIRD_OCTAVES_HZ[max(end - 1, 0)]), float(changed[within].max(initial=0.0))


def _delay(before: Samples, after: Samples) -> int:
    """By how many samples the second comes later, from the peak of their correlation."""
    n = fft.next_fast_len(len(before) + len(after), real=True)
    crossed = fft.irfft(fft.rfft(after, n) * np.conj(fft.rfft(before, n)), n)
    at = int(np.argmax(crossed))
    return at if at <= n // 2 else at - n
