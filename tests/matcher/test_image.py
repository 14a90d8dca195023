"""Whether a reference was made wider, by how far apart its sources lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from dsp.audio import Audio
from matcher import analyze
from matcher.demo import song
from matcher.features import Features
from matcher.learning import images, scattered
from matcher.planner import image, tone, width
from matcher.planner.likeness import Moments
from matcher.priors import shipped
from matcher.profile import Profile
from matcher.reference import Reference


def widened(audio: Audio, gain_db: float) -> Audio:
    mid, side = audio.samples.mean(axis=0), (audio.samples[0] - audio.samples[1]) / 2.0 * 10.0 ** (gain_db / 20.0)
    return Audio(np.stack([mid + side, mid - side]), audio.sample_rate_hz)


@pytest.fixture(scope="module")
def piece() -> Audio:
    return song(5, seconds=16.0)


@pytest.fixture(scope="module")
def halves(piece: Audio) -> tuple[Audio, Audio]:
    middle = piece.length_samples // 2
    return tuple(Audio(s.copy(), piece.sample_rate_hz) for s in np.split(piece.samples[:, : 2 * middle], 2, axis=1))


def drawn(count: int, seed: int) -> np.ndarray:
    """Quantiles of pieces as the prior has them."""
    prior, rng = shipped().image, np.random.default_rng(seed)
    normal = rng.multivariate_normal(np.zeros(len(prior.centre)), prior.tracks, count)
    return np.array(prior.centre) + normal / np.sqrt(rng.chisquare(image.TAILS, (count, 1)) / image.TAILS)


@pytest.mark.parametrize("gain_db", [-4.0, 0.0, 3.0])
def test_within_a_piece_its_own_image_decides(halves: tuple[Audio, Audio], gain_db: float) -> None:
    """The other half, made wider or narrower: known to within what halves differ by."""
    found = image.raised(analyze(halves[0]), [analyze(widened(halves[1], gain_db))], 0.5)
    plain = image.raised(analyze(halves[0]), [analyze(halves[1])], 0.5)
    own_piece, shown = found.ways[1]
    assert own_piece > image.ONE_PIECE
    assert shown is not None
    assert float(shown.curve_db[0]) == pytest.approx(gain_db + float(plain.ways[1][1].curve_db[0]), abs=0.1)
    assert found.mean_db == pytest.approx(gain_db, abs=1.5)
    assert found.sd_db < 0.7 * image.MASTERING_DB


def test_of_any_piece_the_usual_image_decides() -> None:
    """Pieces drawn from the prior and made wider by what mastering does: found again, and as surely as is said."""
    gains_db = np.random.default_rng(5).normal(0.0, image.MASTERING_DB, 300)
    here, there = drawn(300, 3), drawn(300, 4) + gains_db[:, None]
    judged = [image._overall(*image._judged(h, t, 1.0)) for h, t in zip(here, there, strict=True)]
    mean_db, sd_db = np.array(judged).T
    left_db = gains_db - mean_db
    assert np.std(left_db) < 0.75 * np.std(gains_db)
    assert np.sqrt(np.mean(sd_db**2)) == pytest.approx(np.std(left_db), rel=0.15)


def test_of_a_kind_that_is_not_known_nothing_follows(piece: Audio) -> None:
    """Next to mono by nature or by mastering: nobody can tell."""
    found = image.raised(analyze(song(9, seconds=8.0)), [analyze(widened(piece, -25.0))], 1.0)
    unknown, shown = found.ways[-1]
    assert shown is None
    assert unknown > 0.9
    assert abs(found.mean_db) < 0.5
    assert found.sd_db == pytest.approx(image.MASTERING_DB, rel=0.1)


def test_of_one_piece_nothing_else_counts(halves: tuple[Audio, Audio]) -> None:
    """Where the tone leaves no doubt, the usual image of others has no say; an image moved as a whole is met."""
    target = analyze(halves[0])
    found = image.raised(target, [analyze(widened(halves[0], 5.0))], 0.0)
    assert [share for share, _ in found.ways] == [0.0, 1.0, 0.0]
    assert float(found.ways[1][1].curve_db[0]) == pytest.approx(5.0, abs=0.1)


def test_ways_are_all_there_are(halves: tuple[Audio, Audio], piece: Audio) -> None:
    """Their shares are probabilities; two references are the mean of both."""
    target, one, two = analyze(halves[0]), analyze(widened(halves[1], 2.0)), analyze(widened(piece, 4.0))
    for references in ([one], [two], [one, two]):
        assert sum(share for share, _ in image.raised(target, references, 0.7).ways) == pytest.approx(1.0)
    alone = [image.raised(target, [p], 0.7).ways[0][1].curve_db[0] for p in (one, two)]
    assert image.raised(target, [one, two], 0.7).ways[0][1].curve_db[0] == pytest.approx(np.mean(alone))


def test_without_points_nothing_is_said(piece: Audio) -> None:
    """One channel, next to no side, too short, or a preset, whose sources were not counted."""
    wide = analyze(piece)
    mono = analyze(Audio(piece.samples[:1], piece.sample_rate_hz))
    same = analyze(widened(piece, -90.0))
    short = analyze(Audio(piece.samples[:, :30_000], piece.sample_rate_hz))
    for other in (mono, same, short):
        assert image.raised(wide, [other], 1.0) is None
        assert image.raised(other, [wide], 1.0) is None
    assert image.raised(wide, [Features.of(wide)], 1.0) is None
    assert image.raised(wide, [wide, Features.of(wide)], 1.0) is None


def test_the_width_of_strangers_follows_it(mix: Audio, record: Audio) -> None:
    """Of a usual image made 4 dB wider, more is believed than of the same levels behind an image that says nothing."""
    target, other = analyze(mix), analyze(record)
    unknown = np.zeros_like(other.image)
    usual_db = np.array(shipped().image.centre)

    def believed_db(reference: Profile) -> float:
        goal, moments = Reference.of(reference), Moments(target)
        found = width.estimate(target, goal, moments, tone.estimate(target, goal, moments))
        return float(found.side.mean_db[image.BANDS].mean())

    seen = [believed_db(replace(other, image=_counted(usual_db + gain_db))) for gain_db in (-4.0, 0.0, 4.0)]
    assert seen[0] < seen[1] - 1.0 < seen[2] - 2.0
    assert believed_db(replace(other, image=unknown)) != pytest.approx(seen[2], abs=0.5)


def _counted(quantiles_db: np.ndarray) -> np.ndarray:
    """Counts that have these quantiles, to a tenth of a dB or so."""
    from dsp.meters.image import HIGHEST_DB, LOWEST_DB, SHARES

    edges_db = np.arange(LOWEST_DB, HIGHEST_DB + 1.0)
    below = [
        np.interp(edges_db, [LOWEST_DB, *octave_db, HIGHEST_DB], [0.0, *SHARES, 1.0])
        for octave_db in quantiles_db.reshape(2, -1)
    ]
    return np.rint(np.diff(below, axis=1) * 100_000).astype(np.int64)


def test_the_report_says_so(halves: tuple[Audio, Audio]) -> None:
    """In dB, and how sure it is."""
    from matcher import plan

    made = plan(halves[0], widened(halves[1], 4.0), use_cache=False)
    assert "How far apart its sources lie says that it was made" in made.step("width").because
    assert "dB wider (give or take" in made.step("width").because


def test_nothing_is_raised_above_the_music() -> None:
    """A curve of the side that raises ends where the target's music does; one that lowers goes on."""
    noise = np.random.default_rng(6).normal(0.0, 0.1, (2, 4 * 44_100)) * np.hanning(4 * 44_100)
    spectrum, hz = np.fft.rfft(noise), np.fft.rfftfreq(noise.shape[1], 1.0 / 44_100)
    whole = analyze(Audio(noise, 44_100))
    cut = analyze(Audio(np.fft.irfft(np.where(hz < 12_000.0, spectrum, 0.0), noise.shape[1]), 44_100))
    for curve_db in (np.full(30, 4.0), np.linspace(0.0, 5.0, 30)):
        drawn = width.Width(side=width.points(curve_db, cut)).response_db(np.array([1000.0, 8000.0, 15_000.0]))
        np.testing.assert_allclose(drawn[:2], np.interp([16, 25], np.arange(30), curve_db), atol=0.1)
        assert drawn[2] == 0.0
        assert width.Width(side=width.points(curve_db, whole)).response_db(np.array([15_000.0]))[0] > 3.9
    lowered = width.Width(side=width.points(np.full(30, -4.0), cut)).response_db(np.array([15_000.0]))
    assert lowered[0] == pytest.approx(-4.0)


