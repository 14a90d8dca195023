"""The page's work: queued, cancelled, found again after a crash, and equal to what the command line makes."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from matcher import match

SAME_DB = -100.0
"""A section and the same place of a full render, both resampled: what gains have forgotten after three seconds."""


@pytest.fixture(scope="module")
def served(serving: Callable[..., Any]) -> Any:
    """A server with one worker."""
    return serving("--workers", "1")


@pytest.fixture
def sounds(served: Any, songs: tuple[Path, Path]) -> tuple[str, str]:
    """Mix and record, given to the page."""
    mix, record = songs
    return served.upload(mix), served.upload(record)


@pytest.fixture(scope="module")
def done(served: Any, songs: tuple[Path, Path]) -> Any:
    """A finished match as the page gets it, and which the tests leave as it is."""
    identity = served.add(*map(served.upload, songs))
    assert served.settled(identity) == ["done"]
    return served.job(identity)


def planar(answer: Any) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    return np.frombuffer(answer.content, "<f4").reshape(int(answer.headers["x-channels"]), -1)


def level_db(samples: np.ndarray[Any, Any]) -> float:
    return float(20.0 * np.log10(max(float(np.sqrt(np.mean(samples.astype(float) ** 2))), 1e-12)))


class TestQueue:
    def test_five_finish_and_a_cancelled_one_makes_room(self, served: Any, sounds: tuple[str, str]) -> None:
        """Of seven with one worker, a running and a waiting one are cancelled; the other five are done."""
        made = [served.add(*sounds, aims={"ceiling_dbtp": -1.0 - 0.1 * n}) for n in range(7)]
        for _ in range(200):
            if served.jobs()[made[0]] == "running":
                break
            time.sleep(0.02)
        with served.client() as client:
            assert client.post(f"/api/jobs/{made[0]}/cancel").json()["status"] == "cancelled"
            assert client.post(f"/api/jobs/{made[5]}/cancel").json()["status"] == "cancelled"
            assert client.post(f"/api/jobs/{made[5]}/cancel").status_code == 400
        rest = [made[n] for n in (1, 2, 3, 4, 6)]
        assert served.settled(*rest) == ["done"] * 5
        assert not list((served.folder / "jobs" / made[0]).glob("*work*"))
        assert not (served.folder / "jobs" / made[0] / "result").exists()
        with served.client() as client:
            client.post(f"/api/jobs/{made[0]}/again")
            assert served.settled(made[0]) == ["done"]
            for identity in made:
                assert client.delete(f"/api/jobs/{identity}").status_code == 200
        assert not set(made) & set(served.jobs())

    def test_what_fails_says_why(self, served: Any, sounds: tuple[str, str], tmp_path: Path) -> None:
        """By the file's own name, without where it is kept."""
        soundfile.write(tmp_path / "silence.wav", np.zeros((96_000, 2)), 48_000)
        identity = served.add(served.upload(tmp_path / "silence.wav"), sounds[1])
        assert served.settled(identity) == ["failed"]
        error = served.job(identity)["error"]
        assert "silence.wav" in error
        assert "silent" in error
        assert str(served.folder) not in error

    def test_progress_is_that_of_the_work(self, served: Any, sounds: tuple[str, str]) -> None:
        """Stages come in their order, and a share never falls within one render."""
        identity = served.add(*sounds, aims={"belief": 1.0})
        seen = []
        while (job := served.job(identity))["status"] in ("queued", "running"):
            if job.get("stage"):
                seen.append(job["stage"])
            time.sleep(0.03)
        order = [stage for stage, after in zip(seen, [*seen[1:], ""], strict=True) if stage != after]
        assert order == [stage for stage in ("analyze", "repair", "plan", "render") if stage in order]
        assert len(order) >= 2


