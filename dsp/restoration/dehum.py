"""Hum of the mains: found as lines that hang on one slowly moving fundamental, taken out by subtracting them.

A notch takes the music at its frequency away with the hum, and forgets where the hum went when the mains drift. Here
the fundamental is followed through the file (a best path over spectra, then the phase of all lines together), each
line's complex amplitude is measured against the moving phase over as long as it holds still, frames with little music
near the line counting most, and exactly that is subtracted: nothing else of the signal is touched.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
import scipy.fft
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.effect import Bounded, Processor, Settings
from dsp.errors import AudioError, SettingsError
from dsp.kernels import Decimator, hum
from dsp.units import db_from_gain, db_from_power

Reals = NDArray[np.float64]
Complexes = NDArray[np.complex128]

# The settings and what they render.

Time = Annotated[float, Meta(ge=0.0, le=1e6)]
Part = Annotated[float, Meta(ge=-1.0, le=1.0)]


class TrackPoint(Bounded, frozen=True, kw_only=True):
    """The fundamental at one moment; between points it moves straight, beyond them it stands."""

    time_s: Time
    frequency_hz: Annotated[float, Meta(ge=40.0, le=70.0)]


class LinePoint(Bounded, frozen=True, kw_only=True):
    """A line at one moment: cosine and sine of its phase against the fundamental's, ±1.0 is full scale."""

    time_s: Time
    cosine: Part
    sine: Part


class Line(Bounded, frozen=True, kw_only=True):
    """One harmonic in one channel."""

    harmonic: Annotated[int, Meta(ge=1, le=64)]
    points: tuple[LinePoint, ...]
    channel: Annotated[int, Meta(ge=0, le=63)] = 0

    @property
    def level_dbfs(self) -> float:
        """RMS at its loudest point re full scale."""
        return max(
            (float(db_from_gain(np.hypot(p.cosine, p.sine) / np.sqrt(2.0))) for p in self.points), default=-200.0
        )


