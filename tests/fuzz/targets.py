"""What is fuzzed: every parser of what strangers send. A target takes bytes, and raises faults of ours alone."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from dsp.errors import MatchError
from matcher.album_lists import tracks_of
from matcher.batches import tasks_of
from matcher.io import open_audio
from matcher.metadata import lost, read_metadata, write_metadata
from matcher.plans import Plan
from matcher.presets import Preset

CORPUS = Path(__file__).parent / "corpus"
BLOCK_SAMPLES, MOST_SAMPLES = 4096, 1 << 18
_CONTAINERS = {"WAV": ".wav", "FLAC": ".flac", "AIFF": ".aiff"}


def _room() -> Path:
    """A folder of this process's own, in memory where there is such a place."""
    shared = Path("/dev/shm")
    return Path(tempfile.mkdtemp(prefix="match-fuzz-", dir=shared if os.access(shared, os.W_OK) else None))


def _one_line(error: MatchError) -> None:
    assert "\n" not in str(error)


class Targets:
    """All targets, with a folder to work in; to be closed."""

    def __init__(self) -> None:
        self.room = _room()
        os.environ["PATH"] = ""  # what libsndfile refuses is not to go to ffmpeg
        self.good = {}
        for container, ending in _CONTAINERS.items():
            self.good[container] = self.room / f"good{ending}"
            soundfile.write(self.good[container], np.zeros((64, 2)), 44_100, subtype="PCM_16", format=container)

    def close(self) -> None:
        shutil.rmtree(self.room, ignore_errors=True)

    def named(self) -> dict[str, Callable[[bytes], None]]:
        """Name to target."""
        return {"audio": self.audio, "plan": self.plan, "preset": self.preset, "lists": self.lists}

    def audio(self, data: bytes) -> None:
        """A sound file of any kind: its header, its samples, what it says beside them, and that written elsewhere."""
        path = self.room / "in.wav"
        path.write_bytes(data)
        told = read_metadata(path)
        for container, ending in _CONTAINERS.items():
            lost(told, container)
            copy = self.room / f"copy{ending}"
            shutil.copyfile(self.good[container], copy)
            write_metadata(copy, container, told.at_rate(44_100, 48_000).without_levels())
            assert soundfile.info(copy).frames == 64
            again = read_metadata(copy)
            write_metadata(copy, container, again)
            assert read_metadata(copy) == again, "metadata that was written twice has changed"
        try:
            with open_audio(path) as source:
                for start in range(0, min(source.length_samples, MOST_SAMPLES), BLOCK_SAMPLES):
                    source.read(start, min(BLOCK_SAMPLES, source.length_samples - start))
        except MatchError as error:
            _one_line(error)

    def plan(self, data: bytes) -> None:
        """A plan, and every chain that is made of one."""
        try:
            made = Plan.from_json(data)
        except MatchError as error:
            _one_line(error)
            return
        assert Plan.from_json(made.to_json()) == made
        assert made.chain is not None

    def preset(self, data: bytes) -> None:
        """A preset."""
        try:
            Preset.from_json(data)
        except MatchError as error:
            _one_line(error)

    def lists(self, data: bytes) -> None:
        """A playlist, a CUE sheet, a table of a batch."""
        for ending in (".m3u", ".m3u8", ".cue", ".csv"):
            path = self.room / f"list{ending}"
            path.write_bytes(data)
            try:
                if ending == ".csv":
                    tasks_of(path, None, self.room)
                else:
                    tracks_of([path])
            except MatchError as error:
                _one_line(error)
