"""One job from start to end, in a process of its own: what the page shows afterwards lies in the job's result folder.

    match, render: master.wav (32-bit float), plan.json, report.html, view.json
    album: masters/NAME.wav, album.json
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from dsp.errors import MatchError
from matcher.aims import Aims
from matcher.albums import album
from matcher.analysis import analyze
from matcher.blending import Blend, as_blend, measured
from matcher.distance import gap
from matcher.io import open_audio
from matcher.matching import match
from matcher.mending import Mended
from matcher.page.writing import report_page
from matcher.plans import Plan
from matcher.preset_choosing import Choice
from matcher.rendering import render
from matcher.reporting import Report
from matcher.serve.describing import view
from matcher.serve.presets import choice_of
from matcher.serve.store import Job, Store

Tell = Callable[[str, float], None]
"""Stage and the share of it that is done."""
FASTEST_S = 0.1
"""Progress is told no more often than this."""


def work(folder: str, identity: str, send: Callable[[tuple[str, object]], None], parent: int) -> None:
    """Do a job and send ("progress", (stage, share)), and at the end ("done", None) or ("failed", message)."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    store = Store(Path(folder))
    last = (0.0, "")

    def tell(stage: str, share: float) -> None:
        nonlocal last
        now = time.monotonic()
        if stage != last[1] or now - last[0] > FASTEST_S or share >= 1.0:
            last = (now, stage)
            send(("progress", (stage, share)))

    try:
        job = store.job(identity)
        scratch = store.scratch(identity)
        {"match": _match, "render": _render, "album": _album}[job.kind](store, job, scratch, tell)
        os.replace(scratch, store.result(identity))
        send(("done", None))
    except MatchError as error:
        store.tidy(identity)
        send(("failed", _plain(str(error), store.folder)))
    except Exception as error:  # the page has to say something; the traceback goes to the terminal
        store.tidy(identity)
        send(("failed", f"unexpected {type(error).__name__}: {error}"))
        raise


def _end_with(parent: int) -> None:
    """Nobody waits for the work of a server that was killed, and the next one starts it anew."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def _match(store: Store, job: Job, folder: Path, tell: Tell) -> None:
    target = store.sound_path(job.targets[0])
    report = match(
        target,
        _reference(store, job),
        folder / "master.wav",
        aims=msgspec.convert(job.aims, Aims),
        bit_depth=32,
        stages=tell,
    )
    _put(store, job, folder, report, target)


def _render(store: Store, job: Job, folder: Path, tell: Tell) -> None:
    """A plan that was changed in the page, over the whole track."""
    started = time.perf_counter()
    plan = Plan.from_json((store.jobs / job.id / "plan.json").read_bytes())
    target = store.sound_path(job.targets[0])
    with open_audio(target) as original:
        sound = Mended.of(original, plan.repairs) if plan.repairs.active() else original
        asked = _reference(store, job)
        if isinstance(asked, Blend):
            before, goal = measured(sound, asked, progress=lambda share: tell("analyze", share))
        else:
            before = analyze(sound)
            goal = asked.nearest(before)
        output = folder / "master.wav"
        rendered = render(sound, plan, output, bit_depth=32, progress=lambda share: tell("render", share))
    report = Report(
        plan=plan,
        before=before,
        after=rendered.profile,
        reference=goal,
        gap_before=gap(before, goal),
        gap_after=gap(rendered.profile, goal),
        rendered=rendered,
        seconds=time.perf_counter() - started,
    )
    _put(store, job, folder, report, target)


def _put(store: Store, job: Job, folder: Path, report: Report, target: Path) -> None:
    (folder / "plan.json").write_text(report.plan.to_json(), encoding="utf-8")
    heard = store.sound_path(job.references[0]) if job.references else None
    page = report_page(report, target, folder / "master.wav", heard)
    (folder / "report.html").write_text(page, encoding="utf-8")
    (folder / "view.json").write_bytes(msgspec.json.encode(view(report)))


def _album(store: Store, job: Job, folder: Path, tell: Tell) -> None:
    tracks = [store.sound_path(identity) for identity in job.targets]
    rounds = {"done": 0}

    def one_after_the_other(function: Callable[[object], object], items: object) -> object:
        """The album's loop, telling how far it is: it goes over the tracks to measure, to plan, and to render."""
        todo = list(items)  # type: ignore[call-overload]
        stage = ("analyze", "plan", "render")[min(rounds["done"], 2)]
        rounds["done"] += 1
        for number, item in enumerate(todo):
            tell(stage, number / len(todo))
            try:
                yield item, function(item)
            except MatchError as error:
                yield item, error
        tell(stage, 1.0)

    report = album(
        store.sound_path(job.references[0]),
        tracks,
        folder / "masters",
        levels="even" if job.levels == "even" else "keep",
        aims=msgspec.convert(job.aims, Aims),
        map=one_after_the_other,  # type: ignore[arg-type]
    )
    data = report.to_dict()
    for made in data["tracks"]:
        made["output"] = Path(made["output"]).name
    (folder / "album.json").write_bytes(msgspec.json.encode(data))


def _reference(store: Store, job: Job) -> Blend | Choice:
    if job.preset is not None:
        return choice_of(job.preset)
    return as_blend([store.sound_path(identity) for identity in job.references])


def _plain(said: str, folder: Path) -> str:
    """The message without where this machine keeps things."""
    words = said.split(f"{folder}/files/")
    return words[0] + "".join(rest.partition("/")[2] for rest in words[1:])
