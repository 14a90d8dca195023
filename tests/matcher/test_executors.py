"""Many tracks at once: the same results whoever does the work, and a dead worker loses nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dsp.audio import Audio
from dsp.errors import SettingsError
from matcher.aims import Aims
from matcher.executors import DIED, Outcome, executor
from matcher.io import write_audio


def in_order(outcomes: Iterator[Outcome]) -> list[tuple[Any, str | None]]:
    """Values and causes, in the order of the items."""
    return [(o.value, o.cause) for o in sorted(outcomes, key=lambda o: o.index)]


def test_every_item_once_whatever_the_number_of_workers() -> None:
    """One process or two, batches or not: each item has one outcome, and a failure its cause."""
    items = ["1", "x", "3", "4", "5"]
    with executor(jobs=1) as one, executor(jobs=2) as two:
        alone = in_order(one.run(int, items))
        shared = in_order(two.run(int, items, batch=3))
    assert alone == shared
    assert [value for value, _ in alone] == [1, None, 3, 4, 5]
    assert alone[1][1] == "ValueError: invalid literal for int() with base 10: 'x'"


def test_what_kills_its_worker_twice_is_given_up() -> None:
    """Beside it in the batch nothing is lost."""
    with executor(jobs=2) as workers:
        found = in_order(workers.run(eval, ["1", "__import__('os')._exit(9)", "3", "4"], batch=2))
    assert found == [(1, None), (None, DIED), (3, None), (4, None)]


def test_a_worker_killed_from_outside_loses_nothing() -> None:
    """Its item is done by another process."""
    items = ["(__import__('os').getpid(), __import__('time').sleep(0.3))[0]"] * 5
    found = []
    with executor(jobs=1) as workers:
        for outcome in workers.run(eval, items):
            found.append(outcome)
            if len(found) == 2:
                os.kill(outcome.value, signal.SIGKILL)
    assert len({o.index for o in found}) == len(found) == 5
    assert not [o for o in found if o.cause]
    assert len({o.value for o in found}) == 2


def test_few_items_are_taken_ahead() -> None:
    """A million paths are not handed over at once."""
    taken = []

    def items() -> Iterator[str]:
        for number in range(12):
            taken.append(number)
            yield str(number)

    with executor(jobs=2) as workers:
        outcomes = workers.run(int, items())
        next(outcomes)
        assert len(taken) <= 4
        assert len(list(outcomes)) == 11


def test_refuses_what_cannot_work() -> None:
    """No worker at all is a wrong setting."""
    with pytest.raises(SettingsError, match="jobs: 0"):
        executor(jobs=0)


@pytest.fixture(scope="module")
def cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and three worker processes on this machine; none lives on after the tests."""
    yield from _cluster()


