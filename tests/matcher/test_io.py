"""The border: what is read, what is refused and in which words, and that a file is written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st

import matcher.io.outputs
import matcher.io.writing
from dsp.audio import Audio
from dsp.effects.dither import Dither
from dsp.errors import AudioError, FileError, MatchError, UnfitError
from matcher import io
from matcher.io import AudioWriter, OutputFormat, check_output, default_output, open_audio, output_format, read_audio

RATE_HZ = 44_100


def noise(channels: int = 2, samples: int = 30_000, dtype: type = np.float32, scale: float = 0.2) -> np.ndarray:
    """Seeded, loud enough to use the upper bits, different in every channel."""
    return np.clip(np.random.default_rng(440).normal(0.0, scale, (channels, samples)), -1.0, 1.0).astype(dtype)


def on_grid(bit_depth: int, **kwargs: int) -> np.ndarray:
    """Noise on the steps of a bit depth, both full-scale ends among it; float64 holds them all."""
    steps = 2.0 ** (bit_depth - 1)
    samples = np.clip(np.round(noise(dtype=np.float64, **kwargs) * steps), -steps, steps - 1.0)
    samples[0, :3] = -steps, steps - 1.0, 0.0
    return samples / steps


def save(path: Path, samples: np.ndarray, rate_hz: int = RATE_HZ, **kwargs: str) -> Path:
    """Written by soundfile, not by the code under test."""
    soundfile.write(path, samples.T, rate_hz, **kwargs)
    return path


def save_wav(path: Path, *, subtype: str = "PCM_16", **kwargs: int) -> Path:
    """A plain stereo WAV."""
    return save(path, noise(**kwargs), subtype=subtype)


@contextlib.contextmanager
def refused(kind: type[MatchError], *parts: str) -> Iterator[None]:
    """The error is of just this kind, on one line that holds all `parts`."""
    with pytest.raises(kind) as caught:
        yield
    message = str(caught.value)
    assert type(caught.value) is kind
    assert "\n" not in message
    for part in parts:
        assert part in message


def left_behind(folder: Path) -> list[str]:
    """Every name in a folder, hidden ones too."""
    return sorted(path.name for path in folder.iterdir())


@contextlib.contextmanager
def as_nobody() -> Iterator[None]:
    """Rights are of no consequence to an administrator: give them up for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that anybody may enter; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    folder.chmod(0o777)
    shutil.rmtree(folder)


FORMATS = [
    # file, format, subtype, depth, float, lossy, dtype
    ("a.wav", "WAV", "PCM_U8", 8, False, False, np.float32),
    ("a.wav", "WAV", "PCM_16", 16, False, False, np.float32),
    ("a.wav", "WAVEX", "PCM_24", 24, False, False, np.float32),
    ("a.wav", "WAV", "PCM_32", 32, False, False, np.float64),
    ("a.wav", "WAV", "FLOAT", None, True, False, np.float32),
    ("a.wav", "WAV", "DOUBLE", None, True, False, np.float64),
    ("a.wav", "WAV", "ULAW", None, False, True, np.float32),
    ("a.wav", "RF64", "PCM_24", 24, False, False, np.float32),
    ("a.flac", "FLAC", "PCM_16", 16, False, False, np.float32),
    ("a.flac", "FLAC", "PCM_24", 24, False, False, np.float32),
    ("a.aiff", "AIFF", "PCM_16", 16, False, False, np.float32),
    ("a.aiff", "AIFF", "FLOAT", None, True, False, np.float32),
    ("a.caf", "CAF", "ALAC_24", 24, False, False, np.float32),
    ("a.ogg", "OGG", "VORBIS", None, False, True, np.float32),
    ("a.mp3", "MP3", "MPEG_LAYER_III", None, False, True, np.float32),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("file", "container", "subtype", "bit_depth", "is_float", "is_lossy", "dtype"), FORMATS)
