"""The quality benchmark: its measures on sounds with known answers, its protocols and the whole program on a folder."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
RATE_HZ = 44_100


@pytest.fixture(scope="module", autouse=True)
def on_path() -> None:
    """`judging` is imported as the program imports it."""
    sys.path.insert(0, str(BENCHMARKS))
    yield
    sys.path.remove(str(BENCHMARKS))


def judging(name: str) -> ModuleType:
    """A module of the benchmark."""
    return importlib.import_module(f"judging.{name}")


def noise(seconds: float, seed: int = 1) -> np.ndarray:
    """Noise that swells twice a second, with a side 9 dB below; (samples, 2)."""
    rng, count = np.random.default_rng(seed), int(seconds * RATE_HZ)
    swell = 10.0 ** (-0.6 * (1.0 + np.sin(2.0 * np.pi * 2.0 * np.arange(count) / RATE_HZ)))
    mid, side = rng.normal(0.0, 0.05, (2, count)) * swell
    return np.stack([mid + 0.35 * side, mid - 0.35 * side], axis=1)


@pytest.fixture(scope="module")
def album(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two albums of two pieces."""
    folder = tmp_path_factory.mktemp("music")
    for name in ("one", "two"):
        (folder / name).mkdir()
        for track in (1, 2):
            soundfile.write(folder / name / f"{track}.flac", noise(16.0, track + 10 * len(name)), RATE_HZ)
    return folder


class TestMeasures:
    """Distances."""

    def test_the_truth_is_no_distance_from_itself(self) -> None:
        """Every distance of equal masters is 0, and all is recovered; of the untouched nothing is."""
        measures, sound = judging("measures"), noise(6.0)
        same = measures.to_truth(sound, sound)
        assert max(same.values()) < 1e-9
        far = measures.to_truth(judging("chains").master(np.random.default_rng(3))(sound), sound)
        assert measures.recovered(same, far) == 1.0
        assert measures.recovered(far, far) == 0.0
        assert max(measures.to_style(sound[:, 0], sound[:, 0]).values()) == 0.0

    def test_a_shelf_is_read_as_it_is(self) -> None:
        """6 dB more below 100 Hz: 6 dB in the tone's low third octaves, nothing in the width."""
        measures, chains, sound = judging("measures"), judging("chains"), noise(8.0)
        from scipy import signal

        shelved = signal.sosfilt(chains.section("low", 300.0, 6.0, 0.707), sound, axis=0)
        bands = [measures.third_octaves_db(x[:, 0]) for x in (sound, shelved)]
        assert abs((bands[1] - bands[0])[1] - 6.0) < 0.2
        assert abs((bands[1] - bands[0])[-3]) < 0.2
        assert measures.to_truth(shelved, sound)["width_db"] < 0.05

    def test_content_is_what_no_filter_explains(self) -> None:
        """Behind an equalizer all is kept; noise 20 dB below is found at 20 dB; another piece keeps nothing."""
        measures, chains, sound = judging("measures"), judging("chains"), noise(8.0)
        from scipy import signal

        shelved = 3.0 * signal.sosfilt(chains.section("high", 3000.0, -5.0, 0.707), sound, axis=0)
        assert measures.content_db(shelved, sound) > 40.0
        hiss = noise(8.0, 7) * np.sqrt(np.mean(shelved**2) / np.mean(noise(8.0, 7) ** 2)) * 0.1
        assert abs(measures.content_db(shelved + hiss, sound) - 20.0) < 0.7
        assert measures.content_db(noise(8.0, 5), sound) < -10.0

    def test_audio_features_have_their_weights(self) -> None:
        """A level 6 dB higher costs a tenth of the squared difference in linear RMS and of the Bark spectra."""
        measures, sound = judging("measures"), noise(6.0)
        found = measures.to_reference(2.0 * sound, sound, sound)
        rms = np.sqrt((sound**2).mean(axis=0))
        assert found["af_loss"] == pytest.approx(0.1 * np.mean(rms**2) + 0.1 * np.log(2.0) ** 2, rel=1e-3)
        assert found["rms_db"] == pytest.approx(6.02, abs=0.01)
        assert found["crest_db"] == pytest.approx(0.0, abs=1e-6)
        assert found["mid_db"] < 1e-6
        assert found["af_all_loss"] == pytest.approx(found["af_loss"])

    def test_bands_that_need_too_much_are_told_apart(self) -> None:
        """A side 40 dB below the wanted one: its bands and its width count among all bands alone."""
        measures, sound = judging("measures"), noise(6.0)
        mid, side = sound.mean(axis=1), (sound[:, 0] - sound[:, 1]) / 2.0
        narrow = np.stack([mid + 0.01 * side, mid - 0.01 * side], axis=1)
        found = measures.to_reference(narrow, sound, narrow)
        width = np.mean(side**2) / np.mean(mid**2)
        assert found["af_all_loss"] - found["af_loss"] > 0.09 * np.log(100.0) ** 2 / 2.0 + 0.9 * width**2
        assert found["af_loss"] < 0.01

    def test_the_width_of_all_bands_is_that_of_the_sound(self) -> None:
        """As the sum of squares has it, but for what lies beyond the Bark bands; of no band it is none."""
        measures, sound = judging("measures"), noise(6.0)
        whole = measures.features(sound)["width"][0]
        assert measures._width_within(sound, np.ones(24, dtype=bool)) == pytest.approx(whole, rel=0.03)
        assert measures._width_within(sound, np.zeros(24, dtype=bool)) == 0.0


