"""Reading, cutting and levelling music; audio here is float64, shape (samples, 2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyloudnorm
import soundfile
import soxr
from numpy.typing import NDArray

Sound = NDArray[np.float64]

RATE_HZ = 44_100
SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aif", ".aiff"}
_METER = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")


def albums(folder: Path) -> list[list[Path]]:
    """The tracks of every subfolder; those of the folder itself are one more album."""
    found = [folder, *sorted(p for p in folder.iterdir() if p.is_dir())]
    lists = [sorted(p for p in each.iterdir() if p.suffix.lower() in SUFFIXES) for each in found]
    return [tracks for tracks in lists if tracks]


def read(path: Path, start: float = 0.0, seconds: float | None = None) -> Sound:
    """A stretch of a file at `RATE_HZ`, from the share `start` of what can begin it; mono is doubled."""
    with soundfile.SoundFile(path) as file:
        wanted = file.frames if seconds is None else min(file.frames, round(seconds * file.samplerate))
        file.seek(int(start * (file.frames - wanted)))
        samples, rate = file.read(wanted, dtype="float64", always_2d=True), file.samplerate
    samples = np.repeat(samples, 2, axis=1) if samples.shape[1] == 1 else samples[:, :2]
    return samples if rate == RATE_HZ else soxr.resample(samples, rate, RATE_HZ, quality="VHQ")


def write(path: Path, sound: Sound) -> None:
    """As 32-bit float WAV: nothing clips on the way."""
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")


def lufs(sound: Sound) -> float:
    """Integrated loudness; -70 for silence."""
    return float(np.clip(_METER.integrated_loudness(sound), -70.0, 20.0))


def at_loudness(sound: Sound, wanted_lufs: float) -> Sound:
    """The sound with so many LUFS."""
    return sound * 10.0 ** ((wanted_lufs - lufs(sound)) / 20.0)


def at_peak(sound: Sound, peak_dbfs: float) -> Sound:
    """The sound with its highest sample at `peak_dbfs`."""
    return sound * 10.0 ** (peak_dbfs / 20.0) / max(float(np.abs(sound).max()), 1e-9)


def mid_side(sound: Sound) -> tuple[Sound, Sound]:
    """Half the sum and half the difference of the channels."""
    return (sound[:, 0] + sound[:, 1]) / 2.0, (sound[:, 0] - sound[:, 1]) / 2.0
