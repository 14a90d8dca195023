"""Suitability: what a person should know of a reference before trusting a match to it.

Each warning is one line that names the file and the figure; none stops the work. How loud, how dense or how bright a
reference is, is no fault: that is what it is there for.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from dsp.meters.loudness import momentary_lufs
from matcher.profile import THIRD_OCTAVES_HZ, Profile
from matcher.reference import DIMENSIONS

FLAT_TOPS, FLAT_TOPS_PER_MINUTE = 10, 5.0
"""Fewer are an accident, not a habit."""
OVER_DB = 0.5
"""Above full scale, in a reference: only a decoder or floating point can give that, and no player can play it."""
LOSSY_BELOW_HZ, LOSSY_RATE_HZ = 16_500.0, 44_100
"""Coders at 128 kbit/s and less end below this; at lower rates there is nothing to be missed."""
SHORT_SHARE, SHORT_S, SHORTEST_S = 0.25, 60.0, 20.0
SILENT_DB, SILENT_SHARE = -60.0, 0.2
"""Momentary loudness below the loudest, and the share of the track that may lie there."""
UNLIKE_DB = 10.5
"""See `unlikeness_db`. On 34 free tracks of ten albums 62 % of the pairs across genres lie above it, and 4 % of those
within an album (but for one album of sound tracks, whose pieces are strangers to each other)."""

_GROUPS = 7
_HEARD_DB, _DEEP_DB = -40.0, 60.0


def condition(track: Profile) -> tuple[str, ...]:
    """What is wrong with a track by itself, target or reference."""
    found = []
    minutes = track.duration_s / 60.0
    if track.flat_tops >= max(FLAT_TOPS, FLAT_TOPS_PER_MINUTE * minutes):
        found.append(
            f"{track.name} is clipped: {track.flat_tops} flat tops at {track.sample_peak_dbfs:.1f} dBFS,"
            f" {track.flat_tops / minutes:.0f} a minute"
        )
    if track.sample_rate_hz >= LOSSY_RATE_HZ and track.bandwidth_hz < LOSSY_BELOW_HZ:
        found.append(f"{track.name} looks like a lossy file: it has nothing above {track.bandwidth_hz / 1000:.1f} kHz")
    return tuple(found)


def suitability(
    target: Profile, reference: Profile, serves: Collection[str] = DIMENSIONS
) -> tuple[str, ...]:
    """One line for each reason to doubt that `reference` is a good one for `target`; none is the rule.

    serves: what is taken from it, of `DIMENSIONS`; what does not matter for that is not mentioned.
    """
    name, found = reference.name, list(condition(reference))
    if reference.sample_peak_dbfs > OVER_DB:
        found.append(f"{name} goes {reference.sample_peak_dbfs:.1f} dB over full scale: it is clipped when played")
    if "tone" in serves and target.has_side and not reference.has_side:
        found.append(f"{name} is mono{_all_but(reference)}: it says nothing about width")
    here_s, there_s = target.duration_s, reference.duration_s
    if (there_s < SHORT_SHARE * here_s and there_s < SHORT_S) or (there_s < SHORTEST_S and there_s < here_s):
        found.append(f"{name} lasts {there_s:.1f} s, the target {here_s:.1f} s: that is little to judge a record by")
    silent_s = silence_s(reference)
    if silent_s > SILENT_SHARE * there_s:
        found.append(f"{name} is silent for {silent_s:.1f} s of its {there_s:.1f} s")
    if {"tone", "dynamics"} & set(serves):
        tone_db, motion_db = unlikeness_db(target, reference)
        if np.hypot(tone_db, motion_db) > UNLIKE_DB:
            found.append(
                f"{name} is very unlike the target: its broad balance differs by {tone_db:.1f} dB and how its levels"
                f" move by {motion_db:.1f} dB; a reference of the same kind of music says more"
            )
    return tuple(found)


def _all_but(track: Profile) -> str:
    return "" if track.channels == 1 else f", its side {-track.overall_width_db:.0f} dB below its mid"


def silence_s(track: Profile) -> float:
    """How long a track is silent: its momentary loudness 60 LU or more below its highest."""
    loudness = momentary_lufs(track.segment_power, hop_ms=100)
    if not len(loudness):
        return 0.0
    return float(np.mean(loudness < loudness.max() + SILENT_DB)) * track.duration_s


def unlikeness_db(one: Profile, other: Profile) -> tuple[float, float]:
    """How far two pieces differ in kind: RMS over seven regions of the broad balance, and of how levels move, dB.

    The first is what an equalizer might change but mastering does not, being four third octaves wide and far larger;
    the second, the step of level from one 50 ms to the next, is left alone by gain and equalizer: a pad and a drum kit
    differ in it whatever their tone. Only regions in which both have signal count.
    """
    top_hz = min(one.bandwidth_hz, other.bandwidth_hz) / 10.0**0.05
    count = min(_GROUPS, int(np.sum(top_hz >= THIRD_OCTAVES_HZ)) // 4)
    balance = [_broad(p)[:count] for p in (one, other)]
    motion = [_motion_db(p)[:count] for p in (one, other)]
    return _rms(balance[0] - balance[1]), _rms(motion[0] - motion[1])


def _broad(track: Profile) -> NDArray[np.float64]:
    """Level of each region against loudness, the mean of four third octaves."""
    level = track.balance_db()
    level = np.maximum(level, level.max() - _DEEP_DB)
    return level[: 4 * _GROUPS].reshape(_GROUPS, 4).mean(axis=1)


def _motion_db(track: Profile) -> NDArray[np.float64]:
    """How much the level of each region moves from one block of 50 ms to the next, in dB of its standard deviation."""
    power = track.sketch.mid_power()
    heard = power > power.max() * 10.0 ** (_HEARD_DB / 10.0)
    if heard.sum() < 3:
        return np.zeros(_GROUPS)
    motion = np.empty(_GROUPS)
    for group in range(_GROUPS):
        region = np.zeros(int(heard.sum()))
        for band in range(5 * group, 5 * group + 5):
            level = track.sketch.mid_db(band)[heard].astype(np.float64)
            region += np.maximum(level, level.max() - _DEEP_DB) / 5
        motion[group] = np.std(np.diff(region))
    return 20.0 * np.log10(motion + 0.05)


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(values**2))) if len(values) else 0.0