def test_formats(
    tmp_path: Path, file: str, container: str, subtype: str, bit_depth: int, is_float: bool, is_lossy: bool,
    dtype: type, channels: int,
) -> None:  # fmt: skip
    """Every format is described as it is, and its blocks are what libsndfile decodes at once."""
    path = save(tmp_path / file, noise(channels), format=container, subtype=subtype)
    expected = soundfile.read(path, dtype=np.dtype(dtype).name, always_2d=True)[0].T
    with open_audio(path) as source:
        assert (source.sample_rate_hz, source.channels, source.length_samples) == (RATE_HZ, channels, 30_000)
        assert source.container == container.replace("WAVEX", "WAV")
        assert (source.bit_depth, source.is_float, source.is_lossy) == (bit_depth, is_float, is_lossy)
        assert source.dtype == dtype
        assert source.warnings == ()
        blocks = list(source.blocks(7_001))
        middle = source.read(12_345, 1_000)
        end = source.read(29_999, 1_000)
    assert [b.shape for b in blocks] == [(channels, 7_001)] * 4 + [(channels, 1_996)]
    assert all(b.flags.c_contiguous and b.dtype == dtype for b in blocks)
    got = np.concatenate(blocks, axis=1)
    # libsndfile's MP3 decoder gives other last bits when more is asked for at once.
    np.testing.assert_allclose(got, expected, rtol=0.0, atol=2e-7 if container == "MP3" else 0.0)
    np.testing.assert_array_equal(middle, got[:, 12_345:13_345])
    np.testing.assert_array_equal(end, got[:, 29_999:])


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(
    ("file", "subtype"), [("a.ogg", "VORBIS"), ("a.ogg", "OPUS"), ("a.mp3", "MPEG_LAYER_III"), ("a.flac", "PCM_24")]
)
def test_any_order_gives_the_same_samples(tmp_path: Path, file: str, subtype: str, channels: int) -> None:
    """Compressed files too give the same samples forwards, backwards, near the end, and in blocks of any length."""
    path = save(tmp_path / file, noise(channels, samples=150_000), 48_000, subtype=subtype)
    with open_audio(path) as source:
        whole = source.read(0, source.length_samples)
        assert whole.std() > 0.05
        for start, count in [(149_999, 1), (149_000, 1_000), (65_536, 10), (65_530, 70_000), (0, 5), (140_000, 9_999)]:
            np.testing.assert_array_equal(source.read(start, count), whole[:, start : start + count])
        for block_samples in (7_001, 65_536):
            np.testing.assert_array_equal(np.concatenate(list(source.blocks(block_samples)), axis=1), whole)


@pytest.mark.parametrize(
    ("dtype", "subtype"), [(np.float32, "FLOAT"), (np.float64, "DOUBLE")], ids=["float32", "float64"]
)
def test_memory_is_a_source_like_a_file(tmp_path: Path, dtype: type, subtype: str) -> None:
    """An Audio and a file of the same samples give the same blocks."""
    audio = Audio(noise(dtype=dtype), RATE_HZ)
    path = save(tmp_path / "a.wav", audio.samples, subtype=subtype)
    with open_audio(audio) as memory, open_audio(path) as file:
        assert (memory.length_samples, memory.channels, memory.dtype) == (file.length_samples, 2, dtype)
        assert memory.path is None
        for a, b in zip(memory.blocks(4_096), file.blocks(4_096), strict=True):
            np.testing.assert_array_equal(a, b)
            assert a.flags.c_contiguous
            assert not a.flags.writeable
        np.testing.assert_array_equal(memory.read(29_000, 5_000), file.read(29_000, 5_000))
        assert memory.content_hash() == io.audio_hash(audio)
        assert file.content_hash() == io.content_hash(path)
        assert open_audio(file) is file
        np.testing.assert_array_equal(read_audio(file).samples, audio.samples)
        assert file.read(0, 1).shape == (2, 1)  # still open: it is for its owner to close


def test_read_returns_its_own_array(tmp_path: Path) -> None:
    """A block stays what it was while the next one is read."""
    with open_audio(save_wav(tmp_path / "a.wav")) as source:
        first = source.read(0, 1_000)
        kept = first.copy()
        source.read(1_000, 1_000)
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize(("start", "count"), [(-1, 10), (30_001, 10), (0, -1)])
def test_reading_outside_is_refused(tmp_path: Path, start: int, count: int) -> None:
    """Positions before the start or behind the end are mistakes of the caller, in files and in memory."""
    for source in (open_audio(save_wav(tmp_path / "a.wav")), open_audio(Audio(noise(), RATE_HZ))):
        with source, refused(AudioError, "not within 0 to 30000"):
            source.read(start, count)


@pytest.mark.parametrize("name", ["tïtle – 曲 №1.wav", "two  spaces .wav", f"{'long' * 60}.wav", "line\nbreak.wav"])
def test_names(tmp_path: Path, name: str) -> None:
    """Any name the system allows can be read and written, and is shown on one line."""
    deep = tmp_path / ("folder" * 30) / ("sub " * 20)
    deep.mkdir(parents=True)
    audio = Audio(on_grid(16).astype(np.float32), RATE_HZ)
    io.write_audio(deep / name, audio, bit_depth=16)
    np.testing.assert_array_equal(read_audio(deep / name).samples, audio.samples)
    assert left_behind(deep) == [name]
    with refused(FileError, "exists already"):
        check_output(deep / name, inputs=(), force=False, needed_bytes=0)


def damage(path: Path, data: bytes, at: int = 0, keep: int | None = None) -> Path:
    """Overwrite bytes of a file, and cut it."""
    old = path.read_bytes()
    path.write_bytes((old[:at] + data + old[at + len(data) :])[:keep])
    return path


