"""Hum of the mains found: a comb of lines on one slowly moving fundamental.

The fundamental is followed through the file by a best path over spectra, then by the phase of all lines together
(`dsp.restoration.humlines`); what stands still as the mains do, and the music does not, is hum.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.errors import AudioError
from dsp.kernels import Decimator
from dsp.restoration.dehum import Complexes, Dehum, Line, LinePoint, Phase, Reals, TrackPoint
from dsp.restoration.humlines import BASE, Passage, correction, lines_of, locked, noise_of
from dsp.transforms import fft
from dsp.units import db_from_power

MAINS_HZ = (50.0, 60.0)
HIGHEST_HZ = 1200.0
"""Harmonics above this are left: they are weak, and the music is not."""
_REACH = 0.04  # how far the fundamental is followed from the nominal one, as a share of it
_CENTRE = 0.016  # how far its mean may lie from it: the nearest notes are 2 % away
_STEP_HZ = 0.02
_MOST_STEPS = 3  # of the path in a second: 0.06 Hz
_SPREAD_DB = 2.5  # of a line's level in clear frames about the model's: hum stands still, notes do not
_LOCKING = 8  # rounds of the phase lock
_FURTHEST_HZ = 0.1  # that the first of them moves the track of hum: 0.06 at most, where music's go 0.13 and more
_MOST_NATS = 3.0  # what one bin may say: many lines that are always there count, not one that is loud
_CHUNK = 64  # frames a best path is searched over at once
_TOGETHER = 8  # frames whose spectra are held at once
_BINS = 4 * int(HIGHEST_HZ + 60.0)  # of a quarter hertz


@dataclass(frozen=True)
class Hum:
    """What was found: `dehum` removes it, and is None where nothing was.

    fundamental_hz: mean; level_dbfs: RMS of all lines together in the channel that has most; presence: share of
    the file in which they were seen; steadiness: share of frames in which the lines stood where and as the rest says.
    """

    fundamental_hz: float
    level_dbfs: float
    harmonics: tuple[int, ...]
    presence: float
    steadiness: float
    dehum: Dehum | None

    def settings(self) -> Dehum | None:
        """The repair, or None where the file has no hum."""
        return self.dehum


NOTHING = Hum(0.0, -200.0, (), 0.0, 0.0, None)


class HumDetector:
    """Hum in one stream of one or two channels, the same whatever the blocks; `strong` believes weaker signs.

    Memory grows by some 1,300 bytes for each second in which a comb of lines is seen, and not otherwise.
    Raises AudioError on less than one channel, or a rate that no sound has.
    """

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        check_rate(sample_rate_hz)
        if channels < 1:
            raise AudioError(f"channels: {channels} is less than 1")
        self.channels, self.strong = channels, strong
        factor = max(1, round(sample_rate_hz / 2950.0))
        self.rate = sample_rate_hz / factor
        self.hop = BASE * round(self.rate / BASE)
        self._decimator = Decimator(_low_pass(sample_rate_hz, self.rate), factor, channels)
        # Half a frame of silence before the stream, and after it: the first frame is centred on the start.
        self._held: list[Reals] = [np.zeros((channels, self.hop))]
        self._held_samples, self._first_frame = self.hop, -1
        self._kind: np.dtype[np.floating] | None = None
        self._combs = [Comb(mains_hz, self.rate, self.hop, channels) for mains_hz in MAINS_HZ]

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self._kind = self._kind or block.dtype
        block = np.ascontiguousarray(block, dtype=self._kind)
        out = np.empty((self.channels, self._decimator.ready(block.shape[1], self._kind == np.float32)))
        self._decimator.process(block, out)
        self._held.append(out)
        self._held_samples += out.shape[1]
        # Half as much again is held, so that what is left at the end is a chunk worth searching.
        while self._held_samples >= (_CHUNK + _CHUNK // 2 + 1) * self.hop:
            self._take(_CHUNK)

    def _take(self, frames: int) -> None:
        samples = np.concatenate(self._held, axis=1)
        chunk = samples[:, : (frames + 1) * self.hop]
        spectra = _whitened(chunk, self.hop, frames)
        for comb in self._combs:
            comb.take(chunk, spectra, self._first_frame)
        self._held = [samples[:, frames * self.hop :].copy()]
        self._held_samples -= frames * self.hop
        self._first_frame += frames

    def result(self) -> Hum:
        """The hum of all that came; ends the stream."""
        frames = round(self._held_samples / self.hop)
        if frames >= 5:
            silence = (frames + 1) * self.hop - self._held_samples
            self._held.append(np.zeros((self.channels, silence)))
            self._take(frames)
        if self._first_frame < 0:
            return NOTHING
        found = [comb.result(self._first_frame + 1, strong=self.strong) for comb in self._combs]
        return max(found, key=lambda f: (f.dehum is not None, f.level_dbfs if f.dehum else f.presence))


def _low_pass(sample_rate_hz: int, rate_hz: float) -> Reals:
    """Taps (a multiple of 16, centred on the middle one) that pass `HIGHEST_HZ` and stop what would fold onto it."""
    if rate_hz == sample_rate_hz:
        taps = np.zeros(16)
        taps[8] = 1.0
        return taps
    transition = (rate_hz - 2.0 * HIGHEST_HZ) / sample_rate_hz
    half = 8 * int(np.ceil(0.5 * (90.0 - 8.0) / (2.285 * 2.0 * np.pi * transition) / 8.0 + 1.0))
    at = np.arange(1 - half, half)
    sinc = np.sinc(at * rate_hz / sample_rate_hz) * np.kaiser(2 * half - 1, 8.9)
    return np.concatenate([[0.0], sinc / sinc.sum()])


def _whitened(chunk: Reals, hop: int, frames: int) -> NDArray[np.float32]:
    """How far each quarter-hertz bin stands above its neighbours, in nats; (frames, bins), the channels' mean."""
    windows = np.lib.stride_tricks.sliding_window_view(chunk, 2 * hop, axis=1)[:, ::hop][:, :frames]
    hann = (0.5 - 0.5 * np.cos(np.pi * (np.arange(2 * hop) + 0.5) / hop)).astype(np.float32)
    found = np.empty((frames, _BINS), dtype=np.float32)
    for first in range(0, frames, _TOGETHER):
        part = slice(first, first + _TOGETHER)
        spectra = fft.rfft(windows[:, part].astype(np.float32) * hann, 4 * hop, axis=-1)[..., :_BINS]
        found[part] = _excess(spectra.real**2 + spectra.imag**2 + np.float32(1e-14)).mean(axis=0)
    return found


