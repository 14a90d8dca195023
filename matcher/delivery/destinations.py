"""The places where music is played: what each asks of a file, and what it does to it.

The figures are of November 2026. Few services publish theirs; how far each can be trusted is part of the table.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from dsp.errors import SettingsError

Turns = Literal["up and down", "down", "never"]
Sure = Literal["published", "reported", "custom"]
"""Read at the service itself; told by others; or what people in the trade do."""

STUDIO_RATES_HZ = (44_100, 48_000, 88_200, 96_000, 176_400, 192_000)


class Destination(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a master is played."""

    name: str
    """What `--for` calls it."""
    title: str
    plays_at_lufs: float | None = None
    """The loudness that it turns tracks to; None where it leaves the level alone."""
    turns: Turns = "never"
    headroom_dbtp: float | None = None
    """It turns nothing up beyond this true peak."""
    ceiling_dbtp: float
    """No true peak above this, before the codec and behind it."""
    loud_ceiling: tuple[float, float] | None = None
    """Louder than the first (LUFS), the second is the ceiling (dBTP)."""
    goal_lufs: float | None = None
    """The loudness that it demands of the file itself, within `tolerance_lu`."""
    tolerance_lu: float = 0.0
    rates_hz: tuple[int, ...] = STUDIO_RATES_HZ
    bit_depth: Literal[16, 24] = 24
    """Of the file that is made for it."""
    bit_depths: tuple[int, ...] = (16, 24)
    """That it takes."""
    codecs: tuple[str, ...] = ()
    """What listeners may get instead of the file."""
    mono_below_hz: float | None = None
    """Below this the stereo has to be in phase."""
    sure: Sure
    source: str

    def ceiling_for(self, integrated_lufs: float) -> float:
        """The highest true peak allowed of a track of this loudness, dBTP."""
        if self.loud_ceiling is not None and integrated_lufs > self.loud_ceiling[0]:
            return self.loud_ceiling[1]
        return self.ceiling_dbtp

    def playback_gain_db(self, integrated_lufs: float, true_peak_dbtp: float) -> float:
        """How much it turns a track up or down."""
        if self.plays_at_lufs is None or self.turns == "never":
            return 0.0
        gain_db = self.plays_at_lufs - integrated_lufs
        if self.turns == "down":
            return min(gain_db, 0.0)
        if gain_db > 0.0 and self.headroom_dbtp is not None:
            return min(gain_db, max(0.0, self.headroom_dbtp - true_peak_dbtp))
        return gain_db

    def rate_for(self, sample_rate_hz: int) -> int:
        """The rate of the file for it: the track's own where it is taken, else the next one above, else the highest."""
        if sample_rate_hz in self.rates_hz:
            return sample_rate_hz
        return min((hz for hz in self.rates_hz if hz > sample_rate_hz), default=max(self.rates_hz))


DESTINATIONS = (
    Destination(
        name="spotify", title="Spotify", plays_at_lufs=-14.0, turns="up and down", headroom_dbtp=-1.0,
        ceiling_dbtp=-1.0, loud_ceiling=(-14.0, -2.0), codecs=("vorbis:320", "aac:256"),
        sure="published", source="support.spotify.com, loudness normalization",
    ),
    Destination(
        name="apple", title="Apple Music", plays_at_lufs=-16.0, turns="up and down", headroom_dbtp=-1.0,
        ceiling_dbtp=-1.0, bit_depths=(24,), codecs=("aac:256",),
        sure="reported", source="Apple Digital Masters brief: no clipping behind AAC 256; its level is told by others",
    ),
    Destination(
        name="youtube", title="YouTube", plays_at_lufs=-14.0, turns="down", ceiling_dbtp=-1.0,
        codecs=("opus:128", "aac:128"), sure="reported", source="its own statistics panel, read by others",
    ),
    Destination(
        name="tidal", title="TIDAL", plays_at_lufs=-14.0, turns="down", ceiling_dbtp=-1.0,
        sure="reported", source="meterplugs.com, who asked TIDAL in 2016",
    ),
    Destination(
        name="amazon", title="Amazon Music", plays_at_lufs=-14.0, turns="down", ceiling_dbtp=-2.0,
        sure="custom", source="third parties alone",
    ),
    Destination(
        name="soundcloud", title="SoundCloud", plays_at_lufs=-14.0, turns="down", ceiling_dbtp=-1.0,
        codecs=("mp3:128", "opus:64"), sure="custom", source="third parties, who disagree about the level",
    ),
    Destination(
        name="bandcamp", title="Bandcamp", ceiling_dbtp=-1.0, codecs=("mp3:320",),
        sure="custom", source="third parties; listeners may download the file itself",
    ),
    Destination(
        name="cd", title="CD", ceiling_dbtp=-0.3, rates_hz=(44_100,), bit_depth=16, bit_depths=(16,),
        sure="published", source="IEC 60908 for the format; the ceiling is custom",
    ),
    Destination(
        name="vinyl", title="vinyl", ceiling_dbtp=-1.0, rates_hz=(44_100, 48_000, 88_200, 96_000), bit_depths=(24,),
        mono_below_hz=150.0, sure="custom", source="the advice of cutting rooms",
    ),
    Destination(
        name="broadcast", title="broadcast", ceiling_dbtp=-1.0, goal_lufs=-23.0, tolerance_lu=0.2,
        rates_hz=(48_000,), bit_depths=(24,), sure="published", source="EBU R 128 and Tech 3343 (2023)",
    ),
    Destination(
        name="podcast", title="podcast", ceiling_dbtp=-1.0, goal_lufs=-16.0, tolerance_lu=1.0,
        rates_hz=(44_100, 48_000), codecs=("aac:128", "mp3:128"),
        sure="published", source="podcasters.apple.com, audio requirements",
    ),
    Destination(
        name="club", title="club", ceiling_dbtp=-0.3, codecs=("mp3:320",), mono_below_hz=120.0,
        sure="custom", source="the advice of record pools and engineers",
    ),
)  # fmt: skip
BY_NAME = {place.name: place for place in DESTINATIONS}


def destinations(names: tuple[str, ...]) -> tuple[Destination, ...]:
    """Those of these names, each once; SettingsError for a name that is none of them."""
    for name in names:
        if name not in BY_NAME:
            raise SettingsError(f"destination: {name!r} is not one of {', '.join(BY_NAME)}")
    return tuple(BY_NAME[name] for name in dict.fromkeys(names))
