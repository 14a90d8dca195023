"""A plan as the files of other tools: name of the part (`""` where there is one alone) to what stands in the file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec

from dsp.effects.eq import Eq
from dsp.errors import PlanError
from matcher.exporting.biquads import PROMISED_DB, Biquad, Fit, coefficients, fitted, places_hz
from matcher.plans import Plan
from matcher.version import VERSION

Channel = Literal["mid", "side"]
Texts = dict[str, str]
TYPES = {"peak": "PK", "low_shelf": "LSC", "high_shelf": "HSC"}
"""What Equalizer APO calls them: shelves by their centre frequency, with a Q."""


def equalizer(plan: Plan) -> Eq:
    """What the plan's equalizer does; PlanError where it has none."""
    step = plan.step("eq")
    if step is None or not step.enabled or step.effective.is_neutral():
        raise PlanError("the plan has no equalizer that does anything; --to csv and --to json take any plan")
    assert isinstance(step.effective, Eq)
    return step.effective


def parted(eq: Eq) -> bool:
    """Whether mid and side get filters of their own."""
    return bool({*(b.channels for b in eq.bands), *(c.channels for c in eq.curves)} - {"all"})


def fits(plan: Plan, sample_rate_hz: int, *, shelves: bool = True) -> dict[Channel, Fit]:
    """Biquads for the mid, which are those of all channels where no side is named; for the side where it differs."""
    eq = equalizer(plan)
    channels: tuple[Channel, ...] = ("mid", "side") if parted(eq) else ("mid",)
    return {channel: fitted(eq, channel, sample_rate_hz, shelves=shelves) for channel in channels}


def near(plan: Plan, sample_rate_hz: int, *, shelves: bool = True) -> dict[Channel, Fit]:
    """The same for files that hold nothing else; PlanError where they would not sound as the chain does."""
    found = fits(plan, sample_rate_hz, shelves=shelves)
    worst = max(found.values(), key=lambda fit: fit.error_db)
    if worst.error_db > PROMISED_DB:
        raise PlanError(
            f"{len(worst.biquads)} bands come within {worst.error_db:.2f} dB of the plan's tone, {PROMISED_DB:g} dB is "
            "allowed; --to ir writes the very filter"
        )
    return found


def as_rew(plan: Plan, sample_rate_hz: int) -> Texts:
    """Filter settings that Room EQ Wizard imports for its generic equaliser: bells, one file a channel."""
    found = near(plan, sample_rate_hz, shelves=False)
    texts: Texts = {}
    for channel, fit in found.items():
        lines = ["Filter Settings file", "", "Room EQ V5.20", "", f"Notes: {_about(plan, sample_rate_hz, fit)}", "",
                 "Equaliser: Generic"]  # fmt: skip
        for number, b in enumerate(fit.biquads, start=1):
            lines.append(
                f"Filter {number:2d}: ON  PK       Fc {b.frequency_hz:9.2f} Hz  Gain {b.gain_db:7.3f} dB  Q {b.q:8.4f}"
            )
        texts[channel if len(found) > 1 else ""] = "\n".join(lines) + "\n"
    return texts


def as_eq_apo(plan: Plan, sample_rate_hz: int) -> Texts:
    """A configuration of Equalizer APO; mid and side by channels of its own."""
    found = near(plan, sample_rate_hz)
    lines = [f"# {_about(plan, sample_rate_hz, fit)}" for fit in found.values()]
    if len(found) == 1:
        lines += [_apo_line(number, b) for number, b in enumerate(found["mid"].biquads, start=1)]
    else:
        lines.append("Copy: MID=0.5*L+0.5*R SIDE=0.5*L+-0.5*R")
        for channel, fit in found.items():
            lines.append(f"Channel: {channel.upper()}")
            lines += [_apo_line(number, b) for number, b in enumerate(fit.biquads, start=1)]
        lines += ["Channel: ALL", "Copy: L=MID+SIDE R=MID+-1.0*SIDE"]
    return {"": "\n".join(lines) + "\n"}


def _apo_line(number: int, b: Biquad) -> str:
    return f"Filter {number}: ON {TYPES[b.shape]} Fc {b.frequency_hz:.2f} Hz Gain {b.gain_db:.3f} dB Q {b.q:.4f}"


