"""The planner's parts: what they infer from numbers made for them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effects.compressor import Compressor
from dsp.effects.eq import Band, Eq, band_db, prototype_db
from dsp.effects.gain import Gain
from dsp.effects.limiter import Limiter, limiting_db
from dsp.effects.width import Width
from dsp.kernels import settled_gain
from dsp.meters.dynamics import figures
from dsp.meters.loudness import isolated_lufs
from matcher import Aims, analyze
from matcher.io import open_audio
from matcher.planner import bands, density, dynamics, shaping, tone, width
from matcher.planner.bands import MOST_BANDS, fit_bands
from matcher.planner.density import _inferred, mastering_prior, music_scale_db
from matcher.planner.drawing import drawn_eq, exact_width
from matcher.planner.dynamics import SHALLOW_DB, USUAL_ATTACK_MS, WIDEST_KNEE_DB, Fit, Levels, fit
from matcher.planner.gaussian import at_belief, credited, is_same, share_that_nears
from matcher.planner.likeness import Moments
from matcher.planner.loop import Compression, _gain_step, make_plan
from matcher.planner.search import FASTER_LIMITING, LIMITING, Search
from matcher.planner.sections import COUNT, SHARES, Bench, Section, Trial, pick, try_chain
from matcher.planner.shaping import Curves, Shape
from matcher.profile import THIRD_OCTAVES_HZ
from matcher.reference import Reference

Array = NDArray[Any]

EVERYWHERE = np.ones(len(THIRD_OCTAVES_HZ), dtype=bool)
MASTERING = band_db(Band(shape="low_shelf", frequency_hz=110.0, gain_db=4.0), THIRD_OCTAVES_HZ) + band_db(
    Band(shape="high_shelf", frequency_hz=7000.0, gain_db=-3.0), THIRD_OCTAVES_HZ
)


def test_the_treble_of_dark_music_is_compared() -> None:
    """Though it lies 55 to 70 dB below the bass; not where all of a difference is asked for, lest noise be raised."""
    rate, rng = 44_100, np.random.default_rng(4)
    spectrum = np.fft.rfft(rng.normal(0.0, 1.0, (2, 8 * rate)))
    hz = np.fft.rfftfreq(8 * rate, 1.0 / rate)
    dark = np.fft.irfft(spectrum / (1.0 + (hz / 80.0) ** 2)) * np.hanning(8 * rate)
    shelf = Eq(bands=(Band(shape="high_shelf", frequency_hz=5000.0, gain_db=-6.0),))
    target = analyze(Audio((0.1 * dark / dark.std()).astype(np.float32), rate))
    there = Chain((shelf,)).processor(rate, 2)
    reference = Reference.of(analyze(Audio(there.process((0.1 * dark / dark.std()).astype(np.float32)), rate)))
    quiet = ~tone.measured(target, reference, -60.0)[1]
    found = tone.estimate(target, reference, Moments(target))
    high = quiet & found.heard
    assert high.sum() >= 2
    wanted_db = shelf.response_db(THIRD_OCTAVES_HZ, "mid")
    assert np.abs(found.mean_db - wanted_db)[high].max() < 0.5
    assert not (quiet & tone.estimate(target, reference, Moments(target), belief=1.0).heard).any()


def test_where_music_ends_within_a_band() -> None:
    """That says something of the same recording, which ends alike in both, and nothing of another one."""

    def ends_at_16_6_khz(seed: int, gain_db: float) -> Audio:
        spectrum = np.fft.rfft(np.random.default_rng(seed).normal(0.0, 0.1, (2, 8 * 44_100)))
        hz = np.fft.rfftfreq(8 * 44_100, 1.0 / 44_100)
        spectrum = spectrum * (hz < 16_600.0) / np.maximum(hz, 100.0) ** 0.5
        shelf = 10.0 ** (gain_db / 20.0 / (1.0 + (5000.0 / np.maximum(hz, 1.0)) ** 4))
        return Audio(np.fft.irfft(spectrum * shelf).astype(np.float32), 44_100)

    target, place = analyze(ends_at_16_6_khz(1, 0.0)), int(np.argmin(np.abs(THIRD_OCTAVES_HZ - 15_849.0)))
    found = [
        tone.estimate(target, Reference.of(analyze(ends_at_16_6_khz(seed, 4.0))), Moments(target)) for seed in (1, 2)
    ]
    same, other = found
    assert is_same(same.music_db)
    assert not is_same(other.music_db)
    assert same.heard[place]
    assert not other.heard[place]
    level_db = same.difference_db[(THIRD_OCTAVES_HZ > 500.0) & (THIRD_OCTAVES_HZ < 1500.0)].mean()
    assert same.difference_db[place] - level_db == pytest.approx(4.0, abs=0.2)


class TestTone:
    """Mastering and music told apart."""

    def test_no_difference_is_no_curve(self) -> None:
        """Nothing measured, nothing believed."""
        found = tone.smooth_estimate(np.zeros(30), EVERYWHERE)
        assert np.abs(found.mean_db).max() < 1e-9

    def test_a_smooth_difference_is_believed(self) -> None:
        """Two shelves without any roughness are mastering, all but a tenth."""
        found = tone.smooth_estimate(MASTERING, EVERYWHERE)
        assert np.abs(found.mean_db - MASTERING).max() < 0.4
        assert found.music_db < 1.0

    def test_a_rough_difference_is_not(self) -> None:
        """The same shelves under the notes of another piece are believed far less, and the doubt is larger."""
        notes = np.random.default_rng(2).normal(0.0, 5.0, 30)
        clean = tone.smooth_estimate(MASTERING, EVERYWHERE)
        found = tone.smooth_estimate(MASTERING + notes, EVERYWHERE)
        assert found.music_db > 2.0
        assert np.sqrt(np.mean(found.mean_db**2)) < 0.7 * np.sqrt(np.mean(clean.mean_db**2))
        assert found.sd_db.mean() > 2.0 * clean.sd_db.mean()

    def test_what_compression_roughens_is_no_music(self) -> None:
        """Half a decibel to and fro from band to band hardly lessens the belief."""
        rough = np.random.default_rng(3).normal(0.0, 0.5, 30)
        found = tone.smooth_estimate(MASTERING + rough, EVERYWHERE)
        assert found.music_db < 1.0
        assert np.sqrt(np.mean((found.mean_db - MASTERING) ** 2)) < 0.4

    def test_what_alike_pieces_differ_by_is_believed(self) -> None:
        """The same rough difference: of pieces that play the same nearly all, of others little."""
        notes = np.random.default_rng(4).normal(0.0, 1.0, 30)
        alike, other = (
            tone.smooth_estimate(MASTERING + notes, EVERYWHERE, (np.log(db), 0.4)) for db in (0.3, 6.0)
        )
        assert alike.music_db < 0.5 < 2.5 < other.music_db
        left = [np.sqrt(np.mean((found.mean_db - MASTERING) ** 2)) for found in (alike, other)]
        assert left[0] < 0.6 * left[1]
        assert np.sqrt(np.mean(other.mean_db**2)) < 0.65 * np.sqrt(np.mean(alike.mean_db**2))

    def test_what_was_not_heard_says_nothing(self) -> None:
        """A wild difference in bands without signal changes nothing."""
        heard = THIRD_OCTAVES_HZ < 12_000.0
        wild = np.where(heard, MASTERING, 60.0)
        assert np.array_equal(
            tone.smooth_estimate(wild, heard).mean_db, tone.smooth_estimate(MASTERING, heard).mean_db
        )

    @pytest.mark.parametrize(("belief", "expected"), [(0.0, 0.0), (0.25, 1.0), (0.5, 2.0), (0.75, 2.0), (1.0, 6.0)])
    def test_belief_goes_from_nothing_to_everything(self, belief: float, expected: float) -> None:
        """Half is the inference, less of it below; above it the prior of the inference itself is wider."""
        assert at_belief(np.array([2.0]), np.array([6.0]), belief)[0] == pytest.approx(expected)

    def test_more_belief_takes_what_is_smooth_and_leaves_the_notes(self) -> None:
        """Shelves three times as large as usual under the notes of another piece: found, the more is believed."""
        notes, wide = np.random.default_rng(2).normal(0.0, 1.5, 30), 3.5 * MASTERING
        usual, more, most = (tone.smooth_estimate(wide + notes, EVERYWHERE, None, b).mean_db for b in (None, 0.75, 0.9))
        missed = [float(np.sqrt(np.mean((found - wide) ** 2))) for found in (usual, more, most)]
        assert missed[1] < 0.6 * missed[0]
        assert max(missed[1:]) < float(np.sqrt(np.mean(notes**2)))
        assert np.abs(most - wide - notes).mean() < np.abs(more - wide - notes).mean()

    @pytest.mark.parametrize("belief", [None, 0.2, 0.5])
    def test_usual_belief_has_the_usual_prior(self, belief: float | None) -> None:
        """Nothing is credited that was not asked for, and a little more begins with a little."""
        assert np.array_equal(credited(np.eye(2), belief), np.eye(2))
        assert credited(np.eye(2), 0.501)[0, 0] == pytest.approx(1.0, abs=0.02)

    @pytest.mark.parametrize("seed", range(4))
    def test_bands_draw_the_curve(self, seed: int) -> None:
        """A curve of mastering's kind is made by eight bands or fewer within 0.15 dB."""
        root = np.linalg.cholesky(tone.mastering_prior() + 1e-9 * np.eye(30))
        curve = root @ np.random.default_rng(seed).standard_normal(30)
        curve -= curve.mean()
        bands = fit_bands(THIRD_OCTAVES_HZ, curve, np.ones(30))
        made = sum(band_db(b, THIRD_OCTAVES_HZ) for b in bands)
        assert len(bands) <= MOST_BANDS
        assert np.abs(made - curve)[THIRD_OCTAVES_HZ < 17_000.0].max() < 0.15

    @pytest.mark.parametrize("seed", range(8))
    def test_the_kernel_is_its_twin(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        """The same bands, smooth curve or rough, whatever its weights and where the music ends."""
        rng = np.random.default_rng(seed)
        root = np.linalg.cholesky(tone.mastering_prior() + (0.4 * (seed % 2)) ** 2 * np.eye(30) + 1e-9 * np.eye(30))
        curve, weight = root @ rng.standard_normal(30), np.where(rng.random(30) < 0.2, 0.3, 1.0)
        top_hz = (20_000.0, 15_000.0)[seed % 2]
        found = fit_bands(THIRD_OCTAVES_HZ, curve, weight, top_hz=top_hz)
        monkeypatch.setattr(bands, "refine_bands", refined_by_numpy)
        twins = fit_bands(THIRD_OCTAVES_HZ, curve, weight, top_hz=top_hz)
        assert [b.shape for b in found] == [b.shape for b in twins]
        for one, other in zip(found, twins, strict=True):
            assert one.frequency_hz == pytest.approx(other.frequency_hz, rel=1e-6)
            assert one.gain_db == pytest.approx(other.gain_db, abs=1e-6)
            assert one.q == pytest.approx(other.q, rel=1e-6)


def refined_by_numpy(
    settings: Array, shapes: Array, hz: Array, curve: Array, root: Array, low: Array, high: Array, rounds: int
) -> None:
    """The plain twin of `dsp.kernels.refine_bands`."""
    step, pull = np.tile([0.02, 0.05, 0.03], len(shapes)), 0.1

    def responses(x: Array) -> Array:
        every = zip(shapes, x.reshape(-1, 3), strict=True)
        return np.array([prototype_db(bands.SHAPES[s], hz, np.exp(f), g, np.exp(q)) for s, (f, g, q) in every])

    def residual(x: Array, parts: Array) -> Array:
        return np.concatenate([root * (parts.sum(axis=0) - curve), pull * x[1::3]])

    x, damping = np.clip(settings, low, high), 1.0
    current = residual(x, responses(x))
    for _ in range(rounds):
        columns = [(residual(x + h, responses(x + h)) - current) / h[k] for k, h in enumerate(np.diag(step))]
        jacobian = np.stack(columns, axis=1)
        normal = jacobian.T @ jacobian
        gained = 0.0
        for _ in range(4):
            damped = normal + damping * np.diag(np.diag(normal) + 1e-6)
            trial = np.clip(x - np.linalg.solve(damped, jacobian.T @ current), low, high)
            value = residual(trial, responses(trial))
            if value @ value < current @ current:
                gained = 1.0 - (value @ value) / (current @ current)
                x, current, damping = trial, value, damping * 0.3
                break
            damping *= 4.0
        if gained <= 1e-6:
            break
    settings[:] = x


class TestWidth:
    """How wide, and where the low end is gathered."""

    def test_a_side_gain_is_found(self) -> None:
        """3 dB less side everywhere."""
        found = width.estimate_from([np.full(30, -3.0)], EVERYWHERE, 1.0, None)
        assert np.abs(found.side.mean_db[4:-3] + 3.0).max() < 0.3
        assert found.focus_below_hz == 0.0

    @pytest.mark.parametrize("corner_hz", [90.0, 130.0])
    def test_a_gathered_low_end_is_found(self, corner_hz: float) -> None:
        """Its corner within a third of an octave, its depth within 4 dB, the rest of the side left alone."""
        found = width.estimate_from([width.focus_db(corner_hz, 20.0)], EVERYWHERE, 1.0, None)
        assert abs(np.log2(found.focus_below_hz / corner_hz)) < 0.34
        assert abs(found.focus_depth_db - 20.0) < 4.0
        assert np.abs((found.side.mean_db - found.focus_db)[THIRD_OCTAVES_HZ > 400.0]).max() < 0.5

    def test_a_narrow_low_end_is_measured(self) -> None:
        """A side turned down by 8 dB is that in the bass, too, where it lies 39 dB below the mid, then 47."""

        def narrowed(by_db: float) -> Any:
            side = np.where(THIRD_OCTAVES_HZ < 150.0, -39.0, -15.0) - by_db
            levels = {"mid": np.full(30, -30.0), "side": np.full(30, -30.0) + side}
            return SimpleNamespace(third_octaves_db=lambda name: levels[name], bandwidth_hz=24_000.0)

        reference: Any = SimpleNamespace(spread=None, wide=[narrowed(0.0)])
        difference, heard = width.measured(narrowed(8.0), reference)
        np.testing.assert_allclose(difference, 8.0)
        assert heard.all()

    def test_asked_for_everything_a_low_end_is_drawn_as_it_is(self) -> None:
        """Narrow below 63 Hz and wide from 80 Hz on is no gathered low end, which would take the width as well."""
        wanted = np.where(THIRD_OCTAVES_HZ < 70.0, -20.0, 8.0)
        found = width.estimate_from([wanted], EVERYWHERE, 1.0, 1.0)
        assert found.focus_below_hz == 0.0
        assert np.abs(found.side.mean_db - wanted).max() < 1e-9


class TestDrawing:
    """Wanted curves as settings."""

    def test_a_side_comes_to_its_curve_beside_a_steep_equalizer(self) -> None:
        """As wide as wanted on both sides of a narrow boost of the mid, and nowhere raised by more than 12 dB."""
        target: Any = SimpleNamespace(third_octaves_db=lambda: np.full(30, -30.0), bandwidth_hz=20_000.0)
        curve = band_db(Band(shape="peak", frequency_hz=500.0, gain_db=11.0, q=4.0), THIRD_OCTAVES_HZ)
        eq = drawn_eq(curve, EVERYWHERE, target, exact=True)
        level = (curve - eq.response_db(THIRD_OCTAVES_HZ, "side")).mean()
        side = np.where(np.abs(np.log2(THIRD_OCTAVES_HZ / 500.0)) < 0.2, 0.0, 9.0) - level
        made = exact_width(side, curve, eq, EVERYWHERE, target)
        whole = eq.response_db(THIRD_OCTAVES_HZ, "side") + made.response_db(THIRD_OCTAVES_HZ)
        assert np.abs(whole - np.minimum(curve + side - level, 12.0)).max() < 1.0
        everywhere = np.geomspace(20.0, 20_000.0, 3001)
        assert (eq.response_db(everywhere, "side") + made.response_db(everywhere)).max() <= 12.0


class TestSections:
    """What is measured of stretches of a track."""

    def test_a_cut_has_no_treble(self) -> None:
        """Treble 75 dB below a loud bass is raised by 6 dB and measured so, wherever the stretches begin."""
        rate, rng = 44_100, np.random.default_rng(4)
        time = np.arange(60 * rate) / rate
        hiss = np.diff(rng.normal(0.0, 1e-4, (2, len(time) + 1)), axis=1)
        audio = Audio((0.5 * np.sin(2 * np.pi * 61.0 * time + np.sin(0.7 * time)) + hiss).astype(np.float32), rate)
        with open_audio(audio) as source, ThreadPoolExecutor(1) as reader:
            sections = pick(analyze(audio), source, reader)
        assert len(sections) == COUNT
        before, after = (
            try_chain(chain, sections, rate).balance.third_octaves_db()
            for chain in (Chain(), Chain((Eq(bands=(Band(shape="high_shelf", frequency_hz=3000.0, gain_db=6.0),)),)))
        )
        assert (after - before)[-4:] == pytest.approx(6.0, abs=0.2)

    def test_a_short_track_stands_for_itself(self) -> None:
        """In two halves, the second of which begins earlier than it counts; in one piece what is too short for that."""
        rate, rng = 44_100, np.random.default_rng(5)
        samples = rng.normal(0.0, 0.1, (2, 5 * rate)).astype(np.float32)
        for length, parts in ((5 * rate, 2), (2 * rate - rate // 10, 1)):
            audio = Audio(samples[:, :length], rate)
            with open_audio(audio) as source, ThreadPoolExecutor(1) as reader:
                sections = pick(analyze(audio), source, reader)
            assert len(sections) == parts
            counted = np.concatenate([section.samples[:, section.run_in :] for section in sections], axis=1)
            np.testing.assert_array_equal(counted, audio.samples)
        assert sections[-1].run_in == 0

    def test_silence_around_a_short_track_is_left_out(self) -> None:
        """Five seconds of sound in two minutes of silence: ten seconds before and behind are taken with them."""
        rate, rng = 8000, np.random.default_rng(5)
        samples = np.zeros((2, 125 * rate), dtype=np.float32)
        samples[:, 60 * rate : 65 * rate] = rng.normal(0.0, 0.1, (2, 5 * rate))
        audio = Audio(samples, rate)
        with open_audio(audio) as source, ThreadPoolExecutor(1) as reader:
            sections = pick(analyze(audio), source, reader)
        counted = np.concatenate([section.samples[:, section.run_in :] for section in sections], axis=1)
        assert counted.shape[1] == pytest.approx(25 * rate, abs=0.1 * rate)
        assert float(np.sum(counted**2, dtype=np.float64)) == pytest.approx(float(np.sum(samples**2, dtype=np.float64)))

    def test_a_section_counts_for_its_share(self) -> None:
        """Of a mean spectrum, and not of its level against itself; the loudest stands for least."""
        rate, time = 44_100, np.arange(44_100) / 44_100
        low, high = (np.tile(0.1 * np.sin(2 * np.pi * hz * time), (2, 1)).astype(np.float32) for hz in (100.0, 1000.0))
        levels = [
            Trial([Section(low, 0, 0.5), Section(high, 0, share)], rate).balance.third_octaves_db()
            for share in (0.5, 1.5)
        ]
        at = [int(np.argmin(np.abs(THIRD_OCTAVES_HZ - hz))) for hz in (100.0, 1000.0)]
        assert (levels[1] - levels[0])[at] == pytest.approx([0.0, 4.77], abs=0.01)
        made = try_chain(Chain((Gain(gain_db=3.0),)), [Section(low, 0, 0.5)], rate)
        assert made.sections[0].share == 0.5
        assert sum(SHARES) == pytest.approx(COUNT)
        assert min(SHARES) == SHARES[0]


class TestShaping:
    """What a rendering lacks of tone and width."""

    @pytest.mark.parametrize(("music_db", "share"), [(0.0, 1.0), (shaping.HALF_DB, 0.5), (20.0, 0.06)])
    def test_how_much_of_a_limiters_colour_is_made_good(self, music_db: float, share: float) -> None:
        """All where the pieces are the same, hardly any beside a stranger; all where everything is asked for."""
        assert shaping.share_made_good(music_db, exact=False) == pytest.approx(share, abs=0.005)
        assert shaping.share_made_good(music_db, exact=True) == 1.0

    @pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
    def test_corrections_come_to_rest(self, share: float) -> None:
        """Where a limiter takes 2 dB of the bass, so much of them is given back as is to be, and then no more."""
        wanted = np.linspace(-2.0, 2.0, 30)
        colour = np.where(THIRD_OCTAVES_HZ < 150.0, -2.0, 0.0)
        nothing = np.zeros(30)
        curves = Curves(wanted, nothing, 0.0, 0.0, EVERYWHERE, share)
        eq = Eq(bands=(Band(shape="peak", frequency_hz=1000.0, gain_db=1.0),))  # not neutral is all that counts
        shape = Shape(eq, Width(), wanted, nothing, exact=False)
        for _ in range(60):
            before: Any = SimpleNamespace(balance_db=lambda: nothing)
            spectrum = SimpleNamespace(frequency_hz=np.array([0.0, 24_000.0]))
            after: Any = SimpleNamespace(balance_db=lambda made=shape.tone_db + colour: made, spectrum=spectrum)
            shape.tone_db = shape.tone_db + shaping.missing(shape, curves, before, after)[0]
        given = shape.tone_db - wanted
        assert given[:5].mean() - given[-15:].mean() == pytest.approx(2.0 * share, abs=0.2)

    @pytest.mark.parametrize(("same", "size_db"), [(True, 1.0), (True, 0.1), (False, 1.0)])
    def test_single_third_octaves_beside_the_same_recording(self, mix: Audio, same: bool, size_db: float) -> None:
        """What a limiter does to some bass notes and not to others is made good as far as nothing of it is music."""
        target, nothing = analyze(mix), np.zeros(30)
        wanted, colour = np.linspace(-2.0, 2.0, 30), np.zeros(30)
        colour[[4, 6]], colour[5] = -size_db, 2.0 * size_db
        curves = Curves(wanted, nothing, 0.0, 0.0, EVERYWHERE, 1.0)
        shape = Shape(drawn_eq(wanted, EVERYWHERE, target, False), Width(), wanted, nothing, exact=False, same=same)
        before: Any = SimpleNamespace(balance_db=lambda: nothing)
        spectrum = SimpleNamespace(frequency_hz=np.array([0.0, 24_000.0]))
        after: Any = SimpleNamespace(balance_db=lambda: wanted + colour, spectrum=spectrum)
        tone_db = shaping.missing(shape, curves, before, after)[0]
        shaping.add(shape, tone_db, nothing, curves, target)
        closely = same and size_db == 1.0
        assert bool(shape.eq.curves) is closely
        assert len(shape.eq.bands) <= 8
        made_db = shape.eq.response_db(THIRD_OCTAVES_HZ, "mid")
        left_db = float(np.abs(made_db - made_db.mean() + colour - wanted)[2:-2].max())
        assert left_db < 0.15 if closely else left_db == pytest.approx(2.0 * size_db, rel=0.1)
        if closely:  # and it stays so where it is met
            met: Any = SimpleNamespace(balance_db=lambda: wanted, spectrum=spectrum)
            shaping.add(shape, shaping.missing(shape, curves, before, met)[0], nothing, curves, target)
            assert shape.eq.curves

    def test_what_is_not_worth_a_trial_is_drawn_all_the_same(self, mix: Audio) -> None:
        """Else a hair would decide whether a tenth of a dB is corrected."""
        target, nothing = analyze(mix), np.zeros(30)
        curves = Curves(nothing, nothing, 0.0, 0.0, EVERYWHERE, 1.0)
        tilt = np.linspace(-1.0, 1.0, 30)
        for size_db, worth in ((0.08, False), (0.2, True)):
            shape = Shape(Eq(), Width(), nothing, nothing, exact=False)
            assert shaping.add(shape, size_db * tilt, nothing, curves, target) is worth
            np.testing.assert_allclose(shape.tone_db, size_db * tilt)
        still = Shape(Eq(), Width(), nothing, nothing, exact=False)
        assert shaping.add(still, 0.005 * tilt, nothing, curves, target) is False
        assert not still.tone_db.any()


class TestBench:
    """Chains are tried stage by stage."""

    def test_a_stage_that_has_not_changed_is_not_run_again(self) -> None:
        """What changes in the end keeps what lies before it; what changes at the start keeps nothing."""
        rate, rng = 44_100, np.random.default_rng(9)
        noise = rng.normal(0.0, 0.1, (2, 2 * rate)).astype(np.float32)
        bench = Bench([Section(noise[:, :rate], 100), Section(noise[:, rate:], 0)], rate)
        bright, loud = Chain((Eq(bands=(Band(shape="high_shelf", frequency_hz=3000.0, gain_db=6.0),)),)), Chain()
        shaped = bench.tried(bright)
        for gain_db in (3.0, 9.0, 9.0):
            loud = Chain((Gain(gain_db=gain_db), Limiter(ceiling_dbtp=-3.0)))
            trial = bench.tried(bright, loud)
            assert bench.tried(bright) is shaped
            assert bench.tried(bright, loud) is trial
        assert bench.tried(Chain(), bright, Chain((Compressor(),))) is shaped
        trial = bench.tried(bright, loud)
        whole = try_chain(Chain((*bright.steps, *loud.steps)), bench.before.sections, rate)
        for part, expected in zip(trial.sections, whole.sections, strict=True):
            np.testing.assert_array_equal(part.samples, expected.samples)
        dull = bench.tried(Chain((Gain(gain_db=-6.0),)), loud)
        assert dull.isolated_lufs < trial.isolated_lufs - 1.0

    def test_what_the_limiter_lets_through(self) -> None:
        """Half of the loudness lies where it does something; nothing is limited without a limiter."""
        trial = Trial([], 44_100, np.repeat(np.array([0.0, 2.0], dtype=np.float32), 50))
        trial.__dict__["_weighted"] = np.full(100, 0.1)
        assert trial.share_unlimited == pytest.approx(0.5)
        assert Trial([], 44_100).share_unlimited == 1.0


class TestNearing:
    """Moves between strangers."""

    def test_a_move_towards_the_reference_is_whole(self) -> None:
        """Half of every difference."""
        difference = np.array([4.0, -3.0, 1.0, 6.0])
        assert share_that_nears(0.5 * difference, difference) == 1.0

    def test_a_move_away_is_none(self) -> None:
        """The opposite of every difference."""
        difference = np.array([4.0, -3.0, 1.0, 6.0])
        assert share_that_nears(-difference, difference) == 0.0

    def test_a_move_too_far_is_shortened(self) -> None:
        """Three times the difference: at most two thirds of it, twice the difference, are left."""
        difference = np.array([1.0, -1.0, 2.0])
        share = share_that_nears(3.0 * difference, difference)
        assert 0.5 < share <= 2.0 / 3.0

    def test_what_the_tone_does_to_the_side_counts(self) -> None:
        """A side that the tone has already taken past the reference gets no more of it."""
        difference = np.full(4, 2.0)
        assert share_that_nears(np.full(4, 2.0), difference) == 1.0
        assert share_that_nears(np.full(4, 2.0), difference, np.full(4, 3.0)) < 0.6


def settled_by_numpy(
    over_db: Array, weighted: Array, goal_lufs: float, knee_db: float, decay: float
) -> tuple[float, Array]:
    """The plain twin of `dsp.kernels.settled_gain`."""
    gain_db, depth = goal_lufs - isolated_lufs(weighted), np.zeros(len(over_db))
    for _ in range(3):
        asked = np.pad(1.0 - 10.0 ** (limiting_db(over_db + gain_db, knee_db) / 20.0), 1)
        held = 0.0
        for i in range(len(over_db)):
            depth[i] = held = max(asked[i : i + 3].max(), held * decay)
        gain_db += goal_lufs - isolated_lufs(weighted * (10.0 ** (gain_db / 20.0) * (1.0 - depth)) ** 2)
    return gain_db, 10.0 ** (gain_db / 20.0) * (1.0 - depth)


class TestLoudness:
    """The gain into the limiter."""

    @pytest.mark.parametrize(("missing_lu", "faster"), [(0.56, True), (0.1, False)])
    def test_gain_that_gives_no_loudness_is_not_piled_up(self, missing_lu: float, faster: bool) -> None:
        """1.5 dB have given 0.6 LU: the limiter lets go faster before there is more of it, unless little is missing."""
        flat = np.zeros(len(THIRD_OCTAVES_HZ))
        at = Search(Shape(Eq(), Width(), flat, flat, exact=False), gain_db=7.4, ceiling_dbtp=-1.0)
        first: Any = SimpleNamespace(isolated_lufs=-9.41, share_unlimited=0.6)
        assert at.yielded(first, -5.0) == pytest.approx(0.8)
        at.gain_db = 8.86
        trial: Any = SimpleNamespace(isolated_lufs=-8.8, reduction_p95_db=4.8)
        step_db, gives_lu = _gain_step(at, Aims(), trial, -5.0 + 1.46, missing_lu)
        assert at.limiting == (FASTER_LIMITING if faster else LIMITING)
        assert step_db == pytest.approx(missing_lu if faster else missing_lu / (0.61 / 1.46), rel=0.01)
        assert gives_lu == pytest.approx(missing_lu)


class TestDensity:
    """What of the five figures is mastering."""

    def test_what_is_too_short_for_figures_says_nothing(self, mix: Audio) -> None:
        """Six tenths of a second have no crest factor of their own: nothing is compressed towards nought."""
        blip = Audio(np.ascontiguousarray(mix.samples[:, 44_100 : 44_100 + 26_460]), 44_100)
        found = density.judge(analyze(mix), Reference.of(analyze(blip)), np.zeros(5), 3.0, -1.0, 1.0)
        assert not found.believed_db[:4].any()

    def test_what_agrees_is_believed(self) -> None:
        """All figures lower by as much as masters make them: nearly all of it, between alike pieces or not."""
        denser_db = np.array([-1.5, -2.5, -1.6, -2.0, -3.0])
        for music_db, least in ((0.5, 0.9), (6.0, 0.7)):
            found_db = _inferred(denser_db, mastering_prior(), music_scale_db(music_db))
            assert (found_db / denser_db).min() > least
            assert (found_db / denser_db).max() < 1.25

    def test_what_the_others_contradict_counts_less(self) -> None:
        """A treble whose spread is 8 dB larger where all else is denser is music: it leaves the others as they are."""
        denser_db = np.array([-1.5, -2.5, -1.6, -2.0, -3.0])
        odd_db = denser_db + np.array([0.0, 0.0, 0.0, 8.0, 0.0])
        usual, odd = (_inferred(d, mastering_prior(), music_scale_db(3.0)) for d in (denser_db, odd_db))
        assert odd[3] < 0.5
        assert np.abs(odd - usual)[[0, 1, 2, 4]].max() < 0.5


class TestCompression:
    """Trials of fits, and which of them is kept."""

    trials = (((-1.5, -1.2, -0.5), 0), ((-0.5, -1.6, -1.0), 1), ((0.0, -1.0, -1.9), 2))

    @pytest.mark.parametrize(("made", "kept"), trials)
    def test_what_came_nearest_is_kept(
        self, made: tuple[float, ...], kept: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """2 dB less crest is wanted; whichever of three fits comes nearest, in sound, is gone back to."""
        fits = [Fit(knee_db=float(i)) for i in range(3)]
        fitted = iter(fits)
        monkeypatch.setattr(dynamics, "fit", lambda *_, **__: next(fitted))
        flat = np.zeros(len(THIRD_OCTAVES_HZ))
        at = Search(Shape(Eq(), Width(), flat, flat, exact=False), gain_db=0.0, ceiling_dbtp=-1.0)
        nothing: Any = SimpleNamespace(figures=np.zeros(4))
        linear: Any = SimpleNamespace(heard=lambda *_: nothing, isolated_lufs=-20.0, levels=TestDynamics.beats(9.0))
        goal: Any = SimpleNamespace(density_db=np.array([-2.0, 0.0, 0.0, 0.0, 0.0]))
        bench: Any = SimpleNamespace(before=nothing)
        compression = Compression(bench, goal, goal.density_db[:4])
        compression.fit(at, linear)
        trials: list[Any] = [SimpleNamespace(figures=np.array([crest_db, 0.0, 0.0, 0.0])) for crest_db in made]
        assert all(compression.corrected(at, trial, linear) for trial in trials[:2])
        assert at.knee_db == 2
        assert compression.settled(at, trials[2], linear) == (kept != 2)
        assert at.knee_db == kept


@pytest.mark.parametrize(
    ("missed_db", "belief", "compresses"), [(0.0, None, True), (2.0, None, False), (2.0, 1.0, True)]
)
def test_what_sections_do_not_know_is_no_reason_to_compress(
    mix: Audio, missed_db: float, belief: float | None, compresses: bool
) -> None:
    """A high band 1 dB denser, told from sections whose own high band is not the track's; asked for, it is made."""
    measured = analyze(mix)
    target = replace(measured, figures=measured.figures + np.array([0.0, 0.0, 0.0, missed_db]))
    denser = replace(target, figures=target.figures - np.array([0.0, 0.0, 0.0, 1.0]), content_hash="another")
    made = make_plan(open_audio(mix), target, Reference.of(denser), Aims(belief=belief)).plan
    assert (made.step("compressor") is not None) is compresses


class TestDynamics:
    """Thresholds from levels."""

    no_bands = np.array([SHALLOW_DB] * 3 + [WIDEST_KNEE_DB, 3.0])
    """The highest settings where the limiter's knee is all there is."""

    @staticmethod
    def beats(depth_db: float) -> Levels:
        """Three bands that pulse twice a second by so many dB, with peaks 9 dB above."""
        at = np.arange(2000)
        pulse = np.where(at % 50 < 10, 0.0, -depth_db) + np.random.default_rng(6).normal(0.0, 1.0, (3, 2000))
        power = 10.0 ** ((pulse + np.array([[-20.0], [-22.0], [-30.0]])) / 10.0)
        return Levels(power, np.sqrt(power) * 2.8, np.sqrt(power.sum(axis=0)) * 2.8, power.sum(axis=0))

    @pytest.mark.parametrize(("seed", "length", "knee_db"), [(1, 3, 0.0), (2, 397, 0.0), (3, 400, 4.5), (4, 5003, 6.0)])
    def test_the_limiters_kernel_is_its_twin(self, seed: int, length: int, knee_db: float) -> None:
        """Gain and limiting of levels with gaps and lone peaks, as from the plain functions."""
        rng = np.random.default_rng(seed)
        loud = np.repeat(rng.random(length), 25)[:length] * (rng.random(length) < 0.9)
        weighted = rng.gamma(1.0, 0.01, length) * loud
        over_db = 10.0 * np.log10(weighted + 1e-9) + rng.gamma(4.0, 2.0, length)
        gain = np.empty(length)
        gain_db = settled_gain(over_db, weighted, -9.0, knee_db, 0.9, gain)
        expected_db, expected = settled_by_numpy(over_db, weighted, -9.0, knee_db, 0.9)
        assert gain_db == pytest.approx(expected_db, abs=1e-9)
        np.testing.assert_allclose(gain, expected, rtol=1e-9)

    def test_silence_has_no_loudness_to_settle(self) -> None:
        """All gain there is, and no number that is none."""
        gain = np.empty(100)
        assert np.isfinite(settled_gain(np.full(100, -90.0), np.zeros(100), -14.0, 1.0, 0.9, gain))
        assert np.isfinite(gain).all()

    def test_density_that_is_not_wanted_is_not_made(self) -> None:
        """No change wanted, next to none made."""
        found = fit(self.beats(12.0), np.zeros(4), -20.0, -1.0)
        assert np.abs(found.change_db).max() < 0.4

    def test_wanted_density_is_made(self) -> None:
        """2 dB less spread in the middle: most of it comes, from the middle band."""
        levels = self.beats(12.0)
        found = fit(levels, np.array([0.0, 0.0, -2.0, 0.0]), -20.0, -1.0)
        assert found.change_db[2] < -1.0
        assert found.compressor.bands[1].ratio > 1.0
        before = figures(np.vstack([levels.power, levels.power.sum(axis=0)]), levels.whole_peak)
        assert before[2] > 8.0

    def test_what_is_asked_for_is_done_by_all_bands(self) -> None:
        """6 dB less spread in three bands that move alike nearly come; 4 dB in one of them make the others go along.

        Of the treble least, whose peaks are over soonest.
        """
        levels = self.beats(12.0)
        found = fit(levels, np.array([0.0, -6.0, -6.0, -6.0]), -20.0, -1.0)
        assert found.change_db[1:3].max() < -4.7
        assert found.change_db[3] < -3.5
        assert np.ptp(found.found[:3]) < 1.0
        one = fit(levels, np.array([-1.0, -4.0, 0.0, 0.0]), -20.0, -1.0)
        assert one.change_db[1] < -3.8
        assert one.found[:3].min() > -4.0
        assert np.abs(one.change_db[2:]).max() < 0.3

    def test_what_is_hardly_turned_down_is_left_alone(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """0.2 dB less spread is no reason for a compressor."""
        levels, wanted_db = self.beats(12.0), np.array([0.0, 0.0, -0.2, 0.0])
        assert fit(levels, wanted_db, -20.0, -1.0).compressor.is_neutral()
        monkeypatch.setattr(dynamics, "_WORTH_DB", 0.0)
        assert not fit(levels, wanted_db, -20.0, -1.0).compressor.is_neutral()

    def test_a_knee_leaves_the_highest_peak(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where peaks just reach the ceiling a wide knee would lower the crest factor, and the highest peak with it."""
        monkeypatch.setattr(dynamics, "_HIGHEST", self.no_bands)
        levels, wanted_db = self.beats(12.0), np.array([-0.8, 0.0, 0.0, 0.0])
        loudness_lufs = isolated_lufs(levels.weighted)
        goal_lufs = loudness_lufs - 1.0 - 20.0 * np.log10(levels.whole_peak.max())
        usual = fit(levels, wanted_db, goal_lufs, -1.0)
        monkeypatch.setattr(dynamics, "_LOST_PEAK_DB", np.inf)
        other = fit(levels, wanted_db, goal_lufs, -1.0)
        assert other.knee_db > 2.0
        assert usual.knee_db < other.knee_db - 1.0

    @pytest.mark.parametrize("start", [dynamics._START, np.array([0.0, 0.0, 10.0, 0.0, 1.5])])
    def test_rare_hits_are_no_reason_to_raise_all_else(
        self, start: NDArray[np.float64], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A few hits hold most of the treble's power: pressed down and made up for, the rest would come up."""
        monkeypatch.setattr(dynamics, "_START", start)
        rng, at = np.random.default_rng(8), np.arange(2000)
        quiet_db = np.array([[-26.0], [-28.0], [-45.0]]) + rng.normal(0.0, 1.0, (3, 2000))
        found = {}
        for hits, louder_db in ((4, 34.0), (20, 28.0)):  # in a hundred
            level_db = quiet_db.copy()
            level_db[2, at % 100 < hits] += louder_db
            power = 10.0 ** (level_db / 10.0)
            whole = power.sum(axis=0)
            levels = Levels(power, 2.0 * np.sqrt(power), 2.0 * np.sqrt(whole), whole)
            found[hits] = fit(levels, np.array([-3.0, 0.0, 0.0, -4.0]), -26.0, -1.0)
        assert found[4].compressor.is_neutral()
        assert found[20].compressor.bands[2].makeup_db > 1.0

    @staticmethod
    def clicking() -> Levels:
        """Clicks over a steady sound."""
        rng, at = np.random.default_rng(6), np.arange(2000)
        power = 10.0 ** ((rng.normal(0.0, 1.0, (3, 2000)) + np.array([[-20.0], [-22.0], [-30.0]])) / 10.0)
        clicks = np.where(at % 20 == 0, 5.0, 2.0)
        whole = power.sum(axis=0)
        return Levels(power, np.sqrt(power) * clicks, np.sqrt(whole) * clicks, whole)

    def test_a_lower_crest_is_a_fast_attacks_work(self) -> None:
        """Clicks are to stand out less: an attack as fast as may be takes them, and the spreads stay as they are."""
        found = fit(self.clicking(), np.array([-1.5, 0.0, 0.0, 0.0]), -17.0, -1.0)
        assert found.change_db[0] < -1.0
        assert np.abs(found.change_db[1:]).max() < 0.3
        assert max(band.attack_ms for band in found.compressor.bands) < USUAL_ATTACK_MS / 2.0
        unwanted = fit(self.clicking(), np.zeros(4), -17.0, -1.0)
        assert unwanted.compressor.is_neutral()
        assert unwanted.knee_db < 0.5

    def test_a_higher_crest_is_a_slow_attacks_work(self) -> None:
        """Less spread and peaks as they were: the attack lets them through; with a lower crest it does not."""
        attacks_ms = []
        for crest_db in (0.3, -1.0):
            found = fit(self.beats(12.0), np.array([crest_db, -2.0, -2.0, -2.0]), -20.0, -1.0)
            assert found.change_db[1:].mean() < -1.5
            attacks_ms.append(found.compressor.bands[1].attack_ms)
        assert attacks_ms[0] > 2.0 * attacks_ms[1]

    def test_a_knee_takes_what_no_band_does(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where bands may not be compressed the limiter sets in softly; the highest peak stays within 0.75 dB."""
        monkeypatch.setattr(dynamics, "_HIGHEST", self.no_bands)
        found = fit(self.clicking(), np.array([-1.5, 0.0, 0.0, 0.0]), -17.0, -1.0)
        assert found.knee_db > 4.0
        assert found.change_db[0] < -0.3
        assert found.compressor.is_neutral()
        assert limiting_db(np.zeros(1), found.knee_db)[0] >= -0.75
