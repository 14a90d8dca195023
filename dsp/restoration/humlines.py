"""Lines of hum measured against a moving fundamental: their amplitudes, and the track that lets them stand still.

A line's complex amplitude is measured over as long as it holds still, frames with little music near it counting most.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dsp.restoration.dehum import Complexes, LinePoint, Reals
from dsp.units import db_from_gain

BASE = 40
"""Baseband samples in a hop; other lines of the comb fall on the nulls of their mean, or far from the line."""
_RING = np.array([-6.0, -5.0, -4.0, -3.0, 3.0, 4.0, 5.0, 6.0])
"""Half-Hz bins beside a line that tell what else is there."""
_BEND_HZ = 0.008
"""What a second difference of the track is expected to be."""


def lines_of(base: Complexes, frames: int) -> Complexes:
    """Complex amplitude of each line in Hann frames of two hops, (orders, channels, frames)."""
    return _beside(base, frames, np.zeros(1))[..., 0]


def noise_of(base: Complexes, frames: int) -> Reals:
    """Noise power in each frame's amplitude of each line, from what lies beside it."""
    ring = np.abs(_beside(base, frames, _RING)) ** 2
    # The median of exponential noise is ln 2 of its mean; a partial of the music beside the line does not move it.
    return np.asarray(np.median(ring, axis=-1) / np.log(2.0) + 1e-16)


def _beside(base: Complexes, frames: int, bins: Reals) -> Complexes:
    """Complex amplitudes so many half-Hz bins beside each line, (orders, channels, frames, bins)."""
    size = 2 * BASE
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(size) + 0.5) / size)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(size) + 0.5, bins) / size)
    weighed = 2.0 * turns * (hann / hann.sum())[:, None]
    # A frame is two hops, and each hop is the end of one frame and the beginning of the next.
    hops = base[..., : (frames + 1) * BASE].reshape(*base.shape[:2], frames + 1, BASE)
    return np.asarray((hops @ weighed[:BASE])[..., :-1, :] + (hops @ weighed[BASE:])[..., 1:, :])


def correction(
    lines: Complexes, noise: Reals, orders: NDArray[np.int64], track: Reals, reach_hz: float, hop_s: float
) -> Reals:
    """What to add to the track, (frames,), so that the phases of all lines stand still from frame to frame."""
    frames = lines.shape[2]
    if frames < 3:
        return np.zeros(frames)
    product = lines[..., 1:] * np.conj(lines[..., :-1])
    spread = noise[..., 1:] + noise[..., :-1]
    # As far as it is believed: SNR for weak lines, no more than 20 dB for any.
    believed = (product / (0.01 * np.abs(product) + spread)).sum(axis=1)
    grid = np.linspace(-reach_hz, reach_hz, 81)
    turns = np.exp(-2j * np.pi * np.outer(orders, grid * hop_s))
    fit = (believed.T @ turns).real
    wide = fit.copy()  # neighbours help each other to the right lobe
    wide[1:] += 0.5 * fit[:-1]
    wide[:-1] += 0.5 * fit[1:]
    moved = grid[wide.argmax(axis=1)]
    weight = (2.0 * np.pi * hop_s) ** 2 * (orders**2 @ np.abs(believed)) + 1e-6
    # Least squares: the mean of two knots is the segment's, the track's second differences are small.
    means = 0.5 * (np.eye(frames - 1, frames) + np.eye(frames - 1, frames, 1))
    bends = np.diff(np.eye(frames), n=2, axis=0)
    smooth = bends.T @ bends / _BEND_HZ**2
    rows = means.T @ (weight[:, None] * means) + smooth
    return np.linalg.solve(rows, means.T @ (weight * moved) - smooth @ track)


