"""What the command line must never lose, claim or garble."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import matcher.cli
import matcher.matching
import matcher.refining
import matcher.rendering
import matcher.verifying
from dsp.audio import Samples
from dsp.effect import Processor
from dsp.errors import FileError
from dsp.units import FLOOR_DB
from matcher import Aims, match
from matcher.commands import mastering, terminal
from matcher.flowing import Work, both, flow
from matcher.plans import Plan
from matcher.rendering import Stream
from matcher.verifying import verify

Command = Callable[..., tuple[int, str, str]]
QUICK = Aims(eq=0.0, width=0.0, dynamics=0.0, limiter=False)
WORDS = ("--only", "loudness", "--no-limiter")
"""A match that is planned in no time, where it does not matter what is planned; the same in words."""


def contents(folder: Path) -> dict[str, bytes]:
    """Every file in a folder, hidden ones too; not links that lead nowhere yet."""
    return {p.name: p.read_bytes() for p in folder.iterdir() if p.exists()}


class TestAPlanNeverReplacesSound:
    """Forced or not, by whatever name."""

    @pytest.mark.parametrize("plan", ["out.wav", "mix.wav", "record.wav", "linked.json", "hard.json"])
    def test_main_job(self, command: Command, mix_file: Path, record_file: Path, plan: str) -> None:
        """The master itself, the target, the reference, and links to them."""
        folder = mix_file.parent
        (folder / "linked.json").symlink_to(folder / "out.wav")
        os.link(record_file, folder / "hard.json")
        before = contents(folder)
        code, out, err = command(mix_file, record_file, "-o", folder / "out.wav", "--plan", folder / plan, "--force")
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert "itself; choose another name" in err
        assert contents(folder) == before

    def test_default_output(self, command: Command, mix_file: Path, record_file: Path) -> None:
        """Also where no output was named."""
        code, _, err = command(mix_file, record_file, "--plan", mix_file.with_name("mix-mastered.wav"))
        assert code == 3
        assert "mix-mastered.wav" in err

    @pytest.mark.parametrize("output", ["mix.wav", "record.wav"])
    def test_plan_command(self, command: Command, mix_file: Path, record_file: Path, output: str) -> None:
        """`match plan -o` too."""
        before = contents(mix_file.parent)
        code, _, err = command("plan", mix_file, record_file, "-o", mix_file.parent / output, "--force")
        assert code == 3
        assert output in err
        assert contents(mix_file.parent) == before


class TestOnlyTheLastRenderIsPutInPlace:
    """A match may render more than once; what is on the disk is nothing, what was there, or the last of them."""

    @pytest.mark.parametrize(
        ("error", "there"),
        [(KeyboardInterrupt(), None), (FileError("out.wav: writing failed"), b"mine")],
        ids=["interrupted, new", "disk full, forced"],
    )
    def test_a_correction_that_ends_early(
        self, mix_file: Path, record_file: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, there: object
    ) -> None:
        """It leaves no earlier render behind."""
        out = mix_file.with_name("out.wav")
        if isinstance(there, bytes):
            out.write_bytes(there)
        before = contents(mix_file.parent)
        render, count = matcher.matching.render, []

        def second_fails(*args: object, **options: object) -> object:
            count.append(1)
            if len(count) == 2:
                raise error
            return render(*args, **options)

        monkeypatch.setattr(matcher.matching, "render", second_fails)
        monkeypatch.setattr(matcher.refining, "refined", lambda made, *rest: made)
        with pytest.raises(type(error)):
            match(mix_file, record_file, out, aims=QUICK, force=there is not None)
        assert len(count) == 2
        assert contents(mix_file.parent) == before

    def test_corrections_end(self, mix_file: Path, record_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """After the last one the file is there, however far from the goal."""
        asked: list[Plan] = []
        monkeypatch.setattr(matcher.refining, "refined", lambda made, *rest: asked.append(made) or made)
        report = match(mix_file, record_file, mix_file.with_name("out.wav"), aims=QUICK)
        assert len(asked) >= matcher.refining.CORRECTIONS
        assert report.rendered.output is not None
        assert report.rendered.output.exists()
        assert sorted(contents(mix_file.parent)) == ["mix.wav", "out.wav", "record.wav"]


class TestThreads:
    """No thread outlives its work: one in compiled code when Python ends takes the process down."""

    @pytest.mark.parametrize("name", ["flow", "both"])
    def test_interrupted_while_the_thread_starts(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        """Ctrl-C that comes while the caller waits for the thread to have begun ends the thread too."""
        started: list[threading.Thread] = []
        start = threading.Thread.start

        def interrupted(thread: threading.Thread) -> None:
            start(thread)
            started.append(thread)
            raise KeyboardInterrupt

        def endless() -> Iterator[Samples]:
            while True:
                time.sleep(0.001)
                yield np.zeros((2, 64), dtype=np.float32)

        def until_told(progress: Callable[[float], None]) -> None:
            for _ in endless():
                progress(0.5)

        monkeypatch.setattr(threading.Thread, "start", interrupted)
        calls = {"flow": lambda: flow(endless(), [], 2), "both": lambda: both(lambda: None, until_told)}
        with pytest.raises(KeyboardInterrupt):
            calls[name]()
        assert len(started) == 1
        assert not started[0].is_alive()


class TestPrinting:
    """What comes out."""

    def test_names_are_whole_and_figures_on_one_line(
        self, command: Command, mix_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Brackets are no markup, a line break is shown as one, and nothing is cut short."""
        monkeypatch.setenv("COLUMNS", "80")
        odd = mix_file.rename(mix_file.with_name("[bold]take 37, the very final one (really)\n2.wav"))
        code, out, _ = command("analyze", odd)
        assert code == 0
        assert "…" not in out
        assert "44.1 kHz" in out
        name = "".join(re.sub(r" .*", "", line) if line[:1] != " " else "" for line in out.splitlines()[1:])
        assert "[bold]take" in name
        assert "\\n2.wav" in out.replace("\n", "").replace(" ", "")

    @pytest.mark.parametrize(("words", "shown"), [((), True), (("--json",), False)])
    def test_no_progress_with_json(
        self, command: Command, monkeypatch: pytest.MonkeyPatch, mix_file: Path, words: tuple[str, ...], shown: bool
    ) -> None:
        """Of the main job and of `render`."""
        asked: list[bool] = []
        progress = mastering.progress
        monkeypatch.setattr(mastering, "progress", lambda wanted: asked.append(wanted) or progress(False))
        folder = mix_file.parent
        assert command(mix_file, mix_file, "-o", folder / "a.wav", "--plan", folder / "p.json", *words)[0] == 0
        assert command("render", mix_file, folder / "p.json", "-o", folder / "b.wav", *words)[0] == 0
        assert asked == [shown, shown]


