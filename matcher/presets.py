"""Presets: the centre and spread of a kind of music, learned from a corpus, as one JSON without any sound.

A preset keeps the features of each of its tracks, so that two can be joined by the content of their tracks and
estimated anew. Reading one executes nothing and opens no other file.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from dsp.effect import Bounded, with_value
from dsp.errors import FileError, PresetError, SettingsError
from matcher.features import Array, Features, Hash, Spread, Text
from matcher.io import shown
from matcher.reference import Reference
from matcher.version import VERSION

FORMAT = "match-preset"
PRESET_VERSION = 1
"""Raised whenever an older program would misread a preset."""
LARGEST_BYTES = 256 * 1024 * 1024
FIGURES = (
    "integrated_lufs", "range_lu", "true_peak_dbtp", "plr_db", "crest_db", "tilt_db_oct", "overall_width_db",
    "correlation",
)  # fmt: skip
"""What `matcher.distance` compares."""

Number = Annotated[float, Meta(ge=-1e6, le=1e6)]
Positive = Annotated[float, Meta(ge=0.0, le=1e6)]
Count = Annotated[int, Meta(ge=1, le=2**53)]
Row = tuple[Number, ...]
Name = Annotated[str, Meta(min_length=1, max_length=80, pattern=r"^[^./\\\x00-\x1f][^/\\\x00-\x1f]*$")]
"""Of a preset, and of its file."""
BANDS, DENSITIES = 30, 5


class Style(Bounded, frozen=True, kw_only=True):
    """A centre, and how far tracks of this kind lie around it."""

    title: Text
    """How it differs from the preset's other styles, in plain words; empty for an only one."""
    tracks: Count
    centre: Features
    tone: tuple[Row, ...]
    """Covariance of third octaves of the mid at equal loudness, dB²."""
    width: tuple[Row, ...]
    """The same of the side against the mid."""
    density: tuple[Row, ...]
    """Covariance of the five figures of compression, dB²."""
    figures: dict[str, Positive]
    """Standard deviation of each of `FIGURES`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in (("tone", BANDS), ("width", BANDS), ("density", DENSITIES)):
            rows = getattr(self, name)
            if len(rows) != size or any(len(row) != size for row in rows):
                raise SettingsError(f"style.{name}: is not a table of {size} by {size} numbers")
            matrix = np.array(rows)
            if not np.allclose(matrix, matrix.T) or np.linalg.eigvalsh(matrix)[0] < -1e-3:
                raise SettingsError(f"style.{name}: is no covariance: not symmetric, or negative in some direction")
        missing = [name for name in FIGURES if name not in self.figures]
        if missing:
            raise SettingsError(f"style.figures: {missing[0]} is missing")

    @property
    def spread(self) -> Spread:
        """Of a further track about the centre: the centre itself is a mean of few."""
        more = 1.0 + 1.0 / self.tracks
        return Spread(
            tone=np.array(self.tone) * more,
            width=np.array(self.width) * more,
            density=np.array(self.density) * more,
            loudness_lu=self.figures["integrated_lufs"] * more**0.5,
            figures={name: self.figures[name] for name in FIGURES},
        )


class Sums(Bounded, frozen=True, kw_only=True):
    """What is kept of very many tracks: whole numbers, so that no order and no grouping changes them.

    Deviations from `first`, an estimate from the tracks with the lowest hashes, which stays as it is.
    """

    first: tuple[Style, ...]
    median: Row
    scale: Row
    cut: Positive
    """Tracks further from the median than this are left out."""
    hashes: tuple[Hash, ...]
    """Of all tracks, those left out as well, sorted."""
    left_out: Annotated[int, Meta(ge=0)]
    milliseconds: Annotated[int, Meta(ge=0)]
    counts: tuple[tuple[int, ...], ...]
    """For each style, in how many tracks each feature was heard."""
    totals: tuple[tuple[int, ...], ...]
    """For each style, the sum of each feature's deviation, in thousandths."""
    products: tuple[tuple[int, ...], ...]
    """For each style, the sums of the deviations' products, the upper triangle row by row, in millionths."""


