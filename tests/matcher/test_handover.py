"""What a pressing plant is handed: boundaries on CD frames, sheet and list, checksums that hold."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from dsp.errors import FileError, SettingsError
from matcher.album_handover import Entry, clock, entry_of, hand_over
from matcher.io import write_audio
from matcher.metadata import Metadata, write_metadata

FRAME = 588
LENGTHS = (250_001, 200_000, 176_400)


@pytest.fixture
def entries(tmp_path: Path) -> list[Entry]:
    """Three short tracks of noise, one with an ISRC."""
    found = []
    for number, length in enumerate(LENGTHS, 1):
        path = tmp_path / f"{number}.wav"
        noise = np.random.default_rng(number).integers(-9000, 9000, (2, length)) / 2.0**15
        write_audio(path, Audio(noise, 44_100), bit_depth=16)
        if number == 2:
            tags = {"title": ('Nuit "d\'été"',), "artist": ("夜",), "isrc": ("GB-AYE-06-01498",)}
            write_metadata(path, "WAV", Metadata(tags=tags))
        found.append(entry_of(path))
    return found


def test_tracks_begin_on_frames(entries: list[Entry], tmp_path: Path) -> None:
    """Apart, each is filled up with silence; its samples are all there, and nothing else."""
    hand_over(entries, tmp_path, "disc")
    whole, rate_hz = soundfile.read(tmp_path / "disc.wav", dtype="int16")
    assert rate_hz == 44_100
    at = 0
    for entry, length in zip(entries, LENGTHS, strict=True):
        np.testing.assert_array_equal(whole[at : at + length], soundfile.read(entry.path, dtype="int16")[0])
        padded = -(-length // FRAME) * FRAME
        assert not whole[at + length : at + padded].any()
        at += padded
    assert len(whole) == at
    starts = [line.split()[-1] for line in (tmp_path / "disc.cue").read_text().splitlines() if "INDEX" in line]
    assert starts == [clock(0), clock(426), clock(426 + 341)]


def test_gapless_has_no_silence(entries: list[Entry], tmp_path: Path) -> None:
    """The stream runs through; a boundary is at most half a frame from where it was."""
    hand_over(entries, tmp_path, "disc", gapless=True)
    whole = soundfile.read(tmp_path / "disc.wav", dtype="int16")[0]
    parts = np.concatenate([soundfile.read(entry.path, dtype="int16")[0] for entry in entries])
    np.testing.assert_array_equal(whole[: len(parts)], parts)
    assert len(whole) == -(-len(parts) // FRAME) * FRAME
    lines = (tmp_path / "disc.cue").read_text().splitlines()
    starts = [line.split()[-1] for line in lines if "INDEX" in line]
    assert starts == [clock(round(sum(LENGTHS[:n]) / FRAME)) for n in range(3)]


def test_sheet_and_list_say_who(entries: list[Entry], tmp_path: Path) -> None:
    """Titles, performer and ISRC by the tracks' own tags; a quote does not end a string."""
    hand_over(entries, tmp_path, "disc")
    sheet = (tmp_path / "disc.cue").read_text(encoding="utf-8")
    assert "TITLE \"Nuit 'd'été'\"" in sheet
    assert 'PERFORMER "夜"' in sheet
    assert "ISRC GBAYE0601498" in sheet
    assert 'TITLE "1"' in sheet
    assert "GBAYE0601498" in (tmp_path / "disc-pq.txt").read_text(encoding="utf-8")


def test_checksums_hold(entries: list[Entry], tmp_path: Path) -> None:
    """As sha256sum and md5sum check them."""
    made = hand_over(entries, tmp_path, "disc")
    for kind in ("sha256", "md5"):
        lines = (tmp_path / f"disc.{kind}").read_text().splitlines()
        assert len(lines) == 6
        for line in lines:
            digest, name = line.split("  ")
            assert hashlib.new(kind, (tmp_path / name).read_bytes()).hexdigest() == digest
        subprocess.run([f"{kind}sum", "--check", "--quiet", f"disc.{kind}"], cwd=tmp_path, check=True)
    assert len(made.files) == 5


def test_sides(entries: list[Entry], tmp_path: Path) -> None:
    """A WAV each, numbered on."""
    hand_over(entries, tmp_path, "disc", sides=(2, 1))
    assert "TRACK 03 AUDIO" in (tmp_path / "disc-B.cue").read_text()
    assert "TRACK 03" not in (tmp_path / "disc-A.cue").read_text()
    with pytest.raises(SettingsError, match="2,2 do not add up to the 3 tracks"):
        hand_over(entries, tmp_path, "other", sides=(2, 2))


def test_what_is_refused_or_said(entries: list[Entry], tmp_path: Path) -> None:
    """Tracks of other kinds on one side, a file that exists; a track too short for a CD, a wrong ISRC."""
    odd = tmp_path / "odd.wav"
    write_audio(odd, Audio(np.zeros((2, 48_000)) + 0.1, 48_000), bit_depth=16)
    with pytest.raises(FileError, match="its sample_rate_hz, 48000, is not 44100"):
        hand_over([*entries, Entry(odd, "odd")], tmp_path, "disc")
    hand_over(entries, tmp_path, "disc")
    with pytest.raises(FileError, match=r"disc.wav: exists already"):
        hand_over(entries, tmp_path, "disc")
    short = tmp_path / "short.wav"
    write_audio(short, Audio(np.zeros((2, 44_100)) + 0.1, 44_100), bit_depth=16)
    remarks = hand_over([Entry(short, "short", isrc="nonsense")], tmp_path, "short-disc").remarks
    assert any("shorter than the 4 s" in line for line in remarks)
    assert any("nonsense is no ISRC" in line for line in remarks)