class TestCrash:
    def test_after_a_kill_all_is_there(
        self, serving: Callable[..., Any], songs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """What was finished is shown, what was under way is done by the next server."""
        first = serving(folder=tmp_path / "state")
        mix, record = (first.upload(path) for path in songs)
        finished = first.add(mix, record)
        first.settled(finished)
        before = first.job(finished)
        left = first.add(mix, record, aims={"ceiling_dbtp": -2.0})
        while first.jobs()[left] == "queued":
            time.sleep(0.02)
        first.end(signal.SIGKILL)
        second = serving(folder=tmp_path / "state")
        assert second.jobs()[left] in ("queued", "running")
        assert second.job(finished) == before
        assert second.settled(left) == ["done"]
        assert not list((tmp_path / "state" / "jobs").glob("*/.work-*"))

    def test_an_orderly_end_loses_nothing_either(
        self, serving: Callable[..., Any], songs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """A job that runs when the server is told to end waits for the next."""
        first = serving(folder=tmp_path / "state")
        mix, record = (first.upload(path) for path in songs)
        left = first.add(mix, record)
        while first.jobs()[left] == "queued":
            time.sleep(0.02)
        first.end()
        second = serving(folder=tmp_path / "state")
        assert second.settled(left) == ["done"]


class TestLength:
    @pytest.mark.slow
    def test_ten_minutes_at_96_khz(self, serving: Callable[..., Any], songs: tuple[Path, Path], tmp_path: Path) -> None:
        """Mastered, heard from any place, changed and heard anew, and taken away whole."""
        rate_hz, seconds = 96_000, 600
        samples = soxr.resample(soundfile.read(songs[0])[0], 44_100, rate_hz)
        times = -(-seconds * rate_hz // len(samples))
        long = tmp_path / "long.wav"
        soundfile.write(long, np.tile(samples, (times, 1))[: seconds * rate_hz], rate_hz, subtype="PCM_24")
        server = serving()
        identity = server.add(server.upload(long), server.upload(songs[1]))
        assert server.settled(identity) == ["done"]
        done = server.job(identity)
        late = {"start": 590 * 48_000, "count": 5 * 48_000}
        with server.client() as client:
            whole = planar(client.get(f"/api/jobs/{identity}/sound/result", params=late))
            asked = {"steps": done["plan"]["steps"], **late}
            section = planar(client.post(f"/api/jobs/{identity}/section", json=asked))
            assert level_db(section - whole) < level_db(whole) + SAME_DB
            path = f"/api/jobs/{identity}/exports"
            name = client.post(path, json={"container": "flac", "bit_depth": 24}, timeout=300.0).json()["name"]
            (tmp_path / name).write_bytes(client.get(f"{path}/{name}", timeout=300.0).content)
        taken = soundfile.info(tmp_path / name)
        assert (taken.frames, taken.samplerate) == (seconds * rate_hz, rate_hz)


class TestResult:
    def test_the_master_is_the_command_lines(
        self, served: Any, done: Any, songs: tuple[Path, Path], tmp_path: Path
    ) -> None:
        """Sample by sample, at 24 and at 16 bit."""
        for bit_depth in (24, 16):
            match(*songs, tmp_path / f"{bit_depth}.wav", bit_depth=bit_depth)
            with served.client() as client:
                path = f"/api/jobs/{done['id']}/exports"
                name = client.post(path, json={"container": "flac", "bit_depth": bit_depth}).json()["name"]
                (tmp_path / name).write_bytes(client.get(f"{path}/{name}").content)
            ours, _ = soundfile.read(tmp_path / name, dtype="int32")
            theirs, _ = soundfile.read(tmp_path / f"{bit_depth}.wav", dtype="int32")
            np.testing.assert_array_equal(ours, theirs)

    def test_a_file_for_a_destination(self, served: Any, done: Any, tmp_path: Path) -> None:
        """Within its limits, and with the words about it, the second time too."""
        path = f"/api/jobs/{done['id']}/exports"
        with served.client() as client:
            first, second = (client.post(path, json={"destination": "cd"}).json() for _ in range(2))
            (tmp_path / "cd.wav").write_bytes(client.get(f"{path}/{first['name']}").content)
            assert {"name": "cd", "title": "CD"} in client.get("/api/state").json()["destinations"]
        assert first == second
        assert first["said"][0].startswith("CD: ")
        assert soundfile.info(tmp_path / "cd.wav").subtype == "PCM_16"

    @pytest.mark.parametrize(
        "asked",
        [
            {"container": "mp3", "bit_depth": 16},
            {"container": "flac", "bit_depth": 32},
            {"container": "wav", "bit_depth": True},
            {"container": "../x", "bit_depth": 16},
            {"container": "wav", "bit_depth": 24, "sample_rate_hz": 1},
            {"destination": "../spotify"},
            {"destination": 7},
        ],
    )
    def test_what_no_file_holds_is_refused(self, served: Any, done: Any, asked: dict[str, Any]) -> None:
        """With the value and what is allowed."""
        with served.client() as client:
            answer = client.post(f"/api/jobs/{done['id']}/exports", json=asked)
        assert answer.status_code == 400
        assert ":" in answer.json()["error"]

    def test_plan_and_report_are_those_of_the_match(self, served: Any, done: Any) -> None:
        """The plan can be read, the report runs nothing."""
        with served.client() as client:
            plan = client.get(f"/api/jobs/{done['id']}/plan")
            report = client.get(f"/api/jobs/{done['id']}/report")
        assert plan.json() == done["plan"]
        assert "attachment" in plan.headers["content-disposition"]
        assert report.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
        assert "mix.wav" in report.text

    def test_nothing_is_given_of_a_job_that_is_not_done(self, served: Any, sounds: tuple[str, str]) -> None:
        """One line says what it is."""
        identity = served.add(*sounds)
        with served.client() as client:
            client.post(f"/api/jobs/{identity}/cancel")
            for path in ("plan", "report", "sound/result?start=0&count=9"):
                answer = client.get(f"/api/jobs/{identity}/{path}")
                assert answer.status_code == 400
                assert "cancelled" in answer.json()["error"]


class TestSection:
    def test_it_is_the_same_as_in_the_full_render(self, served: Any, done: Any) -> None:
        """From the middle of the track, as if all before it had been rendered."""
        place = {"start": 4 * 48_000, "count": 48_000}
        with served.client() as client:
            section = planar(
                client.post(f"/api/jobs/{done['id']}/section", json={"steps": done["plan"]["steps"], **place})
            )
            whole = planar(client.get(f"/api/jobs/{done['id']}/sound/result", params=place))
        assert level_db(section - whole) < level_db(whole) + SAME_DB

    def test_without_steps_it_is_the_target(self, served: Any, done: Any) -> None:
        """To the sample: what A and B are compared by lies in the same place."""
        place = {"start": 96_001, "count": 100_000}
        with served.client() as client:
            section = planar(client.post(f"/api/jobs/{done['id']}/section", json={"steps": [], **place}))
            target = planar(client.get(f"/api/jobs/{done['id']}/sound/target", params=place))
        np.testing.assert_array_equal(section, target)

    def test_a_change_is_heard(self, served: Any, done: Any) -> None:
        """Six dB less level behind the limiter's reach are six dB less."""

        def louder(by_db: float) -> list[dict[str, Any]]:
            return [{"settings": {"effect": "gain", "gain_db": by_db}}]

        place = {"start": 0, "count": 48_000}
        with served.client() as client:
            one, other = (
                planar(client.post(f"/api/jobs/{done['id']}/section", json={"steps": louder(db), **place}))
                for db in (0.5, -5.5)
            )
        assert level_db(one) - level_db(other) == pytest.approx(6.0, abs=0.001)

    @pytest.mark.parametrize(
        ("asked", "said"),
        [
            ({"steps": [{"settings": {"effect": "evil"}}], "start": 0, "count": 9}, "evil"),
            ({"steps": [{"settings": {"effect": "gain", "gain_db": 900}}], "start": 0, "count": 9}, "gain_db"),
            ({"steps": [{"settings": {"effect": "gain"}, "amount": 7}], "start": 0, "count": 9}, "amount"),
            ({"steps": "rm -rf /", "start": 0, "count": 9}, "steps"),
            ({"steps": [{}] * 41, "start": 0, "count": 9}, "steps"),
            ({"steps": [], "start": -1, "count": 9}, "start"),
            ({"steps": [], "start": 0, "count": 48_000 * 61}, "count"),
            ({"steps": [], "start": "x", "count": 9}, "start"),
        ],
    )
    def test_a_plan_out_of_bounds_is_refused(self, served: Any, done: Any, asked: Any, said: str) -> None:
        """With the field on one line."""
        with served.client() as client:
            answer = client.post(f"/api/jobs/{done['id']}/section", json=asked)
        assert answer.status_code == 400
        assert said in answer.json()["error"]
        assert "\n" not in answer.json()["error"]

    def test_a_changed_plan_is_rendered_whole_and_the_next_draft_takes_its_place(self, served: Any, done: Any) -> None:
        """What was kept stays."""
        steps = [{"settings": {"effect": "gain", "gain_db": 3.0}, "because": "<img src=x onerror=alert(1)>"}]
        path = f"/api/jobs/{done['id']}/renders"
        with served.client() as client:
            first = client.post(path, json={"steps": steps, "title": "kept", "draft": False}).json()["id"]
            draft = client.post(path, json={"steps": steps, "title": "draft", "draft": True}).json()["id"]
            assert served.settled(first, draft) == ["done", "done"]
            next_draft = client.post(path, json={"steps": [], "title": "draft", "draft": True}).json()["id"]
        assert served.settled(next_draft) == ["done"]
        assert draft not in served.jobs()
        told = served.job(first)
        assert told["of"] == done["id"]
        assert told["plan"]["steps"][0]["because"] == steps[0]["because"]
        gained = (
            told["view"]["tracks"]["result"]["integrated_lufs"] - told["view"]["tracks"]["target"]["integrated_lufs"]
        )
        assert gained == pytest.approx(3.0, abs=0.011)  # two figures that are rounded to hundredths
        report = (served.folder / "jobs" / first / "result" / "report.html").read_text(encoding="utf-8")
        assert "<img src=x" not in report


class TestAlbum:
    def test_several_targets_are_an_album(self, served: Any, songs: tuple[Path, Path], tmp_path: Path) -> None:
        """Each with a master to take away, under its own name."""
        other = tmp_path / "other.wav"
        other.write_bytes(songs[0].read_bytes()[:900_000])
        mix, second, record = (served.upload(path) for path in (songs[0], other, songs[1]))
        with served.client() as client:
            identity = client.post(
                "/api/jobs", json={"kind": "album", "targets": [mix, second], "references": [record]}
            ).json()["id"]
            assert served.settled(identity) == ["done"], served.job(identity)
            told = served.job(identity)["album"]
            assert [track["name"] for track in told["tracks"]] == ["mix.wav", "other.wav"]
            made = client.get(f"/api/jobs/{identity}/masters/1")
            assert made.content[:4] in (b"RIFF", b"RF64")
            assert "other.wav" in made.headers["content-disposition"]
            assert client.get(f"/api/jobs/{identity}/masters/2").status_code == 404
