"""The page as a person uses it: in a real browser, by mouse and by keys; what is heard is measured."""

from __future__ import annotations

import base64
import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyloudnorm
import pytest
import soundfile

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
AXE = Path(__file__).parent / "vendor"
RATE_HZ = 48_000
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the PATH")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's chromium, headless."""
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        options = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        found = running.chromium.launch(executable_path=CHROMIUM, args=options)
        yield found
        found.close()


@pytest.fixture(scope="module")
def served(serving: Callable[..., Any]) -> Any:
    """One server for all tests."""
    return serving()


class Seen:
    """A page, with everything that must not happen in it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.errors: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: message.type in ("error", "warning") and self.errors.append(message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("filechooser", lambda _: None)  # caught from here on: asked for at the key, it can come too late

    def check(self) -> None:
        """No complaint of the browser, and nothing asked of any other machine."""
        assert self.errors == []
        assert self.requests
        hosts = {re.sub(r"^(?:blob:)?(\w+)://([^/:]+).*$", r"\2", url) for url in self.requests if "://" in url}
        assert hosts == {"127.0.0.1"}


@contextlib.contextmanager
def window(browser: Any, served: Any) -> Iterator[Seen]:
    """The start page in a window of its own."""
    context = browser.new_context(viewport={"width": 1280, "height": 900}, accept_downloads=True)
    context.set_default_timeout(30_000)
    watched = Seen(context.new_page())
    watched.page.goto(served.address)
    yield watched
    context.close()


@pytest.fixture
def seen(browser: Any, serving: Callable[..., Any]) -> Iterator[Seen]:
    """A page that has made nothing yet."""
    with window(browser, serving()) as watched:
        yield watched


@pytest.fixture(scope="module")
def finished(served: Any, songs: tuple[Path, Path]) -> str:
    """A match that is done."""
    identity = str(served.add(*(served.upload(path) for path in songs)))
    assert served.settled(identity) == ["done"]
    return identity


@pytest.fixture
def opened(browser: Any, served: Any, finished: str) -> Iterator[Seen]:
    """The page of a finished match."""
    with window(browser, served) as watched:
        watched.page.goto(f"{served.base}/#/job/{finished}")
        watched.page.wait_for_selector(".handle")
        watched.page.wait_for_selector(".readout:has-text('LUFS')")
        yield watched


def planar(response: Any) -> np.ndarray[Any, Any]:
    """The samples that the page got, shape (channels, samples)."""
    return np.frombuffer(response.body(), "<f4").reshape(int(response.headers["x-channels"]), -1)


def drop(page: Any, place: str, file: Path) -> None:
    """Let go of a file over a part of the page."""
    data = page.evaluate_handle(
        """([name, content]) => {
            const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt(0));
            const data = new DataTransfer();
            data.items.add(new File([bytes], name, {type: "audio/wav"}));
            return data;
        }""",
        [file.name, base64.b64encode(file.read_bytes()).decode()],
    )
    page.dispatch_event(place, "drop", {"dataTransfer": data})


def level_db(samples: np.ndarray[Any, Any], hz: float) -> float:
    """Level in the third octave around `hz`."""
    power = np.abs(np.fft.rfft(samples.astype(float), axis=1)).sum(axis=0) ** 2
    places = np.fft.rfftfreq(samples.shape[1], 1.0 / RATE_HZ)
    return float(10.0 * np.log10(power[(places > hz / 1.12) & (places < hz * 1.12)].sum()))


class TestJourney:
    """From two files to a master."""

    def test_by_mouse(self, seen: Seen, songs: tuple[Path, Path], tmp_path: Path) -> None:
        """Drop, wait, switch, drag a band and hear it, download: the file is the changed master."""
        page = seen.page
        for place, file in zip((".drop >> nth=0", ".drop >> nth=1"), songs, strict=True):
            drop(page, place, file)
            page.wait_for_selector(f"text={file.name}")
        page.click("text=Make the master")
        page.wait_for_selector("progress")
        page.click(".job a:has-text('Open')")
        page.wait_for_selector(".handle")
        page.wait_for_selector(".readout:has-text('LUFS')")
        page.click("text=Play")
        for key, name in (("1", "target"), ("3", "reference"), ("2", "result")):
            page.keyboard.press(key)
            assert page.locator(f".transport input[value={name}]").is_checked()
        handle = page.locator(".handle").first
        handle.hover()
        box = handle.bounding_box()
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2 - 60, steps=8)
        with page.expect_response("**/section") as got:
            page.mouse.up()
        page.wait_for_selector(".readout:has-text('rendered again')")
        changed = planar(got.value)
        assert float(handle.get_attribute("aria-valuenow")) > 1.5
        hz = float(page.locator("label:has-text('Frequency') input").input_value())
        asked, job = got.value.request.post_data_json, page.url.rpartition("/")[2]
        stretch = {"start": asked["start"], "count": asked["count"]}
        base = page.url.partition("/#")[0]
        plain = page.request.get(f"{base}/api/jobs/{job}/sound/result", params=stretch)
        before = np.frombuffer(plain.body(), "<f4").reshape(int(plain.headers["x-channels"]), -1)
        assert level_db(changed, hz) - level_db(before, hz) > 0.5
        with page.expect_download() as taken:
            page.click("text=Download the changed master")
        taken.value.save_as(tmp_path / "master.wav")
        made, rate = soundfile.read(tmp_path / "master.wav")
        original = soundfile.info(songs[0])
        assert (len(made), rate) == (original.frames, original.samplerate)
        page.locator(".downloads label:has(span:text-is('For')) select").select_option("cd")
        with page.expect_download() as taken:
            page.click("text=Download the changed master")
        taken.value.save_as(tmp_path / "cd.wav")
        assert soundfile.info(tmp_path / "cd.wav").subtype == "PCM_16"
        page.wait_for_selector(".downloads [role=status]:has-text('CD: plays as it is')")
        seen.check()

    def test_by_keys(self, seen: Seen, songs: tuple[Path, Path], tmp_path: Path) -> None:
        """The same with the keyboard alone."""
        page = seen.page

        def reach(what: str) -> None:
            """Tab on until the focus is there."""
            for _ in range(80):
                page.keyboard.press("Tab")
                if page.evaluate("(what) => document.activeElement.matches(what)", what):
                    return
            raise AssertionError(f"{what} cannot be reached")

        for number, file in enumerate(songs):
            reach(f".drop:nth-child({number + 1}) input")
            with page.expect_file_chooser() as chooser:
                page.keyboard.press("Enter")
            chooser.value.set_files(file)
            page.wait_for_selector(f"text={file.name}")
        page.wait_for_selector("button.large:not([disabled])")
        reach("button.large")
        page.keyboard.press("Enter")
        page.wait_for_selector(".job a:has-text('Open')")
        reach(".job a")
        page.keyboard.press("Enter")
        page.wait_for_selector(".handle")
        page.wait_for_selector(".readout:has-text('LUFS')")
        page.keyboard.press("Space")
        page.wait_for_selector("text=Stop")
        page.keyboard.press("1")
        assert page.locator(".transport input[value=target]").is_checked()
        reach(".handle")
        before = page.locator(".handle").first.get_attribute("aria-valuenow")
        with page.expect_response("**/section"):
            for _ in range(6):
                page.keyboard.press("ArrowUp")
        assert float(page.locator(".handle").first.get_attribute("aria-valuenow")) > float(before)
        page.wait_for_selector(".readout:has-text('rendered again')")
        reach(".downloads button.primary")
        with page.expect_download() as taken:
            page.keyboard.press("Enter")
        taken.value.save_as(tmp_path / "master.wav")
        assert soundfile.info(tmp_path / "master.wav").frames == soundfile.info(songs[0]).frames
        seen.check()

    def test_a_preset_and_undo(self, seen: Seen, songs: tuple[Path, Path]) -> None:
        """No reference but a kind of music; a change is undone and done again."""
        page = seen.page
        page.locator(".drop input[type=file]").first.set_input_files(songs[0])
        page.wait_for_selector(f"text={songs[0].name}")
        page.get_by_label("Or a preset").select_option("metal")
        page.click("text=Make the master")
        page.click(".job a:has-text('Open')")
        page.wait_for_selector(".handle, .step")
        assert "beside the preset metal" in page.locator("h1").inner_text()
        assert page.locator(".transport input[value=reference]").count() == 0
        slider = page.locator(".step input[type=range]").first
        slider.focus()
        with page.expect_response("**/section"):
            page.keyboard.press("ArrowLeft")
        changed = slider.input_value()
        page.click("text=Undo")
        assert page.locator(".step input[type=range]").first.input_value() != changed
        page.click("text=Redo")
        assert page.locator(".step input[type=range]").first.input_value() == changed
        seen.check()


class TestListening:
    """What comes out of the player, sample by sample."""

    def test_switching_shifts_nothing(self, opened: Seen) -> None:
        """The same noise in all three, switched about: what is heard is the noise, by no sample elsewhere."""
        made = opened.page.evaluate(
            """async (rate) => {
                const {Listening} = await import("/static/listening.js");
                const context = new OfflineAudioContext(2, 2 * rate, rate);
                let seed = 1;
                const noise = Float32Array.from({length: 2 * rate}, () => {
                    seed = (seed * 48271) % 2147483647; return seed / 2147483647 - 0.5;
                });
                const part = () => ({channels: [noise.slice(), noise.slice()], lufs: -10, peak: 0.5});
                const listening = new Listening(context);
                const parts = {target: part(), result: part(), reference: part()};
                listening.play({start: 0, count: 2 * rate, parts}, {loop: false, when: 0});
                for (const [when, name] of [[0.5, "target"], [1.0, "reference"], [1.5, "result"]]) {
                    context.suspend(when).then(() => { listening.hear(name, when); context.resume(); });
                }
                const out = await context.startRendering();
                const gain = listening.gains.get("result").gain.aimed;
                let most = 0;
                for (let n = 0; n < noise.length; n += 1) {
                    most = Math.max(most, Math.abs(out.getChannelData(0)[n] - gain * noise[n]));
                }
                return {most, gain};
            }""",
            RATE_HZ,
        )
        assert made["gain"] > 0.1
        assert made["most"] < 1e-5 * made["gain"]

    def test_all_are_equally_loud(self, opened: Seen, finished: str) -> None:
        """Target, result and reference of a real match, as heard: within 0.1 LU of each other."""
        heard = opened.page.evaluate(
            """async ([rate, id]) => {
                const {Listening} = await import("/static/listening.js");
                const {api} = await import("/static/api.js");
                const count = 5 * rate, parts = {}, made = {};
                for (const name of ["target", "result", "reference"]) parts[name] = await api.sound(id, name, 0, count);
                for (const name of Object.keys(parts)) {
                    const context = new OfflineAudioContext(2, count, rate);
                    const listening = new Listening(context);
                    listening.heard = name;
                    listening.play({start: 0, count, parts}, {loop: true, when: 0});
                    const out = await context.startRendering();
                    made[name] = [0, 1].map((channel) => {
                        const bytes = new Uint8Array(out.getChannelData(channel).buffer);
                        let text = "";
                        for (let n = 0; n < bytes.length; n += 8192) {
                            text += String.fromCharCode(...bytes.subarray(n, n + 8192));
                        }
                        return btoa(text);
                    });
                }
                return made;
            }""",
            [RATE_HZ, finished],
        )
        sounds = [np.array([np.frombuffer(base64.b64decode(c), "<f4") for c in both]) for both in heard.values()]
        meter = pyloudnorm.Meter(RATE_HZ, filter_class="DeMan")
        lufs = [meter.integrated_loudness(sound.T.astype(float)) for sound in sounds]
        assert len(lufs) == 3
        assert max(lufs) - min(lufs) < 0.1
        assert min(lufs) > -60.0
        assert max(np.abs(sound).max() for sound in sounds) <= 1.0


class TestAccessible:
    """For everybody."""

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [1280, 390])
    def test_axe_finds_no_serious_fault(self, opened: Seen, served: Any, width: int, scheme: str) -> None:
        """Start page and session, wide and on a phone, light and dark; nothing is wider than the window."""
        page = opened.page
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 850})
        source = next(AXE.glob("axe-core-*.min.js")).read_text(encoding="utf-8")
        for ready in (".handle", ".drop"):
            page.wait_for_selector(ready)
            page.wait_for_timeout(300)
            page.evaluate(source)
            found = page.evaluate("axe.run().then((r) => r.violations.map((v) => [v.impact, v.id, v.nodes[0].html]))")
            assert [fault for fault in found if fault[0] in ("serious", "critical")] == []
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth + 1")
            page.goto(f"{served.base}/#/")
        opened.check()
