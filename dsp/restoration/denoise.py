"""Broadband noise that never changes: hiss and rumble measured where nothing else plays, and turned down everywhere.

The gain of each time-frequency cell is worked out twice. The first is that of the optimally modified log-spectral
amplitude with a decision-directed SNR (Ephraim & Malah 1985; Cohen & Berdugo 2001). What it lets through, smoothed over
neighbours in time and frequency, is the SNR of the second, a Wiener gain: so lone cells do not chirp and onsets are not
late. It has a lower bound: the noise grows quieter but never odd. The noise itself is a curve in the settings, not an
estimate made while it runs: what is not in the curve is not touched.

Detection believes in a floor only where it is flat: a level that many moments share, that none goes below, in every
part of the file where the music leaves room, and that has no tone in it.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.effect import Bounded, Processor, Settings, empty_like
from dsp.errors import AudioError, SettingsError
from dsp.kernels import NoiseGains
from dsp.restoration.frames import SpacedFrames
from dsp.transforms import fft
from dsp.units import db_from_power, power_from_db

Reals = NDArray[np.float64]

FRAME_S = 0.046
_MEMORY = 0.9  # of the decision-directed estimate, at a quarter frame's hop
_SMOOTHING = 0.8  # of the SNR that tells presence, a hop
_REACH_HZ = 320.0  # half the width of the window that tells whether anything plays around a bin


class NoisePoint(Bounded, frozen=True, kw_only=True):
    """Noise at one frequency: its power in 1 Hz there re full scale (a full-scale square is 0 dBFS)."""

    frequency_hz: Annotated[float, Meta(ge=5.0, le=192_000.0)]
    level_dbfs_hz: Annotated[float, Meta(ge=-220.0, le=0.0)]


class Denoise(Settings, frozen=True, kw_only=True):
    """Turns stationary noise of a known spectrum down."""

    title: ClassVar[str] = "noise reduction"
    repairs: ClassVar[bool] = True

    profile: tuple[NoisePoint, ...] = ()
    """Power density of the noise, straight over log frequency in dB; beyond the ends nothing is taken away."""
    reduction_db: Annotated[float, Meta(ge=0.0, le=40.0)] = 0.0
    """How far noise is turned down at most."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for before, after in itertools.pairwise(self.profile):
            if after.frequency_hz <= before.frequency_hz:
                raise SettingsError(
                    f"denoise.profile: {after.frequency_hz:g} Hz after {before.frequency_hz:g} Hz,"
                    " points must rise in frequency"
                )

    def is_neutral(self) -> bool:
        return len(self.profile) < 2 or self.reduction_db == 0.0

    def scaled(self, amount: float) -> Denoise:
        return Denoise(profile=self.profile, reduction_db=self.reduction_db * amount)

    def density(self, frequency_hz: Reals) -> Reals:
        """Power in 1 Hz at each frequency, 0 beyond the profile's ends."""
        at = np.log2([p.frequency_hz for p in self.profile])
        level = np.interp(np.log2(np.maximum(frequency_hz, 1e-3)), at, [p.level_dbfs_hz for p in self.profile])
        inside = (frequency_hz >= self.profile[0].frequency_hz) & (frequency_hz <= self.profile[-1].frequency_hz)
        return np.where(inside, power_from_db(level), 0.0)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return DenoiseProcessor(self, sample_rate_hz, channels)


