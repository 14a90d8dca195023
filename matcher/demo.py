"""Two little songs made of arithmetic: an unfinished mix and another piece, mastered, for it to be matched to.

Nothing here is measured or learned, so the demo and the tests need no recordings. The same seed is the same song at
every sample rate: all sound ends below 20 kHz and the noise is drawn over frequency, not over samples.
"""

from __future__ import annotations

import functools
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import soundfile
from numpy.typing import NDArray

from dsp.audio import Audio, left_right, mid_side
from dsp.transforms import fft
from dsp.units import db_from_power, gain_from_db, samples_from_s

Signal = NDArray[Any]
Part = Literal["intro", "verse", "chorus"]

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
TOP_HZ = 19_000.0
GRID_HZ = 300  # notes start on instants that every usual sample rate has
_CYCLE = 2048  # samples of a wave table


@dataclass(frozen=True)
class Style:
    """Who plays when: 16 steps a bar, `x` loud, `o` soft."""

    kick: str
    snare: str
    hat: str
    bass: str
    chords: str
    chord_beats: float
    lead_rhythms: tuple[tuple[float, ...], ...]


STYLES = {
    "ballad": Style(
        kick="x.....o.x.o.....",
        snare="....x..o....x...",
        hat="x.o.x.o.x.o.x.oo",
        bass="x.....x.x...o.o.",
        chords="x...............",
        chord_beats=3.9,
        lead_rhythms=((1.5, 0.5, 1.0, 1.0), (0.5, 0.5, 1.0, 2.0), (1.0, 0.5, 0.5, 2.0)),
    ),
    "dance": Style(
        kick="x...x...x...x...",
        snare="....x.......x..o",
        hat="o.xoo.xoo.xoo.xo",
        bass="..x...x...x.o.x.",
        chords="x..x..x...x..x..",
        chord_beats=0.6,
        lead_rhythms=((0.75, 0.75, 0.5, 1.0, 1.0), (0.5, 0.5, 0.5, 0.5, 2.0), (0.75, 0.75, 1.5, 1.0)),
    ),
}


@dataclass(frozen=True)
class Score:
    """The decisions of one song: when, which pitch, how loud."""

    seed: int
    seconds: float
    sample_rate_hz: int
    tempo_bpm: float
    tonic: int
    scale: tuple[int, ...]
    progression: tuple[int, ...]
    style: Style
    parts: tuple[Part, ...] = field(default=())

    @property
    def beat_s(self) -> float:
        return 60.0 / self.tempo_bpm

    @property
    def length_samples(self) -> int:
        return samples_from_s(self.seconds, self.sample_rate_hz)

    def degree(self, bar: int) -> int:
        """The scale step, from 0, that the chord of a bar stands on."""
        return self.progression[bar % len(self.progression)] - 1

    def hz(self, step: int, octave: int) -> float:
        """Frequency of a scale step, counted from 0 at the tonic of MIDI octave `octave`."""
        octaves, within = divmod(step, len(self.scale))
        return float(440.0 * 2.0 ** ((self.tonic + self.scale[within] - 69 + 12 * (octave + 1 + octaves)) / 12.0))

    def hits(self, pattern: str, bar: int) -> list[tuple[float, float]]:
        """(seconds, loudness from 0 to 1) of a bar's steps, played a little unevenly."""
        rng = np.random.default_rng([self.seed, bar, len(pattern.replace(".", "")), ord(pattern[0])])
        found = []
        for step, mark in enumerate(pattern):
            late_s, accent = rng.uniform(0.0, 0.006), rng.uniform(0.85, 1.0)
            if mark != ".":
                found.append(((4 * bar + step / 4) * self.beat_s + late_s, accent * (1.0 if mark == "x" else 0.45)))
        return found


