"""Sounds to learn clicks from: clicks of many shapes, and played sounds that are as sudden and yet music."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Signal = NDArray[np.float64]
Random = np.random.Generator

SECONDS = 8.0


def click(rng: Random, sample_rate_hz: int) -> Signal:
    """A click of peak 1, 0.08 to 4.5 ms: decays, swings, bursts, thumps, band-limited pulses, wild samples."""
    count = max(2, round(1e-3 * np.exp(rng.uniform(np.log(0.08), np.log(4.5))) * sample_rate_hz))
    t = np.arange(count) / count
    decay, turns = rng.uniform(2.0, 9.0), rng.uniform(0.5, 12.0)
    makers: tuple[Callable[[], Signal], ...] = (
        lambda: np.exp(-decay * t),
        lambda: np.exp(-decay * t) * np.sin(2.0 * np.pi * turns * t + rng.uniform(0.0, 2.0 * np.pi)),
        lambda: np.exp(-decay * t) * rng.standard_normal(count),
        lambda: np.sin(np.pi * (t + 0.5 / count)) ** rng.uniform(0.7, 4.0),
        lambda: np.exp(-decay * t) - np.exp(-decay * rng.uniform(1.5, 6.0) * t),
        lambda: _pulse(rng, count),
        lambda: np.where(np.arange(count) < rng.integers(1, 8), rng.uniform(-1.0, 1.0, count), 0.0),
        lambda: _swing(rng, t),
    )
    made = makers[rng.integers(len(makers))]()
    top = np.abs(made).max()
    return rng.choice([-1.0, 1.0]) * (made / top if top > 0.0 else np.ones(count))


def _pulse(rng: Random, count: int) -> Signal:
    """What a low-pass makes of a single sample."""
    from scipy import signal

    b, a = signal.butter(int(rng.integers(1, 4)), rng.uniform(0.05, 0.9))
    made: Signal = signal.lfilter(b, a, np.eye(1, count + 1)[0])[:count]
    return made


def _swing(rng: Random, t: Signal) -> Signal:
    """Up and down again, from nothing to nothing."""
    made = np.exp(-0.5 * ((t - 0.3) / rng.uniform(0.05, 0.2)) ** 2)
    made = made - rng.uniform(0.2, 1.0) * np.exp(-0.5 * ((t - 0.6) / rng.uniform(0.08, 0.25)) ** 2)
    swing: Signal = made - np.linspace(made[0], made[-1], len(t))
    return swing


def played(rng: Random, sample_rate_hz: int) -> Signal:
    """Some seconds of synthesised music with sudden sounds, float64 (2, samples), over a floor or over nothing."""
    from scipy import signal

    makers = (_drums, _bursts, _notes, _notes, _driven, _plucked, _cut)
    made = makers[rng.integers(len(makers))](rng, sample_rate_hz)
    made *= rng.uniform(0.1, 0.9) / max(np.abs(made).max(), 1e-9)
    right = made * rng.uniform(0.5, 1.0)
    if rng.random() < 0.3:
        right = np.roll(made, int(rng.integers(1, 40)))
    both = np.stack([made, right])
    if rng.random() < 0.8:
        floor = rng.standard_normal((2, len(made)))
        if rng.random() < 0.7:
            floor = signal.lfilter([1.0], [1.0, -rng.uniform(0.3, 1.7), rng.uniform(0.72, 0.9)], floor)
        both = both + floor * 10.0 ** (rng.uniform(-90.0, -45.0) / 20.0)
    if rng.random() < 0.3:
        steps = 2.0 ** rng.integers(7, 16)
        both = np.round(both * steps) / steps
    return both


def _times(rng: Random, sample_rate_hz: int) -> list[int]:
    """When something is struck: on a grid, by a player, or any time."""
    count, beat_s = round(SECONDS * sample_rate_hz), rng.uniform(0.06, 0.6)
    unevenness_s = rng.choice([0.0, 0.002, 0.02])
    starts = np.arange(0.05, SECONDS - 0.1, beat_s)
    if rng.random() < 0.3:
        starts = np.sort(rng.uniform(0.05, SECONDS - 0.1, len(starts)))
    starts = starts[rng.random(len(starts)) < rng.uniform(0.5, 1.0)] + unevenness_s * rng.standard_normal(1)
    starts = starts + unevenness_s * rng.standard_normal(len(starts))
    return [int(s) for s in np.clip(starts * sample_rate_hz, 0, count - 10)]


def _struck(rng: Random, sample_rate_hz: int, hit: Callable[[Signal, int], Signal]) -> Signal:
    """`hit` of the seconds since, and of its number, wherever something is struck."""
    made = np.zeros(round(SECONDS * sample_rate_hz))
    for number, start in enumerate(_times(rng, sample_rate_hz)):
        t = np.arange(min(round(0.5 * sample_rate_hz), len(made) - start)) / sample_rate_hz
        made[start : start + len(t)] += rng.uniform(0.3, 1.0) * hit(t, number)
    return made


def _drums(rng: Random, sample_rate_hz: int) -> Signal:
    from scipy import signal

    decays, sweep_s = rng.uniform(0.003, 0.1, 3), rng.uniform(0.003, 0.03)
    kick_hz, bend = rng.uniform(40.0, 90.0), rng.uniform(1.0, 10.0)
    bright = rng.uniform(0.0, 0.95)

    def hit(t: Signal, number: int) -> Signal:
        if number % 4 == 0:
            swept = 2.0 * np.pi * kick_hz * t + bend * np.exp(-t / sweep_s)
            return np.asarray(np.sin(swept) * np.exp(-t / (2.0 * decays[0] + 0.03)))
        noise = rng.standard_normal(len(t)) * np.exp(-t / decays[number % 3])
        return np.asarray(signal.lfilter([1.0, -bright], [1.0], noise))

    return _struck(rng, sample_rate_hz, hit)


def _bursts(rng: Random, sample_rate_hz: int) -> Signal:
    """Castanets, blocks, bells: resonances that die away."""
    pitches, decay_s = rng.uniform(400.0, 9000.0, int(rng.integers(1, 5))), rng.uniform(0.0015, 0.04)

    def hit(t: Signal, number: int) -> Signal:
        tones = sum(np.sin(2.0 * np.pi * hz * t + rng.uniform(0.0, 6.28)) for hz in pitches)
        return np.asarray(tones * np.exp(-t / decay_s))

    return _struck(rng, sample_rate_hz, hit)


def _notes(rng: Random, sample_rate_hz: int) -> Signal:
    """Chords of sines, or naive waves of a chip, that begin abruptly or in some milliseconds."""
    from scipy import signal

    t = np.arange(round(SECONDS * sample_rate_hz)) / sample_rate_hz
    note_s, attack_s, decay_s = rng.uniform(0.08, 2.0), rng.choice([1e-6, 0.002, 0.01, 0.03]), rng.uniform(0.05, 2.0)
    since = t % note_s
    number = (t / note_s).astype(int)
    made = np.zeros(len(t))
    for _ in range(int(rng.integers(1, 7))):
        steps = rng.integers(-12, 13, number.max() + 1) if rng.random() < 0.6 else np.zeros(number.max() + 1)
        phase = 2.0 * np.pi * np.cumsum(rng.uniform(50.0, 1800.0) * 2.0 ** (steps[number] / 12.0)) / sample_rate_hz
        wave = (np.sin, np.sin, signal.square, signal.sawtooth)[rng.integers(4)]
        made += rng.uniform(0.1, 1.0) * wave(phase + rng.uniform(0.0, 6.28))
    envelope = np.exp(-since / decay_s) * np.minimum(1.0, since / attack_s)
    if rng.random() < 0.4:
        envelope = envelope * (since < rng.uniform(0.3, 1.0) * note_s)  # gated
    return np.asarray(made * envelope)


def _cut(rng: Random, sample_rate_hz: int) -> Signal:
    """Chords that ring until they are cut off and struck again, softly or at once, as edits and gates do."""
    t = np.arange(round(SECONDS * sample_rate_hz)) / sample_rate_hz
    note_s, attack_s, decay_s = rng.uniform(0.3, 2.5), rng.choice([1e-6, 0.003, 0.01, 0.03]), rng.uniform(0.3, 2.0)
    since = t % note_s
    pitches = rng.uniform(60.0, 400.0) * np.arange(1, rng.integers(2, 16)) ** rng.uniform(0.9, 1.1)
    tones = sum(np.sin(2.0 * np.pi * hz * t + rng.uniform(0.0, 6.28)) / n for n, hz in enumerate(pitches, 1))
    return np.asarray(tones * np.exp(-since / decay_s) * np.minimum(1.0, since / attack_s))


def _driven(rng: Random, sample_rate_hz: int) -> Signal:
    """A guitar into a limit, hard or soft."""
    from scipy import signal

    chord, drive = _notes(rng, sample_rate_hz), rng.uniform(2.0, 20.0)
    driven = drive * (chord / np.abs(chord).max()) + rng.uniform(0.0, 0.05) * rng.standard_normal(len(chord))
    made = np.clip(driven, -1.0, 1.0) if rng.random() < 0.5 else np.tanh(driven)
    return np.asarray(signal.lfilter([1.0], [1.0, -rng.uniform(0.0, 0.8)], made))


def _plucked(rng: Random, sample_rate_hz: int) -> Signal:
    """Strings: noise in a loop that loses its brightness."""
    from scipy import signal


    def hit(t: Signal, number: int) -> Signal:
        period = int(sample_rate_hz / rng.uniform(60.0, 900.0))
        loop = np.zeros(period + 2)
        loop[0], loop[period], loop[period + 1] = 1.0, -0.497, -0.497
        start = np.zeros(len(t))
        start[:period] = rng.standard_normal(min(period, len(t)))[: len(start[:period])]
        return np.asarray(signal.lfilter([1.0], loop, start))

    return _struck(rng, sample_rate_hz, hit)
