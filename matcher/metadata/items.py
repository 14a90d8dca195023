"""What a file says beside its samples, and what becomes of it when the samples change."""

from __future__ import annotations

import math

from msgspec import Struct
from msgspec.structs import replace

from matcher.metadata.ixml import ixml_at_rate

REPLAY_GAIN_LUFS = -18.0
"""The loudness that ReplayGain 2.0 brings every track to."""
_CODEC_TOOLS = ("lame", "lavf", "lavc", "libsndfile", "libflac", "xiph.org", "libvorbis", "libopus", "itunes")
_STALE = (
    *("encoder", "encoded_by", "encoder_settings", "encoder_options", "encodersettings", "encoding", "tsse"),
    *("length", "tlen", "tsiz", "itunnorm", "itunsmpb", "itunpgap", "mqaencoder", "originalsamplerate"),
)
_STALE_STARTS = ("replaygain_", "r128_", "mp3gain_", "lame_")


class Picture(Struct, frozen=True, kw_only=True):
    """One picture; kinds are those of ID3 and FLAC, 0 to 20: 3 is the front cover."""

    data: bytes
    mime: str = ""
    kind: int = 3
    description: str = ""
    width_pixels: int = 0
    """0 where not known; only FLAC and Ogg hold the four."""
    height_pixels: int = 0
    depth_bits: int = 0
    colours: int = 0


class Broadcast(Struct, frozen=True, kw_only=True):
    """The bext chunk (EBU Tech 3285, version 2). None for a level that was not measured."""

    description: str = ""
    originator: str = ""
    originator_reference: str = ""
    origination_date: str = ""
    origination_time: str = ""
    time_reference_samples: int = 0
    umid: bytes = b""
    """32 or 64 bytes, or none."""
    loudness_value_lufs: float | None = None
    loudness_range_lu: float | None = None
    max_true_peak_dbtp: float | None = None
    max_momentary_lufs: float | None = None
    max_short_term_lufs: float | None = None
    coding_history: str = ""


class Marker(Struct, frozen=True, kw_only=True):
    """A place in the sound, or a stretch of it where the length is not 0."""

    position_samples: int
    length_samples: int = 0
    label: str = ""


class Loop(Struct, frozen=True, kw_only=True):
    """A loop; `end_samples` is the first sample behind it, `count` how often it plays, 0 without end."""

    start_samples: int
    end_samples: int
    count: int = 0


class Metadata(Struct, frozen=True, kw_only=True):
    """All that is known of a file beside its samples.

    tags: by our own names in lower case: title, artist, album, album_artist, track ("3" or "3/12"), disc, date,
    genre, comment, copyright, isrc, composer, label, bpm, key, lyrics, barcode, software, engineer and more
    (`names.py`). What is not known there keeps its own name in lower case.
    """

    tags: dict[str, tuple[str, ...]] = {}
    pictures: tuple[Picture, ...] = ()
    broadcast: Broadcast | None = None
    ixml: bytes = b""
    axml: bytes = b""
    markers: tuple[Marker, ...] = ()
    loops: tuple[Loop, ...] = ()
    channel_mask: int | None = None
    """The loudspeakers' bits as in WAVE_FORMAT_EXTENSIBLE."""

    def is_empty(self) -> bool:
        """Whether there is nothing to keep."""
        return self == Metadata()

    def at_rate(self, from_hz: int, to_hz: int) -> Metadata:
        """The same places in time at another sample rate, each rounded to the nearest sample."""
        if from_hz == to_hz:
            return self

        def moved(samples: int) -> int:
            return (2 * samples * to_hz + from_hz) // (2 * from_hz)

        def marker_moved(marker: Marker) -> Marker:
            start = moved(marker.position_samples)
            # By its end: stretches that touched go on doing so, and none becomes a mere point.
            length = moved(marker.position_samples + marker.length_samples) - start
            return replace(
                marker, position_samples=start, length_samples=max(length, 1) if marker.length_samples else 0
            )

        broadcast = self.broadcast
        if broadcast is not None:
            broadcast = replace(broadcast, time_reference_samples=moved(broadcast.time_reference_samples))
        return replace(
            self,
            markers=tuple(marker_moved(marker) for marker in self.markers),
            loops=tuple(
                replace(loop, start_samples=moved(loop.start_samples), end_samples=moved(loop.end_samples))
                for loop in self.loops
            ),
            broadcast=broadcast,
            ixml=ixml_at_rate(self.ixml, from_hz=from_hz, to_hz=to_hz),
        )

    def without_levels(self) -> Metadata:
        """Without what was true of the source only: its measured levels, its encoder and its length."""
        return replace(self, tags={name: values for name, values in self.tags.items() if not _is_stale(name, values)})

    def with_replay_gain(self, integrated_lufs: float, true_peak_dbtp: float) -> Metadata:
        """With the two ReplayGain 2.0 tags of a track; without them where it is silent."""
        tags = {name: values for name, values in self.tags.items() if not name.startswith("replaygain_track_")}
        if math.isfinite(integrated_lufs):
            tags["replaygain_track_gain"] = (f"{REPLAY_GAIN_LUFS - integrated_lufs:+.2f} dB",)
            tags["replaygain_track_peak"] = (f"{10.0 ** (true_peak_dbtp / 20.0):.6f}",)
        return replace(self, tags=tags)

    def mastered(
        self,
        *,
        sample_rate_hz: int,
        bit_depth: int,
        channels: int,
        integrated_lufs: float | None = None,
        loudness_range_lu: float | None = None,
        max_true_peak_dbtp: float | None = None,
        max_momentary_lufs: float | None = None,
        max_short_term_lufs: float | None = None,
    ) -> Metadata:
        """With the figures of the master in the broadcast fields, and a line more of coding history.

        A figure that is not given is unset: the source's would be wrong. Where there are no broadcast fields
        there are none afterwards; `replace(metadata, broadcast=Broadcast())` beforehand makes some.
        """
        if self.broadcast is None:
            return self
        mode = {1: ",M=mono", 2: ",M=stereo"}.get(channels, "")  # EBU R 98 has no word for more channels
        line = f"A=PCM,F={sample_rate_hz},W={bit_depth}{mode},T=match\r\n"
        before = self.broadcast.coding_history.rstrip("\r\n\0 ")
        return replace(
            self,
            broadcast=replace(
                self.broadcast,
                loudness_value_lufs=integrated_lufs,
                loudness_range_lu=loudness_range_lu,
                max_true_peak_dbtp=max_true_peak_dbtp,
                max_momentary_lufs=max_momentary_lufs,
                max_short_term_lufs=max_short_term_lufs,
                coding_history=f"{before}\r\n{line}" if before else line,
            ),
        )


def _is_stale(name: str, values: tuple[str, ...]) -> bool:
    """Whether a tag tells of the source's level, encoder or length."""
    if name in _STALE or name.startswith(_STALE_STARTS):
        return True
    return name == "software" and any(tool in value.lower() for value in values for tool in _CODEC_TOOLS)