def song(
    seed: int,
    *,
    seconds: float = 24.0,
    sample_rate_hz: int = 44_100,
    tempo_bpm: float = 92.0,
    key: str = "A minor",
    progression: tuple[int, ...] = (1, 6, 3, 7),
    style: Literal["ballad", "dance"] = "ballad",
) -> Audio:
    """A balanced, dynamic mix without any mastering: drums, bass, chords, pad, lead, room.

    key: a note name, maybe with # or b, and major or minor. progression: the chord of each bar as a scale degree.
    Songs of four bars and more have an intro and a verse before their chorus.
    Returns stereo float64, shape (2, samples), peak at -3 dBFS.
    """
    tonic, scale = _key(key)
    bars = int(np.ceil(seconds * tempo_bpm / 240.0))
    score = Score(seed, seconds, sample_rate_hz, tempo_bpm, tonic, scale, progression, STYLES[style], _parts(bars))
    chords, pad, lead = _chords(score), _pad(score), _lead(score)
    dry = _drums(score) + _bass(score) + chords + pad + lead
    mix = dry + _room(0.35 * chords + 0.5 * pad + 0.5 * lead + 0.12 * dry, score)
    mix = _faded(mix, sample_rate_hz)
    return Audio(mix * (gain_from_db(-3.0) / np.abs(mix).max()), sample_rate_hz)


def unfinished(audio: Audio) -> Audio:
    """The mix as it left a small room: dull, boxy, narrow, not loud, peak at -6 dBFS."""
    tone = ((140.0, 0.0), (350.0, 3.5), (800.0, 0.5), (2500.0, -1.5), (6000.0, -5.0))
    mid, side = mid_side(shaped(audio.samples, audio.sample_rate_hz, tone))
    out = left_right(np.stack([mid, 0.6 * side]))
    return Audio(out * (gain_from_db(-6.0) / np.abs(out).max()), audio.sample_rate_hz)


def mastered(audio: Audio, *, loudness_lufs: float = -11.0, peak_dbfs: float = -1.0) -> Audio:
    """A finished master by simple means: brighter, wider, dense in three bands, loud, its sample peaks held."""
    rate = audio.sample_rate_hz
    mid, side = mid_side(audio.samples)
    mid = shaped(mid, rate, ((45.0, 1.5), (120.0, 1.0), (350.0, -1.5), (1500.0, 0.0), (5000.0, 2.0), (12e3, 3.5)))
    side = shaped(side, rate, ((90.0, -24.0), (180.0, 0.0), (350.0, 0.0), (1500.0, 2.5), (5000.0, 5.5), (12e3, 7.0)))
    bands = _three_bands(left_right(np.stack([mid, side])), rate)
    dense = np.sum([_compressed(band, rate) for band in bands], axis=0)
    ceiling = gain_from_db(peak_dbfs)
    gain_db = loudness_lufs - _loudness_lufs(dense, rate)
    for _ in range(8):
        out = _limited(dense * gain_from_db(gain_db), rate, ceiling)
        short_db = loudness_lufs - _loudness_lufs(out, rate)
        if abs(short_db) < 0.05:
            break
        gain_db += 1.2 * short_db
    return Audio(out, rate)


def demo_mix(*, sample_rate_hz: int = 44_100) -> Audio:
    """The song that wants mastering."""
    return unfinished(song(7, sample_rate_hz=sample_rate_hz))


def demo_reference(*, sample_rate_hz: int = 44_100) -> Audio:
    """A different piece, mastered."""
    progression = (6, 4, 1, 5)
    raw = song(
        21, sample_rate_hz=sample_rate_hz, tempo_bpm=116.0, key="E major", progression=progression, style="dance"
    )
    return mastered(raw)