def as_reaper(plan: Plan, sample_rate_hz: int) -> Texts:
    """A JSFX for Reaper: the biquads' coefficients, on the channels or on mid and side, at this rate alone."""
    found = near(plan, sample_rate_hz)
    both = found if len(found) > 1 else {"mid": found["mid"], "side": found["mid"]}
    lines = [f"desc: match: tone of {_plain(plan.target.name)} at {sample_rate_hz} Hz", "in_pin:left", "in_pin:right",
             "out_pin:left", "out_pin:right", "", "@init", f"rate = {sample_rate_hz};"]  # fmt: skip
    place = 0
    for channel, fit in both.items():
        lines.append(f"{channel}_from = {place}; {channel}_count = {len(fit.biquads)};")
        for row in coefficients(fit.biquads, sample_rate_hz):
            values = [row[0], row[1], row[2], row[4], row[5]]
            lines.append(" ".join(f"{place + n}[0] = {v:.17g};" for n, v in enumerate(values)))
            place += 7  # five coefficients, two of state
    lines += [
        "",
        "function run(x from count) local(n at y) (",
        "  at = from; n = 0;",
        "  while (n < count) (",
        "    y = at[0] * x + at[5];",
        "    at[5] = at[1] * x - at[3] * y + at[6];",
        "    at[6] = at[2] * x - at[4] * y;",
        "    x = y; at += 7; n += 1;",
        "  );",
        "  x;",
        ");",
        "",
        "@sample",
        "srate == rate ? (",
        "  m = run(0.5 * (spl0 + spl1), mid_from, mid_count);",
        "  s = run(0.5 * (spl0 - spl1), side_from, side_count);",
        "  spl0 = m + s; spl1 = m - s;",
        ");",
        "",
        "@gfx 360 24",
        "gfx_x = 4; gfx_y = 6;",
        f'srate == rate ? gfx_drawstr("on") : gfx_drawstr("off: this is for {sample_rate_hz} Hz");',
    ]
    return {"": "\n".join(lines) + "\n"}


def as_csv(plan: Plan, sample_rate_hz: int) -> Texts:
    """Every setting of every step, a line each, to be dialled in by hand; the tone as cookbook bands."""
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["step", "part", "setting", "value"])
    for number, step in enumerate((s for s in plan.steps if s.enabled), start=1):
        title = f"{number} {type(step.settings).title}"
        if isinstance(step.effective, Eq) and not step.effective.is_neutral():
            for channel, fit in fits(plan, sample_rate_hz).items():
                for band, b in enumerate(fit.biquads, start=1):
                    part = f"{channel if parted(step.effective) else 'all'} band {band}"
                    for name, value in msgspec.to_builtins(b).items():
                        writer.writerow([title, part, name, value])
            continue
        for part, name, value in _leaves(msgspec.to_builtins(step.effective)):
            if name != "effect":
                writer.writerow([title, part, name, value])
    return {"": table.getvalue()}


def _leaves(settings: Any, part: str = "") -> list[tuple[str, str, Any]]:
    """(part, name, value) of everything that is no list or record."""
    found = []
    for name, value in settings.items() if isinstance(settings, dict) else enumerate(settings, start=1):
        if isinstance(value, dict | list):
            found += _leaves(value, f"{part} {name}".strip())
        else:
            found.append((part, str(name), value))
    return found


def as_json(plan: Plan, sample_rate_hz: int) -> Texts:
    """The same for programs: the steps as they are, and the tone as biquads with their coefficients."""
    step = plan.step("eq")
    has_tone = step is not None and step.enabled and not step.effective.is_neutral()
    tone = {
        channel: {
            "error_db": round(fit.error_db, 4),
            "biquads": [
                {**msgspec.to_builtins(b), "coefficients": [float(v) for v in row]}
                for b, row in zip(fit.biquads, coefficients(fit.biquads, sample_rate_hz), strict=True)
            ],
        }
        for channel, fit in (fits(plan, sample_rate_hz) if has_tone else {}).items()
    }
    data = {
        "format": "match-export",
        "version": 1,
        "made_by": f"match {VERSION}",
        "target": plan.target.name,
        "sample_rate_hz": sample_rate_hz,
        "tone": tone,
        "steps": [msgspec.to_builtins(s) for s in plan.steps],
    }
    return {"": json.dumps(data, indent=2, ensure_ascii=False) + "\n"}


TEXTS: Mapping[str, tuple[str, Callable[[Plan, int], Texts]]] = {
    "rew": (".txt", as_rew),
    "eq-apo": (".txt", as_eq_apo),
    "csv": (".csv", as_csv),
    "reaper": (".jsfx", as_reaper),
    "json": (".json", as_json),
}
"""Ending and maker of each format of text."""


def _about(plan: Plan, sample_rate_hz: int, fit: Fit) -> str:
    how = f"within {max(fit.error_db, 0.01):.2f} dB from 20 Hz to {places_hz(sample_rate_hz)[-1] / 1000.0:.3g} kHz"
    return f"tone of {_plain(plan.target.name)} by match {VERSION}, for {sample_rate_hz} Hz, {how}"


def _plain(name: str) -> str:
    """A name that can do nothing in another tool's file."""
    return "".join(c if c.isalnum() or c in " .,_-()" else "_" for c in name)
