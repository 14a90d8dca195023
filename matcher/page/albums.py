"""The report of an album as a page: how alike the tracks have become, each track's figures, their tone laid over."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from matcher.album_figures import COLUMNS, DEEPEST_DB, Figures
from matcher.album_reporting import AlbumReport
from matcher.page.document import document, said, table
from matcher.page.pictures import FREQUENCY, Axis, Line, chart, levels
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.version import VERSION


def album_page(report: AlbumReport) -> str:
    """HTML of an album's report."""
    title = f"The album beside {report.lead}"
    remarks = [f"{track.name}: {line}" for track in report.tracks for line in track.remarks]
    missing = [f"Not made: {line}" for line in report.not_made]
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict">{escape(report.verdict())}</p>',
        "".join(f'<p class="warning">{escape(line)}</p>' for line in missing),
        _matrix(report),
        _overlays(report),
        f"<h2>Who stands apart</h2>{said(report.outliers or ['No track does.'])}" if len(report.tracks) > 2 else "",
        f"<h2>What is to be said</h2>{said([*report.remarks, *remarks])}" if report.remarks or remarks else "",
        f'<p class="soft">Made by match {VERSION}.</p>',
    ]
    return document(title, body)


def _matrix(report: AlbumReport) -> str:
    """Every track in every figure, before and after."""
    if not report.tracks:
        return ""
    headings = ["", "", *(f"{title}, {unit}" for title, unit, _ in COLUMNS.values())]
    rows = []
    for track in report.tracks:
        for which, figures in (("before", track.before), ("after", track.after)):
            values = [f"{getattr(figures, field):.1f}" for field in COLUMNS]
            rows.append([track.name if which == "before" else "", which, *values])
    return f"<h2>Track by track</h2>{table(headings, rows, kind='matrix')}"


def _overlays(report: AlbumReport) -> str:
    """The tone of all tracks in one picture, before and after, on one scale."""
    if not report.tracks:
        return ""
    before, after = ([getattr(t, which) for t in report.tracks] for which in ("before", "after"))
    heights = levels(*(_tone(figures) for figures in (*before, *after)))
    return f"<h2>Tone</h2>{_overlay('before', before, heights)}{_overlay('after', after, heights)}"


def _overlay(which: str, tracks: Sequence[Figures], heights: Axis) -> str:
    curves = [_tone(figures) for figures in tracks]
    lines = [Line("a track", "track", THIRD_OCTAVES_HZ, curve) for curve in curves]
    lines.append(Line("the mean of all", "result", THIRD_OCTAVES_HZ, np.mean(curves, axis=0)))
    return chart(f"Third octaves of the mid at equal loudness, {which}", FREQUENCY, heights, lines)


def _tone(figures: Figures) -> np.ndarray:
    return np.maximum(np.array(figures.balance_db), DEEPEST_DB)