def test_scatter_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Centre and scatter of points drawn from a t distribution, whatever a few wild ones say; weights count."""
    monkeypatch.setattr(image, "STRAYS_DB", 0.01)
    rng = np.random.default_rng(7)
    true = np.array([[4.0, 3.0], [3.0, 9.0]])
    points = np.array([1.0, -2.0]) + rng.multivariate_normal(np.zeros(2), true, 6000) / np.sqrt(
        rng.chisquare(image.TAILS, (6000, 1)) / image.TAILS
    )
    centre, scatter = scattered(points, np.ones(6000))
    np.testing.assert_allclose(centre, [1.0, -2.0], atol=0.15)
    np.testing.assert_allclose(scatter, true, rtol=0.12)
    twice = scattered(np.concatenate([points, points[:3000]]), np.ones(9000))
    weighted = scattered(points, np.repeat([2.0, 1.0], 3000))
    np.testing.assert_allclose(weighted[0], twice[0], atol=1e-6)
    np.testing.assert_allclose(weighted[1], twice[1], atol=1e-6)


def test_images_are_learned_from_tracks_with_a_side(halves: tuple[Audio, Audio]) -> None:
    """Two halves of a piece scatter less than two pieces; what has no side is left out."""
    tracks = [
        [analyze(h) for h in halves],
        [analyze(widened(song(8, seconds=8.0), -6.0))],
        [analyze(Audio(halves[0].samples[:1], halves[0].sample_rate_hz))],
    ]
    learned = images(tracks)
    assert images(tracks[:2]) == learned
    assert np.trace(learned.pieces) < np.trace(learned.tracks)
    assert np.linalg.eigvalsh(np.array(learned.tracks))[0] > 0.0


def test_the_shipped_image_is_sound() -> None:
    """Quantiles rise, the widest points strays least, and pieces differ less from themselves than tracks do."""
    prior = shipped().image
    centre = np.array(prior.centre).reshape(2, -1)
    assert np.all(np.diff(centre) > 1.0)
    tracks, pieces = (np.sqrt(np.diag(np.array(m))) for m in (prior.tracks, prior.pieces))
    assert np.all(pieces < 0.7 * tracks)
    assert np.all(tracks.reshape(2, -1)[:, 3] < 0.9 * tracks.reshape(2, -1)[:, 0])
