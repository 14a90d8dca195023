"""Short music and a cache of its own for the tests of the engine."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import matcher.cli
from dsp.audio import Audio
from matcher.demo import mastered, song, unfinished
from matcher.features import Features
from matcher.io import write_audio
from matcher.profile import THIRD_OCTAVES_HZ


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles go to a folder that ends with the test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MATCH_CACHE_DIR", str(folder))
    monkeypatch.setenv("MATCH_PRESETS_DIR", str(folder / "presets"))
    return folder


@pytest.fixture(scope="session")
def mix() -> Audio:
    """Eight seconds of an unfinished mix, half a second of silence at either end."""
    return _padded(unfinished(song(1, seconds=7.0)))


@pytest.fixture(scope="session")
def record() -> Audio:
    """Six seconds of another piece, mastered."""
    return mastered(song(2, seconds=6.0, tempo_bpm=118.0, key="E minor", style="dance"))


@pytest.fixture
def mix_file(mix: Audio, tmp_path: Path) -> Path:
    """The mix as a 24-bit WAV in a folder of its own."""
    return _written(tmp_path / "mix.wav", mix)


@pytest.fixture
def record_file(record: Audio, tmp_path: Path) -> Path:
    """The record as a 24-bit WAV beside the mix."""
    return _written(tmp_path / "record.wav", record)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """`match` in this process: exit code, standard output, standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["match", *(str(a) for a in arguments)])
        with pytest.raises(SystemExit) as end:
            matcher.cli.main()
        printed = capsys.readouterr()
        return int(end.value.code or 0), printed.out, printed.err

    return run


def _padded(audio: Audio) -> Audio:
    silence = np.zeros((audio.channels, audio.sample_rate_hz // 2))
    return Audio(np.concatenate([silence, audio.samples, silence], axis=1), audio.sample_rate_hz)


def _written(path: Path, audio: Audio) -> Path:
    write_audio(path, audio)
    return path


@pytest.fixture
def invented() -> Callable[..., list[Features]]:
    """Features of tracks that never sounded: of one kind, each its own, as far apart as music is."""

    def make(count: int, *, seed: int = 1, tilt_db_oct: float = -4.0, lufs: float = -12.0) -> list[Features]:
        rng = np.random.default_rng(seed)
        octaves = np.log2(THIRD_OCTAVES_HZ / 1000.0)
        found = []
        for number in range(count):
            own = np.cumsum(rng.normal(0.0, 1.5, 30))
            mid = -17.0 + tilt_db_oct * octaves + own - own.mean()
            loudness = lufs + rng.normal(0.0, 1.0)
            found.append(
                Features(
                    name=f"{seed}-{number}.wav",
                    content_hash=f"{rng.integers(2**63):016x}{rng.integers(2**63):016x}",
                    duration_s=float(np.round(rng.uniform(120.0, 300.0), 3)),
                    sample_rate_hz=44100,
                    channels=2,
                    integrated_lufs=float(np.round(loudness, 4)),
                    isolated_lufs=float(np.round(loudness, 4)),
                    range_lu=float(np.round(rng.uniform(2.0, 8.0), 4)),
                    true_peak_dbtp=float(np.round(rng.uniform(-1.0, 0.5), 4)),
                    correlation=float(np.round(rng.uniform(0.4, 0.9), 4)),
                    bandwidth_hz=20500.0,
                    density_db=tuple(np.round(rng.normal([12.0, 6.0, 5.0, 6.0], 0.8), 4).tolist()),
                    mid_db=tuple(np.round(mid, 4).tolist()),
                    side_db=tuple(np.round(mid - 10.0 + rng.normal(0.0, 2.0, 30), 4).tolist()),
                )
            )
        return found

    return make
