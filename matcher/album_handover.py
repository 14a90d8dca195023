"""What a pressing plant or cutting room is handed: one WAV a side, a CUE sheet, a PQ list, checksums.

Tracks begin on CD frames, 1/75 s. Between tracks that were made apart, silence fills up the last frame of each; a
gapless side has no place for it, and there a boundary moves to the nearest frame.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dsp.errors import FileError, SettingsError
from matcher.io import (
    AudioSource,
    AudioWriter,
    OutputFormat,
    check_output,
    hidden_beside,
    open_audio,
    output_format,
    reason,
    shown,
)
from matcher.metadata import read_metadata

FRAMES_PER_S = 75
MOST_TRACKS, SHORTEST_S, LONGEST_S = 99, 4.0, 79.8 * 60.0
"""What a CD holds."""
_ISRC = re.compile(r"[A-Z]{2}[A-Z0-9]{3}\d{7}")


@dataclass(frozen=True)
class Entry:
    """One finished track on its way to a side."""

    path: Path
    title: str
    performer: str = ""
    isrc: str = ""


def entry_of(path: Path) -> Entry:
    """A track by its own tags, or by its name where it has none."""
    tags = read_metadata(path).tags

    def tag(name: str) -> str:
        return next(iter(tags.get(name, ())), "")

    return Entry(path, tag("title") or path.stem, tag("artist"), tag("isrc"))


@dataclass(frozen=True)
class Placed:
    """A track on its side; start and length in CD frames."""

    entry: Entry
    number: int
    start_frames: int
    length_frames: int


@dataclass(frozen=True)
class Handover:
    """What was written, and what to know about it."""

    files: tuple[Path, ...]
    remarks: tuple[str, ...]


def hand_over(
    entries: Sequence[Entry],
    folder: Path,
    name: str,
    *,
    sides: Sequence[int] = (),
    gapless: bool = False,
    force: bool = False,
) -> Handover:
    """Write all sides into `folder`; sides: how many tracks each has, all on one where it is empty.

    Raises SettingsError where the sides do not add up, FileError where tracks differ in kind or a file cannot be
    written; each file is whole or not there.
    """
    counts = list(sides) or [len(entries)]
    if sum(counts) != len(entries) or min(counts) < 1:
        said = ",".join(map(str, counts))
        raise SettingsError(f"sides: {said} do not add up to the {len(entries)} tracks that were made")
    files: list[Path] = []
    remarks: list[str] = []
    first = 0
    for side, count in enumerate(counts):
        stem = name if len(counts) == 1 else f"{name}-{chr(ord('A') + side)}"
        wav = folder / f"{stem}.wav"
        placed = _write_side(entries[first : first + count], first + 1, wav, gapless=gapless, force=force)
        remarks += _remarks(stem, placed)
        texts = {folder / f"{stem}.cue": cue_sheet(wav.name, placed), folder / f"{stem}-pq.txt": pq_list(stem, placed)}
        for path, text in texts.items():
            _write_text(path, text, force=force)
        files += [wav, *texts]
        first += count
    sums = [entry.path for entry in entries] + files
    for kind in ("sha256", "md5"):
        lines = "".join(f"{_digest(path, kind)}  {path.name}\n" for path in sums)
        _write_text(folder / f"{name}.{kind}", lines, force=True)
        files.append(folder / f"{name}.{kind}")
    return Handover(tuple(files), tuple(remarks))


def _write_side(entries: Sequence[Entry], number: int, wav: Path, *, gapless: bool, force: bool) -> list[Placed]:
    """One WAV of all tracks; where each begins."""
    sources = [open_audio(entry.path) for entry in entries]
    try:
        rate_hz, channels, format = _kind(sources, wav)
        frame = rate_hz // FRAMES_PER_S
        lengths = [source.length_samples for source in sources]
        pads = [0 if gapless else -length % frame for length in lengths]
        pads[-1] = -sum(lengths) % frame if gapless else pads[-1]
        total = sum(lengths) + sum(pads)
        needed = format.size_bytes(total, channels)
        check_output(wav, inputs=[entry.path for entry in entries], force=force, needed_bytes=needed)
        with AudioWriter(wav, rate_hz, channels, length_samples=total, **format._asdict()) as writer:
            for source, pad in zip(sources, pads, strict=True):
                for block in source.blocks():
                    writer.write(block)
                if pad:
                    writer.write(np.zeros((channels, pad), dtype=np.float32))
    finally:
        for source in sources:
            source.close()
    starts = np.concatenate([[0], np.cumsum(np.add(lengths, pads))])
    frames = [int((2 * start + frame) // (2 * frame)) for start in starts]
    return [
        Placed(entry, number + i, frames[i], frames[i + 1] - frames[i]) for i, entry in enumerate(entries)
    ]


def _kind(sources: Sequence[AudioSource], wav: Path) -> tuple[int, int, OutputFormat]:
    """Rate, channels and format that all tracks share; FileError where one has others."""
    first = sources[0]
    for source in sources[1:]:
        for what in ("sample_rate_hz", "channels", "subtype"):
            here, there = getattr(source, what), getattr(first, what)
            if here != there:
                raise FileError(f"{source.name}: its {what}, {here}, is not {there}, as of {first.name} on its side")
    if first.sample_rate_hz % FRAMES_PER_S:
        raise FileError(f"{first.name}: {first.sample_rate_hz} Hz has no whole number of samples in a CD frame")
    return first.sample_rate_hz, first.channels, output_format(first, wav)


def _remarks(stem: str, placed: Sequence[Placed]) -> list[str]:
    """What of a side a CD cannot hold."""
    found = []
    total_s = (placed[-1].start_frames + placed[-1].length_frames) / FRAMES_PER_S
    if len(placed) > MOST_TRACKS:
        found.append(f"{stem}: {len(placed)} tracks, a CD holds {MOST_TRACKS}")
    if total_s > LONGEST_S:
        found.append(f"{stem}: {total_s / 60.0:.1f} minutes, a CD holds {LONGEST_S / 60.0:.1f}")
    short = [p.entry.title for p in placed if p.length_frames < SHORTEST_S * FRAMES_PER_S]
    found += [f"{stem}: {title} is shorter than the {SHORTEST_S:g} s that a CD's track lasts" for title in short]
    wrong = [p.entry for p in placed if p.entry.isrc and not _ISRC.fullmatch(_plain(p.entry.isrc))]
    found += [f"{stem}: {entry.title}: {entry.isrc} is no ISRC, and was left out" for entry in wrong]
    return found


def cue_sheet(wav: str, placed: Sequence[Placed]) -> str:
    """The sheet of one side."""
    lines = [f'FILE "{_quoted(wav)}" WAVE']
    for p in placed:
        lines.append(f"  TRACK {p.number:02d} AUDIO")
        lines.append(f'    TITLE "{_quoted(p.entry.title)}"')
        if p.entry.performer:
            lines.append(f'    PERFORMER "{_quoted(p.entry.performer)}"')
        if _ISRC.fullmatch(_plain(p.entry.isrc)):
            lines.append(f"    ISRC {_plain(p.entry.isrc)}")
        lines.append(f"    INDEX 01 {clock(p.start_frames)}")
    return "\n".join(lines) + "\n"


def pq_list(name: str, placed: Sequence[Placed]) -> str:
    """The same for people: number, start, length, ISRC, title; times as minutes, seconds and frames."""
    lines = [f"{name}: start and length in minutes:seconds:frames, 75 frames a second", ""]
    lines.append(f"{'no':>2}  {'start':8}  {'length':8}  {'ISRC':12}  title")
    for p in placed:
        isrc = _plain(p.entry.isrc) if _ISRC.fullmatch(_plain(p.entry.isrc)) else ""
        by = f" ({p.entry.performer})" if p.entry.performer else ""
        lines.append(f"{p.number:2}  {clock(p.start_frames)}  {clock(p.length_frames)}  {isrc:12}  {p.entry.title}{by}")
    end = placed[-1].start_frames + placed[-1].length_frames
    lines += ["", f"    {clock(end)}  in all", "    A pause of 2 s comes before the first track, as on every CD."]
    return "\n".join(lines) + "\n"


def clock(frames: int) -> str:
    """mm:ss:ff."""
    seconds, rest = divmod(frames, FRAMES_PER_S)
    return f"{seconds // 60:02d}:{seconds % 60:02d}:{rest:02d}"


def _plain(isrc: str) -> str:
    return isrc.replace("-", "").replace(" ", "").upper()


def _quoted(text: str) -> str:
    """For a sheet, which knows no escapes and no second line."""
    return shown(text).replace('"', "'")


def _digest(path: Path, kind: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()


def _write_text(path: Path, text: str, *, force: bool) -> None:
    """A small file, whole or not at all."""
    if path.exists() and not force:
        raise FileError(f"{shown(path)}: exists already; choose another name, or force it")
    temporary = hidden_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{shown(path)}: cannot be written ({reason(error)})") from error
    finally:
        temporary.unlink(missing_ok=True)
