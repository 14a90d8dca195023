"""What the browser can ask for: every route, and errors as one line of JSON."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import anyio
import msgspec
import numpy as np
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from dsp.errors import FileError, MatchError, SettingsError
from matcher.aims import Aims
from matcher.delivery.destinations import DESTINATIONS
from matcher.plans import Plan
from matcher.serve import presets
from matcher.serve.describing import controls
from matcher.serve.exports import CONTAINERS, export, export_for
from matcher.serve.guard import Guard
from matcher.serve.queue import Queue
from matcher.serve.store import SUFFIXES, Job, Store
from matcher.serve.uploads import LARGEST_BYTES, TooLargeError, take_in
from matcher.serve.windows import LONGEST_S, RATE_HZ, Renderer, Window, check_stretch, heard
from matcher.version import VERSION

MOST_JSON_BYTES = 4 * 1024 * 1024
MOST_TRACKS = 100
REPORT_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; media-src data:; img-src data:"
STATIC = Path(str(resources.files("matcher.serve") / "static"))


def make_app(
    store: Store, queue: Queue, *, token: str, hosts: Iterable[str], largest_bytes: int = LARGEST_BYTES
) -> Starlette:
    """The page as an ASGI application, behind its guard; the queue runs while it does."""

    @contextlib.asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        queue.start()
        try:
            yield
        finally:
            await run_in_threadpool(queue.close)

    page = Page(store, queue, largest_bytes)
    return Starlette(
        routes=page.routes(),
        lifespan=living,
        middleware=[Middleware(Guard, token=token, hosts=hosts)],
        exception_handlers={MatchError: _refused, msgspec.MsgspecError: _refused},
    )


class Page:
    """The handlers."""

    def __init__(self, store: Store, queue: Queue, largest_bytes: int) -> None:
        self.store, self.queue, self.largest_bytes = store, queue, largest_bytes
        self.renderer = Renderer()
        self.one_render = anyio.CapacityLimiter(1)

    def routes(self) -> list[Any]:
        job = "/api/jobs/{job}"
        return [
            Route("/", self.index),
            Route("/api/state", self.state),
            Route("/api/controls", self.controls),
            Route("/api/files", self.upload, methods=["POST"]),
            Route("/api/jobs", self.add, methods=["POST"]),
            Route(job, self.view),
            Route(job, self.remove, methods=["DELETE"]),
            Route(f"{job}/cancel", self.cancel, methods=["POST"]),
            Route(f"{job}/again", self.again, methods=["POST"]),
            Route(f"{job}/keep", self.keep, methods=["POST"]),
            Route(f"{job}/renders", self.add_render, methods=["POST"]),
            Route(f"{job}/sound/{{track}}", self.sound),
            Route(f"{job}/section", self.section, methods=["POST"]),
            Route(f"{job}/plan", self.plan),
            Route(f"{job}/report", self.report),
            Route(f"{job}/exports", self.export, methods=["POST"]),
            Route(f"{job}/exports/{{name}}", self.exported),
            Route(f"{job}/masters/{{number:int}}", self.album_master),
            Mount("/static", StaticFiles(directory=STATIC)),
        ]

    async def index(self, request: Request) -> Response:
        return FileResponse(STATIC / "index.html")

    async def state(self, request: Request) -> Response:
        jobs = await run_in_threadpool(self.store.all_jobs)
        return JSONResponse(
            {
                "version": VERSION,
                "jobs": [self._told(job) for job in jobs],
                "presets": presets.names(),
                "suffixes": SUFFIXES,
                "largest_bytes": self.largest_bytes,
                "containers": CONTAINERS,
                "destinations": [{"name": place.name, "title": place.title} for place in DESTINATIONS],
                "rate_hz": RATE_HZ,
                "longest_s": LONGEST_S,
            }
        )

    async def controls(self, request: Request) -> Response:
        return JSONResponse(await run_in_threadpool(controls))

    async def upload(self, request: Request) -> Response:
        name = request.query_params.get("name", "")
        length = request.headers.get("content-length", "0")
        announced = int(length) if length.isdigit() else 0
        sound = await take_in(
            self.store, name, request.stream(), largest_bytes=self.largest_bytes, announced_bytes=announced
        )
        return _json(sound)

    async def add(self, request: Request) -> Response:
        asked = msgspec.convert(await _body(request), _Asked)
        job = await run_in_threadpool(self._checked, asked)
        return _json(await run_in_threadpool(self.queue.add, job))

    def _checked(self, asked: _Asked) -> Job:
        if asked.preset is not None:
            presets.choice_of(asked.preset)
        elif not asked.references:
            raise SettingsError("references: none is given; a reference or a preset is needed")
        most = MOST_TRACKS if asked.kind == "album" else 1
        if not 1 <= len(asked.targets) <= most:
            raise SettingsError(f"targets: {len(asked.targets)} are given, allowed are 1 to {most} here")
        msgspec.convert(asked.aims, Aims)
        names = [self.store.sound(identity).name for identity in (*asked.targets, *asked.references)]
        beside = f"the {asked.preset.strip('/')} preset" if asked.preset else names[len(asked.targets)]
        who = names[0] if asked.kind == "match" else f"{len(asked.targets)} tracks"
        return Job(
            id="", created=0.0, kind=asked.kind, targets=asked.targets, references=asked.references,
            preset=asked.preset, aims=asked.aims, levels=asked.levels, title=f"{who} beside {beside}",
        )  # fmt: skip

    async def view(self, request: Request) -> Response:
        job = self._job(request)
        told = self._told(job)
        if job.status == "done":
            result = self.store.result(job.id)
            if job.kind == "album":
                told["album"] = msgspec.json.decode((result / "album.json").read_bytes())
            else:
                told["view"] = msgspec.json.decode((result / "view.json").read_bytes())
                told["plan"] = msgspec.json.decode((result / "plan.json").read_bytes())
        return JSONResponse(told)

    async def remove(self, request: Request) -> Response:
        await run_in_threadpool(self.queue.remove, self._job(request).id)
        return JSONResponse({})

    async def cancel(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self.queue.cancel, self._job(request).id))

    async def again(self, request: Request) -> Response:
        return _json(await run_in_threadpool(self.queue.again, self._job(request).id))

    async def keep(self, request: Request) -> Response:
        job = msgspec.structs.replace(self._job(request), draft=False)
        return _json(self.store.put_job(job))

    async def add_render(self, request: Request) -> Response:
        """A changed plan over the whole track, in the background; an earlier draft of the same match goes."""
        job = self._done(request)
        asked = await _body(request)
        plan = self._own_plan(job, asked)
        first = job.of or job.id
        drafts = [j for j in self.store.all_jobs() if j.of == first and j.draft]
        for draft in drafts:
            await run_in_threadpool(self.queue.remove, draft.id)
        title = str(asked.get("title") or "Changed plan")[:80]
        made = msgspec.structs.replace(
            job, kind="render", of=first, title=title, status="queued", error="", draft=bool(asked.get("draft"))
        )
        return _json(await run_in_threadpool(self.queue.add, made, plan.to_json()))

    async def sound(self, request: Request) -> Response:
        job, track = self._done(request), request.path_params["track"]
        start, count = _stretch(request.query_params)
        if track == "result":
            path = self.store.result(job.id) / "master.wav"
        elif track == "target":
            path = self.store.sound_path(job.targets[0])
        elif track == "reference" and job.references:
            path = self.store.sound_path(job.references[0])
        else:
            raise FileError(f"sound: there is no {track!r} here")
        return _sound(await run_in_threadpool(heard, path, start, count))

    async def section(self, request: Request) -> Response:
        job = self._done(request)
        asked = await _body(request)
        plan = self._own_plan(job, asked)
        start, count = _stretch(asked)
        target, keep_in = self.store.sound_path(job.targets[0]), self.store.jobs / (job.of or job.id)
        made = await anyio.to_thread.run_sync(
            lambda: self.renderer.rendered(target, plan, start, count, keep_in=keep_in), limiter=self.one_render
        )
        return _sound(made)

    async def plan(self, request: Request) -> Response:
        job = self._done(request)
        name = f"{self._stem(job)}-plan.json"
        return FileResponse(self.store.result(job.id) / "plan.json", filename=name, media_type="application/json")

    async def report(self, request: Request) -> Response:
        job = self._done(request)
        path, policy = self.store.result(job.id) / "report.html", {"Content-Security-Policy": REPORT_POLICY}
        if "download" in request.query_params:
            return FileResponse(path, filename=f"{self._stem(job)}-report.html", headers=policy)
        return FileResponse(path, headers=policy, media_type="text/html")

    async def export(self, request: Request) -> Response:
        job = self._done(request)
        asked = await _body(request)
        result, stem, said = self.store.result(job.id), self._stem(job), list[str]()
        if (place := asked.get("destination")) is not None:
            target = self.store.sound_path(job.targets[0])
            made, said = await run_in_threadpool(export_for, result, stem, target, str(place))
        else:
            form = (asked.get("container"), asked.get("bit_depth"), asked.get("sample_rate_hz"))
            made = await run_in_threadpool(export, result, stem, *form)
        return JSONResponse({"name": made.name, "size_bytes": made.stat().st_size, "said": said})

    async def exported(self, request: Request) -> Response:
        folder = self.store.result(self._done(request).id) / "exports"
        return _found(folder.glob("*"), lambda path: path.name == request.path_params["name"])

    async def album_master(self, request: Request) -> Response:
        job = self._done(request)
        album = msgspec.json.decode((self.store.result(job.id) / "album.json").read_bytes())
        names = [track["output"] for track in album["tracks"]]
        number = request.path_params["number"]
        if job.kind != "album" or not 0 <= number < len(names):
            raise FileError(f"masters: {number} is not within 0 to {len(names) - 1}")
        return _found((self.store.result(job.id) / "masters").glob("*"), lambda path: path.name == names[number])

    def _job(self, request: Request) -> Job:
        return self.store.job(request.path_params["job"])

    def _done(self, request: Request) -> Job:
        job = self._job(request)
        if job.status != "done":
            raise SettingsError(f"{job.title}: is {job.status}, not done")
        return job

    def _stem(self, job: Job) -> str:
        return self.store.sound(job.targets[0]).name.rpartition(".")[0]

    def _own_plan(self, job: Job, asked: dict[str, Any]) -> Plan:
        """The job's plan with the steps that the page has sent; who it was made for is not the page's to say."""
        steps = asked.get("steps")
        if not isinstance(steps, list) or len(steps) > 40:
            raise SettingsError("steps: a list of at most 40 is needed")
        made = msgspec.json.decode((self.store.result(job.id) / "plan.json").read_bytes())
        return Plan.from_json(msgspec.json.encode({**made, "steps": steps}))

    def _told(self, job: Job) -> dict[str, Any]:
        """A job as the page lists it."""
        progress = self.queue.progress.get(job.id)
        told: dict[str, Any] = msgspec.to_builtins(job)
        if progress is not None and job.status == "running":
            told |= {"stage": progress.stage, "share": progress.share}
        return told


class _Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A new job."""

    targets: tuple[str, ...]
    references: tuple[str, ...] = ()
    preset: str | None = None
    kind: Literal["match", "album"] = "match"
    aims: dict[str, Any] = {}
    levels: str = "keep"