def _cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    pytest.importorskip("distributed")
    begin = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    scheduler = subprocess.Popen([*begin, "--no-dashboard", "--no-show"], stderr=subprocess.PIPE)
    assert scheduler.stderr is not None
    address = next(part for line in scheduler.stderr for part in line.decode().split() if part.startswith("tcp://"))
    work = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
    workers = [
        subprocess.Popen([*work, "--no-dashboard"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3)
    ]
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        client.wait_for_workers(3, timeout=60)
    yield address, workers
    for process in (*workers, scheduler):
        process.kill()
        process.wait()
    scheduler.stderr.close()


def short_tracks(folder: Path, count: int, mix: Audio, record: Audio) -> list[Path]:
    """Files of a few seconds, each of its own length."""
    folder.mkdir(exist_ok=True)
    files = [folder / f"{number}.wav" for number in range(count)]
    for number, file in enumerate(files):
        source = mix if number % 2 else record
        length = 3 * source.sample_rate_hz + 1000 * number
        write_audio(file, Audio(source.samples[:, -length:], source.sample_rate_hz))
    return files


def test_a_cluster_gives_the_table_of_one_process(
    cluster: tuple[str, list[subprocess.Popen[bytes]]], mix: Audio, record: Audio, tmp_path: Path
) -> None:
    """The same rows, bit for bit, with a worker killed in the middle."""
    pytest.importorskip("pyarrow")
    from matcher import tables

    address, processes = cluster
    files = short_tracks(tmp_path, 20, mix, record)
    with executor(jobs=1) as workers:
        assert not tables.collect(files, tmp_path / "one.parquet", workers, use_cache=False)

    def kill_one(done: float) -> None:
        if done >= 0.3 and processes[0].poll() is None:
            processes[0].kill()

    with executor(scheduler=address) as workers:
        assert not tables.collect(files, tmp_path / "many.parquet", workers, use_cache=False, progress=kill_one)
    assert processes[0].wait() == -signal.SIGKILL
    assert tables.read(tmp_path / "many.parquet") == tables.read(tmp_path / "one.parquet")
    assert len(tables.read(tmp_path / "one.parquet")) == 20


@pytest.fixture
def third_cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """For a test that takes workers from it."""
    yield from _cluster()


def test_what_kills_workers_of_a_cluster_takes_two(
    third_cluster: tuple[str, list[subprocess.Popen[bytes]]],
) -> None:
    """It is given up with its cause after its second; the third does everything else, what was queued with it too."""
    address, processes = third_cluster
    items = [str(number) for number in range(30)]
    items[4] = "__import__('os')._exit(9)"
    with executor(scheduler=address) as workers:
        found = in_order(workers.run(eval, items, batch=2))
    assert found == [(None, DIED) if number == 4 else (number, None) for number in range(30)]
    assert [process.poll() for process in processes].count(None) == 1


@pytest.fixture(scope="module")
def second_cluster() -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """Another, as the first has lost a worker."""
    yield from _cluster()


def test_a_cluster_learns_the_preset_of_one_process(
    second_cluster: tuple[str, list[subprocess.Popen[bytes]]],
    command: Callable[..., tuple[int, str, str]],
    mix: Audio,
    record: Audio,
    tmp_path: Path,
) -> None:
    """The same features and the same centre, bit for bit; the date aside."""
    address, _ = second_cluster
    short_tracks(tmp_path / "in", 6, mix, record)
    made = []
    for name, way in (("one", ()), ("many", ("--scheduler", address))):
        preset = tmp_path / f"{name}.json"
        assert command("learn", tmp_path / "in", "-n", "kind", "-o", preset, "--no-cache", "-q", *way)[0] == 0
        made.append(json.loads(preset.read_text()) | {"made_at": ""})
    assert made[0] == made[1]


def test_a_cluster_makes_the_album_of_one_process(
    second_cluster: tuple[str, list[subprocess.Popen[bytes]]],
    command: Callable[..., tuple[int, str, str]],
    mix: Audio,
    record: Audio,
    tmp_path: Path,
) -> None:
    """The same masters bit for bit, and the track that cannot be read named alike."""
    address, _ = second_cluster
    short_tracks(tmp_path / "in", 3, mix, record)
    (tmp_path / "in" / "bad.wav").write_bytes(b"RIFF....")
    made = []
    for name, way in (("one", ()), ("many", ("--scheduler", address))):
        asked = ("album", tmp_path / "in" / "0.wav", tmp_path / "in", "-o", tmp_path / name, "--restore", "off", *way)
        code, _, err = command(*asked, "--no-cache", "-q")
        assert code == 3
        masters = {path.name: path.read_bytes() for path in (tmp_path / name).glob("*.wav")}
        made.append((masters, err))
    assert made[0] == made[1]
    assert set(made[0][0]) == {"0.wav", "1.wav", "2.wav"}


def test_a_cluster_makes_the_batch_of_one_process(
    second_cluster: tuple[str, list[subprocess.Popen[bytes]]],
    mix: Audio,
    record: Audio,
    tmp_path: Path,
) -> None:
    """The same masters, bit for bit, each made once, with a worker killed in the middle."""
    from matcher.batches import JOURNAL, Manner, run, tasks_of

    address, processes = second_cluster
    (tmp_path / "in").mkdir()
    write_audio(tmp_path / "record.wav", record)
    for number in range(6):
        length = 3 * mix.sample_rate_hz + 1000 * number
        write_audio(tmp_path / "in" / f"{number}.wav", Audio(mix.samples[:, -length:], mix.sample_rate_hz))
    manner = Manner(aims=Aims(restore="off"), use_cache=False)

    def kill_one(done: float) -> None:
        if done >= 0.3 and processes[0].poll() is None:
            processes[0].kill()

    made = {}
    for name, workers, progress in (
        ("one", executor(jobs=1), None),
        ("many", executor(scheduler=address), kill_one),
    ):
        folder = tmp_path / name
        folder.mkdir()
        tasks = tasks_of(tmp_path / "in", tmp_path / "record.wav", folder)
        with workers:
            found = run(tasks, folder, workers, manner, progress=progress)
        assert [done.cause for done in found] == [None] * 6
        made[name] = {path.name: path.read_bytes() for path in folder.glob("*.wav")}
        entries = [json.loads(line) for line in (folder / JOURNAL).read_text().splitlines()]
        assert sum(entry["state"] == "done" for entry in entries) == 6
        assert {path.name for path in folder.iterdir()} == {*made[name], JOURNAL}
    assert processes[0].wait() == -signal.SIGKILL
    assert made["one"] == made["many"]
