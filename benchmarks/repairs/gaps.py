"""Filling gaps beside the textbook's method: music with pieces cut out whose places are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.kernels import fill_gap
from dsp.restoration.dropout import Dropout, DropoutDetector
from dsp.restoration.events import event

Signal = NDArray[np.float64]
LENGTHS_MS = (5.0, 10.0, 20.0, 30.0, 60.0)
CONTEXT, MOST_ORDER, ROUNDS = 4096, 800, 4


def autocorrelation_model(samples: Signal, order: int) -> Signal:
    """The error filter (1, a1 ... ap) by the autocorrelation method."""
    spectrum = np.fft.rfft(samples, 2 * len(samples))
    lags = np.fft.irfft(np.abs(spectrum) ** 2)[: order + 1]
    lags[0] = lags[0] * (1.0 + 1e-12) + 1e-12
    return np.concatenate([[1.0], scipy.linalg.solve_toeplitz(lags[:-1], -lags[1:])])


def interpolated(samples: Signal, first: int, stop: int, model: Signal) -> Signal:
    """The samples of one gap that make the model's squared errors least (the system itself is solved exactly)."""
    piece = samples.copy()
    fill_gap(piece, first, stop, model)
    return piece[first:stop]


def janssen(samples: Signal, first: int, stop: int) -> Signal:
    """Janssen, Veldhuis and Vries 1986 as published: order 3n + 2 up to 800, four rounds of model and gap."""
    size = stop - first
    piece = samples[first - CONTEXT : stop + CONTEXT].copy()
    piece[CONTEXT : CONTEXT + size] = 0.0
    for _ in range(ROUNDS):
        model = autocorrelation_model(piece, min(3 * size + 2, MOST_ORDER))
        piece[CONTEXT : CONTEXT + size] = interpolated(piece, CONTEXT, CONTEXT + size, model)
    return piece[CONTEXT : CONTEXT + size]


def fill(excerpts: Sequence[tuple[str, Audio]], lengths_ms: Sequence[float] = LENGTHS_MS) -> list[dict[str, Any]]:
    """Rows of the median SNR in gaps of each length, one a second and two seconds of music."""
    rows = []
    for length_ms in lengths_ms:
        ours: list[float] = []
        theirs: list[float] = []
        expected: list[float] = []
        energies: list[float] = []
        seconds = 0.0
        for _, audio in excerpts:
            rate_hz, truth = audio.sample_rate_hz, audio.samples.astype(np.float64)
            size = round(length_ms * 1e-3 * rate_hz)
            starts = np.arange(rate_hz, audio.length_samples - rate_hz, 2 * rate_hz)
            damaged = truth.copy()
            for start in starts:
                damaged[0, start : start + size] = 0.0
            gaps = tuple(event(int(s), int(s) + size, 0, rate_hz) for s in starts)
            began = time.process_time()
            processor = Dropout(gaps=gaps).processor(rate_hz, audio.channels)
            parts = [processor.process(damaged), processor.finish()]
            seconds += time.process_time() - began
            done = np.concatenate([part for part in parts if part is not None], axis=1)
            told = processor.measured()["dropout"]["gaps"]
            for start, gap in zip(starts, told, strict=True):
                span = slice(int(start), int(start) + size)
                energy = (truth[0, span] ** 2).sum()
                if energy <= 1e-7 * size:
                    continue
                answer = janssen(damaged[0], span.start, span.stop)
                ours.append(snr_db(truth[0, span], done[0, span]))
                theirs.append(snr_db(truth[0, span], answer))
                expected.append(gap["expected_snr_db"])
                energies.append(float(10.0 * np.log10((done[0, span] ** 2).sum() / energy)))
        rows.append(
            {
                "length_ms": length_ms,
                "gaps": len(ours),
                "ours_snr_db": float(np.median(ours)),
                "janssen_snr_db": float(np.median(theirs)),
                "median_gain_db": float(np.median(np.subtract(ours, theirs))),
                "energy_db": float(np.median(energies)),
                "expected_snr_db": float(np.median(expected)),
                "expected_to_true_correlation": float(np.corrcoef(expected, ours)[0, 1]),
                "ms_a_gap": 1e3 * seconds / len(ours),
            }
        )
    return rows


def snr_db(truth: Signal, answer: Signal) -> float:
    """Energy of the truth re that of the error."""
    return float(10.0 * np.log10((truth**2).sum() / (((answer - truth) ** 2).sum() + 1e-20)))


def find(excerpts: Sequence[tuple[str, Audio]], *, strong: bool = False) -> list[dict[str, Any]]:
    """Rows of what is found of gaps of each kind, and of what is found in whole music."""
    rows = []
    for kind in ("whole", "silence", "held", "repeated"):
        put = hit = false = 0
        for number, (_, audio) in enumerate(excerpts):
            rng = np.random.default_rng(number)
            rate_hz, damaged = audio.sample_rate_hz, audio.samples.copy()
            spans = []
            for start in range(rate_hz, audio.length_samples - rate_hz, rate_hz):
                at = start + int(rng.integers(rate_hz // 2))
                size = int(rng.integers(rate_hz // 1000, rate_hz // 20)) if kind != "repeated" else 512
                if kind == "whole" or np.mean(damaged[:, at - 2048 : at + 2048] ** 2) < 1e-5:
                    continue
                fresh = {"silence": 0.0, "held": damaged[:, at - 1 : at], "repeated": damaged[:, at - size : at]}[kind]
                damaged[:, at : at + size] = fresh
                spans.append((at, at + size))
            detector = DropoutDetector(rate_hz, audio.channels, strong=strong)
            detector.update(damaged)
            found = [(*gap.event.span_samples(rate_hz), gap.event.channel) for gap in detector.result().gaps]
            put += len(spans) * audio.channels
            for channel in range(audio.channels):
                own = [f for f in found if f[2] == channel]
                hit += sum(any(f[0] < stop and first < f[1] for f in own) for first, stop in spans)
                false += sum(not any(f[0] < stop and first < f[1] for first, stop in spans) for f in own)
        rows.append({"kind": kind, "put": put, "hit": hit, "false": false})
    return rows