class DenoiseProcessor(Processor):
    """Overlapping frames at fixed positions of the stream; each sample waits for the frames that hold it."""

    def __init__(self, settings: Denoise, sample_rate_hz: int, channels: int) -> None:
        self.size = 4 * fft.next_fast_len(round(FRAME_S * sample_rate_hz / 4.0), real=True)
        self.hop = self.size // 4
        # Periodic Hann in and out: four overlapping squares of it sum to 3/2.
        self.window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.size) / self.size)
        self.scale = 1.0 / 1.5
        hz = fft.rfftfreq(self.size, 1.0 / sample_rate_hz)
        self.floor = float(power_from_db(-settings.reduction_db / 2.0))
        density = settings.density(hz) if len(settings.profile) > 1 else np.zeros(len(hz))
        # One bin's mean power: one-sided density, half of it in each of the mirrored bins.
        self.noise = 0.5 * density * sample_rate_hz * np.sum(self.window**2)
        self.bare = self.noise <= 0.0
        self.noise[self.bare] = 1e-30
        reach = max(2, round(_REACH_HZ * self.size / sample_rate_hz))
        self.reach = reach
        self.gains = NoiseGains(len(hz), channels, _MEMORY)
        self.channels = channels
        self.pending: Reals = np.zeros((channels, self.size - self.hop))
        self.sums: Reals = np.zeros((channels, self.size))
        self.waiting = np.zeros((channels, len(hz)), dtype=np.complex128)  # gains come a frame late
        self.skip = self.size  # the first frames begin before the stream
        self.taken = self.given = 0
        self.kind: np.dtype[np.floating] | None = None

    def process(self, block: Samples) -> Samples:
        self.kind = self.kind or block.dtype
        self.taken += block.shape[1]
        self.pending = np.concatenate([self.pending, block], axis=1)
        return self._run().astype(block.dtype)

    def finish(self) -> Samples | None:
        if self.kind is None:
            return None
        owed = self.taken - self.given
        if not owed:
            return empty_like(self.pending).astype(self.kind)
        self.pending = np.concatenate([self.pending, np.zeros((self.channels, owed + 2 * self.size))], axis=1)
        return self._run()[:, :owed].astype(self.kind)

    def _run(self) -> Reals:
        parts = []
        start = 0
        while self.pending.shape[1] - start >= self.size:
            frame = self.pending[:, start : start + self.size]
            start += self.hop
            self.sums += self._cleaned(frame)
            parts.append(self.sums[:, : self.hop].copy())
            self.sums = np.concatenate([self.sums[:, self.hop :], np.zeros((self.channels, self.hop))], axis=1)
        self.pending = self.pending[:, start:].copy()
        ready = np.concatenate(parts, axis=1) if parts else np.zeros((self.channels, 0))
        skipped = min(self.skip, ready.shape[1])
        self.skip -= skipped
        self.given += ready.shape[1] - skipped
        return ready[:, skipped:]

    def _cleaned(self, frame: Reals) -> Reals:
        """What the frame before this one adds to the output."""
        spectrum = fft.rfft(frame * self.window, axis=-1)
        power = spectrum.real**2 + spectrum.imag**2
        gains = np.empty_like(power)
        self.gains.process(power, self.noise, self.floor, self.reach, _SMOOTHING, gains)
        gains[:, self.bare] = 1.0
        waiting, self.waiting = self.waiting, spectrum
        return fft.irfft(waiting * gains, self.size, axis=-1) * (self.window * self.scale)


# Detection.

_EVERY_S = 0.1  # between the frames looked at
_BANDS_OCT = 0.25
_LOWEST_HZ = 20.0
_SECTION_S = 10.0
_STEP_DB = 0.25  # of the histograms
_DEEPEST_DB, _LEVELS = -220.0, 900
_SILENT_DBFS_HZ = -160.0
_HEARD_DB = 45.0  # noise further than this below the music is left alone


@dataclass(frozen=True)
class Noise:
    """What was found: a steady floor, its level re full scale and below the music, and how sure each band of it is.

    share: of the moments in which the floor lies bare, in the bands that tell it; profile: empty where there is none.
    """

    level_dbfs: float
    snr_db: float
    share: float
    profile: tuple[NoisePoint, ...]

    def settings(self, reduction_db: float = 12.0) -> Denoise | None:
        """The repair, or None where there is no steady noise."""
        return Denoise(profile=self.profile, reduction_db=reduction_db) if self.profile else None


