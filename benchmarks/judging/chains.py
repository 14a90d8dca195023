"""Hidden processing, drawn at random: masters to recover and damage to undo.

Written with SciPy alone, so that no effect of the engine is favoured. Filters: Robert Bristow-Johnson, Audio EQ
Cookbook.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, signal

from judging.sound import RATE_HZ, Sound, lufs, mid_side

Chain = Callable[[Sound], Sound]
CONTROL = 44
"""Samples for which a compressor's gain is worked out once: a millisecond."""


def section(kind: str, frequency_hz: float, gain_db: float, q: float) -> NDArray[np.float64]:
    """One `peak`, `low` or `high` shelf as a second-order section."""
    a, w = 10.0 ** (gain_db / 40.0), 2.0 * np.pi * frequency_hz / RATE_HZ
    cos, alpha = np.cos(w), np.sin(w) / (2.0 * q)
    if kind == "peak":
        row = np.array([1 + alpha * a, -2 * cos, 1 - alpha * a, 1 + alpha / a, -2 * cos, 1 - alpha / a])
    else:
        sign, root = (1.0 if kind == "low" else -1.0), 2.0 * np.sqrt(a) * alpha
        up, down = (a + 1) + sign * (a - 1) * cos, (a + 1) - sign * (a - 1) * cos
        row = np.array(
            [
                a * (down + root),
                sign * 2 * a * ((a - 1) - sign * (a + 1) * cos),
                a * (down - root),
                up + root,
                -sign * 2 * ((a - 1) + sign * (a + 1) * cos),
                up - root,
            ]
        )
    return (row / row[3])[None]


