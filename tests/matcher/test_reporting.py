"""Reasons and reports: every figure in them is one that was measured, and nothing is said twice."""

from __future__ import annotations

import io
import json
import re

import msgspec
import numpy as np
import pytest
from rich.console import Console

import matcher
from dsp.audio import Audio
from dsp.effects.compressor import Compressor, CompressorBand
from dsp.effects.gain import Gain
from matcher import Aims, Plan, analyze, match, plan
from matcher.planner import density, explain
from matcher.planner.dynamics import Levels
from matcher.plans import Believed, Curve, Figure, Step, Track
from matcher.refining import refined
from matcher.remaining import Remaining, after_render, as_planned
from matcher.reporting import curve_line, print_plan

NUMBER = r"[-+]\d+\.\d"


@pytest.fixture(scope="module")
def clipped(record: Audio) -> Audio:
    """The record, cut off flat."""
    return Audio(np.clip(record.samples * 2.0, -0.8, 0.8), record.sample_rate_hz)


@pytest.fixture(scope="module")
def report(mix: Audio, clipped: Audio) -> matcher.Report:
    """The mix matched to a clipped record."""
    return match(mix, clipped)


def printed(write: object, *, colour: bool = False) -> str:
    """What comes out on a wide terminal."""
    kind = "standard" if colour else None
    console = Console(file=io.StringIO(), width=2000, force_terminal=colour, highlight=False, color_system=kind)
    write(console)
    return console.file.getvalue()


def a_plan(**curve: tuple[float, ...]) -> Plan:
    """A plan over four third octaves of the mid, all heard."""
    nothing = (0.0,) * 4
    tone = Curve(heard=(True,) * 4, sd_db=nothing, **({"believed_db": nothing, "wanted_db": nothing} | curve))
    track = Track(name="x", content_hash="0", sample_rate_hz=48_000, channels=2, integrated_lufs=-14.0)
    return Plan(target=track, believed=Believed(frequency_hz=(1e2, 2e2, 3e2, 4e2), tone=tone, music_db=1.0))


