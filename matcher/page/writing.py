"""The report as a page: verdict, figures, curves, reasons, and short clips to play. One file, no network, no script."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from dsp.effects.eq import Eq
from dsp.effects.width import Width
from dsp.meters.loudness import short_term_lufs
from matcher.analysis import Source, opened
from matcher.delivery.delivering import Delivery
from matcher.io import AudioSource
from matcher.page.clips import Clip, clip, common_lufs, places_s
from matcher.page.deliveries import delivery_section
from matcher.page.document import document
from matcher.page.histograms import histograms
from matcher.page.pictures import FREQUENCY, Axis, Band, Line, chart, levels
from matcher.profile import OCTAVES_HZ, THIRD_OCTAVES_HZ, Profile
from matcher.reporting import Report

LOWEST_DB = 60.0
"""Third octaves further below the loudest are not drawn."""
EVERYWHERE_HZ = np.geomspace(25.0, 20_000.0, 240)


def report_page(
    report: Report,
    target: Source,
    result: Source,
    reference: Source | None = None,
    delivery: Delivery | None = None,
) -> str:
    """HTML of a report. target, result, reference: where the clips come from; without a reference it is not played.

    delivery: what becomes of the master elsewhere, where that was asked.
    """
    title = f"{report.before.name} beside {report.reference.name}"
    body = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="verdict">{escape(report.verdict())}</p>',
        *(f'<p class="warning">{escape(warning)}</p>' for warning in report.warnings),
        _figures(report),
        "<h2>Tone</h2>",
        *_tone(report),
        "<h2>Width</h2>" if report.before.channels > 1 else "",
        *_width(report),
        "<h2>Loudness over time</h2>",
        *_loudness(report),
        "<h2>Dynamics</h2>",
        *histograms(report),
        _steps(report),
        _remaining(report),
        "" if delivery is None else delivery_section(delivery),
        _listen(report, target, result, reference),
        f'<p class="soft">Made by {escape(report.plan.made_by)}; the clips are at equal loudness.</p>',
    ]
    return document(title, body)


def _figures(report: Report) -> str:
    rows = []
    for before, after in zip(report.gap_before.features, report.gap_after.features, strict=True):
        digits = 2 if after.unit in ("", "dB/oct") else 1
        values = "".join(f"<td>{v:.{digits}f}</td>" for v in (before.value, after.value, after.reference))
        verdict = "within" if after.within else f"off by {after.value - after.reference:+.{digits}f}"
        tolerance = "any" if after.tolerance > 100.0 else f"±{after.tolerance:g}"
        unit = f'<td class="unit">{escape(after.unit)}</td>'
        rows.append(f"<tr><td>{escape(after.name)}</td>{values}{unit}<td>{tolerance}</td><td>{verdict}</td></tr>")
    measured = [p for p in report.reference.tracks if isinstance(p, Profile)]
    there = f"{np.mean([p.psr_db for p in measured]):.1f}" if measured else ""
    values = f"<td>{report.before.psr_db:.1f}</td><td>{report.after.psr_db:.1f}</td><td>{there}</td>"
    unit = '<td class="unit">dB</td>'
    rows.append(f"<tr><td>peak to short-term loudness</td>{values}{unit}<td></td><td></td></tr>")
    near = (report.gap_before.tone_db, report.gap_after.tone_db)
    unit = '<td class="unit">dB RMS</td>'
    values = f"<td>{near[0]:.1f}</td><td>{near[1]:.1f}</td><td>0.0</td>"
    rows.append(f"<tr><td>tone distance</td>{values}{unit}<td></td><td></td></tr>")
    names = ("", "before", "after", "reference", "unit", "tolerance", "verdict")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _tone(report: Report) -> list[str]:
    tracks = {"target": report.before.balance_db(), "reference": report.reference.balance_db()}
    tracks["result"] = report.after.balance_db()
    lowest = max(float(values.max()) for values in tracks.values()) - LOWEST_DB
    shown = {kind: np.where(values > lowest, values, np.nan) for kind, values in tracks.items()}
    lines = [Line(kind, kind, THIRD_OCTAVES_HZ, values) for kind, values in shown.items()]
    found = [chart("Third octaves of the mid at equal loudness", FREQUENCY, levels(*shown.values()), lines)]
    step = report.plan.step("eq")
    believed = report.plan.believed
    made = np.zeros(len(EVERYWHERE_HZ))
    if step is not None and step.enabled and isinstance(step.effective, Eq):
        made = step.effective.response_db(EVERYWHERE_HZ, "mid")
    lines, bands = [Line("equalizer", "made", EVERYWHERE_HZ, made)], []
    axis = [made]
    if believed is not None:
        hz, mean, sd = (np.array(v) for v in (believed.frequency_hz, believed.tone.believed_db, believed.tone.sd_db))
        heard = np.array(believed.tone.heard)
        level = float(np.mean((mean - np.interp(hz, EVERYWHERE_HZ, made))[heard])) if heard.any() else 0.0
        low, high = (np.where(heard, mean - level + sign * sd, np.nan)[heard] for sign in (-1.0, 1.0))
        if heard.any():
            bands = [Band("believed to be mastering, ± one standard deviation", hz[heard], low, high)]
            axis += [low, high]
    found.append(chart("What the equalizer does", FREQUENCY, levels(*axis), lines, bands))
    return found


def _width(report: Report) -> list[str]:
    if report.before.channels < 2:
        return []
    tracks = {"target": report.before.width_db, "result": report.after.width_db}
    if report.reference.wide:
        tracks["reference"] = np.mean([p.width_db for p in report.reference.wide], axis=0)
    shown = {kind: np.where(values > -40.0, values, np.nan) for kind, values in tracks.items()}
    lines = [Line(kind, kind, OCTAVES_HZ, values) for kind, values in shown.items()]
    found = [chart("Side against mid, per octave", FREQUENCY, levels(*shown.values()), lines)]
    step = report.plan.step("width")
    if step is not None and step.enabled and isinstance(step.effective, Width):
        made = np.maximum(step.effective.response_db(EVERYWHERE_HZ), -40.0)
        lines = [Line("gain of the side", "made", EVERYWHERE_HZ, made)]
        found.append(chart("What the width control does", FREQUENCY, levels(made), lines))
    return found


def _loudness(report: Report) -> list[str]:
    courses = [("target", report.before), ("result", report.after)]
    lines = []
    for kind, profile in courses:
        lufs = np.maximum(short_term_lufs(profile.segment_power, hop_ms=100), -70.0)
        if len(lufs):
            lines.append(Line(kind, kind, 1.5 + np.arange(len(lufs)) / 10.0, lufs))
    if not lines:
        return []
    time = _time(max(p.duration_s for _, p in courses))
    found = [chart("Short-term loudness", time, levels(*(line.y for line in lines)), lines, unit="LUFS")]
    reduction = report.rendered.measured.get("limiter", {}).get("reduction_db")
    if reduction is not None and len(reduction):
        blocks = -(-len(reduction) // 600)
        padded = np.append(reduction, np.zeros(-len(reduction) % blocks, dtype=reduction.dtype))
        most = -padded.reshape(-1, blocks).max(axis=1).astype(np.float64)
        times = np.arange(len(most)) * blocks / 100.0
        lines = [Line("deepest gain reduction of each moment", "reduction", times, most)]
        found.append(chart("What the limiter takes", time, levels(most, np.zeros(1)), lines))
    return found


def _time(duration_s: float) -> Axis:
    step = next((s for s in (1, 2, 5, 10, 30, 60, 120, 300, 600) if duration_s / s <= 10), 1800)
    ticks = [(float(t), f"{t // 60}:{t % 60:02d}") for t in range(0, int(duration_s) + 1, step)]
    return Axis(0.0, max(duration_s, 1.0), ticks)


def _steps(report: Report) -> str:
    plan = report.plan
    items = [
        f"<li><strong>{escape(type(step.settings).title)}</strong>"
        f"{'' if step.enabled else ' (switched off)'}{'' if step.amount == 1.0 else f' ({step.amount:.0%})'}:"
        f" {escape(step.because)}</li>"
        for step in plan.steps
    ]
    notes = "".join(f"<p>{escape(remark)}</p>" for remark in plan.remarks)
    return f'<h2>What was done, and why</h2><ol class="steps">{"".join(items)}</ol>{notes}'


def _remaining(report: Report) -> str:
    said = "".join(f"<p>{escape(part.sentence())}</p>" for part in report.remaining)
    return f"<h2>What remains</h2>{said}" if said else ""


def _listen(report: Report, target: Source, result: Source, reference: Source | None) -> str:
    tracks: list[tuple[str, Profile, Source]] = [("before", report.before, target), ("after", report.after, result)]
    there = report.reference.tracks[0]
    if reference is not None and isinstance(there, Profile):
        tracks.append(("reference", there, reference))
    level = common_lufs([profile for _, profile, _ in tracks])
    places = places_s(report.after)
    loud, quiet = [], []
    for name, profile, source in tracks:
        own = places_s(profile) if name == "reference" else places
        with opened(source) as audio:
            made = _clips(audio, own, level - profile.integrated_lufs)
        loud.append(_player(name, made[0]))
        quiet.append(_player(name, made[-1]))
    parts = [f'<p class="soft">The loudest moment</p><div class="clips">{"".join(loud)}</div>']
    if places[0] != places[1]:
        parts.append(f'<p class="soft">The quietest</p><div class="clips">{"".join(quiet)}</div>')
    return f'<h2 class="listen">Listen</h2>{"".join(parts)}'


def _clips(audio: AudioSource, starts_s: Sequence[float], gain_db: float) -> list[Clip]:
    return [clip(audio, start_s, gain_db) for start_s in dict.fromkeys(starts_s)]


def _player(name: str, made: Clip) -> str:
    minutes, seconds = divmod(round(made.start_s), 60)
    label = f"{name}, from {minutes}:{seconds:02d}"
    player = f'<audio controls preload="none" aria-label="{label}" src="{made.data}"></audio>'
    return f"<div><span>{label}</span>{player}</div>"
