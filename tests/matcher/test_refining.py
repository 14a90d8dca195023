"""What a full render misses of its plan is set right."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as replaced

from dsp.audio import Audio
from dsp.effects.eq import Eq
from dsp.effects.gain import Gain
from dsp.effects.width import Width
from matcher import Aims, Plan, Profile, Report, analyze, match, plan, render
from matcher.demo import mastered, song
from matcher.planner import tone, width
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.refining import CLOSE_LU, CLOSE_TONE_DB, CLOSE_WIDTH_DB, refined, rendered_closer
from matcher.rendering import Accept, Rendered


@pytest.fixture(scope="module")
def reference() -> Audio:
    """The piece of the mix, mastered: what its master did to the tone is wanted whole."""
    return mastered(song(1, seconds=7.0))


@pytest.fixture(scope="module")
def before(mix: Audio) -> Profile:
    return analyze(mix, use_cache=False)


@pytest.fixture(scope="module", params=[None, 1.0], ids=["default", "everything"])
def made(mix: Audio, reference: Audio, request: pytest.FixtureRequest) -> Plan:
    return plan(mix, reference, Aims(belief=request.param), use_cache=False)


def missed_db(made: Plan, before: Profile, after: Profile) -> tuple[float, float]:
    """What a master lacks of the wanted tone, and of the side against the mid, as far as it is smooth; RMS."""
    assert made.believed is not None
    assert made.believed.side is not None
    heard = np.array(made.believed.tone.heard)
    tone_db = np.array(made.believed.tone.wanted_db) - after.balance_db() + before.balance_db()
    there_db, here_db = (p.third_octaves_db("side") - p.third_octaves_db("mid") for p in (after, before))
    side_db = np.array(made.believed.side.wanted_db) - there_db + here_db
    seen = width.side_heard(before) & (THIRD_OCTAVES_HZ > 300.0)  # above a low end that is gathered
    smooth_db = tone.smoothed(tone_db, heard)[heard], tone.smoothed(side_db, seen, keep_level=True)[seen]
    return float(np.sqrt(np.mean(smooth_db[0] ** 2))), float(np.sqrt(np.mean(smooth_db[1] ** 2)))


def put(made: Plan, effect: str, settings: object) -> Plan:
    """The plan with other settings of a step."""
    steps = [replaced(s, settings=settings) if s.effect == effect else s for s in made.steps]
    return replaced(made, steps=tuple(steps))


def brighter(eq: Eq, gain_db: float) -> Eq:
    """With so much more treble: of its high shelf, or of the curve for what bands leave."""
    if eq.curves:
        points = [replaced(p, gain_db=p.gain_db + gain_db * (p.frequency_hz > 2500.0)) for p in eq.curves[0].points]
        return replaced(eq, curves=(replaced(eq.curves[0], points=tuple(points)),))
    shelf = next(band for band in eq.bands if band.shape == "high_shelf")
    others = tuple(band for band in eq.bands if band is not shelf)
    return replaced(eq, bands=(*others, replaced(shelf, gain_db=shelf.gain_db + gain_db)))


def test_what_is_met_is_left(mix: Audio, reference: Audio, before: Profile) -> None:
    """A render that is as it was planned needs no other."""
    asked = plan(mix, reference, use_cache=False)
    made, result = rendered_closer(lambda plan, accept: render(mix, plan), asked, before)
    assert abs(made.goal_lufs - result.profile.integrated_lufs) <= CLOSE_LU
    tone_db, side_db = missed_db(made, before, result.profile)
    assert tone_db < 1.5 * CLOSE_TONE_DB
    assert side_db < 1.5 * CLOSE_WIDTH_DB
    assert refined(made, before, result) is None


def test_a_wrong_tone_is_set_right(made: Plan, mix: Audio, before: Profile) -> None:
    """An equalizer whose treble stands 2 dB too high is drawn anew, and the gain with it, and both say so.

    In two goes at most, as a master is rendered: what the compressor makes of the first is seen by the second.
    """
    wrong = put(made, "eq", brighter(made.step("eq").settings, 2.0))
    result = render(mix, wrong)
    right = refined(wrong, before, result)
    assert right is not None
    right = refined(right, before, render(mix, right)) or right
    usual_db = missed_db(made, before, render(mix, made).profile)[0]
    mended_db = missed_db(right, before, render(mix, right).profile)[0] - usual_db
    assert mended_db < 0.3 * (missed_db(wrong, before, result.profile)[0] - usual_db)
    assert len(right.step("eq").settings.bands) <= 8
    assert " dB, and the curve was corrected." in right.step("eq").because
    assert right.step("gain").because != wrong.step("gain").because


def test_a_wrong_width_is_set_right(made: Plan, mix: Audio, before: Profile) -> None:
    """A side 3 dB too loud is turned down again, as far as the plan itself meets what is wanted of it."""
    wide = made.step("width").settings
    points = tuple(replaced(p, gain_db=p.gain_db + 3.0) for p in wide.side)
    wrong = put(replaced(made, goal_lufs=None), "width", replaced(wide, side=points))
    result = render(mix, wrong)
    right = refined(wrong, before, result)
    assert right is not None
    usual_db = missed_db(made, before, render(mix, made).profile)[1]
    mended_db = missed_db(right, before, render(mix, right).profile)[1] - usual_db
    assert mended_db < 0.3 * (missed_db(wrong, before, result.profile)[1] - usual_db)
    assert "the curve was corrected." in right.step("width").because


def test_a_width_alone_is_reason_enough(mix: Audio, reference: Audio, before: Profile) -> None:
    """Where neither loudness nor tone is to be met; the same side as it was planned is none."""
    alone = put(replaced(plan(mix, reference, use_cache=False), goal_lufs=None), "eq", Eq())
    points = tuple(replaced(p, gain_db=p.gain_db + 3.0) for p in alone.step("width").settings.side)
    wrong = put(alone, "width", replaced(alone.step("width").settings, side=points))
    right = refined(wrong, before, render(mix, wrong))
    assert right is not None
    assert refined(right, before, render(mix, right)) is None


def test_a_gain_follows_a_corrected_tone(mix: Audio, reference: Audio, before: Profile) -> None:
    """Where the loudness was met it still is, and the gain says why it moved."""
    made = plan(mix, reference, use_cache=False)
    wrong = put(made, "eq", brighter(made.step("eq").settings, -2.0))
    missing_lu = wrong.goal_lufs - render(mix, wrong).profile.integrated_lufs
    wrong = put(wrong, "gain", Gain(gain_db=wrong.step("gain").settings.gain_db + missing_lu))
    result = render(mix, wrong)
    assert abs(wrong.goal_lufs - result.profile.integrated_lufs) < CLOSE_LU
    right = refined(wrong, before, result)
    said = " It follows the corrected tone."
    assert right.step("gain").because == wrong.step("gain").because + said
    again = refined(put(right, "eq", brighter(right.step("eq").settings, -2.0)), before, result)
    assert again.step("gain").because == right.step("gain").because
    assert right.goal_lufs == pytest.approx(render(mix, right).profile.integrated_lufs, abs=2.0 * CLOSE_LU)


def test_a_gain_stays_within_the_cap_on_limiting(mix: Audio, reference: Audio, before: Profile) -> None:
    """What is missing is made good as far as the limiter may work, and a limiter at its cap is no reason to go on."""
    made = plan(mix, reference, use_cache=False)
    quiet = put(made, "gain", Gain(gain_db=made.step("gain").settings.gain_db - 1.5))
    result = render(mix, quiet)
    limited_db = result.measured["limiter"]["p95_reduction_db"]
    right = refined(quiet, None, result)
    assert right.step("gain").settings.gain_db > made.step("gain").settings.gain_db - 0.5
    capped = replaced(quiet, aims=replaced(quiet.aims, max_limiting_db=limited_db + 0.4))
    right = refined(capped, None, result)
    assert right.step("gain").settings.gain_db == pytest.approx(quiet.step("gain").settings.gain_db + 0.4, abs=0.01)
    assert "as far as the cap on limiting lets it" in right.step("gain").because
    assert refined(replaced(quiet, aims=replaced(quiet.aims, max_limiting_db=limited_db)), None, result) is None


def test_without_a_limiter_no_peak_passes_the_ceiling(mix: Audio, reference: Audio) -> None:
    """Sections may lack the highest peak: what the full render has of it lowers the gain."""
    made = plan(mix, reference, Aims(limiter=False, restore="off"), use_cache=False)
    hot = put(made, "gain", Gain(gain_db=made.step("gain").settings.gain_db + 0.8))
    right = refined(hot, None, render(mix, hot))
    assert "peaks passed the ceiling by" in right.step("gain").because
    result = render(mix, right)
    assert result.profile.true_peak_dbtp == pytest.approx(-1.0, abs=0.01)
    assert refined(right, None, result) is None


def test_below_the_ceiling_a_cap_limits_nothing(mix: Audio, reference: Audio) -> None:
    """With a cap of 0 a quiet target still comes up to where its peaks meet the ceiling."""
    asked = Aims(max_limiting_db=0.0, eq=0.0, width=0.0, dynamics=0.0, loudness_lufs=-45.0)
    made = plan(mix, reference, asked, use_cache=False)
    assert made.goal_lufs == pytest.approx(-45.0)
    assert not any("was not reached" in remark for remark in made.remarks)
    low = put(made, "gain", Gain(gain_db=made.step("gain").settings.gain_db - 1.0))
    right = refined(low, None, render(mix, low))
    assert right.step("gain").settings.gain_db == pytest.approx(made.step("gain").settings.gain_db, abs=0.05)


def test_a_gain_says_what_it_follows(mix: Audio, reference: Audio, before: Profile) -> None:
    """The width alone, where that alone was corrected."""
    made = plan(mix, reference, Aims(eq=0.0), use_cache=False)
    step = made.step("width")
    narrower = tuple(replaced(p, gain_db=p.gain_db - 3.0) for p in step.settings.side)
    wrong = put(made, "width", replaced(step.settings, side=narrower))
    right = refined(wrong, before, render(mix, wrong))
    assert right.step("eq") is None
    assert "corrected tone" not in right.step("gain").because


def test_without_what_came_before_only_the_gain_moves(made: Plan, mix: Audio) -> None:
    """A target behind repairs that was not measured by itself says nothing of tone or width."""
    wrong = put(put(made, "width", Width()), "gain", Gain(gain_db=made.step("gain").settings.gain_db - 1.0))
    right = refined(wrong, None, render(mix, wrong))
    changed = [a.effect for a, b in zip(right.steps, wrong.steps, strict=True) if a != b]
    assert changed == ["gain"]


def test_a_plan_without_a_belief_has_no_curve_to_meet(made: Plan, mix: Audio, before: Profile) -> None:
    """One that was drawn by hand is rendered as it is."""
    bare = replaced(made, believed=None, goal_lufs=None)
    assert refined(put(bare, "eq", Eq()), before, render(mix, bare)) is None


def test_renders_end(made: Plan, before: Profile, mix: Audio) -> None:
    """However far from the plan the last one is, it is accepted; those before it are not."""
    result, accepted = render(mix, put(made, "gain", Gain(gain_db=0.0))), []

    def rendered(plan: Plan, accept: Accept) -> Rendered:
        accepted.append(accept(result))
        return result

    rendered_closer(rendered, made, before)
    assert accepted == [False, False, True]


def test_a_match_is_refined(mix: Audio, reference: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    """What its sections did not show of the tone, the whole track does."""
    from matcher import matching

    make_plan = matching.make_plan

    def misled(*arguments: object) -> object:
        found = make_plan(*arguments)
        return replace(found, plan=put(found.plan, "eq", brighter(found.plan.step("eq").settings, 2.0)))

    usual: Report = match(mix, reference, use_cache=False)
    monkeypatch.setattr(matching, "make_plan", misled)
    other: Report = match(mix, reference, use_cache=False)
    hz = THIRD_OCTAVES_HZ[4:-2]
    drawn_db = [report.plan.step("eq").settings.response_db(hz, "mid") for report in (usual, other)]
    assert np.abs(drawn_db[0] - drawn_db[1]).max() < 1.0
    assert abs(other.after.integrated_lufs - usual.after.integrated_lufs) < 2.0 * CLOSE_LU


def test_the_same_recording_is_met_band_by_band(mix: Audio, reference: Audio) -> None:
    """Its limiter was as rough with the bass as ours is: nothing of that is music, and single bands are met as well."""
    report = match(mix, reference)
    there = analyze(reference, use_cache=False)
    heard = (THIRD_OCTAVES_HZ > 39.0) & (THIRD_OCTAVES_HZ < 17_000.0) & (there.balance_db() > -55.0)
    left_db = (report.after.balance_db() - there.balance_db())[heard]
    left_db = np.abs(left_db - left_db.mean())
    assert left_db.mean() < 0.08
    assert left_db.max() < 0.3
    step = report.plan.step("eq")
    assert len(step.settings.bands) <= 8
    assert "all of it is taken for mastering, as both hold the same recording" in step.because
    believed = report.plan.believed.tone
    heard = np.array(believed.heard)
    assert np.array_equal(np.array(believed.believed_db)[heard], np.array(believed.difference_db)[heard])
    assert re.search(r"bass [+-]\d\.\d dB, [+-]\d\.\d ±\d\.\d believed and made", step.because)
    assert "tone" not in [r.name for r in report.remaining if r.own_db > 0.05], "what is left is not the music's own"


@pytest.mark.parametrize("belief", [None, 1.0])
def test_a_lower_rate_is_no_missing_treble(mix: Audio, reference: Audio, before: Profile, belief: float | None) -> None:
    """What a result at 16 kHz cannot hold is not asked of the equalizer."""
    made = plan(mix, reference, Aims(belief=belief), use_cache=False)
    wrong = put(made, "gain", Gain(gain_db=made.step("gain").settings.gain_db - 1.0))  # a second render is due
    right = refined(wrong, before, render(mix, wrong, sample_rate_hz=16_000))
    hz = THIRD_OCTAVES_HZ[4:-2]
    for channel in ("mid", "side"):
        drawn_db = [p.step("eq").settings.response_db(hz, channel) for p in (made, right)]
        assert np.abs(drawn_db[0] - drawn_db[1]).max() < 3.0
    wide_db = [p.step("width").settings.response_db(hz) for p in (made, right)]
    assert np.abs(wide_db[0] - wide_db[1]).max() < 3.0
