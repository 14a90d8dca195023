"""Nobody but the holder of the token drives the page, and nothing it is sent gets out of its folder."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from dsp.errors import SettingsError
from matcher.serve.running import allowed_hosts, is_loopback, serve
from matcher.serve.store import SUFFIXES, Store, clean_name

LARGEST_GB = "0.004"


@pytest.fixture(scope="module")
def served(serving: Callable[..., Any]) -> Any:
    """A server that takes no more than four megabytes."""
    return serving("--largest", LARGEST_GB)


@pytest.fixture
def client(served: Any) -> Iterator[httpx.Client]:
    """Somebody with the token."""
    with served.client() as client:
        yield client


def files_below(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


class TestToken:
    def test_without_it_nothing_is_shown(self, served: Any) -> None:
        """Neither the page nor its files nor what it knows, and nothing can be sent."""
        for path in ("/", "/static/main.js", "/api/state", "/api/jobs/0123456789abcdef", "/?token=", "/?token=wrong"):
            assert httpx.get(served.base + path).status_code == 403
        assert httpx.post(f"{served.base}/api/files?name=a.wav", content=b"x").status_code == 403
        assert httpx.get(f"{served.base}/", cookies={k: v + "x" for k, v in served.cookies.items()}).status_code == 403

    def test_it_becomes_a_cookie_that_scripts_and_other_sites_do_not_get(self, served: Any) -> None:
        """HttpOnly and SameSite=Strict, and the address loses the token."""
        answer = httpx.get(served.address)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/"
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie

    def test_each_start_has_its_own(self, served: Any, serving: Callable[..., Any]) -> None:
        """A token that was seen once is of no use later."""
        assert serving().token != served.token


class TestOtherSites:
    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:80", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example"]
    )
    def test_a_foreign_name_for_this_machine_is_refused(self, client: httpx.Client, host: str) -> None:
        """As after DNS rebinding, whoever has the cookie."""
        assert client.get("/api/state", headers={"Host": host}).status_code == 421

    @pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1", "http://127.0.0.1:1"])
    def test_a_foreign_origin_is_refused(self, client: httpx.Client, origin: str) -> None:
        """Reading and writing."""
        assert client.get("/api/state", headers={"Origin": origin}).status_code == 403
        assert client.post("/api/jobs", headers={"Origin": origin}, json={}).status_code == 403

    @pytest.mark.parametrize("site", ["cross-site", "same-site", "none"])
    def test_what_another_site_sends_is_refused(self, client: httpx.Client, site: str) -> None:
        """Though it names no origin."""
        assert client.post("/api/jobs", headers={"Sec-Fetch-Site": site}, json={}).status_code == 403

    def test_the_own_origin_is_not(self, served: Any, client: httpx.Client) -> None:
        """By address and by name."""
        port = served.base.rpartition(":")[2]
        for host in (f"127.0.0.1:{port}", f"localhost:{port}"):
            answer = client.get(
                "/api/state", headers={"Host": host, "Origin": f"http://{host}", "Cookie": _cookie(served)}
            )
            assert answer.status_code == 200

    def test_every_answer_forbids_what_the_page_does_not_need(self, served: Any, client: httpx.Client) -> None:
        """Scripts from elsewhere, inline and eval, frames, other types, a referrer; refusals too."""
        answers = [client.get(path) for path in ("/", "/static/main.js", "/api/state", "/api/nowhere")]
        for answer in [*answers, httpx.get(served.base)]:
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["referrer-policy"] == "no-referrer"


def _cookie(served: Any) -> str:
    return "; ".join(f"{name}={value}" for name, value in served.cookies.items())


class TestUploads:
    @pytest.mark.parametrize(
        "name",
        [
            "../../evil.wav",
            "..\\..\\evil.wav",
            "/etc/evil.wav",
            "a/../../evil.wav",
            ".evil.wav",
            "evil\x00\n.wav",
            "C:evil.wav",
        ],
    )
    def test_a_name_never_leaves_the_folder_of_its_id(
        self, served: Any, client: httpx.Client, songs: tuple[Path, Path], name: str
    ) -> None:
        """Whatever it is made of."""
        around = served.folder.parent
        before = files_below(around)
        answer = client.post("/api/files", params={"name": name}, content=songs[0].read_bytes())
        assert answer.status_code == 200
        folder = served.folder / "files" / answer.json()["id"]
        assert files_below(around) - before == {folder / answer.json()["name"], folder / "file.json"}
        assert answer.json()["name"].endswith("evil__.wav" if "\x00" in name else "evil.wav")

    def test_more_than_is_taken_is_refused_and_gone(self, served: Any, client: httpx.Client) -> None:
        """Announced or not."""
        before = files_below(served.folder)
        too_much = b"RIFF" + bytes(5_000_000)
        for content in (too_much, iter([too_much[:3_000_000], too_much[3_000_000:]])):
            answer = client.post("/api/files", params={"name": "big.wav"}, content=content)
            assert answer.status_code == 413
            assert "big.wav" in answer.json()["error"]
        assert files_below(served.folder) == before

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("song.exe", b"MZ"),
            ("song", b"RIFF"),
            ("song.wav.html", b"<p>"),
            ("song.wav", b"<script>"),
            ("song.wav", b""),
            ("a.mp3", b"PK\3\4"),
        ],
    )
    def test_what_is_no_sound_is_refused_by_name(
        self, served: Any, client: httpx.Client, name: str, content: bytes
    ) -> None:
        """On one line, without where it was stored, and nothing stays."""
        before = files_below(served.folder)
        answer = client.post("/api/files", params={"name": name}, content=content)
        assert answer.status_code in (400, 404)
        error = answer.json()["error"]
        assert error.startswith(name)
        assert "\n" not in error
        assert str(served.folder) not in error
        assert files_below(served.folder) == before

    def test_names_of_people_stay_readable(self) -> None:
        """Accents, brackets and spaces are no danger."""
        assert clean_name("Für Élise (Mix 2) & Söhne.WAV") == "Für Élise (Mix 2) & Söhne.wav"
        assert clean_name("  .. .wav") == "sound.wav"
        assert len(clean_name("x" * 500 + ".flac")) <= 105
        for suffix in SUFFIXES:
            assert clean_name(f"a{suffix}") == f"a{suffix}"

    def test_others_on_the_machine_do_not_see_the_sounds(self, served: Any) -> None:
        """The folders are their owner's."""
        for folder in (served.folder / "files", served.folder / "jobs"):
            assert not stat.S_IMODE(folder.stat().st_mode) & 0o077


