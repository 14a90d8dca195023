"""A damaged target matched to a reference, beside the same match made from the whole target."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.repairs.clicks import with_clicks
from benchmarks.repairs.hum import drifting_hum
from dsp.audio import Audio
from matcher import Aims, match

HUM_DBFS, CLIPPED_DB, CLICKS_PER_MINUTE = -40.0, 3.0, 60.0


def damaged(audio: Audio, seed: int) -> Audio:
    """Hum of 50 Hz, then clipped 3 dB below the peak, then a click a second."""
    hum = drifting_hum(audio.length_samples, audio.sample_rate_hz, 50.0, HUM_DBFS, channels=audio.channels, seed=seed)
    samples = audio.samples + hum
    level = np.abs(samples).max() * 10.0 ** (-CLIPPED_DB / 20.0)
    clipped = Audio(np.clip(samples, -level, level).astype(audio.samples.dtype), audio.sample_rate_hz)
    return with_clicks(clipped, CLICKS_PER_MINUTE, np.random.default_rng(seed))[0]


def rows(excerpts: list[tuple[str, Audio]]) -> list[dict[str, Any]]:
    """Each excerpt matched to the next one: how far the masters of damaged and whole lie apart, repaired or not.

    third_octave_db: mean and largest difference of the mid's bands within 60 dB of the loudest, at equal loudness.
    """
    found = []
    for number, (name, audio) in enumerate(excerpts):
        reference, broken = excerpts[(number + 1) % len(excerpts)][1], damaged(audio, number)
        ideal = match(audio, reference, aims=Aims(restore="off")).after
        for restore in ("auto", "strong", "off"):
            made = match(broken, reference, aims=Aims(restore=restore))
            here, there = made.after.balance_db(), ideal.balance_db()
            apart = np.abs(here - there)[there > there.max() - 60.0]
            found.append(
                {
                    "name": name,
                    "restore": restore,
                    "repairs": ", ".join(type(s.settings).__name__ for s in made.plan.steps if s.settings.repairs),
                    "third_octave_db": float(apart.mean()),
                    "largest_db": float(apart.max()),
                    "loudness_lu": abs(made.after.integrated_lufs - ideal.integrated_lufs),
                }
            )
    return found
