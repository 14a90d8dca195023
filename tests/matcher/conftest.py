"""Short music and a cache of its own for the tests of the engine."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import matcher.cli
from dsp.audio import Audio
from matcher.demo import mastered, song, unfinished
from matcher.features import Features
from matcher.io import write_audio
from matcher.profile import THIRD_OCTAVES_HZ, Profile


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Profiles go to a folder that ends with the test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("MATCH_CACHE_DIR", str(folder))
    monkeypatch.setenv("MATCH_PRESETS_DIR", str(folder / "presets"))
    return folder


@pytest.fixture(scope="session")
def stored() -> Callable[[Profile], bytes]:
    """A profile as it is kept: equal where all figures and arrays are."""

    def as_kept(profile: Profile) -> bytes:
        file = io.BytesIO()
        profile.write(file)
        return file.getvalue()

    return as_kept


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


class Served:
    """A `match serve` process on loopback, and what a browser would send it."""

    def __init__(self, folder: Path, cache: Path, *options: str) -> None:
        self.folder = folder
        code = "from matcher.cli import main; main()"
        words = ["serve", "--port", "0", "--no-browser", "--folder", str(folder), *options]
        folders = {"MATCH_CACHE_DIR": str(cache), "MATCH_PRESETS_DIR": str(cache / "presets")}
        environment = os.environ | folders | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *words],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        if found is None:
            self.process.kill()
            raise AssertionError(f"{line}{self.process.communicate()}")
        self.address = found[0]
        self.base, _, self.token = self.address.partition("/?token=")
        self.cookies = {f"match-{self.base.rpartition(':')[2]}": self.token}

    def client(self, **headers: str) -> httpx.Client:
        """With the cookie of the token."""
        return httpx.Client(base_url=self.base, cookies=self.cookies, headers=headers, timeout=60.0)

    def upload(self, path: Path) -> str:
        """The id of a sound that was given to the page."""
        with self.client() as client:
            answer = client.post("/api/files", params={"name": path.name}, content=path.read_bytes())
            assert answer.status_code == 200, answer.text
            return str(answer.json()["id"])

    def add(self, target: str, reference: str, **more: object) -> str:
        """The id of a new match."""
        with self.client() as client:
            answer = client.post("/api/jobs", json={"targets": [target], "references": [reference], **more})
            assert answer.status_code == 200, answer.text
            return str(answer.json()["id"])

    def job(self, identity: str) -> dict[str, Any]:
        """What the page knows of a job."""
        with self.client() as client:
            return dict(client.get(f"/api/jobs/{identity}").json())

    def jobs(self) -> dict[str, str]:
        """Status of every job by its id."""
        with self.client() as client:
            return {job["id"]: job["status"] for job in client.get("/api/state").json()["jobs"]}

    def settled(self, *identities: str) -> list[str]:
        """What became of jobs, once none is waiting or running."""
        for _ in range(1200):
            found = self.jobs()
            if not any(found[identity] in ("queued", "running") for identity in identities):
                return [found[identity] for identity in identities]
            time.sleep(0.1)
        raise AssertionError(f"still at work: {found}")

    def end(self, how: int = signal.SIGTERM) -> None:
        """Stop the process."""
        self.process.send_signal(how)
        self.process.communicate(timeout=20)


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Served]]:
    """Start a server; without a folder it gets one of its own. All end with the module."""
    cache = tmp_path_factory.mktemp("serve-cache")
    started: list[Served] = []

    def start(*options: str, folder: Path | None = None) -> Served:
        started.append(Served(folder or tmp_path_factory.mktemp("state") / "state", cache, *options))
        return started[-1]

    yield start
    for served in started:
        if served.process.poll() is None:
            served.end()


@pytest.fixture(scope="session")
def songs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A mix and a record of six seconds as files."""
    folder = tmp_path_factory.mktemp("songs")
    mix, record = unfinished(song(1, seconds=6.0)), mastered(song(2, seconds=6.0, style="dance"))
    return _written(folder / "mix.wav", mix), _written(folder / "record.wav", record)
