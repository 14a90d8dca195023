"""Learning from music what tells a click from it.

    python -m matcher.click_learning FOLDER -o dsp/restoration/clicktrees.json

FOLDER holds one folder an album. Whatever stands out in it is taken for the music's own, for nothing in it is known
to be damaged; clicks are put into excerpts at many rates, of many shapes and sizes. Statistics only; no
audio.
"""

from __future__ import annotations

from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.errors import UnfitError
from dsp.kernels import CLICK_SIGNS, ClickScreen
from dsp.restoration.autoregression import fitted, scale_of
from dsp.restoration.clicktrees import NO_TREES, ClickTrees
from dsp.restoration.declick import EDGE_S, KEPT
from matcher.click_sounds import Signal, click, played
from matcher.io import open_audio
from matcher.learned import main_of
from matcher.version import VERSION

EXCERPT_S = 20.0
RATES_PER_MINUTE = (30, 30, 30, 120, 120, 120, 400, 800, 1500, 3000)
"""Clicks put into one excerpt each, evenly spread over a track."""
ABOVE_DB = 9.0
"""Clicks that stand no further above the music's own errors nearby teach nothing: nobody could find them."""
NEAR_S, MODELLED, ORDER = 0.02, 2048, 32
MARGIN = 4600
"""Samples at both ends of an excerpt that stay as they are."""
PLAYED, PLAYED_RATE_HZ, PLAYED_SHARE, MOST_OF_A_PIECE = 600, 44_100, 0.3, 100
"""Pieces of synthesised music, and their weight in all music; saw teeth alone would fill thousands."""
TREES, LEAVES, RATE, SHARE = 300, 8, 0.08, 0.5
FEWEST = 100
"""Sounds of a kind, to learn from."""


@dataclass(frozen=True)
class Put:
    """A click that was put in."""

    first: int
    stop: int
    channel: int


def with_clicks(
    samples: Signal, sample_rate_hz: int, per_minute: float, rng: np.random.Generator
) -> tuple[Signal, list[Put]]:
    """Clicks at random times, in one channel or all, and those of them that could be found.

    samples: (channels, samples). Some are as loud as what is around them wants, others, like those of a worn record,
    whatever is played.
    """
    channels, length = samples.shape
    damaged, put = samples.copy(), []
    count = max(1, round(per_minute * length / sample_rate_hz / 60.0))
    for start in np.sort(rng.integers(MARGIN, length - MARGIN, count)):
        nearby = np.abs(samples[:, start - 1000 : start + 1000]).max()
        if rng.random() < 0.6:
            size = nearby * 10.0 ** (rng.uniform(-24.0, 8.0) / 20.0)
        else:
            size = np.abs(samples).max() * 10.0 ** (rng.uniform(-50.0, 0.0) / 20.0)
        made = size * click(rng, sample_rate_hz)
        everywhere = rng.integers(3) == 0
        for channel in range(channels) if everywhere else (int(rng.integers(channels)),):
            own = made * (10.0 ** (rng.uniform(-6.0, 0.0) / 20.0) if everywhere else 1.0)
            damaged[channel, start : start + len(own)] += own
            if above_db(samples[channel, start - MODELLED : start + MODELLED], own, sample_rate_hz) >= ABOVE_DB:
                put.append(Put(int(start), int(start) + len(own), channel))
    return damaged, put


def above_db(around: Signal, click: Signal, sample_rate_hz: int) -> float:
    """How far the largest prediction error of a click stands above the music's within `NEAR_S`, by its own model."""
    model = fitted([around], ORDER).coefficients
    near = round(NEAR_S * sample_rate_hz)
    own = np.abs(np.convolve(around, model, "valid"))[MODELLED - ORDER - near : MODELLED - ORDER + near].max()
    return float(20.0 * np.log10((np.abs(np.convolve(click, model)).max() + 1e-12) / (own + 1e-9)))


def candidates(samples: Samples, sample_rate_hz: int) -> NDArray[np.float64]:
    """What stands out of (channels, samples), (n, 3 + signs): first, stop and channel of each, and its signs."""
    screen = ClickScreen(
        len(samples), scale_of(sample_rate_hz), kept=KEPT, screened=0.0, **NO_TREES.for_kernel()
    )
    screen.process(np.ascontiguousarray(samples))
    screen.finish()
    edge = EDGE_S * sample_rate_hz
    rows = [
        (first, stop, channel, *signs)
        for first, stop, channel, *_, signs in screen.take()
        if edge < first and stop < samples.shape[1] - edge
    ]
    return np.array(rows, dtype=np.float64).reshape(-1, 3 + CLICK_SIGNS)


Rows = NDArray[np.float64]
"""The signs of candidates, (n, signs)."""


