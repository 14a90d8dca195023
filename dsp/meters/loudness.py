"""Loudness after ITU-R BS.1770-5, EBU Tech 3341 (momentary, short-term, integrated) and EBU Tech 3342 (range).

The meter keeps one number for every 10 ms, the K-weighted power; all readings are functions of that array, so a
planner can ask what they would be of a louder or quieter stretch without filtering audio again.

A segment power is the energy of its samples over 10 ms, channels weighted and summed. Segment k ends before sample
floor((k + 1) * rate / 100 + 0.5); what follows the last whole one is not counted. Where rate / 100 is no whole
number the segments differ by a sample, and so do their powers: their sums over a window are what is exact.

Mono is counted once: it reads 3.01 LU below the same signal on two channels. A reading of which there is none
(silence, too short) is `FLOOR_DB`, never -inf.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.columns import Columns
from dsp.errors import AudioError, SettingsError
from dsp.kernels import SegmentPowers
from dsp.units import FLOOR_DB, db_from_gain, db_from_power, power_from_db

Powers = NDArray[np.float64]
"""float64, shape (segments,): K-weighted power of every 10 ms, full scale = 1."""

SEGMENT_MS = 10
OFFSET_LU = -0.691
"""Cancels the K-weighting at 997 Hz."""
ABSOLUTE_GATE_LUFS = -70.0
MOMENTARY_SEGMENTS, SHORT_TERM_SEGMENTS = 40, 300
GATING_HOP_MS = 100
RANGE_TAIL_SEGMENTS = 150
PIECE_SEGMENTS = 65_536
"""Windows of about so many are summed at a time."""


@dataclass(frozen=True, eq=False)
class Loudness:
    """What a loudness meter has read.

    integrated_lufs, max_momentary_lufs, max_short_term_lufs: `FLOOR_DB` where there is no reading.
    range_lu: 0.0 where there is no reading.
    segment_power: shape (segments,), see the module.
    """

    integrated_lufs: float
    range_lu: float
    max_momentary_lufs: float
    max_short_term_lufs: float
    segment_power: Powers


class LoudnessMeter:
    """Loudness of one stream, in one pass and 800 bytes a second.

    channels: any number; weights: one per channel (BS.1770: 1.0 front, 1.41 surround, 0.0 LFE). Without weights
        there may be one or two channels of weight 1.0. Raises AudioError otherwise. expected_s: how long the stream
        will be, as far as that is known; a longer one is read as well.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, *, weights: Sequence[float] | None = None, expected_s: float = 0.0
    ) -> None:
        check_rate(sample_rate_hz)
        self.channels = channels
        factors = np.array(_weights(channels, weights), dtype=np.float64)
        self._kernel = SegmentPowers(k_weighting(sample_rate_hz), factors, int(sample_rate_hz))
        self._powers = Columns(1, np.float64, int(expected_s * 1000.0 / SEGMENT_MS) + 1)

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self._kernel.process(np.ascontiguousarray(block))
        new = np.empty((1, self._kernel.waiting()))
        self._kernel.take(new[0])
        self._powers.add(new)

    def result(self) -> Loudness:
        """The readings of all samples so far; more may follow."""
        return loudness(self._powers.array[0])


def _weights(channels: int, weights: Sequence[float] | None) -> Sequence[float]:
    if weights is None:
        if channels not in (1, 2):
            raise AudioError(f"weights: {channels} channels need one each, only 1 or 2 can do without")
        return [1.0] * channels
    if channels < 1 or len(weights) != channels or not all(math.isfinite(w) and w >= 0.0 for w in weights):
        raise AudioError(f"weights: {list(weights)} are not {channels} finite numbers from 0 up, one a channel")
    return weights


def loudness(segment_power: Powers) -> Loudness:
    """All readings of an array of segment powers."""
    return Loudness(
        integrated_lufs=integrated_lufs(segment_power),
        range_lu=loudness_range_lu(segment_power),
        max_momentary_lufs=_highest_lufs(segment_power, MOMENTARY_SEGMENTS),
        max_short_term_lufs=_highest_lufs(segment_power, SHORT_TERM_SEGMENTS),
        segment_power=segment_power,
    )


def integrated_lufs(segment_power: Powers) -> float:
    """Gated loudness: 400 ms blocks every 100 ms, above -70 LUFS and above 10 LU below their mean (BS.1770-5)."""
    return _gated_lufs(_windows(segment_power, MOMENTARY_SEGMENTS, GATING_HOP_MS))


def isolated_lufs(segment_power: Powers) -> float:
    """Integrated loudness as if silence lay around the music: silence that does changes nothing, as in the standard
    it does by hundredths."""
    around = MOMENTARY_SEGMENTS
    return _gated_lufs(_windows(segment_power, MOMENTARY_SEGMENTS, GATING_HOP_MS, before=around, after=around))


def _gated_lufs(blocks: Powers) -> float:
    loud = blocks[blocks > _power(ABSOLUTE_GATE_LUFS)]
    if not loud.size:
        return FLOOR_DB
    return float(_lufs(loud[loud > loud.mean() * power_from_db(-10.0)].mean()))


def momentary_lufs(segment_power: Powers, *, hop_ms: int = SEGMENT_MS) -> Powers:
    """Loudness of every whole 400 ms window, ungated; shape (windows,), the first one starts at 0.

    hop_ms: a multiple of 10. Above 10 a burst between two windows is under-read by up to 0.5 LU.
    """
    return _lufs(_windows(segment_power, MOMENTARY_SEGMENTS, hop_ms))


