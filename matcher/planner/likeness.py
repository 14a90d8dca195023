"""Like with like: where two pieces play the same, what differs in sound is mastering.

Two excerpts of one song share passages, bars or at least a drum pattern. They are found by what is played, not by how
it sounds: by the fine structure of the spectrum over a second, of which no equalizer changes anything. The tone is then
compared between the moments that are most alike, so that a chorus is not held against a verse.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.meters.loudness import k_weighting_response_db
from matcher.planner.gaussian import Array
from matcher.priors import Line
from matcher.profile import THIRD_OCTAVES_HZ, Course, Profile
from matcher.reference import Record

Mask = NDArray[np.bool_]
Floats = NDArray[np.float32]

WINDOW = 10
"""Frames of 100 ms that are compared as one."""
SMOOTH_SEMITONES = 12
"""What changes over more than this is tone, not notes."""
NOTE_LIMIT_DB = 15.0
DEEPEST_DB = 70.0
HEARD_DB = 55.0
NARROWEST_DB, WIDEST_DB = -40.0, 20.0
"""Beyond these the side against the mid says nothing."""
MOST_FRAMES = 2400
"""Longer tracks are represented by stretches, evenly spread."""
STRETCH = 100
SHARES = (1.0, 0.25, 0.06)
"""How many of the best matches are listened to: more say more, fewer are more alike."""
FEWEST = 20
EQUAL = 0.002
"""Similarities this close are the same."""
TOGETHER = 128
"""Windows of one track that are held against all of the other at a time."""


@dataclass(frozen=True, eq=False)
class Alike:
    """Reference minus target over moments in which both play the same, dB per third octave."""

    tone_db: Array
    """Of the mid at equal loudness."""
    width_db: Array
    """Of the side against the mid."""
    similarity: float
    """Mean correlation of what is played in them: 1 for the same notes, 0 for any."""


def compare(target: Course, reference: Course) -> list[Alike]:
    """What differs over the most similar moments, for each of `SHARES`; empty where there is too little to compare."""
    with ThreadPoolExecutor(max_workers=2) as pool:
        here, there = pool.map(_windows, (target, reference))
        if here is None or there is None:
            return []
        alike = _similarity(here.notes, there.notes)
        alike[~here.whole] = alike[:, ~there.whole] = -2.0
        found = pool.map(_nearest, (alike, alike.T), (there.sound_db, here.sound_db))
        (best_there, sound_there), (best_here, sound_here) = found
    best = np.concatenate([best_there[here.whole], best_here[there.whole]])
    apart = np.vstack([(sound_there - here.sound_db)[here.whole], (there.sound_db - sound_here)[there.whole]])
    ranked = np.sort(best)[::-1]
    counts = [min(max(FEWEST, int(share * len(best))), len(best)) for share in SHARES]
    shares = []
    for count in counts:
        picked = best >= ranked[count - 1] - EQUAL
        tone_db, width_db = np.split(np.median(apart[picked], axis=0), 2)
        shares.append(Alike(tone_db, width_db, float(best[picked].mean())))
    return shares


class Moments:
    """The moments of a target and its references that are alike, each pair of tracks compared once."""

    def __init__(self, target: Profile) -> None:
        self._target = target
        self._found: dict[str, list[Alike]] = {}

    def of(self, references: Sequence[Record]) -> list[Alike]:
        """As `compare`, averaged over the references that have such moments."""
        tracks = [p for p in references if isinstance(p, Profile)]
        for p in tracks:
            if p.content_hash not in self._found:
                self._found[p.content_hash] = compare(self._target.course, p.course)
        found = [each for p in tracks if (each := self._found[p.content_hash])]
        return [
            Alike(
                np.mean([v.tone_db for v in versions], axis=0),
                np.mean([v.width_db for v in versions], axis=0),
                float(np.mean([v.similarity for v in versions])),
            )
            for versions in zip(*found, strict=True)
        ]


Expected = tuple[float, float] | None


def expectations(alike: Sequence[Alike], lines: Sequence[Line]) -> list[Expected]:
    """How far the music itself is expected to differ: in whole tracks, then in each of `alike`; None if not known.

    lines: of whole tracks and of each of `SHARES`, in this order.
    """
    if not alike:
        return [None]
    whole, *parts = lines
    every = zip(parts, alike, strict=True)
    return [whole.expected(alike[0].similarity), *(line.expected(each.similarity) for line, each in every)]


@dataclass(frozen=True, eq=False)
class Windows:
    """A track in overlapping windows of `WINDOW` frames."""

    notes: Array
    """What is played in each frame, shape (frames, semitones)."""
    whole: Mask
    """Windows that sound throughout, shape (windows,)."""
    sound_db: Array
    """Third octaves of each window at 0 LUFS, and of its side against its mid, shape (windows, 2 * 30)."""


def _windows(course: Course) -> Windows | None:
    """None where there is too little."""
    power = course.tone.sum(axis=0)
    if power.size < 2 * WINDOW or not power.any():
        return None
    heard = power > power.max() * 10.0 ** (-HEARD_DB / 10.0)
    frames = np.flatnonzero(heard)
    frames = np.arange(frames[0], frames[-1] + 1)
    if len(frames) > MOST_FRAMES:
        starts = np.linspace(frames[0], frames[-1] + 1 - STRETCH, MOST_FRAMES // STRETCH).astype(int)
        frames = (starts[:, None] + np.arange(STRETCH)).ravel()
    count = len(frames) - WINDOW + 1
    if count < FEWEST:
        return None
    notes = _notes_db(course.notes[:, frames].T.astype(np.float64), heard[frames])
    # A window counts where all of it sounds and it does not reach over the joint of two stretches.
    whole = np.convolve(heard[frames], np.ones(WINDOW), "valid") > WINDOW - 0.5
    numbers = course.frame[frames]
    whole &= numbers[WINDOW - 1 :] - numbers[:count] == WINDOW - 1
    if whole.sum() < FEWEST:
        return None
    tone, side = (_summed(power[:, frames].T) for power in (course.tone, course.side))
    weight = 10.0 ** (k_weighting_response_db(THIRD_OCTAVES_HZ, 48_000) / 10.0)
    tone_db = 10.0 * np.log10(tone / (tone @ weight)[:, None])
    width_db = np.clip(10.0 * np.log10(side / tone), NARROWEST_DB, WIDEST_DB)
    return Windows(notes, whole, np.hstack([tone_db, width_db]))


def _summed(power: NDArray[np.float32]) -> Array:
    """(frames, bands) summed over each window."""
    running = np.cumsum(np.vstack([np.zeros(power.shape[1]), power]), axis=0, dtype=np.float64)
    return np.maximum(running[WINDOW:] - running[:-WINDOW], 1e-20)


def _notes_db(power: Array, heard: Mask) -> Array:
    """What is played, dB, (frames, semitones): level without its smooth part and without what always sounds."""
    level = 10.0 * np.log10(power + 1e-20)
    level = np.maximum(level, level.max() - DEEPEST_DB)
    bell = np.hanning(2 * SMOOTH_SEMITONES + 3)[1:-1]
    padded = np.pad(level, ((0, 0), (SMOOTH_SEMITONES, SMOOTH_SEMITONES)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(bell), axis=1)
    fine = level - windows @ (bell / bell.sum())
    return np.clip(fine - fine[heard].mean(axis=0), -NOTE_LIMIT_DB, NOTE_LIMIT_DB)


def _similarity(here: Array, there: Array) -> Floats:
    """Correlation of every window of one track with every window of the other, shape (windows, windows)."""
    sizes, other_sizes = _sizes(here), _sizes(there)
    notes, others = here.astype(np.float32), there.astype(np.float32)
    similar = np.empty((len(sizes), len(other_sizes)), dtype=np.float32)
    for start in range(0, len(sizes), TOGETHER):
        part = slice(start, start + TOGETHER)
        similar[part] = _summed_products(notes[start : start + TOGETHER + WINDOW - 1], others)
        similar[part] /= sizes[part, None] * other_sizes
    return similar


def _summed_products(notes: Floats, others: Floats) -> Floats:
    """Of what is played in every window of one track with every window of the other, by doubling."""
    doubled: Floats = notes @ others.T
    rows, columns = doubled.shape[0] - WINDOW + 1, doubled.shape[1] - WINDOW + 1
    total, covered, span = np.zeros((rows, columns), dtype=np.float32), 0, 1
    while covered < WINDOW:
        if WINDOW & span:
            total += doubled[covered : rows + covered, covered : columns + covered]
            covered += span
        if covered < WINDOW:
            doubled = doubled[:-span, :-span] + doubled[span:, span:]
            span *= 2
    return total


def _sizes(notes: Array) -> Floats:
    """Root of the summed squares of each window."""
    squares = np.convolve((notes**2).sum(axis=1), np.ones(WINDOW), "valid")
    return np.asarray(np.sqrt(squares + 1e-9), dtype=np.float32)


def _nearest(similar: Floats, sound_db: Array) -> tuple[Array, Array]:
    """For every row the highest similarity, and the mean sound of all windows that reach it: loops repeat exactly."""
    best, sound = similar.max(axis=1), np.empty((len(similar), sound_db.shape[1]))
    sounds = sound_db.astype(np.float32)
    for start in range(0, len(similar), TOGETHER):
        part = slice(start, start + TOGETHER)
        equal = (similar[part] >= best[part, None] - EQUAL).astype(np.float32)
        sound[part] = (equal @ sounds) / equal.sum(axis=1, keepdims=True)
    return best, sound
