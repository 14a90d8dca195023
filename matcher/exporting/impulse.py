"""The equalizer as an impulse response, for any convolver."""

from __future__ import annotations

from dsp.audio import Audio
from dsp.fir import Fir, design
from matcher.exporting.formats import equalizer, parted
from matcher.plans import Plan


def impulses(plan: Plan, sample_rate_hz: int) -> dict[str, Audio]:
    """The very filters of the chain at a rate, mono: one for all channels, or one for the mid and one for the side.

    PlanError where the plan has no equalizer.
    """
    eq = equalizer(plan)

    def made(channel: str) -> Fir:
        return design(lambda hz: eq.response_db(hz, "side" if channel == "side" else "mid"), sample_rate_hz,
                      phase=eq.phase)  # fmt: skip

    names = ("mid", "side") if parted(eq) else ("",)
    return {name: Audio(made(name).taps[None].astype("float32"), sample_rate_hz) for name in names}
