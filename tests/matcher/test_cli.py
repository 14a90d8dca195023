"""The command line: what it prints, what it writes, and how it refuses."""

from __future__ import annotations

import contextlib
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from dsp.audio import Audio

RATE = 44_100
QUICK = ("--only", "loudness")
"""For what does not depend on the plan: gain and limiter take a tenth of the time."""
COMMAND = [sys.executable, "-c", "from matcher.cli import main; main()"]


def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
    """`match` in a process of its own."""
    words = [*COMMAND, *(str(a) for a in arguments)]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, **options)


def here(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> tuple[int, str, str]:
    """`match` in this process: exit code, standard output, standard error."""
    from matcher.cli import main

    monkeypatch.setattr(sys, "argv", ["match", *(str(a) for a in arguments)])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    return int(end.value.code or 0), printed.out, printed.err


@pytest.fixture
def match(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """The command in this process."""
    return lambda *arguments: here(monkeypatch, capsys, *arguments)


def noise(seconds: float = 2.0, channels: int = 2, level: float = 0.1) -> np.ndarray:
    return np.random.default_rng(5).normal(0.0, level, (round(seconds * RATE), channels))


class TestMainJob:
    """`match TARGET REFERENCE`."""

    def test_writes_beside_the_target(self, match: Callable, mix_file: Path, record_file: Path) -> None:
        """Without -o the master is NAME-mastered.wav; the table and the reasons are printed."""
        code, out, err = match(mix_file, record_file)
        assert code == 0, err
        made = mix_file.with_name("mix-mastered.wav")
        assert soundfile.info(made).frames == soundfile.info(mix_file).frames
        for word in ("loudness", "before", "reference", "limiter", str(made.name)):
            assert word in out

    def test_json_is_all_there_is_on_standard_output(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """The report, the plan in it, and the written plan agree."""
        plan_path, made = tmp_path / "plan.json", tmp_path / "m.wav"
        code, out, err = match(mix_file, record_file, "-o", made, "--json", "--plan", plan_path, "--verify")
        assert code == 0, err
        report = json.loads(out)
        written = json.loads(plan_path.read_text())
        assert report["plan"]["steps"] == written["steps"]
        assert report["result"]["true_peak_dbtp"] <= -1.0
        assert abs(report["result"]["integrated_lufs"] - report["references"][0]["integrated_lufs"]) <= 0.2

    def test_quiet_prints_nothing(self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Success is silent."""
        assert match(mix_file, record_file, "-o", tmp_path / "m.flac", "--quiet", *QUICK) == (0, "", "")

    def test_options_reach_the_plan(self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Ceiling, loudness, dimensions, depth and rate are those asked for."""
        code, out, err = match(
            mix_file, record_file, "-o", tmp_path / "m.aiff", "--json", "--only", "eq,loudness", "--ceiling", -2,
            "--loudness", -15, "--bit-depth", 16, "--sample-rate", 48_000, "--belief", 0.3, "--eq", 0.5,
        )  # fmt: skip
        assert code == 0, err
        report = json.loads(out)
        aims = report["plan"]["aims"]
        assert (aims["ceiling_dbtp"], aims["loudness_lufs"], aims["belief"], aims["eq"]) == (-2.0, -15.0, 0.3, 0.5)
        assert (aims["width"], aims["dynamics"], aims["loudness"]) == (0.0, 0.0, 1.0)
        info = soundfile.info(tmp_path / "m.aiff")
        assert (info.samplerate, info.subtype) == (48_000, "PCM_16")
        assert report["result"]["true_peak_dbtp"] <= -2.0

    def test_reads_back_what_it_wrote(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """--verify names both figures where a meter disagrees, ends with code 5, and leaves the file."""
        from matcher import verifying

        monkeypatch.setattr(verifying, "LOUDNESS_LU", -1.0)
        code, out, err = match(mix_file, record_file, "-o", tmp_path / "m.wav", "--verify", *QUICK)
        assert (code, out, err.count("\n")) == (5, "", 1)
        assert re.search(r"pyloudnorm reads -\d+\.\d\d LUFS, our meter -\d+\.\d\d", err)
        assert "left in place" in err
        assert (tmp_path / "m.wav").exists()

    def test_defaults_are_those_of_the_library(self) -> None:
        """No option, no other aims."""
        from matcher.aims import Aims
        from matcher.cli import cli
        from matcher.commands.options import aims_of

        command = cli.commands["master"]
        with command.make_context("match", ["a.wav", "b.wav"]) as context:
            assert aims_of(dict(context.params)) == Aims()

    def test_names_are_shown_as_they_are(
        self, match: Callable, mix_file: Path, record_file: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Brackets are no markup, and what is no text is written as an escape."""
        monkeypatch.setenv("COLUMNS", "1000")  # no line is wrapped within a name
        for name in ("[bold]a [v2].wav", "odd\udcff.wav"):
            odd = mix_file.rename(mix_file.with_name(name))
            made = odd.with_name(f"{odd.stem}-mastered.wav")
            plan = ("--plan", odd.with_name("p.json"), "--force")
            code, out, err = match(odd, record_file, "--verify", *plan, *QUICK)
            assert code == 0, err
            assert made.exists()
            assert made.name.replace("\udcff", "\\udcff") in out
            assert match("analyze", odd)[1].startswith(" ")
            assert json.loads(match("analyze", odd, "--json")[1])[0]["name"] == odd.name.replace("\udcff", "\\udcff")
            mix_file = odd

    def test_a_file_named_like_a_command(self, match: Callable, mix_file: Path, record_file: Path) -> None:
        """./plan is a file."""
        odd = mix_file.rename(mix_file.with_name("plan"))
        assert match(f"{odd.parent}/plan", record_file, "-q", *QUICK)[0] == 0
        assert (odd.parent / "plan-mastered.wav").exists()


class TestScreen:
    """Where the words go."""

    def test_a_terminal_without_the_letters(self, mix_file: Path, record_file: Path) -> None:
        """What it cannot show becomes a question mark, not an error."""
        plain = {**os.environ, "PYTHONIOENCODING": "ascii"}
        ended = run(mix_file, record_file, env=plain)
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "mix-mastered.wav" in ended.stdout

    def test_a_reader_that_has_gone(self, mix_file: Path) -> None:
        """A closed pipe ends the program without a word."""
        read, write = os.pipe()
        os.close(read)
        words = [*COMMAND, "analyze", str(mix_file), "--json"]
        ended = subprocess.run(words, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
        os.close(write)
        assert ended.stderr == ""
        assert ended.returncode == 1

    def test_a_bar_on_a_terminal_alone(self, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """What lasts shows its stages on a terminal; --quiet, a pipe and a file show nothing."""
        import pty

        at_once = "import matcher.commands.terminal as t; t.BAR_AFTER_S = 0.0; from matcher.cli import main; main()"

        def shown(*more: str) -> tuple[int, bytes]:
            ours, theirs = pty.openpty()
            words = [sys.executable, "-c", at_once, str(mix_file), str(record_file), "-o", str(tmp_path / "o.wav")]
            words += ["--force", *QUICK, *more]
            terminal = {**os.environ, "TERM": "xterm"}
            process = subprocess.Popen(words, stderr=theirs, stdout=subprocess.PIPE, env=terminal)
            os.close(theirs)
            said = b""
            try:
                while part := os.read(ours, 65_536):
                    said += part
            except OSError:  # how Linux says that the other end has closed
                pass
            os.close(ours)
            process.communicate(timeout=60)
            return process.returncode, said

        code, said = shown()
        assert code == 0
        assert b"render" in said
        assert shown("--quiet") == (0, b"")


class TestOtherJobs:
    """analyze, plan and render."""

    def test_analyze(self, match: Callable, mix_file: Path, record_file: Path) -> None:
        """A line for each file, or a JSON list."""
        code, out, _ = match("analyze", mix_file, record_file)
        assert code == 0
        assert "mix.wav" in out
        assert "record.wav" in out
        code, out, _ = match("analyze", mix_file, "--json")
        assert json.loads(out)[0]["channels"] == 2
        code, _, err = match("analyze", mix_file, "--json", "--table", mix_file.with_name("t.parquet"))
        assert code == 2
        assert "--json and --table" in err

    def test_plan_then_render_is_the_main_job(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """The same samples on the two ways, where the first render needed no correction."""
        assert match("plan", mix_file, record_file, "-o", tmp_path / "p.json")[0] == 0
        assert match("render", mix_file, tmp_path / "p.json", "-o", tmp_path / "a.wav", "--verify")[0] == 0
        assert match(mix_file, record_file, "-o", tmp_path / "b.wav", "-q", "--plan", tmp_path / "q.json")[0] == 0
        if json.loads((tmp_path / "p.json").read_text()) == json.loads((tmp_path / "q.json").read_text()):
            assert (tmp_path / "a.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()
        assert match("render", mix_file, tmp_path / "q.json", "-o", tmp_path / "c.wav")[0] == 0
        assert (tmp_path / "c.wav").read_bytes() == (tmp_path / "b.wav").read_bytes()

    def test_a_plan_for_another_file_is_rendered_with_a_warning(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """Plans are portable; the line says whose it is."""
        assert match("plan", mix_file, record_file, "-o", tmp_path / "p.json", "-q", *QUICK)[0] == 0
        code, _, err = match("render", record_file, tmp_path / "p.json", "-o", tmp_path / "r.wav")
        assert code == 0
        assert "was made for mix.wav" in err

    def test_a_plan_out_of_bounds_is_refused(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """Exit code 4, the file, the field and the value named, nothing written."""
        match("plan", mix_file, record_file, "-o", tmp_path / "p.json", "-q", *QUICK)
        head, steps, tail = (tmp_path / "p.json").read_text().partition('"steps"')
        (tmp_path / "p.json").write_text(head + steps + tail.replace('"amount": 1.0', '"amount": 7.0', 1))
        code, _, err = match("render", mix_file, tmp_path / "p.json", "-o", tmp_path / "r.wav")
        assert code == 4
        assert "p.json" in err
        assert "steps[0].amount: 7.0" in err
        assert not (tmp_path / "r.wav").exists()


def _wav(samples: np.ndarray, subtype: str = "PCM_16") -> Callable[[Path], None]:
    return lambda path: soundfile.write(path, samples, RATE, subtype=subtype)


def _with(value: float) -> np.ndarray:
    samples = noise()
    samples[40_000, 1] = value
    return samples


def _bytes(data: bytes) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(data)


def _cut_header(path: Path) -> None:
    _wav(noise())(path)
    path.write_bytes(path.read_bytes()[:30])


HALF = noise(2.0, 1)
BAD = {
    "missing": (lambda path: None, "there is no such file"),
    "a folder": (lambda path: path.mkdir(), "is a folder"),
    "empty": (_bytes(b""), "is empty"),
    "text": (_bytes(b"These are words, not samples.\n" * 20), "is not audio that can be read"),
    "truncated header": (_cut_header, "header is damaged or cut off"),
    "zero frames": (_wav(np.zeros((0, 2))), "holds no samples"),
    "silent": (_wav(np.zeros((RATE, 2))), "is silent"),
    "antiphase": (_wav(np.hstack([HALF, -HALF])), "is in antiphase"),
    "NaN": (_wav(_with(np.nan), "FLOAT"), "NaN or infinity at 0.907 s"),
    "infinity": (_wav(_with(np.inf), "FLOAT"), "NaN or infinity at 0.907 s"),
    "six channels": (_wav(noise(1.0, 6)), "has 6 channels"),
    "too short": (_wav(noise(0.3)), "at least 0.5 s are needed"),
}


class TestRefusals:
    """Bad input: one line that names it, a code that is not zero, nothing written."""

    @pytest.mark.parametrize("role", ["target", "reference"])
    @pytest.mark.parametrize("kind", BAD)
    def test_bad_file(
        self, match: Callable, record_file: Path, tmp_path: Path, kind: str, role: str
    ) -> None:
        """In either place."""
        make, words = BAD[kind]
        bad = tmp_path / "bad one.wav"
        make(bad)
        before = sorted(p.name for p in tmp_path.iterdir())
        pair = (bad, record_file) if role == "target" else (record_file, bad)
        code, out, err = match(*pair, "-o", tmp_path / "out.wav")
        assert code == 3
        assert out == ""
        assert err.count("\n") == 1
        assert "bad one.wav" in err
        assert words in err
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    @pytest.mark.parametrize(
        ("output", "words"),
        [
            ("mix.wav", "is the input"),
            ("taken.wav", "exists already"),
            ("nowhere/out.wav", "does not exist"),
            ("out.mp3", "'.mp3' is not known"),
            ("taken.wav/out.wav", "is not a folder"),
        ],
    )
    def test_bad_output(self, match: Callable, mix_file: Path, record_file: Path, output: str, words: str) -> None:
        """Refused before any work, and what was there stays."""
        (mix_file.parent / "taken.wav").write_text("mine")
        before = {p.name: p.read_bytes() for p in mix_file.parent.iterdir()}
        code, out, err = match(mix_file, record_file, "-o", mix_file.parent / output)
        assert (code, out, err.count("\n")) == (3, "", 1)
        assert words in err
        assert {p.name: p.read_bytes() for p in mix_file.parent.iterdir()} == before

    @pytest.mark.parametrize("folder", [".", "..", "/"])
    def test_a_folder_without_a_name(self, match: Callable, record_file: Path, tmp_path: Path, folder: str) -> None:
        """No output is named after it, and nothing else is tripped over."""
        for rest in ([record_file], ["--preset", "metal"], ["-o", tmp_path / "out.wav", record_file]):
            assert match(folder, *rest) == (3, "", f"match: {folder}: is a folder; an audio file is needed\n")

    def test_force_replaces(self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """An output that exists gives way when told to."""
        (tmp_path / "taken.wav").write_text("mine")
        assert match(mix_file, record_file, "-o", tmp_path / "taken.wav", "--force", "-q", *QUICK)[0] == 0
        assert soundfile.info(tmp_path / "taken.wav").channels == 2

    def test_a_plan_never_replaces_sound(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path
    ) -> None:
        """Neither the tracks nor the master, forced or not."""
        before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
        for words in (
            ("plan", mix_file, record_file, "-o", mix_file, "--force"),
            (mix_file, record_file, "--plan", record_file, "--force"),
            (mix_file, record_file, "-o", tmp_path / "new.wav", "--plan", tmp_path / "new.wav"),
            (mix_file, record_file, "--plan", tmp_path / "mix-mastered.wav"),
        ):
            code, out, err = match(*words)
            assert (code, out, err.count("\n")) == (3, "", 1)
            assert "itself; choose another name" in err
        assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before

    @pytest.mark.parametrize(
        ("text", "code", "words"),
        [(None, 3, "cannot be read"), ("{}", 4, "not a plan"), ("RIFF", 4, "not a plan"), ("", 4, "not a plan")],
    )
    def test_bad_plan(
        self, match: Callable, mix_file: Path, tmp_path: Path, text: str | None, code: int, words: str
    ) -> None:
        """A plan that is missing or none."""
        if text is not None:
            (tmp_path / "p.json").write_text(text)
        ended, out, err = match("render", mix_file, tmp_path / "p.json", "-o", tmp_path / "r.wav")
        assert (ended, out, err.count("\n")) == (code, "", 1)
        assert "p.json" in err
        assert words in err
        assert not (tmp_path / "r.wav").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--ceiling", "3"), "ceiling"),
            (("--amount", "2"), "amount"),
            (("--only", "eq,foo"), "'foo'"),
            (("--bit-depth", "20"), "20"),
            (("--belief", "maybe"), "'maybe'"),
            (("--sample-rate", "10"), "sample-rate"),
            (("--colour",), "--colour"),
        ],
    )
    def test_bad_option(self, match: Callable, mix_file: Path, record_file: Path, words: tuple, said: str) -> None:
        """Exit code 2, the option named."""
        code, _, err = match(mix_file, record_file, *words)
        assert code == 2
        assert said in err
        assert not mix_file.with_name("mix-mastered.wav").exists()

    def test_flac_holds_no_floats(self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """What a container cannot hold is said before any work."""
        code, _, err = match(mix_file, record_file, "-o", tmp_path / "m.flac", "--bit-depth", 32)
        assert code == 3
        assert "FLAC holds no 32-bit samples" in err

    def test_disk_full(self, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """Writing that fails half-way is one line, and leaves nothing."""

        def small() -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))

        before = sorted(p.name for p in tmp_path.iterdir())
        ended = run(mix_file, record_file, "-o", tmp_path / "out.wav", "--no-cache", *QUICK, preexec_fn=small)
        assert ended.returncode == 3
        assert ended.stderr.count("\n") == 1
        assert "out.wav" in ended.stderr
        assert sorted(p.name for p in tmp_path.iterdir()) == before

    def test_a_folder_that_may_not_be_written(
        self, match: Callable, mix_file: Path, record_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Said before any work; an administrator may write anywhere, so the system's answer is made up here."""
        closed = tmp_path / "closed"
        closed.mkdir()
        system = os.open

        def refusing(path: object, *rest: object, **options: object) -> int:
            if str(path).startswith(str(closed)):
                raise PermissionError(13, "Permission denied", str(path))
            return system(path, *rest, **options)

        monkeypatch.setattr(os, "open", refusing)
        code, _, err = match(mix_file, record_file, "-o", closed / "out.wav")
        assert code == 3
        assert "may not be written to" in err
        assert list(closed.iterdir()) == []


INTERRUPTING = """
import importlib.abc, os, signal, sys
import matcher.cli
name, _, share = {stage!r}.partition(" ")
sys.argv = ["match", *{words!r}]

def now():
    os.kill(os.getpid(), signal.SIGINT)

if name == "import":
    class Finder(importlib.abc.MetaPathFinder):
        def find_spec(self, wanted, path=None, target=None):
            if wanted == share:
                now()
    sys.meta_path.insert(0, Finder())
else:
    import matcher.matching as m, matcher.refining
    real, seen = m.match, []
    def stages(stage, done):
        if stage == name and done >= float(share) or stage == "render" and seen and done >= 0.3:
            now()
    def again(plan, before, result):
        seen.append(plan)
        return plan
    if name == "refined":
        matcher.refining.refined = again
    if name == "written":
        import matcher.verifying
        matcher.verifying.verify = lambda *rest, **more: now()
        sys.argv.append("--verify")
        m.match = real
    else:
        m.match = lambda *a, **o: real(*a, **(o | dict(stages=stages)))
matcher.cli.main()
"""


class TestInterruption:
    """Ctrl-C."""

    @pytest.mark.parametrize(
        "stage", ["import matcher.matching", "analyze 0.2", "plan 0.2", "render 0.3", "refined 0.3", "written"]
    )
    def test_leaves_no_file_behind(self, mix: Audio, record: Audio, tmp_path: Path, stage: str) -> None:
        """At whatever stage it comes: the program interrupts itself as soon as that stage has come so far."""
        target, other = tmp_path / "long.wav", tmp_path / "other.wav"
        soundfile.write(target, np.tile(mix.samples.T, (2, 1)), RATE, subtype="PCM_24")
        soundfile.write(other, np.tile(record.samples.T, (6, 1)), RATE, subtype="PCM_24")
        before = sorted(p.name for p in tmp_path.iterdir())
        words = [str(target), str(other), "-o", str(tmp_path / "out.wav"), "--no-cache", *QUICK]
        code = INTERRUPTING.format(words=words, stage=stage)
        # A shell that runs the tests in the background has Ctrl-C ignored, and a child would inherit that.
        ended = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip
        assert ended.returncode == 130, ended.stderr
        after = sorted(p.name for p in tmp_path.iterdir())
        if stage == "written":
            assert ended.stderr.strip().endswith("out.wav was written")
            assert after == sorted([*before, "out.wav"])
        else:
            assert ended.stderr.strip() == "match: interrupted, nothing was written"
            assert after == before

    @pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
    def test_from_outside(self, record: Audio, record_file: Path, tmp_path: Path, how: signal.Signals) -> None:
        """A real Ctrl-C, or a polite end, while the samples are being written, and no hidden file stays."""
        target = tmp_path / "long.wav"
        soundfile.write(target, np.tile(record.samples.T * 0.3, (25, 1)), RATE, subtype="PCM_24")
        before = sorted(p.name for p in tmp_path.iterdir())
        process = subprocess.Popen(
            [*COMMAND, str(target), str(record_file), "-o", str(tmp_path / "out.wav"), "--no-cache", *QUICK],
            stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )  # fmt: skip

        def writing() -> bool:
            with os.scandir(tmp_path) as entries, contextlib.suppress(FileNotFoundError):  # a probe comes and goes
                return any(e.name.startswith(".") and e.stat().st_size > 2_000_000 for e in entries)
            return False

        while process.poll() is None and not writing():
            time.sleep(0.01)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 130
        assert err.strip() == "match: interrupted, nothing was written"
        assert sorted(p.name for p in tmp_path.iterdir()) == before


class TestPipes:
    """Standard input and output."""

    def test_give_what_files_give(self, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
        """The same bytes, with everything else on standard error."""
        made = tmp_path / "made.wav"
        plain = subprocess.run([*COMMAND, mix_file, record_file, "-o", made, "-q"], check=False)
        assert plain.returncode == 0
        with open(mix_file, "rb") as sound:
            words = [*COMMAND, "-", record_file, "-o", "-"]
            piped = subprocess.run(words, stdin=sound, capture_output=True, check=False)
        assert piped.returncode == 0
        assert piped.stdout == made.read_bytes()
        assert b"standard output (WAV 24 bit" in piped.stderr

    def test_need_an_output(self, record_file: Path) -> None:
        """A sound without a name gives none to its master."""
        done = subprocess.run([*COMMAND, "-", record_file], stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 2
        assert b"name an output with -o" in done.stderr

    def test_without_sound(self, record_file: Path) -> None:
        """One line, nothing on standard output."""
        words = [*COMMAND, "-", record_file, "-o", "-"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, check=False)
        assert done.returncode == 3
        assert done.stdout == b""
        assert b"is empty" in done.stderr
        assert done.stderr.count(b"\n") == 1


class TestFullOutput:
    """Standard output that takes nothing more."""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
    @pytest.mark.parametrize("words", [["presets"], ["presets", "--json"], ["--help"]])
    def test_is_one_line(self, words: list[str]) -> None:
        """Said, with the exit code of a file that cannot be written."""
        with open("/dev/full", "w") as full:
            done = subprocess.run([*COMMAND, *words], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert done.returncode == 3
        assert done.stderr == "match: standard output: cannot be written (no space left on device)\n"


class TestHelp:
    """What a stranger reads first."""

    def test_names_options_commands_and_exit_codes(self, match: Callable) -> None:
        """All on one page."""
        code, out, _ = match("--help")
        assert code == 0
        for word in ("TARGET [REFERENCE]", "--ceiling", "--belief", "analyze", "plan", "render", "Exit codes", "130"):
            assert word in out

    def test_every_command_has_help(self, match: Callable) -> None:
        """And says what it does."""
        for command in ("analyze", "plan", "render"):
            code, out, _ = match(command, "--help")
            assert code == 0
            assert "Usage: match" in out

    @pytest.mark.parametrize(
        ("words", "wanted"),
        [
            (["mi"], {"file,mi"}),
            (["ex"], {"plain,export", "file,ex"}),
            (["mix.wav", "--lou"], {"plain,--loudness", "plain,--loudness-from"}),
            (["export", "plan.json", "--to", "r"], {"plain,rew", "plain,reaper"}),
        ],
    )
    def test_shells_complete(self, words: list[str], wanted: set[str]) -> None:
        """Commands, options, choices, and files where a target stands."""
        environment = os.environ | {
            "_MATCH_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["match", *words]),
            "COMP_CWORD": str(len(words)),
        }
        ask = [sys.executable, "-c", "from matcher.cli import main; main()"]
        done = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
        assert set(done.stdout.split()) == wanted

    def test_version(self, match: Callable) -> None:
        """The installed package's."""
        from importlib.metadata import version

        assert match("--version")[1].strip().endswith(version("match-master"))

    def test_no_arguments(self, match: Callable) -> None:
        """Shows how to begin."""
        _, out, err = match()
        assert "Usage: match" in out + err