def short_term_lufs(segment_power: Powers, *, hop_ms: int = 100) -> Powers:
    """Loudness of every whole 3 s window, ungated; shape (windows,), the first one starts at 0; hop_ms as above."""
    return _lufs(_windows(segment_power, SHORT_TERM_SEGMENTS, hop_ms))


def loudness_range_lu(segment_power: Powers) -> float:
    """Spread of the short-term loudness, 10th to 95th percentile after gating at -70 LUFS and -20 LU (Tech 3342).

    The standard's 1.5 s of silence after a file are added here. 0.0 where nothing passes the gates.
    """
    power = _windows(segment_power, SHORT_TERM_SEGMENTS, GATING_HOP_MS, after=RANGE_TAIL_SEGMENTS)
    power = power[power >= _power(ABSOLUTE_GATE_LUFS)]
    if not power.size:
        return 0.0
    power = np.sort(power[power >= power.mean() * power_from_db(-20.0)])
    low, high = (power[math.floor((power.size - 1) * share + 0.5)] for share in (0.10, 0.95))
    return float(db_from_power(high / low))


def k_weighting(sample_rate_hz: int) -> NDArray[np.float64]:
    """Second-order sections (2, 6) with the response of BS.1770-5 at 48 kHz, at any rate.

    The analogue prototype behind the standard's digits is B. De Man's (AES 145, 2018). The high-pass must be scaled
    too: with its zeros alone the reading would move by 0.02 LU at 96 kHz.
    """
    shelf_hz, shelf_db, shelf_q, middle = 1681.974450955533, 3.999843853973347, 0.7071752369554196, 0.4996667741545416
    k = math.tan(math.pi * shelf_hz / sample_rate_hz)
    high = 10.0 ** (shelf_db / 20.0)
    band = high**middle
    a0 = 1.0 + k / shelf_q + k * k
    shelf = [
        (high + band * k / shelf_q + k * k) / a0,
        2.0 * (k * k - high) / a0,
        (high - band * k / shelf_q + k * k) / a0,
        1.0,
        2.0 * (k * k - 1.0) / a0,
        (1.0 - k / shelf_q + k * k) / a0,
    ]
    low_hz, low_q = 38.13547087602444, 0.5003270373238773
    k, k48 = (math.tan(math.pi * low_hz / rate_hz) for rate_hz in (sample_rate_hz, 48_000))
    a0, a0_at_48 = (1.0 + t / low_q + t * t for t in (k, k48))
    gain = a0_at_48 / a0
    highpass = [gain, -2.0 * gain, gain, 1.0, 2.0 * (k * k - 1.0) / a0, (1.0 - k / low_q + k * k) / a0]
    return np.array([shelf, highpass])


def k_weighting_response_db(frequency_hz: NDArray[np.float64], sample_rate_hz: int) -> NDArray[np.float64]:
    """Gain of the K-weighting at each frequency (any shape, up to half the rate), dB; `FLOOR_DB` at 0 Hz."""
    z = np.exp(-2j * np.pi * np.asarray(frequency_hz) / sample_rate_hz)
    gain = np.ones(z.shape)
    for b0, b1, b2, a0, a1, a2 in k_weighting(sample_rate_hz):
        gain = gain * np.abs((b0 + b1 * z + b2 * z * z) / (a0 + a1 * z + a2 * z * z))
    return db_from_gain(gain)


def _windows(segment_power: Powers, segments: int, hop_ms: int, *, before: int = 0, after: int = 0) -> Powers:
    """Mean power of every whole window of `segments`, one each `hop_ms`, with silent segments before and after."""
    pieces = _pieces_of_windows(segment_power, segments, hop_ms, before, after)
    return np.concatenate([np.empty(0), *pieces])


def _pieces_of_windows(
    segment_power: Powers, segments: int, hop_ms: int, before: int = 0, after: int = 0
) -> Iterator[Powers]:
    """The same, so many at a time: there may be hours of them."""
    if hop_ms < SEGMENT_MS or hop_ms % SEGMENT_MS:
        raise SettingsError(f"hop_ms: {hop_ms} is not a multiple of {SEGMENT_MS}")
    hop = hop_ms // SEGMENT_MS
    count = (before + segment_power.size + after - segments) // hop + 1
    together = max(1, PIECE_SEGMENTS // hop)
    for first in range(0, count, together):
        last = min(first + together, count) - 1
        start, stop = first * hop - before, last * hop - before + segments
        silence = max(0, -start), max(0, stop - segment_power.size)
        within = np.pad(segment_power[max(0, start) : max(0, stop)], silence)
        yield _sliding_sum(within, segments)[::hop] / segments


def _sliding_sum(values: Powers, width: int) -> Powers:
    """Sum of every `width` neighbours, by doubling: quick, and without the cancellation of a running sum."""
    length = values.size - width + 1
    if length <= 0:
        return np.empty(0)
    total, doubled, span, start = np.zeros(length), values, 1, 0
    while width:
        if width & span:
            total += doubled[start : start + length]
            start += span
            width -= span
        if width:
            doubled = doubled[:-span] + doubled[span:]
            span *= 2
    return total


def _highest_lufs(segment_power: Powers, segments: int) -> float:
    pieces = _pieces_of_windows(segment_power, segments, SEGMENT_MS)
    return max((float(_lufs(power.max(keepdims=True))[0]) for power in pieces), default=FLOOR_DB)


def _lufs(power: Powers) -> Powers:
    return np.maximum(OFFSET_LU + db_from_power(power), FLOOR_DB)


def _power(lufs: float) -> float:
    return power_from_db(lufs - OFFSET_LU)
