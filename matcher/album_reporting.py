"""AlbumReport: every track before and after, who stands apart, and how alike the album has become."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from matcher.album_figures import COLUMNS, Consistency, Figures, distances, outliers

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True)
class TrackReport:
    """One finished track."""

    name: str
    output: Path
    before: Figures
    after: Figures
    remarks: tuple[str, ...]
    kept: bool
    """Whether an earlier run had made it."""


@dataclass(frozen=True)
class AlbumReport:
    """The whole album."""

    lead: str
    levels: str
    tracks: tuple[TrackReport, ...]
    failed: dict[str, str]
    """Track to what went wrong with it."""
    remarks: tuple[str, ...]

    @property
    def consistency(self) -> tuple[Consistency, Consistency] | None:
        """Before and after; None where no track was made."""
        if not self.tracks:
            return None
        return Consistency.of([t.before for t in self.tracks]), Consistency.of([t.after for t in self.tracks])

    @property
    def outliers(self) -> list[str]:
        """Who stands apart when all is done."""
        return outliers([t.name for t in self.tracks], [t.after for t in self.tracks])

    @property
    def not_made(self) -> list[str]:
        """A line for every track that failed: its name and why."""
        return [why if name in why else f"{name}: {why}" for name, why in self.failed.items()]

    def verdict(self) -> str:
        """How alike the tracks were and are, in a sentence."""
        both = self.consistency
        if both is None:
            return "No track was made."
        before, after = both
        less = 100.0 * (1.0 - after.total_db / before.total_db) if before.total_db else 0.0
        return (
            f"Mean distance to the album's centre: {before.total_db:.2f} dB before, {after.total_db:.2f} after"
            f" ({less:.0f} % less); tone {before.tone_db:.2f} to {after.tone_db:.2f} dB, width"
            f" {before.width_db:.2f} to {after.width_db:.2f} dB, loudness {before.loudness_lu:.2f} to"
            f" {after.loudness_lu:.2f} LU."
        )

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON data."""
        both = self.consistency
        pairs = zip(
            self.tracks,
            distances([t.before for t in self.tracks]) if self.tracks else (),
            distances([t.after for t in self.tracks]) if self.tracks else (),
            strict=True,
        )
        return {
            "lead": self.lead,
            "levels": self.levels,
            "tracks": [
                {
                    "name": t.name,
                    "output": str(t.output),
                    "before": msgspec.to_builtins(t.before),
                    "after": msgspec.to_builtins(t.after),
                    "distance_db": {"before": round(before.total_db, 3), "after": round(after.total_db, 3)},
                    "remarks": list(t.remarks),
                    "kept": t.kept,
                }
                for t, before, after in pairs
            ],
            "consistency": None
            if both is None
            else {"before": msgspec.to_builtins(both[0]), "after": msgspec.to_builtins(both[1])},
            "outliers": self.outliers,
            "failed": self.failed,
            "remarks": list(self.remarks),
        }

    def to_json(self) -> str:
        """The report as indented JSON."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False) + "\n"

    def print_to(self, console: Console) -> None:
        """The matrix, a line before and one after for each track, and what there is to say."""
        from rich.table import Table

        console.print(f"The album beside {self.lead}", style="bold", markup=False)
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
        table.add_column("", overflow="fold")  # where room is short the names give way, never a figure
        table.add_column("", no_wrap=True)
        for title, unit, _ in COLUMNS.values():
            table.add_column(f"{title} {unit}".replace(" ", "\n", 1), justify="right", no_wrap=True)
        for track in self.tracks:
            for which, figures in (("before", track.before), ("after", track.after)):
                cells = [f"{getattr(figures, field):.1f}" for field in COLUMNS]
                table.add_row(track.name if which == "before" else "", which, *cells)
        console.print(table)
        console.print(self.verdict(), markup=False)
        for line in self.outliers:
            console.print(f"Stands apart: {line}", markup=False)
        for track in self.tracks:
            for line in track.remarks:
                console.print(f"{track.name}: {line}", markup=False)
        for line in self.remarks:
            console.print(line, markup=False)
