"""Damage from the outside: found, told, mended before a match or alone, and only in the file it was found in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
import soundfile

from dsp.audio import Audio
from dsp.chain import Chain
from dsp.effects.gain import Gain
from dsp.errors import AudioError, FileError, PlanError
from dsp.restoration.declick import Declick
from dsp.restoration.declip import Declip
from dsp.restoration.events import event
from matcher import Aims, inspect, match, plan, render, restore
from matcher.damage import KINDS, Inspector, _silenced, told
from matcher.io import open_audio, read_audio, write_audio
from matcher.mending import Mended


@pytest.fixture(scope="module")
def clipped(mix: Audio) -> Audio:
    """The mix, driven 6 dB beyond what a converter could hold."""
    level = 0.5 * np.abs(mix.samples).max()
    return Audio(np.clip(mix.samples, -level, level).astype(np.float32), mix.sample_rate_hz)


@pytest.fixture
def clipped_file(clipped: Audio, tmp_path: Path) -> Path:
    """That in 24 bits."""
    write_audio(tmp_path / "clipped.wav", clipped)
    return tmp_path / "clipped.wav"


def distance_db(one: np.ndarray, other: np.ndarray) -> float:
    return float(10.0 * np.log10(np.mean((one - other) ** 2) / np.mean(other**2)))


class TestInspection:
    """What is found, and how it is told."""

    def test_whole_sound(self, mix: Audio, record: Audio) -> None:
        """Nothing is found in a mix, nor in a loud limited master."""
        assert inspect(mix).findings == ()
        assert inspect(record).findings == ()

    def test_clipped(self, clipped: Audio) -> None:
        """The level stands in the sentence, the repair beside it."""
        (found,) = inspect(clipped).findings
        level_db = 20.0 * np.log10(np.abs(clipped.samples).max())
        assert found.kind == "declip"
        assert found.said.startswith(f"clipped at {level_db:.1f} dBFS: ")
        assert isinstance(found.repair, Declip)

    def test_clicks_above_the_clip_level(self, mix: Audio) -> None:
        """They hide the clipping, and so might what they are replaced by: both are found, and no corners as clicks."""
        levels = 0.5 * np.abs(mix.samples).max(axis=1, keepdims=True)
        samples, rng = np.clip(mix.samples, -levels, levels), np.random.default_rng(3)
        places = rng.integers(4_000, mix.length_samples - 4_000, 40)
        decay = np.exp(-np.arange(40) / 8.0) * np.cos(0.9 * np.arange(40))
        for place in places:
            samples[rng.integers(2), place : place + 40] += rng.choice([-1.0, 1.0]) * 0.8 * decay
        found = {f.kind: f for f in inspect(Audio(samples.astype(np.float32), mix.sample_rate_hz)).findings}
        assert isinstance(found["declip"].repair, Declip)
        assert isinstance(found["declick"].repair, Declick)
        clipped_channels = {level.channel for level in found["declip"].repair.levels}
        clicks = [click for click in found["declick"].repair.clicks if click.channel in clipped_channels]
        starts = np.array([click.start_s for click in clicks]) * mix.sample_rate_hz
        assert len(clicks) > 10
        assert (np.abs(starts[:, None] - places).min(axis=1) < 80).mean() > 0.7

    def test_silenced_in_any_blocks(self, mix: Audio) -> None:
        """Events are silent in their channel alone, over the ends of blocks and one in another."""
        with open_audio(mix) as sound:
            size = sound.length_samples
            spans = [(0, 10, 0), (100, 70_000, 1), (65_500, 65_600, 0), (65_530, 65_540, 0), (size - 5, size + 5, 1)]
            events = [event(first, stop, channel, sound.sample_rate_hz) for first, stop, channel in spans]
            found = np.concatenate(list(_silenced(sound, events[::-1])), axis=1)
        wanted = mix.samples.copy()
        for first, stop, channel in spans:
            wanted[channel, first:stop] = 0.0
        np.testing.assert_array_equal(found, wanted)

    def test_any_blocks(self, clipped: Audio) -> None:
        """The same findings whatever the stream is cut into."""
        found = []
        for size in (1000, 65_536, clipped.length_samples):
            inspector = Inspector(clipped.sample_rate_hz, clipped.channels)
            for start in range(0, clipped.length_samples, size):
                inspector.update(clipped.samples[:, start : start + size])
            found.append(told(inspector.results()))
        assert found[0] == found[1] == found[2]

    def test_is_kept(self, clipped_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file that was searched before is not read again, and nothing is lost on the way."""
        first = inspect(clipped_file)
        monkeypatch.setattr("matcher.damage.Inspector", None)
        assert inspect(clipped_file) == first

    def test_gives_plain_data(self, clipped: Audio) -> None:
        """What JSON can hold, down to the sections."""
        found = inspect(clipped)
        data = msgspec.json.decode(msgspec.json.encode(found.to_dict()))
        assert data["findings"][0]["repair"]["effect"] == "declip"
        assert len(data["findings"][0]["repair"]["sections"]) == len(found.findings[0].repair.sections)

    def test_kinds_are_mended_in_the_order_listed(self, clipped: Audio) -> None:
        """A choice of kinds keeps the others out."""
        found = inspect(clipped)
        assert list(KINDS)[-1] == "denoise"
        assert found.only(["dehum"]).findings == ()
        assert found.only(["declip", "dehum"]) == found


