"""Which path is answered with what."""

import re
import sqlite3
from collections.abc import Callable, Mapping
from http import HTTPStatus
from importlib.resources import files
from urllib.parse import parse_qs, urlsplit

from attrs import field, frozen

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.page.sources import Sources
from unstract_devstack.page.views import View, execution_view, overview, page

HTML = "text/html; charset=utf-8"
STATIC = {
    "page.css": "text/css; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
    "page.svg": "image/svg+xml",
}
LIVE = "/live"
EXECUTION = re.compile(r"/executions/([0-9A-Za-z-]{1,64})")
START = re.compile(r"/start/([a-z]{1,16})")


@frozen
class Answer:
    """One answer; `headers` come on top of those that every answer has."""

    status: HTTPStatus
    content_type: str = HTML
    body: bytes = field(default=b"", repr=False)
    headers: Mapping[str, str] = field(factory=dict)


@frozen
class Routes:
    """All paths of the page."""

    sources: Sources

    def get(self, target: str) -> Answer:
        """A page or a static file."""
        path = urlsplit(target).path
        if path.startswith("/static/"):
            return _static(path.removeprefix("/static/"))
        view = self._view(target)
        try:
            shown = None if view is None else view()
        except sqlite3.OperationalError as error:
            return self.refusal(HTTPStatus.SERVICE_UNAVAILABLE, f"The backend's database cannot be read: {error}")
        if shown is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "There is no such page, or no such execution any more.")
        return Answer(HTTPStatus.OK, body=page(self.sources, shown).encode(errors="replace"))

    def live(self, target: str) -> Callable[[], View | None] | None:
        """What is to be watched at /live followed by the path of a page; None where `target` is not that."""
        if not target.startswith(f"{LIVE}/"):
            return None
        return self._view(target.removeprefix(LIVE))

    def post(self, target: str) -> Answer:
        """A button was pressed: starts what it says and leads back to the list, at the new execution."""
        found = START.fullmatch(target)
        start = self.sources.starts.get(found[1]) if found else None
        if start is None:
            return self.refusal(HTTPStatus.NOT_FOUND, "Nothing can be started here.")
        try:
            execution_id = start.run()
        except CallFailed as error:
            return self.refusal(HTTPStatus.BAD_GATEWAY, f"The backend did not start it: {error}")
        anchor = f"#e-{execution_id}" if execution_id else ""
        return Answer(HTTPStatus.SEE_OTHER, headers={"Location": f"/{anchor}"})

    def refusal(self, status: HTTPStatus, problem: str) -> Answer:
        """A page that says what is wrong."""
        told = page(self.sources, View(status.phrase, "/", {}), problem)
        return Answer(status, body=told.encode(errors="replace"))

    def _view(self, target: str) -> Callable[[], View | None] | None:
        parts = urlsplit(target)
        if parts.path == "/":
            told = parse_qs(parts.query).get("before", [""])[0]
            before = int(told) if re.fullmatch(r"[0-9]{1,15}", told) else None
            return lambda: overview(self.sources, before)
        found = EXECUTION.fullmatch(parts.path)
        return (lambda: execution_view(self.sources, found[1])) if found else None


def _static(name: str) -> Answer:
    if name not in STATIC:
        return Answer(HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"not found\n")
    return Answer(HTTPStatus.OK, STATIC[name], (files("unstract_devstack.page") / "static" / name).read_bytes())
