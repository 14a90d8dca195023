"""Damage: what is broken in a file, found in one pass, with the repair for each fault that can be mended.

Every detector of `dsp.restoration` listens to the same blocks. What they find is kept on disk by content hash, like a
profile, so that a file is never searched twice.
"""

from __future__ import annotations

import contextlib
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol

import msgspec
import numpy as np

from dsp.audio import Samples
from dsp.chain import Chain, settings_from
from dsp.effect import Settings
from dsp.errors import AudioError, SettingsError
from dsp.restoration.bridge import Bridge
from dsp.restoration.dcoffset import Dcoffset
from dsp.restoration.declick import ClickDetector, ClickReport, look_closely
from dsp.restoration.declip import ClipDetector, Clipping, Declip
from dsp.restoration.denoise import Noise, NoiseDetector
from dsp.restoration.dropout import DropoutDetector, DropoutReport
from dsp.restoration.events import Event
from dsp.restoration.faults import FaultDetector, Faults
from dsp.restoration.humdetection import Hum, HumDetector
from dsp.restoration.polarity import Polarity
from dsp.restoration.rumble import Rumble
from matcher import cache
from matcher.analysis import ProfileBuilder, Progress, Source, opened
from matcher.io import AudioSource, need_stereo, shown
from matcher.profile import Profile

Restore = Literal["auto", "off", "strong"]
DAMAGE_VERSION = 6
"""Raised whenever a detector finds something else in the same file."""
SUDDEN = ("dropout", "declick")
"""What is bridged before the other kinds are looked for a second time."""
MOST_LISTED = 5
"""Times that are told in a sentence; the plan has them all."""
NEAR_S, SAME_DB, BEYOND_DB = 0.0002, 0.001, 0.2
"""A click this near to a sample at the clip level, or this little below it, must reach this far beyond it."""


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
        """This finding in place of those of its kind."""
        found = [*(f for f in self.findings if f.kind != finding.kind), finding]
        return msgspec.structs.replace(self, findings=tuple(sorted(found, key=lambda f: list(KINDS).index(f.kind))))

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


Told = Iterable[tuple[str, Settings | None]]
"""A sentence for each fault, and its repair; None where it is reported and left alone."""


@dataclass(frozen=True)
class Kind:
    """One kind of damage: who finds it, and what is made of the finding."""

    detector: Callable[..., Detector]
    """For a rate and a number of channels; `strong` believes weaker signs."""
    told: Callable[[Any], Told]
    """What its result comes to; nothing where all is well."""


def _dropouts(found: DropoutReport) -> Told:
    repair = found.settings()
    if repair is not None:
        yield f"{_listed('gap', [gap.event for gap in found.gaps])}", repair
    if found.long:
        yield f"{_listed('gap', [gap.event for gap in found.long])}, too long to be filled in", None


def _listed(name: str, events: list[Event]) -> str:
    """How many, how long, and where the first few are; channels that fail together count once."""
    starts = sorted({round(event.start_s, 3) for event in events})
    longest_ms = 1000.0 * max(event.length_s for event in events)
    where = ", ".join(f"{start:.3f}" for start in starts[:MOST_LISTED])
    more = " and more" if len(starts) > MOST_LISTED else ""
    many = f"a {name}" if len(starts) == 1 else f"{len(starts)} {name}s"
    return f"{many} of up to {longest_ms:.1f} ms at {where} s{more}"


def _clicks(found: ClickReport) -> Told:
    repair = found.settings()
    if repair is None:
        return
    standing_db = float(np.median(found.prominence_db))
    yield f"{_listed('click', list(found.clicks))}, {standing_db:.0f} dB above the sound around them in median", repair


def _clipping(found: Clipping) -> Told:
    if not found.sides:
        return
    levels = sorted({round(side.level.level_dbfs, 1) for side in found.sides})
    at = f"{levels[0]:.1f} dBFS" if len(levels) == 1 else f"{levels[0]:.1f} to {levels[-1]:.1f} dBFS"
    plateaus = sum(side.plateaus for side in found.sides)
    repair = found.settings()
    sections = () if repair is None else repair.sections
    cut_s = max(sum(s.length_s for s in sections if s.channel == channel) for channel in range(64))
    yield f"clipped at {at}: {plateaus} flat tops, {found.samples} samples cut off, in {cut_s:.1f} s of sound", repair


