"""One connection to the page: who may ask, for what, and the headers of every answer."""

import contextlib
import sqlite3
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

from unstract_devstack.page.routes import Answer
from unstract_devstack.page.stream import watch

if TYPE_CHECKING:
    from unstract_devstack.page.server import PageServer

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
MAX_BODY_BYTES = 1024


class PageHandler(BaseHTTPRequestHandler):
    server: "PageServer"
    protocol_version = "HTTP/1.1"
    server_version, sys_version = "live-page", ""
    timeout = 30

    def do_GET(self) -> None:
        if not self._addressed_to_us():
            return
        view = self.server.routes.live(self.path) if self.command == "GET" else None
        if view is None:
            self._answer(self.server.routes.get(self.path))
            return
        self.close_connection = True
        with self.server.watcher() as free:
            if not free:
                busy = self.server.routes.refusal(HTTPStatus.SERVICE_UNAVAILABLE, "Too many watch this page already.")
                self._answer(busy)
                return
            self.send_response(HTTPStatus.OK)
            self._headers({"Content-Type": "text/event-stream; charset=utf-8", "Connection": "close"})
            # The backend's database went away: the browser comes again, and is told so by then.
            with contextlib.suppress(sqlite3.OperationalError):
                watch(self.connection, view, self.server.ending, self.server.bounds.pace)

    do_HEAD = do_GET  # noqa: N815 - the names are the base class's

    def do_POST(self) -> None:
        # A body is never needed, and one that is left unread would be taken for the next request.
        length = self.headers.get("Content-Length") or "0"
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._answer(self.server.routes.refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Send no body."))
            return
        self.rfile.read(int(length))
        if self._addressed_to_us() and self._from_our_page():
            self._answer(self.server.routes.post(self.path))

    def _addressed_to_us(self) -> bool:
        """Whether the request names this server: a page elsewhere may have its own name point to loopback."""
        if self.headers.get("Host", "") in self.server.names:
            return True
        self._answer(self.server.routes.refusal(HTTPStatus.MISDIRECTED_REQUEST, "This server goes by another name."))
        return False

    def _from_our_page(self) -> bool:
        """Whether the request comes from a page of this server, as every browser says of a form."""
        origin, site = self.headers.get("Origin"), self.headers.get("Sec-Fetch-Site", "same-origin")
        if origin == f"http://{self.headers['Host']}" and site == "same-origin":
            return True
        told = "Only this page's own buttons may start something: the request names another origin, or none."
        self._answer(self.server.routes.refusal(HTTPStatus.FORBIDDEN, told))
        return False

    def _answer(self, answer: Answer) -> None:
        self.send_response(answer.status)
        length = {"Content-Type": answer.content_type, "Content-Length": str(len(answer.body))}
        self._headers({**length, **answer.headers})
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _headers(self, headers: dict[str, str]) -> None:
        for name, value in {**HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Nothing: what the stack prints is for people."""
