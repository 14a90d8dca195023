"""Declip: finds what was cut off and only that, keeps the rest bit for bit, and comes near what was there."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from dsp.audio import Audio, Samples
from dsp.chain import Chain, blocks_of, settings_from
from dsp.errors import AudioError
from dsp.kernels import social_step
from dsp.restoration.declip import ClipDetector, ClipLevel, Clipping, Declip, joined
from dsp.restoration.events import Event
from dsp.restoration.sparsity import Frame, sparsest

RATE_HZ = 44_100
LEVEL_TOLERANCE_DB = 0.01


def times(seconds: float) -> np.ndarray:
    return np.arange(round(seconds * RATE_HZ)) / RATE_HZ


def music(seconds: float = 2.0, seed: int = 1) -> np.ndarray:
    """Twenty partials that come and go, and a little noise; peak 1."""
    rng, t = np.random.default_rng(seed), times(seconds)
    sound = 0.03 * rng.normal(size=len(t))
    for _ in range(20):
        level, hz, phase, beat = rng.uniform(0.05, 0.3), rng.uniform(60, 4000), rng.uniform(0, 6), rng.uniform(0.1, 3)
        sound += level * np.sin(2 * np.pi * hz * t + phase) * (0.6 + 0.4 * np.sin(2 * np.pi * beat * t))
    return sound / np.abs(sound).max()


def rounded(sound: np.ndarray, bits: int = 16, dither: bool = False) -> np.ndarray:
    rng = np.random.default_rng(2)
    noise = rng.uniform(-0.5, 0.5, size=(2, len(sound))).sum(axis=0) if dither else 0.0
    return np.rint(sound * 2 ** (bits - 1) + noise) / 2 ** (bits - 1)


def limited(sound: np.ndarray, ceiling: float) -> np.ndarray:
    """What a look-ahead limiter makes of it: many peaks at the ceiling, none of them flat."""
    need = np.minimum(1.0, ceiling / np.maximum(np.abs(sound), 1e-9))
    padded = np.pad(need, 100, mode="edge")
    least = np.lib.stride_tricks.sliding_window_view(padded, 201).min(axis=1)
    smooth = np.convolve(np.pad(least, 50, mode="edge"), np.full(101, 1 / 101), mode="valid")
    return np.clip(sound * smooth, -ceiling, ceiling)


def softly_clipped(sound: np.ndarray, level: float, knee: float) -> np.ndarray:
    """Straight up to (1 - knee) of the level, a parabola, and flat from (1 + knee) on."""
    size, first = np.abs(sound), level * (1.0 - knee)
    bent = size - np.clip(size - first, 0.0, None) ** 2 / (4.0 * knee * level)
    return np.sign(sound) * np.where(size >= level * (1.0 + knee), level, bent)


def found(samples: np.ndarray, *, block: int | None = None, strong: bool = False) -> Clipping:
    samples = np.atleast_2d(samples)
    detector = ClipDetector(RATE_HZ, len(samples), strong=strong)
    for part in blocks_of(samples, block or max(1, samples.shape[1])):
        detector.update(part)
    return detector.result()


def settings_for(samples: np.ndarray) -> Declip:
    settings = found(samples).settings()
    assert settings is not None
    return settings


def declipped(samples: np.ndarray, settings: Declip, block: int = 65_536) -> Samples:
    return Chain((settings,))(Audio(np.atleast_2d(samples), RATE_HZ), block).samples


def sdr_db(clean: np.ndarray, other: np.ndarray) -> float:
    return float(20 * np.log10(np.linalg.norm(clean) / np.linalg.norm(clean - other)))


# Finding.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("gain", [0.25, 1.0, 1.7])
def test_finds_the_level_whatever_the_gain(gain: float, dtype: type) -> None:
    """A clip at 0.6 above and 0.5 below is named as such, to a hundredth of a decibel, after any gain."""
    sides = found((gain * np.clip(music(), -0.5, 0.6)).astype(dtype)).sides
    assert [side.level.polarity for side in sides] == ["high", "low"]
    for side, level in zip(sides, (0.6, 0.5), strict=True):
        assert side.level.level_dbfs == pytest.approx(20 * np.log10(gain * level), abs=LEVEL_TOLERANCE_DB)
        assert side.knee_db == 0.0


def test_finds_the_polarity_and_the_channel() -> None:
    """Only the channel and the polarity that are cut off are named."""
    sides = found(np.stack([music(), np.clip(music(seed=2), -2.0, 0.5)])).sides
    assert [(side.level.channel, side.level.polarity) for side in sides] == [(1, "high")]


def test_finds_what_dither_has_roughened() -> None:
    """Clipped, turned down, dithered to 16 bits: the plateaus are flat to a bit and a half, and are found."""
    sides = found(rounded(0.5 * np.clip(music(), -0.5, 0.5), dither=True)).sides
    assert len(sides) == 2
    assert sides[0].level.level_dbfs == pytest.approx(20 * np.log10(0.25), abs=LEVEL_TOLERANCE_DB)


def test_finds_a_clipped_tone() -> None:
    """What anybody would try first."""
    assert len(found(0.8 * np.clip(1.4 * np.sin(2 * np.pi * 50 * times(2)), -1, 1)).sides) == 2


def test_finds_a_soft_knee() -> None:
    """Bending before the plateau is seen, about as far down as it goes; the same clip without it has none."""
    sound = music(8.0)
    knee_db = -20 * np.log10(1 - 0.2)
    assert settings_for(softly_clipped(sound, 0.35, 0.2)).knee_db == pytest.approx(knee_db, abs=1.0)
    assert settings_for(np.clip(sound, -0.35, 0.35)).knee_db == 0.0


@pytest.mark.parametrize("hz", [150.0, 441.0, 1234.5])
@pytest.mark.parametrize("drive", [1.05, 1.4, 1.7])
def test_finds_no_knee_in_a_tone(hz: float, drive: float) -> None:
    """A tone dwells near its peak by itself: clipped hard, all but the plateaus stays known."""
    settings = settings_for(np.clip(drive * np.sin(2 * np.pi * hz * times(2)) * (1 - 0.01 * times(2)), -0.8, 0.8))
    assert settings.knee_db == 0.0


def test_strong_finds_less() -> None:
    """A handful of plateaus is for `strong` only."""
    clips = (np.clip(music(), -level, level) for level in np.arange(0.99, 0.5, -0.01))
    few = next(clip for clip in clips if found(clip, strong=True).sides)
    assert found(few).settings() is None
    assert found(few, strong=True).settings() is not None


def notes(seconds: float = 2.0) -> np.ndarray:
    """The phase, in turns, of a tune."""
    note = (times(seconds) * 8).astype(int)
    return np.cumsum(110 * 2 ** (np.random.default_rng(3).integers(0, 24, note.max() + 1)[note] / 12)) / RATE_HZ


def square(turns: np.ndarray) -> np.ndarray:
    return np.sign(np.sin(2 * np.pi * turns))


WHOLE = {
    "music": music,
    "music in 16 bits": lambda: rounded(music()),
    "music in 8 bits": lambda: rounded(music(), 8),
    "limited": lambda: limited(2 * music(), 0.9),
    "limited in 16 bits": lambda: rounded(limited(2 * music(), 0.9)),
    "saturated": lambda: 0.8 * np.tanh(2 * music()),
    "noise": lambda: 0.2 * np.random.default_rng(4).normal(size=2 * RATE_HZ),
    "bass": lambda: rounded(0.9 * np.sin(2 * np.pi * 50 * times(2))),
    "bass in 8 bits": lambda: rounded(0.9 * np.sin(2 * np.pi * 30 * times(2)), 8),
    "periodic": lambda: 0.5 * np.sin(2 * np.pi * np.arange(RATE_HZ) / 100),
    "quiet": lambda: rounded(0.001 * np.sin(2 * np.pi * 100 * times(2))),
    "square": lambda: 0.8 * square(notes()),
    "square that decays": lambda: 0.8 * square(notes()) * np.exp(-(times(2) % 0.25) / 0.1),
    "pulse": lambda: np.where(notes() % 1 < 0.25, 0.9, -0.9),
    "square and pulse": lambda: 0.4 * square(notes()) + np.where(notes() % 1 < 0.25, 0.4, -0.4),
    "square and stepped triangle": lambda: (
        0.3 * square(notes()) + 0.5 * np.rint(14 / np.pi * np.arcsin(np.sin(2 * np.pi * notes()))) / 7
    ),
    "chord of squares": lambda: sum(0.25 * square(hz * times(2)) for hz in (220.3, 277.1, 331.7)),
    "square with music": lambda: 0.5 * square(notes()) + 0.2 * music(),
    "saw": lambda: notes() % 1 * 1.6 - 0.8,
    "gated level": lambda: np.where(times(2) % 1 < 0.5, 0.5, 0.0),
    "silence": lambda: np.zeros(RATE_HZ),
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", WHOLE)
def test_leaves_whole_sound_alone(name: str, dtype: type) -> None:
    """Limiters, tape-like curves, short words, what chips make: flat or full, but not cut off, `strong` or not."""
    assert found(WHOLE[name]().astype(dtype), strong=True).settings() is None


@pytest.mark.parametrize("block", [1, 63, 4096])
def test_finds_the_same_in_any_blocks(block: int) -> None:
    """Blocks of one sample, of less than a group, of many: one result."""
    samples = np.stack([np.clip(music(0.4), -0.4, 0.5), rounded(0.4 * np.clip(music(0.4, 2), -0.5, 2), dither=True)])
    assert found(samples).sides
    assert found(samples, block=block) == found(samples)


def test_events_hold_every_clipped_sample() -> None:
    """No cut-off sample lies outside of the sections, and quiet stretches lie outside."""
    sound = music(4.0) * np.where(np.abs(times(4.0) - 2.0) < 1.0, 0.2, 1.0)
    clipped = np.clip(sound, -0.5, 0.5)
    inside = np.zeros(len(sound), bool)
    for section in settings_for(clipped).sections:
        inside[slice(*section.span_samples(RATE_HZ))] = True
    assert inside[np.abs(clipped) >= 0.5].all()
    assert not inside[round(1.2 * RATE_HZ) : round(2.8 * RATE_HZ)].any()


def test_refuses_what_is_no_stream() -> None:
    """Channels, rate and shape are checked where they come in."""
    with pytest.raises(AudioError, match="channels: 0"):
        ClipDetector(RATE_HZ, 0)
    with pytest.raises(AudioError, match="sample_rate_hz"):
        ClipDetector(100, 1)
    with pytest.raises(AudioError, match="shape"):
        ClipDetector(RATE_HZ, 2).update(np.zeros((1, 10)))


# Repairing.


@pytest.mark.parametrize(("level", "least_gain_db"), [(0.4, 8.0), (0.6, 8.0)])
def test_comes_near_what_was_there(level: float, least_gain_db: float) -> None:
    """The SDR rises by at least so much; known samples are exact, and none comes nearer to zero."""
    sound = music()
    clipped = np.clip(sound, -level, level)
    made = declipped(clipped, settings_for(clipped))[0]
    reliable = np.abs(clipped) < level
    assert np.array_equal(made[reliable], clipped[reliable])
    assert (np.sign(clipped) * made >= np.abs(clipped))[~reliable].all()
    assert sdr_db(sound, made) >= sdr_db(sound, clipped) + least_gain_db


def test_a_knee_is_unbent() -> None:
    """What a knee has pushed together is better taken as pushed than as known."""
    sound = music(8.0)
    clipped = softly_clipped(sound, 0.35, 0.2)
    settings = msgspec.structs.replace(settings_for(clipped), steps=60)
    plain = msgspec.structs.replace(settings, knee_db=0.0)
    ours, without = (sdr_db(sound, declipped(clipped, each)[0]) for each in (settings, plain))
    assert ours > without + 1.0
    assert ours > sdr_db(sound, clipped) + 3.0


@pytest.mark.parametrize("block", [1000, 30_000])
def test_long_sections_are_repaired_in_parts_alike_in_any_blocks(block: int) -> None:
    """Eight seconds are more than one part; blocks make no difference, and the seam leaves no step."""
    sound = music(8.0)
    clipped = np.clip(sound, -0.5, 0.5)
    settings = msgspec.structs.replace(settings_for(clipped), steps=20)
    whole = declipped(clipped, settings, len(clipped))
    assert np.array_equal(declipped(clipped, settings, block), whole)
    seam = slice(6 * RATE_HZ - 2000, 6 * RATE_HZ + 2000)
    assert sdr_db(sound[seam], whole[0, seam]) > sdr_db(sound[seam], clipped[seam])


def test_holds_back_no_more_than_a_part_and_its_surroundings() -> None:
    """However long the clipped stretch, the stream is never more than a part and two windows behind."""
    processor = Declip(
        levels=(ClipLevel(level_dbfs=-6.0),), sections=(Event(start_s=0.0, length_s=60.0),), steps=1
    ).processor(RATE_HZ, 1)
    fed = given = 0
    for _ in range(20):
        fed += RATE_HZ
        given += processor.process(0.3 * np.ones((1, RATE_HZ), np.float32)).shape[1]
        assert fed - given <= 6 * RATE_HZ + 2 * 8192 + RATE_HZ


def test_headroom_is_made_after_the_repair() -> None:
    """The gain comes last, on all samples alike; how much is needed is measured."""
    clipped = np.clip(music(0.5), -0.4, 0.4)
    settings = msgspec.structs.replace(settings_for(clipped), steps=20)
    plain = declipped(clipped, settings)
    lower = declipped(clipped, msgspec.structs.replace(settings, headroom_db=6.0))
    np.testing.assert_allclose(lower, plain * 10 ** (-6 / 20), rtol=1e-12)
    processor = settings.processor(RATE_HZ, 1)
    processor.process(clipped[None])
    processor.finish()
    said = processor.measured()["declip"]
    assert said["peak_dbfs"] == pytest.approx(20 * np.log10(np.abs(plain).max()))
    assert said["samples"] == (np.abs(clipped) >= 0.4).sum()


def test_acts_only_where_it_is_told_to() -> None:
    """Outside the sections, and in other channels, everything stays."""
    clipped = np.clip(np.stack([music(1.0), music(1.0, 2)]), -0.4, 0.4)
    levels = tuple(ClipLevel(level_dbfs=20 * np.log10(0.4), channel=c) for c in (0, 1))
    made = declipped(clipped, Declip(levels=levels, sections=(Event(start_s=0.5, length_s=0.2),), steps=20))
    changed = made != clipped
    assert changed[0].any()
    assert not changed[1].any()
    assert not changed[0, : RATE_HZ // 2].any()
    assert not changed[0, round(0.7 * RATE_HZ) :].any()
    assert (clipped[changed] == 0.4).all()


def test_leaves_what_is_nearly_all_cut_off() -> None:
    """Where there is nothing to go by, nothing is invented."""
    clipped = np.clip(20 * music(0.5), -0.4, 0.4)
    levels = tuple(ClipLevel(level_dbfs=20 * np.log10(0.4), polarity=p) for p in ("high", "low"))
    settings = Declip(levels=levels, sections=(Event(start_s=0.0, length_s=0.5),), steps=5)
    assert np.array_equal(declipped(clipped, settings)[0], clipped)


def test_settings_travel_as_json() -> None:
    """What was found can be written down and rendered again."""
    settings = settings_for(np.clip(music(0.5), -0.4, 0.4))
    assert settings_from(msgspec.json.decode(msgspec.json.encode(settings))) == settings


def test_joins_what_is_near() -> None:
    """Spans in any order, overlapping or near, become one; those farther apart stay two."""
    assert joined([(30, 40), (0, 10), (5, 8), (12, 20)], 2) == [(0, 20), (30, 40)]


# Sparsity.


def test_the_frame_is_tight() -> None:
    """Synthesis undoes analysis between the ends, and the energy is the same."""
    frame = Frame(3000, 1024)
    signal = np.zeros(frame.total, np.float32)
    signal[frame.lead : frame.lead + 3000] = music(1.0)[:3000]
    np.testing.assert_allclose(frame.signal(frame.spectra(signal)), signal, atol=1e-6)


def shrunk(point: np.ndarray, estimate: np.ndarray, threshold: float, momentum: float) -> tuple[np.ndarray, np.ndarray]:
    """The plain twin of `social_step`, in double precision: the new point and the new estimate."""
    energy = np.pad(np.abs(point.astype(np.complex128)) ** 2, ((3, 3), (1, 1)))
    frames, bins = point.shape
    around = sum(energy[t : t + frames, k : k + bins] for t in range(7) for k in range(3))
    kept = point * np.maximum(0.0, 1.0 - threshold / (around + 1e-30))
    return kept + momentum * (kept - estimate), kept


@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (9, 129)])
def test_shrinks_like_its_twin(shape: tuple[int, int]) -> None:
    """Edges in time and frequency included."""
    rng = np.random.default_rng(5)
    point, estimate = ((rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64) for _ in range(2))
    expected = shrunk(point, estimate, 20.0, 0.7)
    social_step(point.view(np.float32), estimate.view(np.float32), 20.0, 0.7, 3)
    np.testing.assert_allclose(point, expected[0], atol=1e-5)
    np.testing.assert_allclose(estimate, expected[1], atol=1e-5)


def test_fills_a_gap_within_its_bounds() -> None:
    """Free samples of a steady tone are found again; bounds hold."""
    tone = np.sin(2 * np.pi * 441 * times(0.6)).astype(np.float32)
    low, high = tone.copy(), tone.copy()
    low[12_000:12_200], high[12_000:12_200] = -2.0, 2.0
    made = sparsest(low, high, window_samples=8192, steps=100)
    assert ((made >= low) & (made <= high)).all()
    assert sdr_db(tone[12_000:12_200], made[12_000:12_200]) > 20.0
