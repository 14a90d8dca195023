"""Measures of masters, each from its definition.

Third octaves and width as IEC 61260-1 bands of a Welch spectrum at equal loudness; multi-resolution STFT and mel
distance as auraloss defines them (window lengths 600, 1200, 240; one mel window of 65536); audio features as in
Diff-MST and ITO-Master, in decibels to base ten.
"""

from __future__ import annotations

import functools

import librosa
import numpy as np
from numpy.typing import NDArray
from scipy import signal

from judging.sound import RATE_HZ, Sound, lufs, mid_side

Array = NDArray[np.float64]

THIRD_OCTAVES_HZ = 1000.0 * 10.0 ** (np.arange(-16, 13) / 10.0)
OCTAVES_HZ = 1000.0 * 10.0 ** (3 * np.arange(-4, 4) / 10.0)
HEARD_DB = -60.0
NEEDED_DB = 12.0
"""Bands that would need more than this are told apart: nobody should make them up."""
FEATURE_WEIGHTS = (0.1, 0.001, 1.0, 1.0, 0.1)


def bands_db(channel: Array, centres_hz: Array, half: float) -> Array:
    """Power in bands from centre / half to centre * half, dB."""
    size = min(16_384, len(channel))
    hz, density = signal.welch(channel, RATE_HZ, nperseg=size)
    running = np.concatenate([[0.0], np.cumsum(density) * hz[1]])
    edges = np.concatenate([[0.0], hz + hz[1] / 2.0])
    power = np.interp(centres_hz * half, edges, running) - np.interp(centres_hz / half, edges, running)
    return 10.0 * np.log10(np.maximum(power, 1e-12))


def third_octaves_db(channel: Array) -> Array:
    """Of `THIRD_OCTAVES_HZ`."""
    return bands_db(channel, THIRD_OCTAVES_HZ, 10.0**0.05)


def width_db(sound: Sound) -> Array:
    """Side against mid per octave, within -30 and 10 dB."""
    mid, side = (bands_db(each, OCTAVES_HZ, 10.0**0.15) for each in mid_side(sound))
    return np.clip(side - mid, -30.0, 10.0)


