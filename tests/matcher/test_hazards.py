"""What happens to files in real life: too large to count, cut while they are read, a process that is killed."""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from dsp.errors import FileError
from matcher import analyze, match
from matcher.io import AudioWriter, open_audio, write_audio

Command = Callable[..., tuple[int, str, str]]
RATE_HZ = 192_000
GIB = 2**30


def sparse_rf64(path: Path, data_bytes: int, ends: bytes) -> None:
    """A 24-bit stereo RF64 of silence that takes hardly any room, with `ends` as its first and last samples."""
    head = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 2, RATE_HZ, RATE_HZ * 6, 6, 24)
    sizes = struct.pack("<QQQI", data_bytes + 80, data_bytes, data_bytes // 6, 0)
    start = b"RF64\xff\xff\xff\xffWAVE" + b"ds64" + struct.pack("<I", 28) + sizes + head + b"data\xff\xff\xff\xff"
    with path.open("wb") as file:
        file.write(start + ends)
        file.truncate(len(start) + data_bytes)
        file.seek(len(start) + data_bytes - len(ends))
        file.write(ends)


@pytest.mark.parametrize("kind", [b"RF64", b"BW64"])
def test_beyond_4_gib(tmp_path: Path, kind: bytes) -> None:
    """All of it is there, to the last sample, and nothing of it is read before it is asked for."""
    path = tmp_path / "long.wav"
    numbers = np.arange(-300, 300).reshape(-1, 2)
    ends = np.frombuffer(numbers.astype("<i4").tobytes(), dtype=np.uint8).reshape(-1, 4)[:, :3].tobytes()
    data_bytes = (9 * GIB // 2) // 6 * 6
    sparse_rf64(path, data_bytes, ends)
    with path.open("r+b") as file:
        file.write(kind)
    if path.stat().st_blocks * 512 > GIB:
        pytest.skip("this file system keeps no holes")
    with open_audio(path) as source:
        assert (source.container, source.warnings) == ("RF64", ())
        assert source.length_samples == data_bytes // 6
        wanted = numbers.T / 2.0**23
        np.testing.assert_array_equal(source.read(source.length_samples - 300, 300), wanted)
        np.testing.assert_array_equal(source.read(0, 300), wanted)
        assert not source.read(source.length_samples // 2, 1000).any()


@pytest.mark.slow
def test_beyond_4_gib_is_written(tmp_path: Path) -> None:
    """A WAV that grows too long for its counters is a true RF64, with every sample where it belongs."""
    path = tmp_path / "long.wav"
    block = np.zeros((2, 1 << 20), dtype=np.float32)
    block[:, 0] = 0.5
    blocks = 4 * GIB // (6 << 20) + 40
    with AudioWriter(path, RATE_HZ, 2, container="WAV", bit_depth=24, length_samples=blocks << 20) as writer:
        for _ in range(blocks):
            writer.write(block)
    assert path.stat().st_size > 4 * GIB
    with open_audio(path) as source:
        assert (source.container, source.length_samples) == ("RF64", blocks << 20)
        np.testing.assert_array_equal(source.read((blocks - 1) << 20, 2), block[:, :2])


@pytest.mark.parametrize("ending", [".wav", ".flac", ".aiff"])
def test_a_file_that_shrinks(mix: Audio, record_file: Path, tmp_path: Path, ending: str) -> None:
    """Cut between opening and reading: the second where it ends is named, and nothing is written."""
    path = tmp_path / f"shrinking{ending}"
    write_audio(path, mix)
    with open_audio(path) as source:
        source.read(0, 1000)
        os.truncate(path, path.stat().st_size // 2)
        with pytest.raises(FileError, match=rf"shrinking{ending}: cannot be decoded beyond \d\.\d s"):
            for _ in source.blocks():
                pass


def test_a_file_that_shrinks_under_a_match(
    mix: Audio, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between analysis and render, too."""
    import matcher.matching

    path = tmp_path / "shrinking.wav"
    write_audio(path, mix)
    made_plan = matcher.matching.make_plan

    def and_cut(*given: object, **more: object) -> object:
        made = made_plan(*given, **more)
        os.truncate(path, path.stat().st_size // 2)
        return made

    monkeypatch.setattr(matcher.matching, "make_plan", and_cut)
    with pytest.raises(FileError, match="cannot be decoded beyond"):
        match(path, record_file, tmp_path / "out.wav")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(("out", "."))]


def test_a_header_of_ten_hours(tmp_path: Path) -> None:
    """A FLAC that claims more than it holds is measured as far as it goes, and refused with the second named."""
    path = tmp_path / "long.flac"
    soundfile.write(path, np.random.default_rng(1).normal(0.0, 0.1, 100_000), 44_100)
    data = bytearray(path.read_bytes())
    claimed = 44_100 * 36_000
    data[21:26] = bytes([data[21] & 0xF0 | claimed >> 32, *(claimed & 0xFFFFFFFF).to_bytes(4, "big")])
    path.write_bytes(data)
    started = time.monotonic()
    with pytest.raises(FileError, match=r"long.flac: cannot be decoded beyond \d\.\d s of 36000"):
        analyze(path)
    assert time.monotonic() - started < 20.0


def test_a_killed_process(mix_file: Path, record_file: Path, tmp_path: Path) -> None:
    """SIGKILL leaves the inputs as they are and no output; at most a hidden file stays, which nothing reads."""
    out = tmp_path / "out.wav"
    before = mix_file.read_bytes()
    code = "from matcher.cli import main; main()"
    words = [sys.executable, "-c", code, str(mix_file), str(record_file), "-o", str(out)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120.0
    while not list(tmp_path.glob(".*.wav")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert mix_file.read_bytes() == before
    left = {p.name for p in tmp_path.iterdir()} - {mix_file.name, record_file.name}
    if process.returncode == -signal.SIGKILL:
        assert out.name not in left
        assert all(name.startswith(".") for name in left)
