"""Very many tracks as sums: whole numbers about a frozen first estimate, the same in any order and grouping."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from dsp.errors import PresetError
from matcher.features import Array, Features
from matcher.preset_choosing import log_likelihood
from matcher.preset_learning import (
    FEWEST,
    GROUPS,
    Usual,
    centre_of,
    estimated,
    learn,
    made_now,
    made_style,
    once,
    shrunk,
)
from matcher.preset_vectors import COLUMNS, DENSITY, vectors
from matcher.presets import FIGURES as NAMES
from matcher.presets import Preset, Sums

MOST_KEPT = 10_000
"""Tracks whose features are kept; of more, sums."""


def learn_many(tracks: Callable[[], Iterable[Features]], name: str, *, source: str = "", licence: str = "") -> Preset:
    """A preset of any number of tracks, which are passed over a few times; tracks: begins anew at each call."""
    lowest = set(heapq.nsmallest(MOST_KEPT + 1, {t.content_hash for t in tracks()}))
    if len(lowest) <= MOST_KEPT:
        return learn(tracks(), name, source=source, licence=licence)
    lowest.remove(max(lowest))
    styles, _, usual = estimated(once(t for t in tracks() if t.content_hash in lowest))
    empty = tuple((0,) * COLUMNS for _ in styles)
    sums = Sums(
        first=styles,
        median=tuple(usual.median.tolist()),
        scale=tuple(usual.scale.tolist()),
        cut=usual.cut,
        hashes=(),
        left_out=0,
        milliseconds=0,
        counts=empty,
        totals=empty,
        products=tuple((0,) * (COLUMNS * (COLUMNS + 1) // 2) for _ in styles),
    )
    return _from_sums(_added(sums, tracks()), name, source, licence)


def joined(
    presets: Sequence[Preset],
    tracks: Callable[[], Iterable[Features]],
    name: str,
    *,
    source: str = "",
    licence: str = "",
) -> Preset:
    """Presets and further tracks as one: every track once, by content, estimated anew.

    source, licence: those of the presets where nothing is given.

    Presets of sums can be added to, but joined only where they began with the same estimate and share no track: what a
    track has added cannot be told from sums. PresetError otherwise.
    """
    source = source or "; ".join(dict.fromkeys(p.source for p in presets if p.source))[:400]
    licence = licence or "; ".join(dict.fromkeys(p.licence for p in presets if p.licence))[:400]

    def all_tracks() -> Iterator[Features]:
        for preset in presets:
            yield from preset.tracks
        yield from tracks()

    large = [p for p in presets if p.sums is not None]
    if not large:
        return learn_many(all_tracks, name, source=source, licence=licence)
    sums = large[0].sums
    assert sums is not None
    for other in large[1:]:
        assert other.sums is not None
        sums = _united(sums, other.sums, (large[0].name, other.name))
    return _from_sums(_added(sums, all_tracks()), name, source, licence)


def _added(sums: Sums, tracks: Iterable[Features]) -> Sums:
    """Sums with further tracks, each once; what is known already is passed over."""
    usual = Usual(np.array(sums.median), np.array(sums.scale), sums.cut)
    known = set(sums.hashes)
    counts, totals, products = (np.array(part, dtype=np.int64) for part in (sums.counts, sums.totals, sums.products))
    centres = [centre_of(style) for style in sums.first]
    left_out, milliseconds = sums.left_out, sums.milliseconds
    upper = np.triu_indices(COLUMNS)
    for track in tracks:
        if track.content_hash in known:
            continue
        known.add(track.content_hash)
        milliseconds += round(1000.0 * track.duration_s)
        row = vectors([track], NAMES)
        if usual.distance(row)[0] > usual.cut:
            left_out += 1
            continue
        style = int(np.argmax([log_likelihood(track, each) for each in sums.first]))
        away = np.where(row.heard[0], np.rint(1000.0 * (row.values[0] - centres[style])), 0.0).astype(np.int64)
        counts[style] += row.heard[0]
        totals[style] += away
        products[style] += np.outer(away, away)[upper]
    return msgspec.structs.replace(
        sums,
        hashes=tuple(sorted(known)),
        left_out=left_out,
        milliseconds=milliseconds,
        counts=_as_ints(counts),
        totals=_as_ints(totals),
        products=_as_ints(products),
    )


def _united(one: Sums, other: Sums, names: tuple[str, str]) -> Sums:
    same = (one.first, one.median, one.scale, one.cut) == (other.first, other.median, other.scale, other.cut)
    if not same:
        raise PresetError(
            f"{names[0]} and {names[1]}: hold sums about different first estimates; learn one of them from its"
            " tracks on top of the other"
        )
    both = set(one.hashes) & set(other.hashes)
    if both:
        raise PresetError(f"{names[0]} and {names[1]}: share {len(both)} tracks, which sums cannot tell apart")
    parts = {
        name: _as_ints(np.array(getattr(one, name)) + np.array(getattr(other, name)))
        for name in ("counts", "totals", "products")
    }
    return msgspec.structs.replace(
        one,
        hashes=tuple(sorted((*one.hashes, *other.hashes))),
        left_out=one.left_out + other.left_out,
        milliseconds=one.milliseconds + other.milliseconds,
        **parts,
    )


def _from_sums(sums: Sums, name: str, source: str, licence: str) -> Preset:
    styles = []
    upper = np.triu_indices(COLUMNS)
    for number, first in enumerate(sums.first):
        heard = np.array(sums.counts[number])
        count = int(heard[DENSITY][0])
        if count < FEWEST:
            continue
        total, n = np.array(sums.totals[number]) / 1000.0, np.maximum(heard, 1)
        square = np.zeros((COLUMNS, COLUMNS))
        square[upper] = np.array(sums.products[number]) / 1e6
        square = square + square.T - np.diag(np.diag(square))
        shift = total / n
        covariance = square / np.sqrt(np.outer(n, n)) - np.outer(shift, shift)
        parts = {g: shrunk(count * _positive(covariance[c, c]), count, g) for g, c in GROUPS.items()}
        made = made_style(
            centre_of(first) + shift, heard, count, parts,
            np.sqrt(np.maximum(np.diag(covariance), 0.0)), None, first.centre.sample_rate_hz,
        )  # fmt: skip
        styles.append(msgspec.structs.replace(made, title=first.title))
    return Preset(name=name, source=source, licence=licence, made_at=made_now(), styles=tuple(styles), sums=sums)


def _positive(matrix: Array) -> Array:
    """The nearest covariance: sums with gaps may be negative in some direction by a little."""
    values, directions = np.linalg.eigh(matrix)
    return directions @ np.diag(np.maximum(values, 1e-4)) @ directions.T


def _as_ints(table: NDArray[np.int64]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in table.tolist())
