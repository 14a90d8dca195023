"""Stretches to play: as long as asked for, in their place to the sample, at any rate, with repairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dsp.audio import Audio
from dsp.effects.gain import Gain
from dsp.restoration.dcoffset import Dcoffset
from matcher.io import content_hash, write_audio
from matcher.plans import Plan, Step, Track
from matcher.serve.windows import RATE_HZ, Renderer, heard

RESAMPLED_DB = -70.0
"""How far a sine that was resampled may lie from the sine itself."""


def sine(rate: int, seconds: float) -> Audio:
    """One kilohertz, rising slowly, so that no two places are alike."""
    t = np.arange(round(rate * seconds)) / rate
    wave = 0.05 * (1.0 + t) * np.sin(2.0 * np.pi * 1000.0 * t + 0.3)
    return Audio(np.stack([wave, -wave]), rate)


def plan_for(path: Path, *settings: object) -> Plan:
    track = Track(name=path.name, content_hash=content_hash(path), sample_rate_hz=1, channels=2, integrated_lufs=0.0)
    return Plan(target=track, steps=tuple(Step(settings=s) for s in settings))


@pytest.mark.parametrize("rate", [22_050, 44_100, 48_000, 88_200, 96_000, 192_000])
@pytest.mark.parametrize("start", [0, 1, 30_011, 96_000])
def test_every_rate_gives_the_same_moment(tmp_path: Path, rate: int, start: int) -> None:
    """A stretch is the wave itself at the page's rate, counted from the start of the track."""
    write_audio(tmp_path / "a.wav", sine(rate, 4.0), is_float=True, bit_depth=32)
    count = 20_000
    found = heard(tmp_path / "a.wav", start, count).samples
    assert found.shape == (2, count)
    expected = sine(RATE_HZ, 4.0).samples[:, start : start + count]
    settled = slice(600 if start == 0 else 0, None)  # a filter meets the edge of the track there
    off = np.sqrt(np.mean((found - expected)[:, settled] ** 2)) / np.sqrt(np.mean(expected[:, settled] ** 2))
    assert 20.0 * np.log10(off + 1e-12) < RESAMPLED_DB
    rendered = Renderer().rendered(tmp_path / "a.wav", plan_for(tmp_path / "a.wav"), start, count, keep_in=tmp_path)
    np.testing.assert_allclose(rendered.samples, found, atol=1e-6)


def test_beyond_the_end_is_silence(tmp_path: Path) -> None:
    """A stretch is never shorter than asked for."""
    write_audio(tmp_path / "a.wav", sine(44_100, 1.0))
    window = heard(tmp_path / "a.wav", 40_000, 20_000)
    assert window.samples.shape == (2, 20_000)
    assert np.any(window.samples[:, :7000])
    assert not np.any(window.samples[:, 8100:])
    behind = heard(tmp_path / "a.wav", 500_000, 100)
    assert not behind.samples.any()
    assert behind.peak == 0.0


def test_repairs_are_made_once_and_heard(tmp_path: Path) -> None:
    """A plan that mends the target plays what it mends; the second stretch finds it made."""
    shifted = sine(48_000, 2.0)
    write_audio(tmp_path / "a.wav", Audio(shifted.samples + 0.1, 48_000), is_float=True, bit_depth=32)
    plan = plan_for(tmp_path / "a.wav", Dcoffset(left=0.1, right=0.1), Gain(gain_db=1.0))
    renderer = Renderer()
    window = renderer.rendered(tmp_path / "a.wav", plan, 24_000, 24_000, keep_in=tmp_path)
    assert float(np.abs(window.samples.mean(axis=1)).max()) < 1e-3
    (kept,) = tmp_path.glob("repaired-*.wav")
    made = kept.stat().st_mtime_ns
    renderer.rendered(tmp_path / "a.wav", plan, 0, 24_000, keep_in=tmp_path)
    assert kept.stat().st_mtime_ns == made


def test_loudness_is_that_of_the_stretch(tmp_path: Path) -> None:
    """It is what the page matches by: twice the level is six dB more."""
    write_audio(tmp_path / "a.wav", sine(48_000, 4.0), is_float=True, bit_depth=32)
    first, later = (heard(tmp_path / "a.wav", start, 4800) for start in (0, 144_000 - 4800))
    rise = 20.0 * np.log10(np.sqrt(np.mean(later.samples**2) / np.mean(first.samples**2)))
    assert later.lufs - first.lufs == pytest.approx(rise, abs=0.2)