class TestReasons:
    """Each `because` has the difference, the belief and the deed."""

    def test_every_step_has_numbers(self, report: matcher.Report) -> None:
        """And says how much is believed."""
        names = [type(s.settings).__name__ for s in report.plan.steps]
        assert names == ["Eq", "Width", "Compressor", "Gain", "Limiter"]
        for step in report.plan.steps:
            assert re.search(r"\d\.\d (dB|LU)", step.because)
            assert step.because.endswith(".")
        tone, width, dynamics, level, limiter = (s.because for s in report.plan.steps)
        assert f"differs by {report.gap_before.tone_db:.1f} dB" in tone
        assert re.search(rf"{NUMBER} dB, {NUMBER} ±\d\.\d believed and made", tone)
        assert re.search(rf"differs by {NUMBER} dB .* {NUMBER} ±\d\.\d believed and made", width)
        there = report.reference.dynamics[0]
        assert f"crest factor {report.before.crest_db:.1f} dB here, {there.crest_db:.1f} there" in dynamics
        turned_down = r"below 200 Hz by \d\.\d dB typically, \d+\.\d dB in loud moments"
        assert re.search(rf"Turned down, with an attack of \d+\.\d ms: .*{turned_down}", dynamics)
        difference = report.reference.integrated_lufs - report.before.integrated_lufs
        assert f"{difference:+.1f} LU, all of it taken for mastering" in level
        assert re.search(r"less than \d+\.\d dB for 95 % of the time, which costs \d\.\d dB of crest factor", limiter)

    def test_all_that_is_asked_for_is_taken_for_mastering(self, mix: Audio, clipped: Audio) -> None:
        asked = plan(mix, clipped, Aims(belief=1.0)).step("eq").because
        assert "dB; all of it is taken for mastering, as was asked for. By region" in asked
        inferred = plan(mix, clipped).step("eq").because
        assert re.search(r"dB; \d\.\d dB are believed to be mastering, the rest to be the music's own\. By", inferred)

    def test_half_the_amount_is_half_made(self, mix: Audio, clipped: Audio) -> None:
        """What is believed and what is made are told apart."""
        made = plan(mix, clipped, Aims(amount=0.5, dynamics=0.0))
        for effect in ("eq", "width"):
            found = re.findall(rf"({NUMBER}) ±\d\.\d believed, ({NUMBER}) made", made.step(effect).because)
            assert found
            for belief, deed in found:
                assert float(deed) == pytest.approx(float(belief) / 2.0, abs=0.11)
        assert re.search(rf"taken for mastering, {NUMBER} LU of it asked for", made.step("gain").because)

    def test_what_held_loudness_back(self, mix: Audio, clipped: Audio) -> None:
        """The cap is named, and how far it came."""
        made = plan(mix, clipped, Aims(loudness_lufs=-3.0, max_limiting_db=2.0, eq=0.0, width=0.0, dynamics=0.0))
        because = made.step("gain").because
        assert "Asked for are -3.0 LUFS" in because
        assert "more than 2 dB of limiting, the cap (max_limiting_db)" in because
        reached = float(re.search(r"ends near (-\d+\.\d) LUFS", because)[1])
        after = match(mix, clipped, aims=made.aims).after.integrated_lufs
        assert reached == pytest.approx(after, abs=1.0)
        assert after < -4.0

    def test_a_corrected_gain_says_so(self, report: matcher.Report) -> None:
        """What the full render measured is in the reason of the gain it led to."""
        track = report.plan.target
        step = Step(settings=Gain(gain_db=6.0), because="So it was.")
        aims = Aims(max_limiting_db=24.0)
        made = Plan(target=track, aims=aims, goal_lufs=report.after.isolated_lufs + 0.5, steps=(step,))
        better = refined(made, None, report.rendered)
        assert better.step("gain").settings.gain_db > 6.4
        said = "So it was. The full render missed that by -0.50 LU, and the gain was corrected."
        assert better.step("gain").because == said

    def test_reduction_of_a_steady_level(self) -> None:
        """Peaks of 10 ms that stand 10 dB over a threshold at 2:1 ask for 5 dB: what music gets of it in each band."""
        power = np.full((3, 500), 10.0 ** (-10.0 / 10.0))
        band = CompressorBand(threshold_db=-20.0, ratio=2.0, knee_db=0.0, attack_ms=5.0, release_ms=50.0)
        compressor = Compressor(crossovers_hz=(200.0, 3200.0), bands=(band, CompressorBand(), band))
        found = explain.compressed_db(Levels(power, np.sqrt(power), np.ones(500), power.sum(axis=0)), compressor)
        assert [f.typical_db for f in found] == pytest.approx([5.0 * 0.78, 0.0, 5.0 * 0.55], abs=0.05)
        assert explain.band_names(compressor) == ("below 200 Hz", "200 Hz to 3.2 kHz", "above 3.2 kHz")
        assert explain.band_names(Compressor(bands=(band,))) == ("everything",)

    def test_cost_in_crest_factor(self) -> None:
        """Peaks that a limiter has lowered by 3 dB every 0.4 s have cost 3 dB; without one, nothing."""
        power, peak = np.full((3, 2000), 0.01), np.full(2000, 0.4)
        peak[::20] = 1.0
        reduction = np.where(np.arange(2000) % 20 == 0, 3.0, 0.0).astype(np.float32)
        limited = np.where(np.arange(2000) % 20 == 0, peak * 10.0 ** (-3.0 / 20.0), peak)
        levels = Levels(power, np.sqrt(power), limited, power.sum(axis=0))
        assert explain.crest_cost_db(levels, reduction) == pytest.approx(3.0, abs=0.4)
        assert explain.crest_cost_db(levels, np.zeros(0, dtype=np.float32)) == 0.0


