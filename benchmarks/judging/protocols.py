"""The protocols: each draws cases of (target, reference, truth) and says how a master is measured in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from judging import measures
from judging.chains import master, styled
from judging.sound import RATE_HZ, Sound, at_loudness, at_peak, lufs, read

TRIES = 20
LEVEL_LUFS, STYLE_PEAK_DBFS = -20.0, -12.0
STYLE_SAMPLES = 262_144
SILENT = 1e-5
"""Mean square below which the style-transfer protocol takes a half for silence."""


@dataclass(frozen=True, eq=False)
class Case:
    """What a competitor gets, and what judges it."""

    kind: str
    target: Sound
    reference: Sound
    truth: Sound | None = None


@dataclass(frozen=True)
class Protocol:
    """How cases come about, how a master is measured, and which measures are the lower the better."""

    title: str
    cases: Callable[[list[list[Path]], int, float, np.random.Generator], Iterator[Case]]
    measure: Callable[[Sound, Case], dict[str, float]]
    higher: tuple[str, ...] = ()


def _excerpt(path: Path, seconds: float, rng: np.random.Generator) -> Sound | None:
    sound = read(path, rng.random(), seconds)
    return None if len(sound) < 0.9 * seconds * RATE_HZ or lufs(sound) < -50.0 else at_loudness(sound, LEVEL_LUFS)


def _two(albums: list[list[Path]], kind: str, seconds: float, rng: np.random.Generator) -> tuple[Sound, Sound] | None:
    """Two stretches of one piece that do not overlap, or of two pieces of one album."""
    album = albums[rng.integers(len(albums))]
    if kind == "same":
        both = read(album[rng.integers(len(album))], rng.random(), 2.5 * seconds)
        size = round(seconds * RATE_HZ)
        parts = [both[:size], both[-size:]]
        if len(both) < 2 * size or min(map(lufs, parts)) < -50.0:
            return None
        one, other = (at_loudness(parts[i], LEVEL_LUFS) for i in rng.permutation(2))
        return one, other
    if len(album) < 2:
        return None
    found = [_excerpt(album[i], seconds, rng) for i in rng.choice(len(album), 2, replace=False)]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def recovery_cases(albums: list[list[Path]], count: int, seconds: float, rng: np.random.Generator) -> Iterator[Case]:
    """A hidden master of B is the reference, A the target, the same master of A the truth; same piece and album."""
    for i in range(count):
        kind = ("same", "album")[i % 2]
        drawn = next((d for _ in range(TRIES) if (d := _two(albums, kind, seconds, rng))), None)
        if drawn is not None:
            chain = master(rng)
            yield Case(kind, drawn[0], chain(drawn[1]), chain(drawn[0]))


def measure_recovery(sound: Sound, case: Case) -> dict[str, float]:
    """Distances to the truth, and the share of the untouched target's that was removed."""
    assert case.truth is not None
    untouched = measures.to_truth(at_loudness(case.target, lufs(case.truth)), case.truth)
    distance = measures.to_truth(sound, case.truth)
    return {"recovered": measures.recovered(distance, untouched), **distance}


def style_cases(albums: list[list[Path]], count: int, _: float, rng: np.random.Generator) -> Iterator[Case]:
    """DeepAFx-ST: a patch damaged twice; one half of the first is to become like the other half of the second."""
    tracks = [t for album in albums for t in album]
    for _i in range(count):
        for _try in range(TRIES):
            patch = read(tracks[rng.integers(len(tracks))], rng.random(), 2 * STYLE_SAMPLES / RATE_HZ)
            mono = np.repeat(patch.mean(axis=1, keepdims=True), 2, axis=1)
            if len(mono) < 2 * STYLE_SAMPLES:
                continue
            mono = mono[: 2 * STYLE_SAMPLES]
            halves = mono.reshape(2, STYLE_SAMPLES, 2)
            if min((h**2).mean() for h in halves) < SILENT:
                continue
            damaged, styled_as = (
                at_peak(styled(rng, dynamics)(mono), STYLE_PEAK_DBFS) for dynamics in ("expander", "compressor")
            )
            mine, other = rng.permutation(2)
            parts = [slice(k * STYLE_SAMPLES, (k + 1) * STYLE_SAMPLES) for k in (mine, other)]
            yield Case("style", damaged[parts[0]], styled_as[parts[1]], styled_as[parts[0]])
            break


def measure_style(sound: Sound, case: Case) -> dict[str, float]:
    """The protocol's distances, of one channel."""
    assert case.truth is not None
    return measures.to_style(sound.mean(axis=1), case.truth[:, 0])


def feature_cases(albums: list[list[Path]], count: int, seconds: float, rng: np.random.Generator) -> Iterator[Case]:
    """Tracks of different albums: the master is to come near a reference that is another music."""
    for _i in range(count):
        for _try in range(TRIES):
            if len(albums) > 1:
                picked = [albums[k] for k in rng.choice(len(albums), 2, replace=False)]
            else:
                picked = [albums[0], albums[0]]
            drawn = [_excerpt(a[rng.integers(len(a))], seconds, rng) for a in picked]
            if drawn[0] is not None and drawn[1] is not None:
                peak = float(rng.uniform(-3.0, -0.3))
                yield Case("unrelated", drawn[0], at_peak(drawn[1], peak))
                break


def measure_features(sound: Sound, case: Case) -> dict[str, float]:
    """Audio features and bands against the reference, and what was kept of the target."""
    return measures.to_reference(sound, case.reference, case.target)


PROTOCOLS = {
    "recovery": Protocol("Recovery of a hidden master", recovery_cases, measure_recovery, ("recovered",)),
    "style": Protocol("DeepAFx-ST: one half like the other", style_cases, measure_style),
    "features": Protocol("Audio features, unrelated pairs", feature_cases, measure_features, ("kept_db",)),
}
