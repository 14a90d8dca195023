"""Sections: short stretches of a track that stand for the whole, to try a chain on before the full render."""

from __future__ import annotations

from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples
from dsp.chain import Chain
from dsp.effect import Processor
from dsp.meters.dynamics import Dynamics, DynamicsMeter, figures
from dsp.meters.loudness import LoudnessMeter, isolated_lufs
from dsp.meters.spectrum import LongSpectrum
from dsp.meters.true_peak import TruePeakMeter
from matcher.io import AudioSource
from matcher.planner.dynamics import Levels
from matcher.profile import Balance, Profile

SECTION_S = 5.0
COUNT = 6
"""Eight stand for a track no better: they miss its tone and density by as much, its loudness by 0.01 LU less."""
RANKS = np.linspace(1.0, 0.05, COUNT)
"""Of loudness: of all stretches, how many are no louder than each section."""
SHARES = -np.diff([1.0, *(RANKS[1:] + RANKS[:-1]) / 2.0, 0.0]) * COUNT
"""How much of a track each stands for, half-way to its neighbours: the loudest, most limited, for least."""
SHORT_S = 40.0
"""A track up to this long stands for itself."""
QUIETEST_DB = 25.0
"""Stretches this far below the loudest stand for nothing that matters."""
HOP = 10
"""Segments of 10 ms between two candidates."""
RUN_IN_S = 0.5
"""Rendered before each section and thrown away, so that filters and gains have settled."""
AROUND_S = 10.0
"""Of silence around a short track, taken with it at most."""
FADE_S = 0.03
"""Sections begin and end in the midst of sound: such a step has more treble than much music."""
FREE_DB = 0.05
"""A reduction below this is none."""


@dataclass(frozen=True, eq=False)
class Section:
    """A stretch of the target, (channels, samples), that begins `run_in` samples before what counts."""

    sound: Samples | Future[Samples]
    """Which may still be on its way from the file."""
    run_in: int
    share: float = 1.0
    """How much of the track it stands for, against the mean of all sections."""

    @property
    def samples(self) -> Samples:
        """Its sound; waits until that is read, and raises what goes wrong there."""
        return self.sound.result() if isinstance(self.sound, Future) else self.sound


