"""`match batch`: the same masters whatever the number of workers, resumed, with failures named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dsp.errors import FileError
from matcher.batches import JOURNAL, read_journal, tasks_of
from matcher.corpus import measure
from matcher.executors import executor
from matcher.io.naming import hidden_beside

Command = Callable[..., tuple[int, str, str]]


def test_makes_keeps_and_names(command: Command, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
    """Two processes make what one makes, a second run keeps it, a lost line is made good, failures are named."""
    listing = tmp_path / "list.csv"
    listing.write_text("target,reference,output\nmix.wav,record.wav,a.wav\nnone.wav,record.wav,b.wav\n")
    one, two = tmp_path / "one", tmp_path / "two"
    code, said, errors = command("batch", listing, "-o", one)
    assert (code, said.split(": ")[1]) == (3, "1 made, 0 kept, 1 failed\n")
    assert "none.wav" in errors
    assert command("batch", listing, "-o", two, "--jobs", 2)[0] == 3
    assert (one / "a.wav").read_bytes() == (two / "a.wav").read_bytes()
    before = (one / "a.wav").stat().st_mtime_ns
    assert "0 made, 1 kept, 1 failed" in command("batch", listing, "-o", one)[1]
    assert (one / "a.wav").stat().st_mtime_ns == before
    # Killed between the file and its line: what was begun is made again, to the same bits.
    (two / JOURNAL).write_text(json.dumps({"output": str(two / "a.wav"), "state": "begun"}) + '\n{"outp')
    assert "1 made, 0 kept, 1 failed" in command("batch", listing, "-o", two)[1]
    assert (one / "a.wav").read_bytes() == (two / "a.wav").read_bytes()
    assert read_journal(two / JOURNAL)[str(two / "b.wav")]["state"] == "failed"
    assert not [p for p in one.iterdir() if p.name.startswith(".")]
    code, said, _ = command("batch", listing, "-o", one, "--json")
    assert code == 3
    kept, failed = json.loads(said)
    assert (kept["state"], kept["cause"], failed["state"]) == ("kept", None, "failed")
    assert kept["integrated_lufs"] < 0.0
    assert "none.wav" in failed["cause"]


def test_what_a_killed_worker_left_is_taken_away(
    command: Command, mix_file: Path, record_file: Path, tmp_path: Path
) -> None:
    """Files in the making of the outputs alone; those of others are not ours."""
    out = tmp_path / "out"
    out.mkdir()
    ours, others = hidden_beside(out / "mix-mastered.wav"), hidden_beside(out / "else.wav")
    for path in (ours, others):
        path.write_bytes(b"RIFF")
    listing = tmp_path / "list.csv"
    listing.write_text("target\nmix.wav\n")
    assert command("batch", listing, record_file, "-o", out)[0] == 0
    assert (out / "mix-mastered.wav").exists()
    assert not ours.exists()
    assert others.read_bytes() == b"RIFF"


def test_a_file_in_the_way_is_not_replaced(command: Command, mix_file: Path, record_file: Path, tmp_path: Path) -> None:
    """What no run of ours began stays as it is, in a second run too."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.wav").write_bytes(b"mine")
    listing = tmp_path / "list.csv"
    listing.write_text("target,output\nmix.wav,mine.wav\n")
    for _ in range(2):
        assert "exists already" in command("batch", listing, record_file, "-o", out)[2]
    assert (out / "mine.wav").read_bytes() == b"mine"


def test_where_nothing_can_be_written(command: Command, mix_file: Path, tmp_path: Path) -> None:
    """A folder that cannot be written to is named on one line, before any work; so is a corpus's journal."""
    (tmp_path / "file").write_text("no folder")
    code, out, err = command("batch", mix_file.parent, mix_file, "-o", tmp_path / "file" / "out")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "file/out: no folder that can be written to" in err
    with executor() as workers, pytest.raises(FileError, match=r"x\.journal: cannot be written"):
        measure([mix_file], tmp_path / "file" / "x.journal", workers)


def test_refuses_two_targets_with_one_output(tmp_path: Path) -> None:
    """Neither would be what its name says."""
    listing = tmp_path / "list.csv"
    listing.write_text("target,reference,output\na.wav,r.wav,x.wav\nb.wav,r.wav,./x.wav\n")
    with pytest.raises(FileError, match="would be the output of"):
        tasks_of(listing, None, tmp_path)


def test_a_folder_needs_a_reference(tmp_path: Path) -> None:
    """A folder says nothing about where to go."""
    with pytest.raises(FileError, match="a reference or a preset for its tracks is needed"):
        tasks_of(tmp_path, None, tmp_path)


@pytest.mark.parametrize(
    ("words", "stopped"),
    [
        (("batch", "mix.wav", "record.wav", "-o", "out"), "matcher.batches.run"),
        (("album", "record.wav", "mix.wav", "-o", "out"), "matcher.album"),
        (("analyze", "mix.wav", "--table", "out/table.parquet"), "matcher.tables.collect"),
    ],
)
def test_ctrl_c_says_how_to_go_on(
    command: Command,
    mix_file: Path,
    record_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    stopped: str,
) -> None:
    """What is finished stays, so the line does not claim that nothing was written."""
    pytest.importorskip("pyarrow")
    (tmp_path / "out").mkdir()
    (tmp_path / "songs").mkdir()
    monkeypatch.chdir(tmp_path)

    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(stopped, interrupted, raising=False)
    words = tuple("songs" if word == "mix.wav" and words[0] == "batch" else word for word in words)
    if words[0] == "batch":
        mix_file.rename(tmp_path / "songs" / "mix.wav")
    code, _, error = command(*words)
    assert code == 130
    assert error.strip() == "match: interrupted; what is finished stays in out, and the same command goes on from there"
