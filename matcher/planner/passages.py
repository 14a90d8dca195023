"""Shared passages: where both tracks hold the very same recording, what differs in sound is mastering alone.

Loops, samples and copied bars come back in a piece to the sample. The coherence of two places says for every band how
much of what sounds there is the same recording, and with it how exactly their levels may be compared: an equalizer
turns the phase of a band as a whole and leaves the coherence at 1, another note or another singer does not. Bendat &
Piersol, Random Data (2010), 6.1 and 9.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from dsp.units import db_from_power
from matcher.io import AudioSource
from matcher.planner.gaussian import UNKNOWN_LEVEL_DB, Array, Evidence, kernel
from matcher.planner.likeness import Alike
from matcher.planner.placing import Floats, mid_and_side, placed
from matcher.planner.sections import Section
from matcher.profile import THIRD_OCTAVES_HZ, TONE_EDGES_HZ

ONE_PIECE, PERHAPS, ONE_RECORDING = 0.6, 0.5, 0.97
"""Similarities of the most similar moments: of pieces that share something, and where a look does no harm; and of all
moments, from where on there is nothing else to tell apart."""
SHORT_S = 90.0
"""Of a reference that is searched in no time."""
PASSAGE_S = 2.0
"""Long enough to be told from others, short enough to end before the next instrument sets in."""
FRAME_S = 0.186
"""Of the spectra whose coherence is measured: a bin is 5 Hz wide."""
COHERENT = 0.5
"""Of squared coherence, from which on more of a band is the same recording than is not."""
FEWEST_BANDS = 5
"""In so many bands a passage is coherent, or it is not the same recording: one note alone may happen to agree."""
HEARD_DB = 60.0
"""Bands further below the loudest of a passage say nothing."""
SIDE_HEARD_DB = 45.0
"""A side further below its mid says nothing."""
EXACT_DB = 0.2
"""How far two levels of the same recording differ by themselves: a compressor takes them from other surroundings."""
ROUGHEST_DB = 5.0
"""Levels that are less sure are not counted."""
SURER = 3.0
"""Passages count by this power of how sure they are: what one of them has besides, the next one often has as well."""
SMOOTH_OCT = 0.5
"""Over so much an instrument that returns a little louder or brighter misleads in the same way."""
ROUNDS = 12
"""Of levels and bands in turn: from four on nothing moves."""
WHOLE_DB = 0.4
"""How far all passages are from standing for the whole track."""
LARGE_DB, LARGE_SHARE, DEEPEST_DB = 9.0, 0.2, -30.0
"""From which change on of the side how much of the rest is not sure, and where a side counts as gone."""


@dataclass(frozen=True, eq=False)
class Shared:
    """What was measured where both tracks hold the same recording."""

    tone: Evidence | None = None
    """Of the mid; its level is not known, as passages are not equally loud."""
    width: Evidence | None = None
    """Of the side against the mid; None where no side is coherent."""
    passages: int = 0


class Cells(NamedTuple):
    """Bands of one passage, shape (2, bands): of mid and side."""

    difference_db: Array
    """Reference minus target."""
    sd_db: Array
    """How exact that is; infinite where it says nothing."""
    power: Array
    """Of the target."""


def may_share(alike: Sequence[Alike], reference_s: float) -> bool:
    """Whether two tracks may hold the same recording, and not all of it, from what was found to be alike in them.

    reference_s: how long a search there would be.
    """
    likely = ONE_PIECE if reference_s > SHORT_S else PERHAPS
    return bool(alike) and alike[-1].similarity > likely and alike[0].similarity < ONE_RECORDING


def shared(sections: Sequence[Section], sample_rate_hz: int, reference: AudioSource) -> Shared:
    """Compare what sections of a target share with a reference, if anything."""
    passages = _passages(sections, int(PASSAGE_S * sample_rate_hz))
    if not passages:
        return Shared()
    with ThreadPoolExecutor(max_workers=2) as pool:
        compared = partial(_compared, sample_rate_hz=sample_rate_hz)
        cells = list(pool.map(compared, passages, placed(passages, sample_rate_hz, reference)))
    same = [each for each in cells if _is_same(each)]
    return _gathered(same) if same else Shared()


def _passages(sections: Sequence[Section], length: int) -> list[Floats]:
    """Mid and side of each, shape (2, length), one behind the other."""
    counted = [section.samples[:, section.run_in :] for section in sections]
    found = [
        mid_and_side(part[:, start : start + length])
        for part in counted
        for start in range(0, part.shape[1] - length + 1, length)
    ]
    return [passage for passage in found if passage[0].any()]


def _compared(here: Floats, there: Floats, sample_rate_hz: int) -> Cells:
    size = 1 << round(np.log2(FRAME_S * sample_rate_hz))
    hz = np.arange(size // 2 + 1) * (sample_rate_hz / size)
    first = np.searchsorted(hz, TONE_EDGES_HZ)
    spectra, others = (_frames(part, size) for part in (here, there))
    power, loud = (_in_bands(np.sum(np.abs(each) ** 2, axis=1), first) for each in (spectra, others))
    cross = _in_bands(np.sum(np.conj(spectra) * others, axis=1), first)
    coherence = np.clip(np.abs(cross) ** 2 / np.maximum(power * loud, 1e-30), 1e-3, 1.0)
    sd_db = _sd_db(coherence)
    heard = power > power[0].max() * 10.0 ** (-HEARD_DB / 10.0)
    heard[1] &= power[1] > power[0] * 10.0 ** (-SIDE_HEARD_DB / 10.0)
    sd_db = np.where(heard & (sd_db < ROUGHEST_DB), sd_db, np.inf)
    return Cells(db_from_power(loud) - db_from_power(power), sd_db, power)


def _frames(samples: Floats, size: int) -> NDArray[np.complex64]:
    """Spectra of half-overlapping frames, shape (2, frames, bins)."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, size, axis=1)[:, :: size // 2]
    spectra: NDArray[np.complex64] = fft.rfft(frames * np.hanning(size + 1)[:-1].astype(np.float32), axis=2)
    return spectra