def write_demo(folder: Path | str) -> tuple[Path, Path]:
    """Write `demo-mix.wav` and `demo-reference.wav`, 24 bit at 44.1 kHz, and return their paths in that order."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    target, reference = folder / "demo-mix.wav", folder / "demo-reference.wav"
    for path, audio in ((target, demo_mix()), (reference, demo_reference())):
        # Rounded here, as libsndfile rounds down; its 24 bits are the upper ones of 32.
        steps = np.clip(np.round(audio.samples.T * 2.0**23), -(2.0**23), 2.0**23 - 1.0).astype(np.int32)
        soundfile.write(path, steps << 8, audio.sample_rate_hz, subtype="PCM_24")
    return target, reference


def _key(key: str) -> tuple[int, tuple[int, ...]]:
    """Semitones above C and the scale of a key such as `Eb major`."""
    note, _, mode = key.partition(" ")
    if note[:1] not in SEMITONES or note[1:] not in ("", "#", "b") or mode not in SCALES:
        raise ValueError(f"key: {key!r} is not a note (A to G, maybe # or b) and {' or '.join(SCALES)}")
    return SEMITONES[note[0]] + {"": 0, "#": 1, "b": -1}[note[1:]], SCALES[mode]


def _parts(bars: int) -> tuple[Part, ...]:
    """What each bar is; short songs are all chorus."""
    intro, verse = (0, 0) if bars < 4 else (max(1, bars // 8), round(bars * 0.42))
    return tuple("intro" if bar < intro else "verse" if bar < intro + verse else "chorus" for bar in range(bars))


# The instruments: (2, samples) each, or (samples,) for one note.


def _drums(score: Score) -> Signal:
    out = np.zeros((2, score.length_samples))
    kick, snare, hats = _kick(score), _snare(score), _hats(score)
    for bar, part in enumerate(score.parts):
        if part != "intro":
            for at_s, loud in score.hits(score.style.kick, bar):
                _add(out, loud * kick, at_s, score, pan=0.0, gain_db=-4.5)
            for at_s, loud in score.hits(score.style.snare, bar):
                _add(out, loud**1.3 * snare, at_s, score, pan=-0.05, gain_db=-8.0)
        for n, (at_s, loud) in enumerate(score.hits(score.style.hat, bar)):
            _add(out, loud * hats[n % len(hats)], at_s, score, pan=0.3, gain_db=-24.0 if part == "intro" else -19.0)
        if part == "chorus" and (bar == 0 or score.parts[bar - 1] != "chorus"):
            _add(out, _crash(score), 4 * bar * score.beat_s, score, pan=-0.3, gain_db=-21.0)
    return out


def _kick(score: Score) -> Signal:
    t = _time(0.45, score)
    body = np.sin(2 * np.pi * (50.0 * t + 4.2 * (1.0 - np.exp(-t / 0.025))))
    click = _noise(0.45, score, low_hz=1800.0, high_hz=7000.0, stream=1) * np.exp(-t / 0.003)
    return _eased(body * np.exp(-t / 0.13) + 0.1 * click, 0.001, score)


def _snare(score: Score) -> Signal:
    t = _time(0.4, score)
    drum = np.sin(2 * np.pi * (186.0 * t + 0.5 * (1.0 - np.exp(-t / 0.01)))) * np.exp(-t / 0.07)
    rattle = _noise(0.4, score, low_hz=700.0, high_hz=11_000.0, stream=2) * np.exp(-t / 0.085)
    return _eased(0.8 * drum + 0.4 * rattle, 0.0008, score)


def _hats(score: Score) -> list[Signal]:
    """A few strokes that are not quite the same."""
    t = _time(0.2, score)
    return [
        _eased(_noise(0.2, score, low_hz=6500.0, high_hz=TOP_HZ, stream=10 + n) * np.exp(-t / decay_s), 0.0008, score)
        for n, decay_s in enumerate((0.022, 0.03, 0.025, 0.055))
    ]


def _crash(score: Score) -> Signal:
    t = _time(2.2, score)
    return _eased(_noise(2.2, score, low_hz=3000.0, high_hz=TOP_HZ, stream=3) * np.exp(-t / 0.55), 0.002, score)


def _bass(score: Score) -> Signal:
    """Two-operator FM, plucked, an octave up now and then."""
    out = np.zeros((2, score.length_samples))

    @functools.cache
    def pluck(step: int) -> Signal:
        hz, t = score.hz(step, 1), _time(1.6 * score.beat_s, score)
        growl = (0.4 + 1.6 * np.exp(-t / 0.12)) * np.sin(2 * np.pi * hz * t)
        tone = np.sin(2 * np.pi * hz * t + growl) + 0.25 * np.sin(4 * np.pi * hz * t)
        return _eased(tone * np.exp(-t / 0.5), 0.006, score, end_s=0.08)

    for bar, part in enumerate(score.parts):
        if part != "intro":
            for n, (at_s, loud) in enumerate(score.hits(score.style.bass, bar)):
                step = score.degree(bar) + (7 if n % 3 == 2 else 0)
                _add(out, (0.6 + 0.4 * loud) * pluck(step), at_s, score, pan=0.0, gain_db=-9.5)
    return out


def _chords(score: Score) -> Signal:
    """Detuned saws through a closing low-pass, two different takes left and right."""
    out = np.zeros((2, score.length_samples))

    @functools.cache
    def struck(degree: int) -> Signal:
        t = _time(score.style.chord_beats * score.beat_s + 0.15, score)
        opening = np.exp(-t / 0.25)
        sides = [np.zeros_like(t), np.zeros_like(t)]
        for n, step in enumerate(_voicing(degree)):
            hz = score.hz(step, 3)
            for side, cents in ((0, -4.0 - n), (0, 3.0), (1, 5.0 + n), (1, -2.0)):
                sides[side] += _saw(hz * 2 ** (cents / 1200), t, opening, dull_hz=1500.0, open_hz=7500.0)
        return np.stack([_eased(s * np.exp(-t / 1.1), 0.008, score, end_s=0.12) for s in sides])

    level_db = {"intro": -25.0, "verse": -26.0, "chorus": -23.5}
    for bar, part in enumerate(score.parts):
        for at_s, loud in score.hits(score.style.chords, bar):
            _add(out, loud * struck(score.degree(bar)), at_s, score, 0.0, level_db[part])
    return out


def _pad(score: Score) -> Signal:
    """Held chords that breathe from side to side."""
    out = np.zeros((2, score.length_samples))
    bar_s = 4 * score.beat_s

    @functools.cache
    def held(degree: int) -> Signal:
        t = _time(bar_s + 0.6, score)
        sway = 0.5 * np.sin(2 * np.pi * t / bar_s)
        left, right = np.zeros_like(t), np.zeros_like(t)
        for step in _voicing(degree):
            hz = score.hz(step, 4)
            left += (1.0 + sway) * _saw(hz * 1.003, t, sway, dull_hz=1000.0, open_hz=4500.0)
            right += (1.0 - sway) * _saw(hz * 0.997, t, -sway, dull_hz=1000.0, open_hz=4500.0)
        return np.stack([_eased(s, 0.5, score, end_s=0.6) for s in (left, right)])

    for bar, part in enumerate(score.parts):
        _add(out, held(score.degree(bar)), bar * bar_s, score, 0.0, -24.5 if part == "chorus" else -27.0)
    return out


def _lead(score: Score) -> Signal:
    """A tune over the chords with an echo that changes sides."""
    out = np.zeros((2, score.length_samples))
    rng = np.random.default_rng([score.seed, 5])
    motif = [(rng.integers(len(score.style.lead_rhythms)), rng.integers(-2, 3, 8)) for _ in range(2)]
    for bar, part in enumerate(score.parts):
        if part == "intro" or (part == "verse" and bar % 2 == 0):
            continue
        rhythm, moves = motif[bar % 2]
        beat, step = 0.0, score.degree(bar) + 4
        for n, beats in enumerate(score.style.lead_rhythms[rhythm]):
            # Strong beats sit on the chord, the others step away from it.
            strong = n == 0 or beat == 2.0
            pitch = score.degree(bar) + (2, 4)[n > 0] if strong else step + int(np.sign(moves[n]) or 1)
            step = pitch % 7 + (0 if pitch % 7 > 1 else 7)
            at_s = (4 * bar + beat) * score.beat_s
            note = _sung(score.hz(step, 4), beats * score.beat_s, score)
            _add(out, note, at_s, score, 0.05, -17.5 if part == "chorus" else -21.0)
            for echo, pan in ((1, -0.7), (2, 0.7)):
                _add(out, note, at_s + 0.75 * echo * score.beat_s, score, pan, -23.0 - 6.0 * echo)
            beat += beats
    return out


def _sung(hz: float, seconds: float, score: Score) -> Signal:
    t = _time(seconds + 0.1, score)
    vibrato = 0.004 * np.clip((t - 0.25) / 0.3, 0.0, 1.0) * np.sin(2 * np.pi * 5.3 * t) * hz / 5.3
    phase = 2 * np.pi * hz * t + vibrato
    tone = np.sin(phase + (0.8 + 1.4 * np.exp(-t / 0.15)) * np.sin(2 * phase)) + 0.3 * np.sin(phase)
    return _eased(tone * np.exp(-t / 1.2), 0.015, score, end_s=0.12)


def _room(send: Signal, score: Score) -> Signal:
    """Stereo reverberation: noise that decays, the left not the right."""
    t = _time(1.5, score)
    decay = np.exp(-t / 0.28) * np.clip((t - 0.012) / 0.01, 0.0, 1.0)
    answers = [_noise(1.5, score, low_hz=180.0, high_hz=6500.0, stream=20 + side) * decay for side in (0, 1)]
    n = fft.next_fast_len(send.shape[1] + len(t), real=True)
    wet = np.stack(
        [
            fft.irfft(fft.rfft(s, n) * fft.rfft(a, n), n) / np.sqrt(a @ a)
            for s, a in zip(send, answers, strict=True)
        ]
    )
    # The answer's energy is a sum over samples, of which a higher rate has more.
    return np.asarray(wet[:, : send.shape[1]] * np.sqrt(44_100 / score.sample_rate_hz))


# What instruments are made of.


def _time(seconds: float, score: Score) -> Signal:
    return np.arange(samples_from_s(seconds, score.sample_rate_hz)) / score.sample_rate_hz


def _voicing(degree: int) -> tuple[int, ...]:
    """Triad and seventh, turned so that the hand stays in place."""
    return tuple(sorted((degree + step) % 7 + (7 if (degree + step) % 7 < 1 else 0) for step in (0, 2, 4, 6)))


def _saw(hz: float, t: Signal, opening: Signal, *, dull_hz: float, open_hz: float) -> Signal:
    """A band-limited saw whose low-pass moves from `dull_hz` to `open_hz` as `opening` goes from 0 to 1."""
    k = np.arange(1, int(12_000.0 / hz) + 1)
    phase = hz * t % 1.0 * _CYCLE
    at = phase.astype(np.int64)
    within = phase - at
    tables = [
        _cycle(tuple(1.0 / k / np.sqrt(1.0 + (k * hz / cut) ** 4))) for cut in (dull_hz, open_hz)
    ]
    dull, bright = (table[at] * (1.0 - within) + table[at + 1] * within for table in tables)
    return dull + opening * (bright - dull)



@functools.lru_cache(maxsize=256)
def _cycle(partials: tuple[float, ...]) -> Signal:
    """One cycle of a sum of sines and its first sample again; scattered phases keep the peaks low."""
    spectrum = np.zeros(_CYCLE // 2 + 1, dtype=complex)
    n = np.arange(1, len(partials) + 1)
    spectrum[1 : len(n) + 1] = np.array(partials) * np.exp(1j * np.pi * n**2 / 7.0) * _CYCLE / 2
    cycle = fft.irfft(spectrum, _CYCLE)
    return np.append(cycle, cycle[0])


def _noise(seconds: float, score: Score, *, low_hz: float, high_hz: float, stream: int) -> Signal:
    """Gaussian noise between two frequencies, RMS 1, the same waveform at every sample rate."""
    n = samples_from_s(seconds, score.sample_rate_hz)
    hz = np.arange(n // 2 + 1) / seconds
    inside = hz[hz < TOP_HZ]
    rng = np.random.default_rng([score.seed, 100 + stream])
    lines = rng.normal(size=(len(inside), 2)) @ np.array([1.0, 1j])
    edges = 1.0 / np.sqrt((1.0 + (low_hz / np.maximum(inside, 1.0)) ** 6) * (1.0 + (inside / high_hz) ** 6))
    noise = fft.irfft(np.append(lines * edges, np.zeros(len(hz) - len(inside))), n)
    return np.asarray(noise / np.sqrt(np.mean(noise**2)))


def _eased(note: Signal, start_s: float, score: Score, end_s: float = 0.02) -> Signal:
    """The note without clicks at its ends."""
    t = np.arange(len(note)) / score.sample_rate_hz
    ramp = np.clip(t / start_s, 0.0, 1.0) * np.clip((t[-1] - t) / end_s, 0.0, 1.0)
    return np.asarray(note * (0.5 - 0.5 * np.cos(np.pi * ramp)))


def _add(out: Signal, note: Signal, at_s: float, score: Score, pan: float, gain_db: float) -> None:
    """Mix a note, mono or stereo, into `out` at a time; pan -1 is left, +1 right, at equal power."""
    start = samples_from_s(np.round(at_s * GRID_HZ) / GRID_HZ, score.sample_rate_hz)
    angle = np.pi / 4 * (1.0 + pan)
    sides = np.array([[np.cos(angle)], [np.sin(angle)]]) * (np.sqrt(2.0) * gain_from_db(gain_db))
    room = max(0, min(note.shape[-1], out.shape[1] - start))
    out[:, start : start + room] += sides * np.atleast_2d(note)[:, :room]


def _faded(samples: Signal, sample_rate_hz: int) -> Signal:
    """The last moments fade out."""
    fade = samples_from_s(0.4, sample_rate_hz)
    ramp = np.minimum(1.0, np.arange(samples.shape[1], 0, -1) / fade)
    return samples * (0.5 - 0.5 * np.cos(np.pi * ramp))


# Mastering by simple means: whole-file FFT filters and slow gains.


def shaped(samples: Signal, sample_rate_hz: int, curve: tuple[tuple[float, float], ...]) -> Signal:
    """`samples` (..., n) through a zero-phase filter: (Hz, dB) points, straight over log frequency."""
    # A second of zeros, so that the ends do not meet.
    n = fft.next_fast_len(samples.shape[-1] + sample_rate_hz, real=True)
    hz = np.maximum(fft.rfftfreq(n, 1.0 / sample_rate_hz), 1.0)
    points = np.array(curve)
    gain = gain_from_db(np.interp(np.log(hz), np.log(points[:, 0]), points[:, 1]))
    return np.asarray(fft.irfft(fft.rfft(samples, n) * gain, n)[..., : samples.shape[-1]])


def _three_bands(samples: Signal, sample_rate_hz: int) -> list[Signal]:
    """Low, middle and high, which add up to the whole."""
    n = fft.next_fast_len(samples.shape[-1] + sample_rate_hz, real=True)
    hz = fft.rfftfreq(n, 1.0 / sample_rate_hz)
    spectrum = fft.rfft(samples, n)
    low, high = 1.0 / (1.0 + (hz / 160.0) ** 4), 1.0 - 1.0 / (1.0 + (hz / 2800.0) ** 4)
    return [
        fft.irfft(spectrum * share, n)[:, : samples.shape[1]] for share in (low, 1.0 - low - high, high)
    ]


def _compressed(band: Signal, sample_rate_hz: int, ratio: float = 2.2, knee_db: float = 6.0) -> Signal:
    """A band with its 30 ms levels above its own loud-average pulled together."""
    frame = samples_from_s(0.01, sample_rate_hz)
    power = _framed(band**2, frame).mean(axis=(0, 2))
    level_db = db_from_power(np.convolve(np.pad(power, 1, mode="edge"), np.ones(3) / 3, mode="valid"))
    threshold_db = db_from_power(float(np.mean(power))) - 3.0
    over = np.clip(level_db - threshold_db + knee_db / 2, 0.0, None)
    reduction_db = (1.0 / ratio - 1.0) * np.where(over < knee_db, over**2 / (2 * knee_db), over - knee_db / 2)
    smooth_db = np.convolve(np.pad(reduction_db, 4, mode="edge"), np.hanning(11)[1:-1] / 5.0, mode="valid")
    return np.asarray(band * gain_from_db(_between_frames(smooth_db, frame, band.shape[1])))


def _limited(samples: Signal, sample_rate_hz: int, ceiling: float) -> Signal:
    """No sample above `ceiling`: the fastest peaks rounded off, the rest turned down before they arrive."""
    soft = 2.0 * ceiling * np.tanh(samples / (2.0 * ceiling))
    frame, reach = samples_from_s(0.001, sample_rate_hz), 12
    peaks = _framed(np.abs(soft), frame).max(axis=(0, 2))
    wanted = np.minimum(1.0, ceiling / np.maximum(peaks, 1e-9))
    lowest = np.lib.stride_tricks.sliding_window_view(np.pad(wanted, reach + 1, mode="edge"), 2 * reach + 3).min(axis=1)
    window = np.hanning(2 * reach + 3)[1:-1]
    gain = np.convolve(np.pad(lowest, reach, mode="edge"), window / window.sum(), mode="valid")
    return np.clip(soft * _between_frames(gain, frame, samples.shape[1]), -ceiling, ceiling)


def _framed(samples: Signal, frame: int) -> Signal:
    """(channels, n) to (channels, frames, frame), the last frame filled up with zeros."""
    channels, n = samples.shape
    return np.pad(samples, ((0, 0), (0, -n % frame))).reshape(channels, -1, frame)


def _between_frames(values: Signal, frame: int, length: int) -> Signal:
    """One value a frame, taken at its centre, drawn out to one a sample."""
    return np.interp(np.arange(length), (np.arange(len(values)) + 0.5) * frame, values)


def _loudness_lufs(samples: Signal, sample_rate_hz: int) -> float:
    """Integrated loudness, ITU-R BS.1770-5, its K weighting applied over frequency; the ending counts as silence."""
    n = fft.next_fast_len(samples.shape[1], real=True)
    z = np.exp(-2j * np.pi * np.minimum(fft.rfftfreq(n, 1.0 / sample_rate_hz), 24_000.0) / 48_000.0)
    shelf = (1.53512485958697 - 2.69169618940638 * z + 1.19839281085285 * z**2) / (
        1.0 - 1.69065929318241 * z + 0.73248077421585 * z**2
    )
    cut = (1.0 - 2.0 * z + z**2) / (1.0 - 1.99004745483398 * z + 0.99007225036621 * z**2)
    weighted = fft.irfft(fft.rfft(samples, n) * np.abs(shelf * cut), n)[:, : samples.shape[1]]
    tenths = _framed(weighted**2, samples_from_s(0.1, sample_rate_hz)).mean(axis=2).sum(axis=0)
    blocks = np.convolve(tenths, np.full(4, 0.25), mode="valid")
    loud = blocks[-0.691 + db_from_power(blocks) > -70.0]
    if not len(loud):
        return -70.0
    kept = loud[db_from_power(loud) > db_from_power(float(loud.mean())) - 10.0]
    return float(-0.691 + db_from_power(float(kept.mean())))


def main(arguments: list[str]) -> int:
    """`python -m matcher.demo FOLDER`."""
    if len(arguments) != 1:
        print("usage: python -m matcher.demo FOLDER", file=sys.stderr)
        return 2
    for path in write_demo(arguments[0]):
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
