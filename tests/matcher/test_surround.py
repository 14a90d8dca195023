"""5.1 and 7.1 through the whole engine: mastered linked, measured after BS.1770, written with their loudspeakers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyebur128
import pytest
import soundfile

from dsp.audio import Audio
from dsp.errors import FileError
from matcher import Aims, analyze, inspect, match
from matcher.io import open_audio, read_audio, write_audio
from matcher.matching import render
from matcher.verifying import true_peak_dbtp, verify

FIVE_ONE, SEVEN_ONE = 0x3F, 0x63F


def bed(mix: Audio, mask: int) -> Audio:
    """A surround mix of a stereo one: it in front, softer behind, its mid in the centre, its bass in the LFE."""
    left, right = mix.samples.astype(np.float64)
    delayed = [np.roll(part, 700) * 0.4 for part in (left, right)]
    low = np.convolve((left + right) * 0.5, np.ones(300) / 300.0, "same")
    channels = [left, right, 0.3 * (left + right), low, *delayed]
    if mask == SEVEN_ONE:
        channels += [np.roll(part, 1_500) * 0.3 for part in (left, right)]
    return Audio(np.stack(channels).astype(np.float32), mix.sample_rate_hz, mask)


def lufs(path: Path, mask: int) -> float:
    """By libebur128."""
    samples, rate_hz = soundfile.read(path, always_2d=True)
    state = pyebur128.R128State(samples.shape[1], rate_hz, pyebur128.MeasurementMode.MODE_I)
    names = ["LEFT", "RIGHT", "CENTER", "UNUSED", "LEFT_SURROUND", "RIGHT_SURROUND"]
    if mask == SEVEN_ONE:  # sides count as surrounds, what stands behind as the front
        names = [*names[:4], "LEFT", "RIGHT", *names[4:]]
    for channel, name in enumerate(names):
        state.set_channel(channel, getattr(pyebur128.ChannelType, name))
    state.add_frames(samples.ravel(), len(samples))
    return float(pyebur128.get_loudness_global(state))


@pytest.mark.parametrize(
    ("mask", "ending"),
    [
        (FIVE_ONE, ".wav"),
        (SEVEN_ONE, ".flac"),
        pytest.param(FIVE_ONE, ".flac", marks=pytest.mark.slow),
        pytest.param(SEVEN_ONE, ".wav", marks=pytest.mark.slow),
    ],
)
def test_is_mastered(mix: Audio, record: Audio, tmp_path: Path, mask: int, ending: str) -> None:
    """To the loudness of the reference by another's meter, under the ceiling in every channel, loudspeakers kept."""
    target = tmp_path / f"bed{ending}"
    write_audio(target, bed(mix, mask))
    out = tmp_path / f"out{ending}"
    report = match(target, record, out, aims=Aims(loudness_lufs=-16.0))
    assert lufs(out, mask) == pytest.approx(report.after.integrated_lufs, abs=0.05)
    assert report.after.isolated_lufs == pytest.approx(-16.0, abs=0.2)
    samples = soundfile.read(out, always_2d=True)[0]
    assert samples.shape[1] == bed(mix, mask).channels
    assert max(true_peak_dbtp(channel) for channel in samples.T) <= -0.95
    with open_audio(out) as source:
        assert source.channel_mask == mask
    assert any("mastered linked" in line for line in report.warnings)
    verify(out, report.after, -1.0)
    again = render(target, report.plan, tmp_path / f"again{ending}")
    assert (tmp_path / f"again{ending}").read_bytes() == out.read_bytes()
    assert again.profile.channels == samples.shape[1]


def test_in_memory(mix: Audio, record: Audio) -> None:
    """An `Audio` with a mask is mastered like the file."""
    report = match(bed(mix, FIVE_ONE), record)
    assert report.audio is not None
    assert (report.audio.channels, report.audio.channel_mask) == (6, FIVE_ONE)
    assert report.gap_after.tone_db < report.gap_before.tone_db + 0.1


def test_as_a_reference(mix: Audio, tmp_path: Path) -> None:
    """A surround reference is heard in stereo."""
    reference = bed(mix, FIVE_ONE)
    assert analyze(reference).channels == 6
    assert match(mix, reference).after.channels == 2


def test_what_is_refused(mix: Audio, record: Audio, tmp_path: Path) -> None:
    """No mask, AIFF, and what takes stereo alone: one line each, and no file."""
    target, plain = tmp_path / "bed.wav", tmp_path / "plain.wav"
    write_audio(target, bed(mix, FIVE_ONE))
    soundfile.write(plain, bed(mix, FIVE_ONE).samples.T, mix.sample_rate_hz, subtype="PCM_24")
    with pytest.raises(FileError, match="6 channels and no channel mask"):
        match(plain, record, tmp_path / "out.wav")
    with pytest.raises(FileError, match="AIFF does not say which loudspeaker"):
        match(target, record, tmp_path / "out.aiff")
    with pytest.raises(FileError, match="the search for damage takes mono and stereo"):
        inspect(target)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bed.wav", "plain.wav"]


def test_the_mask_survives_a_copy(mix: Audio, tmp_path: Path) -> None:
    """Unusual but legal loudspeakers come back as they were."""
    quad = Audio(bed(mix, FIVE_ONE).samples[[0, 1, 4, 5]], mix.sample_rate_hz, 0x603)
    write_audio(tmp_path / "quad.wav", quad)
    assert read_audio(tmp_path / "quad.wav").channel_mask == 0x603
    with pytest.raises(FileError, match="FLAC has no place for these 4 loudspeakers"):
        write_audio(tmp_path / "quad.flac", quad)
