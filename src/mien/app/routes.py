"""The HTTP API: generate, read, score, and what the page needs besides."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from anyio import CapacityLimiter, to_thread
from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

from mien import __version__
from mien.app.controls import page_controls
from mien.app.film import film
from mien.app.jobs import LAST, Event, Job
from mien.app.limits import RateMeter
from mien.app.preview import preview_landmarks
from mien.app.problems import FieldProblem, Refused, checked_request
from mien.app.reading import read_picture, score_pictures
from mien.app.saving import MEDIA_TYPES, saved, wanted_type
from mien.app.schema import GenerateBody, PreviewBody, Problems, ReadBody, SaveBody, ScoreBody, VideoBody
from mien.app.service import PortraitService
from mien.demo.examples import Examples
from mien.generation.request import SEVERAL, GenerateRequest

if TYPE_CHECKING:
    from collections.abc import Callable


PREVIEW_COST = 0.05
"""Of a landmark preview, in requests: a hand on a slider asks for some ten a second."""
POLL = 0.5
"""Seconds after which it is looked whether the one who asked is still there."""
CLIENT = "x-mien-client"
"""A header with any word that tells users behind one address apart, so that they take turns."""

EVENTS = "text/event-stream"
REFUSALS: dict[int | str, dict[str, Any]] = {
    400: {"model": Problems, "description": "The body cannot be read as text."},
    401: {"model": Problems, "description": "The token is missing or wrong."},
    413: {"model": Problems, "description": "The request is too large."},
    422: {"model": Problems, "description": "A field cannot be used: one sentence for each."},
    429: {"model": Problems, "description": "Too many requests, or the queue is full; see Retry-After."},
}


Result = TypeVar("Result")


def build_routes(service: PortraitService, meter: RateMeter) -> APIRouter:
    """The API of a service."""
    router = APIRouter(prefix="/api", responses=REFUSALS)
    threads = {name: CapacityLimiter(count) for name, count in (("decode", 2), ("preview", 2), ("read", 1))}

    async def thread(name: str, work: Callable[[], Result]) -> Result:
        """Blocking work in a thread; who has to wait for one holds none."""
        return await to_thread.run_sync(work, limiter=threads[name])

    def count(request: Request, cost: float = 1.0) -> str:
        """Count a request; the address it came from."""
        address = request.client.host if request.client else "unknown"
        wait = meter.take(address, cost)
        if wait > 0:
            raise Refused(f"More than {service.limits.rate} requests a minute came from here: wait a moment.", wait)
        return address

    @router.get("/health", responses={})
    async def health() -> dict[str, Any]:
        """Whether the models are loaded, and how many pictures wait."""
        return {
            "ready": service.ready,
            "failure": service.failure,
            "waiting": len(service.queue),
            "version": __version__,
        }

    @router.get("/options")
    async def options() -> dict[str, Any]:
        """Limits, the studio's pictures, and what the page builds its controls from."""
        examples = Examples.load()
        return {
            "limits": service.limits.model_dump(),
            "people": [one.name for one in examples.people],
            "templates": [one.name for one in examples.templates],
            "base": service.base,
            "defaults": {name: _default(name) for name in ("seed", "count", "strength")},
            **page_controls(service.scales, service.guidance),
        }

    @router.get("/studio/{name}.png", responses={200: {"content": {"image/png": {}}}, 404: {"model": Problems}})
    async def studio_picture(name: str) -> Response:
        """A picture of one of the studio's people or templates, such as Ada or laugh."""
        examples = Examples.load()
        for one in (*examples.people, *examples.templates):
            if one.name == name:
                return Response(
                    one.path.read_bytes(), media_type="image/png", headers={"cache-control": "max-age=3600"}
                )
        return _problem(404, "name", f"The studio has no picture called {name[:40]!r}.")

    @router.post("/read")
    async def read(request: Request, body: ReadBody) -> dict[str, Any]:
        """What the reader sees in a picture: faces with landmarks, pose, blendshapes, emotion, mask and attributes.

        The identity embedding is not among them: it is biometric data.
        """
        count(request)
        await to_thread.run_sync(service.warm, limiter=threads["decode"])
        return await thread("read", partial(read_picture, body.picture, service))

    @router.post("/preview")
    async def preview(request: Request, body: PreviewBody) -> dict[str, Any]:
        """The landmarks that a request would be drawn with, in pixels of the picture; without drawing it."""
        count(request, PREVIEW_COST)
        return await thread("preview", partial(preview_landmarks, body, service))

    @router.post("/score")
    async def score(request: Request, body: ScoreBody) -> dict[str, Any]:
        """The papers' metrics of generated pictures against their references, as ``mien score --json`` prints them."""
        count(request)
        return await thread("read", partial(score_pictures, body, service))

    @router.post(
        "/video", response_class=Response, responses={200: {"content": {"image/webp": {}}, "description": "The film."}}
    )
    async def video(request: Request, body: VideoBody) -> Response:
        """Pictures that were drawn here as an animated WebP, with the record of the first and a declaration."""
        count(request)
        content = await thread("read", partial(film, body, service))
        return Response(content, media_type="image/webp", headers={"cache-control": "no-store"})

    @router.post(
        "/save",
        response_class=Response,
        responses={200: {"content": {name: {} for name in MEDIA_TYPES}, "description": "The file."}},
    )
    async def save(request: Request, body: SaveBody) -> Response:
        """A picture that was drawn here as PNG, JPEG or WebP, with its record, declaration and watermark."""
        count(request, PREVIEW_COST)
        content = await thread("preview", partial(saved, body, service.limits))
        return Response(content, media_type=body.format, headers={"cache-control": "no-store"})

    @router.post(
        "/generate",
        response_model=None,
        responses={
            200: {
                "description": "JSON; with Accept: image/png, image/jpeg or image/webp the one picture; with Accept: "
                "text/event-stream events: queued, read, progress, preview, picture, done, error. Who hangs up has "
                "cancelled.",
                "content": {"application/json": {}, **{name: {} for name in MEDIA_TYPES}, EVENTS: {}},
            }
        },
    )
    async def generate(request: Request, body: GenerateBody) -> Response:
        """Draw portraits, as ``mien generate`` does; each picture is a PNG file with its record and watermark."""
        address = count(request)
        accept = request.headers.get("accept", "")
        media_type = wanted_type(accept)
        loop, events = asyncio.get_running_loop(), asyncio.Queue[Event]()

        def tell(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        requests = await thread("decode", partial(requests_of, body, service))
        if media_type and sum(one.count for one in requests) != 1:
            raise FieldProblem("count", f"An answer as {media_type} is one picture: ask for one, or accept JSON.")
        client = f"{address} {request.headers.get(CLIENT, '')[:64]}"
        job = Job(requests, tell, client, body.previews)
        del requests
        service.submit(job)
        if EVENTS in accept:
            return StreamingResponse(
                _stream(request, job, events), media_type=EVENTS, headers={"cache-control": "no-store"}
            )
        sent = [event async for event in _events(request, job, events) if event is not None]
        if not sent or sent[-1].name not in LAST:
            return Response(status_code=499)  # nobody reads it: who asked has hung up
        if sent[-1].name == "error":
            return JSONResponse({"errors": sent[-1].values["errors"]}, sent[-1].values["status"])
        pictures = [event.values for event in sent if event.name == "picture"]
        if media_type:
            one = SaveBody(picture=pictures[0]["image"], format=media_type)
            content = await thread("preview", partial(saved, one, service.limits))
            return Response(content, media_type=media_type, headers={"cache-control": "no-store"})
        found = {key: value for event in sent if event.name in ("read", "done") for key, value in event.values.items()}
        pictures.sort(key=lambda one: one["picture"])
        return JSONResponse({"pictures": pictures, **found}, headers={"cache-control": "no-store"})

    return router


def requests_of(body: GenerateBody, service: PortraitService) -> list[GenerateRequest]:
    """What a body asks for, one request a row.

    Raises:
        FieldProblem: for what cannot be used.
    """
    limits, given = service.limits, body.pictures()
    if len(given) > limits.pictures:
        raise FieldProblem("identities", f"One request may carry {limits.pictures} pictures, not {len(given)}.")
    from mien.app.pictures import decode_picture

    decoded: dict[str, Any] = {}
    for field, text in given.items():
        decoded[field] = decode_picture(text, field.partition(".")[0], limits, service.studio)
    pictures = {field: picture for field, picture in decoded.items() if "." not in field}
    further = {
        name: tuple(picture for field, picture in decoded.items() if field.startswith(f"{name}.")) for name in SEVERAL
    }
    fixed = {"base": service.base, "reader": service.reader, **further, **pictures}
    requests = [checked_request({"speed": "fast", **settings, **fixed}) for settings in body.settings_of_rows()]
    if (total := sum(one.count for one in requests)) > limits.count:
        raise FieldProblem("count", f"One request may ask for {limits.count} pictures, not {total}.")
    if (steps := max(one.steps or 0 for one in requests)) > limits.steps:
        raise FieldProblem("steps", f"Up to {limits.steps} steps are taken here, not {steps}.")
    return requests


async def _events(request: Request, job: Job, events: asyncio.Queue[Event]) -> AsyncIterator[Event | None]:
    """What a job tells, until its last; None now and then while nothing happens. Whoever is gone has cancelled."""
    try:
        while True:
            try:
                event = await asyncio.wait_for(events.get(), POLL)
            except TimeoutError:
                if await request.is_disconnected():
                    return
                yield None
                continue
            yield event
            if event.name in LAST:
                return
    finally:
        job.cancelled.set()


async def _stream(request: Request, job: Job, events: asyncio.Queue[Event]) -> AsyncIterator[str]:
    """Server-sent events (HTML standard, section 9.2); a comment now and then keeps the connection open."""
    async for event in _events(request, job, events):
        if event is None:
            yield ": waiting\n\n"
            continue
        yield f"event: {event.name}\ndata: {json.dumps(event.values)}\n\n"


def _default(name: str) -> Any:
    return GenerateRequest.model_fields[name].default


def _problem(status: int, field: str, sentence: str) -> JSONResponse:
    return JSONResponse({"errors": [{"field": field, "message": sentence}]}, status)
