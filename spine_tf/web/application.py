"""The addresses of the server: for programs under /v1, for its own page under /studies."""

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette import applications, exceptions, requests, responses, routing, types

from spine_tf import labels
from spine_tf.pages import template
from spine_tf.readings import reading
from spine_tf.web import (
    bounds as bounds_module,
    desk as desk_module,
    front_page,
    guard,
    openapi,
    refusal,
    session,
    uploads,
)

_SWEEP_SECONDS = 5.0
_MOST_JSON = 2**16
# What a client that has gone would get; no server sends it.
_GONE = 499


def make(
    desk: desk_module.Desk, door: guard.Door, version: str, page: front_page.FrontPage
) -> types.ASGIApp:
    """Returns the application.

    Args:
        desk: reads the studies.
        door: who may ask.
        version: of the package, in words.
        page: at the root.
    """
    addresses = _Addresses(desk, version, page)
    app = applications.Starlette(
        routes=[
            routing.Route("/", addresses.page),
            routing.Route("/healthz", addresses.health),
            routing.Route("/openapi.json", addresses.openapi),
            routing.Route("/v1/model", addresses.model),
            routing.Route("/v1/studies", addresses.answer_study, methods=["POST"]),
            routing.Route("/studies", addresses.open_study, methods=["POST"]),
            routing.Route("/studies/{id}", addresses.study),
            routing.Route("/studies/{id}", addresses.drop_study, methods=["DELETE"]),
            routing.Route("/studies/{id}/report", addresses.report),
            routing.Route("/studies/{id}/points", addresses.correct, methods=["PUT"]),
            routing.Route("/studies/{id}/slice", addresses.slice),
            routing.Route("/studies/{id}/files/{name}", addresses.file),
        ],
        exception_handlers={
            refusal.Refusal: _refused,
            refusal.Left: _gone,
            requests.ClientDisconnect: _gone,
            exceptions.HTTPException: _no_such_address,
            Exception: _failed,
        },
        lifespan=addresses.lifespan,
    )
    return guard.Guard(app, door)