def crest_db(sound: Sound) -> float:
    """Median crest factor of the louder half of all 0.4 s blocks."""
    size = int(0.4 * RATE_HZ)
    blocks = sound[: len(sound) // size * size].reshape(-1, size, 2)
    level = 10.0 * np.log10((blocks**2).mean(axis=(1, 2)) + 1e-12)
    peak = 20.0 * np.log10(np.abs(blocks).max(axis=(1, 2)) + 1e-12)
    return float(np.median((peak - level)[level >= np.median(level)]))


def spreads_db(sound: Sound) -> Array:
    """How far the loud 50 ms stand above the usual ones, in a low, a middle and a high band of the mid."""
    size, found = int(0.05 * RATE_HZ), []
    for low_hz, high_hz in ((20, 200), (200, 3000), (3000, 0.45 * RATE_HZ)):
        band = signal.sosfilt(signal.butter(2, (low_hz, high_hz), "band", fs=RATE_HZ, output="sos"), mid_side(sound)[0])
        level = 10.0 * np.log10((band[: len(band) // size * size].reshape(-1, size) ** 2).mean(axis=1) + 1e-12)
        loud, usual = np.percentile(level, [95, 50])
        found.append(min(loud - usual, 30.0))
    return np.array(found)


def spectrogram_db(sound: Sound, truth: Sound) -> float:
    """Mean distance of the magnitudes of mid and side at three window lengths, where the truth is heard."""
    found = []
    for mine, true in zip(mid_side(sound), mid_side(truth), strict=True):
        if np.mean(true**2) < 1e-8 * np.mean(truth**2):
            continue
        for size in (512, 2048, 8192):
            here, there = (np.abs(librosa.stft(x, n_fft=size, hop_length=size // 2)) for x in (mine, true))
            heard = there > there.max() * 1e-3
            ratio = np.maximum(here[heard], there.max() * 1e-4) / there[heard]
            found.append(np.abs(20.0 * np.log10(ratio)).mean())
    return float(np.mean(found))


def to_truth(sound: Sound, truth: Sound) -> dict[str, float]:
    """How far a master is from the true one of the same piece; zero where they are equal."""
    here, there = lufs(sound), lufs(truth)
    level, true = sound * 10.0 ** (-here / 20.0), truth * 10.0 ** (-there / 20.0)
    tone = [[third_octaves_db(c) for c in mid_side(x)] for x in (level, true)]
    loudest = tone[1][0].max()

    def rms(channel: int) -> float:
        heard = tone[1][channel] > loudest + HEARD_DB
        return float(np.sqrt(np.mean((tone[0][channel] - tone[1][channel])[heard] ** 2))) if heard.any() else 0.0

    return {
        "tone_db": rms(0),
        "side_tone_db": rms(1),
        "width_db": float(np.sqrt(np.mean((width_db(sound) - width_db(truth)) ** 2))),
        "micro_db": abs(crest_db(sound) - crest_db(truth)),
        "spread_db": float(np.abs(spreads_db(sound) - spreads_db(truth)).mean()),
        "spectrogram_db": spectrogram_db(level, true),
        "loudness_lu": abs(here - there),
    }


def recovered(distance: dict[str, float], untouched: dict[str, float]) -> float:
    """Mean share of the untouched target's distance that was removed; half a decibel is neither asked nor punished."""
    parts = []
    for name, value in distance.items():
        if name != "loudness_lu" and max(value, untouched[name]) > 0.5:
            parts.append(np.clip(1.0 - value / max(untouched[name], 0.5), -1.0, 1.0))
    return float(np.mean(parts)) if parts else 0.0


# --- the style-transfer protocol


def mrstft(sound: Array, truth: Array) -> float:
    """Spectral convergence plus mean difference of log magnitudes, averaged over three resolutions."""
    found = []
    for size, hop, length in ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)):
        here, there = (
            np.sqrt(np.maximum(np.abs(librosa.stft(x, n_fft=size, hop_length=hop, win_length=length)) ** 2, 1e-8))
            for x in (sound, truth)
        )
        convergence = np.linalg.norm(there - here) / np.linalg.norm(there)
        found.append(convergence + np.abs(np.log(here) - np.log(there)).mean())
    return float(np.mean(found))


def mel_distance(sound: Array, truth: Array) -> float:
    """Mean difference of 128 mel magnitudes over windows of 65536, logarithmic plus linear."""
    size = 65_536
    here, there = (
        _mel() @ np.sqrt(np.maximum(np.abs(librosa.stft(x, n_fft=size, hop_length=size)) ** 2, 1e-8))
        for x in (sound, truth)
    )
    return float(np.abs(np.log(here + 1e-8) - np.log(there + 1e-8)).mean() + np.abs(here - there).mean())


@functools.cache
def _mel() -> Array:
    return librosa.filters.mel(sr=RATE_HZ, n_fft=65_536, n_mels=128)


def centroid_hz(sound: Array) -> float:
    """Mean spectral centroid."""
    return float(librosa.feature.spectral_centroid(y=sound, sr=RATE_HZ, n_fft=2048, hop_length=512).mean())


def to_style(sound: Array, truth: Array) -> dict[str, float]:
    """The protocol's distances of one channel to its truth, in real decibels."""

    def level_db(x: Array) -> float:
        return float(10.0 * np.log10(np.mean(x**2) + 1e-12))

    def crest(x: Array) -> float:
        return float(20.0 * np.log10(np.abs(x).max() + 1e-12)) - level_db(x)

    both = [np.stack([x, x], axis=1) for x in (sound, truth)]
    return {
        "mrstft": mrstft(sound, truth),
        "msd": mel_distance(sound, truth),
        "centroid_hz": abs(centroid_hz(sound) - centroid_hz(truth)),
        "lufs_lu": abs(lufs(both[0]) - lufs(both[1])),
        "rms_db": abs(level_db(sound) - level_db(truth)),
        "crest_db": abs(crest(sound) - crest(truth)),
    }


# --- the audio features


def features(sound: Sound) -> dict[str, Array]:
    """Level, crest factor, width, balance of the channels and Bark spectra of mid and side."""
    left, right = sound.T
    rms = np.sqrt(np.maximum((sound**2).mean(axis=0), 1e-8))
    total = np.mean((left + right) ** 2)
    barks = [np.log(_bark() @ _spectrum(x).mean(axis=1) + 1e-8) for x in (left + right, left - right)]
    power = (right**2).mean() + (left**2).mean()
    return {
        "rms": rms,
        "crest": 20.0 * np.log10(np.abs(sound).max(axis=0) / np.maximum(rms, 1e-8)),
        "width": np.array([np.mean((left - right) ** 2) / max(total, 1e-8)]),
        "balance": np.array([((right**2).mean() - (left**2).mean()) / max(power, 1e-8)]),
        "bark": np.concatenate(barks),
    }


def _weighted(errors: dict[str, Array]) -> float:
    return float(np.dot(FEATURE_WEIGHTS, [each.mean() if each.size else 0.0 for each in errors.values()]))


def _bark_db(found: dict[str, Array], sound: Sound) -> Array:
    """At 0 LUFS."""
    return 20.0 / np.log(10.0) * found["bark"] - lufs(sound)


def _spectrum(channel: Array) -> Array:
    return np.abs(librosa.stft(channel, n_fft=32_768, hop_length=8192))


def _width_within(sound: Sound, barks: NDArray[np.bool_]) -> float:
    """The feature of that name over some of the Bark bands alone."""
    left, right = sound.T
    total, side = ((_bark()[barks] @ (_spectrum(x) ** 2).mean(axis=1)).sum() for x in (left + right, left - right))
    return float(side / total) if barks.any() else 0.0


@functools.cache
def _bark() -> Array:
    """24 triangles from 20 Hz to 20 kHz, evenly spaced in Bark (Traunmueller)."""
    hz = np.linspace(0.0, RATE_HZ / 2.0, 16_385)
    bark = 26.81 * hz / (1960.0 + hz) - 0.53
    ends = [26.81 * f / (1960.0 + f) - 0.53 for f in (20.0, 20_000.0)]
    centres = np.linspace(*ends, 26)
    return np.array([np.interp(bark, centres[i : i + 3], [0.0, 1.0, 0.0]) for i in range(24)])


def to_reference(sound: Sound, reference: Sound, target: Sound) -> dict[str, float]:
    """How far a master is from its reference in audio features and third octaves, and what it kept of the target.

    Bands that need more than `NEEDED_DB` at equal loudness count in the figures with `all` in their name alone.
    """
    here, there, origin = (features(x) for x in (sound, reference, target))
    errors = {name: (here[name] - there[name]) ** 2 for name in here}
    within = np.abs(_bark_db(origin, target) - _bark_db(there, reference)) <= NEEDED_DB
    widths = [_width_within(x, within.reshape(2, 24).all(axis=0)) for x in (sound, reference)]
    bounded = errors | {"bark": errors["bark"][within], "width": np.array([(widths[0] - widths[1]) ** 2])}
    rms_db = [20.0 * np.log10(x["rms"]) for x in (here, there)]
    found = {
        "af_loss": _weighted(bounded),
        "af_all_loss": _weighted(errors),
        "rms_db": float(np.abs(rms_db[0] - rms_db[1]).mean()),
        "crest_db": float(np.abs(here["crest"] - there["crest"]).mean()),
    }
    levels = [[third_octaves_db(c) - lufs(x) for c in mid_side(x)] for x in (sound, reference, target)]
    for channel, name in enumerate(("mid", "side")):
        mine, wanted, before = (each[channel] for each in levels)
        heard = (wanted > levels[1][0].max() + HEARD_DB) & (before > levels[2][0].max() + HEARD_DB)
        near = heard & (np.abs(wanted - before) <= NEEDED_DB)
        error = np.abs(mine - wanted)
        found[f"{name}_db"] = float(error[near].mean()) if near.any() else 0.0
        found[f"{name}_all_db"] = float(error[heard].mean()) if heard.any() else 0.0
    found["kept_db"] = content_db(sound, target)
    return found


def content_db(sound: Sound, target: Sound) -> float:
    """Scale-invariant SDR of a master against the target through the master's own EQ: what is not a filter's doing.

    The EQ is the filter of 2048 taps from target to master, per mid and side, from their averaged spectra.
    """
    signal_power = error_power = 0.0
    for out, source in zip(mid_side(sound), mid_side(target), strict=True):
        size = min(4096, len(source))
        _, cross = signal.csd(source, out, RATE_HZ, nperseg=size)
        _, auto = signal.welch(source, RATE_HZ, nperseg=size)
        taps = np.roll(np.fft.irfft(cross / (auto + 1e-15)), 1024)[:2048] * np.hanning(2048)
        through = signal.fftconvolve(source, taps)[1024 : 1024 + len(source)]
        through *= np.dot(out, through) / max(np.dot(through, through), 1e-15)
        signal_power += float(np.sum(through**2))
        error_power += float(np.sum((out - through) ** 2))
    return float(10.0 * np.log10(signal_power / max(error_power, 1e-15)))