def _excess(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each bin stands above its neighbours, in nats."""
    log = np.log(power)
    log -= log.mean(axis=-1, keepdims=True)  # single precision is enough for sums that stay near zero
    running = np.zeros((*log.shape[:-1], log.shape[-1] + 1), dtype=np.float32)
    np.cumsum(log, axis=-1, out=running[..., 1:])
    near, far = 5, 12  # bins: from the edge of a line's lobe to 3 Hz off
    ring = np.zeros_like(log)
    middle = slice(far, log.shape[-1] - far)
    ring[..., middle] = (
        (running[..., 2 * far + 1 :] - running[..., : -2 * far - 1])
        - (running[..., far + near : -far + near - 1] - running[..., far - near + 1 : -far - near])
    ) / (2 * (far - near + 1))
    # exp(gamma): the geometric mean of noise power lies that far below its mean.
    ratio = np.exp(np.minimum(log - ring, _MOST_NATS)) * np.float32(0.5 * 0.5615)
    ratio[..., :far] = 0.0
    # log1p has no vectorised kernel, and is no more exact for ratios of this size.
    return np.asarray(np.log(ratio + np.float32(1.0)) - np.float32(0.36))


class Comb:
    """The lines on one fundamental near one mains frequency."""

    def __init__(self, mains_hz: float, rate: float, hop: int, channels: int) -> None:
        self.mains_hz, self.rate, self.hop, self.channels = mains_hz, rate, hop, channels
        self.orders = np.arange(1, int(HIGHEST_HZ / (mains_hz * (1.0 + _REACH))) + 1)
        steps = round(_REACH * mains_hz / _STEP_HZ)
        self.states_hz = mains_hz + _STEP_HZ * np.arange(-steps, steps + 1)
        self._bins = np.round(np.outer(self.states_hz, self.orders) * (4.0 * hop / rate)).astype(int)
        self._far = 4.0 * np.maximum(0.0, np.abs(self.states_hz / mains_hz - 1.0) / 0.012 - 1.0)
        self._times: list[float] = []
        self._track: list[float] = []
        self._known = np.zeros((0, 0), dtype=np.complex128), np.zeros((0, 0))  # weighted sums of lines, and weights
        self._frames: list[tuple[int, Complexes, Reals]] = []  # first frame, lines, noise of each chunk with a comb

    def take(self, chunk: Reals, spectra: NDArray[np.float32], first_frame: int) -> None:
        """One more chunk: (channels, (frames + 1) * hop) samples from frame `first_frame` on."""
        standing = spectra[:, self._bins]
        path, mean = best_path(standing.sum(axis=2) - self._far)
        steady = np.median(standing[np.arange(len(path)), path], axis=0)
        if mean < PATH_SCORE or (np.sort(steady)[-2:] < STEADY_SCORE).any():
            return
        times = _middles(first_frame, len(path), self.hop / self.rate)
        followed = self._follow(chunk, times, np.asarray(self.states_hz[path], dtype=np.float64))
        if followed is None:
            return
        lines, noise, track = followed
        self._times += times.tolist()
        self._track += track.tolist()
        self._frames.append((first_frame, lines, noise))

    def _follow(self, chunk: Reals, times: Reals, track: Reals) -> tuple[Complexes, Reals, Reals] | None:
        """Lines (orders, channels, frames), their noise power, and the track made exact by their phases.

        None where the phases want another track than the spectra: no lines of one fundamental.
        """
        hop_s, block = self.hop / self.rate, self.hop // BASE
        at = times[0] - hop_s + ((np.arange(chunk.shape[1] // block) + 0.5) * block - 0.5) / self.rate
        before = self._phase(times, track).at(at)[0]
        base = self._baseband(chunk, self._phase(times, track), at)

        def moved(track: Reals) -> Complexes:
            turn = np.exp(-2j * np.pi * (self._phase(times, track).at(at)[0] - before))
            every = np.cumprod(np.broadcast_to(turn, (len(self.orders), len(turn))), axis=0)
            return base * every[:, None]

        lines, noise = lines_of(base, len(times)), noise_of(base, len(times))
        for reach_hz in (0.06, 0.02, 0.01, 0.01):
            track = track + correction(lines, noise, self.orders, track, reach_hz, hop_s)
            lines = lines_of(moved(track), len(times))
        # What lies beside the lines does not change with the little they still move.
        base, before = moved(track), self._phase(times, track).at(at)[0]
        noise = noise_of(base, len(times))
        # What has gone before says where each line's phase belongs; after a gap it is lost.
        follows = bool(self._times) and times[0] - self._times[-1] < 1.5 * hop_s
        earlier = np.array(self._track[-2:]) if follows else np.zeros(0)
        if not follows:
            self._known = np.zeros(lines.shape[:2], dtype=np.complex128), np.zeros(lines.shape[:2])
        for turn in range(_LOCKING):
            change_hz = locked(lines, noise, self.orders, track, earlier, self._known, hop_s, slips=turn > 0)
            if turn == 0 and np.abs(change_hz).max() > _FURTHEST_HZ:
                return None
            track = track + change_hz
            lines = lines_of(moved(track), len(times))
        sums, weight = self._known
        self._known = sums + (lines / noise).sum(axis=2), weight + (1.0 / noise).sum(axis=2)
        return lines, noise, track

    def _phase(self, times: Reals, track: Reals) -> Phase:
        """The phase over all knots so far, and these."""
        return Phase(np.concatenate([self._times, times]), np.concatenate([self._track, track]))

    def _baseband(self, chunk: Reals, phase: Phase, at_s: Reals) -> Complexes:
        """Each line shifted to 0 Hz, means of `BASE` blocks a hop with middles `at_s`, (orders, channels, blocks).

        A block lasts 25 ms, and all blocks in which the fundamental is the same to 0.01 Hz are turned as one.
        """
        block = self.hop // BASE
        cycles, rate_hz, _ = phase.at(at_s)
        state = np.rint(rate_hz / _STEP_HZ).astype(int)
        offset_s = (np.arange(block) - 0.5 * (block - 1)) / self.rate
        blocks = chunk.reshape(len(chunk), -1, block)
        found = np.empty((len(self.orders), *blocks.shape[:2]), dtype=np.complex128)
        for step in np.unique(state):
            same = state == step
            radians = 2.0 * np.pi * _STEP_HZ * step * np.outer(self.orders, offset_s)
            taken = np.moveaxis(blocks[:, same], 2, 0).reshape(block, -1)
            turned = (np.cos(radians) @ taken - 1j * (np.sin(radians) @ taken)) / block
            found[..., same] = turned.reshape(len(self.orders), len(chunk), -1)
        return found * np.exp(-2j * np.pi * np.outer(self.orders, cycles % 1.0))[:, None]

    def result(self, frames: int, *, strong: bool) -> Hum:
        """What the lines of all chunks say together; frames: how many the file has."""
        presence = sum(lines.shape[2] for _, lines, _ in self._frames) / frames
        if not self._frames:
            return NOTHING
        track = np.array(self._track)
        mean_hz = float(track.mean())
        if presence < _least_presence(strong) or abs(mean_hz / self.mains_hz - 1.0) > _CENTRE:
            return Hum(mean_hz, NOTHING.level_dbfs, (), presence, 0.0, None)
        passages = [self._passage(run) for run in _runs(self._frames)]
        weights = np.array([passage.times.size for passage in passages], dtype=np.float64)
        kept = [passage.significant(strong=strong) for passage in passages]
        spread_db = float(np.average([p.spread_db(k) for p, k in zip(passages, kept, strict=True)], weights=weights))
        steadiness = float(np.average([p.steadiness(k) for p, k in zip(passages, kept, strict=True)], weights=weights))
        power = np.max([np.sum(p.power() * k, axis=0).max() for p, k in zip(passages, kept, strict=True)])
        harmonics = tuple(int(k) for k in self.orders[np.any([k.any(axis=1) for k in kept], axis=0)])
        dehum = None
        if spread_db <= _SPREAD_DB and _stands(steadiness, harmonics, strong=strong):
            # Once it is hum, weaker lines of it are believed too, shrunk by what they may be wrong.
            dehum = self._settings(passages, [passage.significant(strong=True) for passage in passages])
        return Hum(mean_hz, float(db_from_power(power)), harmonics, presence, steadiness, dehum)

    def _passage(self, run: list[tuple[int, Complexes, Reals]]) -> Passage:
        lines = np.concatenate([lines for _, lines, _ in run], axis=2)
        noise = np.concatenate([noise for _, _, noise in run], axis=2)
        times = _middles(run[0][0], lines.shape[2], self.hop / self.rate)
        return Passage(times, lines, noise)

    def _settings(self, passages: list[Passage], kept: list[NDArray[np.bool_]]) -> Dehum:
        times, track = np.array(self._times), np.array(self._track)
        # The last part of a second lies beyond the middles of frames: go on straight there.
        times = np.append(times, 2.0 * times[-1] - times[-2])
        points_hz = np.append(track, 2.0 * track[-1] - track[-2])
        lines = []
        ends = self.hop / self.rate
        for k, channel in itertools.product(range(len(self.orders)), range(self.channels)):
            points: list[LinePoint] = []
            for passage, keep in zip(passages, kept, strict=True):
                if keep[k, channel]:
                    points += passage.points(k, channel, fades_s=ends if len(passages) > 1 else None)
            if points:
                lines.append(Line(harmonic=int(self.orders[k]), channel=channel, points=tuple(points)))
        return Dehum(
            track=tuple(TrackPoint(time_s=t, frequency_hz=f) for t, f in zip(times, points_hz.tolist(), strict=True)),
            lines=tuple(lines),
        )


def _middles(first_frame: int, frames: int, hop_s: float) -> Reals:
    """Seconds at which frames of two hops have their middles."""
    return (first_frame + 1.0 + np.arange(frames, dtype=np.float64)) * hop_s


PATH_SCORE = 2.5
"""Mean nats a frame of the best path from which on a chunk is looked at closely."""
STEADY_SCORE = 0.7
"""Nats in the median frame that at least two lines must have besides."""


def best_path(score: Reals) -> tuple[NDArray[np.int64], float]:
    """States (frames,) of the path of highest total through `score` (frames, states), and its mean."""
    frames, states = score.shape
    came = np.zeros((frames, states), dtype=np.int64)
    moves = np.arange(-_MOST_STEPS, _MOST_STEPS + 1)
    costs = 0.05 * np.abs(moves)[:, None]
    every = np.arange(states)
    padded = np.full(states + 2 * _MOST_STEPS, -1e9)
    total = padded[_MOST_STEPS:-_MOST_STEPS]  # what lies beside it is out of reach
    shifted = np.lib.stride_tricks.sliding_window_view(padded, states)
    total[:] = score[0]
    for n in range(1, frames):
        options = shifted - costs
        best = options.argmax(axis=0)
        came[n] = every + moves[best]
        total[:] = options[best, every] + score[n]
    path = np.empty(frames, dtype=np.int64)
    path[-1] = total.argmax()
    for n in range(frames - 1, 0, -1):
        path[n - 1] = came[n, path[n]]
    return path, float(score[np.arange(frames), path].mean())


def _runs(chunks: list[tuple[int, Complexes, Reals]]) -> list[list[tuple[int, Complexes, Reals]]]:
    """Chunks that follow each other without a gap."""
    runs: list[list[tuple[int, Complexes, Reals]]] = []
    for chunk in chunks:
        if runs and runs[-1][-1][0] + runs[-1][-1][1].shape[2] == chunk[0]:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return runs


def _least_presence(strong: bool) -> float:
    """Share of the file from which on lines that come and go may be the mains'."""
    return 0.2 if strong else 0.5


def _stands(steadiness: float, harmonics: tuple[int, ...], *, strong: bool) -> bool:
    """Whether lines never move with the music."""
    return (
        steadiness >= (0.6 if strong else 0.85)
        and len(harmonics) >= (1 if strong else 2)
        and harmonics[0] <= 3  # the higher ones alone are another tone's
    )
