"""What all commands share at the terminal: loading, progress, small files, exit codes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from matcher.plans import Plan
    from matcher.rendering import Rendered

BAR_AFTER_S = 1.0
DONE, UNEXPECTED, USAGE, UNREADABLE, REFUSED, DISAGREED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
EPILOG = """\b
Exit codes:
  0  done
  1  unexpected error
  2  wrong usage
  3  a file that cannot be read or written, or sound that cannot be matched
  4  a plan, a preset or a setting refused
  5  --verify: an independent meter disagreed
  130  interrupted; no file was left half-written"""


class MainContext(click.Context):
    """Usage lines of the main job call it what people type: `match`, without a command."""

    @property
    def command_path(self) -> str:
        return "match"


class MainJob(click.Command):
    """The default command."""

    context_class = MainContext


@contextmanager
def loading() -> Iterator[None]:
    """Ctrl-C waits until the modules are loaded: a compiled one that is interrupted meanwhile aborts the process.

    So does the search for garbage, which finds none in modules and takes a fifth of the time.
    """
    import gc
    import signal

    from matcher.memory import keep_freed

    keep_freed()
    came: list[int] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if before[signal.SIGINT] is not signal.default_int_handler:  # whoever has set another knows what is to happen
        yield
        return
    for number in before:
        signal.signal(number, lambda number, frame: came.append(number))
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
        for number, handler in before.items():
            signal.signal(number, handler)
        if came:
            raise KeyboardInterrupt


def say(line: str) -> None:
    click.echo(f"match: {' '.join(line.split())}", err=True)


@contextmanager
def progress(shown: bool) -> Iterator[Callable[[str, float], None] | None]:
    """A bar on stderr for what takes longer than a second; none where stderr is no terminal."""
    if not shown or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

    bar = Progress(TextColumn("{task.description:8}"), BarColumn(), TaskProgressColumn(),
                   console=Console(stderr=True), transient=True)  # fmt: skip
    tasks: dict[str, Any] = {}
    started = time.monotonic()

    def stages(name: str, done: float) -> None:
        if name not in tasks:
            tasks[name] = bar.add_task(name, total=1.0)
        bar.update(tasks[name], completed=done)
        if not bar.live.is_started and time.monotonic() - started > BAR_AFTER_S:
            bar.start()

    try:
        yield stages
    finally:
        if bar.live.is_started:
            bar.stop()


def console(*, stderr: bool = False) -> Any:
    from rich.console import Console

    return Console(highlight=False, stderr=stderr)


@contextmanager
def going_on(folder: Path) -> Iterator[None]:
    """Ctrl-C in here leaves what is finished in `folder`, and says how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted; what is finished stays in {folder}, and the same command goes on from there")
        sys.exit(INTERRUPTED)


@contextmanager
def in_place(rendered: Rendered) -> Iterator[None]:
    """Ctrl-C in here comes after the file was written, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        say(f"interrupted, but {rendered.output} was written")
        sys.exit(INTERRUPTED)


def kind(rendered: Rendered) -> str:
    kind = rendered.format
    assert kind is not None
    left_out = f", without {', '.join(rendered.lost)}: no place for it" if rendered.lost else ""
    return f"{kind.container} {kind.bit_depth} bit{' float' if kind.is_float else ''}{left_out}"


def verified(target: Path, rendered: Rendered, made: Plan) -> None:
    from matcher.io import open_audio, resampled_length_samples
    from matcher.verifying import verify

    assert rendered.output is not None
    limiter = made.step("limiter")
    ceiling = limiter.settings.ceiling_dbtp if limiter is not None and limiter.enabled else None
    with open_audio(target) as audio:
        rate_hz = rendered.profile.sample_rate_hz
        length = resampled_length_samples(audio.length_samples, audio.sample_rate_hz, rate_hz)
    verify(rendered.output, rendered.profile, ceiling, length_samples=length)


def read_plan(path: Path) -> Plan:
    from dsp.errors import FileError, PlanError
    from matcher.plans import Plan

    try:
        text = path.read_bytes()
    except OSError as error:
        raise FileError(f"{path}: cannot be read ({error.strerror})") from error
    try:
        return Plan.from_json(text)
    except PlanError as error:
        raise PlanError(f"{path}: {error}") from error


def check_text(path: Path, force: bool, *, others: tuple[Path, ...]) -> None:
    """Refuse before any work what could not be written after it, or would replace one of `others`, forced or not."""
    import os

    from dsp.errors import FileError
    from matcher.io import shown

    name, folder = shown(path), path.parent
    if path.is_dir():
        raise FileError(f"{name}: is a folder; a file is needed")
    for other in others:
        linked = path.exists() and other.exists() and path.samefile(other)
        if linked or os.path.realpath(path) == os.path.realpath(other):
            raise FileError(f"{name}: is {shown(other)} itself; choose another name")
    if path.exists() and not force:
        raise FileError(f"{name}: exists already; choose another name, or force it")
    if not folder.is_dir():
        raise FileError(f"{name}: its folder {shown(folder)} does not exist")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{name}: its folder may not be written to")


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    import os

    from dsp.errors import FileError
    from matcher.io import hidden_beside

    temporary = hidden_beside(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # it is gone where all went well
            temporary.unlink()
