"""A second opinion: the written file is read again and measured by meters that are not ours.

pyloudnorm gives the integrated loudness (it wants the whole file in memory), SciPy a true peak 16 times oversampled.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dsp.errors import MatchError
from dsp.units import FLOOR_DB
from matcher.profile import Profile

LOUDNESS_LU = 0.1
OVER_CEILING_DB = 0.05
PEAK_DB = 0.2
_OVERSAMPLING, _TAPS = 16, 128


class DisagreementError(MatchError):
    """An independent meter read something else than ours."""


@dataclass(frozen=True)
class Verification:
    """What the independent meters read of the written file."""

    integrated_lufs: float
    true_peak_dbtp: float


def verify(path: Path, ours: Profile, ceiling_dbtp: float | None, *, length_samples: int | None = None) -> Verification:
    """Read `path` again and hold it against what was measured while it was made.

    ceiling_dbtp: the true peak that was promised; None where no limiter ran. length_samples: what the target makes at
    this rate; what was measured where None. Raises DisagreementError naming both figures; the file stays where it is.
    """
    import pyloudnorm
    import soundfile

    with path.open("rb") as file:
        samples, sample_rate_hz = soundfile.read(file, always_2d=True, dtype="float64")
    _same(path, "length", len(samples), ours.length_samples if length_samples is None else length_samples)
    _same(path, "sample rate", sample_rate_hz, ours.sample_rate_hz)
    _same(path, "channels", samples.shape[1], ours.channels)
    meter = pyloudnorm.Meter(sample_rate_hz, filter_class="DeMan")
    # It knows five channels, and neither LFE nor two pairs of surrounds.
    heard = samples[:, [0, 1, 2, 4, 5]] if ours.channels == 6 else samples
    # Of silence pyloudnorm reads minus infinity, our meter its floor.
    known = ours.channels <= 6
    loudness = max(FLOOR_DB, float(meter.integrated_loudness(heard))) if known else ours.integrated_lufs
    if abs(loudness - ours.integrated_lufs) > LOUDNESS_LU:
        raise DisagreementError(
            f"{path}: pyloudnorm reads {loudness:.2f} LUFS, our meter {ours.integrated_lufs:.2f};"
            f" {LOUDNESS_LU:g} LU are allowed. The file was left in place."
        )
    peak = max(true_peak_dbtp(channel) for channel in samples.T)
    if abs(peak - ours.true_peak_dbtp) > PEAK_DB:
        raise DisagreementError(
            f"{path}: a 16x meter reads {peak:.2f} dBTP, ours {ours.true_peak_dbtp:.2f};"
            f" {PEAK_DB:g} dB are allowed. The file was left in place."
        )
    if ceiling_dbtp is not None and peak > ceiling_dbtp + OVER_CEILING_DB:
        raise DisagreementError(
            f"{path}: a 16x meter reads {peak:.2f} dBTP, above the ceiling of {ceiling_dbtp:g};"
            f" {OVER_CEILING_DB:g} dB are allowed. The file was left in place."
        )
    return Verification(loudness, peak)


def _same(path: Path, what: str, read: int, made: int) -> None:
    if read != made:
        raise DisagreementError(f"{path}: its {what} reads back as {read}, {made} was expected. It was left in place.")


def true_peak_dbtp(samples: NDArray[np.float64]) -> float:
    """Highest value of one channel between its samples, by SciPy's polyphase filter over overlapping pieces."""
    from scipy import signal

    half = _OVERSAMPLING * _TAPS // 2
    taps = np.sinc(np.arange(-half, half + 1) / _OVERSAMPLING) * np.kaiser(2 * half + 1, 8.0)
    piece, reach = 1 << 16, _TAPS
    highest = float(np.abs(samples).max(initial=0.0))
    padded = np.concatenate([np.zeros(reach), samples, np.zeros(reach)])
    # A piece begins and ends abruptly: what lies within half a filter of its ends is left to its neighbours.
    edge = half + _OVERSAMPLING * reach // 2
    for start in range(0, len(samples), piece):
        part = padded[start : start + piece + 2 * reach]
        if np.abs(part).max() * 4.0 > highest:
            between = signal.upfirdn(taps, part, _OVERSAMPLING)[edge:-edge]
            highest = max(highest, float(np.abs(between).max()))
    return float(20.0 * np.log10(max(highest, 1e-10)))