class TestMended:
    """A source behind its repairs."""

    def test_any_part_in_any_order(self, clipped: Audio) -> None:
        """What is read by the piece is what streams through."""
        with open_audio(clipped) as original, Mended.of(original, inspect(clipped).chain) as mended:
            whole = np.concatenate(list(mended.blocks(10_000)), axis=1)
            assert whole.shape == clipped.samples.shape
            assert np.array_equal(mended.read(100_000, 5000), whole[:, 100_000:105_000])
            assert np.array_equal(mended.read(3, 7), whole[:, 3:10])
            assert np.array_equal(np.concatenate(list(mended.blocks(999)), axis=1), whole)

    def test_is_another_sound(self, clipped: Audio) -> None:
        """Its hash is neither the original's nor that of other repairs."""
        with open_audio(clipped) as original:
            names = [Mended.of(original, chain).content_hash() for chain in (Chain(), inspect(clipped).chain)]
            assert len({original.content_hash(), *names}) == 3


class TestMatch:
    """Repair as the first stage of a match."""

    def test_mends_first(self, clipped: Audio, mix: Audio, record: Audio) -> None:
        """The plan begins with the repair, and what follows is planned for the whole sound."""
        made, ideal = match(clipped, record), match(mix, record)
        assert next(type(step.settings).__name__ for step in made.plan.steps) == "Declip"
        assert made.plan.steps[0].because.startswith("Clipped at ")
        assert abs(made.after.integrated_lufs - ideal.after.integrated_lufs) < 0.3
        left = match(clipped, record, aims=Aims(restore="off"))
        assert distance_db(made.audio.samples, ideal.audio.samples) < distance_db(
            left.audio.samples, ideal.audio.samples
        )

    def test_is_left_alone_when_asked(self, clipped: Audio, record: Audio) -> None:
        """`restore="off"` plans no repair."""
        assert plan(clipped, record, Aims(restore="off")).repairs == Chain()

    def test_renders_the_same_from_its_plan(self, clipped_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Repairs included, sample for sample, at another rate too."""
        made = match(clipped_file, record_file, tmp_path / "a.wav", sample_rate_hz=48_000)
        render(clipped_file, made.plan, tmp_path / "b.wav", sample_rate_hz=48_000)
        assert np.array_equal(read_audio(tmp_path / "a.wav").samples, read_audio(tmp_path / "b.wav").samples)

    def test_refuses_another_file(self, clipped_file: Path, mix_file: Path, record_file: Path) -> None:
        """Events belong to the file they were found in; with the step switched off the plan fits all."""
        made = plan(clipped_file, record_file)
        with pytest.raises(PlanError, match=r"mix\.wav: the plan repairs damage that was found in another file"):
            render(mix_file, made)
        off = msgspec.structs.replace(made.steps[0], enabled=False)
        assert render(mix_file, msgspec.structs.replace(made, steps=(off, *made.steps[1:]))).audio is not None

    def test_residual_is_input_minus_output(self, clipped_file: Path, record_file: Path, tmp_path: Path) -> None:
        """To the last bit of a float."""
        made = match(clipped_file, record_file, tmp_path / "m.wav", residual=tmp_path / "r.wav")
        original = read_audio(clipped_file)
        with open_audio(original) as source, Mended.of(source, made.plan.repairs) as mended:
            whole = np.concatenate(list(mended.blocks()), axis=1)
        assert np.array_equal(soundfile.read(tmp_path / "r.wav", dtype="float32")[0].T, original.samples - whole)


class TestRestore:
    """Repair and nothing else."""

    def test_leaves_whole_sound_as_it_is(self, mix_file: Path, tmp_path: Path) -> None:
        """Bit by bit, and the residual is silent."""
        done = restore(mix_file, tmp_path / "out.wav", residual=tmp_path / "r.wav")
        assert done.plan.steps == ()
        assert np.array_equal(read_audio(mix_file).samples, read_audio(tmp_path / "out.wav").samples)
        assert not soundfile.read(tmp_path / "r.wav")[0].any()

    def test_makes_room_for_what_it_fills_in(self, clipped: Audio, tmp_path: Path) -> None:
        """Where that passes full scale all is turned down, and nothing is cut off anew."""
        loud = Audio(clipped.samples * np.float32(0.999 / np.abs(clipped.samples).max()), clipped.sample_rate_hz)
        write_audio(tmp_path / "loud.wav", loud)
        done = restore(tmp_path / "loud.wav", tmp_path / "out.wav")
        step = done.plan.step("gain")
        assert isinstance(step.settings, Gain)
        assert step.settings.gain_db < -0.5
        assert 0.98 < np.abs(read_audio(tmp_path / "out.wav").samples).max() < 1.0

    def test_comes_nearer_to_what_was(self, clipped: Audio, mix: Audio) -> None:
        """By more than 6 dB of signal to distortion; the samples within the levels stay as they are."""
        made = restore(clipped).audio.samples
        assert distance_db(made, mix.samples) < distance_db(clipped.samples, mix.samples) - 6.0
        whole = np.abs(clipped.samples) < 0.99 * np.abs(clipped.samples).max()
        assert np.array_equal(made[whole], clipped.samples[whole])

    def test_noise_from_beyond_the_end(self, mix: Audio) -> None:
        """Is refused by name."""
        with pytest.raises(AudioError, match=r"span_s: \(100\.0, 101\.0\) lies beyond the end"):
            restore(mix, noise_from_s=(100.0, 101.0))


class TestResidual:
    """Where it may go."""

    @pytest.mark.parametrize("name", ["clipped.wav", "out.wav"])
    def test_replaces_neither_input_nor_output(self, clipped_file: Path, tmp_path: Path, name: str) -> None:
        """Forced or not, and nothing is written."""
        before = clipped_file.read_bytes()
        with pytest.raises(FileError, match=rf"{name}: is .*{name} itself; choose another name for the residual"):
            restore(clipped_file, tmp_path / "out.wav", residual=tmp_path / name, force=True)
        assert clipped_file.read_bytes() == before
        assert not (tmp_path / "out.wav").exists()

    def test_nor_a_reference(self, clipped_file: Path, mix: Audio, tmp_path: Path) -> None:
        there = clipped_file.read_bytes()
        with pytest.raises(FileError, match=r"clipped\.wav: is .*clipped\.wav itself; choose another name"):
            match(mix, clipped_file, tmp_path / "out.wav", residual=clipped_file, force=True)
        assert clipped_file.read_bytes() == there
        assert not (tmp_path / "out.wav").exists()


class TestCommands:
    """`match inspect` and `match restore`."""

    def test_inspect(self, command: Callable, clipped_file: Path, mix_file: Path) -> None:
        """One line for each kind of damage, or one that says there is none."""
        code, said, _ = command("inspect", clipped_file, mix_file)
        assert code == 0
        lines = said.splitlines()
        assert lines[0].startswith("clipped.wav: declip: clipped at ")
        assert lines[-1] == "mix.wav: no damage found"

    def test_restore(self, command: Callable, clipped_file: Path, tmp_path: Path) -> None:
        """The file is written, and what was done is said."""
        code, said, _ = command("restore", clipped_file, "-o", tmp_path / "out.wav", "--only", "declip")
        assert code == 0
        assert "clipped.wav: declip: " in said
        assert (tmp_path / "out.wav").exists()

    @pytest.mark.parametrize(
        ("options", "line"),
        [
            (("--only", "dust"), "'dust' is not one of dropout, "),
            (("--noise-from", "3"), "'3' is not START-END in seconds"),
            (("--noise-from", "3-2"), "'3-2' is not START-END in seconds"),
        ],
    )
    def test_refuses(
        self, command: Callable, mix_file: Path, tmp_path: Path, options: tuple[str, ...], line: str
    ) -> None:
        """One line, exit code 2, and no file."""
        code, _, error = command("restore", mix_file, "-o", tmp_path / "out.wav", *options)
        assert code == 2
        assert line in error
        assert not (tmp_path / "out.wav").exists()

    def test_plan_of_another_file(
        self, command: Callable, clipped_file: Path, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """Is refused in one line, exit code 4, and nothing is written."""
        assert command("plan", clipped_file, record_file, "-o", tmp_path / "p.json")[0] == 0
        code, _, error = command("render", mix_file, tmp_path / "p.json", "-o", tmp_path / "out.wav")
        assert code == 4
        assert "damage that was found in another file, clipped.wav" in error
        assert not (tmp_path / "out.wav").exists()
