"""Profile: what was measured of one track, small enough to keep.

The sketch inside it holds the track's course over time in half decibels, one byte a value: 4.5 MiB an hour.
Sums and extremes that must be exact are kept beside it in full precision.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from dsp.meters.dynamics import BANDS as DYNAMICS_BANDS
from dsp.meters.loudness import k_weighting_response_db
from dsp.meters.spectrum import Spectrum, band_centres_hz
from dsp.units import db_from_power

PROFILE_VERSION = 15
"""Raised whenever a stored profile would not equal a fresh one."""

THIRD_OCTAVES_HZ = 1000.0 * 10.0 ** (np.arange(-16, 14) / 10.0)
"""Centres of the IEC 61260-1 third octaves from 25 Hz to 20 kHz."""
OCTAVES_HZ = 1000.0 * 10.0 ** (3 * np.arange(-5, 5) / 10.0)
"""Centres of the octaves from 31.5 Hz to 8 kHz."""

NEAR_MONO_DB = -50.0
"""A side this far below the mid is noise, not width."""

TONE_EDGES_HZ: NDArray[np.float64] = 1000.0 * 10.0 ** (np.arange(-16.5, 14.0) / 10.0)
"""Edges of the third octaves."""
NOTE_EDGES_HZ: NDArray[np.float64] = 100.0 * np.exp2((np.arange(85) - 0.5) / 12.0)
"""Edges of 84 semitones from 100 Hz to 12.8 kHz: narrow enough to tell notes from tone."""

_STEP_DB, _ZERO_DB = 0.5, -120.0


def coded(power: NDArray[Any]) -> NDArray[np.uint8]:
    """Mean squares as a sketch holds them."""
    return np.clip(np.rint((db_from_power(power) - _ZERO_DB) / _STEP_DB), 0, 255).astype(np.uint8)


def _decoded(code: NDArray[np.uint8]) -> NDArray[np.float32]:
    return code.astype(np.float32) * np.float32(_STEP_DB) + np.float32(_ZERO_DB)


@dataclass(frozen=True, eq=False)
class Sketch:
    """A track's course over time: levels in half dB above -120 dBFS.

    mid: shape (bands, blocks), 40 ERB-like bands every 50 ms.
    power: shape (4, segments), low, mid, high and whole band every 10 ms; peak: shape (segments,), of the whole band.
    """

    mid: NDArray[np.uint8]
    power: NDArray[np.uint8]
    peak: NDArray[np.uint8]

    def mid_db(self, band: int) -> NDArray[np.float32]:
        """Level of the mid in one band, per block, dBFS (power)."""
        return _decoded(self.mid[band])

    def mid_power(self, low_hz: float = 0.0, high_hz: float = np.inf) -> NDArray[np.float64]:
        """Power of the mid in the bands whose centres lie between two frequencies, per block."""
        power = np.zeros(self.mid.shape[1])
        for band, centre_hz in enumerate(band_centres_hz()):  # one at a time: there may be hours of them
            if low_hz <= centre_hz <= high_hz:
                power += 10.0 ** (self.mid_db(band) / 10.0)
        return power

    def power_db(self, band: str) -> NDArray[np.float32]:
        """Mean square of `low`, `mid`, `high` or `whole` in every 10 ms, over time and channels, dBFS."""
        return _decoded(self.power[DYNAMICS_BANDS.index(band)])

    @property
    def peak_db(self) -> NDArray[np.float32]:
        """Peak in every 10 ms, dBFS."""
        return _decoded(self.peak)


@dataclass(frozen=True, eq=False)
class Course:
    """Powers every 100 ms, exact: by what was played, and by how it sounded. Shape (bands, frames).

    Of a track of more than ten minutes, of evenly spread stretches.
    """

    tone: NDArray[np.float32]
    """Of the mid in the third octaves of `TONE_EDGES_HZ`."""
    notes: NDArray[np.float32]
    """Of the mid in the semitones of `NOTE_EDGES_HZ`."""
    side: NDArray[np.float32]
    """Of the side in the third octaves of `TONE_EDGES_HZ`."""
    frame: NDArray[np.int64]
    """Which of the track's each frame is, shape (frames,)."""


