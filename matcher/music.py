"""Music: tempo, key and form of a track, by librosa.

What the sketch does not hold because mastering does not need it, but a person choosing a reference may: two pieces in
one tempo and mode are more alike than their spectra can say. librosa takes seconds to load and reads the whole track at
22 kHz, so this runs only when it is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from matcher.analysis import Source
from matcher.io import read_audio

RATE_HZ = 22_050
SHORTEST_SECTION_S = 12.0
KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
# How strongly each step of a scale is heard in its key: Krumhansl & Kessler 1982.
_MAJOR = np.array([6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88])
_MINOR = np.array([6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17])


@dataclass(frozen=True)
class Music:
    """What kind of piece it is."""

    tempo_bpm: float
    key: str
    key_clarity: float
    """Correlation with the key's profile, -1 to 1; below about 0.5 there is hardly one."""
    onsets_per_s: float
    sections_s: tuple[float, ...]
    """Where parts of the form begin, seconds."""

    def summary(self) -> dict[str, Any]:
        """Plain JSON data."""
        return {
            "tempo_bpm": round(self.tempo_bpm, 1),
            "key": self.key,
            "key_clarity": round(self.key_clarity, 2),
            "onsets_per_s": round(self.onsets_per_s, 2),
            "sections_s": [round(s, 1) for s in self.sections_s],
        }


def listen(source: Source) -> Music:
    """Tempo, key, onsets and sections of a file or an `Audio`; errors as in `open_audio`."""
    import librosa

    audio = read_audio(source, sample_rate_hz=RATE_HZ)
    samples = audio.samples.mean(axis=0).astype(np.float32)
    strength = librosa.onset.onset_strength(y=samples, sr=RATE_HZ)
    tempo = float(np.atleast_1d(librosa.feature.tempo(onset_envelope=strength, sr=RATE_HZ))[0])
    onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=RATE_HZ)
    chroma = librosa.feature.chroma_stft(y=samples, sr=RATE_HZ)
    key, clarity = key_of(chroma.mean(axis=1))
    parts = max(1, min(12, int(audio.duration_s / SHORTEST_SECTION_S)))
    starts: tuple[float, ...] = (0.0,)
    if parts > 1:
        steady = librosa.util.sync(chroma, range(0, chroma.shape[1], 22))
        bounds = librosa.segment.agglomerative(steady, min(parts, steady.shape[1]))
        starts = tuple(float(t) for t in librosa.frames_to_time(bounds * 22, sr=RATE_HZ))
    return Music(tempo, key, clarity, len(onsets) / audio.duration_s, starts)


def key_of(chroma: NDArray[np.floating]) -> tuple[str, float]:
    """The key whose profile goes best with how strong the twelve notes are, and how well it goes."""
    found = []
    for tonic, name in enumerate(KEYS):
        for profile, mode in ((_MAJOR, "major"), (_MINOR, "minor")):
            found.append((float(np.corrcoef(chroma, np.roll(profile, tonic))[0, 1]), f"{name} {mode}"))
    clarity, key = max(found)
    return key, clarity
