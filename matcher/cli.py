"""The command line: parse, one library call, print. Everything heavy is imported when it is needed."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from matcher.aims import Aims
    from matcher.blending import Blend
    from matcher.plans import Plan
    from matcher.rendering import Rendered

DONE, UNEXPECTED, USAGE, UNREADABLE, REFUSED, DISAGREED, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130
DIMENSIONS = ("eq", "width", "dynamics", "loudness")
EPILOG = """\b
Exit codes:
  0  done
  1  unexpected error
  2  wrong usage
  3  a file that cannot be read or written, or sound that cannot be matched
  4  a plan or a setting refused
  5  --verify: an independent meter disagreed
  130  interrupted; nothing was written"""


class MainContext(click.Context):
    """Usage lines of the main job call it what people type: `match`, without a command."""

    @property
    def command_path(self) -> str:
        return "match"


class MainJob(click.Command):
    """The default command."""

    context_class = MainContext


class MainFirst(click.Group):
    """A group whose first argument may be left out: what is no command's name is the main job's target."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.list_commands(ctx) and args[0] not in ("--help", "-h", "--version"):
            args = ["master", *args]
        return super().parse_args(ctx, args)

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_usage("match", "TARGET REFERENCE [OPTIONS]")
        formatter.write_usage("match", "COMMAND ...", prefix="       ")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        main = self.commands["master"]
        records = [r for p in main.get_params(ctx) if (r := p.get_help_record(ctx)) is not None]
        with formatter.section("Options"):
            formatter.write_dl([*records, ("--version", "Show the version and exit.")])
        self.format_commands(ctx, formatter)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for name in self.commands if name != "master"]


