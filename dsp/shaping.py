"""Noise shaping: the rounding noise of an integer file moved to where the ear hears least.

The filter is the one that leaves the least noise behind the ear's own weighting: linear prediction of the weighting's
autocorrelation (Wannamaker 1992). Its zeros lie inside the unit circle, and so its log magnitude has the mean zero that
Gerzon and Craven (1989) prove to be the least: what is taken away in one place is added in another.
"""

from __future__ import annotations

import functools

import numpy as np
from numpy.typing import NDArray

from dsp.transforms import fft

ORDER = 12
MOST_WEIGHT_DB = 40.0
"""How far the threshold of hearing is followed above its lowest point; it bounds the noise that is added in all."""
_POINTS = 1 << 14


def threshold_in_quiet_db(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """The softest tone that is heard, dB SPL (Terhardt 1979); constant below 20 Hz."""
    khz = np.maximum(frequency_hz, 20.0) / 1000.0
    return np.asarray(3.64 * khz**-0.8 - 6.5 * np.exp(-0.6 * (khz - 3.3) ** 2) + 1e-3 * khz**4)


def hearing_weight(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much noise counts there, as power; 1 where the ear is keenest."""
    above = threshold_in_quiet_db(frequency_hz)
    above = np.minimum(above - threshold_in_quiet_db(np.linspace(20.0, 20_000.0, 2000)).min(), MOST_WEIGHT_DB)
    return np.asarray(10.0 ** (-above / 10.0))


@functools.cache
def shaping_filter(sample_rate_hz: int) -> NDArray[np.float64]:
    """What the error of a sample does to the samples after it: `ORDER` coefficients of z^-1, z^-2 and so on.

    The noise of the result is the rounding error through 1 + sum of a[k] z^-k.
    """
    from scipy.linalg import solve_toeplitz

    correlation = fft.irfft(hearing_weight(fft.rfftfreq(_POINTS, 1.0 / sample_rate_hz)))[: ORDER + 1]
    taps: NDArray[np.float64] = solve_toeplitz(correlation[:-1], -correlation[1:])
    taps.flags.writeable = False
    return taps