class TestProtocols:
    """What is asked for."""

    @pytest.mark.parametrize("name", ["recovery", "style", "features"])
    def test_the_same_seed_gives_the_same_cases(self, album: Path, name: str) -> None:
        """Cases are drawn by the seed alone, are as long as asked for, and hold no silence."""
        protocol, albums = judging("protocols").PROTOCOLS[name], judging("sound").albums(album)

        def drawn(seed: int) -> list:
            return list(protocol.cases(albums, 2, 6.0, np.random.default_rng(seed)))

        one, again, other = drawn(1), drawn(1), drawn(2)
        assert len(one) == 2
        for a, b in zip(one, again, strict=True):
            assert np.array_equal(a.target, b.target)
            assert np.array_equal(a.reference, b.reference)
        assert not np.array_equal(one[0].reference[:1000], other[0].reference[:1000])
        assert all(np.mean(c.target**2) > 1e-7 for c in one)

    def test_the_truth_recovers_everything(self, album: Path) -> None:
        """Handed in as a master, the truth has recovered all."""
        protocol = judging("protocols").PROTOCOLS["recovery"]
        case = next(protocol.cases(judging("sound").albums(album), 1, 6.0, np.random.default_rng(1)))
        assert protocol.measure(case.truth, case)["recovered"] == 1.0

    def test_a_limiter_keeps_its_ceiling(self) -> None:
        """The hidden chain's last step."""
        chains, sound = judging("chains"), 20.0 * noise(2.0)
        assert np.abs(chains.limited(sound, -1.0)).max() <= 10.0 ** (-1.0 / 20.0) + 1e-9


def test_the_program_judges_a_folder(album: Path, tmp_path: Path) -> None:
    """All protocols on made-up albums: every competitor has a row in the JSON and a bar in the plot; failures show."""
    data, plot, broken = tmp_path / "q.json", tmp_path / "q.svg", tmp_path / "python"
    broken.write_text("#!/bin/sh\necho no matchering here >&2\nexit 3\n")
    broken.chmod(0o755)
    run = subprocess.run(
        [
            *(sys.executable, str(BENCHMARKS / "quality.py"), str(album), "--count", "1", "--seconds", "6"),
            *("--protocol", "recovery", "--matchering", str(broken), "--json", str(data), "--plot", str(plot)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    rows = {row["competitor"]: row for row in json.loads(data.read_text())["runs"]}
    assert set(rows) == {"match", "match-most", "match-all", "rules", "matchering", "input"}
    assert rows["matchering"]["failed"] == "exit 3: no matchering here"
    assert "no matchering here" in run.stdout
    assert rows["input"]["recovered"] == pytest.approx(0.0, abs=1e-6)
    assert -1.0 <= rows["match"]["recovered"] <= 1.0
    assert plot.read_text().startswith("<svg")


@pytest.mark.parametrize(
    ("asked", "named"),
    [(["--count", "0"], "'--count'"), (["--seconds", "1"], "'--seconds'"), ([], "no music")],
)
def test_what_cannot_be_judged_is_refused(asked: list[str], named: str, tmp_path: Path) -> None:
    """Bad options and a folder without music: one line, an exit code."""
    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / "quality.py"), str(tmp_path), *asked],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert named in run.stderr


def test_only_names_a_competitor(album: Path) -> None:
    """One that is not known is told with those that are."""
    run = subprocess.run(
        [sys.executable, str(BENCHMARKS / "quality.py"), str(album), "--only", "ozone"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert "ozone is not among match, match-most" in run.stderr
