"""The contract of an effect: bounded `Settings` that travel, and the `Processor` they make."""

from __future__ import annotations

import functools
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Self

import msgspec
import numpy as np

from dsp.audio import Samples
from dsp.errors import SettingsError


class Bounded(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A frozen record whose `Annotated[..., Meta(ge=, le=)]` bounds hold however it is built.

    msgspec checks bounds only when decoding; this checks them in the constructor too. Raises SettingsError.
    """

    def __post_init__(self) -> None:
        owner = type(self).__name__.lower()
        for name, allowed in _bounds(type(self)).items():
            value = getattr(self, name)
            if value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise SettingsError(f"{owner}.{name}: {value!r} is not a finite number")
            low, high = allowed
            if not low <= value <= high:
                raise SettingsError(f"{owner}.{name}: {value!r} is not within {low:g} to {high:g}")
            if type(value) not in (int, float):  # NumPy's floats pass for floats, but not into JSON
                msgspec.structs.force_setattr(self, name, float(value))


@functools.cache
def _bounds(cls: type[Bounded]) -> dict[str, tuple[float, float]]:
    """Name to (low, high) of every number field that carries bounds."""
    found: dict[str, tuple[float, float]] = {}
    for field in msgspec.inspect.type_info(cls).fields:  # type: ignore[attr-defined]
        kinds = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        for kind in kinds:
            if isinstance(kind, msgspec.inspect.FloatType | msgspec.inspect.IntType):
                low = -math.inf if kind.ge is None else kind.ge
                high = math.inf if kind.le is None else kind.le
                found[field.name] = (low, high)
    return found


def with_value(message: str, data: Any) -> str:
    """A msgspec message with the value it complains about: its path `$.bands[0].q` is looked up in `data`."""
    text, _, path = message.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    value = data
    try:
        for part in path.replace("]", "").replace("[", ".").split("."):
            value = value[int(part)] if part.isdigit() else value[part]
    except (KeyError, IndexError, TypeError):
        return f"{path}: {text}" if path else text
    return f"{path}: {text}" if isinstance(value, dict | list) else f"{path}: {value!r}: {text}"


class Settings(Bounded, frozen=True, kw_only=True, tag_field="effect", tag=str.lower):
    """What an effect is asked to do; its defaults change nothing.

    Subclass it in a file of `dsp/effects` or `dsp/restoration`: that alone makes the effect known to chains, plans
    and tests. The JSON name of the effect is the class's name in lower case. Bounds stand in the annotations.
    """

    title: ClassVar[str] = ""
    """What the effect does, in a few words for a listing."""
    repairs: ClassVar[bool] = False
    """Whether it mends the file it was planned for: at the file's own rate, before everything else."""

    @abstractmethod
    def is_neutral(self) -> bool:
        """Whether processing would return the input as it is."""

    @abstractmethod
    def processor(self, sample_rate_hz: int, channels: int) -> Processor:
        """A fresh processor for one stream."""

    def scaled(self, amount: float) -> Self:
        """The same effect with `amount` (0 to 1) of its move: 0 is neutral. Safety effects return themselves."""
        return self


class Processor(ABC):
    """One effect at work on one stream.

    All samples that went in come out, at the same positions: a processor that must look ahead returns fewer
    samples at first and the rest from `finish`. The samples do not depend on how the stream is cut into blocks.
    """

    @abstractmethod
    def process(self, block: Samples) -> Samples:
        """Take (channels, n) samples, return the (channels, m) that are ready.

        Writes neither into `block` nor later into what it has returned: others may still be at work on it.
        """

    def finish(self) -> Samples | None:
        """The samples still held back, after the last block; None where there are none."""
        return None

    def measured(self) -> dict[str, Any]:
        """What the effect did to this stream so far, for the report."""
        return {}


def empty_like(block: Samples) -> Samples:
    """No samples, with the channels and kind of `block`."""
    return np.empty((block.shape[0], 0), dtype=block.dtype)