def locked(
    lines: Complexes,
    noise: Reals,
    orders: NDArray[np.int64],
    track: Reals,
    earlier: Reals,
    known: tuple[Complexes, Reals],
    hop_s: float,
    *,
    slips: bool,
) -> Reals:
    """What to add to the track, (frames,), so that every line keeps the phase it has on the whole.

    earlier: the last two knots before these, or none; known: sums of lines over noise and of one over noise before.
    slips: look for frames that are off by more than a line can tell by itself.
    """
    frames = len(track)
    weight = 1.0 / noise
    for _ in range(3):
        sums, sure = known[0] + (weight * lines).sum(axis=2), known[1] + weight.sum(axis=2)
        whole = sums / sure
        weight = 1.0 / (noise + np.abs(lines - whole[..., None]) ** 2 / 4.0)
    clear = np.abs(whole) ** 2 * sure > 20.0
    # Cycles of the fundamental by which each line is ahead, and how well it knows: k turns tell k times as finely.
    against = lines * np.conj(whole[..., None])
    slip = np.zeros(frames)
    if slips:
        agreement = np.where(clear[..., None], against / (noise + 0.05 * np.abs(whole[..., None]) ** 2), 0.0)
        slip = _slipped(agreement, orders)
    turned = np.exp(-2j * np.pi * np.outer(orders, slip))[:, None]
    ahead = slip + (np.angle(against * turned).T / (2.0 * np.pi * orders)).T
    trust = clear[..., None] * weight * np.abs(whole[..., None]) ** 2
    trust = (trust.T * (2.0 * np.pi * orders) ** 2).T
    total = trust.sum(axis=(0, 1)) + 1e-9
    wanted = (trust * ahead).sum(axis=(0, 1)) / total
    # Phase at each knot from the track: trapezoids, from the knot before the first where there is one.
    reach = hop_s * (np.tril(np.ones((frames, frames))) - 0.5 * np.eye(frames))
    reach[:, 0] = 0.5 * hop_s if len(earlier) else 0.0
    reach[1:, 0] += 0.0 if len(earlier) else 0.5 * hop_s
    if len(earlier):
        reach[1:, 0] = hop_s
    else:  # where the phase begins is free
        mean = total / total.sum()
        reach = reach - mean @ reach
        wanted = wanted - mean @ wanted
    bends = np.diff(np.eye(len(earlier) + frames), n=2, axis=0)
    smooth = bends.T @ bends / _BEND_HZ**2
    rows = reach.T @ (total[:, None] * reach) + smooth[len(earlier) :, len(earlier) :]
    pull = (smooth @ np.concatenate([earlier, track]))[len(earlier) :]
    return np.linalg.solve(rows, reach.T @ (total * wanted) - pull)


def _slipped(agreement: Complexes, orders: NDArray[np.int64]) -> Reals:
    """Cycles of the fundamental that frames are off for sure, (frames,): where all lines together agree better.

    Each line by itself is blind to whole turns of its own, and the track would settle where the strongest one fits.
    """
    grid = np.arange(-48, 48) / 96.0
    fit = (agreement.sum(axis=1).T @ np.exp(-2j * np.pi * np.outer(orders, grid))).real
    padded = np.pad(fit, ((2, 2), (0, 0)))
    fit = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0) @ np.array([0.5, 0.8, 1.0, 0.8, 0.5])
    best = fit.argmax(axis=1)
    sure = fit[np.arange(len(fit)), best] > fit[:, 48] + 6.0
    return np.where(sure, grid[best], 0.0)


