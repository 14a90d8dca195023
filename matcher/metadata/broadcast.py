"""The bext chunk, and the ISRC in its place beside it: bytes to fields and back.

Layout: EBU Tech 3285 version 2 (2011). The code's place in an axml chunk: EBU Tech 3352.
"""

from __future__ import annotations

import math
import re
from typing import Literal

from matcher.metadata.gathering import fitting, plain_text
from matcher.metadata.items import Broadcast

_VERSION = 2
_FIXED_BYTES = 602
_TEXTS = (
    ("description", 0, 256),
    ("originator", 256, 32),
    ("originator_reference", 288, 32),
    ("origination_date", 320, 10),
    ("origination_time", 330, 8),
)
_LEVELS = (
    ("loudness_value_lufs", 412),
    ("loudness_range_lu", 414),
    ("max_true_peak_dbtp", 416),
    ("max_momentary_lufs", 418),
    ("max_short_term_lufs", 420),
)
_UNSET = 0x7FFF
_MOST_LEVEL = 99.99
"""What lies beyond does not count, says the standard."""

_AXML = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<ebucore:ebuCoreMain xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:ebucore="urn:ebu:metadata-schema:ebucore">\n'
    "  <ebucore:coreMetadata>\n"
    '    <ebucore:identifier typeLabel="GUID" typeDefinition="Globally Unique Identifier" formatLabel="ISRC"'
    ' formatDefinition="International Standard Recording Code"'
    ' formatLink="http://www.ebu.ch/metadata/cs/ebu_IdentifierTypeCodeCS.xml#3.7">\n'
    "      <dc:identifier>ISRC:{code}</dc:identifier>\n"
    "    </ebucore:identifier>\n"
    "  </ebucore:coreMetadata>\n"
    "</ebucore:ebuCoreMain>"
)
_CODE = re.compile("[A-Z]{2}[A-Z0-9]{3}[0-9]{7}")
_SEARCHED_BYTES = 2**22
_IN_AXML = re.compile(rb">\s{0,100}ISRC:\s{0,100}([A-Za-z0-9-]{12,15})\s{0,100}<")


def bext_bytes(broadcast: Broadcast) -> bytes:
    """The content of a bext chunk. Text is UTF-8, cut where a field ends."""
    data = bytearray(_FIXED_BYTES)
    for field, at, size in _TEXTS:
        text = fitting(getattr(broadcast, field).replace("\0", " "), size)
        data[at : at + len(text)] = text
    samples = min(max(broadcast.time_reference_samples, 0), 2**64 - 1)
    data[338:346] = samples.to_bytes(8, "little")  # low word first: one number of 64 bits
    data[346:348] = _VERSION.to_bytes(2, "little")
    data[348:412] = broadcast.umid[:64].ljust(64, b"\0")
    for field, at in _LEVELS:
        data[at : at + 2] = _level_word(getattr(broadcast, field)).to_bytes(2, "little", signed=True)
    return bytes(data) + broadcast.coding_history.replace("\0", " ").encode("utf-8", "replace")


def broadcast_of(data: bytes, order: Literal["big", "little"] = "little") -> Broadcast | None:
    """The fields of a bext chunk; one cut short has the fields it has. None where not even the texts are whole."""
    if len(data) < 338:
        return None
    history = data[_FIXED_BYTES:]
    data = data[:_FIXED_BYTES].ljust(_FIXED_BYTES, b"\0")
    fields: dict[str, str | int | float | bytes | None] = {
        field: plain_text(data[at : at + size]) for field, at, size in _TEXTS
    }
    low, high = (int.from_bytes(data[at : at + 4], order) for at in (338, 342))
    fields["time_reference_samples"] = low + (high << 32)
    version = int.from_bytes(data[346:348], order)
    if version >= 1:
        fields["umid"] = _without_zeros(data[348:412])
    if version >= 2:
        for field, at in _LEVELS:
            fields[field] = _level(int.from_bytes(data[at : at + 2], order, signed=True))
    return Broadcast(**fields, coding_history=plain_text(history))  # type: ignore[arg-type]


def axml_of(isrc: str) -> bytes:
    """An axml chunk that holds a recording's code and nothing else; nothing where it is no such code."""
    code = isrc.replace("-", "").replace(" ", "").upper()
    return _AXML.format(code=code).encode() if _CODE.fullmatch(code) else b""


def isrc_in(axml: bytes) -> str:
    """The code in an axml chunk; "" where there is none. Searched as text: an XML parser can be led astray."""
    found = _IN_AXML.search(axml, 0, _SEARCHED_BYTES)
    code = found[1].decode("ascii").replace("-", "").upper() if found else ""
    return code if _CODE.fullmatch(code) else ""


def _level_word(level: float | None) -> int:
    if level is None or not math.isfinite(level) or abs(level) > _MOST_LEVEL:
        return _UNSET
    return round(100.0 * level)


def _level(word: int) -> float | None:
    return None if word == _UNSET or abs(word) > 100.0 * _MOST_LEVEL else word / 100.0


def _without_zeros(umid: bytes) -> bytes:
    """A basic UMID is the first half; all zeros are none."""
    if not any(umid):
        return b""
    return umid if any(umid[32:]) else umid[:32]