class TestRequests:
    @pytest.mark.parametrize(
        "path",
        [
            "/static/../app.py",
            "/static/%2e%2e/app.py",
            "/static/..%2fapp.py",
            "/static//etc/passwd",
            "/api/jobs/..%2f..%2fetc",
        ],
    )
    def test_no_path_reaches_other_files(self, client: httpx.Client, path: str) -> None:
        """As it stands, coded or doubled."""
        url = httpx.URL(str(client.base_url), raw_path=path.encode())
        assert client.get(url).status_code in (400, 404)

    @pytest.mark.parametrize(
        "identity", ["", "x" * 16, "0123456789abcde", "0123456789abcdef", "..", "ABCDEF0123456789"]
    )
    def test_ids_are_ids(self, tmp_path: Path, identity: str) -> None:
        """Anything else is not looked for on the disk."""
        store = Store(tmp_path / "state")
        for read in (store.job, store.sound):
            with pytest.raises(OSError, match=r"is not one of this page's|is not known here"):
                read(identity)

    @pytest.mark.parametrize(
        "asked",
        [
            {},
            {"targets": []},
            {"targets": ["0123456789abcdef"], "references": ["../../x"]},
            {"targets": [1]},
            {"targets": ["x"], "evil": 1},
            {"targets": ["x"], "preset": "../../etc/passwd"},
            {"targets": ["x"], "references": ["x"], "aims": {"ceiling_dbtp": 9}},
            [],
        ],
    )
    def test_a_job_that_makes_no_sense_is_refused(self, client: httpx.Client, asked: Any) -> None:
        """With a line that says what it was."""
        answer = client.post("/api/jobs", json=asked)
        assert answer.status_code in (400, 404)
        assert answer.json()["error"]

    def test_no_job_can_be_told_where_its_files_are(self, client: httpx.Client) -> None:
        """A kind that only the server makes is refused."""
        assert (
            client.post("/api/jobs", json={"targets": ["x"], "references": ["x"], "kind": "render"}).status_code == 400
        )


class TestAddress:
    @pytest.mark.parametrize(
        ("host", "own"),
        [
            ("127.0.0.1", True),
            ("127.9.9.9", True),
            ("::1", True),
            ("localhost", True),
            ("0.0.0.0", False),
            ("192.168.1.2", False),
            ("::", False),
            ("example.org", False),
        ],
    )
    def test_only_loopback_is_this_machine_alone(self, host: str, own: bool) -> None:
        """By number and by the one name."""
        assert is_loopback(host) is own

    def test_beyond_loopback_a_token_is_needed(
        self, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
    ) -> None:
        """One line, exit code 4, and nothing is made."""
        code, _, error = command("serve", "--host", "0.0.0.0", "--no-browser", "--folder", tmp_path / "state")
        assert code == 4
        assert "--token" in error
        assert not (tmp_path / "state").exists()

    def test_a_short_token_is_refused(self, tmp_path: Path) -> None:
        """It could be guessed."""
        with pytest.raises(SettingsError, match="16"):
            serve(token="secret", folder=tmp_path, browser=False)

    def test_beyond_loopback_there_is_a_warning(self, serving: Callable[..., Any], tmp_path: Path) -> None:
        """Before anything else is printed."""
        with pytest.raises(AssertionError, match="warning: the page is open to the network"):
            serving("--host", "0.0.0.0", "--token", "a token of my own", folder=tmp_path / "state")
        assert "0.0.0.0:1" in allowed_hosts("0.0.0.0", 1)

    def test_two_servers_do_not_share_a_folder(self, served: Any, command: Callable[..., tuple[int, str, str]]) -> None:
        """They would undo each other's work."""
        code, _, error = command("serve", "--port", 0, "--no-browser", "--folder", served.folder)
        assert code == 3
        assert "another match serve" in error
