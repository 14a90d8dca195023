"""The demo songs: what they promise in length, level, tone and width, and that they are always the same."""

import functools
from pathlib import Path

import numpy as np
import pyloudnorm
import pytest
import soundfile

from dsp.audio import Audio, mid_side
from matcher import demo

STEP_24 = 2.0**-23
LOUDNESS_TOLERANCE_LU = 0.2


@functools.cache
def mix() -> Audio:
    return demo.demo_mix()


@functools.cache
def reference() -> Audio:
    return demo.demo_reference()


@functools.cache
def short(seed: int = 3, rate_hz: int = 44_100) -> Audio:
    return demo.song(seed, seconds=4.0, sample_rate_hz=rate_hz, tempo_bpm=120.0, style="dance")


def lufs(audio: Audio) -> float:
    """Integrated loudness by an independent meter."""
    return float(pyloudnorm.Meter(audio.sample_rate_hz).integrated_loudness(audio.samples.T))


def peak_dbfs(audio: Audio) -> float:
    return float(20 * np.log10(np.abs(audio.samples).max()))


def crest_db(audio: Audio) -> float:
    return peak_dbfs(audio) - float(10 * np.log10(np.mean(audio.samples**2)))


def share_db(audio: Audio, low_hz: float, high_hz: float) -> float:
    """Energy between two frequencies against all of it."""
    power = (np.abs(np.fft.rfft(audio.samples)) ** 2).sum(axis=0)
    hz = np.fft.rfftfreq(audio.length_samples, 1 / audio.sample_rate_hz)
    return float(10 * np.log10(power[(hz >= low_hz) & (hz < high_hz)].sum() / power.sum()))


def width_db(audio: Audio) -> float:
    """Energy of the side against the mid."""
    mid, side = mid_side(audio.samples)
    return float(10 * np.log10(np.mean(side**2) / np.mean(mid**2)))


def test_mix_is_unfinished() -> None:
    """24 s of stereo, peak at -6 dBFS, dynamic and far from loud."""
    assert mix().samples.shape == (2, 24 * 44_100)
    assert peak_dbfs(mix()) == pytest.approx(-6.0, abs=0.01)
    assert lufs(mix()) < -18.0
    assert crest_db(mix()) > 14.0


def test_reference_is_a_master() -> None:
    """-11 LUFS with no sample above -1 dBFS."""
    assert lufs(reference()) == pytest.approx(-11.0, abs=LOUDNESS_TOLERANCE_LU)
    assert peak_dbfs(reference()) <= -1.0 + 1e-9
    assert np.abs(reference().samples).max() > 10 ** (-1.5 / 20)


def test_reference_is_brighter_wider_denser() -> None:
    """What a match has to find: several dB of treble and width, and a crest that is smaller."""
    assert share_db(reference(), 5_000, 18_000) > share_db(mix(), 5_000, 18_000) + 3.0
    assert width_db(reference()) > width_db(mix()) + 2.0
    assert crest_db(reference()) < crest_db(mix()) - 3.0


@pytest.mark.parametrize(
    ("low_hz", "high_hz"), [(40, 80), (80, 160), (160, 400), (400, 1e3), (1e3, 3e3), (3e3, 8e3), (8e3, 16e3)]
)
@pytest.mark.parametrize("audio", [mix, reference])
def test_songs_fill_the_spectrum(audio, low_hz: float, high_hz: float) -> None:
    """From kick to hats something plays, and nothing drowns the rest."""
    assert -32.0 < share_db(audio(), low_hz, high_hz) < -2.0


def test_unfinished_is_dull_boxy_and_narrow() -> None:
    """Against the song it is made of: less treble, more of the low mids, less side, each by dB that one hears."""
    rough, song = demo.unfinished(short()), short()

    def tilt_db(audio: Audio, low_hz: float, high_hz: float) -> float:
        return share_db(audio, low_hz, high_hz) - share_db(audio, 800, 1500)

    assert tilt_db(rough, 6_000, 16_000) - tilt_db(song, 6_000, 16_000) == pytest.approx(-4.5, abs=0.7)
    assert tilt_db(rough, 280, 440) - tilt_db(song, 280, 440) == pytest.approx(3.6, abs=0.5)
    assert width_db(rough) - width_db(song) == pytest.approx(20 * np.log10(0.6), abs=0.4)  # the tone acts on mids more


