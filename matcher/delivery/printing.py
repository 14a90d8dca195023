"""A delivery as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matcher.delivery.delivering import Delivered, Delivery
from matcher.io import shown

if TYPE_CHECKING:
    from rich.console import Console


def print_delivery(delivery: Delivery, console: Console) -> None:
    """What each destination gets and does, what codecs did, and how the master translates."""
    if delivery.delivered:
        console.print(_table(delivery.delivered))
        for each in delivery.delivered:
            _print_details(each, console)
    for decoded in delivery.decoded:
        console.print(f"codec {decoded.said()}", markup=False)
    for line in delivery.not_tried:
        console.print(f"note: {line}", markup=False)
    for finding in delivery.translation:
        mark, style = ("ok", "green") if finding.good else ("look", "yellow")
        console.print(f"[{style}]{mark:4}[/] {finding.what}: ", end="")
        console.print(finding.said, markup=False)


def _table(delivered: tuple[Delivered, ...]) -> object:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("destination", "", "LUFS", "dBTP", "what happens there"):
        table.add_column(heading, justify="right" if heading in ("LUFS", "dBTP") else "left", overflow="fold")
    for each in delivered:
        profile, verdict = each.profile, each.verdict
        assert profile is not None
        mark = "[green]passes[/]" if verdict.passes else "[yellow]fails[/]"
        figures = (f"{profile.integrated_lufs:.1f}", f"{profile.true_peak_dbtp:.1f}")
        table.add_row(verdict.destination.title, mark, *figures, verdict.said())
    return table


def _print_details(each: Delivered, console: Console) -> None:
    title = each.verdict.destination.title
    for check in each.verdict.checks:
        if not check.passes:
            console.print(f"{title}: {check.what}: {check.said}", style="yellow", markup=False)
    for decoded in each.decoded:
        console.print(f"{title}: {decoded.said()}", markup=False)
    for line in each.not_tried:
        console.print(f"{title}: {line}", markup=False)
    if each.output is not None:
        console.print(f"{shown(each.output)} ({_changed(each)})", markup=False)


def _changed(each: Delivered) -> str:
    profile = each.profile
    assert profile is not None
    level = "at the master's level" if abs(each.gain_db) < 0.05 else f"{each.gain_db:+.1f} dB against the master"
    bits = each.verdict.destination.bit_depth
    return f"{profile.sample_rate_hz / 1000:g} kHz, {bits} bit, {level}"
