"""`match inspect` and `match restore`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from matcher.commands.options import PATH, WRITING, depth, with_options
from matcher.commands.terminal import in_place, kind, loading, progress, verified


@click.command()
@click.argument("files", type=PATH, nargs=-1, required=True, metavar="FILE...")
@click.option("--strong", is_flag=True, help="Believe weaker signs too.")
@click.option("--json", "as_json", is_flag=True, help="A JSON list with every event and setting.")
@click.option("--no-cache", is_flag=True, help="Search again what was searched before.")
def inspect(files: tuple[Path, ...], strong: bool, as_json: bool, no_cache: bool) -> None:
    """Look for damage: what, where, how bad, and what would be done."""
    with loading():
        from matcher import inspect as search

    with progress(not as_json) as stages:
        found = []
        for file in files:
            tell = None if stages is None else lambda done, name=file.name: stages(name, done)
            found.append(search(file, strong=strong, use_cache=not no_cache, progress=tell))
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


@click.command()
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
    with loading():
        from matcher import restore as mend
        from matcher.io import shown

    with progress(not options["quiet"] and not options["as_json"]) as stages:
        restored = mend(
            target,
            output,
            only=only,
            strong=strong,
            noise_from_s=_span(noise_from),
            residual=residual,
            force=options["force"],
            bit_depth=depth(options),
            sample_rate_hz=options["sample_rate"],
            dither=options["dither"],
            replay_gain=options["replaygain"],
            threads=options["threads"],
            stages=stages,
        )
    with in_place(restored.rendered):
        if options["verify"]:
            verified(target, restored.rendered, restored.plan)
        if options["as_json"]:
            data = {"damage": restored.damage.to_dict(), "result": restored.rendered.profile.summary()}
            click.echo(json.dumps(data | {"output": str(output)}, indent=2, ensure_ascii=False))
        elif not options["quiet"]:
            _print_damage(restored.damage)
            gain = restored.plan.step("gain")
            if gain is not None:
                click.echo(f"{restored.damage.name}: gain: {gain.settings.gain_db:+.2f} dB. {gain.because}")
            click.echo(f"{shown(output)} ({kind(restored.rendered)})")


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