UNREADABLE = {
    "missing": (lambda f: f / "no.wav", FileError, "no.wav: there is no such file"),
    "below a file": (lambda f: save_wav(f / "a.wav") / "b.wav", FileError, "there is no such file"),
    "dangling link": (lambda f: (os.symlink(f / "no", f / "l.wav"), f / "l.wav")[1], FileError, "no such file"),
    "folder": (lambda f: f, FileError, "is a folder"),
    "pipe": (lambda f: (os.mkfifo(f / "p.wav"), f / "p.wav")[1], FileError, "is a device or a pipe"),
    "name too long": (lambda f: f / ("x" * 300), FileError, "too long"),
    "null in the name": (lambda f: f"{f}/a\0b.wav", FileError, "cannot be read (embedded null byte)"),
    "empty": (lambda f: damage(save_wav(f / "a.wav"), b"", keep=0), FileError, "a.wav: is empty (0 bytes)"),
    "text": (lambda f: damage(f / "a.wav", b"", keep=0) if (f / "a.wav").exists() else text(f / "a.wav"),
             FileError, "is not audio that can be read; allowed are WAV, RF64"),
    "text as mp3": (lambda f: text(f / "a.mp3"), FileError, "is not audio that can be read; allowed are WAV"),
    "headless raw": (lambda f: text(f / "a.raw"), FileError, "is not audio that can be read; allowed are WAV"),
    "wav header cut": (lambda f: damage(save_wav(f / "a.wav"), b"", keep=30), FileError,
                       "begins like WAV, but its header is damaged or cut off"),
    "flac header cut": (lambda f: damage(save(f / "a.flac", noise()), b"", keep=20), FileError, "begins like FLAC"),
    "aiff header cut": (lambda f: damage(save(f / "a.aiff", noise()), b"", keep=30), FileError, "begins like AIFF"),
    "broken m4a": (lambda f: text(f / "a.m4a", b"\0\0\0\x20ftypM4A "), FileError, "ffmpeg"),
    "no samples": (lambda f: save_wav(f / "a.wav", samples=0), UnfitError, "a.wav: holds no samples"),
    "six channels": (lambda f: save_wav(f / "a.wav", channels=6), FileError, "has 6 channels and no channel mask"),
    "low rate": (lambda f: save(f / "a.wav", noise(), 7_999), FileError,
                 "its sample rate, 7999 Hz, is not within 8000 to 384000 Hz"),
    "high rate": (lambda f: save(f / "a.wav", noise(), 384_001), FileError, "384001 Hz, is not within 8000"),
    "short": (lambda f: save_wav(f / "a.wav", samples=22_049), UnfitError,
              "lasts 0.499 s; at least 0.5 s are needed"),
    "flac without length": (lambda f: damage(save(f / "a.flac", noise()), bytes(4), at=22), FileError,
                            "its header does not say how long it is"),
}  # fmt: skip


def text(path: Path, start: bytes = b"") -> Path:
    """A file of words."""
    path.write_bytes(start + b"this is not a sound\n" * 500)
    return path


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_cannot_be_read_is_named(tmp_path: Path, case: str) -> None:
    """Every kind of unreadable file has one line of its own, at opening."""
    make, kind, message = UNREADABLE[case]
    with refused(kind, message):
        open_audio(make(tmp_path))


