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
from matcher.io import write_audio


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles go to a folder that ends with the test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MATCH_CACHE_DIR", str(folder))
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
