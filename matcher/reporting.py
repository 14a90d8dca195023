"""Report: what changed, how near it came, and why; as text for a terminal and as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio
from matcher.distance import Gap
from matcher.plans import Plan
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import Reference
from matcher.remaining import Remaining, after_render, as_planned
from matcher.rendering import Rendered

if TYPE_CHECKING:
    from rich.console import Console

HEIGHTS, HEIGHT_DB = "▁▂▃▄▅▆▇", 2.0
"""Of a tone curve in one line: the middle one is the reference, each step is so many dB."""


@dataclass(frozen=True, eq=False)
class Report:
    """Everything one match found and made."""

    plan: Plan
    before: Profile
    after: Profile
    reference: Reference
    gap_before: Gap
    gap_after: Gap
    rendered: Rendered
    seconds: float

    @property
    def audio(self) -> Audio | None:
        """The master itself where it was made in memory."""
        return self.rendered.audio

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is odd about the files, and what speaks against a reference."""
        return self.plan.warnings

    @cached_property
    def remaining(self) -> tuple[Remaining, ...]:
        """By how much each dimension still differs, and what of it is believed to be the music's own."""
        return after_render(self.plan, self.after, self.reference, self.gap_after.tone_db)

    def verdict(self) -> str:
        """The result in one sentence."""
        if not self.plan.steps:
            return "There was nothing to do: the target is what the reference asks for."
        away = [f.name for f in self.gap_after.features if not f.within]
        tone = f"tone is {self.gap_after.tone_db:.1f} dB from the reference's (before: {self.gap_before.tone_db:.1f})"
        if not away:
            return f"The master is within tolerance of the reference; {tone}."
        return f"The master still differs from the reference in {', '.join(away)}; {tone}."

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON data."""
        plan = msgspec.to_builtins(self.plan)
        del plan["warnings"]  # they stand in the report itself, once
        rows = zip(self.gap_before.features, self.gap_after.features, strict=True)
        limiter = {k: v for k, v in self.rendered.measured.get("limiter", {}).items() if k != "reduction_db"}
        written = self.rendered.format
        return {
            "verdict": self.verdict(),
            "target": self.before.summary(),
            "result": self.after.summary(),
            "references": [p.summary() for p in self.reference.tracks],
            "features": [
                {
                    "name": b.name,
                    "unit": b.unit,
                    "before": round(b.value, 3),
                    "after": round(a.value, 3),
                    "reference": round(a.reference, 3),
                    "tolerance": a.tolerance,
                    "within": a.within,
                }
                for b, a in rows
            ],
            "tone_db": {"before": round(self.gap_before.tone_db, 3), "after": round(self.gap_after.tone_db, 3)},
            "side_tone_db": {
                "before": round(self.gap_before.side_tone_db, 3),
                "after": round(self.gap_after.side_tone_db, 3),
            },
            "remaining": [part.to_dict() for part in self.remaining],
            "compressor": self.rendered.measured.get("compressor", {}).get("bands", []),
            "limiter": {name: round(float(value), 4) for name, value in limiter.items()},
            "plan": plan,
            "warnings": list(self.warnings),
            "output": None if self.rendered.output is None else str(self.rendered.output),
            "format": None if written is None else {"container": written.container, "subtype": written.subtype},
            "seconds": round(self.seconds, 3),
        }

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def print_to(self, console: Console) -> None:
        """The report as a table with the reasons below it."""
        from rich.table import Table

        console.print(f"{self.before.name} beside {self.reference.name}", style="bold", markup=False)
        table = Table(box=None, pad_edge=False, header_style="bold")
        for heading in ("", "before", "after", "reference", ""):
            table.add_column(heading, justify="left" if heading == "" else "right")
        for before, after in zip(self.gap_before.features, self.gap_after.features, strict=True):
            digits = 2 if after.unit in ("", "dB/oct") else 1
            values = [f"{v:.{digits}f}" for v in (before.value, after.value, after.reference)]
            sign = "ok" if after.within else f"{after.value - after.reference:+.{digits}f}"
            style = "green" if after.within else "yellow"
            table.add_row(after.name, *values, f"{after.unit:<7}[{style}]{sign}[/]")
        near = (self.gap_before.tone_db, self.gap_after.tone_db)
        table.add_row("tone distance", f"{near[0]:.1f}", f"{near[1]:.1f}", "0.0", "dB RMS")
        console.print(table)
        if _shows(HEIGHTS, console.encoding):
            _print_tones(self.before, self.after, self.reference, console)
        _print_steps(self.plan, console)
        for part in self.remaining:
            console.print(part.sentence(), markup=False)
        console.print(self.verdict(), markup=False)


def print_plan(plan: Plan, console: Console) -> None:
    """Whose plan it is, each step with its reason, what was left alone, and what will remain."""
    names = " + ".join(f"{t.name} ({', '.join(t.serves)})" if t.serves else t.name for t in plan.references)
    console.print(f"{plan.target.name} beside {names}", style="bold", markup=False)
    _print_steps(plan, console)
    for part in as_planned(plan):
        console.print(part.sentence(), markup=False)


def _print_tones(before: Profile, after: Profile, reference: Reference, console: Console) -> None:
    heard = (THIRD_OCTAVES_HZ > 39.0) & (THIRD_OCTAVES_HZ < 16_500.0)
    there = reference.balance_db()[heard]
    for name, track in (("before", before), ("after", after)):
        console.print(f"{name:<7}{curve_line(track.balance_db()[heard] - there)}", markup=False)
    middle = len(HEIGHTS) // 2
    ends = f"{HEIGHTS[0]} -{HEIGHT_DB * middle:g} dB, {HEIGHTS[-1]} +{HEIGHT_DB * middle:g} dB"
    said = f"tone, 40 Hz to 16 kHz: {HEIGHTS[middle]} as the reference, {ends}"
    console.print(f"       {said}", style="dim", markup=False)


def curve_line(difference_db: NDArray[np.float64]) -> str:
    """Differences as one line of blocks, a block each.

    difference_db: dB, shape (bands,); what is beyond the highest or the lowest block is shown as that.
    """
    middle = len(HEIGHTS) // 2
    steps = np.clip(np.rint(difference_db / HEIGHT_DB), -middle, middle).astype(int) + middle
    return "".join(HEIGHTS[step] for step in steps)


def _shows(text: str, encoding: str) -> bool:
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _print_steps(plan: Plan, console: Console) -> None:
    for number, step in enumerate(plan.steps, 1):
        console.print(f"{number}. [bold]{type(step.settings).title}[/bold]: ", end="")
        console.print(step.because, markup=False)
    for remark in plan.remarks:
        console.print(f"note: {remark}", markup=False)
    for warning in plan.warnings:
        console.print(f"warning: {warning}", style="yellow", markup=False)


def print_profiles(profiles: list[Profile], console: Console) -> None:
    """One line of figures for each track."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    columns = ("length", "rate", "LUFS", "LRA", "dBTP", "PLR", "crest", "tilt", "width", "corr.")
    for heading in columns:  # the name gives way to the figures
        table.add_column(heading, justify="right", no_wrap=True)
    for p in profiles:
        minutes, seconds = divmod(round(p.duration_s), 60)
        table.add_row(
            Text(p.name),
            f"{minutes}:{seconds:02d}",
            f"{p.sample_rate_hz / 1000:g} kHz",
            f"{p.integrated_lufs:.1f}",
            f"{p.range_lu:.1f}",
            f"{p.true_peak_dbtp:.1f}",
            f"{p.plr_db:.1f}",
            f"{p.crest_db:.1f}",
            f"{p.tilt_db_oct:.1f}",
            f"{p.overall_width_db:.1f}" if p.channels > 1 else "mono",
            f"{p.correlation:.2f}",
        )
    console.print(table)