class TestRemaining:
    """The music's own, and the rest."""

    def test_nothing_believed_is_all_the_musics_own(self) -> None:
        """And is to be left."""
        (tone,) = (r for r in as_planned(a_plan(difference_db=(4.0, -4.0, 4.0, -4.0))) if r.name == "tone")
        assert (tone.differs_db, tone.own_db, tone.planned) == (4.0, 4.0, True)
        said = "Of the 4.0 dB that the tone will still differ by, all is believed to be the music's own."
        assert tone.sentence() == said

    def test_what_is_believed_and_not_made_is_not(self) -> None:
        """Everything taken for mastering, nothing asked for."""
        same = (4.0, -4.0, 4.0, -4.0)
        (tone,) = as_planned(a_plan(difference_db=same, believed_db=same))
        assert (tone.differs_db, tone.own_db) == (4.0, 0.0)
        assert "nothing is believed" in tone.sentence()

    def test_is_told_band_by_band(self) -> None:
        """Three quarters believed and half of that made: of what is left, two fifths are the music's own."""
        different = (4.0, -4.0, 4.0, -4.0)
        believed, wanted = ((tuple(share * d for d in different)) for share in (0.75, 0.375))
        (tone,) = as_planned(a_plan(difference_db=different, believed_db=believed, wanted_db=wanted))
        assert tone.differs_db == pytest.approx(2.5)
        assert tone.own_db == pytest.approx(1.0)
        assert "1.0 dB are believed" in tone.sentence()

    def test_what_was_overdone_is_not_the_musics(self) -> None:
        """A band that went past the reference is not explained by a rest of the other sign."""
        different = (4.0, -4.0, 4.0, -4.0)
        believed, wanted = ((tuple(share * d for d in different)) for share in (0.75, 1.5))
        made = a_plan(difference_db=different, believed_db=believed, wanted_db=wanted)
        assert [r.own_db for r in as_planned(made)] == [0.0]

    def test_nothing_left_is_not_mentioned(self) -> None:
        """No sentence about a tenth of a dB, none without a belief."""
        different, almost = (1.0, -1.0, 1.0, -1.0), (0.9, -0.9, 0.9, -0.9)
        all_made = a_plan(difference_db=different, believed_db=different, wanted_db=almost)
        assert as_planned(all_made) == ()
        assert as_planned(msgspec.structs.replace(all_made, believed=None)) == ()

    def test_of_density_is_the_mean_of_its_figures(self) -> None:
        """One figure left alone, one that is believed and not reached."""
        figures = (
            Figure(name="a", target_db=12.0, reference_db=8.0, believed_db=0.0, wanted_db=0.0),
            Figure(name="b", target_db=12.0, reference_db=8.0, believed_db=-4.0, wanted_db=-2.0),
        )
        made = a_plan(difference_db=(0.0,) * 4)
        made = msgspec.structs.replace(made, believed=msgspec.structs.replace(made.believed, density=figures))
        assert as_planned(made) == (Remaining("density", 3.0, 2.0, planned=True),)

    def test_of_a_render_is_what_its_meters_say(self, report: matcher.Report) -> None:
        """The tone's distance is the table's, the music's own is part of it, and all three dimensions are told."""
        found = {r.name: r for r in report.remaining}
        assert set(found) == {"tone", "side", "density"}
        assert found["tone"].differs_db == report.gap_after.tone_db
        assert all(0.0 <= r.own_db <= r.differs_db for r in found.values())
        assert 0.3 * found["tone"].differs_db < found["tone"].own_db
        there = [f.reference_db for f in report.plan.believed.density]
        assert found["density"].differs_db == pytest.approx(
            np.mean(np.abs(there - density.of_profile(report.after))), abs=0.01
        )

    def test_of_the_target_itself_is_everything(self, mix: Audio, record: Audio) -> None:
        """Before anything was made, the difference is the belief and the music's own together."""
        report = match(mix, record, aims=Aims(dynamics=0.0))
        untouched = after_render(report.plan, report.before, report.reference, report.gap_before.tone_db)
        before, after = ({r.name: r for r in rs}["tone"] for rs in (untouched, report.remaining))
        assert before.differs_db > after.differs_db
        assert before.own_db / before.differs_db < after.own_db / after.differs_db

    @pytest.mark.parametrize(("belief", "share"), [(0.0, 1.0), (1.0, 0.0)])
    def test_belief_decides(self, record: Audio, belief: float, share: float) -> None:
        """Nothing believed: all that remains of tone is the music's own; all believed and half made: none of it."""
        dull = Audio((record.samples + np.roll(record.samples, 1, axis=1)) / 4.0, record.sample_rate_hz)
        made = match(dull, record, aims=Aims(belief=belief, eq=0.5, dynamics=0.0))
        (tone,) = (r for r in made.remaining if r.name == "tone")
        assert tone.own_db / tone.differs_db == pytest.approx(share, abs=0.06)


    def test_level_is_no_tone(self) -> None:
        """The same in every band is a matter of loudness."""
        assert as_planned(a_plan(difference_db=(4.0,) * 4)) == ()


