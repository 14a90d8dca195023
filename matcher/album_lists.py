"""Which tracks an album has, and in what order: files, a folder, an M3U playlist or a CUE sheet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from dsp.errors import FileError
from matcher.io import SOUNDS, shown

"""What of a folder is taken for a track."""
PLAYLISTS = (".m3u", ".m3u8")
_FILE = re.compile(r'^\s*FILE\s+(?:"([^"]+)"|(\S+))', re.IGNORECASE)
_TRACK = re.compile(r"^\s*TRACK\s+\d+", re.IGNORECASE)


def tracks_of(given: Iterable[Path | str]) -> list[Path]:
    """The tracks in order, each once: a folder's by name, a playlist's or sheet's as it lists them.

    Raises FileError where a list or folder cannot be read or names nothing.
    """
    found: dict[Path, Path] = {}
    for source in map(Path, given):
        for track in _listed(source):
            if "\0" in str(track):
                raise FileError(f"{shown(source)}: {shown(track)} is no name that a file can have")
            found.setdefault(track.resolve(), track)
    return list(found.values())


def _listed(source: Path) -> list[Path]:
    if source.is_dir():
        files = [f for f in source.iterdir() if f.suffix.lower() in SOUNDS and not f.name.startswith(".")]
        return _some(source, sorted((f for f in files if f.is_file()), key=lambda f: _natural(f.name)))
    if source.suffix.lower() in PLAYLISTS:
        lines = (line.strip() for line in _text(source).splitlines())
        return _some(source, [source.parent / line for line in lines if line and not line.startswith("#")])
    if source.suffix.lower() == ".cue":
        return _some(source, _of_sheet(source))
    return [source]


def _of_sheet(sheet: Path) -> list[Path]:
    files: list[Path] = []
    tracks = 0
    for line in _text(sheet).splitlines():
        named = _FILE.match(line)
        if named:
            files.append(sheet.parent / (named[1] or named[2]))
            tracks = 0
        elif _TRACK.match(line):
            tracks += 1
            if tracks > 1:
                raise FileError(
                    f"{shown(sheet)}: {shown(files[-1].name) if files else 'one file'} holds several of its tracks;"
                    " a file a track is needed"
                )
    return files


def _natural(name: str) -> list[tuple[int, str]]:
    """2 before 10."""
    return [(int(part), "") if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def _text(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be read ({error.strerror})") from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:  # what older players wrote
        return data.decode("cp1252", errors="replace")


def _some(source: Path, tracks: list[Path]) -> list[Path]:
    if not tracks:
        raise FileError(f"{shown(source)}: names no track; at least one is needed")
    return tracks
