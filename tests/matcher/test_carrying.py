"""What a file says beside its samples, through the whole engine: kept, scaled, made anew, or named as lost."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from dsp.effects.gain import Gain
from matcher import Plan, analyze, render
from matcher.io import write_audio
from matcher.metadata import Broadcast, Loop, Marker, Metadata, Picture, read_metadata, write_metadata
from matcher.planner.steps import track
from matcher.plans import Step

Command = Callable[..., tuple[int, str, str]]
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cf500f0003860180"
    "5a349b230000000049454e44ae426082"
)
TAGS = {
    "title": ("夜の歌 – Été",),
    "artist": ("Björk Guðmundsdóttir",),
    "album": ("Ça ira",),
    "track": ("3/12",),
    "isrc": ("GBAYE0601498",),
    "date": ("2024-05-17",),
    "genre": ("Enka",),
    "comment": ("naïve",),
}
STALE = {"replaygain_track_gain": ("-3.00 dB",), "r128_track_gain": ("-200",), "encoder": ("LAME3.100",)}
TOLD = Metadata(
    tags=TAGS | STALE,
    pictures=(Picture(data=PNG, mime="image/png", description="表紙"),),
    broadcast=Broadcast(
        description="take 3",
        originator="studio",
        origination_date="2024-05-17",
        time_reference_samples=48_000 * 3600,
        loudness_value_lufs=-20.0,
        coding_history="A=PCM,F=48000,W=24,M=stereo,T=recorder\r\n",
    ),
    ixml=b'<?xml version="1.0"?><BWFXML><PROJECT>p</PROJECT></BWFXML>',
    markers=(Marker(position_samples=4_800, label="verse"), Marker(position_samples=24_000, label="Strophe é")),
    loops=(Loop(start_samples=4_800, end_samples=48_000),),
)


@pytest.fixture
def told(mix: Audio, tmp_path: Path) -> Path:
    """A target at 48 kHz that says a lot."""
    path = tmp_path / "told.wav"
    write_audio(path, Audio(mix.samples, 48_000))
    write_metadata(path, "WAV", TOLD)
    return path


@pytest.fixture
def quieter(told: Path) -> Plan:
    """A plan that changes something."""
    return Plan(target=track(analyze(told)), steps=(Step(settings=Gain(gain_db=-3.0), because="a test"),))


@pytest.mark.parametrize("ending", [".wav", ".flac", ".aiff"])
@pytest.mark.parametrize("rate_hz", [48_000, 96_000])
def test_is_carried_over(told: Path, quieter: Plan, tmp_path: Path, ending: str, rate_hz: int) -> None:
    """Tags, pictures and markers in every format, places scaled with the rate; stale levels are gone."""
    out = tmp_path / f"out{ending}"
    rendered = render(told, quieter, out, sample_rate_hz=rate_hz)
    found = read_metadata(out)
    for name, values in TAGS.items():
        assert found.tags[name] == values, name
    assert not set(STALE) & set(found.tags)
    assert found.pictures[0].data == PNG
    scale = rate_hz // 48_000
    assert [m.position_samples for m in found.markers] == [4_800 * scale, 24_000 * scale]
    assert [m.label for m in found.markers] == ["verse", "Strophe é"]
    if ending == ".aiff":
        assert {"bext", "iXML"} <= set(rendered.lost)
        return
    assert rendered.lost == ()
    assert found.ixml.startswith(b"<?xml")
    told_by = found.broadcast
    assert told_by is not None
    assert told_by.time_reference_samples == rate_hz * 3600
    assert told_by.loudness_value_lufs == pytest.approx(rendered.profile.integrated_lufs, abs=0.01)
    assert told_by.max_true_peak_dbtp == pytest.approx(rendered.profile.true_peak_dbtp, abs=0.01)
    assert told_by.origination_date == "2024-05-17"
    assert told_by.coding_history.splitlines() == [
        "A=PCM,F=48000,W=24,M=stereo,T=recorder", f"A=PCM,F={rate_hz},W=24,M=stereo,T=match"
    ]  # fmt: skip


def test_samples_are_the_same_with_and_without(told: Path, quieter: Plan, tmp_path: Path, mix: Audio) -> None:
    """What is said beside them changes none."""
    bare = tmp_path / "bare.wav"
    write_audio(bare, Audio(mix.samples, 48_000))
    for ending in (".wav", ".flac", ".aiff"):
        one, other = (tmp_path / f"{name}{ending}" for name in ("one", "other"))
        render(told, quieter, one)
        render(bare, quieter, other)
        np.testing.assert_array_equal(soundfile.read(one)[0], soundfile.read(other)[0])


def test_replay_gain_is_computed_anew(told: Path, tmp_path: Path, command: Command) -> None:
    """Where it is asked for; -18 LUFS is its reference."""
    out = tmp_path / "out.flac"
    code, _, err = command("restore", told, "-o", out, "--replaygain")
    assert (code, err) == (0, "")
    tags = read_metadata(out).tags
    profile = analyze(out)
    assert float(tags["replaygain_track_gain"][0].removesuffix(" dB")) == pytest.approx(
        -18.0 - profile.integrated_lufs, abs=0.011
    )
    assert float(tags["replaygain_track_peak"][0]) == pytest.approx(10 ** (profile.true_peak_dbtp / 20), rel=1e-3)


def test_what_is_lost_is_said(told: Path, tmp_path: Path, command: Command) -> None:
    """On the line that names the file."""
    code, said, _ = command("restore", told, "-o", tmp_path / "out.aiff")
    assert code == 0
    assert "without bext, iXML" in said


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="no ffprobe on the PATH")
@pytest.mark.parametrize("ending", [".wav", ".flac", ".aiff"])
def test_others_read_it(told: Path, quieter: Plan, tmp_path: Path, ending: str) -> None:
    """ffprobe finds the tags as they were, letters of all kinds included."""
    out = tmp_path / f"out{ending}"
    render(told, quieter, out)
    asked = ["ffprobe", "-v", "error", "-show_format", "-show_streams", "-of", "json", out]
    data = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)
    tags = {k.lower(): v for k, v in data["format"]["tags"].items()}
    assert tags["title"] == TAGS["title"][0]
    assert tags["artist"] == TAGS["artist"][0]
    assert tags["album"] == TAGS["album"][0]
    if ending != ".wav":  # its ffmpeg 5 looks for no ID3 chunk in a WAV; exiftool does, below
        assert tags.get("isrc", tags.get("tsrc")) == TAGS["isrc"][0]
    assert int(data["streams"][0]["sample_rate"]) == 48_000


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="no exiftool on the PATH")
def test_a_second_reader(told: Path, quieter: Plan, tmp_path: Path) -> None:
    """exiftool reads tags and broadcast fields of the WAV."""
    out = tmp_path / "out.wav"
    render(told, quieter, out)
    asked = ["exiftool", "-json", "-charset", "utf8", "-a", "-G1", out]
    data = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)[0]
    values = {str(value) for value in data.values()}
    for name in ("title", "artist", "isrc", "genre"):
        assert TAGS[name][0] in values, name
    assert "take 3" in values
    assert any("T=match" in value for value in values)