class TestReport:
    """On a terminal and as JSON."""

    def test_warns_once(self, report: matcher.Report) -> None:
        """In yellow, by name, with the figure; once in the JSON as well."""
        (line,) = (w for w in report.warnings if "clipped" in w)
        assert f"{report.reference.tracks[0].flat_tops} flat tops" in line
        shown = printed(report.print_to, colour=True)
        assert shown.count(line) == 1
        assert f"\x1b[33mwarning: {line}" in shown
        assert report.to_json().count(line) == 1
        assert line in json.loads(report.to_json())["warnings"]
        assert printed(lambda console: print_plan(report.plan, console)).count(line) == 1

    def test_draws_the_tone(self, report: matcher.Report) -> None:
        """A block a third octave: lower is less than the reference, and the ends stand for all beyond them."""
        assert curve_line(np.array([-40.0, -6.0, -2.0, -0.9, 0.9, 2.0, 6.0, 40.0])) == "▁▁▃▄▄▅▇▇"
        lines = re.findall(r"^(before|after) +([▁▂▃▄▅▆▇]+)$", printed(report.print_to), flags=re.MULTILINE)
        assert [(name, len(line)) for name, line in lines] == [("before", 27), ("after", 27)]
        bands = slice(2, 29)  # 40 Hz to 16 kHz of 25 Hz to 20 kHz
        (there,) = report.reference.tone
        for (_, line), track in zip(lines, (report.before, report.after), strict=True):
            away_db = (track.balance_db() - there.balance_db())[bands]
            drawn_db = 2.0 * np.array(["▁▂▃▄▅▆▇".index(block) - 3 for block in line])
            assert np.abs(np.clip(away_db, -6.0, 6.0) - drawn_db).max() <= 1.0
        assert lines[0][1] != lines[1][1]

    def test_draws_nothing_that_would_be_question_marks(self, report: matcher.Report) -> None:
        """A terminal without these letters gets the table alone."""
        raw = io.TextIOWrapper(io.BytesIO(), encoding="ascii", errors="replace")
        report.print_to(Console(file=raw, width=200, highlight=False))
        raw.flush()
        shown = raw.buffer.getvalue().decode()
        assert "loudness range" in shown
        assert "as the reference" not in shown

    def test_colours_can_be_forbidden(self, report: matcher.Report, monkeypatch: pytest.MonkeyPatch) -> None:
        """NO_COLOR leaves none, a terminal without it has some, anything else has none."""
        colours = re.compile(r"\x1b\[[\d;]*3[0-7]m")
        monkeypatch.delenv("NO_COLOR", raising=False)
        assert colours.search(printed(report.print_to, colour=True))
        assert "\x1b" not in printed(report.print_to)
        monkeypatch.setenv("NO_COLOR", "1")
        assert not colours.search(printed(report.print_to, colour=True))

    def test_says_what_remains(self, report: matcher.Report) -> None:
        """In words, and as figures."""
        shown, data = printed(report.print_to), json.loads(report.to_json())
        for part, kept in zip(report.remaining, data["remaining"], strict=True):
            assert part.sentence() in shown
            assert kept == {"name": part.name, "differs_db": round(part.differs_db, 3), "own_db": round(part.own_db, 3)}

    def test_holds_what_was_believed(self, report: matcher.Report) -> None:
        """Third octaves of tone and side, the figures of density, and what the compressor did."""
        data = json.loads(report.to_json())
        believed = data["plan"]["believed"]
        assert len(believed["frequency_hz"]) == len(believed["tone"]["difference_db"]) == 30
        assert believed["side"]["heard"].count(True) > 10
        assert [f["name"] for f in believed["density"]] == list(density.NAMES)
        assert len(data["compressor"]) == 3

    def test_names_the_references(self, mix: Audio, record: Audio, clipped: Audio) -> None:
        """And what each was asked about, in the report and from the plan alone."""
        here, there = analyze(record).named("one.wav"), analyze(clipped).named("two.wav")
        both = matcher.Reference.of(here, loudness=[there])
        aims = Aims(eq=0.0, width=0.0, dynamics=0.0)
        made = match(mix, both, aims=aims)
        head = "the audio in memory beside one.wav (tone, dynamics) + two.wav (loudness)"
        assert printed(made.print_to).startswith(head)
        assert printed(lambda console: print_plan(made.plan, console)).startswith(head)
        assert [p["name"] for p in made.to_dict()["references"]] == ["one.wav", "two.wav"]


class TestPlanJson:
    """The plan stays readable."""

    def test_rows_of_numbers_are_one_line(self, report: matcher.Report) -> None:
        """And what is read is what was written."""
        text = report.plan.to_json()
        assert re.search(r'"difference_db": \[[^\n\]]+\]', text)
        assert Plan.from_json(text) == report.plan

    @pytest.mark.parametrize("name", ["[ 1,  2 ]", "[\n 1,\n 2\n]", "a [  b  ] \\[\\n1]"])
    def test_a_name_like_a_row_stays(self, report: matcher.Report, name: str) -> None:
        """Spaces in strings are not touched."""
        odd = msgspec.structs.replace(report.plan, target=msgspec.structs.replace(report.plan.target, name=name))
        assert Plan.from_json(odd.to_json()) == odd
