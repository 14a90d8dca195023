"""Analysis: sound to Profile in one streaming pass."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dsp.audio import Audio, Samples
from dsp.errors import UnfitError
from dsp.meters.clipping import ClippingMeter
from dsp.meters.image import ImageMeter
from dsp.meters.loudness import LoudnessMeter, Powers, isolated_lufs
from dsp.meters.spectrum import LongSpectrum
from dsp.meters.true_peak import TruePeakMeter
from dsp.surround import Speakers
from dsp.units import FLOOR_DB, db_from_power
from matcher import cache
from matcher.io import AudioSource, open_audio, shown
from matcher.profile import NOTE_EDGES_HZ, TONE_EDGES_HZ, Course, Profile
from matcher.sketching import SketchBuilder

Source = Path | str | Audio | AudioSource
Progress = Callable[[float], None]

BLOCK_SAMPLES = 65_536
MOST_EXPECTED_S = 4 * 3600.0
"""Room for no more than this is made on the word of a file's header."""
PIECE_SEGMENTS = 65_536
LOWEST_LUFS = -70.0
"""The absolute gate of BS.1770: what never rises above it counts as silence."""


def opened(source: Source) -> contextlib.AbstractContextManager[AudioSource]:
    """`source` open for a `with`; one that the caller has opened stays open behind it."""
    audio = open_audio(source)
    return contextlib.nullcontext(audio) if audio is source else audio


class ProfileBuilder:
    """All meters at once over one stream."""

    def __init__(
        self, sample_rate_hz: int, channels: int, speakers: Speakers | None = None, *, expected_samples: int = 0
    ) -> None:
        """speakers: of more than two channels, which are heard in stereo by all but loudness and peaks.

        expected_samples: how many will come, as far as that is known: what is kept of them needs less memory then.
        """
        self.sample_rate_hz, self.channels, self.speakers = sample_rate_hz, channels, speakers
        self.length_samples = 0
        weights = None if speakers is None else speakers.weights
        expected_s = min(expected_samples / sample_rate_hz, MOST_EXPECTED_S)
        self._loudness = LoudnessMeter(sample_rate_hz, channels, weights=weights, expected_s=expected_s)
        self._true_peak = TruePeakMeter(sample_rate_hz, channels)
        self._clipping = ClippingMeter(channels)
        self._image = ImageMeter(sample_rate_hz)
        self._sketch = SketchBuilder(sample_rate_hz, expected_s)
        self._spectrum = LongSpectrum(
            sample_rate_hz, (("mid", TONE_EDGES_HZ), ("mid", NOTE_EDGES_HZ), ("side", TONE_EDGES_HZ))
        )

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        for meter in self.meters:
            meter(block)

    @property
    def meters(self) -> tuple[Callable[[Samples], None], ...]:
        """What `update` does, in parts that know nothing of each other; each is to get every block, in order."""
        return self._levels, *(self._heard_by(part) for part in (self._sketch, self._spectrum, self._image))

    def _levels(self, block: Samples) -> None:
        self.length_samples += block.shape[1]
        for meter in (self._loudness, self._true_peak, self._clipping):
            meter.update(block)

    def _heard_by(self, part: SketchBuilder | LongSpectrum | ImageMeter) -> Callable[[Samples], None]:
        speakers = self.speakers
        return part.update if speakers is None else lambda block: part.update(speakers.folded(block))

    def result(self, name: str, content_hash: str) -> Profile:
        """The profile of all that came; ends the stream."""
        loudness, true_peak = _loudness_of(self._loudness), self._true_peak.result()
        del self._loudness  # before the sketch is made: there may be hours of it
        (sketch, figures), spectrum = self._sketch.result(), self._spectrum.result()
        (tone, notes, tone_of_side), frames = self._spectrum.course()
        return Profile(
            name=name,
            content_hash=content_hash,
            sample_rate_hz=self.sample_rate_hz,
            channels=self.channels,
            length_samples=self.length_samples,
            true_peak_dbtp=true_peak.peak_dbtp,
            sample_peak_dbfs=true_peak.sample_peak_dbfs,
            flat_tops=self._clipping.result(),
            figures=figures,
            image=self._image.result(),
            spectrum=spectrum,
            course=Course(tone, notes, tone_of_side, frames),
            sketch=sketch,
            **loudness,
        )


def _loudness_of(meter: LoudnessMeter) -> dict[str, Any]:
    """What a profile keeps of it."""
    found = meter.result()
    return {
        "integrated_lufs": found.integrated_lufs,
        "isolated_lufs": isolated_lufs(found.segment_power),
        "range_lu": found.range_lu,
        "max_momentary_lufs": found.max_momentary_lufs,
        "max_short_term_lufs": found.max_short_term_lufs,
        "segment_db": _in_half_precision_db(found.segment_power),
    }


def _in_half_precision_db(power: Powers) -> NDArray[np.float16]:
    """Piece by piece: there may be hours of it."""
    level_db = np.empty(len(power), dtype=np.float16)
    for start in range(0, len(power), PIECE_SEGMENTS):
        piece = slice(start, start + PIECE_SEGMENTS)
        level_db[piece] = db_from_power(power[piece].astype(np.float32))
    return level_db


def analyze(source: Source, *, use_cache: bool = True, progress: Progress | None = None) -> Profile:
    """Measure a file or an `Audio`.

    A file's profile is kept by content hash and taken from there the next time. progress: called with the share
    done, 0 to 1. Raises FileError, AudioError, and UnfitError where there is nothing to match in.
    """
    with opened(source) as audio:
        name = audio.name if audio.path is None else shown(audio.path.name)
        identity = audio.content_hash()
        use_cache = use_cache and audio.path is not None
        kept = cache.load(identity) if use_cache else None
        if kept is not None:
            return kept.named(name)
        profile = measure(audio, name, identity, progress)
    if use_cache:
        cache.store(profile)
    return profile


def measure(audio: AudioSource, name: str, identity: str, progress: Progress | None = None) -> Profile:
    """One pass over opened audio."""
    builder = ProfileBuilder(
        audio.sample_rate_hz, audio.channels, audio.speakers, expected_samples=audio.length_samples
    )
    for block in audio.blocks(BLOCK_SAMPLES):
        builder.update(block)
        if progress is not None:
            progress(min(1.0, builder.length_samples / max(audio.length_samples, 1)))
    return builder.result(name, identity)


def check_fit(profile: Profile, role: str) -> None:
    """UnfitError where a track cannot be matched or matched to; role: `target` or `reference`."""
    who = f"{profile.name}: the {role}"
    if profile.integrated_lufs <= max(FLOOR_DB, LOWEST_LUFS):
        raise UnfitError(f"{who} is silent: nothing in it is louder than {LOWEST_LUFS:g} LUFS")
    mid, side = profile.spectrum.mid.sum(), profile.spectrum.side.sum()
    if db_from_power(mid) < db_from_power(side) - 40.0:
        raise UnfitError(
            f"{who} is in antiphase: its mid lies {db_from_power(side) - db_from_power(mid):.0f} dB below its side,"
            " 40 dB are allowed; one channel's polarity is probably inverted, and match restore turns it back"
        )
