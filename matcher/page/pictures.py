"""Line charts as inline SVG: dashes and names tell the lines apart, so no colour alone carries meaning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

WIDE, TALL = 720, 260
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 24, 32
DASHES = {"target": "2 4", "reference": "8 4", "result": "", "made": "", "reduction": "", "track": ""}
MOST_POINTS = 700


@dataclass(frozen=True)
class Line:
    """One curve. kind: a key of `DASHES`, which gives its colour and dashes; NaN breaks it."""

    name: str
    kind: str
    x: Array
    y: Array


@dataclass(frozen=True)
class Band:
    """The space between two curves."""

    name: str
    x: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Axis:
    """What a direction shows. ticks: places and their labels; logarithmic: of x alone."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    logarithmic: bool = False

    def at(self, values: Array) -> Array:
        """0 at `low`, 1 at `high`."""
        if self.logarithmic:
            return np.asarray(np.log(values / self.low) / np.log(self.high / self.low))
        return np.asarray((values - self.low) / ((self.high - self.low) or 1.0))


FREQUENCY = Axis(
    25.0,
    20_000.0,
    [(50, "50"), (100, "100"), (200, "200"), (500, "500"), (1000, "1k"), (2000, "2k"), (5000, "5k"), (10_000, "10k")],
    logarithmic=True,
)


def levels(*values: Array, least: float = 6.0) -> Axis:
    """An axis in dB that shows all values, with round ticks."""
    flat = np.concatenate([np.ravel(v) for v in values])
    flat = flat[np.isfinite(flat)]
    low, high = (float(flat.min()), float(flat.max())) if len(flat) else (0.0, least)
    spare = max(0.0, least - (high - low)) / 2.0
    step = next((s for s in (1, 2, 3, 6, 10, 20) if (high - low + 2 * spare) / s <= 8), 40)
    low, high = np.floor((low - spare) / step) * step, np.ceil((high + spare) / step) * step
    return Axis(low, high, [(float(v), f"{v:g}") for v in np.arange(low, high + step / 2, step)])


def chart(title: str, x: Axis, y: Axis, lines: Sequence[Line], bands: Sequence[Band] = (), *, unit: str = "dB") -> str:
    """A figure with its legend; what it shows stands in the title for those who do not see it."""
    parts = [_grid(x, y, unit)]
    for band in bands:
        edge = np.concatenate([_points(x, y, band.x, band.low), _points(x, y, band.x, band.high)[::-1]])
        parts.append(f'<polygon class="band" points="{_text(edge)}"/>')
    for line in lines:
        parts += [
            f'<polyline class="line {line.kind}" stroke-dasharray="{DASHES[line.kind]}" points="{_text(piece)}"/>'
            for piece in _pieces(_points(x, y, line.x, line.y))
        ]
    names = [_key(name, kind) for name, kind in dict.fromkeys((line.name, line.kind) for line in lines)]
    names += [f'<span class="key"><i class="swatch"></i>{escape(band.name)}</span>' for band in bands]
    label = escape(title, quote=True)
    picture = f'<svg viewBox="0 0 {WIDE} {TALL}" role="img" aria-label="{label}">{"".join(parts)}</svg>'
    return f'<figure><figcaption>{escape(title)}</figcaption>{picture}<div class="keys">{"".join(names)}</div></figure>'


def _key(name: str, kind: str) -> str:
    dash = f'<svg viewBox="0 0 30 8" aria-hidden="true"><line class="line {kind}" stroke-dasharray="{DASHES[kind]}"'
    return f'<span class="key">{dash} x1="0" y1="4" x2="30" y2="4"/></svg>{escape(name)}</span>'


def _grid(x: Axis, y: Axis, unit: str) -> str:
    parts = []
    for value, label in x.ticks:
        at = _across(x.at(np.array([float(value)])))[0]
        parts.append(f'<line class="grid" x1="{at:.1f}" x2="{at:.1f}" y1="{TOP}" y2="{TALL - BOTTOM}"/>')
        parts.append(f'<text x="{at:.1f}" y="{TALL - 10}" text-anchor="middle">{label}</text>')
    for value, label in y.ticks:
        at = _down(y.at(np.array([value])))[0]
        zero = " zero" if value == 0.0 else ""
        parts.append(f'<line class="grid{zero}" x1="{LEFT}" x2="{WIDE - RIGHT}" y1="{at:.1f}" y2="{at:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{label}</text>')
    parts.append(f'<text x="{LEFT}" y="{TOP - 7}">{escape(unit)}</text>')
    return "".join(parts)


def _points(x: Axis, y: Axis, values: Array, heights: Array) -> Array:
    """Places in the picture, shape (points, 2); long courses are thinned out."""
    keep = np.unique(np.linspace(0, len(values) - 1, min(len(values), MOST_POINTS)).astype(int))
    across = _across(np.clip(x.at(np.asarray(values, dtype=np.float64)[keep]), 0.0, 1.0))
    return np.stack([across, _down(np.clip(y.at(np.asarray(heights, dtype=np.float64)[keep]), 0.0, 1.0))], axis=1)


def _across(share: Array) -> Array:
    return np.asarray(LEFT + share * (WIDE - LEFT - RIGHT))


def _down(share: Array) -> Array:
    return np.asarray(TALL - BOTTOM - share * (TALL - TOP - BOTTOM))


def _pieces(points: Array) -> list[Array]:
    """Runs without a NaN."""
    good = np.isfinite(points).all(axis=1)
    edges = np.flatnonzero(np.diff(good.astype(int))) + 1
    return [run for run in np.split(points, edges) if len(run) > 1 and np.isfinite(run).all()]


def _text(points: Array) -> str:
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
