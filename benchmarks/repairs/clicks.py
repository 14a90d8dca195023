"""Declicking beside others: clicks put into whole music, found again, and what is written in their place."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.restoration.declick import Declick, find_clicks
from dsp.restoration.events import event
from matcher.click_learning import above_db

Signal = NDArray[np.float64]
RATES_PER_MINUTE = (1, 60, 600, 3000)
ABOVE_DB = 12.0
"""A click is to be found where its prediction error is so far above the highest of the music within 20 ms."""


@dataclass(frozen=True)
class Put:
    """One click that was put in, and how far it stands above the music's own prediction errors."""

    first: int
    stop: int
    channel: int
    above_db: float


def shape(rng: np.random.Generator, length: int) -> Signal:
    """A click of peak 1: a one-sided decay, a damped swing, a burst of noise, or a thump."""
    t = np.arange(length) / length
    made = (
        lambda: np.exp(-5.0 * t),
        lambda: np.exp(-4.0 * t) * np.cos(2.0 * np.pi * rng.uniform(1.0, 3.0) * t + rng.uniform(0.0, 6.28)),
        lambda: np.exp(-4.0 * t) * rng.standard_normal(length),
        lambda: np.sin(np.pi * (t + 0.5 / length)) ** 2,
    )[rng.integers(4)]()
    return made / np.abs(made).max() * rng.choice([-1.0, 1.0])


def with_clicks(audio: Audio, per_minute: float, rng: np.random.Generator) -> tuple[Audio, list[Put]]:
    """Clicks of 0.1 to 4 ms, -20 to +6 dB re the peak around them, in one channel or both, at random times."""
    rate_hz, length = audio.sample_rate_hz, audio.length_samples
    samples = audio.samples.astype(np.float64)
    put = []
    for start in np.sort(rng.integers(4096, length - 4096, max(1, round(per_minute * audio.duration_s / 60.0)))):
        size = max(3, round(1e-3 * np.exp(rng.uniform(np.log(0.1), np.log(4.0))) * rate_hz))
        peak = np.abs(audio.samples[:, start - 1000 : start + 1000]).max()
        click = shape(rng, size) * peak * 10.0 ** (rng.uniform(-20.0, 6.0) / 20.0)
        both = range(audio.channels)
        for channel in both if rng.integers(3) == 0 else (int(rng.integers(audio.channels)),):
            samples[channel, start : start + size] += click
            around = audio.samples[channel, start - 2048 : start + 2048].astype(np.float64)
            put.append(Put(int(start), int(start) + size, channel, above_db(around, click, rate_hz)))
    return Audio(samples.astype(audio.samples.dtype), rate_hz), put


def detection(excerpts: Sequence[tuple[str, Audio]], *, strong: bool = False) -> list[dict[str, Any]]:
    """Rows of what was found of what was put in; `f1` counts clicks of at least `ABOVE_DB`, and every false one."""
    rows = []
    for number, (name, audio) in enumerate(excerpts):
        for per_minute in RATES_PER_MINUTE:
            damaged, put = with_clicks(audio, per_minute, np.random.default_rng([number, per_minute]))
            blocks = (damaged.samples,)
            report = find_clicks(lambda blocks=blocks: blocks, damaged.sample_rate_hz, damaged.channels, strong=strong)
            spans = [(*e.span_samples(audio.sample_rate_hz), e.channel) for e in report.clicks]
            false = [s for s in spans if not any(overlap(s, p) for p in put)]
            due = [p for p in put if p.above_db >= ABOVE_DB]
            hit = sum(any(overlap(s, p) for s in spans) for p in due)
            rest = tuple(e for e, s in zip(report.clicks, spans, strict=True) if s in false)
            rows.append(
                {
                    "name": name,
                    "per_minute": per_minute,
                    "put": len(put),
                    "due": len(due),
                    "hit": hit,
                    "false": len(false),
                    "f1": 2.0 * hit / (2.0 * hit + len(false) + len(due) - hit) if due else 1.0,
                    "false_change_db": change_db(audio, Declick(clicks=rest)),
                    "snr_gain_db": snr_gain_db(audio, damaged, report.settings() or Declick()),
                }
            )
    return rows


