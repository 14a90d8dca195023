"""Options that several commands take, and the aims and references made of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from matcher.aims import Aims
    from matcher.blending import Blend
    from matcher.preset_choosing import Choice

DIMENSIONS = ("eq", "width", "dynamics", "loudness")


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


def _names(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return () if value is None else tuple(name.strip() for name in value.split(",") if name.strip())


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
    click.option("--dither", type=click.Choice(["tpdf", "shaped", "none"]), default="tpdf", show_default=True,
                 help="The noise under which integer files are rounded: white, or moved to where it is heard least."),
    click.option("--sample-rate", type=click.IntRange(8000, 384_000), default=None, metavar="HZ",
                 help="Rate of the result; the target's own by default."),
    click.option("--replaygain", is_flag=True, help="Tag the result with its own ReplayGain; the source's is dropped."),
    click.option("--verify", is_flag=True, help="Read the file again with other meters; to disagree is an error."),
    click.option("--threads", type=click.IntRange(1, 2), default=2, show_default=True, help="Changes no sample."),
    click.option("--json", "as_json", is_flag=True, help="The report as JSON on standard output."),
    click.option("--quiet", "-q", is_flag=True, help="Print nothing but errors."),
)  # fmt: skip
DELIVERY = (
    click.option("--for", "places", callback=_names, default=None, metavar="NAMES",
                 help="What becomes of the master at these: spotify, apple, youtube, tidal, amazon, soundcloud,"
                 " bandcamp, cd, vinyl, broadcast, podcast, club; with commas."),
    click.option("--deliver", "deliver_to", type=click.Path(path_type=Path), default=None, metavar="DIR",
                 help="Write a file for each of them, within its limits there and behind its codecs."),
    click.option("--codec-check", "codecs", callback=_names, default=None, metavar="CODECS",
                 help="Measure the master behind codecs: mp3:256, aac:256, opus:128, vorbis:192; with commas."),
)  # fmt: skip
WORKERS = (
    click.option("--jobs", "-j", type=click.IntRange(1, 256), default=1, show_default=True,
                 help="Tracks at once, one process each; changes no sample."),
    click.option("--scheduler", default=None, metavar="ADDRESS",
                 help="A Dask cluster does the work: tcp://HOST:PORT; it sees the same files at the same paths."),
)  # fmt: skip
PATH = click.Path(path_type=Path)
FROM = ("tone", "dynamics", "loudness")
REFERENCES = (
    click.argument("target", type=PATH),
    click.argument("reference", type=PATH, required=False, metavar="[REFERENCE]"),
    click.option("--reference", "-r", "references", type=PATH, multiple=True, metavar="FILE",
                 help="Another reference, as often as wanted: they are averaged."),
    click.option("--tone-from", type=PATH, multiple=True, metavar="FILE",
                 help="Tone and stereo width from this one instead; as often as wanted."),
    click.option("--dynamics-from", type=PATH, multiple=True, metavar="FILE",
                 help="Dynamics from this one instead; as often as wanted."),
    click.option("--loudness-from", type=PATH, multiple=True, metavar="FILE",
                 help="Loudness from this one instead; as often as wanted."),
    click.option("--preset", "-p", default=None, metavar="NAME|FILE.json",
                 help="A kind of music instead of tracks, as match learn made it; match presets lists them."),
)  # fmt: skip


def with_options(*groups: tuple[Callable[..., Any], ...]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Several groups of options at once, in the order given."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed([option for group in groups for option in group]):
            function = option(function)
        return function

    return decorate


def reference_of(options: dict[str, Any]) -> Blend | Choice:
    """The references taken out of `options`, or the presets to choose from: all where nothing is named.

    A usage error where a dimension is left without a reference, or tracks and a preset are named.
    """
    given, preset = options.pop("reference"), options.pop("preset")
    others = ((given,) if given is not None else ()) + options.pop("references")
    own = {f"{name}_from": options.pop(f"{name}_from") for name in FROM}
    missing = [name for name in FROM if not own[f"{name}_from"]]
    tracks = bool(others) or len(missing) < len(FROM)
    if preset is not None and tracks:
        raise click.UsageError("--preset is a reference of its own: name it without any track beside the target")
    if tracks and missing and not others:
        raise click.UsageError(
            f"no reference for {' and '.join(missing)}: name one after the target or with --reference, or give"
            " --tone-from, --dynamics-from and --loudness-from"
        )
    if tracks:
        from matcher.blending import Blend

        return Blend(others, **own)
    return choice_of(preset)


def choice_of(preset: str | None) -> Choice:
    """The preset of a name, or all of them where there is none."""
    from matcher import preset_store
    from matcher.preset_choosing import Choice

    stored = preset_store.every() if preset is None else [preset_store.find(preset)]
    return Choice(tuple(each.preset for each in stored))


def aims_of(options: dict[str, Any]) -> Aims:
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


def files(reference: Blend | Choice) -> list[Path]:
    """The tracks among the references."""
    return [source for source in getattr(reference, "sources", ()) if isinstance(source, Path)]


def depth(options: dict[str, Any]) -> int | None:
    return None if options["bit_depth"] is None else int(options["bit_depth"])
