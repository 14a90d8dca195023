"""Straight lines over what is damaged, for who listens to the sound around it: quickly made, not meant to be heard."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from dsp.restoration.autoregression import Cluster, Plane, SpanRepairer, clusters_of, spans_of
from dsp.restoration.events import Event


class Bridge(SpanRepairer):
    """A processor that leads every event's channel straight from the sample before it to the one after it."""

    def __init__(self, events: Iterable[Event], sample_rate_hz: int, channels: int) -> None:
        spans = spans_of(events, sample_rate_hz, channels, longest=sample_rate_hz, apart=1)
        super().__init__(clusters_of(spans, joined=1, longest=sample_rate_hz), context=1, amount=1.0)

    def filled(self, window: Plane, cluster: Cluster, start: int) -> list[Plane]:
        plane, found = window[cluster.channel], []
        for first, stop in cluster.spans:
            before, after = first - start - 1, stop - start
            # At either end of the stream the sound on the other side goes on.
            right = plane[after] if after < len(plane) else plane[before] if before >= 0 else 0.0
            left = plane[before] if before >= 0 else right
            found.append(np.linspace(left, right, stop - first + 2)[1:-1])
        return found