def test_limits_themselves_are_allowed(tmp_path: Path) -> None:
    """Half a second and both ends of the rates are read."""
    for rate_hz in (8_000, 384_000):
        samples = noise(samples=rate_hz // 2)
        assert read_audio(save(tmp_path / "a.wav", samples, rate_hz)).duration_s == 0.5
    with refused(UnfitError, "the audio in memory: lasts 0.499"):
        open_audio(Audio(noise(samples=22_040), RATE_HZ))


def test_no_right_to_read(open_folder: Path) -> None:
    """A file of somebody else, kept private, is told apart from one that is not there."""
    path = save_wav(open_folder / "a.wav")
    path.chmod(0)
    with as_nobody(), refused(FileError, "a.wav: may not be read (permission denied)"):
        open_audio(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("subtype", "channels", "channel"), [("FLOAT", 1, 0), ("FLOAT", 2, 1), ("DOUBLE", 2, 0)])
def test_nan_and_infinity(tmp_path: Path, value: float, subtype: str, channels: int, channel: int) -> None:
    """A sample that is no number is found when its block is read, and its second told; blocks before are fine."""
    samples = noise(channels, samples=88_200, dtype=np.float64)
    samples[channel, 66_150] = value
    path = save(tmp_path / "a.wav", samples, subtype=subtype)
    with open_audio(path) as source:
        assert source.read(0, 66_150).shape == (channels, 66_150)
        with refused(FileError, "a.wav: has NaN or infinity at 1.500 s; every sample must be a finite number"):
            list(source.blocks(10_000))


@pytest.mark.parametrize(
    ("file", "container", "claimed"),
    [("a.wav", "WAV", "1.0"), ("a.wav", "WAVEX", "1.0"), ("a.wav", "RF64", "1.0"), ("a.aiff", "AIFF", "1.0")],
)
def test_cut_short_is_a_warning(tmp_path: Path, file: str, container: str, claimed: str) -> None:
    """Of a file that ends early what is there is read, and said how much is missing."""
    samples = on_grid(24, samples=RATE_HZ)
    path = save(tmp_path / file, samples, format=container, subtype="PCM_24")
    damage(path, b"", keep=path.stat().st_size - 6 * 11_025)
    with open_audio(path) as source:
        assert len(source.warnings) == 1
        assert f"{file}: is cut short: 0.8 s are there, its header says {claimed} s" in source.warnings[0]
        assert source.length_samples == pytest.approx(33_075, abs=16)
        np.testing.assert_array_equal(source.read(0, 33_000), samples[:, :33_000])


def test_chunks_around_the_samples(tmp_path: Path) -> None:
    """Other chunks before and behind, odd sizes, an ID3 tag in front and an open-ended size are no damage."""
    plain = save_wav(tmp_path / "a.wav").read_bytes()
    odd = b"LIST" + struct.pack("<I", 5) + b"INFO1\0"
    open_ended = plain[:40] + b"\xff\xff\xff\xff" + plain[44:]
    tag = b"ID3\x04\0\0\0\0\x01\x00" + bytes(128)
    for number, data in enumerate([plain[:12] + odd + plain[12:], plain + odd, open_ended, tag + plain]):
        path = tmp_path / f"{number}.wav"
        path.write_bytes(data)
        with open_audio(path) as source:
            assert source.length_samples == 30_000
            assert source.warnings == ()


@pytest.mark.parametrize("file", ["a.flac", "a.mp3"])
def test_decoding_that_breaks_off(tmp_path: Path, file: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Damage in the middle of a compressed file ends the reading with one line, not with silence."""
    path = save(tmp_path / file, noise(samples=200_000))
    damage(path, b"\xaa" * 3_000, at=path.stat().st_size // 2)
    with open_audio(path) as source:
        claimed = source.length_samples
        with refused(FileError, f"{file}: cannot be decoded beyond", "the file is damaged or incomplete"):
            read = [block.shape[1] for block in source.blocks(8_192)]
            raise AssertionError(f"{sum(read)} of {claimed} samples were read")
    capfd.readouterr()  # the MP3 decoder writes its own mind to stderr


def test_hashes(tmp_path: Path) -> None:
    """A hash follows the content and nothing else."""
    a, b = save_wav(tmp_path / "a.wav"), tmp_path / "b.wav"
    shutil.copy(a, b)
    assert io.content_hash(a) == io.content_hash(b)
    assert len(io.content_hash(a)) == 32
    damage(b, b"\x01", at=5_000)
    assert io.content_hash(a) != io.content_hash(b)
    with refused(FileError, "no.wav: cannot be read (no such file"):
        io.content_hash(tmp_path / "no.wav")
    samples = noise(samples=30_000)
    same = io.audio_hash(Audio(samples, RATE_HZ))
    assert same == io.audio_hash(Audio(np.asfortranarray(samples), RATE_HZ))
    others = [
        Audio(samples, 48_000),
        Audio(samples[::-1], RATE_HZ),
        Audio(samples.reshape(1, -1), RATE_HZ),
        Audio(samples.astype(np.float64), RATE_HZ),
    ]
    assert len({same, *map(io.audio_hash, others)}) == 5


# Writing

WRITTEN = [
    ("a.wav", "WAV", 16), ("a.wav", "WAV", 24), ("a.wav", "WAV", 32), ("a.wav", "RF64", 24),
    ("a.flac", "FLAC", 16), ("a.flac", "FLAC", 24), ("a.aiff", "AIFF", 16), ("a.aiff", "AIFF", 24),
    ("a.aiff", "AIFF", 32),
]  # fmt: skip


def write(path: Path, samples: np.ndarray, block_samples: int = 10_000, **kwargs: object) -> Path:
    """Through the writer, in blocks."""
    with AudioWriter(path, RATE_HZ, samples.shape[0], **kwargs) as writer:
        for start in range(0, samples.shape[1], block_samples):
            writer.write(samples[:, start : start + block_samples])
    return path


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("file", "container", "bit_depth"), WRITTEN)
def test_integers_are_kept_bit_for_bit(
    tmp_path: Path, file: str, container: str, bit_depth: int, channels: int
) -> None:
    """Samples that lie on the steps are written as they are, read as they were, and written again the same."""
    samples = on_grid(bit_depth, channels=channels)
    path = write(tmp_path / file, samples, container=container, bit_depth=bit_depth)
    stored = soundfile.read(path, dtype="int32", always_2d=True)[0].T
    np.testing.assert_array_equal(stored, np.round(samples * 2.0**31).astype(np.int64))
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.samplerate) == (container, f"PCM_{bit_depth}", RATE_HZ)
    again = write(tmp_path / f"again{path.suffix}", read_audio(path).samples, container=container, bit_depth=bit_depth)
    assert again.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("container", ["WAV", "AIFF"])
def test_floats_are_kept(tmp_path: Path, container: str, dtype: type) -> None:
    """Floating-point files hold float32 exactly, overs too, and the bytes do not hold the time of day."""
    samples = noise(scale=0.2, dtype=dtype) * dtype(4.0)
    assert np.abs(samples).max() > 1.0
    path = write(tmp_path / "a.out", samples, container=container, bit_depth=32, is_float=True)
    np.testing.assert_array_equal(read_audio(path).samples, samples.astype(np.float32))
    assert b"PEAK" not in path.read_bytes()[:200]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounding_is_to_the_nearest_step(tmp_path: Path, dtype: type) -> None:
    """Halves go to the even step, full scale clamps, nothing is floored."""
    lsb = 2.0**-15
    given_lsb = [0.6, 1.6, -0.4, -0.6, 0.5, 1.5, -0.5, 2.5, 32_767.4, 32_768.0, 1e9, -32_768.4, -1e9]
    wanted = [1, 2, 0, -1, 0, 2, 0, 2, 32_767, 32_767, 32_767, -32_768, -32_768]
    path = write(tmp_path / "a.wav", (np.array([given_lsb]) * lsb).astype(dtype), container="WAV", bit_depth=16)
    assert soundfile.read(path, dtype="int16")[0].tolist() == wanted


@pytest.mark.parametrize(("file", "container", "bit_depth"), [w for w in WRITTEN if w[2] != 32])
def test_dithered_samples_arrive_as_quantised(tmp_path: Path, file: str, container: str, bit_depth: int) -> None:
    """What the dither effect put out is what the file gives back."""
    quantised = Dither(bit_depth=bit_depth).processor(RATE_HZ, 2).process(noise())
    path = write(tmp_path / file, quantised, container=container, bit_depth=bit_depth)
    np.testing.assert_array_equal(read_audio(path).samples, quantised)


@settings(max_examples=25, deadline=None)
@given(
    channels=st.integers(1, 2),
    samples=st.integers(22_050, 24_000),
    cuts=st.lists(st.integers(0, 24_000), max_size=4),
    bit_depth=st.sampled_from([16, 24]),
    file=st.sampled_from(["a.wav", "a.flac", "a.aiff"]),
)
def test_blocks_make_no_difference(channels: int, samples: int, cuts: list[int], bit_depth: int, file: str) -> None:
    """However a stream is cut into blocks, empty ones too, the file has the same samples."""
    sound = on_grid(bit_depth, channels=channels, samples=samples)
    edges = [0, *sorted(cuts), samples]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / file
        fmt = OutputFormat(matcher.io.outputs.container_of(path), bit_depth)
        with AudioWriter(path, RATE_HZ, channels, **fmt._asdict()) as writer:
            for a, b in itertools.pairwise(edges):
                writer.write(sound[:, a:b])
        np.testing.assert_array_equal(read_audio(path).samples, sound)


class Interrupted(BaseException):
    """Stands for what no `except Exception` catches."""


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, Interrupted, GeneratorExit])
def test_nothing_is_left_after_an_error(tmp_path: Path, error: type[BaseException]) -> None:
    """Whatever ends the writing, the folder is as before, and an older file of that name is untouched."""
    old = save_wav(tmp_path / "a.wav").read_bytes()

    def interrupted() -> None:
        with AudioWriter(tmp_path / "a.wav", RATE_HZ, 2, container="WAV", bit_depth=16) as writer:
            writer.write(noise())
            assert len(left_behind(tmp_path)) == 2
            raise error

    with pytest.raises(error):
        interrupted()
    assert left_behind(tmp_path) == ["a.wav"]
    assert (tmp_path / "a.wav").read_bytes() == old


def test_nothing_is_left_by_an_abandoned_generator(tmp_path: Path) -> None:
    """A writer inside a generator that is closed early cleans up."""

    def rendering() -> Iterator[int]:
        with AudioWriter(tmp_path / "a.flac", RATE_HZ, 2, container="FLAC", bit_depth=16) as writer:
            while True:
                writer.write(noise())
                yield writer.length_samples

    steps = rendering()
    assert [next(steps), next(steps)] == [30_000, 60_000]
    steps.close()
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_nothing_is_left_when_the_last_step_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """Flushing and renaming can fail too."""

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(matcher.io.writing.os, failing, fail)
    with refused(FileError, "a.wav: cannot be written (input/output error)"):
        write(tmp_path / "a.wav", noise(), container="WAV", bit_depth=16)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(("file", "container"), [("a.wav", "WAV"), ("a.flac", "FLAC"), ("a.aiff", "AIFF")])
def test_no_space_while_writing(tmp_path: Path, file: str, container: str) -> None:
    """When the system takes no more bytes the line says so, and no part of the file stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with refused(FileError, f"{file}: writing failed", "MiB are free", "nothing was left behind"):
            write(tmp_path / file, noise(samples=200_000), container=container, bit_depth=24)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert left_behind(tmp_path) == []


@contextlib.contextmanager
def small_disk(folder: Path, options: str) -> Iterator[Path]:
    """A disk of its own in `folder`; skips where none can be mounted."""
    folder.mkdir()
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True)
    if tried.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("mount"), reason="needs Linux's mount")
