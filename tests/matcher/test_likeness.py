"""Like with like: the same moments found by their notes, and the tone compared between them alone."""

from __future__ import annotations

import numpy as np
import pytest

from dsp.effects.eq import Band, band_db
from matcher.planner import likeness
from matcher.priors import Line
from matcher.profile import NOTE_EDGES_HZ, THIRD_OCTAVES_HZ, Course

BAR = 40
CURVE = band_db(Band(shape="low_shelf", frequency_hz=150.0, gain_db=5.0), THIRD_OCTAVES_HZ) + band_db(
    Band(shape="high_shelf", frequency_hz=5000.0, gain_db=-4.0), THIRD_OCTAVES_HZ
)
NOTES_HZ = np.sqrt(NOTE_EDGES_HZ[1:] * NOTE_EDGES_HZ[:-1])


def bar(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(tone, notes, side) of four seconds in which chords change; every bar has a balance and a width of its own."""
    rng = np.random.default_rng(seed)
    balance_db = np.interp(np.arange(30), [0, 10, 20, 29], rng.normal(0.0, 5.0, 4))
    level_db = rng.normal(0.0, 2.0, (30, BAR)) + balance_db[:, None] - 30.0
    notes_db = np.repeat(rng.choice([0.0, 14.0], (84, BAR // 4), p=[0.8, 0.2]), 4, axis=1) - 40.0
    notes_db = notes_db + np.interp(NOTES_HZ, THIRD_OCTAVES_HZ, balance_db)[:, None]
    side_db = level_db + rng.uniform(-20.0, -5.0)
    return 10.0 ** (level_db / 10.0), 10.0 ** (notes_db / 10.0), 10.0 ** (side_db / 10.0)


def course(seeds: list[int], curve_db: np.ndarray | None = None, gain_db: float = 0.0, wider_db: float = 0.0) -> Course:
    """Bars in a row, mastered by a curve."""
    parts = [bar(seed) for seed in seeds]
    tone, notes, side = (np.concatenate([p[i] for p in parts], axis=1) for i in range(3))
    curve = np.zeros(30) if curve_db is None else curve_db
    tone = tone * 10.0 ** ((curve + gain_db) / 10.0)[:, None]
    side = side * 10.0 ** ((curve + gain_db + wider_db) / 10.0)[:, None]
    notes = notes * 10.0 ** ((np.interp(NOTES_HZ, THIRD_OCTAVES_HZ, curve) + gain_db) / 10.0)[:, None]
    return Course(*(each.astype(np.float32) for each in (tone, notes, side)), np.arange(tone.shape[1]))


def shape(difference_db: np.ndarray) -> np.ndarray:
    """A difference without its level."""
    return difference_db - difference_db.mean()


VERSE, CHORUS, BRIDGE = [1, 2], [3, 4], [5, 6]
QUARTER = likeness.SHARES.index(0.25)


class TestLikeWithLike:
    """Pieces that share a passage."""

    def test_finds_the_curve_behind_another_arrangement(self) -> None:
        """Verse and chorus against chorus and bridge: the shared chorus shows the curve, the whole tracks do not."""
        here, there = course(VERSE + CHORUS), course(CHORUS + BRIDGE, CURVE)
        whole = 10.0 * np.log10(there.tone.mean(axis=1) / here.tone.mean(axis=1))
        found = [each.tone_db for each in likeness.compare(here, there)]
        assert len(found) == len(likeness.SHARES)
        assert np.abs(shape(whole) - shape(CURVE)).max() > 2.0
        assert np.abs(shape(found[QUARTER]) - shape(CURVE)).max() < 0.1

    def test_the_more_is_shared_the_more_similar(self) -> None:
        """The same notes under another tone are as good as the same; fewer, or none, are less."""
        here = course(VERSE + CHORUS)
        same, some, none = (
            [each.similarity for each in likeness.compare(here, course(bars, CURVE))]
            for bars in (VERSE + CHORUS, CHORUS + BRIDGE, [*BRIDGE, 7, 8])
        )
        assert min(same) > 0.99
        assert 0.5 < some[0] < 0.95 < some[-1]
        assert max(none) < 0.5
        assert all(found == sorted(found) for found in (some, none))

    def test_no_level_matters(self) -> None:
        """The same track 20 dB lower gives the same differences."""
        here = course(VERSE + CHORUS)
        loud, soft = (likeness.compare(here, course(CHORUS + BRIDGE, CURVE, g)) for g in (0.0, -20.0))
        for one, other in zip(loud, soft, strict=True):
            assert np.abs(one.tone_db - other.tone_db).max() < 1e-3
            assert np.abs(one.width_db - other.width_db).max() < 1e-3

    def test_finds_the_width_behind_another_arrangement(self) -> None:
        """The shared chorus shows by how much the side was raised, the whole tracks do not."""
        here, there = course(VERSE + CHORUS), course(CHORUS + BRIDGE, CURVE, wider_db=4.0)
        whole = 10.0 * np.log10(there.side.sum() / there.tone.sum() * here.tone.sum() / here.side.sum())
        assert abs(whole - 4.0) > 1.0
        assert np.abs(likeness.compare(here, there)[QUARTER].width_db - 4.0).max() < 0.1

    def test_silence_around_the_music_changes_nothing(self) -> None:
        """Frames of silence before and behind say nothing."""
        here, there = course(VERSE + CHORUS), course(CHORUS + BRIDGE, CURVE)
        padded = Course(
            *(np.pad(x, ((0, 0), (7, 12))) for x in (here.tone, here.notes, here.side)), np.arange(here.frame.size + 19)
        )
        for one, other in zip(likeness.compare(padded, there), likeness.compare(here, there), strict=True):
            assert np.array_equal(one.tone_db, other.tone_db)
            assert np.array_equal(one.width_db, other.width_db)

    @pytest.mark.parametrize("frames", [0, 5, 25])
    def test_too_short_says_nothing(self, frames: int) -> None:
        """Two seconds and less are not compared."""
        whole = course(VERSE)
        short = Course(*(x[..., :frames] for x in (whole.tone, whole.notes, whole.side, whole.frame)))
        assert likeness.compare(short, whole) == []
        assert likeness.compare(whole, short) == []

    def test_silence_says_nothing(self) -> None:
        """A track without sound has no moments."""
        whole = course(VERSE)
        assert likeness.compare(Course(whole.tone * 0, whole.notes * 0, whole.side * 0, whole.frame), whole) == []

    def test_a_long_track_is_represented_by_stretches(self) -> None:
        """Ten minutes, in which a verse and a chorus take turns: still the curve, from no more frames than allowed."""
        long = course((VERSE + CHORUS) * 37 + BRIDGE, CURVE)
        assert long.tone.shape[1] > likeness.MOST_FRAMES
        found = [each.tone_db for each in likeness.compare(course(VERSE + CHORUS), long)]
        assert np.abs(shape(found[-1]) - shape(CURVE)).max() < 0.1


class TestExpectations:
    """How far pieces differ by themselves, where it is known what they play."""

    LINES = tuple(Line(offset, 2.0, 0.5) for offset in (1.0, 0.8, 0.6, 0.4))

    def test_the_more_alike_the_less_is_music(self) -> None:
        """Each version by its own line, whole tracks by the similarity of all moments; less for more alike."""
        here = course(VERSE + CHORUS)
        same, other = (
            likeness.expectations(likeness.compare(here, course(bars, CURVE)), self.LINES)
            for bars in (VERSE + CHORUS, [*BRIDGE, 7, 8])
        )
        assert len(same) == len(likeness.SHARES) + 1
        assert all(one[0] < two[0] - 1.0 for one, two in zip(same, other, strict=True))
        assert same[0][0] - same[1][0] == pytest.approx(0.2)
        assert {spread for _, spread in same} == {0.5}

    def test_nothing_compared_nothing_expected(self) -> None:
        """Tracks too short to compare are judged by what differs alone."""
        assert likeness.expectations([], self.LINES) == [None]
