"""`match export`: what other tools get is what our chain does."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.signal
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.curves import Point
from dsp.effects.eq import Band, Curve, Eq
from dsp.effects.limiter import Limiter
from matcher.exporting import biquads as fitting
from matcher.exporting.biquads import Biquad, coefficients, fitted, places_hz, response_db
from matcher.plans import Plan, Step, Track

Command = Callable[..., tuple[int, str, str]]
PROMISED_DB = 0.1

PLAIN = Eq(
    bands=(
        Band(shape="low_shelf", frequency_hz=70.0, gain_db=3.0, q=0.8),
        Band(frequency_hz=320.0, gain_db=-4.0, q=2.0),
        Band(frequency_hz=11_000.0, gain_db=5.0, q=1.2),
        Band(shape="high_shelf", frequency_hz=14_000.0, gain_db=-6.0, q=0.6),
    )
)
PARTED = Eq(
    bands=(
        Band(frequency_hz=2500.0, gain_db=2.5),
        Band(frequency_hz=200.0, gain_db=-5.0, q=1.5, channels="side"),
        Band(shape="high_shelf", frequency_hz=9000.0, gain_db=4.0, channels="mid"),
    ),
    curves=(
        Curve(points=tuple(Point(frequency_hz=f, gain_db=g) for f, g in ((60.0, 1.5), (500.0, 0.0), (6e3, -2.0)))),
    ),
)


def plan_of(eq: Eq) -> Plan:
    """A plan with this tone."""
    target = Track(
        name="mix of <b>.wav", content_hash="0" * 32, sample_rate_hz=44100, channels=2, integrated_lufs=-14.0
    )
    limiter = Step(settings=Limiter(ceiling_dbtp=-1.0), because="peaks")
    return Plan(target=target, steps=(Step(settings=eq, because="tone"), limiter))


def by_chain(eq: Eq, rate_hz: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains of mid and side, dB, as our chain does it to an impulse in the middle of three seconds."""
    found = []
    for sign in (1.0, -1.0):
        impulse = np.zeros((2, 3 * rate_hz), dtype=np.float32)
        impulse[0, rate_hz], impulse[1, rate_hz] = 1.0, sign
        out = Chain((eq,))(Audio(impulse, rate_hz)).samples
        found.append(spectrum_db(out[0], rate_hz))
    return found[0], found[1]


def spectrum_db(samples: np.ndarray, rate_hz: int) -> np.ndarray:
    """Magnitude at the places where a fit is judged."""
    hz, spectrum = np.fft.rfftfreq(len(samples), 1.0 / rate_hz), np.abs(np.fft.rfft(samples.astype(float)))
    return np.interp(places_hz(rate_hz), hz, 20.0 * np.log10(spectrum))


def by_scipy(biquads: list[Biquad], rate_hz: int) -> np.ndarray:
    """Gain of cookbook biquads, dB, by SciPy's own filter on an impulse."""
    impulse = np.zeros(3 * rate_hz)
    impulse[0] = 1.0
    return spectrum_db(scipy.signal.sosfilt(coefficients(biquads, rate_hz), impulse), rate_hz)


def read_lines(text: str) -> list[Biquad]:
    """The filters of a REW or Equalizer APO text."""
    shapes = {"PK": "peak", "LSC": "low_shelf", "HSC": "high_shelf"}
    pattern = r"Filter +\d+: ON +(\w+) +Fc +([\d.]+) Hz +Gain +([-\d.]+) dB +Q +([\d.]+)"
    return [Biquad(shapes[kind], *map(float, rest)) for kind, *rest in re.findall(pattern, text)]


@pytest.fixture(params=[PLAIN, PARTED], ids=["plain", "parted"])
def eq(request: pytest.FixtureRequest) -> Eq:
    """Bands near the top of the spectrum; and filters of their own for mid and side, with a curve."""
    return request.param


@pytest.fixture
def plan_file(eq: Eq, tmp_path: Path) -> Path:
    """Its plan as a file."""
    path = tmp_path / "plan.json"
    path.write_text(plan_of(eq).to_json())
    return path