def pick(profile: Profile, audio: AudioSource, reader: Executor) -> list[Section]:
    """Stretches at evenly spaced ranks of loudness, the loudest among them; all of a short track.

    reader: one thread, in which they are read while there is other work.
    """
    rate = audio.sample_rate_hz
    # Silence before and behind the music counts neither for its length nor as a candidate.
    power = profile.segment_power
    sounding = power > power.max() * 1e-6
    begin, end = int(sounding.argmax()), len(sounding) - 1 - int(sounding[::-1].argmax())
    first, last = -(-begin // HOP), end // HOP
    if (last - first) * HOP <= SHORT_S * 100:
        return _halves(audio, reader, begin / 100.0, end / 100.0)
    length = int(SECTION_S * 100) // HOP
    running = np.concatenate([[0.0], np.cumsum(power[first * HOP : (last + 1) * HOP])])
    energy = (running[length * HOP :] - running[: -length * HOP])[::HOP]
    order = np.argsort(energy, kind="stable")
    order = order[energy[order] > energy.max() * 10.0 ** (-QUIETEST_DB / 10.0)]
    taken = np.zeros(len(energy) + length, dtype=bool)
    starts = []
    for rank, share in zip(RANKS, SHARES, strict=True):
        free = [i for i in order[: max(1, int(np.ceil(rank * len(order))))] if not taken[i : i + length].any()]
        if not free:
            continue
        taken[free[-1] : free[-1] + length] = True
        starts.append((int((first + free[-1]) * HOP * rate / 100 + 0.5), share))
    sections = []
    for start, share in sorted(starts):  # in this order, since some formats can only be read on from where one is
        run_in = min(start, int(RUN_IN_S * rate))
        count = min(int(SECTION_S * rate), audio.length_samples - start)
        sections.append(Section(reader.submit(audio.read, start - run_in, run_in + count), run_in, float(share)))
    return sections


def _halves(audio: AudioSource, reader: Executor, begin_s: float, end_s: float) -> list[Section]:
    """All of a track in two sections, to be tried at the same time; in one what is too short for that.

    begin_s, end_s: where it sounds.
    """
    first, middle, last, run_in = (
        int(second * audio.sample_rate_hz + 0.5)
        for second in (max(0.0, begin_s - AROUND_S), (begin_s + end_s) / 2.0, end_s + AROUND_S, RUN_IN_S)
    )
    last = min(last, audio.length_samples)
    if middle - first < 2 * run_in:
        return [Section(reader.submit(audio.read, first, last - first), 0)]
    again = middle - run_in
    return [
        Section(reader.submit(audio.read, first, middle - first), 0),
        Section(reader.submit(audio.read, again, last - again), run_in),
    ]


@dataclass(frozen=True, eq=False)
class Trial:
    """What a chain made of the sections. They are measured as one track, each figure when it is asked for."""

    sections: list[Section]
    sample_rate_hz: int
    reduction_db: NDArray[np.float32] = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    """The limiter's, every 10 ms; empty without one."""

    def heard(self, *figures: str) -> Trial:
        """Itself, with these properties measured two at a time."""
        with ThreadPoolExecutor(max_workers=2) as pool:
            list(pool.map(lambda name: getattr(self, name), figures))
        return self

    @cached_property
    def isolated_lufs(self) -> float:
        """Loudness as if silence lay around."""
        return isolated_lufs(self._weighted)

    @cached_property
    def balance(self) -> Balance:
        """Loudness and mean spectrum."""
        spectrum = LongSpectrum(self.sample_rate_hz)
        fade = np.sin(np.linspace(0.0, np.pi / 2.0, round(FADE_S * self.sample_rate_hz), dtype=np.float32)) ** 2
        for section in self.sections:
            counted = section.samples[:, section.run_in :] * np.float32(np.sqrt(section.share))
            edge = min(len(fade), counted.shape[1] // 2)
            spectrum.update(counted[:, :edge] * fade[:edge])
            spectrum.update(counted[:, edge : counted.shape[1] - edge])
            spectrum.update(counted[:, counted.shape[1] - edge :] * fade[:edge][::-1])
        return Balance(self.isolated_lufs, spectrum.result())

    @cached_property
    def true_peak_dbtp(self) -> float:
        """The highest peak between the samples."""
        return self._heard_by(TruePeakMeter(self.sample_rate_hz, self._channels)).result().peak_dbtp

    @property
    def plr_db(self) -> float:
        """Peak to loudness ratio."""
        return self.true_peak_dbtp - self.isolated_lufs

    @cached_property
    def figures(self) -> NDArray[np.float64]:
        """The four of `dsp.meters.dynamics.figures`."""
        return figures(self._dynamics.power, self._dynamics.peak[3])

    @cached_property
    def levels(self) -> Levels:
        """Every 10 ms, to try a compressor on."""
        return Levels.of(self._dynamics, self._weighted)

    @property
    def reduction_p95_db(self) -> float:
        """What the reduction stays below for 95 % of the time."""
        return float(np.percentile(self.reduction_db, 95)) if len(self.reduction_db) else 0.0

    @property
    def share_unlimited(self) -> float:
        """Of the power that loudness is made of, what the limiter lets through as it is."""
        if not len(self.reduction_db):
            return 1.0
        count = min(len(self.reduction_db), len(self._weighted))
        power = self._weighted[:count]
        return float(power @ (self.reduction_db[:count] < FREE_DB) / power.sum())

    @cached_property
    def _weighted(self) -> NDArray[np.float64]:
        return self._heard_by(LoudnessMeter(self.sample_rate_hz, self._channels)).result().segment_power

    @cached_property
    def _dynamics(self) -> Dynamics:
        return self._heard_by(DynamicsMeter(self.sample_rate_hz)).result()

    @property
    def _channels(self) -> int:
        return self.sections[0].samples.shape[0]

    def _heard_by(self, meter: AnyMeter) -> AnyMeter:
        for section in self.sections:
            meter.update(section.samples[:, section.run_in :])
        return meter


AnyMeter = TypeVar("AnyMeter", LoudnessMeter, LongSpectrum, TruePeakMeter, DynamicsMeter)


def try_chain(chain: Chain, sections: list[Section], sample_rate_hz: int) -> Trial:
    """Every section through the chain, two at a time; what comes out may be tried on again."""

    def tried(section: Section) -> tuple[Section, NDArray[np.float32]]:
        run = chain.processor(sample_rate_hz, section.samples.shape[0])
        made = Section(_whole(run, section.samples), section.run_in, section.share)
        limited = run.measured().get("limiter", {}).get("reduction_db", np.zeros(0, dtype=np.float32))
        return made, limited[section.run_in * 100 // sample_rate_hz :]

    with ThreadPoolExecutor(max_workers=2) as pool:
        made, reductions = zip(*pool.map(tried, sections), strict=True)
    return Trial(list(made), sample_rate_hz, np.concatenate(reductions))


def _whole(run: Processor, samples: Samples) -> Samples:
    parts = [run.process(samples)]
    tail = run.finish()
    if tail is not None:
        parts.append(tail)
    return np.concatenate(parts, axis=1) if len(parts) > 1 else parts[0]


class Bench:
    """Sections of the target, as many as stand for the whole track, on which chains are tried."""

    def __init__(self, sections: list[Section], sample_rate_hz: int) -> None:
        self.before = Trial(sections, sample_rate_hz)
        self._made: list[tuple[Chain, Trial]] = []

    def tried(self, *stages: Chain) -> Trial:
        """Through `stages`, one behind the other; those that are as they were the last time are not run again.

        Nor are those that change nothing: what was measured before them holds behind them.
        """
        trial = self.before
        for i, chain in enumerate(chain for chain in stages if chain.active()):
            if i == len(self._made) or self._made[i][0] != chain:
                del self._made[i:]
                self._made.append((chain, try_chain(chain, trial.sections, trial.sample_rate_hz)))
            trial = self._made[i][1]
        return trial

    def own_db(self, linear: Trial) -> NDArray[np.float64]:
        """What tone and width by themselves change of the five figures of `density`."""
        shaped, before = linear.heard("figures", "isolated_lufs", "true_peak_dbtp"), self.before
        return np.append(shaped.figures - before.figures, shaped.plr_db - before.plr_db)
