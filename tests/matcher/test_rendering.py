"""Rendering to files: the noise of what is rounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from dsp.effects.dither import Dither
from dsp.effects.gain import Gain
from matcher import Plan, analyze, render
from matcher.planner.steps import track
from matcher.plans import Step

GAIN_DB = -1.5


@pytest.fixture
def turned_down(mix: Audio) -> tuple[Plan, np.ndarray]:
    """A plan of one gain, and the samples it makes."""
    plan = Plan(target=track(analyze(mix)), steps=(Step(settings=Gain(gain_db=GAIN_DB), because="to be dithered"),))
    return plan, render(mix, plan).audio.samples


@pytest.mark.parametrize("bits", [16, 24])
@pytest.mark.parametrize("noise", ["tpdf", "shaped", "none"])
def test_integers_are_rounded_as_asked(
    mix: Audio, turned_down: tuple[Plan, np.ndarray], tmp_path: Path, bits: int, noise: str
) -> None:
    """Under white noise, under shaped noise, or to the nearest step."""
    plan, wanted = turned_down
    render(mix, plan, tmp_path / "out.wav", bit_depth=bits, dither=noise)
    written = soundfile.read(tmp_path / "out.wav", dtype="float64")[0].T
    if noise == "none":
        expected = np.round(wanted * 2.0 ** (bits - 1)) / 2.0 ** (bits - 1)
    else:
        dither = Dither(bit_depth=bits, shaped=noise == "shaped")
        expected = dither.processor(mix.sample_rate_hz, mix.channels).process(wanted)
    np.testing.assert_array_equal(written, expected)
