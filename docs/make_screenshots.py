"""Writes the pictures of the documentation: the report and the page, on a desktop and on a phone.

    python docs/make_screenshots.py

Needs chromium on the PATH and playwright; the songs are made on the spot.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from matcher import match
from matcher.demo import demo_mix, demo_reference
from matcher.io import write_audio
from matcher.page.writing import report_page

HERE = Path(__file__).parent
WIDE, PHONE = {"width": 1200, "height": 900}, {"width": 390, "height": 844}


def report(browser: Any, folder: Path) -> None:
    """The report, wide and light, and dark on a phone."""
    target, reference, output = (folder / f"{name}.wav" for name in ("mix", "reference", "master"))
    made = match(target, reference, output)
    (folder / "report.html").write_text(report_page(made, target, output, reference), encoding="utf-8")
    for name, size, scheme in (("report", WIDE, "light"), ("report-phone", PHONE, "dark")):
        page = browser.new_page(viewport=size, color_scheme=scheme)
        page.goto(f"file://{folder / 'report.html'}")
        page.screenshot(path=HERE / f"{name}.png")
        page.close()


def page(browser: Any, folder: Path) -> None:
    """The page with a match open."""
    words = [sys.executable, "-c", "from matcher.cli import main; main()", "serve", "--port", "0", "--no-browser",
             "--folder", str(folder / "state")]  # fmt: skip
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        address = re.search(r"http://\S+", server.stdout.readline())
        assert address is not None
        window = browser.new_page(viewport=WIDE)
        window.goto(address[0])
        files = window.locator(".drop input[type=file]")
        files.nth(0).set_input_files(folder / "mix.wav")
        files.nth(1).set_input_files(folder / "reference.wav")
        window.wait_for_selector("button.large:not([disabled])")
        window.click("button.large")
        window.click(".job a:has-text('Open')", timeout=120_000)
        window.wait_for_selector(".readout:has-text('LUFS')")
        window.screenshot(path=HERE / "page.png")
        server.terminate()


def main() -> None:
    """Make all three."""
    chromium = shutil.which("chromium")
    if chromium is None:
        sys.exit("chromium is needed on the PATH")
    with tempfile.TemporaryDirectory() as name, sync_playwright() as running:
        folder = Path(name)
        write_audio(folder / "mix.wav", demo_mix())
        write_audio(folder / "reference.wav", demo_reference())
        browser = running.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        report(browser, folder)
        page(browser, folder)
        browser.close()


if __name__ == "__main__":
    main()
