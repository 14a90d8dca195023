"""Compressor: up to four bands, channels linked, soft knee.

The bands are made by zero-phase filters whose responses sum to one, and each adds only what its gain changes:
output = input + Σ (gain - 1) · band. So at unity gain the input passes bit by bit, and a constant gain per band is a
smooth equalizer without phase shift. The split between two bands is 1/(1 + (f/fc)⁴), a second-order Butterworth
run forwards and backwards; its response is cut where it has fallen below -100 dB.

The level is the highest peak of any channel in a third of a millisecond, as most compressors have it: one that hears
power leaves peaks where they are and makes what it turns down spikier. Gain computer and ballistics after Giannoulis,
Massberg & Reiss, "Digital Dynamic Range Compressor Design" (JAES 60(6), 2012): static curve in dB, then on the gain a
detector that falls at once and comes up at the release's pace, and a one-pole of the attack's time constant.
"""

from __future__ import annotations

import itertools
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from dsp import fir, kernels
from dsp.audio import Samples
from dsp.effect import Bounded, Processor, Settings, empty_like
from dsp.errors import SettingsError

GRID_S = 0.00036
"""Gains are computed at least this often and interpolated between."""
MOST_BANDS = 4


class CompressorBand(Bounded, frozen=True, kw_only=True):
    """One band's settings."""

    threshold_db: Annotated[float, Meta(ge=-100.0, le=0.0)] = 0.0
    ratio: Annotated[float, Meta(ge=1.0, le=20.0)] = 1.0
    knee_db: Annotated[float, Meta(ge=0.0, le=24.0)] = 6.0
    attack_ms: Annotated[float, Meta(ge=0.5, le=500.0)] = 20.0
    release_ms: Annotated[float, Meta(ge=5.0, le=3000.0)] = 150.0
    makeup_db: Annotated[float, Meta(ge=-12.0, le=12.0)] = 0.0

    @property
    def is_neutral(self) -> bool:
        """Whether the band passes as it is."""
        return self.ratio == 1.0 and self.makeup_db == 0.0