class Passage:
    """Lines over one stretch without a gap, each fitted by as few moving amplitudes as it takes."""

    SPACINGS_S = (1e9, 60.0, 20.0, 6.0)

    def __init__(self, times: Reals, lines: Complexes, noise: Reals) -> None:
        self.times, self.lines, self.noise = times, lines, noise
        # Which lines have a say in how many knots there are: those that stand out when taken for constant.
        self.clear = np.ones(lines.shape[:2], dtype=bool)
        _, _, amplitude, variance, _ = self._fit(times[:1])
        self.clear = np.abs(amplitude[..., 0]) ** 2 > 8.0 * variance[..., 0]
        fits: list[tuple[float, Reals, Complexes, Reals, Complexes]] = []
        for spacing_s in self.SPACINGS_S:
            count = 1 + int((times[-1] - times[0]) / spacing_s)
            knots = np.linspace(times[0], times[-1], count) if count > 1 else times[:1]
            if fits and count == len(fits[-1][1]):
                continue
            fits.append(self._fit(knots))
        self.cost, self.knots, self.amplitude, self.variance, self.model = min(fits, key=lambda fit: fit[0])

    def _fit(self, knots: Reals) -> tuple[float, Reals, Complexes, Reals, Complexes]:
        """Weighted least squares of straight pieces between knots, outliers counting less."""
        place = np.interp(self.times, knots, np.arange(len(knots)))
        low = np.minimum(place.astype(int), max(len(knots) - 2, 0))
        share = place - low
        high = np.minimum(low + 1, len(knots) - 1)
        weight = 1.0 / self.noise
        for _ in range(4):
            amplitude, variance = _tridiagonal(weight, self.lines, low, share, len(knots))
            model = amplitude[..., low] * (1.0 - share) + amplitude[..., high] * share
            miss = np.abs(self.lines - model) ** 2
            weight = 1.0 / (self.noise + miss / 4.0)
        # Half-overlapping Hann frames: two of them know what 4/3 apart would. Student's t with heavy tails.
        surprise = (4.0 / 3.0) * 2.0 * np.log1p(miss / (4.0 * self.noise))[self.clear].sum()
        freedom = 2.0 * len(knots) * np.count_nonzero(self.clear)
        return surprise + 2.0 * freedom * np.log(len(self.times)), knots, amplitude, variance, model

    def power(self) -> Reals:
        """Mean power of each line, (orders, channels), without what its own uncertainty adds."""
        own = np.mean(np.abs(self.amplitude) ** 2 - self.variance, axis=2)
        return 0.5 * np.maximum(own, 0.0)

    def significant(self, *, strong: bool) -> NDArray[np.bool_]:
        """Which lines stand out of what is around them for sure, (orders, channels)."""
        ratio = np.mean(np.abs(self.amplitude) ** 2, axis=2) / np.mean(self.variance, axis=2)
        return (ratio > (8.0 if strong else 20.0)) & (self.power() > 1e-11)

    def steadiness(self, kept: NDArray[np.bool_]) -> float:
        """Share of frames in which the kept lines stand where the model says, over lines by their power."""
        if not kept.any():
            return 0.0
        miss = np.abs(self.lines - self.model) ** 2
        size = np.abs(self.model) ** 2
        visible = size > 4.0 * self.noise
        good = ((miss < 0.25 * size + 4.0 * self.noise) & visible).sum(axis=2)
        weight = np.sqrt(self.power()) * kept
        return float((weight * good / np.maximum(visible.sum(axis=2), 1)).sum() / max(weight.sum(), 1e-20))

    def spread_db(self, kept: NDArray[np.bool_]) -> float:
        """How far the level in the median clear frame is from the model's, over lines by their power."""
        clear = (np.abs(self.model) ** 2 > 25.0 * self.noise) & kept[..., None]
        if not clear.any():
            return 0.0
        off = np.abs(db_from_gain(np.abs(self.lines) / np.maximum(np.abs(self.model), 1e-12)))
        lines = [(off[line][clear[line]], self.power()[line]) for line in np.ndindex(kept.shape) if clear[line].any()]
        return float(np.average([np.median(o) for o, _ in lines], weights=[np.sqrt(p) for _, p in lines]))

    def points(self, order: int, channel: int, *, fades_s: float | None) -> list[LinePoint]:
        """The amplitude of one line as points, shrunk by what it may be wrong; fading at both ends where told."""
        value, wrong = self.amplitude[order, channel], self.variance[order, channel]
        value = value * np.maximum(0.0, 1.0 - wrong / np.maximum(np.abs(value) ** 2, 1e-30))
        times = self.knots
        if fades_s is not None:
            times = np.array([self.times[0], *times[1:-1], self.times[-1]])
            value = value if len(value) > 1 else np.repeat(value, 2)
            times = np.concatenate([[times[0] - 0.4 * fades_s], times, [times[-1] + 0.4 * fades_s]])
            value = np.concatenate([[0.0], value, [0.0]])
            if times[0] < 0.0:  # at the file's start there is nothing to fade in from
                times, value = times[1:], value[1:]
        value = np.clip(value.real, -1.0, 1.0) + 1j * np.clip(value.imag, -1.0, 1.0)
        return [
            LinePoint(time_s=float(t), cosine=float(v.real), sine=float(v.imag))
            for t, v in zip(times, value, strict=True)
        ]


def _tridiagonal(
    weight: Reals, lines: Complexes, low: NDArray[np.int64], share: Reals, count: int
) -> tuple[Complexes, Reals]:
    """Amplitudes at the knots and their variances, (orders, channels, knots), for each line on its own."""
    shape = (*lines.shape[:2], count)
    main, side, right = np.zeros(shape), np.zeros(shape), np.zeros(shape, dtype=np.complex128)
    # Knots lie several frames apart, so that between any two of them there are some.
    pieces = max(count - 1, 1)
    starts = np.searchsorted(low, np.arange(pieces))
    main[..., :pieces] = np.add.reduceat(weight * (1.0 - share) ** 2, starts, axis=-1)
    right[..., :pieces] = np.add.reduceat(weight * (1.0 - share) * lines, starts, axis=-1)
    if count > 1:
        main[..., 1:] += np.add.reduceat(weight * share**2, starts, axis=-1)
        side[..., :-1] = np.add.reduceat(weight * share * (1.0 - share), starts, axis=-1)
        right[..., 1:] += np.add.reduceat(weight * share * lines, starts, axis=-1)
    # A knot that nothing speaks for leans on the next.
    lean = 1e-6 * main.mean(axis=2)
    main[..., 1:] += lean[..., None]
    main[..., :-1] += lean[..., None]
    side[..., :-1] -= lean[..., None]
    variance = 1.5 / np.maximum(main, 1e-30)  # the frames overlap
    for n in range(1, count):
        ratio = side[..., n - 1] / main[..., n - 1]
        main[..., n] -= ratio * side[..., n - 1]
        right[..., n] -= ratio * right[..., n - 1]
    found = np.empty(shape, dtype=np.complex128)
    found[..., -1] = right[..., -1] / main[..., -1]
    for n in range(count - 2, -1, -1):
        found[..., n] = (right[..., n] - side[..., n] * found[..., n + 1]) / main[..., n]
    return found, variance
