"""dB, samples, octaves and ERB: the only home of 20·log10.

Every function takes and returns floats or arrays of any shape. Silence becomes `FLOOR_DB`, never -inf.
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

FLOOR_DB = -200.0
_FLOOR_POWER = 1e-20

Number = TypeVar("Number", float, NDArray[Any])


def db_from_gain(gain: Number) -> Number:
    """Amplitude ratio to dB."""
    return 20.0 * np.log10(np.maximum(np.abs(gain), 1e-10))


def gain_from_db(db: Number) -> Number:
    """dB to amplitude ratio."""
    return 10.0 ** (db / 20.0)


def db_from_power(power: Number) -> Number:
    """Power ratio to dB."""
    return 10.0 * np.log10(np.maximum(power, _FLOOR_POWER))


def power_from_db(db: Number) -> Number:
    """dB to power ratio."""
    return 10.0 ** (db / 10.0)


def samples_from_s(seconds: float, sample_rate_hz: float) -> int:
    """Seconds to the nearest whole sample, halves away from zero."""
    return int(np.floor(seconds * sample_rate_hz + 0.5))


def octaves_between(low_hz: Number, high_hz: Number) -> Number:
    """How many octaves `high_hz` lies above `low_hz`."""
    return np.log2(high_hz / low_hz)


def erb_number(frequency_hz: Number) -> Number:
    """Frequency to ERB-number (Glasberg & Moore 1990)."""
    return 21.4 * np.log10(1.0 + 0.00437 * frequency_hz)


def frequency_from_erb_number(number: Number) -> Number:
    """ERB-number to frequency in Hz, the inverse of `erb_number`."""
    return (10.0 ** (number / 21.4) - 1.0) / 0.00437