def test_full_disk(tmp_path: Path) -> None:
    """On a disk that really fills up, the check refuses beforehand and the writer leaves nothing behind."""
    with small_disk(tmp_path / "disk", "size=1m") as disk:
        with refused(FileError, "a.wav: needs 5 MiB of space, 1 MiB are free in its folder"):
            check_output(disk / "a.wav", inputs=(), force=False, needed_bytes=5 * 2**20)
        with refused(FileError, "a.wav: writing failed (the disk is full, 0 MiB are free); nothing was left behind"):
            write(disk / "a.wav", noise(samples=400_000), container="WAV", bit_depth=24)
        assert left_behind(disk) == []


@pytest.mark.skipif(sys.platform != "linux" or not shutil.which("mount"), reason="needs Linux's mount")
def test_read_only_disk(tmp_path: Path) -> None:
    """A disk mounted read-only is refused, even to an administrator."""
    with small_disk(tmp_path / "disk", "ro,size=1m") as disk:
        with refused(FileError, "a.wav: its folder may not be written to (read-only file system)"):
            check_output(disk / "a.wav", inputs=(), force=False, needed_bytes=0)
        with refused(FileError, "a.wav: cannot be written (read-only file system)"):
            write(disk / "a.wav", noise(), container="WAV", bit_depth=16)


