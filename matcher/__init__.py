"""The mastering engine: `match`, `analyze`, `plan`, `render`, `blend`, `album`, `inspect`, `restore`, and their types.

Importing this loads nothing heavy; each name is fetched from its module when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dsp.audio import Audio as Audio
    from matcher.aims import Aims as Aims
    from matcher.albums import album as album
    from matcher.analysis import analyze as analyze
    from matcher.blending import Blend as Blend
    from matcher.blending import blend as blend
    from matcher.damage import inspect as inspect
    from matcher.features import Features as Features
    from matcher.matching import match as match
    from matcher.matching import plan as plan
    from matcher.plans import Plan as Plan
    from matcher.preset_choosing import Choice as Choice
    from matcher.preset_learning import learn as learn
    from matcher.presets import Preset as Preset
    from matcher.presets import read_preset as read_preset
    from matcher.profile import Profile as Profile
    from matcher.reference import Reference as Reference
    from matcher.rendering import render as render
    from matcher.reporting import Report as Report
    from matcher.restoring import restore as restore

_HOMES = {
    "Aims": "matcher.aims",
    "Audio": "dsp.audio",
    "Blend": "matcher.blending",
    "Choice": "matcher.preset_choosing",
    "Features": "matcher.features",
    "Plan": "matcher.plans",
    "Preset": "matcher.presets",
    "Profile": "matcher.profile",
    "Reference": "matcher.reference",
    "Report": "matcher.reporting",
    "album": "matcher.albums",
    "analyze": "matcher.analysis",
    "blend": "matcher.blending",
    "inspect": "matcher.damage",
    "learn": "matcher.preset_learning",
    "match": "matcher.matching",
    "plan": "matcher.matching",
    "read_preset": "matcher.presets",
    "render": "matcher.rendering",
    "restore": "matcher.restoring",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'matcher' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
