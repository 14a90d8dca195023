"""Formats that libsndfile does not know, decoded by the user's `ffmpeg` where there is one: M4A, AAC, ALAC, video."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

from dsp.errors import FileError
from matcher.io.naming import shown

PROGRAM = "ffmpeg"
FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,aac,asf,avi,mpeg,mpegts,flv,ac3,eac3,ape,wv,tta,dsf,amr"
LONGEST_S = 24 * 3600
"""Decoded; whatever claims to go on is cut there."""


def available() -> bool:
    """Whether the program is on the PATH."""
    return shutil.which(PROGRAM) is not None


def decoded(path: Path) -> tempfile._TemporaryFileWrapper[bytes]:
    """The first sound in a file as a temporary float WAV, gone once it is closed; FileError where there is none.

    32-bit floats hold up to 24 bits of an integer format exactly, and what a lossy one has above full scale.
    """
    made = tempfile.NamedTemporaryFile(prefix="match-", suffix=".wav")  # noqa: SIM115, the caller closes it
    # Nothing but containers of sound: a playlist could name other files.
    command = [PROGRAM, "-v", "error", "-nostdin", "-protocol_whitelist", "file", "-format_whitelist", FORMATS]
    command += ["-i", f"file:{path}", "-map", "0:a:0", "-t", str(LONGEST_S)]
    command += ["-c:a", "pcm_f32le", "-rf64", "auto", "-y", made.name]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except BaseException:
        made.close()
        raise
    if done.returncode:
        made.close()
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        why = shown(lines[-1]) if lines else "no reason given"
        raise FileError(f"{shown(path)}: {PROGRAM} finds no sound in it ({why})")
    return made
