"""Faults of whole channels: DC, rumble below all music, a channel turned round or late.

Means tell DC, and whether it stands; spectra of the lowest two octaves tell rumble; the cross-spectrum of left and
right, taken a few times a second, tells whether one channel is the other's copy, upside down or late. Two channels
that merely differ, as in any stereo recording, say nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Samples, check_rate
from dsp.effect import Settings
from dsp.errors import AudioError
from dsp.kernels import Decimator
from dsp.restoration.dcoffset import Dcoffset
from dsp.restoration.delay import Delay
from dsp.restoration.frames import SpacedFrames
from dsp.restoration.polarity import Polarity
from dsp.transforms import fft
from dsp.units import db_from_power

Reals = NDArray[np.float64]

_EVERY_S = 1.0  # between the frames that are compared
_FRAME_S = 0.18
_LONGEST_MS = 20.0
_SECTION_S = 10.0
_RATE_HZ = 300.0  # that rumble is looked for at
_RUMBLE_HZ, _MUSIC_HZ = (3.0, 16.0), (25.0, 80.0)


@dataclass(frozen=True)
class Faults:
    """What was found. Levels re full scale; what lies within the bounds of sound recordings is not in `repairs`.

    offsets: mean of each channel; rumble_dbfs: power from 3 to 16 Hz, highpass_hz: the low cut that would take it
    away, 0 where none is needed; correlation: of left and right when aligned as well as can be, -1 to 1;
    late_ms: how much later the right channel is than the left.
    """

    offsets: tuple[float, ...]
    rumble_dbfs: float
    highpass_hz: float
    correlation: float
    late_ms: float
    repairs: tuple[Settings, ...]

    def settings(self) -> tuple[Settings, ...]:
        """The repairs in the order they are made, empty where nothing is wrong; `highpass_hz` is for `Highpass`."""
        return self.repairs


class FaultDetector:
    """Faults of one stream of one or two channels, the same whatever the blocks; `strong` believes weaker signs.

    Memory grows by some hundred bytes for every ten seconds. Raises AudioError on less than one channel, or a rate
    that no sound has.
    """

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        check_rate(sample_rate_hz)
        if channels < 1:
            raise AudioError(f"channels: {channels} is less than 1")
        self.rate, self.channels, self.strong = sample_rate_hz, channels, strong
        self.size = fft.next_fast_len(round(_FRAME_S * sample_rate_hz), real=True)
        self._frames = SpacedFrames(self.size, max(self.size, round(_EVERY_S * sample_rate_hz)))
        self.longest = round(_LONGEST_MS * 1e-3 * sample_rate_hz)
        self.window = np.hanning(self.size + 2)[1:-1]
        bins = self.size // 2 + 1
        self._cross = np.zeros(bins, dtype=np.complex128)
        self._powers = np.zeros((2, bins))
        # A plain mean of many samples, then a filter: what folds onto the rumble lies far above all that is strong.
        factor = max(1, round(sample_rate_hz / _RATE_HZ))
        self._low_rate = sample_rate_hz / factor
        taps = _smoothing(4 * factor)
        self._decimator = Decimator(taps, factor, channels)
        self._low: list[Reals] = []
        self._low_samples = 0
        self._low_frame = round(4.0 * self._low_rate)
        self._low_window = np.hanning(self._low_frame + 2)[1:-1]
        self._rumble = np.zeros(self._low_frame // 2 + 1)
        self._low_frames = 0
        self._quiet: list[tuple[float, float]] = []  # rumble and music of each frame
        self._means: list[Reals] = []
        self._kind: np.dtype[np.floating] | None = None

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples), float32 or float64; AudioError on another shape."""
        if block.ndim != 2 or block.shape[0] != self.channels:
            raise AudioError(f"block: shape {block.shape} is not ({self.channels}, samples)")
        self._kind = self._kind or block.dtype
        block = np.ascontiguousarray(block, dtype=self._kind)
        self._take_low(block)
        if self.channels == 2:
            self._take_pairs(block)

    def _take_low(self, block: Samples) -> None:
        out = np.empty((self.channels, self._decimator.ready(block.shape[1], self._kind == np.float32)))
        self._decimator.process(block, out)
        self._low.append(out)
        self._low_samples += out.shape[1]
        if self._low_samples < self._low_frame:
            return
        samples = np.concatenate(self._low, axis=1)
        frames = samples.shape[1] // self._low_frame
        for frame in np.split(samples[:, : frames * self._low_frame], frames, axis=1):
            mean = frame.mean(axis=1)
            spectrum = fft.rfft((frame - mean[:, None]) * self._low_window, axis=-1)
            power = 2.0 * (np.abs(spectrum) ** 2).max(axis=0) / (self._low_frame * np.sum(self._low_window**2))
            hz = fft.rfftfreq(self._low_frame, 1.0 / self._low_rate)
            within = [float(power[(hz >= low) & (hz <= high)].sum()) for low, high in (_RUMBLE_HZ, _MUSIC_HZ)]
            self._quiet.append((within[0], within[1]))
            self._means.append(mean)
        self._low = [samples[:, frames * self._low_frame :].copy()]
        self._low_samples -= frames * self._low_frame

    def _take_pairs(self, block: Samples) -> None:
        window = self.window.astype(block.dtype, copy=False)
        for frame in self._frames.of(block):
            left, right = fft.rfft(frame * window, axis=-1)
            self._cross += left.conj() * right
            self._powers += left.real**2 + left.imag**2, right.real**2 + right.imag**2

    def result(self) -> Faults:
        """The faults of all that came."""
        offsets, standing = self._offsets()
        rumble, highpass_hz = self._found_rumble()
        repairs: list[Settings] = []
        if any(standing):
            left, right = (*(o if s else 0.0 for o, s in zip(offsets, standing, strict=True)), 0.0)[:2]
            repairs.append(Dcoffset(left=float(np.clip(left, -1, 1)), right=float(np.clip(right, -1, 1))))
        correlation, late, alike = self._alignment()
        if alike and correlation < 0.0:
            repairs.append(Polarity(invert="right"))
        if alike and late:
            late_ms = 1e3 * abs(late) / self.rate
            repairs.append(Delay(right_early_ms=late_ms) if late > 0 else Delay(left_early_ms=late_ms))
        return Faults(
            tuple(float(o) for o in offsets), rumble, highpass_hz, correlation, 1e3 * late / self.rate, tuple(repairs)
        )

    def _offsets(self) -> tuple[Reals, list[bool]]:
        """Mean of each channel, and whether it stands so still and high that it is a fault."""
        if not self._means:
            return np.zeros(self.channels), [False] * self.channels
        means = np.array(self._means)
        middle = np.median(means, axis=0)
        # Means of music over seconds wander around 0: an offset lies far outside of that, all the time.
        wander = np.median(np.abs(means - middle), axis=0) / np.sqrt(len(means))
        least = 0.0005 if self.strong else 0.03  # below, it costs less than a quarter of a dB of headroom
        same = np.mean(np.sign(means) == np.sign(middle), axis=0)
        return middle, [
            bool(abs(m) > least and abs(m) > 12.0 * w and s >= 0.95)
            for m, w, s in zip(middle, wander, same, strict=True)
        ]

    def _found_rumble(self) -> tuple[float, float]:
        """Level below music, and where to cut; 0 unless most moments have more there than in the lowest notes."""
        if not self._quiet:
            return -200.0, 0.0
        low, music = np.array(self._quiet).T
        level = float(db_from_power(float(low.mean())))
        over = np.median(low > music)
        steady = db_from_power(float(np.quantile(low, 0.1))) > level - 12.0
        loud = level > (-60.0 if self.strong else -50.0)
        return level, 20.0 if loud and steady and over >= 0.5 else 0.0

    def _alignment(self) -> tuple[float, int, bool]:
        """Correlation at the best lag, that lag in samples (right late is positive), whether it is a fault."""
        energy = np.sqrt(np.prod(self._powers.sum(axis=1)))
        if self.channels != 2 or energy <= 1e-9:
            return 1.0, 0, False
        # Bass alone would be alike at any lag: all octaves speak with one voice.
        hz = fft.rfftfreq(self.size, 1.0 / self.rate)
        weight = np.where(hz > 100.0, 1.0 / np.maximum(hz, 1.0), 0.0) / np.maximum(
            np.sqrt(self._powers[0] * self._powers[1]), 1e-12 * energy
        )
        whole = 2.0 * float((weight * np.sqrt(self._powers[0] * self._powers[1])).sum()) / self.size
        lags = fft.irfft(weight * self._cross, self.size) / max(whole, 1e-30)
        near = np.concatenate([lags[-self.longest :], lags[: self.longest + 1]])
        at = int(np.abs(near).argmax())
        late, best = at - self.longest, float(near[at])
        if abs(best) < (0.6 if self.strong else 0.8):
            return best, late, False
        # A fault: upside down, or late while the same moment shows nothing of it.
        inverted = best < 0.0 and float(lags[0]) < 0.0
        delayed = abs(late) >= 2 and abs(best) > 1.3 * abs(float(lags[0]))
        return best, late if delayed else 0, inverted or delayed


def _smoothing(reach: int) -> Reals:
    """A Hann-windowed low-pass, padded to whole vectors and centred on the middle tap."""
    half = 8 * int(np.ceil(reach / 8.0 + 1.0))
    at = np.arange(1 - half, half)
    taps = np.sinc(at * 2.0 / reach) * (0.5 + 0.5 * np.cos(np.pi * at / half))
    return np.concatenate([[0.0], taps / taps.sum()])
