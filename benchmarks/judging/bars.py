"""A plot without a plotting library: grouped bars as SVG."""

from __future__ import annotations

from html import escape

COLOURS = ("#2563eb", "#d97706", "#6b7280", "#059669", "#7c3aed")
BAR, GAP, HEIGHT, TOP = 15, 16, 120, 34


def chart(title: str, names: list[str], rows: dict[str, dict[str, float]], left: int) -> tuple[str, int]:
    """One row of small panels, a measure each, a bar for every competitor; the drawing and its width."""
    wide, parts = BAR * len(rows) + 60, [f'<text x="{left}" y="14" class="title">{escape(title)}</text>']
    for k, name in enumerate(names):
        x0 = left + k * (wide + GAP)
        values = [row.get(name, 0.0) for row in rows.values()]
        low, high = min(0.0, *values), max(0.0, *values)
        scale = HEIGHT / ((high - low) or 1.0)
        zero = TOP + 12 + high * scale
        parts.append(f'<text x="{x0}" y="{TOP}" class="name">{escape(name)}</text>')
        for i, (who, value) in enumerate(zip(rows, values, strict=True)):
            x, y, tall = x0 + i * (BAR + 8), zero - max(value, 0.0) * scale, abs(value) * scale
            parts.append(
                f'<rect x="{x}" y="{y:.1f}" width="{BAR}" height="{max(tall, 0.5):.1f}"'
                f' fill="{COLOURS[i % len(COLOURS)]}"><title>{escape(who)} {value:.3g}</title></rect>'
            )
            at = y - 3 if value >= 0 else y + tall + 9
            parts.append(f'<text x="{x + BAR / 2}" y="{at:.1f}" class="value">{value:.2g}</text>')
        parts.append(f'<line x1="{x0 - 2}" x2="{x0 + wide - 24}" y1="{zero:.1f}" y2="{zero:.1f}"/>')
    return "".join(parts), left + len(names) * (wide + GAP)


def drawing(tables: dict[str, dict[str, dict[str, float]]]) -> str:
    """All tables, one below the other: title, competitor, measure, value."""
    tall, groups, width = HEIGHT + TOP + 46, [], 0
    for i, (title, rows) in enumerate(tables.items()):
        body, right = chart(title, list(next(iter(rows.values()))), rows, 20)
        groups.append(f'<g transform="translate(0,{10 + i * tall})">{body}</g>')
        width = max(width, right)
    who = list(dict.fromkeys(name for rows in tables.values() for name in rows))
    base = 20 + len(tables) * tall
    legend = "".join(
        f'<rect x="{20 + i * 120}" y="{base}" width="12" height="12" fill="{COLOURS[i % len(COLOURS)]}"/>'
        f'<text x="{38 + i * 120}" y="{base + 10}" class="name">{escape(name)}</text>'
        for i, name in enumerate(who)
    )
    style = (
        "text{font-family:sans-serif;fill:#111}.title{font-size:13px;font-weight:bold}.name{font-size:11px}"
        ".value{font-size:8px;text-anchor:middle}line{stroke:#999}"
    )
    size = f'width="{width}" height="{base + 30}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size}><style>{style}</style>'
        f'<rect width="100%" height="100%" fill="white"/>{"".join(groups)}{legend}</svg>\n'
    )
