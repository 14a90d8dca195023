"""Do delivered files keep their limits? Tracks driven to -8 LUFS, every destination, meters that are not ours.

    python benchmarks/delivery.py MUSIC [--tracks 20] [--seconds 60] [--json out.json]

The middle of each track becomes a master of -8 LUFS and goes to all destinations. Every file, and what each codec of
its destination makes of it, is then measured by libebur128 and by SciPy at 16 times the rate; printed is how far each
lies above its limit (allowed: +0.1 and +0.05 dB), the worst last.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyebur128
import soundfile

from matcher import Aims, Audio, plan
from matcher.delivery.codecs import ENDINGS, codec, coded_rate_hz, decode, encode, missing
from matcher.delivery.delivering import deliver
from matcher.delivery.destinations import DESTINATIONS
from matcher.io import SOUNDS, open_audio, read_audio, resampled_blocks, write_audio
from matcher.verifying import true_peak_dbtp

LOUDNESS_LUFS = -8.0
ALLOWED_DB = {"libebur128": 0.1, "16x": 0.05}


def meters(samples: np.ndarray, rate_hz: int) -> dict[str, float]:
    """True peak of (samples, channels) by two meters, dBTP."""
    state = pyebur128.R128State(samples.shape[1], rate_hz, pyebur128.MeasurementMode.MODE_TRUE_PEAK)
    state.add_frames(np.ascontiguousarray(samples, dtype=np.float32).ravel(), len(samples))
    read = max(pyebur128.get_true_peak(state, channel) for channel in range(samples.shape[1]))
    return {
        "libebur128": float(20.0 * np.log10(max(read, 1e-10))),
        "16x": max(true_peak_dbtp(channel) for channel in samples.T.astype(np.float64)),
    }


def behind(path: Path, text: str, folder: Path) -> tuple[np.ndarray, int]:
    """What a codec makes of a file, (samples, channels)."""
    wanted = codec(text)
    with open_audio(path) as source:
        rate_hz = coded_rate_hz(source.sample_rate_hz, wanted)
        coded = folder / f"coded{ENDINGS[wanted.kind]}"
        blocks = resampled_blocks(source, sample_rate_hz=rate_hz, block_samples=32_768)
        encode(coded, blocks, rate_hz, source.channels, wanted)
        return np.concatenate([b.T for b in decode(coded, rate_hz, source.channels)]), rate_hz


def middle(track: Path, seconds: float, folder: Path) -> Path:
    """The middle of a track as a file; all of it where that is shorter."""
    audio = read_audio(track)
    count = min(audio.length_samples, round(seconds * audio.sample_rate_hz))
    start = (audio.length_samples - count) // 2
    path = folder / f"{track.stem}.wav"
    write_audio(path, Audio(audio.samples[:, start : start + count], audio.sample_rate_hz))
    return path


def measured(track: Path, folder: Path) -> list[dict[str, object]]:
    """Every file and every codec of one track, with what each meter reads above the limit."""
    made = plan(track, track, Aims(loudness_lufs=LOUDNESS_LUFS, max_limiting_db=24.0, restore="off"))
    delivery = deliver(track, folder / "out", [place.name for place in DESTINATIONS], made, force=True)
    rows: list[dict[str, object]] = []
    for each in delivery.delivered:
        place, profile = each.verdict.destination, each.profile
        assert each.output is not None
        assert profile is not None
        limit = place.ceiling_for(profile.integrated_lufs)
        for text in ("", *place.codecs):
            if text and missing(codec(text)):
                continue
            samples, rate_hz = soundfile.read(each.output) if not text else behind(each.output, text, folder)
            over = {name: read - limit for name, read in meters(samples, rate_hz).items()}
            rows.append({
                "track": track.name, "destination": place.name, "codec": text or "file", "passes": each.passes,
                "lufs": profile.integrated_lufs, "verdict": each.verdict.passes, **over,
            })  # fmt: skip
    return rows


def main() -> None:
    """Print a line for each track, then the worst."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("music", type=Path)
    parser.add_argument("--tracks", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    tracks = sorted(path for path in options.music.rglob("*") if path.suffix.lower() in SOUNDS)
    chosen = [tracks[round(i)] for i in np.linspace(0, len(tracks) - 1, min(options.tracks, len(tracks)))]
    rows: list[dict[str, object]] = []
    for number, track in enumerate(chosen, 1):
        started = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            new = measured(middle(track, options.seconds, Path(folder)), Path(folder))
        rows += new
        worst = {name: max(float(str(row[name])) for row in new) for name in ALLOWED_DB}
        said = ", ".join(f"{name} {over:+.3f} dB" for name, over in worst.items())
        failed = sum(not row["verdict"] for row in new)
        seconds = time.perf_counter() - started
        print(f"{number:3}. {track.name}: {said}; {failed} fail by our own verdict ({seconds:.0f} s)", flush=True)
        if options.json is not None:
            options.json.write_text(json.dumps(rows, indent=1))
    print(f"\n{len(rows)} files and decodings of {len(chosen)} masters at {LOUDNESS_LUFS:g} LUFS")
    for name, allowed in ALLOWED_DB.items():
        over = sorted(rows, key=lambda row: -float(str(row[name])))
        beyond = sum(float(str(row[name])) > allowed for row in rows)
        print(f"{name}: {beyond} above the limit by more than {allowed} dB")
        for row in over[:3]:
            print(f"  {float(str(row[name])):+.3f} dB  {row['track']}, {row['destination']}, {row['codec']}")
    sys.exit(any(float(str(row[name])) > allowed for row in rows for name, allowed in ALLOWED_DB.items()))


if __name__ == "__main__":
    main()
