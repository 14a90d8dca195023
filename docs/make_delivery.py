"""Writes `delivery.md`: where a master goes, from the table that decides.

    python docs/make_delivery.py
"""

from __future__ import annotations

from pathlib import Path

from matcher.delivery.destinations import DESTINATIONS, Destination

HEAD = """# Delivery

A master is done when it is proven where it will be played. `--for` says what becomes of it there, `--deliver` writes
a file for each place, `--codec-check` listens behind a codec.

```sh
match mix.wav reference.wav -o master.wav --for spotify,vinyl --codec-check mp3:256,opus:128
match deliver master.wav --for spotify,cd,broadcast --deliver out
```

For each place the file is held to its true-peak limit, before the codec and behind it, to its sample rates and bit
depths and, where one is demanded, to its loudness; the line says what it will do to the level. With `--deliver` the
file is made from the same plan: converted by soxr (VHQ) before the limiter runs, so that it works at the rate of
delivery, rounded once under TPDF dither (`--dither shaped` moves the noise to where it is heard least at 44.1 and 48
kHz), measured again as it was written, coded and decoded. Where a codec adds peaks above the limit the ceiling goes
down by as much, at most three times; the report says what each codec did. A finished master (`match deliver FILE`
without `--plan`) is turned down as a whole instead, and limited only where broadcast or podcast demand more level.

MP3, Vorbis and Opus are coded by libsndfile. AAC needs `ffmpeg` on the PATH; without it a line says so and nothing
else changes.

## The places

Figures of November 2026. *Published* was read at the service itself, *reported* is told by others, *custom* is what
people in the trade do.

"""
TAIL = """
Loudness is left as it is where none is demanded: a service that turns tracks down does so by itself, and a louder
file gains nothing there.

## Other loudspeakers

`--for` and `match deliver` also look at how the master translates, one line each: what folding to mono costs in all
and in the worst octave; what a small speaker (200 Hz up) and a phone (300 to 3400 Hz) leave of its loudness; how the
channels hang together below 150 Hz, as vinyl and clubs need it; the peaks of the cut through the RIAA curve;
sibilance; what lies below 30 Hz. `ok` is usual, `look` deserves an ear.

## Files and what they say

WAV, RF64, BW64, W64, FLAC, AIFF, OGG, Opus, MP3 and CAF are read, 8 to 384 kHz; M4A, AAC, ALAC and video through
`ffmpeg` where it is there. A recording whose header was never finished, data that is cut short, chunks without their
pad byte are read with a warning. 5.1 and 7.1 are mastered linked, by their channel mask, with the weights of BS.1770:
tone is the same on all channels and, where mid and side differ, works on the pairs, as width does; compressor and
limiter hear all channels together. The LFE is kept out of what they hear and out of tone and compression: it follows
the level, and has a limiter to itself. More than two channels without a known mask are refused.

Title, artist, album, track, ISRC, date, genre, comment, artwork, broadcast fields (`bext`, its loudness rewritten,
the coding history continued), `iXML`, markers and loops (moved with the sample rate) and the channel mask are carried
over to WAV, FLAC and AIFF where the format has a place; what has none is named. ReplayGain, R128 and Sound Check tags
would be wrong and are dropped; `--replaygain` computes them anew.

## A pressing plant

`match album LEAD TRACK... -o DIR --cue` also writes one WAV a side with every track on a CD frame, a CUE sheet, a PQ
list with the ISRCs, and MD5 and SHA-256 sums. `--sides 5,4` splits an album.
"""


def _row(place: Destination) -> str:
    level = "as it is"
    if place.plays_at_lufs is not None and place.turns != "never":
        level = f"{place.plays_at_lufs:g} LUFS, turns {place.turns}"
    if place.goal_lufs is not None:
        level = f"demands {place.goal_lufs:g} LUFS ±{place.tolerance_lu:g}"
    peak = f"{place.ceiling_dbtp:g} dBTP"
    if place.loud_ceiling is not None:
        peak += f"; {place.loud_ceiling[1]:g} above {place.loud_ceiling[0]:g} LUFS"
    codecs = ", ".join(place.codecs) or "none"
    return f"| `{place.name}` | {level} | {peak} | {place.bit_depth} | {codecs} | {place.sure}: {place.source} |"


def page() -> str:
    """The whole page."""
    titles = "| `--for` | level there | true peak at most | bits | codecs proven | how sure, and from where |"
    return HEAD + "\n".join([titles, "|---|---|---|---|---|---|", *map(_row, DESTINATIONS)]) + "\n" + TAIL


if __name__ == "__main__":
    Path(__file__).with_name("delivery.md").write_text(page(), encoding="utf-8")
