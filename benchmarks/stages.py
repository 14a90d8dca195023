"""Seconds a stage takes for each minute of audio, and how often faster than real time that is.

    python benchmarks/stages.py [TARGET REFERENCE]

Without files two songs are made. Every stage runs three times; the median is printed. Machines differ: compare runs
side by side, not with figures from elsewhere.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsp.audio import Audio
from matcher import analyze, plan, render
from matcher.demo import demo_mix, demo_reference
from matcher.io import open_audio, write_audio

RUNS = 3


def seconds(call: Callable[[], object]) -> float:
    """Median wall clock of a few runs."""
    taken = []
    for _ in range(RUNS):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def songs(folder: Path) -> tuple[Path, Path]:
    """Two minutes of mix and reference as 16-bit-or-more WAV."""
    paths = folder / "mix.wav", folder / "reference.wav"
    for path, made in zip(paths, (demo_mix(), demo_reference()), strict=True):
        write_audio(path, Audio(np.tile(made.samples, (1, 5)), made.sample_rate_hz))
    return paths


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target, reference = (Path(p) for p in sys.argv[1:3]) if len(sys.argv) > 2 else songs(folder)
        out = folder / "out.wav"

        def read() -> None:
            with open_audio(target) as audio:
                for _ in audio.blocks():
                    pass

        minutes = analyze(target).duration_s / 60.0
        analyze(reference)
        made = plan(target, reference)
        rows = {
            "read": read,
            "analyze (cold)": lambda: analyze(target, use_cache=False),
            "analyze (cached)": lambda: analyze(target),
            "plan (profiles cached)": lambda: plan(target, reference),
            "render": lambda: render(target, made, out, force=True),
            "render, one thread": lambda: render(target, made, out, force=True, threads=1),
        }
        print(f"{'stage':24}{'s/min':>8}{'x real time':>14}")
        for label, call in rows.items():
            taken = seconds(call)
            print(f"{label:24}{taken / minutes:8.3f}{60.0 * minutes / taken:14.0f}")


if __name__ == "__main__":
    main()
