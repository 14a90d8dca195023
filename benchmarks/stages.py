"""Seconds a stage takes for each minute of audio, and how often faster than real time that is.

    python benchmarks/stages.py [TARGET REFERENCE]

Without files two songs are made. Every stage runs three times; the median is printed. The parts of a render run one by
one over blocks in memory: a render by one thread can take no less than their sum, and what it takes more is printed as
a share. Machines differ: compare runs side by side, not with figures from elsewhere.
"""

from __future__ import annotations

import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from dsp.audio import Audio
from dsp.effect import Settings
from dsp.effects.dither import Dither
from matcher import analyze, plan, render
from matcher.analysis import ProfileBuilder
from matcher.demo import demo_mix, demo_reference
from matcher.io import open_audio, write_audio
from matcher.plans import Plan

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


def parts(target: Path, made: Plan, folder: Path) -> dict[str, Callable[[], object]]:
    """Each step of a render by itself, over the same blocks."""
    with open_audio(target) as audio:
        rate_hz, channels = audio.sample_rate_hz, audio.channels
        blocks = [block.copy() for block in audio.blocks()]
    whole = Audio(np.concatenate(blocks, axis=1), rate_hz)

    def processed(settings: Settings) -> None:
        processor = settings.processor(rate_hz, channels)
        for block in blocks:
            processor.process(block)
        processor.finish()

    def measured() -> None:
        builder = ProfileBuilder(rate_hz, channels, expected_samples=whole.length_samples)
        for block in blocks:
            builder.update(block)
        builder.result("", "")

    steps: dict[str, Callable[[], object]] = {}
    for step in (*made.chain.active(), Dither(bit_depth=24)):
        steps[str(step.__struct_config__.tag)] = functools.partial(processed, step)
    return {**steps, "measure": measured, "write": lambda: write_audio(folder / "part.wav", whole)}


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
        took = {label: seconds(call) for label, call in rows.items()}
        took |= {f"  {label}": seconds(call) for label, call in parts(target, made, folder).items()}
        print(f"{'stage':24}{'s/min':>8}{'x real time':>14}")
        for label, taken in took.items():
            print(f"{label:24}{taken / minutes:8.3f}{60.0 * minutes / taken:14.0f}")
        least = took["read"] + sum(taken for label, taken in took.items() if label.startswith(" "))
        print(f"{'  all of them, and read':24}{least / minutes:8.3f}{60.0 * minutes / least:14.0f}")
        one, two = took["render, one thread"], took["render"]
        print(f"a render by one thread takes {one / least:.2f} of that, by two {two / least:.2f}")


if __name__ == "__main__":
    main()