def overlap(span: tuple[int, int, int], put: Put) -> bool:
    """Whether a span found and a click put in share a sample."""
    return span[2] == put.channel and span[0] < put.stop and put.first < span[1]


def change_db(audio: Audio, settings: Declick) -> float:
    """Energy of what `settings` do to whole music, re the music."""
    done = Chain((settings,))(audio).samples.astype(np.float64)
    return float(10.0 * np.log10((((done - audio.samples) ** 2).sum() + 1e-20) / (audio.samples**2).sum()))


def snr_gain_db(audio: Audio, damaged: Audio, settings: Declick) -> float:
    """How much nearer to the whole music the repair is than the damaged."""
    done = Chain((settings,))(damaged).samples.astype(np.float64)
    before, after = ((x - audio.samples.astype(np.float64)) ** 2 for x in (damaged.samples, done))
    return float(10.0 * np.log10((before.sum() + 1e-20) / (after.sum() + 1e-20)))


def linear(samples: Signal, first: int, stop: int) -> Signal:
    """A straight line."""
    return np.linspace(samples[first - 1], samples[stop], stop - first + 2)[1:-1]


def least_squares(samples: Signal, first: int, stop: int, order: int = 32) -> Signal:
    """The usual declicker's: Janssen's interpolation with a model of order 32, fitted twice."""
    from benchmarks.repairs.gaps import autocorrelation_model, interpolated

    piece = samples[first - 1024 : stop + 1024].copy()
    piece[1024:-1024] = linear(samples, first, stop)
    for _ in range(2):
        piece[1024:-1024] = interpolated(piece, 1024, len(piece) - 1024, autocorrelation_model(piece, order))
    return piece[1024:-1024]


def repair(
    excerpts: Sequence[tuple[str, Audio]], lengths_ms: Sequence[float] = (0.3, 1.0, 4.0)
) -> list[dict[str, Any]]:
    """Rows of the median SNR over damaged samples whose places are known, 25 a channel and second."""
    rows = []
    others: dict[str, Callable[[Signal, int, int], Signal]] = {"linear": linear, "lsar_32": least_squares}
    for length_ms in lengths_ms:
        found: dict[str, list[float]] = {"ours": [], **{name: [] for name in others}}
        seconds = 0.0
        for number, (_, audio) in enumerate(excerpts):
            rate_hz, truth = audio.sample_rate_hz, audio.samples.astype(np.float64)
            size = max(2, round(length_ms * 1e-3 * rate_hz))
            rng = np.random.default_rng(number)
            starts = np.arange(8192, audio.length_samples - 8192, rate_hz // 3) + rng.integers(0, 2048)
            damaged = truth.copy()
            for start in starts:
                damaged[0, start : start + size] = 0.0
            clicks = tuple(event(int(s), int(s) + size, 0, rate_hz) for s in starts)
            began = time.process_time()
            done = Chain((Declick(clicks=clicks),))(Audio(damaged, rate_hz)).samples
            seconds += time.process_time() - began
            for start in starts:
                span = slice(int(start), int(start) + size)
                energy = (truth[0, span] ** 2).sum()
                if energy <= 1e-8 * size:
                    continue
                answers = {"ours": done[0, span]}
                answers |= {name: call(damaged[0], span.start, span.stop) for name, call in others.items()}
                for name, answer in answers.items():
                    found[name].append(float(10.0 * np.log10(energy / ((answer - truth[0, span]) ** 2).sum())))
        medians = {f"{name}_snr_db": float(np.median(values)) for name, values in found.items()}
        rows.append({"length_ms": length_ms, **medians, "ms_a_click": 1e3 * seconds / len(found["ours"])})
    return rows
