"""Every kind of file that comes in, against every format that goes out: the right samples, or one line and no file."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.errors import FileError, MatchError
from matcher import Plan, render
from matcher.io import open_audio
from matcher.plans import Track

RATE_HZ = 44_100
FRAMES = 30_001
NOWHERE = Plan(target=Track(name="", content_hash="", sample_rate_hz=RATE_HZ, channels=2, integrated_lufs=-20.0))
EXTENSIBLE, PCM, FLOAT = 0xFFFE, 1, 3
SUBFORMAT = b"\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71"


def steps(bits: int = 24, channels: int = 2, frames: int = FRAMES) -> np.ndarray:
    """Whole numbers of `bits` bits, shape (frames, channels)."""
    top = 2 ** (bits - 1)
    return np.random.default_rng(bits).integers(-top, top, (frames, channels))


def packed(numbers: np.ndarray, size: int, order: str = "<") -> bytes:
    """Numbers in `size` bytes each."""
    wide = numbers.astype(f"{order}i4").tobytes()
    raw = np.frombuffer(wide, dtype=np.uint8).reshape(-1, 4)
    return (raw[:, :size] if order == "<" else raw[:, 4 - size :]).tobytes()


def chunk(name: bytes, data: bytes, *, size: int | None = None, pad: bool = True) -> bytes:
    """A chunk as it should be, or not."""
    return name + struct.pack("<I", len(data) if size is None else size) + data + b"\0" * (pad and len(data) % 2)


def fmt(
    kind: int = PCM, bits: int = 24, *, channels: int = 2, rate_hz: int = RATE_HZ, align: int | None = None
) -> bytes:
    """The format chunk."""
    block = channels * bits // 8 if align is None else align
    return chunk(b"fmt ", struct.pack("<HHIIHH", kind, channels, rate_hz, rate_hz * block, block, bits))


def extensible(bits: int, valid: int, *, channels: int = 2, mask: int = 3) -> bytes:
    """The long format chunk."""
    block = channels * bits // 8
    short = struct.pack("<HHIIHH", EXTENSIBLE, channels, RATE_HZ, RATE_HZ * block, block, bits)
    return chunk(b"fmt ", short + struct.pack("<HHI", 22, valid, mask) + struct.pack("<I", PCM) + SUBFORMAT)


def riff(*chunks: bytes, kind: bytes = b"RIFF", size: int | None = None) -> bytes:
    """A file of chunks."""
    body = b"WAVE" + b"".join(chunks)
    return kind + struct.pack("<I", len(body) if size is None else size) + body


def ds64(data_bytes: int) -> bytes:
    """The sizes of an RF64."""
    return chunk(b"ds64", struct.pack("<QQQI", data_bytes + 100, data_bytes, FRAMES, 0))


Q24 = steps()
D24 = packed(Q24, 3)
DATA = chunk(b"data", D24)
WIDE = 0xFFFFFFFF

Made = tuple[bytes, np.ndarray]


def as24(data: bytes, frames: int = FRAMES) -> Made:
    """A file of the usual 24-bit samples."""
    return data, Q24[:frames] / 2.0**23


def big_endian() -> bytes:
    body = struct.pack(">HHIIHH", PCM, 2, RATE_HZ, RATE_HZ * 6, 6, 24)
    raw = packed(Q24, 3, ">")
    return (
        b"RIFX" + struct.pack(">I", 36 + len(raw)) + b"WAVEfmt " + struct.pack(">I", 16) + body
        + b"data" + struct.pack(">I", len(raw)) + raw
    )  # fmt: skip


def floats(kind: str, *, fact: bool = True) -> Made:
    values = (steps(22) / 2.0**21).astype(kind)
    head = fmt(FLOAT, values.itemsize * 8)
    told = chunk(b"fact", struct.pack("<I", FRAMES)) if fact else b""
    return riff(head, told, chunk(b"data", values.astype(f"<{kind[0]}{values.itemsize}").tobytes())), values


def plain(bits: int, channels: int = 2, rate_hz: int = RATE_HZ, frames: int = FRAMES) -> Made:
    numbers = steps(bits, channels, frames)
    raw = (numbers + 128).astype(np.uint8).tobytes() if bits == 8 else packed(numbers, bits // 8)
    made = riff(fmt(bits=bits, channels=channels, rate_hz=rate_hz), chunk(b"data", raw))
    return made, numbers / 2.0 ** (bits - 1)


Q20 = steps(20) << 4
GOOD: dict[str, Callable[[], Made]] = {
    "24 bit": lambda: as24(riff(fmt(), DATA)),
    "extensible 24": lambda: as24(riff(extensible(24, 24), DATA)),
    "20 in 24": lambda: (riff(extensible(24, 20), chunk(b"data", packed(Q20, 3))), Q20 / 2.0**23),
    "24 in 32": lambda: as24(riff(extensible(32, 24), chunk(b"data", packed(Q24 << 8, 4)))),
    "8 bit": lambda: plain(8),
    "16 bit": lambda: plain(16),
    "mono": lambda: plain(24, channels=1),
    "8 kHz": lambda: plain(16, rate_hz=8_000),
    "384 kHz": lambda: plain(24, rate_hz=384_000, frames=200_000),
    "float 32": lambda: floats("f4"),
    "float 32 without fact": lambda: floats("f4", fact=False),
    "float 64": lambda: floats("f8"),
    "junk first": lambda: as24(riff(chunk(b"JUNK", bytes(92)), fmt(), DATA)),
    "odd chunk, padded": lambda: as24(riff(fmt(), chunk(b"LIST", b"INFOINAM\x03\0\0\0abc"), DATA)),
    "odd chunk, not padded": lambda: as24(riff(fmt(), chunk(b"note", b"odd", pad=False), DATA)),
    "id3 behind": lambda: as24(riff(fmt(), DATA, chunk(b"id3 ", b"ID3\x03\0\0\0\0\0\x0a" + bytes(10)))),
    "id3 in front": lambda: as24(b"ID3\x04\0\0\0\0\x01\0" + bytes(128) + riff(fmt(), DATA)),
    "big endian": lambda: as24(big_endian()),
    "size beyond the end": lambda: as24(riff(fmt(), chunk(b"data", D24, size=10 * len(D24)))),
    "cut inside a frame": lambda: as24(riff(fmt(), DATA)[:-8], FRAMES - 2),
    "size 0, samples follow": lambda: as24(riff(fmt(), chunk(b"data", D24, size=0), size=0)),
    "streamed": lambda: as24(riff(fmt(), chunk(b"data", D24, size=WIDE), size=WIDE)),
    "wrong block align": lambda: as24(riff(fmt(align=4), DATA)),
    "two data chunks": lambda: as24(riff(fmt(), DATA, chunk(b"data", bytes(600)))),
    "RF64": lambda: as24(riff(ds64(len(D24)), fmt(), chunk(b"data", D24, size=WIDE), kind=b"RF64", size=WIDE)),
    "BW64": lambda: as24(riff(ds64(len(D24)), fmt(), chunk(b"data", D24, size=WIDE), kind=b"BW64", size=WIDE)),
}
WARNED = {
    "size beyond the end": "is cut short",
    "size 0, samples follow": "0 bytes of audio",
    "two data chunks": "several chunks of audio",
}
BAD: dict[str, tuple[Callable[[], bytes], str]] = {
    "no samples": (lambda: riff(fmt(), chunk(b"data", b"")), "holds no samples"),
    "no samples, tags behind": (lambda: riff(fmt(), chunk(b"data", b""), chunk(b"LIST", b"INFO")), "holds no samples"),
    "no data": (lambda: riff(fmt()), "header is damaged"),
    "no format": (lambda: riff(DATA), "header is damaged"),
    "nothing but a head": (lambda: riff(), "header is damaged"),
    "empty": (lambda: b"", "is empty"),
    "format of 2 GiB": (lambda: riff(chunk(b"fmt ", bytes(16), size=0x7FFFFFFF), DATA), "header is damaged"),
    "no channels": (lambda: riff(fmt(channels=0, align=6), DATA), "header is damaged"),
    "no rate": (lambda: riff(fmt(rate_hz=0), DATA), "header is damaged"),
    "unknown coding": (lambda: riff(fmt(kind=0x1234), DATA), "header is damaged"),
    "ten hours in a few bytes": (lambda: riff(fmt(), chunk(b"data", bytes(60), size=0xF0000000)), "at least 0.5 s"),
}  # fmt: skip
ENDINGS = (".wav", ".flac", ".aiff")


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("variant", GOOD)
def test_goes_through(tmp_path: Path, variant: str, ending: str) -> None:
    """Untouched, its samples arrive as they are: exact as integers, to the last bit of the container as floats."""
    data, wanted = GOOD[variant]()
    path = tmp_path / "in.wav"
    path.write_bytes(data)
    with open_audio(path) as source:
        assert any(WARNED.get(variant, "\0") in line for line in source.warnings) == (variant in WARNED)
        is_float = source.is_float
    render(path, NOWHERE, tmp_path / f"out{ending}", dither="none")
    got, rate_hz = soundfile.read(tmp_path / f"out{ending}", always_2d=True)
    assert (rate_hz, got.shape) == (soundfile.info(tmp_path / f"out{ending}").samplerate, wanted.shape)
    rounded = 2.0**-24 if is_float and ending == ".flac" else 2.0**-25 if variant == "float 64" else 0.0
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=rounded)
    assert path.read_bytes() == data
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in.wav", f"out{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("variant", BAD)
def test_is_refused_in_one_line(tmp_path: Path, variant: str, ending: str) -> None:
    """What cannot be read says so, and leaves nothing."""
    make, line = BAD[variant]
    path = tmp_path / "in.wav"
    path.write_bytes(make())
    with pytest.raises(MatchError, match=line) as error:
        render(path, NOWHERE, tmp_path / f"out{ending}")
    assert "\n" not in str(error.value)
    assert str(path) in str(error.value)
    assert path.read_bytes() == make()
    assert [p.name for p in tmp_path.iterdir()] == ["in.wav"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("container", "subtype", "name"),
    [("FLAC", "PCM_24", "in.flac"), ("AIFF", "PCM_24", "in.aiff"), ("AIFF", "FLOAT", "in.aif"),
     ("W64", "PCM_24", "in.w64"), ("CAF", "PCM_24", "in.caf"), ("CAF", "ALAC_24", "in.caf"),
     ("OGG", "VORBIS", "in.ogg"), ("MP3", "MPEG_LAYER_III", "in.mp3")],
)  # fmt: skip
def test_other_containers(tmp_path: Path, container: str, subtype: str, name: str, ending: str) -> None:
    """So do they; of a lossy one what its decoder gives, rounded to 24 bits."""
    path = tmp_path / name
    soundfile.write(path, 0.4 * Q24 / 2.0**23, RATE_HZ, format=container, subtype=subtype)
    wanted = soundfile.read(path)[0]
    render(path, NOWHERE, tmp_path / f"out{ending}", dither="none")
    got = soundfile.read(tmp_path / f"out{ending}")[0]
    np.testing.assert_allclose(got, wanted, rtol=0.0, atol=0.0 if subtype in ("PCM_24", "ALAC_24") else 2.0**-24)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg on the PATH")


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "coder", "exact"),
    [("in.m4a", ["alac"], True), ("in.m4a", ["aac", "-b:a", "256k"], False), ("in.aac", ["aac"], False),
     ("in.mkv", ["flac", "-strict", "-2"], True), ("in.mov", ["pcm_s24le"], True)],
)  # fmt: skip
def test_by_way_of_ffmpeg(tmp_path: Path, name: str, coder: list[str], exact: bool) -> None:
    """M4A, AAC, ALAC and video are decoded by the user's program, lossless ones exactly."""
    source = tmp_path / "source.wav"
    numbers = steps(16)
    soundfile.write(source, numbers / 2.0**15, RATE_HZ, subtype="PCM_16")
    path = tmp_path / name
    subprocess.run(["ffmpeg", "-v", "error", "-i", source, "-c:a", *coder, path], check=True)
    before = digest(path)
    render(path, NOWHERE, tmp_path / "out.wav", dither="none")
    got, rate_hz = soundfile.read(tmp_path / "out.wav")
    assert rate_hz == RATE_HZ
    assert soundfile.info(tmp_path / "out.wav").subtype == "PCM_24"
    if exact:
        np.testing.assert_array_equal(got, numbers / 2.0**15)
    else:
        assert abs(len(got) - FRAMES) < 3_000
        assert np.abs(got).max() > 0.3
    assert digest(path) == before


@needs_ffmpeg
@pytest.mark.parametrize("text", [b"#EXTM3U\n#EXTINF:1,\nsecret.wav\n", b"ffconcat version 1.0\nfile secret.wav\n"])
def test_a_playlist_reads_no_other_file(tmp_path: Path, text: bytes) -> None:
    """What names another file is not followed there."""
    soundfile.write(tmp_path / "secret.wav", Q24 / 2.0**23, RATE_HZ, subtype="PCM_24")
    path = tmp_path / "in.m4a"
    path.write_bytes(text)
    with pytest.raises(FileError, match="is not audio that can be read"):
        open_audio(path)


def test_without_ffmpeg_the_line_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named, and what it is for."""
    monkeypatch.setenv("PATH", str(tmp_path))
    path = tmp_path / "in.m4a"
    path.write_bytes(b"\0\0\0\x20ftypM4A " + bytes(1000))
    with pytest.raises(FileError, match="MP4 is read by way of the program ffmpeg, which is not on the PATH"):
        open_audio(path)
