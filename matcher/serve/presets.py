"""Presets as a choice of the page: which there are, and what to match to."""

from __future__ import annotations

from matcher import preset_store
from matcher.preset_choosing import Choice

NEAREST = "/nearest"
"""Stands for all of them; no preset can have a slash in its name."""


def names() -> dict[str, str]:
    """Name to title of every preset that can be matched to."""
    stored = [each.preset for each in preset_store.every()]
    if not stored:
        return {}
    return {NEAREST: "the nearest to your mix", **{p.name: f"{p.name} ({p.count} tracks)" for p in stored}}


def choice_of(name: str) -> Choice:
    """What a preset stands for. PresetError where there is none of this name."""
    stored = preset_store.every() if name == NEAREST else [preset_store.named(name)]
    return Choice(tuple(each.preset for each in stored))