def _hum(found: Hum) -> Told:
    repair = found.settings()
    if repair is None:
        return
    lines = f"{len(found.harmonics)} line{'s' if len(found.harmonics) > 1 else ''}"
    said = f"mains hum at {found.fundamental_hz:.2f} Hz: {lines}, {found.level_dbfs:.1f} dBFS together"
    yield f"{said}, through {found.presence:.0%} of the file", repair


def _noise(found: Noise) -> Told:
    repair = found.settings()
    if repair is not None:
        yield f"steady noise at {found.level_dbfs:.1f} dBFS, {found.snr_db:.0f} dB below the music", repair


def _faults(found: Faults) -> Told:
    for repair in found.settings():
        if isinstance(repair, Dcoffset):
            offsets = " and ".join(f"{100.0 * offset:+.2f} %" for offset in found.offsets)
            yield f"DC offset of {offsets} of full scale", repair
        elif isinstance(repair, Polarity):
            yield f"the channels are of opposite polarity (correlation {found.correlation:.2f} when aligned)", repair
        else:
            late = "right" if found.late_ms > 0.0 else "left"
            yield f"the {late} channel is late by {abs(found.late_ms):.3f} ms", repair
    if found.highpass_hz > 0.0:
        yield f"rumble below the music, {found.rumble_dbfs:.1f} dBFS", Rumble(below_hz=min(found.highpass_hz, 60.0))


KINDS: dict[str, Kind] = {
    "dropout": Kind(DropoutDetector, _dropouts),
    "declick": Kind(ClickDetector, _clicks),
    "declip": Kind(ClipDetector, _clipping),
    "dehum": Kind(HumDetector, _hum),
    "faults": Kind(FaultDetector, _faults),
    "denoise": Kind(NoiseDetector, _noise),
}
"""In the order of repair: what came last is mended first."""


class Inspector:
    """All detectors, or those of some kinds, at once over one stream."""

    def __init__(
        self, sample_rate_hz: int, channels: int, *, strong: bool = False, kinds: Iterable[str] = tuple(KINDS)
    ) -> None:
        self._detectors = {name: KINDS[name].detector(sample_rate_hz, channels, strong=strong) for name in kinds}

    def update(self, block: Samples) -> None:
        """Add (channels, n) samples."""
        for detector in self._detectors.values():
            detector.update(block)

    def results(self) -> dict[str, Any]:
        """What each of them found; ends the stream."""
        return {name: detector.result() for name, detector in self._detectors.items()}


def told(results: dict[str, Any]) -> tuple[Finding, ...]:
    """Results of detectors as findings, in the order of repair."""
    return tuple(
        Finding(kind=name, said=said, repair=repair)
        for name in KINDS
        if name in results
        for said, repair in KINDS[name].told(results[name])
    )


def _clipped_behind(audio: AudioSource, events: Iterable[Event], strong: bool) -> Clipping:
    """What is clipped in a file: clicks reach above the clip level and hide it, and what they are replaced by may reach
    above it too, so those that stand out of the rest are silent to the detector."""
    ordered = sorted(events, key=lambda event: event.start_s)
    highest, lowest = np.zeros(audio.channels), np.zeros(audio.channels)
    for block in _silenced(audio, ordered):
        highest, lowest = np.maximum(highest, block.max(axis=1)), np.minimum(lowest, block.min(axis=1))
    high = []
    for event in ordered:
        first, stop = event.span_samples(audio.sample_rate_hz)
        samples = audio.read(first, stop - first)[event.channel]
        if samples.max(initial=0.0) > highest[event.channel] or samples.min(initial=0.0) < lowest[event.channel]:
            high.append(event)
    detector = ClipDetector(audio.sample_rate_hz, audio.channels, strong=strong)
    for block in _silenced(audio, high):
        detector.update(block)
    return detector.result()


def _bridged(audio: AudioSource, events: Iterable[Event]) -> Iterator[Samples]:
    """The blocks of a file, with straight lines over each event."""
    bridge = Bridge(events, audio.sample_rate_hz, audio.channels)
    for block in audio.blocks():
        yield bridge.process(block)
    rest = bridge.finish()
    if rest is not None:
        yield rest


