"""The command line: the main job is the default command; what goes wrong is one line and an exit code."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
import threading
from io import TextIOWrapper
from types import FrameType

import click
from click.shell_completion import CompletionItem

from matcher.commands.albums import album
from matcher.commands.batches import batch
from matcher.commands.delivery import deliver
from matcher.commands.exporting import export
from matcher.commands.listening import analyze
from matcher.commands.mastering import master, plan, render
from matcher.commands.presets import learn, presets
from matcher.commands.restoration import inspect, restore
from matcher.commands.serving import serve
from matcher.commands.terminal import DISAGREED, DONE, EPILOG, INTERRUPTED, REFUSED, UNEXPECTED, UNREADABLE, say


class MainFirst(click.Group):
    """A group whose first argument may be left out: what is no command's name is the main job's target."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.list_commands(ctx) and args[0] not in ("--help", "-h", "--version"):
            args = ["master", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("match", "TARGET [REFERENCE] [OPTIONS]")
        formatter.write_usage("match", "COMMAND ...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        main = self.commands["master"]
        options = (p for p in main.get_params(ctx) if isinstance(p, click.Option))
        records = [record for p in options if (record := p.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl([*records, ("--version", "Show the version and exit.")])
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        found = super().shell_complete(ctx, incomplete)
        return found if incomplete.startswith("-") else [*found, CompletionItem(incomplete, type="file")]

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self.commands if name != "master"]


# The threads of a matrix library wait for the next product by spinning: all products here are small, and the waiting
# cost as much as the work. To be said before NumPy is loaded; who has said otherwise is heard.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def main() -> None:
    """Entry point of `match`: runs the command and turns every deliberate error into one line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that knows no "±" shows "?", and the work goes on
            stream.reconfigure(errors="replace")
    gc.set_threshold(50_000)  # loading modules leaves no garbage: to look for it costs a twentieth of a short match
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _stop)  # whoever asks for an end gets one as tidy as after Ctrl-C
    try:
        code = cli.main(prog_name="match", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else DONE)
    except click.exceptions.Abort:
        say("interrupted, nothing was written")
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        say("interrupted, nothing was written")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(UNEXPECTED)
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            sys.exit(_refusal(error))
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would fail again at the end
        say(f"standard output: cannot be written ({os.strerror(errno.ENOSPC).lower()})")
        sys.exit(UNREADABLE)
    except Exception as error:
        sys.exit(_refusal(error))


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _refusal(error: Exception) -> int:
    """Print a deliberate error on one line; anything else is a fault of ours and is shown in full."""
    from dsp.errors import MatchError, PlanError, PresetError, SettingsError

    if not isinstance(error, MatchError):
        raise error
    say(str(error))
    if type(error).__name__ == "DisagreementError":
        return DISAGREED
    return REFUSED if isinstance(error, PlanError | PresetError | SettingsError) else UNREADABLE


@click.group(cls=MainFirst, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="match-master", prog_name="match")
def cli() -> None:
    """Turn a finished mix into a master that belongs beside a reference.

    TARGET is the mix, REFERENCE the record it shall stand beside; with --reference there may be several, with --preset
    it is a kind of music, and without any the nearest preset. The master is written to NAME-mastered.wav beside the
    target, or to --output.
    """


for command in (master, analyze, plan, render, inspect, restore, deliver, album, batch, learn, presets, export, serve):
    cli.add_command(command)
