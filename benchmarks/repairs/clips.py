"""Declipping beside others: SDR gain on excerpts clipped to a given SDR, and on instruments made for it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.restoration.declip import ClipDetector

Signal = NDArray[np.float64]

# A-SPADE as published: Hann 8192, hop 2048, DFT redundancy 2, s = r = 1; epsilon on coefficients of a unitary DFT.
WINDOW, HOP, REDUNDANCY = 8192, 2048, 2
EPSILON = 0.1
FRAMES_AT_ONCE = 8


def a_spade(clipped: Signal, level: float) -> Signal:
    """SParse Audio DEclipper, analysis variant, of a signal with its peak near 1 that was clipped at ±level.

    Kitić, Bertin and Gribonval, "Sparsity and cosparsity for audio declipping" (LVA/ICA 2015), in the settings of
    Záviška et al., "A survey and an extensive evaluation of popular audio declipping methods" (JSTSP 2021).
    """
    window = np.hanning(WINDOW + 1)[:WINDOW]
    padded = np.pad(clipped, (WINDOW, 2 * WINDOW))
    starts = np.arange(0, len(clipped) + WINDOW, HOP)
    frames = np.stack([padded[s : s + WINDOW] for s in starts])
    bad = np.abs(frames) >= level * (1.0 - 1e-9)
    todo = np.flatnonzero(bad.any(axis=1))
    restored = frames * window
    for some in np.array_split(todo, max(1, len(todo) // FRAMES_AT_ONCE)):
        restored[some] = _spade_frames(restored[some], bad[some])
    out, weight = np.zeros_like(padded), np.zeros_like(padded)
    for start, frame in zip(starts, restored, strict=True):
        out[start : start + WINDOW] += window * frame
        weight[start : start + WINDOW] += window**2
    inside = slice(WINDOW, WINDOW + len(clipped))
    return out[inside] / weight[inside]


def _spade_frames(windowed: Signal, bad: NDArray[np.bool_]) -> Signal:
    """The best of each frame's iterates; all frames go in step, since the sparsity grows with the iteration."""
    size = WINDOW * REDUNDANCY
    observed = windowed.astype(np.float32)
    sign, least = np.sign(observed), np.abs(observed)

    def coefficients(x: NDArray[np.float32]) -> NDArray[np.complex64]:
        return scipy.fft.rfft(x, size, norm="ortho")

    best, best_norm = observed.copy(), np.full(len(observed), np.inf)
    active = np.arange(len(observed))
    x, z = observed, coefficients(observed)
    u = np.zeros_like(z)
    for sparsity in range(1, z.shape[1]):
        wanted = z + u
        power = wanted.real**2 + wanted.imag**2
        kth = np.partition(power, -sparsity, axis=1)[:, -sparsity, None]
        sparse = np.where(power >= kth, wanted, 0)
        miss = z - sparse
        norm = np.sqrt(2.0 * (miss.real**2 + miss.imag**2).sum(axis=1))  # both halves of the spectrum
        better = norm <= best_norm[active]
        best[active[better]], best_norm[active[better]] = x[better], norm[better]
        on = norm > EPSILON
        if not on.any():
            break
        active, sparse, u = active[on], sparse[on], u[on]
        x = scipy.fft.irfft(sparse - u, size, norm="ortho")[:, :WINDOW]
        x = np.where(bad[active], sign[active] * np.maximum(sign[active] * x, least[active]), observed[active])
        z = coefficients(x)
        u += z - sparse
    return best.astype(np.float64)


# Excerpts and what is made of them.

INPUT_SDR_DB = (5.0, 10.0, 15.0, 20.0)


def sdr_db(clean: Signal, other: Signal) -> float:
    """Signal to distortion ratio, 20·log10(|clean| / |clean − other|)."""
    return float(20.0 * np.log10(np.linalg.norm(clean) / max(float(np.linalg.norm(clean - other)), 1e-12)))


def clip_level(clean: Signal, input_sdr_db: float) -> float:
    """The level of the symmetric hard clip that leaves `clean` with this SDR, by bisection."""
    low, high = 0.0, float(np.abs(clean).max())
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (low, middle) if sdr_db(clean, np.clip(clean, -middle, middle)) > input_sdr_db else (middle, high)
    return 0.5 * (low + high)


def own(clipped: Signal, sample_rate_hz: int) -> Signal:
    """This project's: detector and repair, as a match runs them; the signal itself where nothing is found."""
    detector = ClipDetector(sample_rate_hz, 1)
    detector.update(clipped[None])
    settings = detector.result().settings()
    return clipped if settings is None else Chain((settings,))(Audio(clipped[None], sample_rate_hz)).samples[0]