def _silenced(audio: AudioSource, events: Iterable[Event]) -> Iterator[Samples]:
    """The blocks of a file, silent in each event."""
    waiting = deque(sorted((*event.span_samples(audio.sample_rate_hz), event.channel) for event in events))
    begun: list[tuple[int, int, int]] = []
    position = 0
    for block in audio.blocks():
        end = position + block.shape[1]
        while waiting and waiting[0][0] < end:
            begun.append(waiting.popleft())
        block = block.copy()
        for first, stop, channel in begun:
            block[channel, max(0, first - position) : stop - position] = 0.0
        yield block
        begun = [span for span in begun if span[1] > end]
        position = end


def _without_corners(audio: AudioSource, clicks: ClickReport, clipping: Clipping) -> ClickReport:
    """Without the corners of clipped waves, which are as sudden as clicks: those that stay within the clip level."""
    repair = clipping.settings()
    if repair is None or not clicks.clicks:
        return clicks
    kept = [index for index, click in enumerate(clicks.clicks) if not _is_corner(audio, click, repair)]
    return replace(
        clicks,
        clicks=tuple(clicks.clicks[index] for index in kept),
        prominence_db=tuple(clicks.prominence_db[index] for index in kept),
    )


def _is_corner(audio: AudioSource, click: Event, repair: Declip) -> bool:
    """Whether a click lies beside what its channel is cut off at, and does not reach beyond it."""
    first, stop = click.span_samples(audio.sample_rate_hz)
    near = max(1, round(NEAR_S * audio.sample_rate_hz))
    start = max(0, first - near)
    around = audio.read(start, stop + near - start)[click.channel]
    inside = around[first - start : stop - start]
    beside = False
    for level in repair.levels:
        if level.channel == click.channel:
            sign = 1.0 if level.polarity == "high" else -1.0
            if (sign * inside).max(initial=0.0) > 10.0 ** ((level.level_dbfs + BEYOND_DB) / 20.0):
                return False
            beside |= bool((sign * around).max(initial=0.0) >= 10.0 ** ((level.level_dbfs - SAME_DB) / 20.0))
    return beside


def inspect(
    source: Source, *, strong: bool = False, use_cache: bool = True, progress: Progress | None = None
) -> Damage:
    """What is broken in a file or an `Audio`, and how it would be mended; nothing is changed.

    strong: believe weaker signs, at the risk of taking music for damage. A file's profile is made in the same pass and
    kept, where it was not known. progress: called with the share done, 0 to 1. Raises FileError, AudioError.
    """
    with opened(source) as audio:
        need_stereo(audio, "the search for damage")
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
    for said, repair in _noise(detector.result()):
        return Finding(kind="denoise", said=said, repair=repair)
    raise AudioError(f"{audio.name}: there is no sound from {span_s[0]:g} to {span_s[1]:g} s to take for noise")


def _searched(
    audio: AudioSource, name: str, identity: str, strong: bool, wanted: bool, progress: Progress | None
) -> tuple[Profile | None, tuple[Finding, ...]]:
    """One pass for the damage, and for the profile where it is wanted."""
    inspector = Inspector(audio.sample_rate_hz, audio.channels, strong=strong)
    builder = None
    if wanted:
        builder = ProfileBuilder(audio.sample_rate_hz, audio.channels, expected_samples=audio.length_samples)
    taken = 0
    with ThreadPoolExecutor(1) as beside:
        for block in audio.blocks():
            searched = beside.submit(inspector.update, block)
            if builder is not None:
                builder.update(block)
            searched.result()
            taken += block.shape[1]
            if progress is not None:
                progress(min(1.0, taken / max(audio.length_samples, 1)))
        found = beside.submit(inspector.results)
        profile = None if builder is None else builder.result(name, identity)
        results = found.result()
    if results["declick"].clicks and not strong:
        results["declick"] = look_closely(audio.blocks(), audio.sample_rate_hz, audio.channels)
    results["declick"] = _without_corners(audio, results["declick"], results["declip"])
    events = (*results["declick"].clicks, *(gap.event for gap in results["dropout"].gaps))
    if events:
        # A burst of noise hides what lies under it: the rest is listened to again.
        later = Inspector(audio.sample_rate_hz, audio.channels, strong=strong, kinds=set(KINDS) - {*SUDDEN, "declip"})
        for block in _bridged(audio, events):
            later.update(block)
        results |= later.results()
        results["declip"] = _clipped_behind(audio, events, strong)
        results["declick"] = _without_corners(audio, results["declick"], results["declip"])
    return profile, told(results)


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
