"""Plan: the chain with the reason for every step, as one JSON that a person can edit."""

from __future__ import annotations

import re
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from dsp.chain import Chain, settings_from
from dsp.effect import Bounded, Settings, with_value
from dsp.errors import PlanError, SettingsError
from matcher.aims import Aims
from matcher.version import VERSION

FORMAT = "match-plan"
PLAN_VERSION = 1
"""Raised whenever an older program would misread a plan."""


class Step(Bounded, frozen=True, kw_only=True):
    """One effect in a plan."""

    settings: Any
    """The effect's `Settings`."""
    because: str = ""
    enabled: bool = True
    amount: Annotated[float, Meta(ge=0.0, le=1.0)] = 1.0
    """How much of the step is made; a limiter is made whole or, disabled, not at all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.settings, Settings):
            raise SettingsError(f"step.settings: {self.settings!r} is no effect's settings")

    @property
    def effect(self) -> str:
        """Its name, as in JSON."""
        return str(self.settings.__struct_config__.tag)

    @property
    def effective(self) -> Settings:
        """The settings with the amount taken in."""
        settings: Settings = self.settings
        return settings if self.amount == 1.0 else settings.scaled(self.amount)


class Track(Bounded, frozen=True, kw_only=True, omit_defaults=True):
    """Which file was measured."""

    name: str
    content_hash: str
    sample_rate_hz: int
    channels: int
    integrated_lufs: float
    serves: tuple[str, ...] = ()
    """What was taken from a reference where that was not everything: `tone` (with width), `dynamics`, `loudness`."""


class Curve(Bounded, frozen=True, kw_only=True):
    """A difference over `Believed.frequency_hz`, reference minus target, dB, and what is made of it."""

    heard: tuple[bool, ...]
    """Where both have signal; elsewhere the figures say nothing."""
    difference_db: tuple[float, ...]
    """What was measured."""
    believed_db: tuple[float, ...]
    """What of it is taken for mastering; the rest is the music's own."""
    sd_db: tuple[float, ...]
    """How sure that is: one standard deviation."""
    wanted_db: tuple[float, ...]
    """What of the belief is asked of the chain, after `--amount` and its like."""


class Figure(Bounded, frozen=True, kw_only=True):
    """One figure of density, dB: both tracks, and what is made of the difference as in `Curve`."""

    name: str
    target_db: float
    reference_db: float
    believed_db: float
    wanted_db: float


class Believed(Bounded, frozen=True, kw_only=True):
    """What was measured between target and reference, and how much of it was taken for mastering.

    Everything that a report needs to tell the music's own from what was left undone.
    """

    frequency_hz: tuple[float, ...]
    tone: Curve
    """Third octaves of the mid at equal loudness."""
    side: Curve | None = None
    """Third octaves of the side against the mid; None where either has no side."""
    density: tuple[Figure, ...] = ()
    music_db: float
    """How far the pieces themselves are inferred to differ in tone."""


class Plan(Bounded, frozen=True, kw_only=True):
    """Everything the engine decided. Rendering it again gives the same samples."""

    target: Track
    references: tuple[Track, ...] = ()
    aims: Aims = Aims()
    """What was asked for when it was made; rendering does not look at it."""
    goal_lufs: float | None = None
    """The loudness the result should measure; None where the ceiling or the cap on limiting decides."""
    steps: tuple[Step, ...] = ()
    remarks: tuple[str, ...] = ()
    """What could not be reached or was left alone, and why."""
    warnings: tuple[str, ...] = ()
    """What is odd about the files it was made from."""
    believed: Believed | None = None
    """What the steps rest on; rendering does not look at it."""
    made_by: str = f"match {VERSION}"

    @property
    def chain(self) -> Chain:
        """The effects of the enabled steps, in order, behind the repairs."""
        return Chain(tuple(step.effective for step in self.steps if step.enabled and not step.settings.repairs))

    @property
    def repairs(self) -> Chain:
        """What mends the target, and only the file it was found in."""
        return Chain(tuple(step.effective for step in self.steps if step.enabled and step.settings.repairs))

    def step(self, effect: str) -> Step | None:
        """The first step with an effect of this name."""
        for step in self.steps:
            if step.effect == effect:
                return step
        return None

    def to_json(self) -> str:
        """The plan as indented JSON that `from_json` reads."""
        data = {"format": FORMAT, "version": PLAN_VERSION, **msgspec.to_builtins(self)}
        text = msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
        # Rows of numbers on one line each; no string can hold such a row, for want of line breaks.
        return re.sub(r"\[\n([-+.\w\s,]+)\n\s*\]", lambda row: f"[{' '.join(row[1].split())}]", text)

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Read a plan; PlanError names the field, its value and what is allowed."""
        try:
            data = msgspec.json.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PlanError(f"not a plan: {error}") from error
        if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
            raise PlanError(f'not a plan: no "format": "{FORMAT}" in it')
        version = data.pop("version", None)
        if not isinstance(version, int) or isinstance(version, bool) or version < 1:
            raise PlanError(f"version: {version!r} is not a whole number from 1 to {PLAN_VERSION}")
        if version > PLAN_VERSION:
            made_by = data.get("made_by", "a newer program")
            raise PlanError(f"version: {version} is newer than {PLAN_VERSION}, which is read here (made by {made_by})")
        try:
            return msgspec.convert({**data, "steps": _with_settings(data.get("steps", []))}, cls)
        except (msgspec.ValidationError, SettingsError) as error:
            raise PlanError(with_value(str(error), data)) from error


def _with_settings(steps: Any) -> Any:
    """The steps with their settings made; what is no step is left for msgspec to refuse."""
    if not isinstance(steps, list):
        return steps
    made = []
    for index, step in enumerate(steps):
        if isinstance(step, dict) and "settings" in step:
            try:
                step = {**step, "settings": settings_from(step["settings"])}
            except SettingsError as error:
                raise SettingsError(f"steps[{index}].settings: {error}") from error
        made.append(step)
    return made
