"""How often each band of a track is how loud: what compression narrows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.meters.dynamics import CROSSOVERS_HZ
from matcher.page.pictures import Axis, Line, chart
from matcher.profile import Profile
from matcher.reporting import Report

LOWEST_LU, HIGHEST_LU = -40.0, 10.0
"""The part of the levels that is drawn, against the track's own loudness."""
STEP_LU = 2.0
_EDGES = np.arange(LOWEST_LU, HIGHEST_LU + STEP_LU / 2.0, STEP_LU)
_LOW, _HIGH = (f"{hz:g}" for hz in CROSSOVERS_HZ)
_BANDS = {"low": f"below {_LOW} Hz", "mid": f"{_LOW} to {_HIGH} Hz", "high": f"above {_HIGH} Hz"}


def histograms(report: Report) -> list[str]:
    """A chart for each band: before, after and the references' mean."""
    there = [track for track in report.reference.dynamics if isinstance(track, Profile)]
    level = Axis(LOWEST_LU, HIGHEST_LU, [(float(v), f"{v:+.0f}" if v else "0") for v in range(-40, 11, 10)])
    found = []
    for band, named in _BANDS.items():
        curves = {"target": shares(report.before, band), "result": shares(report.after, band)}
        if there:
            curves["reference"] = np.mean([shares(track, band) for track in there], axis=0)
        most = max(5.0, float(np.ceil(max(curve.max() for curve in curves.values()) / 5.0)) * 5.0)
        heights = Axis(0.0, most, [(v, f"{v:g}") for v in np.linspace(0.0, most, 6).tolist()])
        lines = [Line(kind, kind, (_EDGES[:-1] + _EDGES[1:]) / 2.0, curve) for kind, curve in curves.items()]
        title = f"How often it is how loud {named}: level of 10 ms against the loudness of the whole, LU"
        found.append(chart(title, level, heights, lines, unit="% of the time it sounds"))
    return found


def shares(track: Profile, band: str) -> NDArray[np.float64]:
    """Share at each level of the time in which the band sounds, %, shape (levels,): from `LOWEST_LU` in `STEP_LU`."""
    counts = np.histogram(track.sketch.power_db(band) - track.integrated_lufs, _EDGES)[0]
    return np.asarray(100.0 * counts / max(counts.sum(), 1))
