"""What a file says beside its samples: read from any format that is read, written into those that are written.

`read_metadata` takes what it understands and skips the rest; damaged or hostile metadata never stops a master.
`write_metadata` changes no sample. `lost` names what a format has no place for.
"""

from __future__ import annotations

import os
import stat

from dsp.errors import FileError
from matcher.metadata.aiff import read_aiff, write_aiff
from matcher.metadata.flac import read_flac, write_flac
from matcher.metadata.gathering import Gathering, bytes_at
from matcher.metadata.id3 import id3_bytes, read_id3, read_id3v1
from matcher.metadata.items import Broadcast as Broadcast
from matcher.metadata.items import Loop as Loop
from matcher.metadata.items import Marker as Marker
from matcher.metadata.items import Metadata as Metadata
from matcher.metadata.items import Picture as Picture
from matcher.metadata.losing import lost as lost
from matcher.metadata.mp4 import read_mp4
from matcher.metadata.ogg import read_ogg
from matcher.metadata.riff import read_wave
from matcher.metadata.riff_writing import write_wave

_WRITERS = {"WAV": write_wave, "RF64": write_wave, "FLAC": write_flac, "AIFF": write_aiff}


def read_metadata(path: str | os.PathLike[str]) -> Metadata:
    """All that a file says beside its samples, by its first bytes; empty for what is no regular file.

    Metadata that is damaged, absurd or unknown is skipped without a word. Raises OSError only.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would wait for ever
        return Metadata()
    with open(path, "rb") as file:
        leading = Gathering()
        at = id3_bytes(file)
        read_id3(bytes_at(file, 0, at), leading)
        start = bytes_at(file, at, 12)
        if start[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and start[8:] == b"WAVE":
            found = read_wave(file, at)
        elif start[:4] == b"FORM" and start[8:] in (b"AIFF", b"AIFC"):
            found = read_aiff(file, at)
        elif start[:4] == b"fLaC":
            found = read_flac(file, at)
        elif start[:4] == b"OggS":
            found = read_ogg(file, at)
        elif start[4:8] == b"ftyp":
            found = read_mp4(file)
        else:
            found = Gathering()
            read_id3v1(file, found)
            # What stands before the sound of an MP3 is longer than the 30 letters at its end.
            leading.fill(found)
            return leading.metadata()
        found.fill(leading)
        return found.metadata()


def write_metadata(path: str | os.PathLike[str], container: str, metadata: Metadata) -> None:
    """Put `metadata` into a finished file in place of what it says so far; its samples stay bit by bit.

    container: WAV, RF64, FLAC or AIFF, as libsndfile wrote it. The file is changed in place, and is broken if that is
    interrupted: for a file that is put in place later, as `AudioWriter`'s is. What the format cannot hold is left
    out (`lost`). Raises FileError for another container and for what is no whole file of it, OSError of the system.
    """
    if container not in _WRITERS:
        raise FileError(f"metadata cannot be written into {container!r}; allowed are {', '.join(_WRITERS)}")
    with open(path, "r+b") as file:
        try:
            _WRITERS[container](file, metadata)
        except FileError as error:
            raise FileError(f"{os.fspath(path)!r}: {error}") from error