class Dehum(Settings, frozen=True, kw_only=True):
    """Subtracts lines of hum that follow one fundamental.

    The phase of the fundamental is 0 at the file's start and the integral of `track` from there on.
    """

    title: ClassVar[str] = "hum removal"
    repairs: ClassVar[bool] = True

    track: tuple[TrackPoint, ...] = ()
    lines: tuple[Line, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_rising("dehum.track", [p.time_s for p in self.track])
        for line in self.lines:
            _check_rising("dehum.lines", [p.time_s for p in line.points])

    def is_neutral(self) -> bool:
        return not self.track or all(p.cosine == p.sine == 0.0 for line in self.lines for p in line.points)

    def scaled(self, amount: float) -> Dehum:
        lines = tuple(
            Line(
                harmonic=line.harmonic,
                channel=line.channel,
                points=tuple(
                    LinePoint(time_s=p.time_s, cosine=amount * p.cosine, sine=amount * p.sine) for p in line.points
                ),
            )
            for line in self.lines
        )
        return Dehum(track=self.track, lines=lines)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return DehumProcessor(self, sample_rate_hz, channels)


def _check_rising(owner: str, times_s: list[float]) -> None:
    for before, after in itertools.pairwise(times_s):
        if after <= before:
            raise SettingsError(f"{owner}: {after:g} s after {before:g} s, points must rise in time")


class Phase:
    """Cycles of a fundamental given by points of time and frequency, counted from time 0."""

    def __init__(self, time_s: Reals, frequency_hz: Reals) -> None:
        self.time_s, self.frequency_hz = time_s, frequency_hz
        steps = np.diff(time_s) * 0.5 * (frequency_hz[1:] + frequency_hz[:-1])
        self._cycles = frequency_hz[0] * time_s[0] + np.concatenate([[0.0], np.cumsum(steps)])
        self._slope = np.append(np.diff(frequency_hz) / np.maximum(np.diff(time_s), 1e-9), 0.0)

    def at(self, time_s: Reals) -> tuple[Reals, Reals, Reals]:
        """Cycles, Hz and Hz/s at each time."""
        found = np.searchsorted(self.time_s, time_s, side="right") - 1
        place = np.maximum(found, 0)
        slope = np.where(found < 0, 0.0, self._slope[place])
        since = time_s - self.time_s[place]
        rate = self.frequency_hz[place]
        return self._cycles[place] + (rate + 0.5 * slope * since) * since, rate + slope * since, slope


class DehumProcessor(Processor):
    """Makes the hum in tiles at fixed positions of the stream and subtracts it."""

    TILE = 64
    TILES = 64

    def __init__(self, settings: Dehum, sample_rate_hz: int, channels: int) -> None:
        self.rate = sample_rate_hz
        self.position = 0
        self.made, self.made_from = np.zeros((channels, 0)), 0
        lines = [line for line in settings.lines if line.points and line.channel < channels]
        track = settings.track
        self.phase = Phase(
            np.array([p.time_s for p in track] or [0.0]), np.array([p.frequency_hz for p in track] or [50.0])
        )
        # What would alias is left out.
        highest_hz = 0.5 * sample_rate_hz / max((p.frequency_hz for p in track), default=50.0)
        lines = [line for line in lines if line.harmonic < highest_hz] if track else []
        self.orders = np.array(sorted({line.harmonic for line in lines}), dtype=np.float64)
        self.lines = [
            (line.channel, int(np.searchsorted(self.orders, line.harmonic)), *_course(line)) for line in lines
        ]

    def process(self, block: Samples) -> Samples:
        if not self.lines:
            return block
        parts, start, stop = [], self.position, self.position + block.shape[1]
        while start < stop:
            if not self.made_from <= start < self.made_from + self.made.shape[1]:
                self.made_from = start - start % (self.TILE * self.TILES)
                self.made = self._make(self.made_from)
            first = start - self.made_from
            parts.append(self.made[:, first : first + stop - start])
            start += parts[-1].shape[1]
        self.position = stop
        return block - np.concatenate(parts, axis=1).astype(block.dtype) if parts else block

    def _make(self, start: int) -> Reals:
        """The hum of one run of tiles."""
        edges = (start + self.TILE * np.arange(self.TILES + 1)) / self.rate
        cycles, rate, slope = self.phase.at(edges)
        amplitude = np.zeros((self.TILES + 1, self.made.shape[0], len(self.orders)), dtype=np.complex128)
        for channel, order, time_s, value in self.lines:
            amplitude[:, channel, order] += np.interp(edges, time_s, value)
        out = np.zeros((self.made.shape[0], self.TILE * self.TILES))
        if not amplitude.any():
            return out
        step = np.diff(amplitude, axis=0) / self.TILE
        tile = np.empty((len(out), self.TILE))
        for n in range(self.TILES):
            at, by = amplitude[n], step[n]
            hum(
                cycles[n], rate[n] / self.rate, slope[n] / self.rate**2, self.orders,
                *(np.ascontiguousarray(part) for part in (at.real, at.imag, by.real, by.imag)), tile,
            )  # fmt: skip
            out[:, n * self.TILE : (n + 1) * self.TILE] = tile
        return out


def _course(line: Line) -> tuple[Reals, Complexes]:
    """Times and complex amplitudes of a line's points."""
    return np.array([p.time_s for p in line.points]), np.array([complex(p.cosine, p.sine) for p in line.points])


# Detection.

MAINS_HZ = (50.0, 60.0)
HIGHEST_HZ = 1200.0
"""Harmonics above this are left: they are weak, and the music is not."""
_REACH = 0.04  # how far the fundamental is followed from the nominal one, as a share of it
_CENTRE = 0.016  # how far its mean may lie from it: the nearest notes are 2 % away
_STEP_HZ = 0.02
_MOST_STEPS = 3  # of the path in a second: 0.06 Hz
_SPREAD_DB = 2.5  # of a line's level in clear frames about the model's: hum stands still, notes do not
_LOCKING = 8  # rounds of the phase lock
_BEND_HZ = 0.008  # what a second difference of the track is expected to be
_MOST_NATS = 3.0  # what one bin may say: many lines that are always there count, not one that is loud
_CHUNK = 64  # frames a best path is searched over at once
_TOGETHER = 8  # frames whose spectra are held at once
_BINS = 4 * int(HIGHEST_HZ + 60.0)  # of a quarter hertz
_BASE = 40  # baseband samples in a hop; other lines of the comb fall on the nulls of their mean, or far from the line
_RING = np.array([-6, -5, -4, -3, 3, 4, 5, 6])  # half-Hz bins beside a line that tell what else is there


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
        self.hop = _BASE * round(self.rate / _BASE)
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
        spectra = scipy.fft.rfft(windows[:, part].astype(np.float32) * hann, 4 * hop, axis=-1)[..., :_BINS]
        found[part] = _excess(spectra.real**2 + spectra.imag**2 + np.float32(1e-14)).mean(axis=0)
    return found


def _excess(power: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far each bin stands above its neighbours, in nats."""
    log = np.log(power)
    running = np.concatenate([np.zeros((*log.shape[:-1], 1)), np.cumsum(log, axis=-1, dtype=np.float64)], axis=-1)
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
    return np.asarray(np.log1p(ratio) - np.float32(0.36))


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
        lines, noise, track = self._follow(chunk, times, np.asarray(self.states_hz[path], dtype=np.float64))
        self._times += times.tolist()
        self._track += track.tolist()
        self._frames.append((first_frame, lines, noise))

    def _follow(self, chunk: Reals, times: Reals, track: Reals) -> tuple[Complexes, Reals, Reals]:
        """Lines (orders, channels, frames), their noise power, and the track made exact by their phases."""
        start_s = times[0] - self.hop / self.rate
        base = self._baseband(chunk, self._phase(times, track), start_s)
        block = self.hop // _BASE
        at = start_s + ((np.arange(base.shape[2]) + 0.5) * block - 0.5) / self.rate
        before = self._phase(times, track).at(at)[0]
        lines, noise = _lines(base, len(times))
        hop_s = self.hop / self.rate

        def moved(track: Reals) -> tuple[Complexes, Reals]:
            turn = np.exp(-2j * np.pi * (self._phase(times, track).at(at)[0] - before))
            every = np.cumprod(np.broadcast_to(turn, (len(self.orders), len(turn))), axis=0)
            return _lines(base * every[:, None], len(times))

        for reach_hz in (0.06, 0.02, 0.01, 0.01):
            track = track + _correction(lines, noise, self.orders, track, reach_hz, hop_s)
            lines, noise = moved(track)
        # What has gone before says where each line's phase belongs; after a gap it is lost.
        follows = bool(self._times) and times[0] - self._times[-1] < 1.5 * hop_s
        earlier = np.array(self._track[-2:]) if follows else np.zeros(0)
        if not follows:
            self._known = np.zeros(lines.shape[:2], dtype=np.complex128), np.zeros(lines.shape[:2])
        for _ in range(_LOCKING):
            track = track + _locked(lines, noise, self.orders, track, earlier, self._known, hop_s)
            lines, noise = moved(track)
        sums, weight = self._known
        self._known = sums + (lines / noise).sum(axis=2), weight + (1.0 / noise).sum(axis=2)
        return lines, noise, track

    def _phase(self, times: Reals, track: Reals) -> Phase:
        """The phase over all knots so far, and these."""
        return Phase(np.concatenate([self._times, times]), np.concatenate([self._track, track]))

    def _baseband(self, chunk: Reals, phase: Phase, start_s: float) -> Complexes:
        """Each line shifted to 0 Hz, means of `_BASE` blocks a hop, (orders, channels, blocks)."""
        block = self.hop // _BASE
        found = np.empty((len(self.orders), len(chunk), chunk.shape[1] // block), dtype=np.complex128)
        for first in range(0, chunk.shape[1], _TOGETHER * self.hop):
            shifted = chunk[:, first : first + _TOGETHER * self.hop].astype(np.complex128)
            last = first + shifted.shape[1]
            cycles = phase.at(start_s + np.arange(first, last) / self.rate)[0]
            turn = np.exp(-2j * np.pi * (cycles % 1.0))
            for n in range(len(self.orders)):
                shifted *= turn
                means = shifted.reshape(len(chunk), -1, block).mean(axis=2)
                found[n, :, first // block : last // block] = means
        return found

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


def _lines(base: Complexes, frames: int) -> tuple[Complexes, Reals]:
    """Complex amplitude of each line in Hann frames of two hops, and the noise power in it from beside it."""
    size = 2 * _BASE
    hann = 0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(size) + 0.5) / size)
    turns = np.exp(-2j * np.pi * np.outer(np.arange(size) + 0.5, np.append(_RING, 0)) / size)
    weighed = 2.0 * turns * (hann / hann.sum())[:, None]
    # A frame is two hops, and each hop is the end of one frame and the beginning of the next.
    hops = base[..., : (frames + 1) * _BASE].reshape(*base.shape[:2], frames + 1, _BASE)
    begun, ended = hops @ weighed[:_BASE], hops @ weighed[_BASE:]
    found = begun[..., :-1, :] + ended[..., 1:, :]
    ring = np.abs(found[..., :-1]) ** 2
    # The median of exponential noise is ln 2 of its mean; a partial of the music beside the line does not move it.
    return found[..., -1].copy(), np.median(ring, axis=-1) / np.log(2.0) + 1e-16


def _correction(
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


def _locked(
    lines: Complexes,
    noise: Reals,
    orders: NDArray[np.int64],
    track: Reals,
    earlier: Reals,
    known: tuple[Complexes, Reals],
    hop_s: float,
) -> Reals:
    """What to add to the track, (frames,), so that every line keeps the phase it has on the whole.

    earlier: the last two knots before these, or none; known: sums of lines over noise and of one over noise before.
    """
    frames = len(track)
    weight = 1.0 / noise
    for _ in range(3):
        sums, sure = known[0] + (weight * lines).sum(axis=2), known[1] + weight.sum(axis=2)
        whole = sums / sure
        weight = 1.0 / (noise + np.abs(lines - whole[..., None]) ** 2 / 4.0)
    clear = np.abs(whole) ** 2 * sure > 20.0
    # Cycles of the fundamental by which each line is ahead, and how well it knows: k turns tell k times as finely.
    ahead = (np.angle(lines * np.conj(whole[..., None])).T / (2.0 * np.pi * orders)).T
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


def _runs(chunks: list[tuple[int, Complexes, Reals]]) -> list[list[tuple[int, Complexes, Reals]]]:
    """Chunks that follow each other without a gap."""
    runs: list[list[tuple[int, Complexes, Reals]]] = []
    for chunk in chunks:
        if runs and runs[-1][-1][0] + runs[-1][-1][1].shape[2] == chunk[0]:
            runs[-1].append(chunk)
        else:
            runs.append([chunk])
    return runs


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
        value = np.clip(value.real, -1.0, 1.0) + 1j * np.clip(value.imag, -1.0, 1.0)
        return [
            LinePoint(time_s=float(max(t, 0.0)), cosine=float(v.real), sine=float(v.imag))
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


EXAMPLES = (
    Dehum(
        track=(TrackPoint(time_s=0.0, frequency_hz=50.0), TrackPoint(time_s=0.3, frequency_hz=50.02)),
        lines=(
            Line(harmonic=1, points=(LinePoint(time_s=0.0, cosine=0.02, sine=-0.01),)),
            Line(
                harmonic=3,
                channel=1,
                points=(LinePoint(time_s=0.1, cosine=0.01, sine=0.0), LinePoint(time_s=0.2, cosine=0.0, sine=0.01)),
            ),
        ),
    ),
)