class Compressor(Settings, frozen=True, kw_only=True):
    """Turns down what is loud, band by band."""

    title: ClassVar[str] = "compression"

    crossovers_hz: tuple[Annotated[float, Meta(ge=30.0, le=16_000.0)], ...] = ()
    bands: tuple[CompressorBand, ...] = ()
    """One more than there are crossovers, from low to high; none leaves everything."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bands and len(self.bands) != len(self.crossovers_hz) + 1:
            raise SettingsError(
                f"compressor.bands: {len(self.bands)} bands with {len(self.crossovers_hz)} crossovers,"
                f" {len(self.crossovers_hz) + 1} are needed"
            )
        if len(self.bands) > MOST_BANDS:
            raise SettingsError(f"compressor.bands: {len(self.bands)} bands, at most {MOST_BANDS} are allowed")
        for hz in self.crossovers_hz:
            if not 30.0 <= hz <= 16_000.0:
                raise SettingsError(f"compressor.crossovers_hz: {hz!r} is not within 30 to 16000")
        for low, high in itertools.pairwise(self.crossovers_hz):
            if high <= low:
                raise SettingsError(f"compressor.crossovers_hz: {high:g} after {low:g}, they must rise")

    def is_neutral(self) -> bool:
        return all(band.is_neutral for band in self.bands)

    def scaled(self, amount: float) -> Compressor:
        bands = tuple(
            msgspec.structs.replace(b, ratio=1.0 + (b.ratio - 1.0) * amount, makeup_db=b.makeup_db * amount)
            for b in self.bands
        )
        return msgspec.structs.replace(self, bands=bands)

    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        return CompressorProcessor(self, sample_rate_hz)


def grid_samples(sample_rate_hz: int) -> int:
    """Samples between two gains: a whole part of 100 ms, so that music that starts 100 ms later meets the same grid."""
    tenth = round(sample_rate_hz / 10)
    return next(n for n in range(max(1, round(GRID_S * sample_rate_hz)), 0, -1) if tenth % n == 0)


def low_share(frequency_hz: NDArray[np.float64], crossover_hz: float) -> NDArray[np.float64]:
    """How much of each frequency falls below a crossover, 0 to 1."""
    return 1.0 / (1.0 + (frequency_hz / crossover_hz) ** 4)


def _splits(crossovers_hz: tuple[float, ...], sample_rate_hz: int) -> list[fir.Fir]:
    """The filter of all that lies below each crossover."""
    # The response falls as exp(-sqrt(2) pi fc t): 100 dB in 2.6 / fc seconds. That ends too soon where the curve has
    # not come down by the Nyquist frequency.
    least_s = 64 / sample_rate_hz
    return [
        fir.zero_phase(lambda hz, fc=fc: low_share(hz, fc), sample_rate_hz, max(3.0 / fc, least_s))  # type: ignore[misc]
        for fc in crossovers_hz
    ]


class CompressorProcessor(Processor):
    """Splits, measures and turns down."""

    def __init__(self, settings: Compressor, sample_rate_hz: int) -> None:
        grid = grid_samples(sample_rate_hz)
        self._bands = [
            kernels.Compressor(
                float(sample_rate_hz),
                grid,
                b.threshold_db,
                b.ratio,
                b.knee_db,
                b.attack_ms * 1e-3,
                b.release_ms * 1e-3,
                b.makeup_db,
            )
            for b in settings.bands
        ]
        self._neutral = [b.is_neutral for b in settings.bands]
        splits = _splits(settings.crossovers_hz, sample_rate_hz) if self._bands else []
        self._bank = fir.FirStream(splits, bank=True) if splits else None
        self._waiting: Samples | None = None

    def process(self, block: Samples) -> Samples:
        if self._bank is None:
            return self._compressed(block, [block] * len(self._bands))
        self._waiting = block if self._waiting is None else np.concatenate([self._waiting, block], axis=1)
        return self._split(self._bank.process(block))

    def finish(self) -> Samples | None:
        below = self._bank.finish() if self._bank is not None else None
        return None if below is None else self._split(below)

    def _split(self, below: Samples) -> Samples:
        """`below`: what lies under each crossover, (crossovers, channels, samples)."""
        assert self._waiting is not None
        ready = below.shape[-1]
        if not ready:
            return empty_like(self._waiting)
        dry, self._waiting = self._waiting[:, :ready], self._waiting[:, ready:]
        edges = [np.zeros_like(dry), *below, dry]
        return self._compressed(dry, [high - low for low, high in itertools.pairwise(edges)])

    def _compressed(self, dry: Samples, bands: list[Samples]) -> Samples:
        out = dry.copy()
        for kernel, band, neutral in zip(self._bands, bands, self._neutral, strict=True):
            if not neutral:
                kernel.apply(np.ascontiguousarray(band), out)
        return out

    def measured(self) -> dict[str, Any]:
        bands = [
            {"max_reduction_db": abs(k.deepest_db), "mean_reduction_db": abs(k.total_db) / max(k.steps, 1)}
            for k in self._bands
        ]
        return {"compressor": {"bands": bands}}


def band_gain_db(level_db: NDArray[np.float64], step_s: float, band: CompressorBand) -> NDArray[np.float64]:
    """The gain a band's settings would give to a track of levels, one every `step_s`; makeup left out."""
    gains = np.empty(len(level_db))
    kernels.level_gains(
        np.ascontiguousarray(level_db, dtype=np.float64),
        step_s,
        band.threshold_db,
        band.ratio,
        band.knee_db,
        band.attack_ms * 1e-3,
        band.release_ms * 1e-3,
        gains,
    )
    return gains


EXAMPLES = (
    Compressor(bands=(CompressorBand(threshold_db=-30.0, ratio=3.0, attack_ms=5.0, release_ms=60.0),)),
    Compressor(
        crossovers_hz=(200.0, 3200.0),
        bands=(
            CompressorBand(threshold_db=-30.0, ratio=2.0),
            CompressorBand(makeup_db=1.0),
            CompressorBand(threshold_db=-40.0, ratio=4.0, knee_db=0.0, makeup_db=-1.0),
        ),
    ),
)