class Preset(Bounded, frozen=True, kw_only=True, dict=True):
    """What `match learn` has made of a corpus."""

    name: Name
    source: Text = ""
    """Where the tracks come from."""
    licence: Text = ""
    """Of the tracks."""
    made_at: Text = ""
    made_by: Text = f"match {VERSION}"
    styles: Annotated[tuple[Style, ...], Meta(min_length=1, max_length=16)]
    left_out: tuple[Hash, ...] = ()
    """Tracks that are unlike the others and have no say."""
    tracks: tuple[Features, ...] = ()
    """By content hash, those left out as well; none where `sums` are kept."""
    sums: Sums | None = None

    @cached_property
    def content_hash(self) -> str:
        """Of what it says, whenever and by whatever version it was made."""
        said = msgspec.json.encode([self.styles, [t.content_hash for t in self.tracks], self.sums])
        return hashlib.blake2b(said, digest_size=16).hexdigest()

    @property
    def count(self) -> int:
        """How many tracks it was learned from, without those left out."""
        return sum(style.tracks for style in self.styles)

    @property
    def minutes(self) -> float:
        """How long its tracks play together."""
        if self.sums is not None:
            return self.sums.milliseconds / 60_000.0
        return sum(t.duration_s for t in self.tracks) / 60.0

    @property
    def names_left_out(self) -> list[str]:
        """The names of the tracks without a say, where they are kept."""
        return [t.name for t in self.tracks if t.content_hash in set(self.left_out)]

    def reference(self, style: Style, chosen: str = "") -> Reference:
        """A style as something to be matched to."""
        own = f" ({style.title})" if style.title else ""
        name = f"the preset {self.name}{own}"
        centre = msgspec.structs.replace(style.centre, name=name, content_hash=self.content_hash)
        return Reference(tone=(centre,), dynamics=(centre,), loudness=(centre,), spread=style.spread, chosen=chosen)

    def to_json(self) -> bytes:
        """The preset as JSON that `from_json` reads, a track a line."""
        data = {"format": FORMAT, "version": PRESET_VERSION, **msgspec.to_builtins(self)}
        tracks = data.pop("tracks")
        head = msgspec.json.format(msgspec.json.encode(data), indent=0)
        lines = b",\n".join(msgspec.json.encode(track) for track in tracks)
        return head[: head.rindex(b"}")] + b',"tracks":[\n' + lines + b"\n]}\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Preset:
        """Read a preset; PresetError names the field, its value and what is allowed."""
        try:
            data = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PresetError(f"not a preset: {error}") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise PresetError(f'not a preset: no "format": "{FORMAT}" in it')
        version = data.pop("version", None)
        if not isinstance(version, int) or isinstance(version, bool) or not 1 <= version <= PRESET_VERSION:
            raise PresetError(f"version: {version!r} is not a whole number from 1 to {PRESET_VERSION}")
        try:
            return msgspec.convert(data, cls)
        except (msgspec.ValidationError, SettingsError) as error:
            raise PresetError(with_value(str(error), data)) from error


def read_preset(path: Path | str) -> Preset:
    """The preset in a file; FileError where it cannot be read, PresetError where it is none."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST_BYTES:
            raise PresetError(f"{shown(path)}: is larger than {LARGEST_BYTES >> 20} MiB; no preset is")
        text = path.read_bytes()
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    try:
        return Preset.from_json(text)
    except PresetError as error:
        raise PresetError(f"{shown(path)}: {error}") from error


def checked_name(name: str) -> str:
    """A name that a preset may have; SettingsError otherwise."""
    try:
        return msgspec.convert(name, Name)
    except msgspec.ValidationError as error:
        raise SettingsError(f"name: {name!r} is not 1 to 80 characters without slashes, not a dot first") from error


def as_rows(covariance: Array) -> tuple[Row, ...]:
    """A covariance as it is written; what rounding inside a product made of its symmetry is made good."""
    return tuple(tuple(round(float(v), 5) + 0.0 for v in row) for row in (covariance + covariance.T) / 2.0)
