"""The HTML report: all in one file, true to the report, readable by everybody, and harmless."""

from __future__ import annotations

import base64
import html
import io
import itertools
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import soundfile

import matcher
from dsp.audio import Audio
from dsp.meters.loudness import LoudnessMeter
from matcher import Aims, analyze, match, preset_store
from matcher.album_figures import COLUMNS
from matcher.album_reporting import AlbumReport
from matcher.io import write_audio
from matcher.page.albums import album_page
from matcher.page.clips import CLIP_S
from matcher.page.histograms import LOWEST_LU, STEP_LU, histograms, shares
from matcher.page.pictures import FREQUENCY, Axis, Line, chart, levels
from matcher.page.presets import presets_page
from matcher.page.writing import report_page

EMPTY = {"meta", "br", "polygon", "polyline", "line", "img", "input"}


@pytest.fixture(scope="module")
def report(mix: Audio, record: Audio) -> matcher.Report:
    """The mix beside the record, in memory."""
    return match(mix, record)


@pytest.fixture(scope="module")
def page(report: matcher.Report, mix: Audio, record: Audio) -> str:
    """Its page."""
    return report_page(report, mix, report.audio, record)


@pytest.fixture(scope="module")
def album(mix: Audio, record: Audio, tmp_path_factory: pytest.TempPathFactory) -> AlbumReport:
    """Three tracks, one of them no sound."""
    folder = tmp_path_factory.mktemp("album")
    for name, audio in (("lead.wav", record), ("one.wav", mix), ("<b>two.wav", record)):
        write_audio(folder / name, audio)
    (folder / "bad.wav").write_bytes(b"no sound")
    tracks = [folder / name for name in ("one.wav", "<b>two.wav", "bad.wav")]
    return matcher.album(folder / "lead.wav", tracks, folder / "out")