class TestSameSound:
    """Within 0.1 dB from 20 Hz to 16 kHz, at the rate of the export."""

    @pytest.mark.parametrize("rate_hz", [44100, 48000, 96000])
    def test_equalizer_apo(self, command: Command, eq: Eq, plan_file: Path, rate_hz: int) -> None:
        """One file; mid and side by channels where they differ."""
        assert command("export", plan_file, "--to", "eq-apo", "--rate", rate_hz)[0] == 0
        text = plan_file.with_name("plan-eq-apo.txt").read_text()
        mid, side = by_chain(eq, rate_hz)
        if eq is PLAIN:
            assert "Copy" not in text
            assert np.abs(by_scipy(read_lines(text), rate_hz) - mid).max() < PROMISED_DB
            return
        _, of_mid, of_side, end = re.split(r"^Channel: \w+$", text, flags=re.MULTILINE)
        assert "Copy: MID=0.5*L+0.5*R SIDE=0.5*L+-0.5*R" in text
        assert "Copy: L=MID+SIDE R=MID+-1.0*SIDE" in end
        assert np.abs(by_scipy(read_lines(of_mid), rate_hz) - mid).max() < PROMISED_DB
        assert np.abs(by_scipy(read_lines(of_side), rate_hz) - side).max() < PROMISED_DB

    @pytest.mark.parametrize("rate_hz", [44100, 96000])
    def test_room_eq_wizard(self, command: Command, eq: Eq, plan_file: Path, rate_hz: int) -> None:
        """Bells alone; two files where mid and side differ."""
        code, out, _ = command("export", plan_file, "--to", "rew", "--rate", rate_hz)
        assert code == 0
        files = [Path(line) for line in out.splitlines()]
        assert [f.name for f in files] == (
            ["plan-rew.txt"] if eq is PLAIN else ["plan-rew-mid.txt", "plan-rew-side.txt"]
        )
        for file, wanted in zip(files, by_chain(eq, rate_hz), strict=False):
            text = file.read_text()
            assert "Equaliser: Generic" in text
            assert {b.shape for b in read_lines(text)} == {"peak"}
            assert np.abs(by_scipy(read_lines(text), rate_hz) - wanted).max() < PROMISED_DB

    @pytest.mark.parametrize("rate_hz", [44100, 96000])
    def test_impulse_response(self, command: Command, eq: Eq, plan_file: Path, rate_hz: int) -> None:
        """A float WAV at the rate asked for."""
        code, out, _ = command("export", plan_file, "--to", "ir", "--rate", rate_hz)
        assert code == 0
        for line, wanted in zip(out.splitlines(), by_chain(eq, rate_hz), strict=False):
            taps, rate = soundfile.read(line)
            assert rate == rate_hz
            assert taps.ndim == 1
            padded = np.concatenate([taps, np.zeros(3 * rate_hz - len(taps))])
            assert np.abs(spectrum_db(padded, rate_hz) - wanted).max() < PROMISED_DB

    def test_reaper(self, command: Command, eq: Eq, plan_file: Path) -> None:
        """The coefficients that stand in the script."""
        assert command("export", plan_file, "--to", "reaper")[0] == 0
        text = plan_file.with_name("plan-reaper.jsfx").read_text()
        memory = {int(a) + int(b): float(v) for a, b, v in re.findall(r"(\d+)\[(\d)\] = ([-\d.e]+);", text)}
        for channel, wanted in zip(("mid", "side"), by_chain(eq, 44100), strict=True):
            first, count = map(int, re.search(rf"{channel}_from = (\d+); {channel}_count = (\d+);", text).groups())
            rows = [[memory[first + 7 * n + k] for k in range(5)] for n in range(count)]
            sections = np.array([[b0, b1, b2, 1.0, a1, a2] for b0, b1, b2, a1, a2 in rows])
            impulse = np.zeros(3 * 44100)
            impulse[0] = 1.0
            assert np.abs(spectrum_db(scipy.signal.sosfilt(sections, impulse), 44100) - wanted).max() < PROMISED_DB
        assert "<b>" not in text

    @settings(max_examples=25, deadline=None)
    @given(
        bands=st.lists(
            st.builds(
                Band,
                shape=st.just("peak"),
                frequency_hz=st.floats(25.0, 18_000.0),
                gain_db=st.floats(-9.0, 9.0),
                q=st.floats(0.3, 10.0),
            )
            | st.builds(
                Band,
                shape=st.sampled_from(["low_shelf", "high_shelf"]),
                frequency_hz=st.floats(25.0, 18_000.0),
                gain_db=st.floats(-9.0, 9.0),
                q=st.floats(0.3, 1.0),
            ),
            min_size=1,
            max_size=4,
        ),
        rate_hz=st.sampled_from([44100, 48000, 96000]),
    )
    def test_any_bands(self, bands: list[Band], rate_hz: int) -> None:
        """Shelves near the top and narrow bells are fitted as well; shelves that ring are not promised."""
        eq = Eq(bands=tuple(bands))
        fit = fitted(eq, "mid", rate_hz)
        hz = places_hz(rate_hz)
        assert np.abs(response_db(fit.biquads, hz, rate_hz) - eq.response_db(hz, "mid")).max() < PROMISED_DB


