"""The sketch is the same however its stream comes and however much of it was expected."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.meters.dynamics import DynamicsMeter, figures
from dsp.meters.spectrum import BandMeter
from matcher.profile import coded
from matcher.sketching import Columns, SketchBuilder

RATE_HZ = 22_050


@pytest.mark.parametrize("expected", [0, 1, 99, 100, 101, 1000])
def test_columns_are_those_that_came(expected: int) -> None:
    """More or fewer than were expected."""
    wanted = np.arange(300, dtype=np.float32).reshape(3, 100)
    columns = Columns(3, np.float32, expected)
    assert columns.array.shape == (3, 0)
    for piece in np.array_split(wanted, 7, axis=1):
        columns.add(piece)
    np.testing.assert_array_equal(columns.array, wanted)


@pytest.mark.parametrize("expected_s", [0, 50, 1e12])
@pytest.mark.parametrize("seconds", [0.004, 45.0])
def test_sketch_is_what_its_meters_read(seconds: float, expected_s: float) -> None:
    """Taken every now and then, it is the meters' levels in half decibels, and the figures are those of the levels."""
    samples = np.random.default_rng(4).normal(0.0, 0.1, (2, int(seconds * RATE_HZ)))
    builder = SketchBuilder(RATE_HZ, int(expected_s * RATE_HZ))
    bands, dynamics = BandMeter(RATE_HZ), DynamicsMeter(RATE_HZ)
    for block in np.array_split(samples, max(1, int(seconds)), axis=1):
        for meter in (builder, bands, dynamics):
            meter.update(block)
    sketch, found = builder.result()
    levels = dynamics.result()
    np.testing.assert_array_equal(sketch.mid, coded(bands.result()))
    np.testing.assert_array_equal(sketch.power, coded(levels.power))
    np.testing.assert_array_equal(sketch.peak, coded(levels.peak[3] ** 2))
    np.testing.assert_allclose(found, figures(levels.power, levels.peak[3]), atol=1e-4)
