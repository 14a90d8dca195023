"""Clicks are found where they are and nowhere else; what is written in their place is what was there."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.linalg
import scipy.signal
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain, blocks_of
from dsp.errors import AudioError
from dsp.kernels import burg, fill_gap, short_burg
from dsp.restoration.declick import ClickDetector, ClickReport, Declick, find_clicks
from dsp.restoration.events import event

RATE_HZ = 44_100
Signal = NDArray[np.float64]


def music(seconds: float = 6.0, seed: int = 3) -> Signal:
    """Two channels of decaying chords over a coloured noise, float64 (2, samples)."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tones = sum(np.sin(2 * np.pi * f * t + p) / n for n, (f, p) in enumerate(zip(
        (110.0, 220.7, 331.0, 523.3, 881.0, 1760.9), rng.uniform(0, 6.28, 6), strict=True), 1))  # fmt: skip
    noise = scipy.signal.lfilter([1.0], [1.0, -1.6, 0.8], rng.standard_normal((2, len(t))))
    envelope = np.exp(-((t % 1.5) / 0.9)) * np.minimum(1.0, (t % 1.5) / 0.01)
    return np.stack([0.2 * tones, 0.16 * tones]) * envelope + 0.001 * noise


def put_clicks(samples: Signal, count: int, seed: int = 5) -> tuple[Signal, list[tuple[int, int, int]]]:
    """Decaying bursts of 0.1 to 2 ms, well above the noise, at random places of either channel."""
    rng = np.random.default_rng(seed)
    damaged, spans = samples.copy(), []
    for start in np.linspace(6000, samples.shape[1] - 6000, count) + rng.integers(-900, 900, count):
        first, size, channel = int(start), int(rng.integers(5, 90)), int(rng.integers(2))
        shape = np.exp(-4.0 * np.arange(size) / size) * np.cos(np.arange(size) * rng.uniform(0.2, 2.0))
        damaged[channel, first : first + size] += rng.choice([-1, 1]) * rng.uniform(0.15, 0.6) * shape
        spans.append((first, first + size, channel))
    return damaged, spans


def found(samples: Signal, *, strong: bool = False, block: int = 65_536) -> ClickReport:
    return find_clicks(lambda: blocks_of(samples, block), RATE_HZ, samples.shape[0], strong=strong)


def spans(report: ClickReport) -> list[tuple[int, int, int]]:
    return [(*e.span_samples(RATE_HZ), e.channel) for e in report.clicks]


# The plain twins.


def plain_burg(stretches: list[Signal], order: int) -> tuple[Signal, float]:
    forward, backward = [s.copy() for s in stretches], [s.copy() for s in stretches]
    model = np.ones(1)
    error = sum(s @ s for s in stretches) / sum(map(len, stretches))
    for _ in range(order):
        forward, backward = [f[1:] for f in forward], [b[:-1] for b in backward]
        cross = sum(f @ b for f, b in zip(forward, backward, strict=True))
        k = -2.0 * cross / sum(f @ f + b @ b for f, b in zip(forward, backward, strict=True))
        model = np.append(model, 0.0) + k * np.append(model, 0.0)[::-1]
        error *= 1.0 - k * k
        pairs = [(f + k * b, b + k * f) for f, b in zip(forward, backward, strict=True)]
        forward, backward = [f for f, _ in pairs], [b for _, b in pairs]
    return model, float(error)


def plain_fill(samples: Signal, first: int, stop: int, model: Signal) -> tuple[Signal, float]:
    """Least squares over the rows of the error filter that the gap touches."""
    order = len(model) - 1
    rows = scipy.linalg.toeplitz(np.r_[model[::-1][0], np.zeros(stop - first + order - 1)], np.r_[
        model[::-1], np.zeros(stop - first + order - 1)])  # fmt: skip
    near = samples[first - order : stop + order]
    unknown = rows[:, order : order + stop - first]
    rest = near.copy()
    rest[order : order + stop - first] = 0.0
    inverse = np.linalg.inv(unknown.T @ unknown)
    return -inverse @ unknown.T @ (rows @ rest), float(np.trace(inverse) / (stop - first))


def test_burg_is_its_plain_twin() -> None:
    """The compiled fit over several stretches equals the plain one."""
    stretches = [music()[0, :900], music()[1, 2000:2500]]
    model, error = burg(stretches, 24)
    plain, plain_error = plain_burg(stretches, 24)
    assert np.allclose(model, plain, rtol=1e-7, atol=1e-9)
    assert error == pytest.approx(plain_error, rel=1e-7)


