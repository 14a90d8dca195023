"""Sections: short stretches of a track that stand for the whole, to try a chain on before the full render."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from dsp.meters.loudness import short_term_lufs

from dsp.audio import Samples
from dsp.chain import Chain
from dsp.effect import Processor
from matcher.analysis import ProfileBuilder
from matcher.io import AudioSource
from matcher.profile import Profile

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
    """What a chain did to the sections: their joint profile, and what the effects measured of themselves."""

    profile: Profile
    measured: list[dict[str, object]]


def try_chain(chain: Chain, sections: list[Section], sample_rate_hz: int) -> Trial:
    """Render every section through the chain and measure them as one track."""
    channels = sections[0].samples.shape[0]
    builder = ProfileBuilder(sample_rate_hz, channels)
    measured = []
    for section in sections:
        run = chain.processor(sample_rate_hz, channels)
        builder.update(_whole(run, section.samples)[:, section.run_in :])
        measured.append(run.measured())
    return Trial(builder.result("sections", ""), measured)


def _whole(run: Processor, samples: Samples) -> Samples:
    parts = [run.process(samples)]
    tail = run.finish()
    if tail is not None:
        parts.append(tail)
    return np.concatenate(parts, axis=1)
