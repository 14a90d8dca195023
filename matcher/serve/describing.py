"""What a finished match looks like, as the plain JSON that the page draws."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from dsp.chain import effects
from dsp.meters.loudness import short_term_lufs
from matcher.distance import Gap
from matcher.profile import OCTAVES_HZ, THIRD_OCTAVES_HZ, Profile
from matcher.reference import Record
from matcher.reporting import Report

POINTS = 900
"""The most that a course over time is drawn with."""
LOWEST_LUFS, NARROWEST_DB = -70.0, -40.0


def view(report: Report) -> dict[str, Any]:
    """Verdict, figures, curves and courses of target, result and reference."""
    reference = report.reference
    shown = {"target": track(report.before), "result": track(report.after)}
    first = reference.tracks[0]
    shown["reference"] = track(first) if isinstance(first, Profile) else centre(first)
    shown["reference"]["tone_db"] = numbers(reference.balance_db())
    if reference.wide:
        shown["reference"]["width_db"] = numbers(np.mean([_width_db(p) for p in reference.wide], axis=0))
    limiter = report.rendered.measured.get("limiter", {})
    reduction = limiter.get("reduction_db")
    return {
        "verdict": report.verdict(),
        "warnings": list(report.warnings),
        "remarks": list(report.plan.remarks),
        "remaining": [part.sentence() for part in report.remaining],
        "figures": figures(report.gap_before, report.gap_after),
        "tracks": shown,
        "third_octaves_hz": numbers(THIRD_OCTAVES_HZ),
        "octaves_hz": numbers(OCTAVES_HZ),
        "reduction": None if reduction is None else course(-np.asarray(reduction, dtype=np.float64), 0.01, np.min),
        "seconds": round(report.seconds, 2),
        "made_by": report.plan.made_by,
    }


def track(profile: Profile) -> dict[str, Any]:
    """One track's curves and courses."""
    peaks = 10.0 ** (profile.sketch.peak_db.astype(np.float64) / 20.0)
    loudness = np.maximum(short_term_lufs(profile.segment_power, hop_ms=100), LOWEST_LUFS)
    return {
        "name": profile.name,
        "duration_s": round(profile.duration_s, 4),
        "sample_rate_hz": profile.sample_rate_hz,
        "channels": profile.channels,
        "integrated_lufs": round(profile.integrated_lufs, 2),
        "peaks": course(peaks, 0.01, np.max),
        "loudness": {**course(loudness, 0.1, np.max), "first_s": 1.5},
        "tone_db": numbers(profile.balance_db()),
        "width_db": numbers(_width_db(profile)) if profile.channels > 1 else None,
        "true_peak_dbtp": round(profile.true_peak_dbtp, 2),
        "loudest_s": round(_loudest_s(loudness, profile.duration_s), 1),
    }


def centre(record: Record) -> dict[str, Any]:
    """A preset's curves; it has no course over time."""
    return {
        "name": record.name,
        "integrated_lufs": round(record.integrated_lufs, 2),
        "tone_db": numbers(record.balance_db()),
        "width_db": numbers(_width_db(record)) if record.has_side else None,
        "true_peak_dbtp": round(record.true_peak_dbtp, 2),
    }


def figures(before: Gap, after: Gap) -> list[dict[str, Any]]:
    """The table: a line for each figure, before, after, reference, and whether it is near enough."""
    return [
        {
            "name": one.name,
            "unit": one.unit,
            "digits": 2 if one.unit in ("", "dB/oct") else 1,
            "before": number(one.value),
            "after": number(other.value),
            "reference": number(other.reference),
            "tolerance": other.tolerance if other.tolerance < 100.0 else None,
            "within": other.within,
        }
        for one, other in zip(before.features, after.features, strict=True)
    ]


def course(values: NDArray[np.float64], step_s: float, keep: Any) -> dict[str, Any]:
    """A course thinned out to `POINTS`; keep: what stands for each stretch (`np.max`)."""
    stretch = max(1, math.ceil(len(values) / POINTS))
    padded = np.append(values, np.full(-len(values) % stretch, values[-1] if len(values) else 0.0))
    return {"step_s": step_s * stretch, "values": numbers(keep(padded.reshape(-1, stretch), axis=1), 3)}


def controls() -> dict[str, dict[str, Any]]:
    """Every effect's title, defaults and number fields with their bounds, for the page to make controls of."""
    return {name: _fields(kind) | {"title": kind.title, "repairs": kind.repairs} for name, kind in effects().items()}


def _fields(kind: type[msgspec.Struct]) -> dict[str, Any]:
    schema = msgspec.json.schema(kind)
    parts = schema["$defs"]
    own = parts[schema["$ref"].rpartition("/")[2]]
    return {
        "fields": _bounds(own["properties"]),
        "defaults": msgspec.to_builtins(kind()),
        "parts": {name: _bounds(part["properties"]) for name, part in parts.items() if part is not own},
    }


def _bounds(properties: dict[str, Any]) -> dict[str, Any]:
    """Name to what it may be: a number within bounds, or one of some words or numbers."""
    found: dict[str, Any] = {}
    for name, given in properties.items():
        for kind in given.get("anyOf", [given]):
            if kind.get("type") in ("number", "integer"):
                found[name] = {"low": kind.get("minimum"), "high": kind.get("maximum"), "default": given.get("default")}
            elif "enum" in kind and name != "effect":
                found[name] = {"allowed": kind["enum"], "default": given.get("default")}
    return found


def numbers(values: Any, digits: int = 2) -> list[float | None]:
    """A list for JSON, with None for what is no number."""
    return [number(v, digits) for v in np.asarray(values, dtype=np.float64)]


def number(value: float, digits: int = 3) -> float | None:
    """A rounded number; None for NaN and infinity, which JSON does not know."""
    return round(float(value), digits) + 0.0 if math.isfinite(value) else None


def _width_db(profile: Record) -> NDArray[np.float64]:
    return np.maximum(profile.width_db, NARROWEST_DB)


def _loudest_s(loudness: NDArray[np.float64], duration_s: float) -> float:
    """Where a stretch of ten seconds is loudest on the whole."""
    frames = 70
    if duration_s <= 10.0 or len(loudness) <= frames:
        return 0.0
    return float(np.argmax(np.convolve(10.0 ** (loudness / 10.0), np.ones(frames), "valid"))) / 10.0