@pytest.mark.parametrize("count", [33, 1023, 8192])
@pytest.mark.parametrize(("noise", "apart"), [(1e-1, 1e-10), (1e-3, 1e-8), (1e-5, 1e-7)])
def test_the_short_burg_is_its_plain_twin(count: int, noise: float, apart: float) -> None:
    """What the model fitted from sums of products leaves of a sound is what the plain one leaves, to 140 dB below the
    sound where that is all but 90 dB foreseen, and nearer elsewhere."""
    rng = np.random.default_rng(7)
    n = np.arange(count)
    samples = 0.5 * np.sin(0.03 * n) + 0.2 * np.sin(0.11 * n + 1.0) + noise * rng.standard_normal(count)
    model = np.empty(33)
    assert short_burg(samples, model)
    plain, _ = plain_burg([samples], 32)
    made, expected = (np.convolve(samples, m)[32:count] for m in (model, plain))
    assert np.abs(made - expected).max() <= apart * np.abs(samples).max()


def test_the_short_burg_has_no_model_of_silence() -> None:
    """Nothing foresees nothing."""
    assert not short_burg(np.zeros(1024), np.empty(33))


def test_fill_is_least_squares() -> None:
    """The compiled interpolation solves the least squares problem, and tells the error to expect of it."""
    samples = music()[0, :2000].copy()
    model, _ = burg([samples], 30)
    plain, plain_error = plain_fill(samples, 900, 980, model)
    expected = fill_gap(samples, 900, 980, model)
    assert np.allclose(samples[900:980], plain, atol=1e-8)
    assert expected == pytest.approx(plain_error, rel=1e-6)


# Music that clicks by itself.


def drum_loop() -> Signal:
    """Kick, snare and hat in sixteenths, each hit a little different."""
    rng = np.random.default_rng(8)
    out = 1e-4 * rng.standard_normal((2, 8 * RATE_HZ))
    for n in range(60):
        start = int(n * 0.125 * RATE_HZ) + int(rng.integers(60)) + 100
        t = np.arange(8000) / RATE_HZ
        hit = rng.standard_normal(8000) * np.exp(-t / (0.012 if n % 2 else 0.05))
        if n % 4 == 0:
            hit = np.sin(2 * np.pi * 55.0 * t + 6.0 * np.exp(-t / 0.01)) * np.exp(-t / 0.1)
        out[:, start : start + 8000] += 0.4 * rng.uniform(0.5, 1.0) * hit
    return out


def castanets() -> Signal:
    """Bursts of a high resonance that die within some ten milliseconds, at a player's times."""
    rng = np.random.default_rng(9)
    out = 3e-4 * rng.standard_normal((2, 8 * RATE_HZ))
    start = 3000
    while start < out.shape[1] - 4000:
        t = np.arange(3000) / RATE_HZ
        hit = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6)) for f in (1900.0, 2700.0, 4100.0)) * np.exp(-t / 0.006)
        out[:, start : start + 3000] += rng.uniform(0.1, 0.3) * hit
        start += int(rng.uniform(0.07, 0.3) * RATE_HZ)
    return out