def test_read_only_folder(open_folder: Path) -> None:
    """A folder without the right to write is refused beforehand, and by the writer."""
    open_folder.chmod(0o555)
    with as_nobody():
        with refused(FileError, "a.wav: its folder may not be written to (permission denied)"):
            check_output(open_folder / "a.wav", inputs=(), force=False, needed_bytes=0)
        with refused(FileError, "a.wav: cannot be written (permission denied)"):
            write(open_folder / "a.wav", noise(), container="WAV", bit_depth=16)
    assert left_behind(open_folder) == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("bit_depth", "is_float"), [(16, False), (32, True)])
def test_no_file_with_nan(tmp_path: Path, value: float, bit_depth: int, is_float: bool) -> None:
    """What is no number is never written, and the place is told."""
    samples = noise(samples=88_200, dtype=np.float64)
    samples[1, 66_150] = value
    with refused(AudioError, "a.wav: NaN or infinity at 1.500 s cannot be written"):
        write(tmp_path / "a.wav", samples, container="WAV", bit_depth=bit_depth, is_float=is_float)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("block", "message"),
    [
        (np.zeros((1, 10)), "shape (1, 10) is not (2, samples)"),
        (np.zeros(10), "shape (10,) is not (2, samples)"),
        (np.zeros((2, 10), dtype=np.int16), "int16 is not float32 or float64"),
    ],
)
def test_blocks_of_the_wrong_kind(tmp_path: Path, block: np.ndarray, message: str) -> None:
    """A block of another shape or kind is refused."""
    with refused(AudioError, message):
        write(tmp_path / "a.wav", np.zeros((2, 5)), container="WAV", bit_depth=16)
        with AudioWriter(tmp_path / "a.wav", RATE_HZ, 2, container="WAV", bit_depth=16) as writer:
            writer.write(block)


def test_no_file_without_samples(tmp_path: Path) -> None:
    """A file without sound is not made."""
    with refused(FileError, "there are no samples to write"):
        write(tmp_path / "a.wav", np.zeros((2, 0)), container="WAV", bit_depth=16)
    assert left_behind(tmp_path) == []


def test_writing_outside_the_context(tmp_path: Path) -> None:
    """Before it is entered and after it is left, a writer takes no samples."""
    writer = AudioWriter(tmp_path / "a.wav", RATE_HZ, 2, container="WAV", bit_depth=16)
    with refused(FileError, "is not open for writing"):
        writer.write(noise())
    with writer:
        writer.write(noise())
    with refused(FileError, "is not open for writing"):
        writer.write(noise())


