"""Tempo, key and form."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dsp.audio import Audio
from matcher.music import KEYS, key_of, listen

RATE = 44_100


def clicks_and_chord(bpm: float, notes: list[int], seconds: float = 20.0) -> Audio:
    """A chord (steps above C) with a click on every beat."""
    at = np.arange(round(seconds * RATE)) / RATE
    chord = sum(np.sin(2 * np.pi * 261.63 * 2 ** (n / 12) * at) for n in notes) * 0.05
    beat = (at * bpm / 60.0) % 1.0
    click = np.random.default_rng(1).normal(0.0, 0.4, len(at)) * np.exp(-beat * 60.0)
    return Audio((chord + click)[None], RATE)


@pytest.mark.parametrize("bpm", [90.0, 128.0])
def test_hears_the_tempo(bpm: float) -> None:
    """Clicks at a tempo are heard at it, or at its half or double."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # librosa's own dependencies warn of each other
        heard = listen(clicks_and_chord(bpm, [0, 4, 7]))
    assert min(abs(heard.tempo_bpm / (bpm * f) - 1.0) for f in (0.5, 1.0, 2.0)) < 0.05
    assert abs(heard.onsets_per_s / (bpm / 60.0) - 1.0) < 0.1


@pytest.mark.parametrize("tonic", range(12))
def test_hears_the_key(tonic: int) -> None:
    """The notes of a scale, tonic and fifth strongest, are its key."""
    notes = np.zeros(12)
    for step, strength in ((0, 3.0), (2, 1.0), (4, 2.0), (5, 1.0), (7, 2.5), (9, 1.0), (11, 1.0)):
        notes[(tonic + step) % 12] = strength
    key, clarity = key_of(notes)
    assert key == f"{KEYS[tonic]} major"
    assert clarity > 0.8
