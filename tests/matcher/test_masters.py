"""A master is known again beside the references it was made for, and nowhere else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import matcher
from dsp.audio import Audio
from dsp.effects.gain import Gain
from matcher import Aims, match, plan, render
from matcher.io import read_audio, write_audio
from matcher.plans import Plan, Step


@pytest.fixture
def master(mix_file: Path, record_file: Path, tmp_path: Path) -> matcher.Report:
    """The mix matched to the record, as a file."""
    return match(mix_file, record_file, tmp_path / "master.wav")


class TestAgain:
    """A master matched again."""

    def test_is_left_as_it_is(self, master: matcher.Report, record_file: Path, tmp_path: Path) -> None:
        """By any name, sample for sample, and the report says why."""
        copy, out = tmp_path / "copy.wav", tmp_path / "out.wav"
        shutil.copy(tmp_path / "master.wav", copy)
        again = match(copy, record_file, out)
        assert not again.plan.steps
        said = "copy.wav was made beside the same reference with the same aims: nothing is left to do"
        assert again.plan.remarks == (said,)
        assert np.array_equal(read_audio(copy).samples, read_audio(out).samples)

    def test_believes_the_rest_to_be_the_musics_own(
        self, master: matcher.Report, record_file: Path, tmp_path: Path
    ) -> None:
        """What was wanted of the first match is taken off what was measured and believed."""
        first, again = master.plan.believed, plan(tmp_path / "master.wav", record_file).believed
        assert first is not None
        assert again is not None
        for before, after in ((first.tone, again.tone), (first.side, again.side)):
            assert before is not None
            assert after is not None
            left = np.array(before.difference_db) - np.array(before.wanted_db)
            assert np.allclose(after.difference_db, left, atol=0.01)
            assert not np.any(after.wanted_db)
            assert np.allclose(after.believed_db, np.array(before.believed_db) - np.array(before.wanted_db), atol=0.01)
        assert [f.wanted_db for f in again.density] == [0.0] * 5

    def test_in_memory(self, mix: Audio, record: Audio) -> None:
        """The same without files."""
        made = match(mix, record).audio
        assert made is not None
        again = match(made, record)
        assert again.audio is not None
        assert np.array_equal(again.audio.samples, made.samples)


class TestIsNotTakenForOne:
    """What only looks like a master that was made here."""

    def test_other_aims(self, master: matcher.Report, record_file: Path, tmp_path: Path) -> None:
        """Louder is asked for, and louder it becomes."""
        assert plan(tmp_path / "master.wav", record_file, Aims(loudness_lufs=-8.0)).step("gain") is not None

    def test_another_reference(self, master: matcher.Report, mix_file: Path, tmp_path: Path) -> None:
        """The way back to the mix is a match like any other."""
        assert plan(tmp_path / "master.wav", mix_file).steps

    def test_changed_since(self, master: matcher.Report, record_file: Path, tmp_path: Path) -> None:
        """Turned down by 6 dB it is another file."""
        turned_down = Plan(target=master.plan.target, steps=(Step(settings=Gain(gain_db=-6.0)),))
        changed = render(tmp_path / "master.wav", turned_down).audio
        assert changed is not None
        write_audio(tmp_path / "changed.wav", changed)
        made = plan(tmp_path / "changed.wav", record_file)
        assert made.step("gain") is not None
        assert not any("nothing is left" in remark for remark in made.remarks)

    def test_without_the_cache(self, master: matcher.Report, record_file: Path, tmp_path: Path) -> None:
        """Nothing is remembered, so the master is judged as any track."""
        again = plan(tmp_path / "master.wav", record_file, use_cache=False)
        assert not any("nothing is left" in remark for remark in again.remarks)

    def test_a_record_that_cannot_be_read(
        self, master: matcher.Report, record_file: Path, own_cache: Path, tmp_path: Path
    ) -> None:
        """Is none."""
        (kept,) = (own_cache / "masters").glob("*.json")
        kept.write_text("{")
        assert not any("nothing is left" in r for r in plan(tmp_path / "master.wav", record_file).remarks)
