"""Presets in plain words: their figures, and what sets two of them apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from matcher.features import Array
from matcher.preset_learning import GROUPS, centre_of
from matcher.presets import Preset, Style
from matcher.profile import THIRD_OCTAVES_HZ

SAID = {
    "integrated_lufs": ("loudness", "LUFS", 1),
    "range_lu": ("loudness range", "LU", 1),
    "true_peak_dbtp": ("true peak", "dBTP", 1),
    "plr_db": ("peak to loudness", "dB", 1),
    "crest_db": ("crest factor", "dB", 1),
    "tilt_db_oct": ("tilt", "dB/oct", 2),
    "overall_width_db": ("width", "dB", 1),
    "correlation": ("correlation", "", 2),
}
"""Name, unit and digits of the figures of `matcher.presets.FIGURES`."""
REGIONS = {"bass": (20.0, 160.0), "low mids": (160.0, 630.0), "mids": (630.0, 2500.0), "treble": (2500.0, 20_000.0)}
"""Where tone is told apart, Hz."""
WORDS = {
    "loudness": ("quieter", "louder"),
    "loudness range": ("steadier", "wider in range"),
    "crest factor": ("denser", "more open"),
    "tilt": ("darker", "brighter"),
    "width": ("narrower", "wider"),
    "bass": ("lighter in the bass", "heavier in the bass"),
    "low mids": ("leaner in the low mids", "fuller in the low mids"),
    "mids": ("softer in the mids", "more forward in the mids"),
    "treble": ("duller in the treble", "crisper in the treble"),
}
CLEAR = 1.0
"""Deviations beyond which a difference is put into words."""


@dataclass(frozen=True)
class Difference:
    """One figure of two presets."""

    name: str
    unit: str
    digits: int
    one: float
    other: float
    deviations: float
    """One minus other, in the deviation of the tracks of both."""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        data = asdict(self)
        del data["digits"]
        return {k: round(v, 3) if isinstance(v, float) else v for k, v in data.items()}


def figures_of(style: Style) -> dict[str, dict[str, float]]:
    """Centre and deviation of each figure."""
    return {
        name: {"centre": round(float(getattr(style.centre, name)), 3), "deviation": round(style.figures[name], 3)}
        for name in SAID
    }


def in_words(style: Style) -> str:
    """The figures that say most, each with its deviation."""
    said = []
    for name in ("integrated_lufs", "plr_db", "tilt_db_oct", "overall_width_db"):
        title, unit, digits = SAID[name]
        if name == "overall_width_db" and not style.centre.has_side:
            said.append("mono")
            continue
        said.append(f"{title} {getattr(style.centre, name):.{digits}f} ± {style.figures[name]:.{digits}f} {unit}")
    return ", ".join(said)


def apart(one: Preset, other: Preset) -> list[Difference]:
    """Every figure of the largest styles of two presets, and their tone by region."""
    here, there = one.styles[0], other.styles[0]
    stereo = here.centre.has_side and there.centre.has_side
    found = []
    for name, (title, unit, digits) in SAID.items():
        if not stereo and name in ("overall_width_db", "correlation"):
            continue
        values = float(getattr(here.centre, name)), float(getattr(there.centre, name))
        spread = float(np.hypot(here.figures[name], there.figures[name]) / np.sqrt(2.0))
        found.append(Difference(title, unit, digits, *values, (values[0] - values[1]) / max(spread, 1e-3)))
    for title, (low_hz, high_hz) in REGIONS.items():
        inside = (low_hz <= THIRD_OCTAVES_HZ) & (high_hz > THIRD_OCTAVES_HZ)
        share = inside / inside.sum()
        found.append(_of_bands(title, here, there, share, "tone"))
    if stereo:
        bass = (REGIONS["bass"][1] > THIRD_OCTAVES_HZ) / np.sum(REGIONS["bass"][1] > THIRD_OCTAVES_HZ)
        found.append(_of_bands("width of the bass", here, there, bass, "width"))
    return found


def _of_bands(name: str, one: Style, other: Style, share: Array, group: str) -> Difference:
    """Of the mean level of some bands. share: what each counts, shape (30,)."""
    here, there = (float(share @ centre_of(style)[GROUPS[group]]) for style in (one, other))
    variances = [float(share @ np.array(getattr(style, group)) @ share) for style in (one, other)]
    return Difference(name, "dB", 1, here, there, (here - there) / max(float(np.sqrt(np.mean(variances))), 1e-3))


def sentence(one: Preset, other: Preset, rows: Sequence[Difference]) -> str:
    """The clear differences, the largest first."""
    clear = [row for row in rows if abs(row.deviations) >= CLEAR and row.name in WORDS]
    if not clear:
        return f"{one.name} and {other.name} differ by less than their own tracks do."
    said = [WORDS[row.name][row.deviations > 0] for row in sorted(clear, key=lambda r: -abs(r.deviations))[:4]]
    listed = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"{one.name} is {listed} than {other.name}."