class _Addresses:
    def __init__(self, desk: desk_module.Desk, version: str, page: front_page.FrontPage) -> None:
        self._desk, self._version, self._page = desk, version, page

    @contextlib.asynccontextmanager
    async def lifespan(self, app: applications.Starlette) -> AsyncIterator[None]:
        """Forgets studies whose time is over, also while nobody asks; in the end all."""
        sweeping = asyncio.create_task(self._sweep())
        yield
        sweeping.cancel()
        self._desk.end()

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self._desk.studies.expire()

    async def page(self, request: requests.Request) -> responses.Response:
        headers = {"Content-Security-Policy": self._page.policy}
        return responses.HTMLResponse(self._page.html, headers=headers)

    async def health(self, request: requests.Request) -> responses.Response:
        return responses.JSONResponse(
            {
                "status": "ok",
                "reading": self._desk.num_read_or_waiting,
                "open": len(self._desk.studies),
            }
        )

    async def openapi(self, request: requests.Request) -> responses.Response:
        return responses.JSONResponse(openapi.document(self._version))

    async def model(self, request: requests.Request) -> responses.Response:
        readers = self._desk.reader.readers
        return responses.JSONResponse(
            {
                "version": self._version,
                "disclaimer": template.DISCLAIMER,
                "points_by": self._desk.reader.points_by,
                "models": [self._described(one) for one in readers.models],
                "classes": _classes(readers),
                "limits": self._limits(),
            }
        )

    def _described(self, model: reading.Model) -> dict[str, Any]:
        (one,) = (each for each in self._desk.reader.graders if each.label is model)
        rows = {
            "task": one.served.task,
            "conditions": list(one.served.conditions),
            "levels": list(one.served.levels),
        }
        return {"name": model.name, "sha256": model.sha256, **rows}

    def _limits(self) -> dict[str, float]:
        bounds = self._desk.bounds
        return {
            "upload_bytes": bounds.num_upload_bytes,
            "members": bounds.contents.num_members,
            "unpacked_bytes": bounds.contents.num_bytes,
            "pixels": bounds.contents.num_pixels,
            "reading_seconds": bounds.reading_seconds,
        }

    async def answer_study(self, request: requests.Request) -> responses.Response:
        study = await self._desk.take_in(request)
        try:
            found = await desk_module.wait_for(request, study)
            return responses.JSONResponse({**found.to_json(), "left_out": found.left_out})
        finally:
            study.end()

    async def open_study(self, request: requests.Request) -> responses.Response:
        try:
            self._desk.studies.require_room()
        except refusal.Refusal:
            await uploads.drain(request, self._desk.bounds)
            raise
        study = await self._desk.take_in(request)
        return responses.JSONResponse({"id": self._desk.studies.open(study)}, 202)

    async def study(self, request: requests.Request) -> responses.Response:
        study = self._desk.studies.get(_id(request))
        if not study.read.done():
            return responses.JSONResponse({"state": study.turn.phase})
        try:
            read = study.read.result()
        except refusal.Refusal as refused:
            self._desk.studies.drop(_id(request))
            # A browser would write any other status into its console.
            return responses.JSONResponse({"state": "refused", "detail": refused.sentence})
        return responses.JSONResponse(
            {"state": "read", "left_out": read.left_out, "unreadable": len(read.unreadable)}
        )

    async def drop_study(self, request: requests.Request) -> responses.Response:
        self._desk.studies.drop(_id(request))
        return responses.Response(status_code=204)

    def _read(self, request: requests.Request) -> session.Session:
        study = self._desk.studies.get(_id(request))
        if not study.read.done():
            raise refusal.Refusal(409, "the study is still read: ask for its state until it is")
        return study.read.result()

    async def report(self, request: requests.Request) -> responses.Response:
        study = self._read(request)
        return responses.HTMLResponse(await self._desk.touch(study.report))

    async def correct(self, request: requests.Request) -> responses.Response:
        study = self._read(request)
        sent = await _sent_json(request, self._desk.bounds)

        def work() -> str:
            study.correct(sent)
            return study.report()

        return responses.HTMLResponse(await self._desk.touch(work))

    async def slice(self, request: requests.Request) -> responses.Response:
        study = self._read(request)
        asked = request.query_params
        row = _number(asked, "condition", labels.CONDITIONS), _number(asked, "level", labels.LEVELS)
        at = (_number(asked, "series"), _number(asked, "instance")) if "series" in asked else None
        made = await self._desk.touch(functools.partial(study.slice_for, row, at))
        return responses.HTMLResponse(made)

    async def file(self, request: requests.Request) -> responses.Response:
        study = self._read(request)
        name = str(request.path_params["name"])
        text, media_type = await self._desk.touch(functools.partial(study.file, name))
        headers = {"Content-Disposition": f'attachment; filename="{name}"'}
        return responses.Response(text, media_type=media_type, headers=headers)


def _id(request: requests.Request) -> str:
    return str(request.path_params["id"])


def _classes(readers: reading.Readers) -> dict[str, str]:
    task = readers.task
    return dict(zip(task.columns, task.classes, strict=True)) if task else {}


async def _sent_json(request: requests.Request, bounds: bounds_module.Bounds) -> object:
    data = b""
    async for part in uploads.parts_of(request, bounds):
        data += part
        if len(data) > _MOST_JSON:
            raise refusal.Refusal(413, f"more than {_MOST_JSON} bytes, expected a few points")
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as err:
        raise refusal.Refusal(400, "the body is no JSON") from err


def _number(asked: Mapping[str, str], name: str, among: tuple[str, ...] | None = None) -> int:
    text = asked.get(name, "")
    largest = 2**63 if among is None else len(among)
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) < largest):
        raise refusal.Refusal(400, f"{name} is missing or no number from 0 to {largest - 1}")
    return int(text)


async def _refused(request: requests.Request, err: Exception) -> responses.Response:
    if not isinstance(err, refusal.Refusal):
        raise err
    return guard.answer(err)


async def _gone(request: requests.Request, err: Exception) -> responses.Response:
    return responses.Response(status_code=_GONE)


async def _no_such_address(request: requests.Request, err: Exception) -> responses.Response:
    if not isinstance(err, exceptions.HTTPException):
        raise err
    sentence = "there is nothing to be had here in this way: /openapi.json says what there is"
    answer = guard.answer(refusal.Refusal(err.status_code, sentence))
    answer.headers.update(err.headers or {})
    return answer


async def _failed(request: requests.Request, err: Exception) -> responses.Response:
    sentence = f"the server failed ({type(err).__name__}); its log says where"
    return guard.answer(refusal.Refusal(500, sentence))