@dataclass(frozen=True, eq=False)
class Balance:
    """Loudness and mean spectrum: all that tone and width need."""

    isolated_lufs: float
    """Integrated loudness as if silence lay around the track: what planning uses."""
    spectrum: Spectrum

    @cached_property
    def spectral_lufs(self) -> float:
        """Loudness of the mean spectrum, without gating: silence around the music only scales it with the spectrum."""
        hz = self.spectrum.frequency_hz
        weight = 10.0 ** (k_weighting_response_db(hz[1:], round(2.0 * float(hz[-1]))) / 10.0)
        both = self.spectrum.mid[1:] + self.spectrum.side[1:]
        return float(-0.691 + db_from_power(2.0 * float(np.sum(weight * both))))

    def balance_db(self, channel: str = "mid") -> NDArray[np.float64]:
        """Third-octave levels against the loudness of the spectrum: the tone, whatever the level."""
        return self.third_octaves_db(channel) - self.spectral_lufs

    def third_octaves_db(self, channel: str = "mid") -> NDArray[np.float64]:
        """Level of the mid or side per third octave of `THIRD_OCTAVES_HZ`, dBFS (power)."""
        return self._levels(channel, THIRD_OCTAVES_HZ, 10.0**0.05)

    def octaves_db(self, channel: str = "mid") -> NDArray[np.float64]:
        """Level of the mid or side per octave of `OCTAVES_HZ`, dBFS (power)."""
        return self._levels(channel, OCTAVES_HZ, 10.0**0.15)

    def _levels(self, channel: str, centres_hz: NDArray[np.float64], half: float) -> NDArray[np.float64]:
        power = getattr(self.spectrum, channel)
        edges = np.append(centres_hz / half, centres_hz[-1] * half)
        return db_from_power(self.spectrum.in_bands(power, edges))

    @property
    def width_db(self) -> NDArray[np.float64]:
        """Side minus mid level per octave of `OCTAVES_HZ`, dB."""
        return self.octaves_db("side") - self.octaves_db("mid")

    @property
    def overall_width_db(self) -> float:
        """Side minus mid level of the whole, dB."""
        return float(db_from_power(self.spectrum.side.sum()) - db_from_power(self.spectrum.mid.sum()))

    @property
    def has_side(self) -> bool:
        """Whether there is a side signal worth the name."""
        return bool(self.overall_width_db > NEAR_MONO_DB)

    @property
    def correlation(self) -> float:
        """Correlation of left and right over the whole track, -1 to 1; 1 for mono."""
        total, difference = self.spectrum.mid.sum(), self.spectrum.side.sum()
        either = (total + difference) ** 2 - 4.0 * self.spectrum.cross.sum() ** 2
        return float(np.clip((total - difference) / np.sqrt(max(either, 1e-30)), -1.0, 1.0))

    @property
    def tilt_db_oct(self) -> float:
        """Slope of the third-octave levels of the mid from 100 Hz to 10 kHz."""
        inside = (THIRD_OCTAVES_HZ > 95.0) & (THIRD_OCTAVES_HZ < 10_500.0)
        octaves = np.log2(THIRD_OCTAVES_HZ[inside])
        return float(np.polyfit(octaves, self.third_octaves_db()[inside], 1)[0])

    @cached_property
    def bandwidth_hz(self) -> float:
        """Where the music ends at the top: the frequency of a cliff in the spectrum, or the Nyquist frequency."""
        nyquist = float(self.spectrum.frequency_hz[-1])
        edges = np.geomspace(2000.0, nyquist, int(24 * np.log2(nyquist / 2000.0)) + 2)
        level = db_from_power(self.spectrum.in_bands(self.spectrum.mid + self.spectrum.side, edges) / np.diff(edges))
        # What lies above a cliff stays 25 dB below what lies a third of an octave under it.
        above = np.maximum.accumulate(level[::-1])[::-1]
        drop = level[:-8] - above[8:]
        steep = np.flatnonzero(drop > 25.0)
        if not len(steep):
            return nyquist
        fallen = above[steep[0] :] < level[steep[0]] - 12.5
        return float(edges[steep[0] + int(np.argmax(fallen))])


