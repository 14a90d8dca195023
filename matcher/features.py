"""Features: what is kept of a track once its sound is gone; the centre of a preset is the same of many."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.effect import Bounded
from dsp.errors import SettingsError
from dsp.units import db_from_power
from matcher.profile import NEAR_MONO_DB, OCTAVES_HZ, THIRD_OCTAVES_HZ, Balance

Array = NDArray[np.float64]
Text = Annotated[str, Meta(max_length=400)]
Hash = Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
Level = Annotated[float, Meta(ge=-400.0, le=200.0)]
Levels = Annotated[tuple[Level, ...], Meta(min_length=30, max_length=30)]


class Features(Bounded, frozen=True, kw_only=True):
    """A track's figures without its sound, in ten-thousandths; levels follow `THIRD_OCTAVES_HZ`."""

    name: Text
    content_hash: Hash
    duration_s: Annotated[float, Meta(ge=0.0)]
    sample_rate_hz: Annotated[int, Meta(ge=1, le=1_000_000)]
    channels: Annotated[int, Meta(ge=1, le=64)]
    integrated_lufs: Level
    isolated_lufs: Level
    range_lu: Level
    true_peak_dbtp: Level
    correlation: Annotated[float, Meta(ge=-1.0, le=1.0)]
    bandwidth_hz: Annotated[float, Meta(ge=0.0, le=1e6)]
    density_db: Annotated[tuple[Level, ...], Meta(min_length=4, max_length=4)]
    """Crest factor and the spread of three bands, as `Profile.figures`."""
    mid_db: Levels
    """Against the loudness of the spectrum."""
    side_db: Levels

    @classmethod
    def of(cls, track: Any) -> Features:
        """Of a profile, or of the row of a table."""
        if isinstance(track, Balance):
            mid, side = track.balance_db("mid"), track.balance_db("side")
        else:
            mid, side = (np.asarray(levels) - track.spectral_lufs for levels in (track.mid_db, track.side_db))
        plain = {name: _rounded(getattr(track, name)) for name in _PLAIN}
        return cls(
            name=track.name[:400],
            content_hash=track.content_hash,
            sample_rate_hz=int(track.sample_rate_hz),
            channels=int(track.channels),
            density_db=_all_rounded(track.figures),
            mid_db=_all_rounded(mid),
            side_db=_all_rounded(side),
            **plain,
        )

    @property
    def figures(self) -> Array:
        """Crest factor and the spread of three bands, dB."""
        return np.array(self.density_db)

    @property
    def plr_db(self) -> float:
        """Peak to loudness ratio: true peak minus integrated loudness."""
        return self.true_peak_dbtp - self.integrated_lufs

    @property
    def crest_db(self) -> float:
        """Crest factor of the louder half."""
        return self.density_db[0]

    @property
    def tilt_db_oct(self) -> float:
        """Slope of the third-octave levels of the mid from 100 Hz to 10 kHz."""
        inside = (THIRD_OCTAVES_HZ > 95.0) & (THIRD_OCTAVES_HZ < 10_500.0)
        return float(np.polyfit(np.log2(THIRD_OCTAVES_HZ[inside]), np.array(self.mid_db)[inside], 1)[0])

    @property
    def overall_width_db(self) -> float:
        """Side minus mid level of the whole, dB."""
        return _whole_db(self.side_db) - _whole_db(self.mid_db)

    @property
    def width_db(self) -> Array:
        """Side minus mid level per octave of `OCTAVES_HZ`, dB."""
        return _by_octave_db(self.side_db) - _by_octave_db(self.mid_db)

    @property
    def has_side(self) -> bool:
        """Whether there is a side signal worth the name."""
        return self.overall_width_db > NEAR_MONO_DB

    def balance_db(self, channel: str = "mid") -> Array:
        """Third-octave levels against the loudness of the spectrum."""
        return np.array(self.side_db if channel == "side" else self.mid_db)

    def third_octaves_db(self, channel: str = "mid") -> Array:
        """The same at the track's loudness, dBFS."""
        return self.balance_db(channel) + self.isolated_lufs

    def summary(self) -> dict[str, Any]:
        """What a person or a script reads, as plain JSON data."""
        data: dict[str, Any] = msgspec.to_builtins(self)
        return data


_PLAIN = (
    "duration_s", "integrated_lufs", "isolated_lufs", "range_lu", "true_peak_dbtp", "correlation", "bandwidth_hz",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Spread:
    """How far the tracks behind a centre lie around it: what music alone does in this kind of music.

    Covariances of a further track about the centre, the centre's own uncertainty taken in.
    """

    tone: Array
    """Of third octaves of the mid at equal loudness, dB², shape (30, 30)."""
    width: Array
    """Of third octaves of the side against the mid, dB², shape (30, 30)."""
    density: Array
    """Of the five figures of `matcher.planner.density`, dB², shape (5, 5)."""
    loudness_lu: float
    """Standard deviation."""
    figures: dict[str, float]
    """Standard deviations of what `matcher.distance` compares, by attribute."""


def _rounded(value: float) -> float:
    number = round(float(value), 4) + 0.0
    if not np.isfinite(number):
        raise SettingsError(f"features: {value!r} is not a finite number")
    return number


def _all_rounded(values: Any) -> tuple[float, ...]:
    return tuple(_rounded(v) for v in values)


def _whole_db(levels_db: tuple[float, ...]) -> float:
    return float(db_from_power(np.sum(10.0 ** (np.array(levels_db) / 10.0))))


def _by_octave_db(levels_db: tuple[float, ...]) -> Array:
    power: Array = 10.0 ** (np.array(levels_db) / 10.0)
    return db_from_power(power.reshape(len(OCTAVES_HZ), 3).sum(axis=1))
