"""Presets as a page: what a kind of music has in common, how far its tracks lie apart, and how kinds differ."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from matcher.features import Features
from matcher.page.document import document, said, table
from matcher.page.pictures import FREQUENCY, Band, Line, chart, levels
from matcher.preset_words import SAID, apart, in_words, sentence
from matcher.presets import Preset, Style
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.version import VERSION

LOWEST_DB = 60.0
"""Third octaves further below the highest are not drawn."""


def presets_page(presets: Sequence[Preset]) -> str:
    """HTML of one preset or several."""
    title = f"Preset{'s' if len(presets) > 1 else ''}: {', '.join(preset.name for preset in presets)}"
    first = presets[0]
    compared = [sentence(first, other, apart(first, other)) for other in presets[1:]]
    body = [
        f"<h1>{escape(title)}</h1>",
        f"<h2>What sets them apart</h2>{said(compared)}" if compared else "",
        *(_section(preset) for preset in presets),
        f'<p class="soft">Made by match {VERSION}. Figures only: a preset holds no sound.</p>',
    ]
    return document(title, body)


def _section(preset: Preset) -> str:
    facts = [f"{preset.count} tracks", f"{preset.minutes:.0f} minutes", preset.source, preset.licence, preset.made_at]
    parts = [f"<h2>{escape(preset.name)}</h2>", said([", ".join(fact for fact in facts if fact)])]
    for style in preset.styles:
        own = f"{style.title}: " if style.title else ""
        parts.append(f'<p class="verdict">{escape(own + in_words(style))}</p>')
        parts.append(_figures(style))
        parts.append(_tone(style, preset.tracks if len(preset.styles) == 1 else ()))
    if preset.names_left_out:
        parts.append(said([f"Left out, unlike the others: {', '.join(preset.names_left_out)}"]))
    return "".join(parts)


def _figures(style: Style) -> str:
    rows = []
    for name, (title, unit, digits) in SAID.items():
        centre, deviation = getattr(style.centre, name), style.figures[name]
        rows.append([title, f"{centre:.{digits}f}", f"± {deviation:.{digits}f}", unit])
    return table(("", "centre", "tracks lie within", "unit"), rows)


def _tone(style: Style, tracks: Sequence[Features]) -> str:
    """The centre, how far the tracks lie around it, and the tracks themselves where they are kept."""
    middle, deviation = style.centre.balance_db(), np.sqrt(np.diag(np.array(style.tone)))
    lowest = float(middle.max()) - LOWEST_DB

    def shown(curve: np.ndarray) -> np.ndarray:
        return np.where(curve > lowest, curve, np.nan)

    lines = [Line("a track", "track", THIRD_OCTAVES_HZ, shown(track.balance_db())) for track in tracks]
    lines.append(Line("the centre", "result", THIRD_OCTAVES_HZ, shown(middle)))
    heard = middle > lowest
    low, high = middle - deviation, middle + deviation
    band = Band("two thirds of the tracks", THIRD_OCTAVES_HZ[heard], low[heard], high[heard])
    heights = levels(*(line.y for line in lines), low[heard], high[heard])
    return chart("Third octaves of the mid at equal loudness", FREQUENCY, heights, lines, [band])
