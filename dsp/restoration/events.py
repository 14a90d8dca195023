"""Events: where in a file, and in which channel, damage was found."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from dsp.effect import Bounded


class Event(Bounded, frozen=True, kw_only=True):
    """One damaged span of one channel, in seconds of the file it was found in."""

    start_s: Annotated[float, Meta(ge=0.0, le=1e6)]
    length_s: Annotated[float, Meta(ge=0.0, le=3600.0)]
    channel: Annotated[int, Meta(ge=0, le=63)] = 0

    def span_samples(self, sample_rate_hz: int) -> tuple[int, int]:
        """First sample and the one after the last, at a rate."""
        first = round(self.start_s * sample_rate_hz)
        return first, max(first + 1, round((self.start_s + self.length_s) * sample_rate_hz))


def event(first: int, stop: int, channel: int, sample_rate_hz: int) -> Event:
    """The event of samples `first` to `stop` (excluded); `span_samples` gives the same samples back."""
    return Event(start_s=first / sample_rate_hz, length_s=(stop - first) / sample_rate_hz, channel=channel)
