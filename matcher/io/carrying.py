"""What a source says beside its samples, carried over to what is made of it."""

from __future__ import annotations

import contextlib

from matcher.io.outputs import OutputFormat
from matcher.io.reading import AudioSource
from matcher.metadata import Metadata, read_metadata


def carried(source: AudioSource, sample_rate_hz: int) -> Metadata:
    """Tags, pictures, markers and all, at the rate of the result; without what was true of the source alone."""
    found = Metadata()
    if source.path is not None:
        with contextlib.suppress(OSError):  # it was read a moment ago; if it has gone since, the sound matters more
            found = read_metadata(source.path)
    return found.without_levels().at_rate(source.sample_rate_hz, sample_rate_hz)


def described(
    metadata: Metadata,
    format: OutputFormat,
    sample_rate_hz: int,
    channels: int,
    *,
    integrated_lufs: float,
    range_lu: float,
    true_peak_dbtp: float,
    max_momentary_lufs: float,
    max_short_term_lufs: float,
    replay_gain: bool,
) -> Metadata:
    """The same with the figures of the result where it has a place for them, and as tags where that is asked."""
    if replay_gain:
        metadata = metadata.with_replay_gain(integrated_lufs, true_peak_dbtp)
    return metadata.mastered(
        sample_rate_hz=sample_rate_hz,
        bit_depth=format.bit_depth,
        channels=channels,
        integrated_lufs=integrated_lufs,
        loudness_range_lu=range_lu,
        max_true_peak_dbtp=true_peak_dbtp,
        max_momentary_lufs=max_momentary_lufs,
        max_short_term_lufs=max_short_term_lufs,
    )
