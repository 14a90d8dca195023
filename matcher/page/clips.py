"""Short clips of before, after and reference, at equal loudness, as MP3 inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

import numpy as np
import soundfile
import soxr

from dsp.meters.loudness import short_term_lufs
from matcher.io import AudioSource, in_stereo
from matcher.profile import Profile

CLIP_S, FADE_S = 8.0, 0.03
RATE_HZ = 44_100
HIGHEST = 0.9
QUIETEST_DB = 20.0
"""The quiet clip is no quieter than this below the loudest."""


@dataclass(frozen=True)
class Clip:
    """A playable stretch. start_s: in its track; data: a data URL."""

    start_s: float
    data: str


def places_s(profile: Profile) -> tuple[float, float]:
    """Where the loudest and the quietest sounding stretch of `CLIP_S` begin."""
    loudness = short_term_lufs(profile.segment_power, hop_ms=100)
    frames = round(CLIP_S * 10.0) - 30 + 1
    if len(loudness) <= frames:
        return 0.0, 0.0
    power = np.convolve(10.0 ** (loudness / 10.0), np.ones(frames) / frames, "valid")
    sounding = np.flatnonzero(power > power.max() * 10.0 ** (-QUIETEST_DB / 10.0))
    return float(np.argmax(power)) / 10.0, float(sounding[np.argmin(power[sounding])]) / 10.0


def clip(source: AudioSource, start_s: float, gain_db: float) -> Clip:
    """`CLIP_S` of a source from `start_s`, turned by `gain_db`."""
    rate, source = source.sample_rate_hz, in_stereo(source)
    first = min(round(start_s * rate), max(0, source.length_samples - round(CLIP_S * rate)))
    frames = source.read(first, min(round(CLIP_S * rate), source.length_samples - first)).T.astype(np.float32)
    if rate != RATE_HZ:
        frames = soxr.resample(frames, rate, RATE_HZ)
    ramp = np.minimum(1.0, np.arange(1, len(frames) + 1) / (FADE_S * RATE_HZ)).astype(np.float32)
    made = frames * np.float32(10.0 ** (gain_db / 20.0)) * (ramp * ramp[::-1])[:, None]
    file = io.BytesIO()
    soundfile.write(file, made, RATE_HZ, format="MP3")
    return Clip(first / rate, f"data:audio/mpeg;base64,{base64.b64encode(file.getvalue()).decode()}")


def common_lufs(profiles: list[Profile]) -> float:
    """The loudness at which all tracks can be played without any of them passing full scale."""
    return min(p.integrated_lufs - p.true_peak_dbtp for p in profiles) + 20.0 * float(np.log10(HIGHEST))
