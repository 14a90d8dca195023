"""Like with like: where two pieces play the same, what differs in sound is mastering.

Two excerpts of one song share passages, bars or at least a drum pattern. They are found by what is played, not by how
it sounds: by the fine structure of the spectrum over a second, of which no equalizer changes anything. The tone is then
compared between the moments that are most alike, so that a chorus is not held against a verse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.meters.loudness import k_weighting_response_db
from matcher.planner.gaussian import Array
from matcher.profile import THIRD_OCTAVES_HZ, Course

Mask = NDArray[np.bool_]
Indices = NDArray[np.intp]

WINDOW = 10
"""Frames of 100 ms that are compared as one."""
SMOOTH_SEMITONES = 12
"""What changes over more than this is tone, not notes."""
NOTE_LIMIT_DB = 15.0
DEEPEST_DB = 70.0
HEARD_DB = 55.0
MOST_FRAMES = 3000
"""Longer tracks are represented by stretches, evenly spread."""
STRETCH = 100
SHARES = (0.25, 0.06)
"""How many of the best matches are listened to: more say more, fewer are more alike."""
FEWEST = 20


def differences_db(target: Course, reference: Course) -> list[Array]:
    """Reference minus target per third octave at equal loudness, over the most similar moments, for each of `SHARES`.

    Empty where there is too little to compare.
    """
    here, there = _stretches(target), _stretches(reference)
    if here is None or there is None:
        return []
    rows, columns, alike = _matches(*here[:2], *there[:2])
    order = np.argsort(-alike, kind="stable")
    found = []
    for share in SHARES:
        best = order[: max(FEWEST, int(share * len(order)))]
        apart = there[2][columns[best]] - here[2][rows[best]]
        found.append(np.median(apart, axis=0))
    return found


def _stretches(course: Course) -> tuple[Array, Mask, Array] | None:
    """(notes, which windows count, tone of each window at 0 LUFS); frames or windows first."""
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
    whole &= frames[WINDOW - 1 :] - frames[:count] == WINDOW - 1
    if whole.sum() < FEWEST:
        return None
    running = np.cumsum(np.vstack([np.zeros(len(course.tone)), course.tone[:, frames].T]), axis=0, dtype=np.float64)
    tone = np.maximum(running[WINDOW:] - running[:-WINDOW], 1e-20)
    weight = 10.0 ** (k_weighting_response_db(THIRD_OCTAVES_HZ, 48_000) / 10.0)
    tone_db = 10.0 * np.log10(tone / (tone @ weight)[:, None])
    return notes, whole, tone_db


def _notes_db(power: Array, heard: Mask) -> Array:
    """What is played, dB, (frames, semitones): level without its smooth part and without what always sounds."""
    level = 10.0 * np.log10(power + 1e-20)
    level = np.maximum(level, level.max() - DEEPEST_DB)
    bell = np.hanning(2 * SMOOTH_SEMITONES + 3)[1:-1]
    padded = np.pad(level, ((0, 0), (SMOOTH_SEMITONES, SMOOTH_SEMITONES)), mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, len(bell), axis=1)
    fine = level - windows @ (bell / bell.sum())
    return np.clip(fine - fine[heard].mean(axis=0), -NOTE_LIMIT_DB, NOTE_LIMIT_DB)


def _matches(here: Array, counts: Mask, there: Array, counts_there: Mask) -> tuple[Indices, Indices, Array]:
    """For every window of either track the most similar one of the other: (rows, columns, similarity)."""
    product = here.astype(np.float32) @ there.T.astype(np.float32)
    rows, columns = product.shape[0] - WINDOW + 1, product.shape[1] - WINDOW + 1
    similar = np.zeros((rows, columns), dtype=np.float32)
    for k in range(WINDOW):
        similar += product[k : rows + k, k : columns + k]
    one = np.ones(WINDOW)
    sizes = [np.sqrt(np.convolve((x**2).sum(axis=1), one, "valid") + 1e-9).astype(np.float32) for x in (here, there)]
    similar /= sizes[0][:, None]
    similar /= sizes[1][None, :]
    similar[~counts] = -2.0
    similar[:, ~counts_there] = -2.0
    left, right = np.flatnonzero(counts), np.flatnonzero(counts_there)
    best_right, best_left = similar.argmax(axis=1)[left], similar.argmax(axis=0)[right]
    pairs = np.concatenate([left, best_left]), np.concatenate([best_right, right])
    return *pairs, similar[pairs].astype(np.float64)
