"""The master as a file to take away: in the container and bit depth that was asked for, or proven for a destination."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from dsp.errors import SettingsError
from matcher.delivery.delivering import deliver
from matcher.delivery.destinations import destinations
from matcher.io import open_audio
from matcher.plans import Plan
from matcher.rendering import render

CONTAINERS = {"wav": (16, 24, 32), "flac": (16, 24), "aiff": (16, 24, 32)}
"""Container to the bit depths it holds; 32 is floating point."""
RATES_HZ = (44_100, 48_000, 88_200, 96_000)

_one_at_a_time = threading.Lock()


def export(result: Path, title: str, container: Any, bit_depth: Any, sample_rate_hz: Any = None) -> Path:
    """Where the master lies in the wanted form, made on first asking. sample_rate_hz: the target's own where None.

    Raises SettingsError for what no container holds, FileError.
    """
    if container not in CONTAINERS:
        raise SettingsError(f"container: {container!r} is not known, allowed are {', '.join(CONTAINERS)}")
    if bit_depth not in CONTAINERS[container] or isinstance(bit_depth, bool):
        allowed = ", ".join(map(str, CONTAINERS[container]))
        raise SettingsError(f"bit_depth: {bit_depth!r} is not what {container} holds, allowed are {allowed}")
    if sample_rate_hz is not None and sample_rate_hz not in RATES_HZ:
        raise SettingsError(f"sample_rate_hz: {sample_rate_hz!r} is none of {', '.join(map(str, RATES_HZ))}")
    rate = "" if sample_rate_hz is None else f"-{sample_rate_hz}"
    folder = result / "exports"
    made = folder / f"{title}-mastered-{bit_depth}bit{rate}.{container}"
    with _one_at_a_time:
        if not made.exists():
            folder.mkdir(exist_ok=True)
            plan = Plan.from_json((result / "plan.json").read_bytes())
            plain = Plan(target=plan.target)  # nothing but the rounding is left to do
            with open_audio(result / "master.wav") as master:
                render(master, plain, made, bit_depth=bit_depth, sample_rate_hz=sample_rate_hz)
    return made


def export_for(result: Path, title: str, target: Path, place: str) -> tuple[Path, list[str]]:
    """The file for one destination, made from the plan on first asking, and what is to be said of it.

    Within the destination's limits and behind its codecs, as `match --deliver` makes it. Raises SettingsError for a
    place that is not known, FileError.
    """
    (wanted,) = destinations((place,))
    folder = result / "exports"
    made, told = folder / f"{title}-{wanted.name}.wav", folder / f"{title}-{wanted.name}.txt"
    with _one_at_a_time:
        if not (made.exists() and told.exists()):
            folder.mkdir(exist_ok=True)
            plan = Plan.from_json((result / "plan.json").read_bytes())
            (found,) = deliver(target, folder, [wanted.name], plan, stem=title, force=True).delivered
            lines = [f"{wanted.title}: {found.verdict.said()}", *found.remarks()]
            told.write_text("\n".join(lines), encoding="utf-8")
    return made, told.read_text(encoding="utf-8").splitlines()