def _in_bands(values: NDArray[Any], first: NDArray[np.intp]) -> NDArray[Any]:
    """Sums over the bins of each band, shape (2, bands)."""
    summed = np.pad(np.cumsum(values, axis=1, dtype=np.result_type(values, np.float64)), ((0, 0), (1, 0)))
    return summed[:, first[1:]] - summed[:, first[:-1]]


def _sd_db(coherence: Array) -> Array:
    """How exactly two levels may be compared that are so coherent (squared).

    As 8,000 bands of passages with hidden masters had it: 0.25 dB at 0.95, 0.35 at 0.9, 0.6 at 0.8, 1.4 at 0.6.
    """
    return np.hypot(EXACT_DB, 1.7 * ((1.0 - coherence) / coherence) ** 0.75)


def _is_same(cells: Cells) -> bool:
    return int(np.sum(cells.sd_db[0] < _sd_db(np.array(COHERENT)))) >= FEWEST_BANDS


def _gathered(cells: Sequence[Cells]) -> Shared:
    difference_db, sd_db, power = (np.array(part) for part in zip(*cells, strict=True))
    width_db = np.maximum(difference_db[:, 1] - difference_db[:, 0], DEEPEST_DB)
    large_db = LARGE_SHARE * np.maximum(np.abs(width_db) - LARGE_DB, 0.0)
    width_sd_db = np.sqrt(sd_db[:, 0] ** 2 + sd_db[:, 1] ** 2 + large_db**2)
    loud = np.sqrt(power[:, 0])
    return Shared(
        tone=_mean(difference_db[:, 0], sd_db[:, 0], loud, UNKNOWN_LEVEL_DB, smooth=True),
        width=_mean(width_db, width_sd_db, loud, 0.0, smooth=False),
        passages=len(cells),
    )


def _mean(difference_db: Array, sd_db: Array, loud: Array, level_db: float, *, smooth: bool) -> Evidence | None:
    """Over passages, (passages, bands), whose levels differ by `level_db`; None where nothing is sure.

    A band is as sure as its passages are and as they agree; loud ones are more of the whole. smooth: whether what is
    wrong with a band is wrong with its neighbours, too.
    """
    sure = sd_db**-SURER
    heard = sure.sum(axis=0) > 0.0
    if not heard.any():
        return None
    difference_db, sure = difference_db[:, heard], sure[:, heard]
    share = sure * loud[:, heard]
    share /= share.sum(axis=0)
    levels_db, mean_db = np.zeros((len(share), 1)), (share * difference_db).sum(axis=0)
    for _ in range(ROUNDS if level_db else 0):  # levels against all bands, bands against all levels
        own_db = (sure * (difference_db - mean_db)).sum(axis=1, keepdims=True)
        levels_db = own_db / np.maximum(sure.sum(axis=1, keepdims=True), 1e-12)
        mean_db = (share * (difference_db - levels_db)).sum(axis=0)
    apart_db = share * (difference_db - levels_db - mean_db)
    known_db = (share * np.where(share > 0.0, sd_db[:, heard], 0.0)).sum(axis=0)
    alike = kernel(np.log2(THIRD_OCTAVES_HZ[heard]), 1.0, SMOOTH_OCT) if smooth else np.eye(len(mean_db))
    covariance = np.outer(known_db, known_db) * alike + np.diag(WHOLE_DB**2 + (apart_db**2).sum(axis=0)) + level_db**2
    return Evidence(heard, mean_db, covariance)