def test_the_mix_has_a_form() -> None:
    """The chorus is louder than the intro, by far enough to be a chorus."""
    seconds = np.mean(mix().samples.reshape(2, 24, 44_100) ** 2, axis=(0, 2))
    assert 10 * np.log10(seconds[16:22].mean() / seconds[:2].mean()) > 6.0


def test_low_end_stands_in_the_centre() -> None:
    """Kick and bass are mono, as in any mix that wants to be cut or played in a club."""
    mid, side = (np.abs(np.fft.rfft(x)) ** 2 for x in mid_side(reference().samples))
    low = np.fft.rfftfreq(reference().length_samples, 1 / 44_100) < 90
    assert side[low].sum() < 0.01 * mid[low].sum()


@pytest.mark.parametrize("rate_hz", [44_100, 48_000, 96_000])
def test_same_song_at_every_rate(rate_hz: int) -> None:
    """Length, level, loudness and balance do not depend on the sample rate."""
    audio, at_44 = short(rate_hz=rate_hz), short()
    assert audio.samples.shape == (2, 4 * rate_hz)
    assert peak_dbfs(audio) == pytest.approx(-3.0, abs=0.01)
    assert lufs(audio) == pytest.approx(lufs(at_44), abs=0.1)
    for low_hz, high_hz in ((40, 160), (160, 1000), (1000, 5000), (5000, 16_000)):
        assert share_db(audio, low_hz, high_hz) == pytest.approx(share_db(at_44, low_hz, high_hz), abs=0.1)


def test_seeds_decide() -> None:
    """The same seed is the same samples; another one is another tune."""
    again = demo.song(3, seconds=4.0, tempo_bpm=120.0, style="dance")
    assert np.array_equal(again.samples, short().samples)
    assert not np.allclose(short(seed=4).samples, short().samples, atol=0.05)


@pytest.mark.parametrize("loudness_lufs", [-14.0, -9.0])
def test_mastering_reaches_what_it_is_asked(loudness_lufs: float) -> None:
    """Loudness within a fifth of a LU under the peak asked for, at another rate too."""
    master = demo.mastered(short(rate_hz=48_000), loudness_lufs=loudness_lufs, peak_dbfs=-0.5)
    assert lufs(master) == pytest.approx(loudness_lufs, abs=LOUDNESS_TOLERANCE_LU)
    assert peak_dbfs(master) <= -0.5 + 1e-9


def test_starts_and_ends_in_silence() -> None:
    """No click where the file begins or ends."""
    for audio in (mix(), reference()):
        assert np.abs(audio.samples[:, [0, -1]]).max() < 1e-3


@pytest.mark.parametrize("key", ["H major", "A dorian", "", "a minor", "A##minor"])
def test_unknown_keys_are_refused(key: str) -> None:
    """A key that is none is named in the error."""
    with pytest.raises(ValueError, match="key: "):
        demo.song(1, seconds=1.0, key=key)


def test_transposing_transposes() -> None:
    """The bass of B flat lies a semitone above that of A."""
    low, high = (demo._key(key)[0] for key in ("A minor", "Bb minor"))
    assert high - low == 1
    assert demo._key("F# major")[0] == demo._key("Gb major")[0]


def test_files_hold_the_songs_in_24_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both files are 24 bit at 44.1 kHz and within half a step of the songs: rounded, not floored."""
    monkeypatch.setattr(demo, "demo_mix", mix)
    monkeypatch.setattr(demo, "demo_reference", reference)
    paths = demo.write_demo(tmp_path / "new" / "demo")
    assert [path.name for path in paths] == ["demo-mix.wav", "demo-reference.wav"]
    for path, audio in zip(paths, (mix(), reference()), strict=True):
        info = soundfile.info(path)
        assert (info.samplerate, info.subtype, info.channels) == (44_100, "PCM_24", 2)
        read, _ = soundfile.read(path, always_2d=True)
        error = read.T - audio.samples
        assert np.abs(error).max() <= 0.5 * STEP_24 * (1 + 1e-6)
        assert abs(error.mean()) < 0.01 * STEP_24


def test_command_wants_one_folder(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a folder it says how it is used and fails."""
    assert demo.main([]) == 2
    assert "FOLDER" in capsys.readouterr().err