def main() -> None:
    """Entry point of `match`: runs the command and turns every deliberate error into one line and an exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that knows no "±" shows "?", and the work goes on
            stream.reconfigure(errors="replace")
    try:
        code = cli.main(prog_name="match", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else DONE)
    except click.exceptions.Abort:
        _say("interrupted, nothing was written")
        sys.exit(INTERRUPTED)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        _say("interrupted, nothing was written")
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # The reader of our output has gone; there is nobody left to tell.
        sys.stderr.close()
        sys.exit(UNEXPECTED)
    except Exception as error:
        sys.exit(_refusal(error))


@contextmanager
def _loading() -> Iterator[None]:
    """Ctrl-C waits until the modules are loaded: a compiled one that is interrupted meanwhile aborts the process."""
    import signal

    came: list[int] = []
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:  # whoever has set another handler knows what is to happen
        yield
        return
    signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        if came:
            raise KeyboardInterrupt


def _refusal(error: Exception) -> int:
    """Print a deliberate error on one line; anything else is a fault of ours and is shown in full."""
    from dsp.errors import MatchError, PlanError, SettingsError

    if not isinstance(error, MatchError):
        raise error
    _say(str(error))
    if type(error).__name__ == "DisagreementError":
        return DISAGREED
    return REFUSED if isinstance(error, PlanError | SettingsError) else UNREADABLE


def _say(line: str) -> None:
    click.echo(f"match: {' '.join(line.split())}", err=True)


def _belief(ctx: click.Context, param: click.Parameter, value: str) -> float | None:
    if value == "auto":
        return None
    try:
        number = float(value)
    except ValueError:
        number = -1.0
    if not 0.0 <= number <= 1.0:
        raise click.BadParameter(f"{value!r} is neither auto nor a number from 0 to 1")
    return number


def _only(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    names = DIMENSIONS if value is None else tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in DIMENSIONS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(DIMENSIONS)}")
    return names


SHARE = click.FloatRange(0.0, 1.0)
AIMS = (
    click.option("--ceiling", type=click.FloatRange(-30.0, 0.0), default=-1.0, show_default=True, metavar="DBTP",
                 help="No true peak above this."),
    click.option("--loudness", type=click.FloatRange(-60.0, 0.0), default=None, metavar="LUFS",
                 help="Integrated loudness to reach, instead of the reference's."),
    click.option("--max-limiting", type=click.FloatRange(0.0, 24.0), default=10.0, show_default=True, metavar="DB",
                 help="The limiter takes less than this for 95 % of the time; loudness is given up for it."),
    click.option("--amount", type=SHARE, default=1.0, show_default=True, help="How much of the planned move is made."),
    click.option("--eq", type=SHARE, default=1.0, help="The same for tone alone."),
    click.option("--width", type=SHARE, default=1.0, help="The same for stereo width alone."),
    click.option("--dynamics", type=SHARE, default=1.0, help="The same for compression alone."),
    click.option("--belief", callback=_belief, default="auto", show_default=True, metavar="auto|0..1",
                 help="How much of a difference is taken for mastering, not for music; 1 matches everything."),
    click.option("--only", callback=_only, default=None, metavar="NAMES",
                 help="Nothing but these: eq, width, dynamics, loudness, with commas."),
    click.option("--restore", type=click.Choice(["auto", "off", "strong"]), default="auto", show_default=True,
                 help="Mend damage first: where it is sure, not at all, or on weaker signs too."),
    click.option("--no-limiter", is_flag=True, help="No limiter: loudness ends where the peaks meet the ceiling."),
    click.option("--no-cache", is_flag=True, help="Analyse again what was analysed before."),
)  # fmt: skip
WRITING = (
    click.option("--force", is_flag=True, help="Replace an output that exists."),
    click.option("--bit-depth", type=click.Choice(["16", "24", "32"]), default=None,
                 help="16 and 24 are integers, 32 is floating point; the target's own by default."),
    click.option("--sample-rate", type=click.IntRange(8000, 384_000), default=None, metavar="HZ",
                 help="Rate of the result; the target's own by default."),
    click.option("--verify", is_flag=True, help="Read the file again with other meters; to disagree is an error."),
    click.option("--threads", type=click.IntRange(1, 2), default=2, show_default=True, help="Changes no sample."),
    click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output."),
    click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
)  # fmt: skip
PATH = click.Path(path_type=Path)
FROM = ("tone", "dynamics", "loudness")
REFERENCES = (
    click.argument("target", type=PATH),
    click.argument("reference", type=PATH, required=False, metavar="REFERENCE"),
    click.option("--reference", "-r", "references", type=PATH, multiple=True, metavar="FILE",
                 help="Another reference, as often as wanted: they are averaged."),
    click.option("--tone-from", type=PATH, multiple=True, metavar="FILE",
                 help="Tone and stereo width from this one instead; as often as wanted."),
    click.option("--dynamics-from", type=PATH, multiple=True, metavar="FILE",
                 help="Dynamics from this one instead; as often as wanted."),
    click.option("--loudness-from", type=PATH, multiple=True, metavar="FILE",
                 help="Loudness from this one instead; as often as wanted."),
)  # fmt: skip


def with_options(*groups: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Several groups of options at once, in the order given."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


def _blend(options: dict[str, Any]) -> Blend:
    """The references taken out of `options`; a usage error where a dimension is left without one."""
    given = options.pop("reference")
    others = ((given,) if given is not None else ()) + options.pop("references")
    own = {f"{name}_from": options.pop(f"{name}_from") for name in FROM}
    missing = [name for name in FROM if not own[f"{name}_from"]]
    if missing and not others:
        said = "no reference" if len(missing) == len(FROM) else f"no reference for {' and '.join(missing)}"
        raise click.UsageError(
            f"{said}: name one after the target or with --reference, or give --tone-from, --dynamics-from and"
            " --loudness-from"
        )
    from matcher.blending import Blend

    return Blend(others, **own)


def _aims(options: dict[str, Any]) -> Aims:
    """The aims options taken out of `options`."""
    from matcher.aims import Aims

    only = options.pop("only")
    shares: dict[str, Any] = {name: options.pop(name) for name in ("eq", "width", "dynamics")} | {"loudness": 1.0}
    return Aims(
        ceiling_dbtp=options.pop("ceiling"),
        loudness_lufs=options.pop("loudness"),
        max_limiting_db=options.pop("max_limiting"),
        amount=options.pop("amount"),
        belief=options.pop("belief"),
        restore=options.pop("restore"),
        limiter=not options.pop("no_limiter"),
        **{name: share if name in only else 0.0 for name, share in shares.items()},
    )


@contextmanager
def _progress(shown: bool) -> Iterator[Callable[[str, float], None] | None]:
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
        if not bar.live.is_started and time.monotonic() - started > 1.0:
            bar.start()

    try:
        yield stages
    finally:
        if bar.live.is_started:
            bar.stop()


@click.group(cls=MainFirst, epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="match-master", prog_name="match")
def cli() -> None:
    """Turn a finished mix into a master that belongs beside a reference.

    TARGET is the mix, REFERENCE the record it shall stand beside; with --reference there may be several. The master is
    written to NAME-mastered.wav beside the target, or to --output.
    """


@cli.command(cls=MainJob, epilog=EPILOG)
@with_options(REFERENCES)
@click.option("--output", "-o", type=PATH, default=None, help="Where the master goes: .wav, .flac or .aiff.")
@click.option("--plan", "plan_path", type=PATH, default=None, help="Also write the plan, as JSON that can be edited.")
@click.option("--residual", type=PATH, default=None, help="Also write what the repairs took out, as a float WAV.")
@with_options(AIMS, WRITING)
def master(target: Path, output: Path | None, plan_path: Path | None, residual: Path | None, **options: Any) -> None:
    """Master TARGET to belong beside REFERENCE (the default command)."""
    with _loading():
        reference = _blend(options)
        from matcher import match
        from matcher.io import default_output, shown

    aims = _aims(options)
    if plan_path is not None:
        _check_text(plan_path, options["force"], others=(target, *_files(reference), output or default_output(target)))
    with _progress(not options["quiet"] and not options["as_json"]) as stages:
        report = match(
            target,
            reference,
            output,
            aims=aims,
            force=options["force"],
            bit_depth=_depth(options),
            sample_rate_hz=options["sample_rate"],
            threads=options["threads"],
            use_cache=not options["no_cache"],
            residual=residual,
            stages=stages,
        )
    with _in_place(report.rendered):
        if plan_path is not None:
            _write_text(plan_path, report.plan.to_json())
        if options["verify"]:
            _verified(target, report.rendered, report.plan)
        if options["as_json"]:
            click.echo(report.to_json(), nl=False)
        elif not options["quiet"]:
            report.print_to(_console())
            click.echo(f"{shown(output or default_output(target))} ({_kind(report.rendered)}, {report.seconds:.1f} s)")


@cli.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with every figure.")
@click.option("--music", is_flag=True, help="Tempo, key and form too, by librosa (seconds a track).")
@click.option("--no-cache", is_flag=True, help="Analyse again what was analysed before.")
def analyze(files: tuple[Path, ...], as_json: bool, music: bool, no_cache: bool) -> None:
    """Measure files: loudness, peaks, dynamics, tone and width."""
    with _loading():
        from matcher import analyze as measure

    with _progress(not as_json) as stages:
        profiles = []
        for file in files:
            progress = None if stages is None else lambda done, name=file.name: stages(name, done)
            profiles.append(measure(file, use_cache=not no_cache, progress=progress))
    pieces: list[dict[str, Any]] = [{} for _ in files]
    if music:
        from matcher.music import listen

        pieces = [{"music": listen(file).summary()} for file in files]
    if as_json:
        data = [profile.summary() | piece for profile, piece in zip(profiles, pieces, strict=True)]
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
        return
    from matcher.reporting import print_profiles

    print_profiles(profiles, _console())
    for profile, piece in zip(profiles, pieces, strict=True):
        for name, value in piece.get("music", {}).items():
            click.echo(f"{profile.name}: {name} {value}")


@cli.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--strong", is_flag=True, help="Believe weaker signs too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with every event and setting.")
@click.option("--no-cache", is_flag=True, help="Search again what was searched before.")
def inspect(files: tuple[Path, ...], strong: bool, as_json: bool, no_cache: bool) -> None:
    """Look for damage: what, where, how bad, and what would be done."""
    with _loading():
        from matcher import inspect as search

    with _progress(not as_json) as stages:
        found = []
        for file in files:
            progress = None if stages is None else lambda done, name=file.name: stages(name, done)
            found.append(search(file, strong=strong, use_cache=not no_cache, progress=progress))
    if as_json:
        click.echo(json.dumps([damage.to_dict() for damage in found], indent=2, ensure_ascii=False))
        return
    for damage in found:
        _print_damage(damage)


def _kinds(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    if value is None:
        return None
    from matcher.damage import KINDS

    names = tuple(name.strip() for name in value.split(","))
    for name in names:
        if name not in KINDS:
            raise click.BadParameter(f"{name!r} is not one of {', '.join(KINDS)}")
    return names


@cli.command()
@click.argument("target", type=PATH)
@click.option("--output", "-o", type=PATH, required=True, help="Where the repaired sound goes: .wav, .flac or .aiff.")
@click.option("--only", callback=_kinds, default=None, metavar="NAMES",
              help="Nothing but these repairs, by the names that `match inspect` prints, with commas.")
@click.option("--strong", is_flag=True, help="Believe weaker signs too.")
@click.option("--noise-from", type=str, default=None, metavar="START-END",
              help="Seconds that hold nothing but the noise to be reduced.")
@click.option("--residual", type=PATH, default=None, help="Also write what was taken out, as a float WAV.")
@with_options(WRITING)
def restore(
    target: Path,
    output: Path,
    only: tuple[str, ...] | None,
    strong: bool,
    noise_from: str | None,
    residual: Path | None,
    **options: Any,
) -> None:
    """Mend TARGET and do nothing else to it."""
    with _loading():
        from matcher import restore as mend
        from matcher.io import shown

    with _progress(not options["quiet"] and not options["as_json"]) as stages:
        restored = mend(
            target,
            output,
            only=only,
            strong=strong,
            noise_from_s=_span(noise_from),
            residual=residual,
            force=options["force"],
            bit_depth=_depth(options),
            sample_rate_hz=options["sample_rate"],
            threads=options["threads"],
            stages=stages,
        )
    with _in_place(restored.rendered):
        if options["verify"]:
            _verified(target, restored.rendered, restored.plan)
        if options["as_json"]:
            data = {"damage": restored.damage.to_dict(), "result": restored.rendered.profile.summary()}
            click.echo(json.dumps(data | {"output": str(output)}, indent=2, ensure_ascii=False))
        elif not options["quiet"]:
            _print_damage(restored.damage)
            click.echo(f"{shown(output)} ({_kind(restored.rendered)})")


def _span(text: str | None) -> tuple[float, float] | None:
    """START-END in seconds."""
    if text is None:
        return None
    try:
        first, last = (float(part) for part in text.split("-"))
    except ValueError:
        first, last = 0.0, 0.0
    if not 0.0 <= first < last:
        raise click.BadParameter(f"{text!r} is not START-END in seconds, as 0.5-2", param_hint="--noise-from")
    return first, last


def _print_damage(damage: Any) -> None:
    """One line for each kind of damage, or one that says there is none."""
    if not damage.findings:
        click.echo(f"{damage.name}: no damage found")
    for finding in damage.findings:
        click.echo(f"{damage.name}: {finding.kind}: {finding.said}{'' if finding.repair else '; would be left alone'}")


@cli.command()
@with_options(REFERENCES)
@click.option("--output", "-o", type=PATH, required=True, help="Where the plan goes.")
@click.option("--force", is_flag=True, help="Replace a plan that exists.")
@click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors.")
@with_options(AIMS)
def plan(target: Path, output: Path, force: bool, quiet: bool, **options: Any) -> None:
    """Fit a plan and write it as JSON; render it, edited or not, with `match render`."""
    with _loading():
        reference = _blend(options)
        from matcher import plan as fit

    aims = _aims(options)
    _check_text(output, force, others=(target, *_files(reference)))
    with _progress(not quiet) as stages:
        made = fit(target, reference, aims, use_cache=not options["no_cache"], stages=stages)
    _write_text(output, made.to_json())
    if not quiet:
        from matcher.io import shown
        from matcher.reporting import print_plan

        print_plan(made, _console())
        click.echo(shown(output))


@cli.command()
@click.argument("target", type=PATH)
@click.argument("plan_file", type=PATH, metavar="PLAN")
@click.option("--output", "-o", type=PATH, default=None, help="Where the master goes: .wav, .flac or .aiff.")
@with_options(WRITING)
def render(target: Path, plan_file: Path, output: Path | None, **options: Any) -> None:
    """Render TARGET through a PLAN that `match plan` or a person has written."""
    with _loading():
        from matcher import render as make
        from matcher.io import content_hash, default_output, shown

    output = output or default_output(target)
    made = _read_plan(plan_file)
    if content_hash(target) != made.target.content_hash:
        who = f"{made.target.name}, not for {shown(target.name)}"
        _say(f"{shown(plan_file)}: was made for {who}; rendering all the same")
    with _progress(not options["quiet"] and not options["as_json"]) as stages:
        rendered = make(
            target,
            made,
            output,
            force=options["force"],
            bit_depth=_depth(options),
            sample_rate_hz=options["sample_rate"],
            threads=options["threads"],
            progress=None if stages is None else lambda done: stages("render", done),
        )
    with _in_place(rendered):
        if options["verify"]:
            _verified(target, rendered, made)
    if options["as_json"]:
        data = {"result": rendered.profile.summary(), "output": str(rendered.output)}
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))
    elif not options["quiet"]:
        from matcher.reporting import print_profiles

        print_profiles([rendered.profile], _console())
        click.echo(f"{shown(output)} ({_kind(rendered)})")


def _files(reference: Blend) -> list[Path]:
    return [source for source in reference.sources if isinstance(source, Path)]


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)


def _depth(options: dict[str, Any]) -> int | None:
    return None if options["bit_depth"] is None else int(options["bit_depth"])


@contextmanager
def _in_place(rendered: Rendered) -> Iterator[None]:
    """Ctrl-C in here comes after the file was written, and says so."""
    try:
        yield
    except KeyboardInterrupt:
        _say(f"interrupted, but {rendered.output} was written")
        sys.exit(INTERRUPTED)


def _kind(rendered: Rendered) -> str:
    kind = rendered.format
    assert kind is not None
    return f"{kind.container} {kind.bit_depth} bit{' float' if kind.is_float else ''}"


def _verified(target: Path, rendered: Rendered, made: Plan) -> None:
    from matcher.io import open_audio, resampled_length_samples
    from matcher.verifying import verify

    assert rendered.output is not None
    limiter = made.step("limiter")
    ceiling = limiter.settings.ceiling_dbtp if limiter is not None and limiter.enabled else None
    with open_audio(target) as audio:
        rate_hz = rendered.profile.sample_rate_hz
        length = resampled_length_samples(audio.length_samples, audio.sample_rate_hz, rate_hz)
    verify(rendered.output, rendered.profile, ceiling, length_samples=length)


def _read_plan(path: Path) -> Plan:
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


def _check_text(path: Path, force: bool, *, others: tuple[Path, ...]) -> None:
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
            raise FileError(f"{name}: is the sound {shown(other)} itself; choose another name for the plan")
    if path.exists() and not force:
        raise FileError(f"{name}: exists already; choose another name, or force it")
    if not folder.is_dir():
        raise FileError(f"{name}: its folder {shown(folder)} does not exist")
    if not os.access(folder, os.W_OK):
        raise FileError(f"{name}: its folder may not be written to")


def _write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    import os
    import secrets

    from dsp.errors import FileError

    temporary = path.with_name(f".{secrets.token_hex(8)}{path.suffix}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    except OSError as error:
        raise FileError(f"{path}: cannot be written ({error.strerror})") from error
    finally:
        with suppress(OSError):  # it is gone where all went well
            temporary.unlink()
