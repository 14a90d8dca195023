"""Whether a file passes at a destination, and what the destination will do to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from matcher.delivery.codecs import Decoded
from matcher.delivery.destinations import Destination

ROUNDING_DB = 0.005
"""Figures are given in hundredths."""
LIMITS_DB = 0.1


class Measured(NamedTuple):
    """What counts of a finished file."""

    integrated_lufs: float
    true_peak_dbtp: float
    sample_rate_hz: int
    bit_depth: int | None
    """None of floating point."""
    channels: int
    duration_s: float


@dataclass(frozen=True)
class Check:
    """One demand."""

    what: str
    said: str
    passes: bool


@dataclass(frozen=True)
class Verdict:
    """A file at one destination."""

    destination: Destination
    integrated_lufs: float
    playback_gain_db: float
    checks: tuple[Check, ...]

    @property
    def passes(self) -> bool:
        """Whether every demand is met."""
        return all(check.passes for check in self.checks)

    @property
    def plays_at_lufs(self) -> float:
        """How loud it is heard there."""
        return self.integrated_lufs + self.playback_gain_db

    def said(self) -> str:
        """What happens to it there, in one sentence."""
        if self.destination.plays_at_lufs is None:
            return "plays as it is"
        if abs(self.playback_gain_db) < LIMITS_DB:
            return f"plays as it is, at {self.plays_at_lufs:.1f} LUFS"
        way = "up" if self.playback_gain_db > 0.0 else "down"
        short = self.destination.plays_at_lufs - self.plays_at_lufs
        held = ", as far as its peaks allow" if short > LIMITS_DB else ""
        return f"is turned {way} by {abs(self.playback_gain_db):.1f} dB, to {self.plays_at_lufs:.1f} LUFS{held}"

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON data."""
        return {
            "destination": self.destination.name,
            "passes": self.passes,
            "playback_gain_db": round(self.playback_gain_db, 2),
            "plays_at_lufs": round(self.plays_at_lufs, 2),
            "checks": [{"what": c.what, "said": c.said, "passes": c.passes} for c in self.checks],
            "sure": self.destination.sure,
            "source": self.destination.source,
        }


def judged(file: Measured, place: Destination, decoded: tuple[Decoded, ...] = ()) -> Verdict:
    """A file held against the demands of a destination; decoded: what its codecs made of it."""
    ceiling = place.ceiling_for(file.integrated_lufs)
    checks = [
        Check("true peak", f"{file.true_peak_dbtp:.2f} dBTP, {ceiling:g} allowed",
              file.true_peak_dbtp <= ceiling + ROUNDING_DB),
        *(Check(d.codec, f"{d.true_peak_dbtp:.2f} dBTP behind it, {ceiling:g} allowed",
                d.true_peak_dbtp <= ceiling + ROUNDING_DB) for d in decoded),
        Check("sample rate", f"{file.sample_rate_hz} Hz", file.sample_rate_hz in place.rates_hz),
        Check("bit depth", f"{file.bit_depth or 'floating point'}", file.bit_depth in place.bit_depths),
    ]  # fmt: skip
    if place.goal_lufs is not None:
        near = abs(file.integrated_lufs - place.goal_lufs) <= place.tolerance_lu + ROUNDING_DB
        wanted = f"{place.goal_lufs:g} ±{place.tolerance_lu:g} demanded"
        checks.insert(0, Check("loudness", f"{file.integrated_lufs:.2f} LUFS, {wanted}", near))
    gain_db = place.playback_gain_db(file.integrated_lufs, file.true_peak_dbtp)
    return Verdict(place, file.integrated_lufs, gain_db, tuple(checks))
