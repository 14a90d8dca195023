"""Learning a preset: tracks that belong together, a centre, and how far they lie around it.

The median and the spread around it show which tracks are unlike the others; these are named and have no say. What is
left is one style or a mixture of several, by the Bayesian information criterion. A few tracks say little of 30 bands:
the covariance of each style is drawn towards how tracks lie around the centres of albums of many kinds, as an inverse
Wishart prior has it; that (`references/prior.json`) is itself a shrunk estimate (Ledoit & Wolf 2004).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from dsp.errors import UnfitError
from matcher import priors
from matcher.features import Array, Features
from matcher.preset_vectors import COLUMNS, DENSITY, FIGURES, ONE_MEASURE, TONE, WIDTH, Vectors, vector, vectors
from matcher.presets import FIGURES as NAMES
from matcher.presets import Preset, Style, as_rows
from matcher.profile import THIRD_OCTAVES_HZ

FEWEST = 3
"""Tracks of which anything can be said."""
FAR = 2.5
"""Times the usual distance from the median, beyond which a track is unlike the others."""
MOST_LEFT_OUT = 0.25
FEWEST_FOR_STYLES, FEWEST_IN_STYLE, MOST_STYLES = 20, 8, 4
COMPONENTS = 4
"""Directions in which styles are told apart."""
SMALLEST_DB = 0.5
"""No feature is trusted to vary by less."""
STRENGTH = 10.0
"""Tracks that the prior counts for. Of tracks left out, the likelihood is flat from 8 to 20 and falls below."""


def learn(tracks: Iterable[Features], name: str, *, source: str = "", licence: str = "") -> Preset:
    """Estimate a preset from tracks that are all kept; the same whatever their order. UnfitError where too few."""
    kept = once(tracks)
    if len(kept) < FEWEST:
        raise UnfitError(f"{name}: {len(kept)} tracks are too few to learn from; {FEWEST} are needed")
    styles, inside, _ = estimated(kept)
    left_out = tuple(t.content_hash for t, is_in in zip(kept, inside, strict=True) if not is_in)
    return Preset(
        name=name,
        source=source,
        licence=licence,
        made_at=made_now(),
        styles=styles,
        left_out=left_out,
        tracks=tuple(kept),
    )


def made_now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")


def once(tracks: Iterable[Features]) -> list[Features]:
    """Each content once, in the order of the hashes; of two names for it the first in the alphabet."""
    found: dict[str, Features] = {}
    for track in tracks:
        known = found.get(track.content_hash)
        if known is None or track.name < known.name:
            found[track.content_hash] = track
    return [found[key] for key in sorted(found)]


@dataclass(frozen=True)
class Usual:
    """Where the tracks lie, whatever a few of them do."""

    median: Array
    scale: Array
    """Robust standard deviation of each column."""
    cut: float

    def distance(self, rows: Vectors) -> Array:
        """From the median, in the usual deviations: the mean over the groups of columns. Shape (tracks,)."""
        away = np.where(rows.heard, (rows.values - self.median) / self.scale, 0.0)
        groups = (*ONE_MEASURE, FIGURES)
        heard = [np.maximum(rows.heard[:, g].sum(axis=1), 1) for g in groups]
        squares = [(away[:, g] ** 2).sum(axis=1) / n for g, n in zip(groups, heard, strict=True)]
        return np.sqrt(np.mean(squares, axis=0))


def _usual(rows: Vectors) -> Usual:
    values = np.where(rows.heard, rows.values, np.nan)
    anywhere = rows.heard.any(axis=0)
    median, spread = np.zeros(COLUMNS), np.zeros(COLUMNS)
    median[anywhere] = np.nanmedian(values[:, anywhere], axis=0)
    spread[anywhere] = np.nanmedian(np.abs(values - median)[:, anywhere], axis=0)
    smallest = np.full(COLUMNS, SMALLEST_DB)
    smallest[FIGURES] = [0.1 if name in ("correlation", "tilt_db_oct") else SMALLEST_DB for name in NAMES]
    found = Usual(median, np.maximum(1.4826 * spread, smallest), np.inf)
    distance = found.distance(rows)
    least = float(np.quantile(distance, 1.0 - MOST_LEFT_OUT))
    return Usual(median, found.scale, round(max(FAR * float(np.median(distance)), least), 6))


def estimated(tracks: Sequence[Features]) -> tuple[tuple[Style, ...], NDArray[np.bool_], Usual]:
    """Styles, which tracks have a say, and what is usual."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # sums in one order on every machine
        rows = vectors(tracks, NAMES)
        usual = _usual(rows)
        inside = usual.distance(rows) <= usual.cut
        rows, members = rows[inside], [t for t, is_in in zip(tracks, inside, strict=True) if is_in]
        which = _styles_of(np.where(rows.heard, rows.values - usual.median, 0.0) / usual.scale)
        middle = _mean(rows)
        found = []
        for number in range(int(which.max()) + 1):
            own = which == number
            rate_hz = _most_common([t.sample_rate_hz for t, is_own in zip(members, own, strict=True) if is_own])
            found.append(_style(rows[own], middle if which.any() else None, rate_hz))
    return tuple(found), inside, usual