async def _body(request: Request) -> dict[str, Any]:
    """A JSON object of bounded size."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_JSON_BYTES:
            raise TooLargeError(f"the request: is larger than the {MOST_JSON_BYTES / 1e6:.0f} MB that are taken")
        parts.append(part)
    found = msgspec.json.decode(b"".join(parts) or b"{}")
    if not isinstance(found, dict):
        raise SettingsError("the request: is no JSON object")
    return found


def _stretch(asked: Any) -> tuple[int, int]:
    try:
        start, count = int(asked["start"]), int(asked["count"])
    except (KeyError, TypeError, ValueError) as error:
        raise SettingsError("start and count: whole numbers are needed") from error
    check_stretch(start, count)
    return start, count


def _sound(window: Window) -> Response:
    """Raw samples, channel after channel, little endian; the browser copies them as they are."""
    headers = {
        "X-Channels": str(window.samples.shape[0]),
        "X-LUFS": f"{window.lufs:.4f}",
        "X-Peak": f"{window.peak:.6f}",
        "X-Reduction-dB": f"{window.reduction_db:.2f}",
    }
    data = np.ascontiguousarray(window.samples, dtype="<f4").tobytes()
    return Response(data, media_type="application/octet-stream", headers=headers)


def _found(paths: Iterable[Path], right: Callable[[Path], bool]) -> Response:
    """One of the files that are there: what a browser says is compared with their names and never opened."""
    for path in paths:
        if right(path):
            return FileResponse(path, filename=path.name)
    raise FileError("the file: is not there")


def _json(record: msgspec.Struct) -> Response:
    return JSONResponse(msgspec.to_builtins(record))


async def _refused(request: Request, error: Exception) -> Response:
    code = 413 if isinstance(error, TooLargeError) else 404 if isinstance(error, FileError) else 400
    return JSONResponse({"error": str(error)}, code)
