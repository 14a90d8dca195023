"""The iXML chunk is kept as it is; only what counts in samples follows the sample rate."""

from __future__ import annotations

import re

_RATES = re.compile(rb"(<(FILE_SAMPLE_RATE|TIMESTAMP_SAMPLE_RATE)>\s*)(\d{1,9})(\s*</\2>)")
_STAMPS = (
    rb"TIMESTAMP_SAMPLES_SINCE_MIDNIGHT_",
    rb"BWF_TIME_REFERENCE_",
)
"""Each in two elements of 32 bits, ...LO or LOW and ...HI or HIGH."""


def ixml_at_rate(ixml: bytes, *, from_hz: int, to_hz: int) -> bytes:
    """The same document with its sample rates and its time stamps in samples brought to another rate.

    Done in the text, without a parser: what is not such an element keeps every byte. UTF-16 is left alone.
    """
    if not ixml:
        return ixml

    def rate(found: re.Match[bytes]) -> bytes:
        said = int(found[3])
        return found[0] if said != from_hz else found[1] + str(to_hz).encode() + found[4]

    changed = _RATES.sub(rate, ixml)
    for stem in _STAMPS:
        low = re.search(rb"<" + stem + rb"LOW?>\s*(\d{1,10})\s*<", changed)
        high = re.search(rb"<" + stem + rb"HI(?:GH)?>\s*(\d{1,10})\s*<", changed)
        if low is None:
            continue
        samples = int(low[1]) + ((int(high[1]) << 32) if high else 0)
        moved = (2 * samples * to_hz + from_hz) // (2 * from_hz)
        if high is None and moved >> 32:
            continue
        words = [(low, moved & 0xFFFFFFFF)] + ([(high, moved >> 32)] if high else [])
        for found, word in sorted(words, key=lambda pair: -pair[0].start()):
            changed = changed[: found.start(1)] + str(word).encode() + changed[found.end(1) :]
    return changed
