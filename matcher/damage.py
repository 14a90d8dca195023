"""Damage: what is broken in a file, found in one pass, with the repair for each fault that can be mended.

Every detector of `dsp.restoration` listens to the same blocks. What they find is kept on disk by content hash, like a
profile, so that a file is never searched twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from dsp.audio import Samples
from dsp.chain import Chain, settings_from
from dsp.effect import Settings
from dsp.errors import AudioError, SettingsError
from dsp.restoration.declip import ClipDetector, Clipping
from dsp.restoration.dehum import Hum, HumDetector
from dsp.restoration.denoise import Noise, NoiseDetector
from matcher import cache
from matcher.analysis import ProfileBuilder, Progress, Source, opened
from matcher.io import AudioSource, shown
from matcher.profile import Profile

Restore = Literal["auto", "off", "strong"]
DAMAGE_VERSION = 1
"""Raised whenever a detector finds something else in the same file."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of damage."""

    kind: str
    """A name of `KINDS`."""
    said: str
    """What, where and how bad, in a sentence."""
    repair: Any = None
    """The effect's `Settings`; None where the fault is reported and left alone."""


class Damage(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in a file, in the order in which it is mended."""

    name: str
    content_hash: str
    duration_s: float
    findings: tuple[Finding, ...] = ()

    @property
    def mendable(self) -> tuple[Finding, ...]:
        """What has a repair."""
        return tuple(f for f in self.findings if f.repair is not None)

    @property
    def chain(self) -> Chain:
        """All repairs."""
        return Chain(tuple(f.repair for f in self.mendable))

    def only(self, kinds: Collection[str]) -> Damage:
        """The findings of these kinds."""
        return msgspec.structs.replace(self, findings=tuple(f for f in self.findings if f.kind in kinds))

    def with_finding(self, finding: Finding) -> Damage:
        """This finding in place of the one of its kind."""
        others = {f.kind: f for f in self.findings} | {finding.kind: finding}
        return msgspec.structs.replace(self, findings=tuple(others[kind] for kind in KINDS if kind in others))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON data."""
        found: dict[str, Any] = msgspec.to_builtins(self)
        return found


class Detector(Protocol):
    """What listens to a stream."""

    def update(self, block: Samples) -> None:
        """Take the next (channels, samples)."""

    def result(self) -> Any:
        """What was found; ends the stream."""


@dataclass(frozen=True)
class Kind:
    """One kind of damage: who finds it, and what is made of the finding."""

    detector: Callable[[int, int, bool], Detector]
    """For a rate, a number of channels and whether to believe weaker signs."""
    finding: Callable[[Any, float], tuple[str, Settings | None] | None]
    """A sentence and a repair from the detector's result and the length of the file in s; None where all is well."""


def _clipping(found: Clipping, duration_s: float) -> tuple[str, Settings | None] | None:
    if not found.sides:
        return None
    levels = sorted({round(side.level.level_dbfs, 1) for side in found.sides})
    at = f"{levels[0]:.1f} dBFS" if len(levels) == 1 else f"{levels[0]:.1f} to {levels[-1]:.1f} dBFS"
    plateaus = sum(side.plateaus for side in found.sides)
    repair = found.settings()
    cut = 0.0 if repair is None else sum(section.length_s for section in repair.sections)
    said = f"clipped at {at}: {plateaus} flat tops, {found.samples} samples cut off, in {cut:.1f} s of sound"
    return said, repair


def _hum(found: Hum, duration_s: float) -> tuple[str, Settings | None] | None:
    if found.dehum is None:
        return None
    lines = f"{len(found.harmonics)} line{'s' if len(found.harmonics) > 1 else ''}"
    said = f"mains hum at {found.fundamental_hz:.2f} Hz: {lines}, {found.level_dbfs:.1f} dBFS together"
    return f"{said}, through {found.presence:.0%} of the file", found.dehum


def _noise(found: Noise, duration_s: float) -> tuple[str, Settings | None] | None:
    repair = found.settings()
    if repair is None:
        return None
    return f"steady noise at {found.level_dbfs:.1f} dBFS, {found.snr_db:.0f} dB below the music", repair


KINDS: dict[str, Kind] = {
    "declip": Kind(lambda rate, channels, strong: ClipDetector(rate, channels, strong=strong), _clipping),
    "dehum": Kind(lambda rate, channels, strong: HumDetector(rate, channels, strong=strong), _hum),
    "denoise": Kind(lambda rate, channels, strong: NoiseDetector(rate, channels, strong=strong), _noise),
}
"""In the order of repair: what came last is mended first."""


class Inspector:
    """All detectors at once over one stream."""

    def __init__(self, sample_rate_hz: int, channels: int, *, strong: bool = False) -> None:
        self._detectors = {name: kind.detector(sample_rate_hz, channels, strong) for name, kind in KINDS.items()}

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        for detector in self._detectors.values():
            detector.update(block)

    def result(self, duration_s: float) -> tuple[Finding, ...]:
        """What all of them found; ends the stream."""
        found = []
        for name, detector in self._detectors.items():
            told = KINDS[name].finding(detector.result(), duration_s)
            if told is not None:
                found.append(Finding(kind=name, said=told[0], repair=told[1]))
        return tuple(found)


def inspect(
    source: Source, *, strong: bool = False, use_cache: bool = True, progress: Progress | None = None
) -> Damage:
    """What is broken in a file or an `Audio`, and how it would be mended; nothing is changed.

    strong: believe weaker signs, at the risk of taking music for damage. A file's profile is made in the same pass and
    kept, where it was not known. progress: called with the share done, 0 to 1. Raises FileError, AudioError.
    """
    with opened(source) as audio:
        name = audio.name if audio.path is None else shown(audio.path.name)
        identity = audio.content_hash()
        use_cache = use_cache and audio.path is not None
        kept = _load(identity, strong) if use_cache else None
        if kept is not None:
            return msgspec.structs.replace(kept, name=name)
        wanted = use_cache and cache.load(identity) is None
        profile, findings = _searched(audio, name, identity, strong, wanted, progress)
        found = Damage(name=name, content_hash=identity, duration_s=round(audio.duration_s, 3), findings=findings)
    if profile is not None:
        cache.store(profile)
    if use_cache:
        with contextlib.suppress(OSError):
            cache.put(cache.kept("damage", _key(identity, strong)), msgspec.json.encode(found))
    return found


def noise_between(audio: AudioSource, span_s: tuple[float, float]) -> Finding:
    """The noise that a stretch of `audio` holds, believed as it is; span_s: its start and end. AudioError beyond it."""
    detector = NoiseDetector(audio.sample_rate_hz, audio.channels, span_s=span_s)
    for block in audio.blocks():
        detector.update(block)
    told = _noise(detector.result(), audio.duration_s)
    if told is None:
        raise AudioError(f"{audio.name}: there is no sound from {span_s[0]:g} to {span_s[1]:g} s to take for noise")
    return Finding(kind="denoise", said=told[0], repair=told[1])


def _searched(
    audio: AudioSource, name: str, identity: str, strong: bool, wanted: bool, progress: Progress | None
) -> tuple[Profile | None, tuple[Finding, ...]]:
    """One pass for the damage, and for the profile where it is wanted."""
    inspector = Inspector(audio.sample_rate_hz, audio.channels, strong=strong)
    builder = ProfileBuilder(audio.sample_rate_hz, audio.channels) if wanted else None
    taken = 0
    for block in audio.blocks():
        inspector.update(block)
        if builder is not None:
            builder.update(block)
        taken += block.shape[1]
        if progress is not None:
            progress(min(1.0, taken / max(audio.length_samples, 1)))
    profile = None if builder is None else builder.result(name, identity)
    return profile, inspector.result(audio.duration_s)


def _key(content_hash: str, strong: bool) -> str:
    return f"{content_hash}-{'strong' if strong else 'auto'}-{DAMAGE_VERSION}.json"


def _load(content_hash: str, strong: bool) -> Damage | None:
    """What was found before, or None where that cannot be read."""
    try:
        data = msgspec.json.decode(cache.kept("damage", _key(content_hash, strong)).read_bytes())
        found = msgspec.convert(data, Damage)
        repairs = [None if f.repair is None else settings_from(f.repair) for f in found.findings]
    except (OSError, msgspec.DecodeError, msgspec.ValidationError, SettingsError):
        return None
    findings = (msgspec.structs.replace(f, repair=r) for f, r in zip(found.findings, repairs, strict=True))
    return msgspec.structs.replace(found, findings=tuple(findings))