class NoiseDetector:
    """Steady noise in one stream, the same whatever the blocks; `strong` believes weaker signs.

    span_s: start and end of a stretch that holds nothing but the noise; it is then believed as it is.
    Memory grows by less than a kilobyte a second. Raises AudioError on less than one channel, or a rate or span
    that cannot be.
    """

    def __init__(
        self, sample_rate_hz: int, channels: int, *, strong: bool = False, span_s: tuple[float, float] | None = None
    ) -> None:
        check_rate(sample_rate_hz)
        if channels < 1:
            raise AudioError(f"channels: {channels} is less than 1")
        if span_s is not None and not 0.0 <= span_s[0] < span_s[1]:
            raise AudioError(f"span_s: {span_s} is not a start before an end")
        self.rate, self.channels, self.strong, self.span_s = sample_rate_hz, channels, strong, span_s
        self.size = 2 * fft.next_fast_len(round(FRAME_S * sample_rate_hz / 2.0), real=True)
        self.every = max(self.size, round(_EVERY_S * sample_rate_hz))
        self.window = (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(self.size) / self.size)).astype(np.float32)
        edges = np.arange(np.log2(_LOWEST_HZ), np.log2(0.5 * sample_rate_hz) + 1e-9, _BANDS_OCT)
        width = sample_rate_hz / self.size
        starts = np.unique(np.round(2.0**edges / width).astype(int))
        self.starts = starts[(starts >= 1) & (starts < self.size // 2)]
        self.counts = np.diff(np.append(self.starts, self.size // 2))
        self.centres_hz = (self.starts + 0.5 * (self.counts - 1)) * width
        self._frames = SpacedFrames(self.size, self.every)
        self._levels: list[NDArray[np.uint16]] = []  # (frames, bands) each, quarter dB above the deepest
        self._section_frames = max(1, round(_SECTION_S * sample_rate_hz / self.every))

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        frames = self._frames.of(block)
        while together := list(itertools.islice(frames, 32)):  # what fits the cache
            self._take(together)

    def _take(self, frames: list[Samples]) -> None:
        windowed = np.empty((self.channels, len(frames), self.size), dtype=np.float32)
        for n, frame in enumerate(frames):
            np.multiply(frame, self.window, out=windowed[:, n], casting="same_kind")
        spectra = fft.rfft(windowed, axis=-1, overwrite_x=True)
        power = (spectra.real**2 + spectra.imag**2).mean(axis=0)
        bands = np.add.reduceat(power[:, : self.size // 2], self.starts, axis=1) / self.counts
        density = bands * (2.0 / (self.rate * float(np.sum(self.window.astype(np.float64) ** 2))))
        level = db_from_power(density)
        self._levels.append(np.clip(np.round((level - _DEEPEST_DB) / _STEP_DB), 0, _LEVELS - 1).astype(np.uint16))

    def result(self) -> Noise:
        """The noise of all that came."""
        if not self._levels:
            return Noise(-200.0, 0.0, 0.0, ())
        levels = np.concatenate(self._levels)
        self._levels = [levels]  # not held twice: there may be hours of them
        if self.span_s is not None:
            first, last = (int(np.ceil(s * self.rate / self.every)) for s in self.span_s)
            inside = levels[first : max(last, first + 1)]
            if not len(inside):
                raise AudioError(f"span_s: {self.span_s} lies beyond the end")
            floor: Reals = db_from_power(np.asarray(power_from_db(_levels_db(inside)).mean(axis=0), dtype=np.float64))
            return self._noise(levels, floor, np.ones(len(floor), dtype=bool), 1.0)
        floor, sure, share = steady_floor(levels, self.counts, self._section_frames, strong=self.strong)
        if not self._is_noise(floor, sure):
            return Noise(-200.0, 0.0, share, ())
        floor, sure = one_noise(floor, sure, self.centres_hz)
        found = self._noise(levels, floor, sure, share)
        heard = found.snr_db <= (70.0 if self.strong else _HEARD_DB)
        return found if heard else Noise(found.level_dbfs, found.snr_db, share, ())

    def _is_noise(self, floor: Reals, sure: NDArray[np.bool_]) -> bool:
        """Whether most of the treble, where hiss is heard and music leaves room, has a floor."""
        treble = (self.centres_hz > 2_000.0) & (self.centres_hz < 14_000.0)
        if not treble.any():
            return False
        heard = floor[treble & sure]
        enough = sure[treble].mean() >= (0.3 if self.strong else 0.55)
        return bool(enough and db_from_power(power_from_db(heard).mean()) > (-125.0 if self.strong else -120.0))

    def _noise(self, levels: NDArray[np.uint16], floor: Reals, sure: NDArray[np.bool_], share: float) -> Noise:
        bands = np.flatnonzero(sure)
        width = self.counts * (self.rate / self.size)
        power = float((power_from_db(floor) * width)[sure].sum())
        often = np.array([np.bincount(column, minlength=_LEVELS) for column in levels.T])
        whole = float(width @ (often @ power_from_db(_levels_db(np.arange(_LEVELS))))) / len(levels)
        hz, level_db = self.centres_hz[bands], np.clip(floor[bands], -220.0, 0.0)
        if len(bands):  # out to the edges of the outermost bands
            first_hz = (self.starts[bands[0]] - 0.5) * (self.rate / self.size)
            last_hz = (self.starts[bands[-1]] + self.counts[bands[-1]]) * (self.rate / self.size)
            hz = np.concatenate([[min(first_hz, 0.99 * hz[0])], hz, [max(last_hz, 1.01 * hz[-1])]])
            level_db = np.concatenate([level_db[:1], level_db, level_db[-1:]])
        points = tuple(
            NoisePoint(frequency_hz=float(max(f, 5.0)), level_dbfs_hz=float(v))
            for f, v in zip(hz, level_db, strict=True)
        )
        level = float(db_from_power(power))
        return Noise(level, float(db_from_power(whole)) - level, share, points if len(points) > 1 else ())


def _levels_db(levels: NDArray[np.integer[Any]]) -> Reals:
    """Power densities, dB re 1/Hz, of levels in quarter dB above the deepest."""
    return levels.astype(np.float64) * _STEP_DB + _DEEPEST_DB


def steady_floor(
    levels: NDArray[np.uint16], counts: NDArray[np.int64], section_frames: int, *, strong: bool = False
) -> tuple[Reals, NDArray[np.bool_], float]:
    """Floor of each band (bands,), whether it is a steady noise's, and the share of moments that show it.

    levels: (frames, bands) power densities in quarter dB above the deepest, means of `counts` bins. A noise's levels
    spread by what chance makes of a mean of so many bins, around one level; the lowest moments of a band tell whether
    they do. There may be hours of them: one band or one section at a time is in dB.
    """
    loud = _levels_db(levels.max(axis=1)) > _SILENT_DBFS_HZ  # digital silence has no floor
    levels = levels if loud.all() else levels[loud]
    bands = levels.shape[1]
    if len(levels) < 2 * section_frames:
        return np.zeros(bands), np.zeros(bands, dtype=bool), 0.0
    # Hann frames: neighbouring bins know of each other, two thirds of them count.
    spread = 4.34 / np.sqrt(np.maximum(counts * 0.67, 1.0))
    floor, share, above = np.zeros(bands), np.zeros(bands), np.zeros(bands)
    reach = 2.0 * spread + 2.0 * _STEP_DB
    for b in range(bands):
        column = np.sort(_levels_db(levels[:, b]))
        tries = np.quantile(column, 0.002) + np.arange(0.0, 5.0 * spread[b] + 1.0, _STEP_DB)
        near_db = 2.0 * spread[b] + _STEP_DB
        inside = np.searchsorted(column, tries + near_db, side="right") - np.searchsorted(column, tries - near_db)
        # The lowest that many share: what the music adds only ever lifts it. From there to the middle of it.
        at = tries[int(np.argmax(inside >= 0.5 * inside.max()))]
        for _ in range(3):
            near = column[np.abs(column - at) <= near_db]
            at = float(np.median(near)) if len(near) else at
        floor[b] = at + spread[b] ** 2 / 8.69  # the mean of powers lies above the median of levels
        share[b] = len(near) / len(column)
        above[b] = (np.abs(column - floor[b] - 2.0 * reach[b]) <= reach[b]).mean()
    under, seen = np.zeros(bands), []
    sections = np.array_split(levels, max(1, len(levels) // section_frames))
    for section in map(_levels_db, sections):
        # Nowhere below: a section whose quiet moments lie under the floor contradicts it.
        under += np.quantile(section, 0.05, axis=0) < floor - reach - 1.0
        # In many places: the floor must be seen in several sections, not in the tail alone.
        seen.append((np.abs(section - floor) <= reach).mean(axis=0) > 0.02)
    where = np.mean(seen[: max(1, len(seen) - 1)], axis=0)
    # Sharp: many more moments at the floor than just above it would be there by the music's own slope.
    sharp = share > (1.0 if strong else 1.5) * above
    sure = (
        sharp
        & (under / len(sections) <= (0.2 if strong else 0.05))
        & (share >= (0.01 if strong else 0.03))
        & (where >= (0.1 if strong else 0.3))
    )
    return floor, sure, float(np.median(share[sure])) if sure.any() else 0.0


def one_noise(floor: Reals, sure: NDArray[np.bool_], centres_hz: Reals) -> tuple[Reals, NDArray[np.bool_]]:
    """The floors that make one smooth spectrum with the treble's: no noise jumps, but a drone or a chord does."""
    near = np.where(sure, floor, np.inf)
    padded = np.pad(near, 2, constant_values=np.inf)
    lowest = np.lib.stride_tricks.sliding_window_view(padded, 5).min(axis=1)
    floor = np.minimum(floor, lowest + 2.5)
    inside = sure & (centres_hz > 2_000.0) & (centres_hz < 14_000.0)
    bands = np.flatnonzero(inside)
    for order in (range(bands[0] - 1, -1, -1), range(bands[-1] + 1, len(floor))):
        last = bands[0] if order.step < 0 else bands[-1]
        for b in order:
            away_oct = abs(np.log2(centres_hz[b] / centres_hz[last]))
            if sure[b] and abs(floor[b] - floor[last]) <= 1.5 + 6.0 * away_oct:
                inside[b], last = True, b
            elif away_oct > 1.0:
                break
    return floor, inside


EXAMPLES = (
    Denoise(
        profile=(
            NoisePoint(frequency_hz=30.0, level_dbfs_hz=-112.0),
            NoisePoint(frequency_hz=20_000.0, level_dbfs_hz=-117.0),
        ),
        reduction_db=12.0,
    ),
    Denoise(
        profile=(
            NoisePoint(frequency_hz=200.0, level_dbfs_hz=-115.0),
            NoisePoint(frequency_hz=5_000.0, level_dbfs_hz=-120.0),
        ),
        reduction_db=20.0,
    ),
)
