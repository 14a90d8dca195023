"""Straight lines over damage: where they lead, and that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.restoration.bridge import Bridge
from dsp.restoration.events import event

RATE_HZ = 44_100


def bridged(samples: np.ndarray, spans: list[tuple[int, int, int]], block: int) -> np.ndarray:
    bridge = Bridge([event(*span, RATE_HZ) for span in spans], RATE_HZ, len(samples))
    parts = [bridge.process(samples[:, n : n + block]) for n in range(0, samples.shape[1], block)]
    rest = bridge.finish()
    return np.concatenate([*parts, rest] if rest is not None else parts, axis=1)


@pytest.mark.parametrize("block", [7, 64, 1000])
def test_leads_straight_over_and_leaves_the_rest(block: int) -> None:
    """Only the events' own samples change, whatever the blocks; neighbours that touch are one line."""
    samples = np.random.default_rng(3).standard_normal((2, 1000))
    made = bridged(samples, [(100, 140, 0), (120, 130, 1), (140, 150, 0), (600, 601, 1)], block)
    expected = samples.copy()
    expected[0, 99:151] = np.linspace(samples[0, 99], samples[0, 150], 52)
    expected[1, 119:131] = np.linspace(samples[1, 119], samples[1, 130], 12)
    expected[1, 600] = 0.5 * (samples[1, 599] + samples[1, 601])
    assert np.allclose(made, expected, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("block", [9, 50])
def test_at_either_end_the_other_side_goes_on(block: int) -> None:
    """There is no sample before the first and none after the last."""
    samples = np.random.default_rng(4).standard_normal((1, 50))
    made = bridged(samples, [(0, 5, 0), (40, 50, 0)], block)
    assert np.allclose(made[0, :5], samples[0, 5])
    assert np.allclose(made[0, 40:], samples[0, 39])
    assert np.array_equal(made[0, 5:40], samples[0, 5:40])
    assert np.allclose(bridged(samples, [(0, 50, 0)], block), 0.0)