def test_more_than_4_gib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A WAV too long for its counters becomes RF64 when that is known, and is refused when it is not."""
    monkeypatch.setattr(matcher.io.writing, "_SIZE_LIMIT_BYTES", 100_000)
    path = write(tmp_path / "a.wav", on_grid(16), container="WAV", bit_depth=16, length_samples=30_000)
    assert soundfile.info(path).format == "RF64"
    np.testing.assert_array_equal(read_audio(path).samples, on_grid(16))
    with refused(FileError, "more than 4 GiB do not fit into WAV"):
        write(tmp_path / "b.wav", on_grid(16), container="WAV", bit_depth=16)
    with refused(FileError, "more than 4 GiB do not fit into AIFF; write .wav or .flac"):
        write(tmp_path / "b.aiff", on_grid(16), container="AIFF", bit_depth=16, length_samples=30_000)
    assert left_behind(tmp_path) == ["a.wav"]


def test_written_file_has_ordinary_rights(tmp_path: Path) -> None:
    """The file may be read by whom the umask lets, not by its maker alone."""
    (tmp_path / "plain").touch()
    path = write(tmp_path / "a.wav", noise(), container="WAV", bit_depth=16)
    assert path.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_link_stays_a_link(tmp_path: Path) -> None:
    """Writing to a link writes what it points to."""
    save_wav(tmp_path / "real.wav")
    (tmp_path / "link.wav").symlink_to("real.wav")
    write(tmp_path / "link.wav", on_grid(24), container="WAV", bit_depth=24)
    assert (tmp_path / "link.wav").is_symlink()
    assert soundfile.info(tmp_path / "real.wav").subtype == "PCM_24"


def test_folder_and_pipe_are_not_replaced(tmp_path: Path) -> None:
    """A writer never puts its file in place of something that is no file."""
    (tmp_path / "d.wav").mkdir()
    os.mkfifo(tmp_path / "p.wav")
    for name in ("d.wav", "p.wav"):
        with refused(FileError, f"{name}: is a folder, a device or a pipe"):
            write(tmp_path / name, noise(), container="WAV", bit_depth=16)
        with refused(FileError, f"{name}: is a"):
            check_output(tmp_path / name, inputs=(), force=True, needed_bytes=0)
    assert left_behind(tmp_path) == ["d.wav", "p.wav"]


def test_input_can_be_replaced_while_it_is_read(tmp_path: Path) -> None:
    """Forced onto its own input, the writer takes nothing away from the reader."""
    path = save(tmp_path / "a.wav", on_grid(16), subtype="PCM_16")
    with open_audio(path) as source, AudioWriter(path, RATE_HZ, 2, container="WAV", bit_depth=24) as writer:
        for block in source.blocks(1_000):
            writer.write(block)
    np.testing.assert_array_equal(read_audio(path).samples, on_grid(16))
    assert soundfile.info(path).subtype == "PCM_24"


# What to write, and where


@pytest.mark.parametrize(
    ("container", "subtype", "output", "bit_depth", "expected"),
    [
        ("WAV", "PCM_U8", "o.wav", None, ("WAV", 16, False)),
        ("WAV", "PCM_16", "o.wav", None, ("WAV", 16, False)),
        ("WAV", "PCM_24", "o.aif", None, ("AIFF", 24, False)),
        ("WAV", "PCM_32", "o.WAV", None, ("WAV", 32, False)),
        ("WAV", "PCM_32", "o.flac", None, ("FLAC", 24, False)),
        ("WAV", "FLOAT", "o.aiff", None, ("AIFF", 32, True)),
        ("WAV", "DOUBLE", "o.wav", None, ("WAV", 32, True)),
        ("WAV", "FLOAT", "o.flac", None, ("FLAC", 24, False)),
        ("WAV", "PCM_U8", "o.flac", None, ("FLAC", 16, False)),
        ("WAV", "ULAW", "o.wav", None, ("WAV", 24, False)),
        ("OGG", "VORBIS", "o.wav", None, ("WAV", 24, False)),
        ("RF64", "PCM_24", "o.wav", None, ("RF64", 24, False)),
        ("RF64", "PCM_24", "o.flac", None, ("FLAC", 24, False)),
        ("WAV", "PCM_16", "o.rf64", None, ("RF64", 16, False)),
        ("WAV", "PCM_16", "o.wav", 24, ("WAV", 24, False)),
        ("WAV", "FLOAT", "o.wav", 16, ("WAV", 16, False)),
        ("WAV", "PCM_16", "o.aiff", 32, ("AIFF", 32, True)),
    ],
)
def test_output_format(
    tmp_path: Path, container: str, subtype: str, output: str, bit_depth: int | None, expected: tuple[str, int, bool]
) -> None:
    """The target's own depth is kept where the container holds it; what is asked for wins."""
    path = save(tmp_path / f"t.{container.lower()}", noise(), format=container, subtype=subtype)
    with open_audio(path) as target:
        fmt = output_format(target, output, bit_depth)
    assert fmt == expected
    written = write(tmp_path / output, noise(), **fmt._asdict())
    assert soundfile.info(written).subtype == fmt.subtype
    assert written.stat().st_size <= fmt.size_bytes(30_000, 2)


def test_output_format_of_memory() -> None:
    """Audio that never was a file becomes 24 bit, dithered; 16 and float are there for the asking."""
    with open_audio(Audio(noise(), RATE_HZ)) as target:
        assert output_format(target, "o.wav") == ("WAV", 24, False)
        depths = [output_format(target, "o.wav", bits).dither_bits for bits in (None, 16, 24, 32)]
    assert depths == [24, 16, 24, None]


@pytest.mark.parametrize(
    ("output", "bit_depth", "message"),
    [
        ("o.flac", 32, "o.flac: FLAC holds no 32-bit samples; allowed are 16 and 24"),
        ("o.wav", 20, "o.wav: a bit depth of 20 cannot be written; allowed are 16, 24 and 32"),
        ("o.mp3", None, "o.mp3: the ending '.mp3' is not known; allowed are .wav, .wave, .rf64, .flac, .aif, .aiff"),
        ("o", None, "o: has no ending; allowed are .wav"),
    ],
)
def test_formats_that_cannot_be_written(output: str, bit_depth: int | None, message: str) -> None:
    """What a container cannot hold, and what is no container, is named with what is allowed."""
    with open_audio(Audio(noise(), RATE_HZ)) as target, refused(FileError, message):
        output_format(target, output, bit_depth)


