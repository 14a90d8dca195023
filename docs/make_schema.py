"""Writes `plan-and-profile.md`: every field of the JSON files, from the types that read them.

    python docs/make_schema.py
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from dsp.chain import effects
from matcher import plans
from matcher.aims import Aims
from matcher.features import Features
from matcher.presets import Preset, Style

HEAD = """# Plan, preset and profile

Made by `python docs/make_schema.py` from the types that read them. Every file is JSON in UTF-8; unknown fields, numbers
out of bounds and wrong types are refused by one line that names the field. Reading one executes nothing and opens no
other file.

A plan begins with `"format": "match-plan"` and `"version"`, a preset with `"format": "match-preset"`. `match analyze
--json` prints profiles; the same figures are the columns of `match analyze --table`.
"""


def table(record: type[Any]) -> list[str]:
    """A record's fields: name, what it may be, default."""
    lines = ["| field | what it may be | default |", "|---|---|---|"]
    hints = typing.get_type_hints(record, include_extras=True)
    for field in msgspec.structs.fields(record):
        default = "" if field.default is msgspec.NODEFAULT else f"`{_json(field.default)}`"
        if field.default_factory is not msgspec.NODEFAULT:
            default = f"`{_json(field.default_factory())}`"
        lines.append(f"| `{field.encode_name}` | {said(hints[field.name])} | {default} |")
    return lines


def _json(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) < 40 else "…"


def said(kind: Any) -> str:
    """A type in words."""
    origin, given = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return " ".join([said(given[0]), *filter(None, map(_bounds, given[1:]))])
    if origin is typing.Literal:
        return " or ".join(f"`{value!r}`".replace("'", '"') for value in given)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(said(one) for one in given)
    if origin is tuple:
        return f"list of {said(given[0])}" if len(given) == 2 and given[1] is Ellipsis else "list"
    if origin is dict:
        return f"record of {said(given[1])}"
    names = {float: "number", int: "whole number", str: "text", bool: "true or false", type(None): "null"}
    return names.get(kind) or getattr(kind, "__name__", "any").lower()


def _bounds(meta: Any) -> str:
    if not isinstance(meta, msgspec.Meta):
        return ""
    low, high = meta.ge, meta.le
    if low is not None and high is not None:
        return f"{low:g} to {high:g}"
    return f"from {low:g}" if low is not None else f"to {high:g}" if high is not None else ""


def parts(titles: Iterable[tuple[str, type[Any]]], level: str) -> list[str]:
    """A heading and a table for each record."""
    lines = []
    for title, record in titles:
        first = (record.__doc__ or "").strip().split("\n")[0]
        lines += [f"{level} {title}", "", first, "", *table(record), ""]
    return lines


def page() -> str:
    """The whole description."""
    lines = [HEAD]
    plan = [("Plan", plans.Plan), ("Step", plans.Step), ("Track", plans.Track), ("Believed", plans.Believed),
            ("Curve", plans.Curve), ("Figure", plans.Figure), ("Aims", Aims)]  # fmt: skip
    lines += parts(plan, "##")
    lines += ["## Settings of the effects", "", 'Each has `"effect"` with its name.', ""]
    lines += parts(sorted(effects().items()), "###")
    lines += parts([("Preset", Preset), ("Style", Style), ("Features of a track", Features)], "##")
    return "\n".join(lines)


if __name__ == "__main__":
    Path(__file__).with_name("plan-and-profile.md").write_text(page(), encoding="utf-8")
