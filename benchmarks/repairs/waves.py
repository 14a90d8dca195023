"""A picture of one repaired click, one filled gap and one declipped wave, as SVG."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effect import Settings
from dsp.restoration.declick import Declick
from dsp.restoration.declip import ClipDetector, Declip
from dsp.restoration.dropout import Dropout
from dsp.restoration.events import event

Signal = NDArray[np.float64]
WIDE, TALL, MARGIN_MS = 900, 200, 6.0
COLOURS = {"damaged": "#d97706", "repaired": "#2563eb", "whole": "#6b7280"}


def drawing(audio: Audio) -> str:
    """Three damages of the same excerpt around its middle, and what the repairs make of them."""
    whole, rate_hz = audio.samples.astype(np.float64), audio.sample_rate_hz
    at = _loudest(whole[0], rate_hz)
    panels = []
    for title, (damaged, repair, length) in {
        "click of 1 ms": _click(whole, at, rate_hz),
        "gap of 10 ms": _gap(whole, at, rate_hz),
        "clipped 6 dB below its peak": _clipped(whole, at, rate_hz),
    }.items():
        margin = round(MARGIN_MS * 1e-3 * rate_hz)
        shown = slice(max(0, at - margin), at + length + margin)
        made = Chain((repair,))(Audio(damaged, rate_hz)).samples
        waves = {"whole": whole[0, shown], "damaged": damaged[0, shown], "repaired": made[0, shown]}
        panels.append(_panel(title, waves, len(panels)))
    size = f'viewBox="0 0 {WIDE} {len(panels) * TALL}" width="{WIDE}" height="{len(panels) * TALL}"'
    style = "text{font:13px sans-serif}path{fill:none;stroke-width:1.4}"
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>{"".join(panels)}</svg>\n'


def _loudest(channel: Signal, rate_hz: int) -> int:
    inside = channel[rate_hz:-rate_hz]
    return rate_hz + int(np.argmax(np.abs(inside)))


def _click(whole: Signal, at: int, rate_hz: int) -> tuple[Signal, Settings, int]:
    length, damaged = max(2, rate_hz // 1000), whole.copy()
    damaged[0, at : at + length] += 0.8 * np.abs(whole).max() * np.exp(-5.0 * np.arange(length) / length)
    return damaged, Declick(clicks=(event(at, at + length, 0, rate_hz),)), length


def _gap(whole: Signal, at: int, rate_hz: int) -> tuple[Signal, Settings, int]:
    length, damaged = rate_hz // 100, whole.copy()
    damaged[0, at : at + length] = 0.0
    return damaged, Dropout(gaps=(event(at, at + length, 0, rate_hz),)), length


def _clipped(whole: Signal, at: int, rate_hz: int) -> tuple[Signal, Settings, int]:
    level = 0.5 * np.abs(whole).max()
    damaged = np.clip(whole, -level, level)
    detector = ClipDetector(rate_hz, len(whole))
    detector.update(damaged)
    return damaged, detector.result().settings() or Declip(), rate_hz // 100


def _panel(title: str, waves: dict[str, Signal], row: int) -> str:
    highest = max(float(np.abs(wave).max()) for wave in waves.values()) or 1.0
    parts = [f'<text x="10" y="18">{escape(title)}</text>']
    for k, (name, wave) in enumerate(waves.items()):
        x = np.linspace(10.0, WIDE - 10.0, len(wave))
        y = TALL / 2 + 8 - wave / highest * (TALL / 2 - 26)
        path = " L".join(f"{a:.1f} {b:.1f}" for a, b in zip(x, y, strict=True))
        parts.append(f'<path d="M{path}" stroke="{COLOURS[name]}"/>')
        parts.append(f'<text x="{WIDE - 290 + 95 * k}" y="18" fill="{COLOURS[name]}">{name}</text>')
    return f'<g transform="translate(0,{row * TALL})">{"".join(parts)}</g>'
