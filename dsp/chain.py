"""Chain: the effects in order, run over a stream in blocks of any length."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

import dsp.effects
import dsp.restoration
from dsp.audio import Audio, Samples
from dsp.effect import Processor, Settings, with_value
from dsp.errors import SettingsError

BLOCK_SAMPLES = 65_536


@functools.cache
def effects() -> dict[str, type[Settings]]:
    """Name to settings of every effect there is a file for."""
    for package in (dsp.effects, dsp.restoration):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found = {str(cls.__struct_config__.tag): cls for cls in Settings.__subclasses__()}
    return dict(sorted(found.items()))


def settings_from(data: Any) -> Settings:
    """One step's settings from plain data as JSON holds it; SettingsError names the field and what is allowed."""
    name = data.get("effect") if isinstance(data, dict) else None
    cls = effects().get(name) if isinstance(name, str) else None
    if cls is None:
        raise SettingsError(f"effect: {name!r} is not known, allowed are {', '.join(effects())}")
    try:
        return msgspec.convert(data, cls)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{name}: {with_value(str(error), data)}") from error


@dataclass(frozen=True)
class Chain:
    """Effects in the order they are run."""

    steps: tuple[Settings, ...] = ()

    def active(self) -> tuple[Settings, ...]:
        """The steps that change something."""
        return tuple(step for step in self.steps if not step.is_neutral())

    def processor(self, sample_rate_hz: int, channels: int) -> ChainProcessor:
        """A fresh run of the whole chain over one stream."""
        return ChainProcessor([step.processor(sample_rate_hz, channels) for step in self.active()])

    def __call__(self, audio: Audio, block_samples: int = BLOCK_SAMPLES) -> Audio:
        """`audio` through the chain; the result does not depend on `block_samples`."""
        run = self.processor(audio.sample_rate_hz, audio.channels)
        parts = [run.process(block) for block in blocks_of(audio.samples, block_samples)]
        tail = run.finish()
        if tail is not None:
            parts.append(tail)
        return Audio(np.concatenate(parts, axis=1) if parts else audio.samples, audio.sample_rate_hz)


class ChainProcessor(Processor):
    """Processors in a row, each fed with what the one before has ready."""

    def __init__(self, processors: list[Processor]) -> None:
        self.processors = processors

    def process(self, block: Samples) -> Samples:
        for processor in self.processors:
            block = processor.process(block)
        return block

    def finish(self) -> Samples | None:
        held: Samples | None = None
        for processor in self.processors:
            ready = [] if held is None else [processor.process(held)]
            tail = processor.finish()
            if tail is not None:
                ready.append(tail)
            held = np.concatenate(ready, axis=1) if ready else None
        return held

    def measured(self) -> dict[str, Any]:
        return {k: v for processor in self.processors for k, v in processor.measured().items()}


def blocks_of(samples: Samples, block_samples: int) -> Iterator[Samples]:
    """Views of `samples`, (channels, block_samples) each, the last one shorter."""
    for start in range(0, samples.shape[1], block_samples):
        yield np.ascontiguousarray(samples[:, start : start + block_samples])
