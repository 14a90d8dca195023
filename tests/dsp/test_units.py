"""Units: the one place where amplitudes become decibels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dsp import units

EXACT = 1e-12


@pytest.mark.parametrize(("gain", "db"), [(1.0, 0.0), (10.0, 20.0), (0.1, -20.0), (2.0, 6.0205999132796), (-1.0, 0.0)])
def test_gain_and_db(gain: float, db: float) -> None:
    """Twice the amplitude is 6.02 dB, polarity does not count."""
    assert units.db_from_gain(gain) == pytest.approx(db, abs=EXACT)
    assert units.gain_from_db(db) == pytest.approx(abs(gain), rel=EXACT)


@pytest.mark.parametrize("to_db", [units.db_from_gain, units.db_from_power])
def test_silence_is_the_floor(to_db) -> None:
    """Nothing is FLOOR_DB, not minus infinity, and nothing reads lower."""
    assert to_db(0.0) == pytest.approx(units.FLOOR_DB, abs=EXACT)
    assert to_db(1e-300) == pytest.approx(units.FLOOR_DB, abs=EXACT)


@given(st.floats(-190.0, 190.0))
def test_power_is_amplitude_squared(db: float) -> None:
    """The same dB whether measured as amplitude or power, and back again."""
    gain = units.gain_from_db(db)
    assert units.power_from_db(db) == pytest.approx(gain**2, rel=1e-9)
    assert units.db_from_gain(gain) == pytest.approx(db, abs=1e-9)
    assert units.db_from_power(gain**2) == pytest.approx(db, abs=1e-9)


@pytest.mark.parametrize("function", [units.db_from_gain, units.gain_from_db, units.db_from_power, units.erb_number])
def test_arrays_are_numbers_in_a_row(function) -> None:
    """An array of any shape gives what each of its numbers gives."""
    values = np.array([[0.5, 1.0, 2.0], [3.0, 10.0, 100.0]])
    expected = np.array([[function(float(v)) for v in row] for row in values])
    assert np.array_equal(function(values), expected)


@pytest.mark.parametrize(
    ("seconds", "rate_hz", "samples"), [(1.0, 44_100, 44_100), (0.5 / 48_000, 48_000, 1), (0.0, 96_000, 0)]
)
def test_seconds_to_samples(seconds: float, rate_hz: int, samples: int) -> None:
    """To the nearest whole sample, halves up, as an int."""
    found = units.samples_from_s(seconds, rate_hz)
    assert found == samples
    assert isinstance(found, int)


def test_octaves() -> None:
    """20 Hz to 20 kHz is just under ten octaves, and downwards counts negative."""
    assert units.octaves_between(20.0, 20_000.0) == pytest.approx(9.965784284662087)
    assert units.octaves_between(880.0, 440.0) == -1.0


@pytest.mark.parametrize(("frequency_hz", "number"), [(0.0, 0.0), (1000.0, 15.6215), (100.0, 3.3696)])
def test_erb_number(frequency_hz: float, number: float) -> None:
    """Values of Glasberg and Moore's formula, and its inverse."""
    assert units.erb_number(frequency_hz) == pytest.approx(number, abs=1e-4)
    assert units.frequency_from_erb_number(units.erb_number(frequency_hz)) == pytest.approx(frequency_hz, abs=1e-9)


def test_one_erb_is_as_wide_as_the_filter() -> None:
    """A step of one around 1 kHz spans 24.7·(4.37·f/kHz + 1) = 132.6 Hz, the published bandwidth."""
    middle = units.erb_number(1000.0)
    width_hz = units.frequency_from_erb_number(middle + 0.5) - units.frequency_from_erb_number(middle - 0.5)
    assert width_hz == pytest.approx(24.7 * (4.37 + 1.0), rel=0.01)