def square_waves() -> Signal:
    """A chiptune: two naive square waves in semitones, whose every edge is a step."""
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    step = (t / 0.15).astype(int)
    lead, bass = 440.0 * 2 ** ((step * 7 % 12) / 12), 55.0 * 2 ** ((step // 4 * 5 % 12) / 12)
    phases = np.cumsum(lead) / RATE_HZ, np.cumsum(bass) / RATE_HZ
    return np.stack([0.2 * np.sign(np.sin(2 * np.pi * phases[0])), 0.3 * np.sign(np.sin(2 * np.pi * phases[1]))])


def distorted_guitar() -> Signal:
    """A power chord driven into a hard limit."""
    rng = np.random.default_rng(10)
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    chord = sum(scipy.signal.sawtooth(2 * np.pi * f * t) for f in (82.4, 123.5, 164.8)) * np.exp(-((t % 2.0) / 2.0))
    return np.clip(8.0 * chord + 0.05 * rng.standard_normal((2, len(t))), -1.0, 1.0) * 0.6


def eight_bit_clicks() -> Signal:
    """A metronome of single pulses over tones quantised to eight bits."""
    t = np.arange(8 * RATE_HZ) / RATE_HZ
    out = np.round(60 * np.sin(2 * np.pi * 330.0 * t) * np.exp(-((t % 0.5) / 0.2))) / 128
    out[4000 :: RATE_HZ // 4] += 0.5
    return np.stack([out, 0.7 * out])


@pytest.mark.parametrize("make", [music, drum_loop, castanets, square_waves, distorted_guitar, eight_bit_clicks])
def test_leaves_music_alone(make: Callable[[], Signal]) -> None:
    """Sounds that are made of edges and bursts are not taken for damage."""
    report = found(make())
    assert report.clicks == ()
    assert report.settings() is None


@pytest.mark.parametrize("count", [12, 60, 240])
def test_finds_clicks(count: int) -> None:
    """Nearly all clicks well above the sound are found, few and many, and hardly anything else."""
    damaged, put = put_clicks(music(), count)
    got = spans(found(damaged))
    hits = sum(any(c == ch and f < stop and first < s for f, s, c in got) for first, stop, ch in put)
    false = sum(not any(c == ch and f < stop and first < s for first, stop, ch in put) for f, s, c in got)
    assert 2 * hits / (hits + count + false) >= 0.95


def test_repairs_what_it_finds() -> None:
    """Detection and repair together take away 15 dB of the damage and more, and touch nothing outside their spans."""
    whole = music()
    damaged, _ = put_clicks(whole, 60)
    report = found(damaged)
    settings = report.settings()
    assert settings is not None
    done = Chain((settings,))(Audio(damaged, RATE_HZ)).samples
    before, after = ((damaged - whole) ** 2).sum(), ((done - whole) ** 2).sum()
    assert after < 10**-1.5 * before
    outside = np.ones(damaged.shape, dtype=bool)
    for first, stop, channel in spans(report):
        outside[channel, first:stop] = False
    assert np.array_equal(done[outside], damaged[outside])


def test_a_single_click_is_found() -> None:
    """One clear click in a whole file is enough."""
    damaged = music()
    damaged[1, 100_000:100_020] += 0.7 * np.exp(-np.arange(20) / 5.0)
    (click,) = found(damaged).clicks
    assert click.channel == 1
    assert abs(click.span_samples(RATE_HZ)[0] - 100_000) <= 2


def test_does_not_depend_on_blocks_or_precision() -> None:
    """Blocks of any size, and float32, give the same clicks."""
    damaged, _ = put_clicks(music().astype(np.float32).astype(np.float64), 60)
    damaged = damaged.astype(np.float32).astype(np.float64)
    expected = found(damaged)
    assert len(expected.clicks) > 40
    assert found(damaged, block=1777) == expected
    assert found(damaged.astype(np.float32), block=10_000) == expected


def test_strong_finds_more() -> None:
    """`strong` hears a few faint clicks that auto does not dare to call damage."""
    damaged, _ = put_clicks(music(), 3)
    faint = music() + 0.1 * (damaged - music())
    assert len(found(faint, strong=True).clicks) > len(found(faint).clicks)


def test_swapped_channels_swap_the_clicks() -> None:
    """Each channel is judged alone."""
    damaged, _ = put_clicks(music(), 30)
    swapped = {(f, s, 1 - c) for f, s, c in spans(found(damaged[::-1]))}
    assert swapped == set(spans(found(damaged)))


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 50_000)), np.zeros((1, 0)), np.ones((1, 9)), 0.5 * np.ones((2, 30_000))]
)
def test_nothing_in_nothing(samples: Signal) -> None:
    """Silence, a constant and no samples at all have no clicks."""
    assert found(samples).clicks == ()


def test_expects_what_happens() -> None:
    """The signal-to-noise ratio that the model expects is near the true one, for a sound that is what it assumes."""
    rng = np.random.default_rng(1)
    whole = (
        scipy.signal.lfilter(
            [1.0],
            np.poly(0.995 * np.exp(1j * np.array([0.1, -0.1, 0.3, -0.3]))).real,
            rng.standard_normal((1, 8 * RATE_HZ)),
        )
        * 0.001
    )
    starts = range(6000, whole.shape[1] - 6000, 4000)
    damaged = whole.copy()
    for start in starts:
        damaged[0, start : start + 30] = 0.0
    processor = Declick(clicks=tuple(event(s, s + 30, 0, RATE_HZ) for s in starts)).processor(RATE_HZ, 1)
    done = np.concatenate([processor.process(damaged), processor.finish()], axis=1)
    true_db = np.median(
        [10 * np.log10((whole[0, s : s + 30] ** 2).sum() / ((done - whole)[0, s : s + 30] ** 2).sum()) for s in starts]
    )
    assert processor.measured()["declick"]["expected_snr_db"] == pytest.approx(true_db, abs=3.0)


def test_refuses_other_shapes() -> None:
    """A block of another channel count, and a rate that no sound has, are refused."""
    with pytest.raises(AudioError, match="shape"):
        ClickDetector(RATE_HZ, 2).update(np.zeros((1, 10)))
    with pytest.raises(AudioError, match="sample_rate_hz"):
        ClickDetector(10, 2)