class TestUsage:
    """How a stranger is told."""

    def test_an_empty_list_is_refused(self, command: Command, mix_file: Path, record_file: Path) -> None:
        """`--only ''` is not everything."""
        code, _, err = command(mix_file, record_file, "--only", "")
        assert code == 2
        assert "'' is not one of eq, width, dynamics, loudness" in err

    def test_the_main_job_goes_by_its_name(self, command: Command, mix_file: Path) -> None:
        """Its usage line names no command that nobody types."""
        code, _, err = command(mix_file, "--tone-from", mix_file)
        assert code == 2
        assert "Usage: match [OPTIONS] TARGET [REFERENCE]" in err
        assert "Try 'match -" in err  # -h or --help, as click has it

    def test_exit_codes_are_those_documented(self, command: Command) -> None:
        """The page and the program agree."""
        listed = {int(code) for code in re.findall(r"^\s+(\d+)  ", command("--help")[1], flags=re.MULTILINE)}
        codes = ("DONE", "UNEXPECTED", "USAGE", "UNREADABLE", "REFUSED", "DISAGREED", "INTERRUPTED")
        assert listed == {getattr(terminal, code) for code in codes}


class TestVerify:
    """`--verify`."""

    def test_a_disagreement_has_a_code_of_its_own(
        self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Five, one line with both figures, and the file is still there."""
        monkeypatch.setattr(matcher.verifying, "LOUDNESS_LU", -1.0)
        code, out, err = command(mix_file, record_file, "-o", tmp_path / "m.wav", "--verify", *WORDS)
        assert (code, out, err.count("\n")) == (5, "", 1)
        assert err.startswith("match: ")
        assert "pyloudnorm reads" in err
        assert (tmp_path / "m.wav").exists()

    def test_interrupted_while_verifying(
        self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The file is whole and stays; the line does not claim that nothing was written."""

        def interrupted(*args: object, **options: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(matcher.verifying, "verify", interrupted)
        code, out, err = command(mix_file, record_file, "-o", tmp_path / "m.wav", "--verify", *WORDS)
        assert (code, out) == (130, "")
        assert "interrupted, but" in err
        assert "m.wav was written" in err
        assert "nothing was written" not in err
        assert soundfile.info(tmp_path / "m.wav").frames == soundfile.info(mix_file).frames

    def test_holds_the_length_against_the_target(
        self, command: Command, mix_file: Path, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A render that lost samples, and measured what was left, is found out; one at another rate is not blamed."""
        words = (mix_file, record_file, "-q", "--verify", *WORDS, "--sample-rate", 48_000)
        assert command(*words, "-o", tmp_path / "a.wav") == (0, "", "")
        through = matcher.rendering.Stream.through

        def lossy(stream: Stream, run: Processor, *ends: Work) -> None:
            def cut(block: Samples | None) -> Samples | None:
                return None if block is None else block[:, :65_535]

            through(stream, run, cut, *ends)

        monkeypatch.setattr(matcher.rendering.Stream, "through", lossy)
        code, _, err = command(*words, "-o", tmp_path / "b.wav")
        assert code == 5
        assert "length" in err

    def test_silence_is_silence_to_both(self, tmp_path: Path) -> None:
        """Minus infinity and our floor are no disagreement."""
        soundfile.write(tmp_path / "silent.wav", np.zeros((44_100, 2)), 44_100)
        ours = matcher.analyze(tmp_path / "silent.wav")
        assert verify(tmp_path / "silent.wav", ours, -1.0).integrated_lufs == FLOOR_DB
