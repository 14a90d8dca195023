"""Restoration alone: look for damage, mend it, and do nothing else to a file."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.audio import Audio
from dsp.effects.gain import Gain
from dsp.units import db_from_gain
from matcher.analysis import Source, analyze, opened
from matcher.damage import Damage, Finding, inspect, noise_between
from matcher.io import check_output, need_stereo, output_format
from matcher.mending import Mended, check_residual, write_residual
from matcher.planner.steps import track
from matcher.plans import Plan, Step
from matcher.rendering import Noise, Rendered, render

HEADROOM_DB = 0.1
"""Left above the highest sample of what would pass full scale."""


@dataclass(frozen=True, eq=False)
class Restored:
    """A file that was mended: what was found, the plan that mends it, and the result."""

    damage: Damage
    plan: Plan
    rendered: Rendered

    @property
    def audio(self) -> Audio | None:
        """The sound itself where it was made in memory."""
        return self.rendered.audio


def restore(
    target: Source,
    output: Path | str | None = None,
    *,
    only: Collection[str] | None = None,
    strong: bool = False,
    noise_from_s: tuple[float, float] | None = None,
    residual: Path | str | None = None,
    force: bool = False,
    bit_depth: int | None = None,
    sample_rate_hz: int | None = None,
    dither: Noise = "tpdf",
    replay_gain: bool = False,
    threads: int = 2,
    use_cache: bool = True,
    stages: Callable[[str, float], None] | None = None,
) -> Restored:
    """Mend what is found to be broken in `target`; samples that no repair touches stay as they are.

    only: the kinds of damage to mend, of `matcher.damage.KINDS`; all where None. noise_from_s: start and end of a
    stretch of nothing but the noise to reduce. residual: where to write input minus output, as 32-bit float. The rest
    is as in `render`. Raises FileError, AudioError, UnfitError.
    """
    with opened(target) as sound:
        need_stereo(sound, "restoration")
        if output is not None:
            inputs = [] if sound.path is None else [sound.path]
            needed = output_format(sound, output, bit_depth).size_bytes(sound.length_samples, sound.channels)
            check_output(output, inputs=inputs, force=force, needed_bytes=needed)
        if residual is not None:
            check_residual(Path(residual), sound, output, force=force)
        listening = None if stages is None else lambda done: stages("inspect", done)
        damage = inspect(sound, strong=strong, use_cache=use_cache, progress=listening)
        if noise_from_s is not None:
            damage = damage.with_finding(noise_between(sound, noise_from_s))
        if only is not None:
            damage = damage.only(only)
        steps = tuple(_step(finding) for finding in damage.mendable)
        with Mended.of(sound, damage.chain) as mended:
            if damage.mendable:
                mended.keep(None if stages is None else lambda done: stages("repair", done))
                steps += _headroom(mended)
            plan = Plan(target=track(analyze(sound, use_cache=use_cache)), steps=steps)
            rendered = render(
                mended if damage.mendable else sound,
                plan,
                output,
                force=force,
                bit_depth=bit_depth,
                sample_rate_hz=sample_rate_hz,
                dither=dither,
                replay_gain=replay_gain,
                threads=threads,
                progress=None if stages is None else lambda done: stages("restore", done),
            )
            if residual is not None:
                write_residual(Path(residual), mended)
    return Restored(damage, plan, rendered)


def _step(finding: Finding) -> Step:
    return Step(settings=finding.repair, because=f"{finding.said[0].upper()}{finding.said[1:]}.")


def _headroom(mended: Mended) -> tuple[Step, ...]:
    """A gain where what was filled in reaches beyond full scale."""
    peak = max((float(np.abs(block).max(initial=0.0)) for block in mended.blocks()), default=0.0)
    if peak < 1.0:
        return ()
    gain_db = -float(np.ceil((db_from_gain(peak) + HEADROOM_DB) * 100.0) / 100.0)
    because = f"The repaired sound reaches {db_from_gain(peak):+.2f} dBFS."
    return (Step(settings=Gain(gain_db=gain_db), because=because),)
