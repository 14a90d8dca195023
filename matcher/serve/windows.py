"""What the browser plays: a stretch of a track, or of a target through a plan, at the page's one rate.

Every stretch is exactly as long as was asked for, in samples of `RATE_HZ` counted from the start of the track, so that
target and result lie on top of each other to the sample, whatever the file's own rate.
"""

from __future__ import annotations

import hashlib
import math
import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soxr

from dsp.audio import Samples
from dsp.chain import Chain
from dsp.errors import SettingsError
from dsp.meters.loudness import LoudnessMeter, isolated_lufs
from matcher.io import AudioSource, AudioWriter, open_audio
from matcher.mending import Mended
from matcher.plans import Plan

RATE_HZ = 48_000
LONGEST_S = 60.0
RUN_IN_S, RUN_OUT_S = 3.0, 0.5
"""Rendered before and behind a stretch and thrown away: gains have settled, filters and look-ahead see what follows."""
PAD_SAMPLES = 1024
"""Read beyond a stretch that is resampled, so that the filter's ends lie outside."""
KEPT = 4
"""Stretches of targets that are kept decoded: a loop is rendered again and again."""


@dataclass(frozen=True, eq=False)
class Window:
    """A stretch that can be played. samples: float32, (channels, samples) at `RATE_HZ`."""

    samples: Samples
    lufs: float
    """Loudness of just this, as if silence lay around."""
    peak: float
    reduction_db: float = 0.0
    """The deepest that the limiter went."""

    @classmethod
    def of(cls, samples: Samples, reduction_db: float = 0.0) -> Window:
        """Measured."""
        meter = LoudnessMeter(RATE_HZ, samples.shape[0])
        meter.update(samples)
        lufs = isolated_lufs(meter.result().segment_power)
        peak = float(np.abs(samples).max(initial=0.0))
        return cls(np.ascontiguousarray(samples, dtype=np.float32), lufs, peak, reduction_db)


def check_stretch(start: int, count: int) -> None:
    """SettingsError for what no page of ours asks for."""
    if not 0 <= start < 2**48:
        raise SettingsError(f"start: {start} is no sample's place")
    if not 1 <= count <= LONGEST_S * RATE_HZ:
        raise SettingsError(f"count: {count} is not within 1 to {LONGEST_S * RATE_HZ:.0f} samples")


def heard(path: Path, start: int, count: int) -> Window:
    """A stretch of a file as it is; what lies beyond its end is silent."""
    with open_audio(path) as audio:
        first, span = _own(audio.sample_rate_hz, start, count, pad=_pad(audio.sample_rate_hz))
        samples, lead = _read(audio, first, span)
        return Window.of(_at_page_rate(samples, audio.sample_rate_hz, first + lead, start, count))


class Renderer:
    """Renders stretches of targets through plans; one at a time, as each takes all it can get."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[Any, ...], tuple[Samples, int]] = OrderedDict()

    def rendered(self, target: Path, plan: Plan, start: int, count: int, *, keep_in: Path) -> Window:
        """A stretch of `target` through the plan. keep_in: the folder for what repairs make of the whole target."""
        with self._lock:
            path = repaired(target, plan, keep_in)
            with open_audio(path) as audio:
                rate = audio.sample_rate_hz
                first, span = _own(rate, start, count, pad=_pad(rate))
                samples, from_sample = self._stretch(audio, first, span)
            run = plan.chain.processor(rate, samples.shape[0])
            made = _through(run, samples)
            shift = max(first, 0) - from_sample
            wanted = made[:, shift : shift + span + min(first, 0)]
            reduction = _reduction_db(run.measured(), shift / rate, (shift + wanted.shape[1]) / rate)
            return Window.of(_at_page_rate(wanted, rate, max(first, 0), start, count), reduction)

    def _stretch(self, audio: AudioSource, first: int, span: int) -> tuple[Samples, int]:
        """The target's samples around a stretch, and where they begin."""
        key = (audio.path, first, span)
        if key in self._kept:
            self._kept.move_to_end(key)
        else:
            rate = audio.sample_rate_hz
            tenth = max(1, rate // 10)  # the compressor's grid lies as in a render of the whole track
            begin = max(0, (first - round(RUN_IN_S * rate)) // tenth * tenth)
            samples, lead = _read(audio, begin, first + span + round(RUN_OUT_S * rate) - begin)
            self._kept[key] = (samples, begin + lead)
            while len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        return self._kept[key]


def repaired(target: Path, plan: Plan, keep_in: Path) -> Path:
    """The target behind the plan's repairs, made once and kept beside the job; the target itself without any."""
    repairs = plan.repairs
    if not repairs.active():
        return target
    name = hashlib.blake2b(msgspec.json.encode(repairs.steps), digest_size=8).hexdigest()
    kept = keep_in / f"repaired-{name}.wav"
    if not kept.exists():
        with open_audio(target) as original:
            _write_whole(Mended.of(original, Chain(repairs.active())), kept)
    return kept


def _write_whole(mended: Mended, path: Path) -> None:
    length = mended.length_samples
    kind: dict[str, Any] = {"container": "WAV", "bit_depth": 32, "is_float": True}
    with AudioWriter(path, mended.sample_rate_hz, mended.channels, length_samples=length, **kind) as writer:
        for block in mended.blocks():
            writer.write(block)
    os.chmod(path, 0o600)


def _own(rate: int, start: int, count: int, *, pad: int) -> tuple[int, int]:
    """First sample and how many, at a file's own rate, that hold a stretch of the page's rate with `pad` around.

    The first lies where both rates have a sample at the same moment.
    """
    step = rate // math.gcd(rate, RATE_HZ)
    if pad == 0:
        return start, count
    first = (start * rate // RATE_HZ - pad) // step * step
    last = -(-(start + count) * rate // RATE_HZ) + pad
    return first, last - first


def _pad(rate: int) -> int:
    return 0 if rate == RATE_HZ else PAD_SAMPLES * max(1, -(-rate // RATE_HZ))


def _read(audio: AudioSource, first: int, count: int) -> tuple[Samples, int]:
    """What there is of a stretch that may reach beyond both ends, and how far behind `first` it begins."""
    lead = max(0, -first)
    begin = min(max(first, 0), audio.length_samples)
    samples = audio.read(begin, min(max(0, first + count - begin), audio.length_samples - begin))
    return samples, lead


def _at_page_rate(samples: Samples, rate: int, begins: int, start: int, count: int) -> Samples:
    """Samples that begin at `begins` of their own rate, as the stretch of the page's rate."""
    if rate != RATE_HZ and samples.shape[1]:
        samples = soxr.resample(samples.T.astype(np.float32), rate, RATE_HZ, quality="HQ").T
    skip = start - begins * RATE_HZ // rate
    out = np.zeros((samples.shape[0], count), dtype=np.float32)
    part = samples[:, max(skip, 0) : max(skip, 0) + count]
    out[:, max(-skip, 0) : max(-skip, 0) + part.shape[1]] = part[:, : count - max(-skip, 0)]
    return out


def _through(run: Any, samples: Samples) -> Samples:
    parts = [run.process(samples)]
    tail = run.finish()
    if tail is not None:
        parts.append(tail)
    return np.concatenate(parts, axis=1)


def _reduction_db(measured: dict[str, Any], begin_s: float, end_s: float) -> float:
    course = measured.get("limiter", {}).get("reduction_db", np.zeros(0))[int(begin_s * 100) : int(end_s * 100) + 1]
    return float(np.max(course, initial=0.0))
