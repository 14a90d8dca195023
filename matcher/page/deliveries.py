"""The part of a report that tells where the master goes and how it translates."""

from __future__ import annotations

from html import escape

from matcher.delivery.delivering import Delivered, Delivery


def delivery_section(delivery: Delivery) -> str:
    """HTML: a table of destinations, what codecs did, and one line for each question of translation."""
    parts = ["<h2>Where it goes</h2>"]
    if delivery.delivered:
        names = ("", "verdict", "LUFS", "dBTP", "there it", "rests on")
        head = "".join(f'<th scope="col">{name}</th>' for name in names)
        rows = "".join(_row(each) for each in delivery.delivered)
        table = f'<table class="words"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
        parts.append(f'<div class="scroll">{table}</div>')
        titled = [(each.verdict.destination.title, line) for each in delivery.delivered for line in each.remarks()]
        parts += [f"<p>{escape(f'{title}: {line}')}</p>" for title, line in titled]
    parts += [f"<p>{escape(decoded.said())}</p>" for decoded in delivery.decoded]
    parts += [f"<p>{escape(line)}</p>" for line in delivery.not_tried]
    items = []
    for finding in delivery.translation:
        verdict = "good" if finding.good else "<strong>look here</strong>"
        items.append(f"<li>{verdict}: {escape(finding.what)}: {escape(finding.said)}</li>")
    return f'{"".join(parts)}<h3>Elsewhere</h3><ul>{"".join(items)}</ul>'


def _row(each: Delivered) -> str:
    verdict, profile = each.verdict, each.profile
    assert profile is not None
    figures = f"<td>{profile.integrated_lufs:.1f}</td><td>{profile.true_peak_dbtp:.1f}</td>"
    said = "passes" if verdict.passes else "<strong>fails</strong>"
    place = verdict.destination
    return (
        f"<tr><td>{escape(place.title)}</td><td>{said}</td>{figures}<td>{escape(verdict.said())}</td>"
        f"<td>{escape(place.source)} ({place.sure})</td></tr>"
    )