class Balanced(HTMLParser):
    """Whether every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in EMPTY:
            assert self.open.pop() == tag


class TestPage:
    """The whole of it."""

    def test_is_well_formed(self, page: str) -> None:
        """Every element is closed, every figure has a name."""
        parser = Balanced()
        parser.feed(page)
        assert parser.open == []
        assert page.count("<figure>") == page.count('role="img" aria-label="') >= 5

    def test_needs_nothing_else(self, page: str) -> None:
        """No address, no script, and a policy that would allow neither."""
        assert "http://" not in page
        assert "https://" not in page
        assert "<script" not in page
        assert "default-src 'none'" in page

    def test_says_what_the_report_says(self, page: str, report: matcher.Report) -> None:
        """Verdict, figures, reasons, and what remains."""
        text = re.sub(r"&#x27;", "'", page)
        assert report.verdict() in text
        for feature in report.gap_after.features:
            assert f"<td>{feature.name}</td>" in page
        for step in report.plan.steps:
            assert step.because in text
        for part in report.remaining:
            assert part.sentence() in text
        assert f"<td>{report.after.psr_db:.1f}</td>" in page

    def test_histograms_show_how_long_it_is_how_loud(self, report: matcher.Report) -> None:
        """A tone that is 16 dB softer for a quarter of its time, and silent for some: two places, what they weigh."""
        assert len(histograms(report)) == 3
        tone = 0.2 * np.sin(np.arange(8 * 44_100) * 2 * np.pi * 1000 / 44_100)
        tone[6 * 44_100 :] *= 10.0 ** (-16.0 / 20.0)
        track = analyze(Audio(np.concatenate([tone, np.zeros(2 * 44_100)])[None], 44_100))
        found = shares(track, "mid")
        soft, loud = np.flatnonzero(found > 5.0)
        assert loud - soft == round(16.0 / STEP_LU)
        assert found[[soft, loud]] == pytest.approx([25.0, 75.0], abs=1.0)
        level = track.sketch.power_db("mid").max() - track.integrated_lufs
        assert LOWEST_LU + STEP_LU * loud <= level < LOWEST_LU + STEP_LU * (loud + 1)

    def test_draws_no_nonsense(self, page: str) -> None:
        """Points are numbers inside the picture."""
        points = re.findall(r'points="([^"]*)"', page)
        assert len(points) > 8
        places = np.array([[float(v) for v in pair.split(",")] for each in points for pair in each.split()])
        assert np.isfinite(places).all()
        assert places.min() >= 0.0
        assert (places <= [720.0, 260.0]).all()

    def test_clips_play_at_equal_loudness(self, page: str, report: matcher.Report) -> None:
        """Three or six of them, none longer than asked, none clipped, all as loud as their tracks are when matched."""
        found = re.findall(r"data:audio/mpeg;base64,([A-Za-z0-9+/=]+)", page)
        assert len(found) in (3, 6)
        loudest = []
        for data in found[:3]:
            samples, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
            assert len(samples) / rate == pytest.approx(min(CLIP_S, report.before.duration_s), abs=2.1)
            assert np.abs(samples).max() < 1.0
            meter = LoudnessMeter(rate, 2)
            meter.update(np.ascontiguousarray(samples.T))
            loudest.append(meter.result().integrated_lufs)
        assert np.ptp(loudest) < 1.0

    def test_hostile_names_are_text(self, mix: Audio, record: Audio, tmp_path: Path) -> None:
        """A file called like a script is shown, not run."""
        name = "<script>alert('x')<\u2044script>&.wav"
        write_audio(tmp_path / name, mix)
        made = match(tmp_path / name, record, tmp_path / "out.wav", aims=Aims(eq=0.0, width=0.0, dynamics=0.0))
        text = report_page(made, tmp_path / name, tmp_path / "out.wav")
        assert "<script" not in text
        assert "&lt;script&gt;alert(&#x27;x&#x27;)" in text

    def test_mono_without_a_limiter(self, mix: Audio, record: Audio) -> None:
        """No width, no gain reduction, and all else is there."""
        mono = Audio(np.ascontiguousarray(mix.samples[:1]), mix.sample_rate_hz)
        made = match(mono, record, aims=Aims(limiter=False))
        text = report_page(made, mono, made.audio)
        assert "<h2>Width</h2>" not in text
        assert "What the limiter takes" not in text
        assert "Short-term loudness" in text


class TestOtherPages:
    """Albums and presets."""

    def test_album(self, album: AlbumReport) -> None:
        """Every figure of every track stands there, before and after, the tone of all in two pictures, who failed."""
        page = album_page(album)
        parser = Balanced()
        parser.feed(page)
        assert parser.open == []
        assert "<script" not in page
        assert "<b>" not in page
        assert page.count("<figure>") == 2
        assert page.count('class="line track"') >= 4
        for track in album.tracks:
            for figures in (track.before, track.after):
                for field in COLUMNS:
                    assert f"<td>{getattr(figures, field):.1f}</td>" in page
        assert html.escape(album.verdict()) in page
        assert page.count("Not made: ") == len(album.failed) == 1
        assert "bad.wav" in page

    def test_presets(self) -> None:
        """The shipped ones: every figure with its deviation, a picture each, and what sets them apart."""
        presets = [each.preset for each in preset_store.every()]
        page = presets_page(presets)
        parser = Balanced()
        parser.feed(page)
        assert parser.open == []
        assert page.count("<figure>") == sum(len(preset.styles) for preset in presets) >= 6
        for preset in presets:
            assert f"<h2>{preset.name}</h2>" in page
            for style in preset.styles:
                assert (
                    f"<td>{style.centre.integrated_lufs:.1f}</td><td>± {style.figures['integrated_lufs']:.1f}</td>"
                    in page
                )
        assert "What sets them apart" in page

    def test_their_commands(self, command: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """A page, or JSON where the name says so; one that exists stays."""
        page, data = tmp_path / "album.html", tmp_path / "album.json"
        for report in (page, data):
            code, _, _ = command("album", record_file, mix_file, "-o", tmp_path / "out", "--report", report, "-q")
            assert code == 0
        assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
        assert "tracks" in json.loads(data.read_text(encoding="utf-8"))
        assert command("presets", "show", "folk", "metal", "-o", tmp_path / "p.html")[0] == 0
        assert "exists already" in command("presets", "show", "folk", "-o", tmp_path / "p.html")[2]
        assert "not-there" in command("presets", "show", "not-there", "-o", tmp_path / "q.html")[2]
        assert not (tmp_path / "q.html").exists()


class TestPictures:
    """Axes and lines."""

    @pytest.mark.parametrize("span", [0.0, 0.4, 3.0, 17.0, 90.0])
    def test_ticks_are_round_and_hold_all(self, span: float) -> None:
        """Not too many, evenly spaced, whole numbers around the values."""
        axis = levels(np.array([-7.3, -7.3 + span]))
        ticks = [value for value, _ in axis.ticks]
        assert axis.low <= -7.3
        assert axis.high >= -7.3 + span
        assert 2 <= len(ticks) <= 12
        assert all(value == round(value) for value in ticks)
        assert len({round(b - a, 6) for a, b in itertools.pairwise(ticks)}) == 1

    def test_nothing_to_draw(self) -> None:
        """All NaN gives a picture without a line."""
        nothing = np.full(3, np.nan)
        picture = chart("x", FREQUENCY, levels(nothing), [Line("a", "result", np.array([50.0, 100.0, 200.0]), nothing)])
        assert "<polyline" not in picture

    def test_a_gap_breaks_the_line(self) -> None:
        """Two runs of two points are two lines; a lone point is none."""
        y = np.array([1.0, 2.0, np.nan, 3.0, 4.0, np.nan, 5.0])
        axis = Axis(0.0, 6.0, [(0.0, "0"), (6.0, "6")])
        assert chart("x", axis, levels(y), [Line("a", "made", np.arange(7.0), y)]).count("<polyline") == 2


class TestCommand:
    """`match ... --report PAGE`."""

    def test_writes_the_page(self, command: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Beside the master, with clips of all three."""
        page = tmp_path / "report.html"
        code, _, error = command(mix_file, record_file, "-o", tmp_path / "out.wav", "--report", page, "--quiet")
        assert (code, error) == (0, "")
        text = page.read_text(encoding="utf-8")
        assert "mix.wav beside record.wav" in text
        assert "reference, from" in text

    def test_is_not_the_plan(self, command: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """One name for both is refused before any work."""
        both = tmp_path / "both"
        words = (mix_file, record_file, "-o", tmp_path / "out.wav", "--report", both, "--plan", both)
        code, _, error = command(*words)
        assert code == 3
        assert "itself; choose another name" in error
        assert not (tmp_path / "out.wav").exists()