def compressed(
    sound: Sound, threshold_db: float, ratio: float, attack_ms: float, release_ms: float
) -> Sound:
    """Feed-forward compression of all channels together, by their mean power; a ratio below 1 expands upwards."""
    count = -(-len(sound) // CONTROL)
    power = np.pad((sound**2).mean(axis=1), (0, count * CONTROL - len(sound))).reshape(count, CONTROL).mean(axis=1)
    over_db = np.maximum(10.0 * np.log10(power + 1e-12) - threshold_db, 0.0)
    wanted = (1.0 / ratio - 1.0) * over_db
    attack, release = (float(np.exp(-CONTROL / RATE_HZ / (ms * 1e-3))) for ms in (attack_ms, release_ms))
    gain_db, now = np.empty(count), 0.0
    for i, to in enumerate(wanted):
        share = attack if abs(to) > abs(now) else release
        now = to + (now - to) * share
        gain_db[i] = now
    places = (np.arange(count) + 0.5) * CONTROL
    return sound * 10.0 ** (np.interp(np.arange(len(sound)), places, gain_db) / 20.0)[:, None]


def limited(sound: Sound, ceiling_dbfs: float, reach_ms: float = 2.0) -> Sound:
    """Sample peaks held to the ceiling by a gain that looks ahead and behind by `reach_ms`."""
    reach = round(reach_ms * 1e-3 * RATE_HZ)
    needed = np.minimum(1.0, 10.0 ** (ceiling_dbfs / 20.0) / np.maximum(np.abs(sound).max(axis=1), 1e-9))
    lowest = ndimage.minimum_filter1d(needed, 2 * reach + 1)
    return sound * ndimage.uniform_filter1d(lowest, 2 * reach + 1)[:, None]


def master(rng: np.random.Generator) -> Chain:
    """A mastering chain: four EQ bands, side gain, perhaps a mono low end, three-band compression, limiting."""
    u = rng.uniform
    sections = np.vstack(
        [
            section("low", u(60, 200), u(-5, 6), u(0.5, 0.9)),
            section("peak", np.exp(u(np.log(150), np.log(600))), u(-4, 3), u(0.5, 1.5)),
            section("peak", np.exp(u(np.log(700), np.log(5000))), u(-4, 4), u(0.5, 1.5)),
            section("high", np.exp(u(np.log(4000), np.log(11_000))), u(-4, 7), u(0.5, 0.9)),
        ]
    )
    side_gain = 10.0 ** (u(-5, 4) / 20.0)
    mono_below_hz = u(90, 150) if rng.random() < 0.4 else None
    depth_db, ratio, attack_ms, release_ms = u(-2, 8), u(1.5, 3.5), u(3, 20), u(30, 150)
    makeup_db, wanted_lufs, ceiling_dbfs = u(-1, 1, size=3), u(-15, -9), u(-1.2, -0.3)
    low = signal.butter(2, 180.0, fs=RATE_HZ, output="sos")
    high = signal.butter(2, 3500.0, "high", fs=RATE_HZ, output="sos")

    def apply(sound: Sound) -> Sound:
        mid, side = mid_side(signal.sosfilt(sections, sound, axis=0))
        side = side * side_gain
        if mono_below_hz:
            side = signal.sosfiltfilt(signal.butter(2, mono_below_hz, "high", fs=RATE_HZ, output="sos"), side)
        whole = np.stack([mid + side, mid - side], axis=1)
        bottom, top = (signal.sosfiltfilt(each, whole, axis=0) for each in (low, high))
        out = np.zeros_like(whole)
        for band, gain_db in zip((bottom, whole - bottom - top, top), makeup_db, strict=True):
            level_db = 10.0 * np.log10(np.mean(band**2) + 1e-12)
            squeezed = compressed(band, level_db + 4.0 - depth_db, ratio, attack_ms, release_ms)
            out += squeezed * 10.0 ** (gain_db / 20.0)
        gain_db = wanted_lufs - lufs(out)
        for _ in range(4):
            made = limited(out * 10.0 ** (gain_db / 20.0), ceiling_dbfs)
            gain_db += float(np.clip(wanted_lufs - lufs(made), -3.0, 3.0))
        return made

    return apply


def equalized(rng: np.random.Generator) -> NDArray[np.float64]:
    """The style-transfer protocol's random EQ: up to four bells within 24 dB together, and two shelves."""
    u, left_db, rows = rng.uniform, 24.0, [np.array([1.0, 0, 0, 1.0, 0, 0])[None]]
    for low_hz, high_hz in ((200, 2000), (800, 4000), (2000, 8000), (4000, 0.45 * RATE_HZ)):
        if rng.random() < 0.8 and left_db > 0.0:
            gain_db = min(u(0.0, 48.0), left_db)
            left_db -= gain_db
            rows.append(section("peak", u(low_hz, high_hz), rng.choice([-1.0, 1.0]) * gain_db, u(0.1, 10.1)))
    for kind, low_hz, high_hz in (("low", 20, 200), ("high", 4000, 0.45 * RATE_HZ)):
        if rng.random() < 0.8:
            rows.append(section(kind, u(low_hz, high_hz), u(-24.0, 24.0), 0.7071))
    return np.vstack(rows)


def styled(rng: np.random.Generator, dynamics: str) -> Chain:
    """The protocol's corruption: EQ three times in four; `compressor` as often, `expander` one time in ten."""
    sections = equalized(rng) if rng.random() < 0.75 else None
    acts = rng.random() < (0.75 if dynamics == "compressor" else 0.1)
    depth_db, ratio = rng.uniform(5.0, 25.0), rng.uniform(2.0, 6.0)

    def apply(sound: Sound) -> Sound:
        out = sound if sections is None else signal.sosfilt(sections, sound, axis=0)
        if not acts:
            return out
        loud_db = 10.0 * np.log10(np.mean(out**2) + 1e-12) + 6.0
        if dynamics == "compressor":
            return compressed(out, loud_db - depth_db, ratio, 5.0, 100.0)
        return compressed(out, loud_db - 6.0, 0.7, 5.0, 100.0)

    return apply
