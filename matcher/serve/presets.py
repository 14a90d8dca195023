"""Presets as a choice of the page: which there are, and what to match to.

The page offers whatever `names` gives; a job may name one instead of a reference.
"""

from __future__ import annotations

from dsp.errors import SettingsError
from matcher.blending import Blend
from matcher.reference import Reference


def names() -> dict[str, str]:
    """Name to title of every preset that can be matched to."""
    return {}


def reference_of(name: str) -> Blend | Reference:
    """What a preset stands for; SettingsError where there is none of this name."""
    raise SettingsError(f"preset: {name!r} is not known, allowed are {', '.join(names()) or 'none yet'}")