def rows(
    excerpts: list[tuple[str, Audio]], *, input_sdr_db: tuple[float, ...] = INPUT_SDR_DB, beside: bool = True
) -> list[dict[str, Any]]:
    """SDR gain of every excerpt's first channel, peak at 1, at every input SDR; `beside` runs A-SPADE too (slowly).

    Each row: name, input_sdr_db, cut_off (share), match_db, match_cpu_s, reliable_exact, and a_spade_db, a_spade_cpu_s.
    """
    found = []
    for name, audio in excerpts:
        clean = audio.samples[0].astype(np.float64)
        clean = clean / np.abs(clean).max()
        for wanted_db in input_sdr_db:
            level = clip_level(clean, wanted_db)
            clipped = np.clip(clean, -level, level)
            before_db = sdr_db(clean, clipped)
            start = time.process_time()
            made = own(clipped, audio.sample_rate_hz)
            reliable = np.abs(clipped) < level
            row = {
                "name": name,
                "input_sdr_db": wanted_db,
                "cut_off": 1.0 - float(reliable.mean()),
                "match_db": sdr_db(clean, made) - before_db,
                "match_cpu_s": time.process_time() - start,
                "reliable_exact": bool(np.array_equal(made[reliable], clipped[reliable])),
            }
            if beside:
                start = time.process_time()
                row["a_spade_db"] = sdr_db(clean, a_spade(clipped, level)) - before_db
                row["a_spade_cpu_s"] = time.process_time() - start
            found.append(row)
    return found


def instruments(seconds: float = 5.0, sample_rate_hz: int = 44_100) -> list[tuple[str, Audio]]:
    """Ten solo instruments by additive synthesis, in the manner of the published set: plucked, bowed, struck, blown."""
    kinds = {
        # partials, their stretch, tilt (power of the number), decay of the first (s), attack (s), vibrato (cents)
        "violin": (24, 0.0, 1.1, 0.0, 0.08, 18.0),
        "clarinet": (16, 0.0, 1.0, 0.0, 0.04, 0.0),
        "bassoon": (20, 0.0, 1.2, 0.0, 0.05, 3.0),
        "harp": (18, 5e-5, 1.5, 1.2, 0.002, 0.0),
        "glockenspiel": (5, 0.35, 1.0, 0.8, 0.001, 0.0),
        "celesta": (6, 0.2, 1.6, 0.9, 0.002, 0.0),
        "accordion": (22, 0.0, 0.9, 0.0, 0.06, 0.0),
        "guitar": (20, 8e-5, 1.2, 0.9, 0.002, 0.0),
        "piano": (20, 3e-4, 1.3, 1.5, 0.003, 0.0),
        "wind ensemble": (14, 0.0, 1.1, 0.0, 0.07, 6.0),
    }
    return [
        (name, Audio(_solo(number, *kind, seconds, sample_rate_hz)[None], sample_rate_hz))
        for number, (name, kind) in enumerate(kinds.items())
    ]


def _solo(
    seed: int,
    partials: int,
    stretch: float,
    tilt: float,
    decay_s: float,
    attack_s: float,
    vibrato_cents: float,
    seconds: float,
    sample_rate_hz: int,
) -> Signal:
    """Notes of a pentatonic line; every partial has a level and a phase of its own, and dies the faster the higher."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * sample_rate_hz)) / sample_rate_hz
    out = 1e-4 * rng.normal(size=len(t))
    base_hz = {4: 1050.0, 5: 520.0}.get(seed, rng.uniform(130.0, 300.0))
    voices = 3 if seed in (6, 8, 9) else 1
    for begin_s in np.arange(0.0, seconds, 0.5):
        for _ in range(voices):
            pitch_hz = base_hz * 2.0 ** (rng.choice([0, 2, 4, 7, 9, 12]) / 12.0)
            since = np.clip(t - begin_s, 0.0, None)
            on = (t >= begin_s) & (since < (3.0 * decay_s if decay_s else 0.52))
            wobble = vibrato_cents / 1200.0 * np.sin(2.0 * np.pi * 5.5 * since) / (2.0 * np.pi * 5.5)
            for n in range(1, partials + 1):
                ratio = n * (1.0 + stretch * (n * n - 1 if stretch < 0.01 else 4.0 * (n - 1)))
                if pitch_hz * ratio > 0.45 * sample_rate_hz:
                    break
                level = rng.uniform(0.5, 1.0) / n**tilt * (0.15 if seed == 1 and n % 2 == 0 else 1.0)
                phase = 2.0 * np.pi * pitch_hz * ratio * (since + wobble * np.log(2.0)) + rng.uniform(0.0, 2.0 * np.pi)
                shape = 1.0 - np.exp(-since / attack_s)
                shape *= np.exp(-since * n**0.7 / decay_s) if decay_s else np.clip((0.52 - since) / 0.04, 0.0, 1.0)
                out[on] += (level * shape * np.sin(phase))[on]
    return out / np.abs(out).max()
