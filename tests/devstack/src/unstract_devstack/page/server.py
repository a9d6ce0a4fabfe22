"""The page's HTTP server: loopback only, its own origin only, a bounded number of connections and of watchers."""

import contextlib
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from attrs import define, field, frozen
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Receive, Scope, Send

from unstract_devstack.asgi_server import serving
from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page.sources import Sources
from unstract_devstack.page.stream import Pace, changes
from unstract_devstack.page.views import View, execution_view, overview, page, result_view

HOST = "127.0.0.1"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
BUTTON_BYTES = 1024
MAX_UPLOADS = 32
Look = Callable[[Request], View | None]
Found = TypeVar("Found")


@frozen
class Bounds:
    """What clients may cost: connections and watchers at a time, the bytes of an upload, and the watchers' pace."""

    connections: int = 64
    watchers: int = 16
    upload_bytes: int = 64 * 1024 * 1024
    pace: Pace = field(factory=Pace)


@define
class PageHandle:
    """The page as an application; once it runs, at `url`."""

    sources: Sources
    bounds: Bounds
    url: str = ""
    watchers: int = 0
    ending: bool = False
    _pages: Starlette = field(init=False)

    def __attrs_post_init__(self) -> None:
        failures = {HTTPException: _http, sqlite3.OperationalError: _unreadable, CallFailed: _not_started}
        self._pages = Starlette(
            routes=[
                Route("/", self._show(self._overview)),
                Route("/live/", self._watch(self._overview)),
                Route("/executions/{execution_id}", self._show(self._execution)),
                Route("/live/executions/{execution_id}", self._watch(self._execution)),
                Route("/executions/{execution_id}/files/{file_id}", self._show(self._result)),
                Route("/executions/{execution_id}/files/{file_id}/result.json", self._result_json),
                Route("/executions/{execution_id}/{action:str}", self._act, methods=["POST"]),
                Route("/start/{name}", self._start, methods=["POST"]),
                Route("/upload", self._upload, methods=["POST"]),
                Mount("/static", StaticFiles(directory=Path(__file__).parent / "static")),
            ],
            exception_handlers={
                kind: lambda request, error, failure=failure: self.refusal(*failure(error))
                for kind, failure in failures.items()
            },
        )
        self._pages.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, if it may be asked."""
        refused = self._refused(Request(scope)) if scope["type"] == "http" else None
        await (refused or self._pages)(scope, receive, send)

    def _refused(self, request: Request) -> Response | None:
        """Why a request is not answered: a page elsewhere may have its own name point to loopback, or press a button."""
        host = request.headers.get("host", "")
        if host not in {f"{name}:{request.scope['server'][1]}" for name in (HOST, "localhost")}:
            return self.refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server goes by another name.")
        if request.method != "POST":
            return None
        origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
        if origin != f"http://{host}" or site != "same-origin":
            problem = "Only this page's own buttons may start something: the request names another origin, or none."
            return self.refusal(HTTPStatus.FORBIDDEN, problem)
        most = self.bounds.upload_bytes if request.url.path == "/upload" else BUTTON_BYTES
        length = request.headers.get("content-length", "0")
        if "transfer-encoding" in request.headers or not length.isdecimal() or int(length) > most:
            return self.refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"Send at most {most:,} bytes.")
        return None

    def refusal(self, status: HTTPStatus, problem: str) -> Response:
        """A page that says what is wrong."""
        return _html(page(self.sources, View(status.phrase, "/", {}), problem), status)

    def _overview(self, request: Request) -> View | None:
        before = request.query_params.get("before", "")
        number = int(before) if before.isascii() and before.isdecimal() and len(before) < 16 else None
        return overview(self.sources, number, request.query_params.get("q", "").strip()[:200])

    def _execution(self, request: Request) -> View | None:
        return execution_view(self.sources, *request.path_params.values())

    def _result(self, request: Request) -> View | None:
        return result_view(self.sources, *request.path_params.values())

    def _show(self, look: Look) -> Callable[[Request], Response]:
        return lambda request: _html(page(self.sources, _found(look(request))))

    def _result_json(self, request: Request) -> Response:
        return Response(_found(self.sources.backend.result(**request.path_params)), media_type="application/json")

    def _start(self, request: Request) -> Response:
        return _to_list(_found(self.sources.starts.get(request.path_params["name"])).run())

    def _act(self, request: Request) -> Response:
        """Retry or abort an execution."""
        execution_id, action = request.path_params.values()
        line = _found(self.sources.backend.execution(execution_id))
        new = _found(self.sources.actions.get(action))(line)
        return _to_list(new) if new else RedirectResponse(f"/executions/{execution_id}", HTTPStatus.SEE_OTHER)

    async def _upload(self, request: Request) -> Response:
        upload = _found(self.sources.upload)
        async with request.form(max_files=MAX_UPLOADS) as form:
            found = [item for item in form.getlist("files") if isinstance(item, UploadFile) and item.filename]
            files = [(item.filename or "file", await item.read()) for item in found]
        if not files:
            return self.refusal(HTTPStatus.BAD_REQUEST, "No file was chosen.")
        return _to_list(await run_in_threadpool(upload, files))

    def _watch(self, look: Look) -> Callable[[Request], object]:
        async def watch(request: Request) -> Response:
            if request.method == "HEAD":
                raise HTTPException(HTTPStatus.NOT_FOUND)
            if self.watchers >= self.bounds.watchers:
                return self.refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many watch this page already.")
            return _Stream(self, changes(lambda: look(request), self.bounds.pace, lambda: self.ending))

        return watch


class _Stream(StreamingResponse):
    """What one watcher gets; it holds a place for as long as it watches."""

    def __init__(self, handle: PageHandle, events: AsyncIterator[bytes]) -> None:
        super().__init__(events, media_type="text/event-stream", headers={"Connection": "close"})
        self._handle = handle
        handle.watchers += 1

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._handle.watchers -= 1


def _found(value: Found | None) -> Found:
    """What there is. Raises HTTPException with 404 where there is nothing."""
    if value is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return value


def _html(text: str, status: int = HTTPStatus.OK) -> Response:
    return HTMLResponse(text.encode(errors="replace"), status)


def _to_list(execution_id: str | None) -> Response:
    """Back to the list, at the new execution."""
    return RedirectResponse(f"/#e-{execution_id}" if execution_id else "/", HTTPStatus.SEE_OTHER)


def _http(error: HTTPException) -> tuple[HTTPStatus, str]:
    if error.status_code in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED}:
        return HTTPStatus.NOT_FOUND, "There is no such page, or no such execution any more."
    return HTTPStatus(error.status_code), str(error.detail)


def _unreadable(error: Exception) -> tuple[HTTPStatus, str]:
    return HTTPStatus.SERVICE_UNAVAILABLE, f"The backend's database cannot be read: {error}"


def _not_started(error: Exception) -> tuple[HTTPStatus, str]:
    return HTTPStatus.BAD_GATEWAY, f"The backend did not do it: {error}"


@contextlib.contextmanager
def running_page(sources: Sources, *, port: int = 0, bounds: Bounds | None = None) -> Iterator[PageHandle]:
    """The page on a loopback port (0: a free one) until the block is left; watchers are let go at its end."""
    handle = PageHandle(sources, bounds or Bounds())
    limit = handle.bounds.connections + 1
    with serving(handle, host=HOST, port=port, headers=list(HEADERS.items()), limit_concurrency=limit) as served:
        handle.url = f"http://{HOST}:{served.port}/"
        try:
            yield handle
        finally:
            handle.ending = True
