"""The inputs that fuzzing begins with: small valid files of every kind. Run once; `corpus` keeps what it makes."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import soundfile

sys.path.insert(0, str(Path(__file__).parent))

from targets import CORPUS

from dsp.chain import effects
from matcher import preset_store
from matcher.metadata import Broadcast, Loop, Marker, Metadata, Picture, write_metadata
from matcher.plans import Plan, Step, Track

TOLD = Metadata(
    tags={"title": ("夜 é",), "artist": ("a", "b"), "track": ("3/12",), "isrc": ("GBAYE0601498",), "own": ("x",)},
    pictures=(Picture(data=b"\x89PNG1234", mime="image/png", description="c"),),
    broadcast=Broadcast(description="d", time_reference_samples=48_000, coding_history="A=PCM\r\n"),
    ixml=b"<BWFXML><PROJECT>p</PROJECT></BWFXML>",
    markers=(Marker(position_samples=10, label="m"), Marker(position_samples=20, length_samples=5, label="r")),
    loops=(Loop(start_samples=10, end_samples=30),),
)


def main() -> None:
    """Write all of them."""
    for name in ("audio", "plan", "preset", "lists"):
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
    sound = np.random.default_rng(1).normal(0.0, 0.1, (4_100, 1))
    kinds = [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "PCM_16"), ("AIFF", "PCM_16"), ("FLAC", "PCM_16"),
             ("OGG", "VORBIS"), ("OGG", "OPUS"), ("MP3", "MPEG_LAYER_III"), ("CAF", "ALAC_16"),
             ("W64", "PCM_16")]  # fmt: skip
    for container, subtype in kinds:
        path = CORPUS / "audio" / f"{container}-{subtype}".lower()
        file = io.BytesIO()
        soundfile.write(file, sound, 8_000, format=container, subtype=subtype)
        path.write_bytes(file.getvalue())
        writer = {"WAVEX": "WAV"}.get(container, container)
        if writer in ("WAV", "RF64", "AIFF", "FLAC"):
            write_metadata(path, writer, TOLD)
    steps = []
    for settings in effects().values():
        module = sys.modules[settings.__module__]
        steps += [Step(settings=example, because="why") for example in getattr(module, "EXAMPLES", ())]
    track = Track(name="a.wav", content_hash="0" * 32, sample_rate_hz=44_100, channels=2, integrated_lufs=-20.0)
    plan = Plan(target=track, references=(track,), steps=tuple(steps), goal_lufs=-14.0, remarks=("r",))
    (CORPUS / "plan" / "all-effects.json").write_text(plan.to_json())
    (CORPUS / "plan" / "short.json").write_text(Plan(target=track).to_json())
    stored = min(preset_store.every(), key=lambda each: len(each.preset.to_json()))
    text = json.loads(stored.preset.to_json())
    text["tracks"] = text["tracks"][:1]
    (CORPUS / "preset" / "shipped.json").write_text(json.dumps(text))
    lists = {
        "m3u": "#EXTM3U\n#EXTINF:1,é\na.wav\nsub/b.flac\n",
        "cue": 'FILE "a.wav" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\nFILE b.wav WAVE\n  TRACK 02 AUDIO\n',
        "csv": 'target,reference,output\na.wav,r.wav,\n"b, c.wav",r.wav,out.wav\n',
    }
    for name, said in lists.items():
        (CORPUS / "lists" / name).write_text(said, encoding="utf-8")


if __name__ == "__main__":
    main()
