"""How a master translates: to one loudspeaker, a telephone, a cutting lathe; each a figure with a verdict."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.fir import Fir, FirStream, design
from dsp.meters.loudness import k_weighting_response_db
from dsp.units import db_from_gain, db_from_power
from matcher.analysis import Source, opened
from matcher.profile import OCTAVES_HZ, Profile

Array = NDArray[np.float64]

MONO_LOSS_LU, OCTAVE_LOSS_DB = 3.0, 6.0
PHONE_HZ, SMALL_HZ = (300.0, 3400.0), (200.0, 20_000.0)
PHONE_LOSS_LU, SMALL_LOSS_LU = 8.0, 4.0
LOW_HZ, LOW_CORRELATION = 150.0, 0.9
SIBILANT_HZ, VOICE_HZ, SIBILANCE_DB = (5000.0, 10_000.0), (300.0, 4000.0), 0.0
RUMBLE_HZ, RUMBLE_DB = 30.0, -30.0
RIAA_S = (3180e-6, 318e-6, 75e-6)
"""Time constants of the playback curve; a record is cut with its inverse."""
RIAA_OVER_DB = 6.0


@dataclass(frozen=True)
class Finding:
    """One question about a master, and the answer."""

    what: str
    said: str
    good: bool

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return asdict(self)


def translation(source: Source, profile: Profile) -> tuple[Finding, ...]:
    """What becomes of a finished master elsewhere; source: the sound of `profile`, for its peaks on a record."""
    return (
        *(_stereo(profile) if profile.channels > 1 else ()),
        _band(profile, "phone", PHONE_HZ, PHONE_LOSS_LU),
        _band(profile, "small speaker", SMALL_HZ, SMALL_LOSS_LU),
        _sibilance(profile),
        _rumble(profile),
        _record(source, profile),
    )


def _stereo(profile: Profile) -> tuple[Finding, Finding]:
    spectrum = profile.spectrum
    weight = _k_weight(profile)
    mono, both = weight @ spectrum.mid, weight @ (spectrum.mid + spectrum.side)
    loss = float(db_from_power(both) - db_from_power(mono))
    mid, side = (10.0 ** (profile.octaves_db(name) / 10.0) for name in ("mid", "side"))
    heard = profile.octaves_db("mid") > profile.octaves_db("mid").max() - 50.0
    octaves = np.where(heard, db_from_power(mid + side) - db_from_power(mid), 0.0)
    worst = int(np.argmax(octaves))
    where = f"the octave around {OCTAVES_HZ[worst]:.0f} Hz {octaves[worst]:.1f} dB"
    said = f"folded to mono it loses {loss:.1f} LU, {where}"
    mono_good = loss <= MONO_LOSS_LU and float(octaves[worst]) <= OCTAVE_LOSS_DB
    low = _correlation(profile, LOW_HZ)
    below = f"below {LOW_HZ:.0f} Hz the channels correlate by {low:.2f}"
    return Finding("mono", said, mono_good), Finding("low end", below, low >= LOW_CORRELATION)


def _correlation(profile: Profile, below_hz: float) -> float:
    """Of left and right, below a frequency; 1 where there is nothing."""
    spectrum = profile.spectrum
    low = (spectrum.frequency_hz > 20.0) & (spectrum.frequency_hz < below_hz)
    mid, side, cross = (float(part[low].sum()) for part in (spectrum.mid, spectrum.side, spectrum.cross))
    either = (mid + side) ** 2 - 4.0 * cross**2
    return float(np.clip((mid - side) / np.sqrt(either), -1.0, 1.0)) if either > 1e-20 else 1.0


def _band(profile: Profile, name: str, band_hz: tuple[float, float], most_lu: float) -> Finding:
    """How much of the loudness is left where only a band is heard, in mono."""
    hz = profile.spectrum.frequency_hz
    weight = _k_weight(profile)
    inside = (hz >= band_hz[0]) & (hz <= band_hz[1])
    whole, left = weight @ profile.spectrum.mid, (weight * inside) @ profile.spectrum.mid
    loss = float(db_from_power(whole) - db_from_power(left))
    return Finding(name, f"of {band_hz[0]:.0f} to {band_hz[1]:.0f} Hz alone it loses {loss:.1f} LU", loss <= most_lu)


def _k_weight(profile: Profile) -> Array:
    hz = profile.spectrum.frequency_hz
    weight = np.zeros(len(hz))
    weight[1:] = 10.0 ** (k_weighting_response_db(hz[1:], profile.sample_rate_hz) / 10.0)
    return weight


def _sibilance(profile: Profile) -> Finding:
    """The sharpest twentieth of the moments that are heard: the sibilants' band against that of voices."""
    sharp, voice = (profile.sketch.mid_power(*band_hz) for band_hz in (SIBILANT_HZ, VOICE_HZ))
    whole = profile.sketch.mid_power()
    heard = whole > whole.max(initial=0.0) * 1e-3
    ratio_db = db_from_power(sharp[heard]) - db_from_power(voice[heard])
    excess = float(np.percentile(ratio_db, 95)) if len(ratio_db) else -99.0
    said = f"5 to 10 kHz stands {excess:+.1f} dB to the voices' range in the sharpest moments"
    return Finding("sibilance", said, excess <= SIBILANCE_DB)


def _rumble(profile: Profile) -> Finding:
    spectrum = profile.spectrum
    both = spectrum.mid + spectrum.side
    under = float(db_from_power(both[spectrum.frequency_hz < RUMBLE_HZ].sum()) - db_from_power(both.sum()))
    return Finding("below 30 Hz", f"{under:.1f} dB of the whole", under <= RUMBLE_DB + 20.0)


def _record(source: Source, profile: Profile) -> Finding:
    """Peaks as a record is cut, against the peaks of the file, both of the loudest channel."""
    fir = riaa_record(profile.sample_rate_hz)
    highest = 0.0
    with opened(source) as audio:
        streams = FirStream([fir] * audio.channels)
        for block in audio.blocks():
            highest = _higher(highest, streams.process(block))
        highest = _higher(highest, streams.finish())
    over = float(db_from_gain(highest)) - profile.sample_peak_dbfs
    return Finding("record", f"cut with the RIAA curve its peaks are {over:+.1f} dB", over <= RIAA_OVER_DB)


def _higher(so_far: float, block: Samples | None) -> float:
    return so_far if block is None else max(so_far, float(np.abs(block).max(initial=0.0)))


def riaa_record(sample_rate_hz: int) -> Fir:
    """The curve of a cutting amplifier, 0 dB at 1 kHz; of minimum phase, as its circuit is.

    Its rise ends above 20 kHz, as that of every real one does.
    """
    low, middle, high = RIAA_S

    def cut_db(hz: Array) -> Array:
        s = 2j * np.pi * np.minimum(hz, 20_000.0)
        return np.asarray(20.0 * np.log10(np.abs((1.0 + s * low) * (1.0 + s * high) / (1.0 + s * middle))))

    level_db = float(cut_db(np.array([1000.0]))[0])
    return design(lambda hz: cut_db(hz) - level_db, sample_rate_hz)