class TestTables:
    """For a person, and for programs."""

    def test_csv(self, command: Command, plan_file: Path) -> None:
        """A line for each setting, in the order of the chain."""
        assert command("export", plan_file, "--to", "csv")[0] == 0
        rows = list(csv.DictReader(plan_file.with_name("plan-csv.csv").read_text().splitlines()))
        assert {"step": "2 limiter", "part": "", "setting": "ceiling_dbtp", "value": "-1.0"} in rows
        assert any(row["step"] == "1 tone" and row["setting"] == "gain_db" for row in rows)

    def test_json(self, command: Command, eq: Eq, plan_file: Path) -> None:
        """Steps and biquads with their coefficients."""
        assert command("export", plan_file, "--to", "json", "-o", plan_file.with_name("e.json"))[0] == 0
        data = json.loads(plan_file.with_name("e.json").read_text())
        assert data["format"] == "match-export"
        sections = np.array([b["coefficients"] for b in data["tone"]["mid"]["biquads"]])
        impulse = np.zeros(3 * 44100)
        impulse[0] = 1.0
        made = spectrum_db(scipy.signal.sosfilt(sections, impulse), 44100)
        assert np.abs(made - by_chain(eq, 44100)[0]).max() < PROMISED_DB
        assert [s["settings"]["effect"] for s in data["steps"]] == ["eq", "limiter"]


class TestRefusals:
    """One line, nothing written."""

    def test_what_is_there_stays(self, command: Command, plan_file: Path) -> None:
        """Unless forced."""
        place = plan_file.with_name("plan-csv.csv")
        place.write_text("mine")
        code, out, err = command("export", plan_file, "--to", "csv")
        assert (code, out) == (3, "")
        assert "plan-csv.csv: exists already" in err
        assert place.read_text() == "mine"
        assert command("export", plan_file, "--to", "csv", "--force")[0] == 0

    def test_a_plan_without_tone(self, command: Command, tmp_path: Path) -> None:
        """Has nothing for an equalizer, and still a table."""
        path = tmp_path / "plan.json"
        path.write_text(plan_of(Eq()).to_json())
        code, _, err = command("export", path, "--to", "rew")
        assert code == 4
        assert "no equalizer that does anything" in err
        assert command("export", path, "--to", "csv")[0] == 0
        assert sorted(p.name for p in tmp_path.iterdir()) == ["plan-csv.csv", "plan.json"]

    def test_what_is_no_plan(self, command: Command, tmp_path: Path) -> None:
        """Named."""
        (tmp_path / "x.json").write_text("{}")
        code, _, err = command("export", tmp_path / "x.json", "--to", "ir")
        assert code == 4
        assert "x.json: not a plan" in err

    @pytest.mark.parametrize("kind", ["rew", "eq-apo", "reaper"])
    def test_a_tone_that_bands_cannot_make(
        self, command: Command, plan_file: Path, kind: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By how much, and what can; the tables still come."""
        monkeypatch.setattr(fitting, "MOST_BIQUADS", 1)
        code, out, err = command("export", plan_file, "--to", kind)
        assert (code, out) == (4, "")
        assert re.search(r"1 bands come within \d+\.\d\d dB of the plan's tone, 0.1 dB is allowed; --to ir", err)
        assert list(plan_file.parent.iterdir()) == [plan_file]
        assert command("export", plan_file, "--to", "csv")[0] == 0

    def test_says_how_far_up_it_was_judged(self, command: Command, plan_file: Path) -> None:
        """A low rate does not reach 16 kHz."""
        assert command("export", plan_file, "--to", "eq-apo", "--rate", 16000)[0] == 0
        assert "from 20 Hz to 7.2 kHz" in plan_file.with_name("plan-eq-apo.txt").read_text()