@pytest.mark.parametrize(
    ("target", "output"),
    [("a/song.flac", "a/song-mastered.wav"), ("my.song.v2.wav", "my.song.v2-mastered.wav"), ("x", "x-mastered.wav")],
)
def test_default_output(target: str, output: str) -> None:
    """The master goes beside the target, as WAV."""
    assert default_output(target) == Path(output)


def test_outputs_that_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each reason not to write has its line, no check leaves a trace, and force lifts two of them."""
    target, other = save_wav(tmp_path / "t.wav"), save_wav(tmp_path / "other.wav")
    (tmp_path / "link.wav").symlink_to(target)
    (tmp_path / "hard.wav").hardlink_to(target)
    (tmp_path / "dir.wav").mkdir()
    before = left_behind(tmp_path)
    monkeypatch.chdir(tmp_path)
    spelled = [target, "t.wav", tmp_path / "dir.wav" / ".." / "t.wav", tmp_path / "link.wav", tmp_path / "hard.wav"]
    cases = [(path, f"is the input {target} itself; choose another name") for path in spelled]
    cases += [
        (other, "other.wav: exists already; choose another name, or force it"),
        (tmp_path / "no" / "o.wav", f"its folder {tmp_path / 'no'} does not exist"),
        (target / "o.wav", f"{target} is not a folder"),
        (tmp_path / "dir.wav", "dir.wav: is a folder; a file is needed"),
        (tmp_path / "o.xyz", "the ending '.xyz' is not known"),
        (tmp_path / f"{'x' * 300}.wav", "cannot be written (file name too long)"),
        ("a\0b.wav", "cannot be written (embedded null"),
    ]
    for path, message in cases:
        with refused(FileError, message):
            check_output(path, inputs=(tmp_path / "gone.wav", target), force=False, needed_bytes=0)
    for path in (*spelled, other, tmp_path / "new.wav", "new.flac"):
        check_output(path, inputs=(target,), force=True, needed_bytes=1_000)
    check_output("new.wav", inputs=(target,), force=False, needed_bytes=1_000)
    with refused(FileError, "new.wav: needs 1099511627776 MiB of space", "MiB are free in its folder"):
        check_output("new.wav", inputs=(target,), force=False, needed_bytes=2**60)
    assert left_behind(tmp_path) == before


# Other rates


@pytest.mark.parametrize("block_samples", [1_000, 65_536])
@pytest.mark.parametrize(("from_hz", "to_hz"), [(44_100, 48_000), (96_000, 44_100), (44_100, 44_100), (48_000, 47_999)])
@pytest.mark.parametrize("channels", [1, 2])
def test_resampled_blocks(from_hz: int, to_hz: int, channels: int, block_samples: int) -> None:
    """Block by block a source has at another rate the very samples, and the length, that it has at once."""
    audio = Audio(noise(channels, samples=100_001), from_hz)
    with open_audio(audio) as source:
        blocks = list(io.resampled_blocks(source, sample_rate_hz=to_hz, block_samples=block_samples))
    length = io.resampled_length_samples(100_001, from_hz, to_hz)
    assert length == round(100_001 * to_hz / from_hz)
    assert [b.shape[1] for b in blocks[:-1]] == [block_samples] * (len(blocks) - 1)
    assert all(b.flags.c_contiguous and b.dtype == np.float32 for b in blocks)
    got = np.concatenate(blocks, axis=1)
    assert got.shape == (channels, length)
    np.testing.assert_array_equal(got, soxr.resample(audio.samples.T, from_hz, to_hz, quality="VHQ").T)


def test_resampling_shifts_nothing(tmp_path: Path) -> None:
    """A tone keeps its phase and level, from a file, at a rate of one's choice."""
    t = np.arange(96_000) / 96_000
    path = save(tmp_path / "a.wav", 0.5 * np.sin(2 * np.pi * 997.0 * t)[None], 96_000, subtype="FLOAT")
    got = read_audio(path, sample_rate_hz=44_100)
    assert (got.sample_rate_hz, got.length_samples) == (44_100, 44_100)
    wanted = 0.5 * np.sin(2 * np.pi * 997.0 * np.arange(44_100) / 44_100)
    np.testing.assert_allclose(got.samples[0, 2_000:-2_000], wanted[2_000:-2_000], atol=1e-6)
    assert read_audio(path, sample_rate_hz=96_000).length_samples == 96_000
    with refused(AudioError, "sample_rate_hz: 1000 is not"):
        read_audio(path, sample_rate_hz=1_000)


@given(n=st.integers(1, 10**9), rates=st.tuples(st.integers(8_000, 384_000), st.integers(8_000, 384_000)))
def test_resampled_length_is_the_nearest(n: int, rates: tuple[int, int]) -> None:
    """The length is within half a sample of the exact one, in whole-number arithmetic."""
    from_hz, to_hz = rates
    length = io.resampled_length_samples(n, from_hz, to_hz)
    assert abs(2 * (length * from_hz - n * to_hz)) <= from_hz
