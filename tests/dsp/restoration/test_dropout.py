"""Gaps are found where the sound is cut, and filled with what was likely there."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain, blocks_of
from dsp.errors import AudioError
from dsp.restoration.dropout import Dropout, DropoutDetector, DropoutReport
from dsp.restoration.events import event

RATE_HZ = 44_100
Signal = NDArray[np.float64]


def music(seconds: float = 5.0) -> Signal:
    """Two channels of chords with vibrato over a coloured noise, float64 (2, samples)."""
    rng = np.random.default_rng(4)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    notes = (147.0, 220.0, 370.0, 587.0, 1174.0)
    tones = sum(np.sin(2 * np.pi * f * t + 0.3 * np.sin(11.0 * t + n)) / (n + 1) for n, f in enumerate(notes))
    noise = scipy.signal.lfilter([1.0], [1.0, -1.6, 0.8], rng.standard_normal((2, len(t))))
    return np.stack([0.2 * tones, 0.15 * tones]) + 0.002 * noise


def cut(samples: Signal, kind: str, spans: list[tuple[int, int]]) -> Signal:
    damaged = samples.copy()
    for first, stop in spans:
        size = stop - first
        put = {"silence": 0.0, "held": damaged[:, first - 1 : first], "repeated": damaged[:, first - size : first]}
        damaged[:, first:stop] = put[kind]
    return damaged


def found(samples: Signal, *, strong: bool = False, block: int = 65_536) -> DropoutReport:
    detector = DropoutDetector(RATE_HZ, samples.shape[0], strong=strong)
    for part in blocks_of(samples, block):
        detector.update(part)
    return detector.result()


def places(report: DropoutReport) -> set[tuple[str, int, int, int]]:
    return {(gap.kind, *gap.event.span_samples(RATE_HZ), gap.event.channel) for gap in report.gaps}


SPANS = [(50_000, 50_512), (90_123, 90_635), (167_001, 167_513)]


@pytest.mark.parametrize("kind", ["silence", "held", "repeated"])
def test_finds_each_kind(kind: str) -> None:
    """Silence, a held sample and a buffer played twice are found to within two samples in both channels."""
    got = sorted(places(found(cut(music(), kind, SPANS))), key=lambda place: (place[1], place[3]))
    assert [(place[0], place[3]) for place in got] == [(kind, 0), (kind, 1)] * 3
    for place, (first, stop) in zip(got, np.repeat(SPANS, 2, axis=0), strict=True):
        assert abs(place[1] - first) <= 2
        assert abs(place[2] - stop) <= 2


def test_long_gaps_are_told_and_left() -> None:
    """A gap of more than 80 ms is reported, and no repair is made up for it."""
    report = found(cut(music(), "silence", [(60_000, 65_000)]))
    assert report.gaps == ()
    assert report.settings() is None
    assert {gap.event.span_samples(RATE_HZ) for gap in report.long} == {(60_000, 65_000)}


def gated() -> Signal:
    """Tones gated by a sequencer, with digital silence between them."""
    out = music()
    return out * ((np.arange(out.shape[1]) % 5512) > 1200)


def pulses() -> Signal:
    """A pulse wave between nothing and a level: long runs of zeros at every period."""
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    return np.stack([0.4 * (np.sin(2 * np.pi * 110.0 * t) > 0.5), 0.3 * (np.sin(2 * np.pi * 82.4 * t) > 0.7)])


def clipped() -> Signal:
    """Bass driven flat at full scale for milliseconds."""
    t = np.arange(3 * RATE_HZ) / RATE_HZ
    return np.clip(5.0 * np.sin(2 * np.pi * 41.0 * t) * np.ones((2, 1)), -1.0, 1.0)


def notes_and_rests() -> Signal:
    """Different notes, cut hard, with short rests of digital silence that follow no beat."""
    rng = np.random.default_rng(2)
    parts = []
    for _ in range(40):
        t = np.arange(int(rng.uniform(0.1, 0.4) * RATE_HZ)) / RATE_HZ
        pitch = 220.0 * 2 ** (rng.integers(24) / 12)
        parts += [0.3 * scipy.signal.sawtooth(2 * np.pi * pitch * t), np.zeros(int(rng.uniform(0.01, 0.05) * RATE_HZ))]
    return np.stack([np.concatenate(parts)] * 2)


@pytest.mark.parametrize("make", [music, gated, pulses, clipped, notes_and_rests, lambda: np.zeros((2, 99_999))])
def test_leaves_music_alone(make: Callable[[], Signal]) -> None:
    """Rests, gates, pulse waves, clipping and silence are not gaps."""
    report = found(make())
    assert report.gaps == report.long == ()


def test_does_not_depend_on_blocks_or_precision() -> None:
    """Blocks of any size, and float32, give the same gaps."""
    damaged = cut(music(), "silence", SPANS).astype(np.float32).astype(np.float64)
    expected = places(found(damaged))
    assert len(expected) == 6
    assert places(found(damaged, block=777)) == expected
    assert places(found(damaged.astype(np.float32), block=100_000)) == expected


@pytest.mark.parametrize(("length_ms", "least_db"), [(2.0, 22.0), (10.0, 15.0), (25.0, 10.0)])
def test_fills_with_what_was_there(length_ms: float, least_db: float) -> None:
    """A gap in foreseeable music comes back, and no other sample changes."""
    whole, size = music(), round(length_ms * 1e-3 * RATE_HZ)
    damaged = cut(whole, "silence", [(100_000, 100_000 + size)])
    settings = Dropout(gaps=tuple(event(100_000, 100_000 + size, c, RATE_HZ) for c in (0, 1)))
    done = Chain((settings,))(Audio(damaged, RATE_HZ)).samples
    span = np.s_[:, 100_000 : 100_000 + size]
    assert 10 * np.log10((whole[span] ** 2).sum() / ((done - whole)[span] ** 2).sum()) >= least_db
    done = done.copy()
    done[span] = damaged[span]
    assert np.array_equal(done, damaged)


def test_energy_is_kept_in_long_gaps() -> None:
    """Beyond 30 ms noise does not fade to silence in the middle of the gap."""
    rng = np.random.default_rng(6)
    whole = scipy.signal.lfilter([0.05], [1.0, -1.6, 0.8], rng.standard_normal((1, 2 * RATE_HZ)))
    damaged = whole.copy()
    damaged[:, 40_000:43_000] = 0.0
    done = Chain((Dropout(gaps=(event(40_000, 43_000, 0, RATE_HZ),)),))(Audio(damaged, RATE_HZ)).samples
    middle_db = 10 * np.log10(np.mean(done[:, 41_000:42_000] ** 2) / np.mean(whole**2))
    assert middle_db == pytest.approx(0.0, abs=2.0)


def test_tells_how_good_it_expects_to_be() -> None:
    """A foreseeable tone is expected to be filled better than noise."""
    tone, noise = music()[:1], 0.1 * np.random.default_rng(1).standard_normal((1, 3 * RATE_HZ))
    told = []
    for samples in (tone, noise):
        processor = Dropout(gaps=(event(50_000, 50_400, 0, RATE_HZ),)).processor(RATE_HZ, 1)
        processor.process(samples)
        processor.finish()
        (gap,) = processor.measured()["dropout"]["gaps"]
        told.append(gap["expected_snr_db"])
    assert told[0] > 15.0
    assert told[1] < 3.0


def test_refuses_other_shapes() -> None:
    """A block of another channel count is refused."""
    with pytest.raises(AudioError, match="shape"):
        DropoutDetector(RATE_HZ, 2).update(np.zeros((1, 10)))