def _styles_of(away: Array) -> NDArray[np.intp]:
    """Which style each track is of; all of one where the corpus is small or of one kind. Largest first."""
    one = np.zeros(len(away), dtype=np.intp)
    if len(away) < FEWEST_FOR_STYLES:
        return one
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    columns = [away[:, g] / np.sqrt(away[:, g].shape[1]) for g in (*ONE_MEASURE, FIGURES)]
    places = PCA(COMPONENTS, svd_solver="full").fit_transform(np.hstack(columns))
    best, lowest = one, np.inf
    for count in range(1, min(MOST_STYLES, len(away) // FEWEST_IN_STYLE) + 1):
        mixture = GaussianMixture(count, covariance_type="tied", n_init=5, random_state=0, reg_covar=1e-3).fit(places)
        which, bic = mixture.predict(places), mixture.bic(places)
        sizes = np.bincount(which, minlength=count)
        if bic < lowest and sizes.min() >= FEWEST_IN_STYLE:
            order = np.argsort(np.argsort(-sizes, kind="stable"), kind="stable")
            best, lowest = order[which], bic
    return best


def _mean(rows: Vectors) -> Array:
    return rows.values.sum(axis=0) / np.maximum(rows.heard.sum(axis=0), 1)


def _style(rows: Vectors, beside: Array | None, rate_hz: int) -> Style:
    """Centre and covariance of tracks of one kind. beside: the mean of all kinds, where there are several."""
    mean = _mean(rows)
    away = np.where(rows.heard, rows.values - mean, 0.0)
    return made_style(
        mean,
        rows.heard.sum(axis=0),
        len(away),
        {group: shrunk(away[:, c].T @ away[:, c], len(away), group) for group, c in GROUPS.items()},
        np.sqrt((away**2).sum(axis=0) / np.maximum(rows.heard.sum(axis=0) - 1, 1)),
        beside,
        rate_hz,
    )


GROUPS = {"tone": TONE, "width": WIDTH, "density": DENSITY}


def shrunk(scatter: Array, count: int, group: str) -> Array:
    """Covariance of `count` tracks about their mean, drawn towards that of albums of many kinds.

    scatter: the sum of the products of their deviations.
    """
    usual = np.array(getattr(priors.shipped(), group))
    return (scatter + STRENGTH * usual) / (count - 1 + STRENGTH)


def around_centres(kinds: Iterable[Sequence[Features]]) -> dict[str, Array]:
    """Covariance of a track about the centre of its own kind, over several kinds: what presets are drawn towards."""
    from sklearn.covariance import LedoitWolf

    away, free = [], np.zeros(COLUMNS)
    for tracks in kinds:
        rows = vectors(tracks, NAMES)
        away.append(np.where(rows.heard, rows.values - _mean(rows), 0.0))
        free += np.maximum(rows.heard.sum(axis=0) - 1, 0)
    every = np.concatenate(away)
    every = every * np.sqrt(len(every) / np.maximum(free, 1.0))  # a band that few tracks have varies no less
    return {
        group: LedoitWolf(assume_centered=True).fit(every[:, columns]).covariance_ for group, columns in GROUPS.items()
    }


def made_style(
    mean: Array,
    heard: NDArray[np.intp],
    count: int,
    covariances: dict[str, Array],
    deviations: Array,
    beside: Array | None,
    rate_hz: int,
) -> Style:
    stereo = bool(2 * heard[WIDTH].max() >= count)
    figures = dict(zip(NAMES, mean[FIGURES].tolist(), strict=True))
    top = np.flatnonzero(2 * heard[TONE] >= count)
    mid = mean[TONE].copy()
    mid[heard[TONE] == 0] = mid[heard[TONE] > 0].min(initial=0.0) - 60.0
    side = mid + np.where(heard[WIDTH] > 0, mean[WIDTH], -40.0) if stereo else mid - 100.0
    bandwidth_hz = float(THIRD_OCTAVES_HZ[top[-1]] * 10.0**0.05) if len(top) else 20_000.0
    centre = Features(
        name="centre",
        content_hash="0" * 32,
        duration_s=0.0,
        sample_rate_hz=rate_hz,
        channels=2 if stereo else 1,
        integrated_lufs=round(figures["integrated_lufs"], 4),
        isolated_lufs=round(figures["true_peak_dbtp"] - float(mean[DENSITY][4]), 4),
        range_lu=round(figures["range_lu"], 4),
        true_peak_dbtp=round(figures["true_peak_dbtp"], 4),
        correlation=round(float(np.clip(figures["correlation"], -1.0, 1.0)), 4),
        bandwidth_hz=round(bandwidth_hz * 1.0001, 4),
        density_db=tuple(round(float(v), 4) for v in mean[DENSITY][:4]),
        mid_db=tuple(round(float(v), 4) for v in mid),
        side_db=tuple(round(float(v), 4) for v in side),
    )
    return Style(
        title="" if beside is None else _title(mean - beside),
        tracks=count,
        centre=centre,
        tone=as_rows(covariances["tone"]),
        width=as_rows(covariances["width"]),
        density=as_rows(covariances["density"]),
        figures={name: round(float(v), 4) for name, v in zip(NAMES, deviations[FIGURES], strict=True)},
    )


_WORDS: dict[str, tuple[str, str, float]] = {
    "integrated_lufs": ("quieter", "louder", 1.0),
    "tilt_db_oct": ("darker", "brighter", 0.3),
    "overall_width_db": ("narrower", "wider", 1.5),
    "crest_db": ("denser", "more open", 1.0),
    "range_lu": ("steadier", "with a wider range", 2.0),
}


def _title(away: Array) -> str:
    """How a style differs from the middle of all, by the two figures that differ most."""
    differs = dict(zip(NAMES, away[FIGURES], strict=True))
    ranked = sorted(_WORDS, key=lambda name: -abs(differs[name]) / _WORDS[name][2])
    said = []
    for less, more, step, away_by in ((*_WORDS[name], differs[name]) for name in ranked[:2]):
        if abs(away_by) >= 0.5 * step:
            said.append(more if away_by > 0 else less)
    return " and ".join(said) or "middling"


def _most_common(rates_hz: Sequence[int]) -> int:
    return max(sorted(set(rates_hz)), key=rates_hz.count)


def centre_of(style: Style) -> Array:
    """The centre in the columns of `matcher.preset_vectors`."""
    return vector(style.centre, NAMES)[0]
