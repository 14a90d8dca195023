"""Sections: short stretches of a track that stand for the whole, to try a chain on before the full render."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.chain import Chain
from dsp.effect import Processor
from dsp.meters.dynamics import DynamicsMeter
from dsp.meters.loudness import LoudnessMeter, short_term_lufs
from dsp.meters.spectrum import LongSpectrum
from dsp.meters.true_peak import TruePeakMeter
from matcher.io import AudioSource
from matcher.planner.density import figures
from matcher.planner.dynamics import Levels
from matcher.profile import Balance, Profile

SECTION_S = 5.0
COUNT = 8
RUN_IN_S = 1.0
"""Rendered before each section and thrown away, so that filters and gains have settled."""


@dataclass(frozen=True, eq=False)
class Section:
    """A stretch of the target, (channels, samples), that begins `run_in` samples before what counts."""

    samples: Samples
    run_in: int


def pick(profile: Profile, audio: AudioSource) -> list[Section]:
    """Stretches at evenly spaced ranks of short-term loudness, the loudest among them; all of a short track."""
    rate = audio.sample_rate_hz
    if profile.duration_s <= SECTION_S * COUNT:
        return [Section(audio.read(0, audio.length_samples), 0)]
    loudness = short_term_lufs(profile.segment_power.astype(np.float64), hop_ms=1000)
    order = np.argsort(loudness, kind="stable")
    order = order[loudness[order] > max(loudness.max() - 25.0, -65.0)]
    length, taken = int(SECTION_S), np.zeros(len(loudness) + int(SECTION_S) + 1, dtype=bool)
    sections = []
    for rank in np.linspace(1.0, 0.05, COUNT):
        free = [i for i in order[: max(1, int(np.ceil(rank * len(order))))] if not taken[i : i + length].any()]
        if not free:
            continue
        # A short-term value is centred in its 3 s; the section begins a second earlier.
        start_s = max(0, int(free[-1]) - 1)
        taken[max(0, start_s - length + 1) : start_s + length] = True
        start = min(start_s * rate, max(0, audio.length_samples - int(SECTION_S * rate)))
        run_in = min(start, int(RUN_IN_S * rate))
        sections.append(Section(audio.read(start - run_in, run_in + int(SECTION_S * rate)), run_in))
    return sections


@dataclass(frozen=True, eq=False)
class Trial:
    """What a chain did to the sections, measured as one track."""

    balance: Balance
    true_peak_dbtp: float
    figures: NDArray[np.float64]
    """The five of `density`."""
    levels: Levels
    reduction_db: NDArray[np.float32]
    """The limiter's, every 10 ms; empty without one."""

    @property
    def reduction_p95_db(self) -> float:
        """What the reduction stays below for 95 % of the time."""
        return float(np.percentile(self.reduction_db, 95)) if len(self.reduction_db) else 0.0


def try_chain(chain: Chain, sections: list[Section], sample_rate_hz: int) -> Trial:
    """Render every section through the chain and measure them as one track."""
    channels = sections[0].samples.shape[0]
    loudness, spectrum = LoudnessMeter(sample_rate_hz, channels), LongSpectrum(sample_rate_hz)
    true_peak, dynamics = TruePeakMeter(sample_rate_hz, channels), DynamicsMeter(sample_rate_hz)
    reductions = [np.zeros(0, dtype=np.float32)]
    for section in sections:
        run = chain.processor(sample_rate_hz, channels)
        made = _whole(run, section.samples)[:, section.run_in :]
        for meter in (loudness, spectrum, true_peak, dynamics):
            meter.update(made)
        limited = run.measured().get("limiter")
        if limited is not None:
            reductions.append(limited["reduction_db"][section.run_in * 100 // sample_rate_hz :])
    loud, peak_dbtp, course = loudness.result(), true_peak.result().peak_dbtp, dynamics.result()
    balance = Balance(loud.integrated_lufs, spectrum.result())
    return Trial(
        balance,
        peak_dbtp,
        figures(course.power, course.peak[3], peak_dbtp - loud.integrated_lufs),
        Levels.of(course, loud.segment_power),
        np.concatenate(reductions),
    )


def _whole(run: Processor, samples: Samples) -> Samples:
    parts = [run.process(samples)]
    tail = run.finish()
    if tail is not None:
        parts.append(tail)
    return np.concatenate(parts, axis=1)