@dataclass(frozen=True, eq=False)
class Profile(Balance):
    """What was measured of one track. Levels are of the file as it is; nothing is normalised."""

    integrated_lufs: float
    name: str
    content_hash: str
    sample_rate_hz: int
    channels: int
    length_samples: int
    range_lu: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    true_peak_dbtp: float
    sample_peak_dbfs: float
    flat_tops: int
    """Places where a channel is cut off flat at its own extreme: what clipping leaves behind."""
    figures: NDArray[np.float64]
    """How compressed it is, the four of `dsp.meters.dynamics.figures`: crest factor, spread of three bands, dB."""
    image: NDArray[np.int64]
    """How far apart its sources lie: the counts of a `dsp.meters.image.ImageMeter`; all zero of a mono file."""
    segment_db: NDArray[np.float16]
    """K-weighted power of every 10 ms, summed over channels, dB, shape (segments,)."""
    sketch: Sketch
    course: Course

    @property
    def duration_s(self) -> float:
        """How long the track plays."""
        return self.length_samples / self.sample_rate_hz

    @property
    def plr_db(self) -> float:
        """Peak to loudness ratio: true peak minus integrated loudness."""
        return self.true_peak_dbtp - self.integrated_lufs

    @property
    def edges_lu(self) -> float:
        """By how much it is louder than if silence lay around it: a meter counts its first and last moments less."""
        return self.integrated_lufs - self.isolated_lufs

    @property
    def segment_power(self) -> NDArray[np.float64]:
        """K-weighted power of every 10 ms, to within half a percent."""
        power = self.segment_db.astype(np.float64)
        power /= 10.0
        return np.power(10.0, power, out=power)

    @cached_property
    def psr_db(self) -> float:
        """Median over the louder half of the track of the peak in 3 s minus their short-term loudness."""
        from dsp.meters.loudness import short_term_lufs

        loud = short_term_lufs(self.segment_power, hop_ms=100)
        if not len(loud):
            return self.plr_db
        peaks = self.sketch.peak_db
        highest = np.array([peaks[10 * i : 10 * i + 300].max(initial=-120.0) for i in range(len(loud))])
        upper = loud >= np.median(loud[loud > -70.0]) if (loud > -70.0).any() else loud > -np.inf
        return float(np.median((highest - loud)[upper]))

    @property
    def crest_db(self) -> float:
        """Median crest factor of the louder half of all 0.4 s windows: peak minus RMS over both channels."""
        return float(self.figures[0])

    def summary(self) -> dict[str, Any]:
        """The figures a person or a script reads, as plain JSON data."""
        return {
            "name": self.name,
            "content_hash": self.content_hash,
            "sample_rate_hz": self.sample_rate_hz,
            "channels": self.channels,
            "length_samples": self.length_samples,
            "duration_s": round(self.duration_s, 3),
            "integrated_lufs": round(self.integrated_lufs, 2),
            "range_lu": round(self.range_lu, 2),
            "max_momentary_lufs": round(self.max_momentary_lufs, 2),
            "max_short_term_lufs": round(self.max_short_term_lufs, 2),
            "true_peak_dbtp": round(self.true_peak_dbtp, 2),
            "sample_peak_dbfs": round(self.sample_peak_dbfs, 2),
            "flat_tops": self.flat_tops,
            "plr_db": round(self.plr_db, 2),
            "psr_db": round(self.psr_db, 2),
            "crest_db": round(self.crest_db, 2),
            "tilt_db_oct": round(self.tilt_db_oct, 2),
            "width_db": round(self.overall_width_db, 2),
            "correlation": round(self.correlation, 3),
            "bandwidth_hz": round(self.bandwidth_hz),
            "third_octaves_hz": [round(hz, 1) for hz in THIRD_OCTAVES_HZ],
            "mid_db": np.round(self.third_octaves_db("mid"), 2).tolist(),
            "side_db": np.round(self.third_octaves_db("side"), 2).tolist(),
        }

    def write(self, file: BinaryIO) -> None:
        """The whole profile as an .npz archive, which `read` takes."""
        parts: dict[str, Any] = {"profile_version": PROFILE_VERSION}
        for owner, part in (("", self), *((f"{name}_", getattr(self, name)) for name in _PARTS)):
            for field in fields(part):
                if field.name not in _PARTS:
                    parts[owner + field.name] = getattr(part, field.name)
        np.savez(file, **parts)

    @classmethod
    def read(cls, file: BinaryIO) -> Profile:
        """The profile that `write` stored; ValueError or KeyError where it is of another version or damaged."""
        with np.load(file, allow_pickle=False) as parts:
            if int(parts["profile_version"]) != PROFILE_VERSION:
                raise ValueError(f"profile_version: {int(parts['profile_version'])} is not {PROFILE_VERSION}")
            made = {
                name: kind(*(parts[f"{name}_{f.name}"] for f in fields(kind))) for name, kind in _PARTS.items()
            }
            own = {f.name: parts[f.name] for f in fields(cls) if f.name not in _PARTS}
        plain = {name: value.item() if value.ndim == 0 else value for name, value in own.items()}
        return cls(**plain, **made)

    def named(self, name: str) -> Profile:
        """The same measurements under another name (a file may be moved; its content is what counts)."""
        return replace(self, name=name)


_PARTS: dict[str, Any] = {"spectrum": Spectrum, "sketch": Sketch, "course": Course}
"""Fields of a profile that have fields of their own."""