def examples(path: Path, seed: int) -> tuple[Rows, list[tuple[int, Rows]]]:
    """The signs of what a track has of its own, and of clicks put into it, by their rate."""
    with open_audio(path) as audio:
        length, rate_hz = audio.length_samples, audio.sample_rate_hz
        # Lossy music reaches beyond full scale; in most files that is cut off, and its corners are no clicks.
        own = candidates(np.clip(audio.read(0, length), -1.0, 1.0), rate_hz)[:, 3:]
        excerpt = min(length, round(EXCERPT_S * rate_hz))
        starts = np.linspace(0, length - excerpt, len(RATES_PER_MINUTE)).astype(int)
        rng, clicks = np.random.default_rng(seed), []
        for per_minute, start in zip(RATES_PER_MINUTE, starts, strict=True):
            samples = audio.read(int(start), excerpt).astype(np.float64)
            if excerpt > 3 * MARGIN:
                clicks.append((per_minute, _found(*with_clicks(samples, rate_hz, per_minute, rng), rate_hz)))
    return own, clicks


def _found(damaged: Signal, put: list[Put], sample_rate_hz: int) -> Rows:
    """The signs of those candidates that are clicks."""
    rows = candidates(damaged.astype(np.float32), sample_rate_hz)
    hit = [any(c == p.channel and a < p.stop and p.first < b for p in put) for a, b, c in rows[:, :3]]
    return rows[np.array(hit, dtype=bool), 3:]


def learn(folder: Path) -> ClickTrees:
    """The trees of a folder of albums; MatchError names a track that cannot be read, UnfitError where too little is."""
    paths = sorted(p for album in folder.iterdir() if album.is_dir() for p in album.iterdir() if p.is_file())
    by_rate: dict[int, list[Rows]] = {rate: [] for rate in RATES_PER_MINUTE}
    with ProcessPoolExecutor() as pool:
        found = list(pool.map(examples, paths, range(len(paths))))
        for _, clicks in found:
            for per_minute, rows in clicks:
                by_rate[per_minute].append(rows)
        check_enough([[own for own, _ in found], *by_rate.values()])
        synthetic = list(pool.map(synthesised, range(PLAYED)))
    return trees_of([own for own, _ in found], synthetic, list(by_rate.values()))


def check_enough(kinds: list[list[Rows]]) -> None:
    """UnfitError where there are too few examples of any kind."""
    fewest = min(sum(len(rows) for rows in kind) for kind in kinds)
    if fewest < FEWEST:
        raise UnfitError(f"music: {fewest} examples of a kind are too little to learn from; {FEWEST} are needed")


def synthesised(seed: int) -> Rows:
    """The signs of what stands out of a piece of synthesised music."""
    samples = played(np.random.default_rng(seed), PLAYED_RATE_HZ).astype(np.float32)
    rows = candidates(samples, PLAYED_RATE_HZ)[:, 3:]
    return rows[:: 1 + len(rows) // MOST_OF_A_PIECE]


def trees_of(music: list[Rows], synthetic: list[Rows], clicks_by_rate: list[list[Rows]]) -> ClickTrees:
    """Trees that tell the signs of clicks from those of music; every rate, and either kind, weighs the same."""
    from sklearn.ensemble import GradientBoostingClassifier

    check_enough([music, synthetic, *clicks_by_rate])
    kinds = [np.concatenate(rows) for rows in (music, synthetic, *clicks_by_rate)]
    shares = [0.5 * (1.0 - PLAYED_SHARE), 0.5 * PLAYED_SHARE, *(0.5 / len(clicks_by_rate) for _ in clicks_by_rate)]
    weights = np.concatenate([np.full(len(rows), share / len(rows)) for rows, share in zip(kinds, shares, strict=True)])
    clicked = np.arange(len(weights)) >= len(kinds[0]) + len(kinds[1])
    fit = GradientBoostingClassifier(
        n_estimators=TREES, learning_rate=RATE, max_leaf_nodes=LEAVES, subsample=SHARE,
        min_samples_leaf=20, init="zero", random_state=0,
    ).fit(np.concatenate(kinds), clicked, sample_weight=weights * len(weights))
    roots: list[int] = []
    sign: list[int] = []
    at: list[float] = []
    following: list[int] = []
    for (regressor,) in fit.estimators_:
        roots.append(len(sign))
        _append(regressor.tree_, sign, at, following)
    return ClickTrees(
        base=0.0,  # both kinds weigh the same
        roots=tuple(roots),
        sign=tuple(sign),
        at=tuple(at),
        next=tuple(following),
        tracks=len(music),
        clicks=int(clicked.sum()),
        music=int((~clicked).sum()),
        made_by=f"match {VERSION}",
    )


def _append(tree: Any, sign: list[int], at: list[float], following: list[int]) -> None:
    """A tree's nodes in a row, those that follow one side by side."""
    queue, first = [0], len(sign)
    for node in queue:
        leaf = tree.children_left[node] < 0
        sign.append(-1 if leaf else int(tree.feature[node]))
        at.append(float(f"{RATE * tree.value[node, 0, 0] if leaf else tree.threshold[node]:.5g}"))
        following.append(0 if leaf else first + len(queue))
        if not leaf:
            queue += [int(tree.children_left[node]), int(tree.children_right[node])]


if __name__ == "__main__":
    main_of("click_learning", learn)
