"""The sketch is the same however its stream comes and however much of it was expected."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.meters.dynamics import DynamicsMeter, figures
from dsp.meters.spectrum import BandMeter
from matcher.analysis import ProfileBuilder
from matcher.profile import coded
from matcher.sketching import SketchBuilder

RATE_HZ = 22_050


@pytest.mark.parametrize("expected_s", [0.0, 50.0, 300.0])
@pytest.mark.parametrize("seconds", [0.004, 45.0])
def test_sketch_is_what_its_meters_read(seconds: float, expected_s: float) -> None:
    """Taken every now and then, it is the meters' levels in half decibels, and the figures are those of the levels."""
    samples = np.random.default_rng(4).normal(0.0, 0.1, (2, int(seconds * RATE_HZ)))
    builder = SketchBuilder(RATE_HZ, expected_s)
    bands, dynamics = BandMeter(RATE_HZ), DynamicsMeter(RATE_HZ)
    for block in np.array_split(samples, max(1, int(seconds)), axis=1):
        for meter in (builder, bands, dynamics):
            meter.update(block)
    sketch, found = builder.result()
    levels = dynamics.result()
    np.testing.assert_array_equal(sketch.mid, coded(bands.result()))
    np.testing.assert_array_equal(sketch.power, coded(levels.power))
    np.testing.assert_array_equal(sketch.peak, coded(levels.peak[3] ** 2))
    np.testing.assert_allclose(found, figures(levels.power, levels.peak[3]), atol=1e-5)


def test_no_room_on_the_word_of_a_header() -> None:
    """A file may claim to last for millions of hours: it is measured all the same."""
    builder = ProfileBuilder(RATE_HZ, 1, expected_samples=10**15)
    builder.update(np.random.default_rng(5).normal(0.0, 0.1, (1, 2 * RATE_HZ)))
    assert builder.result("noise", "").length_samples == 2 * RATE_HZ
