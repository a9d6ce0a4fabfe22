"""The ASGI application: authentication, faults, dispatch to handlers in threads, and the request log."""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qsl

from unstract_devstack.backend import dispatch
from unstract_devstack.backend.authentication import refusal
from unstract_devstack.backend.delivery import Delivery
from unstract_devstack.backend.faults import Fault, FaultKind
from unstract_devstack.backend.protocol import Connections
from unstract_devstack.backend.public.face import PublicFace
from unstract_devstack.backend.request_log import Entry
from unstract_devstack.backend.routes import internal_router
from unstract_devstack.backend.routing import Found, Route, missing, not_allowed
from unstract_devstack.backend.services import Call, Services
from unstract_devstack.backend.wire import NOT_FOUND_PAGE, Reply, Request, html, reply

log = logging.getLogger(__name__)

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIScope = MutableMapping[str, Any]

CALLER_THREADS = 64
LOGGED_HEADERS = frozenset(
    (b"authorization", b"x-organization-id", b"idempotency-key", b"x-request-id", b"content-type", b"x-api-key")
)


class Application:
    """The reference backend as an ASGI application."""

    def __init__(self, services: Services, connections: Connections) -> None:
        self.services = services
        self._delivery = Delivery(connections)
        self._router = internal_router()
        self._observers = ThreadPoolExecutor(2, "backend-dev")
        shared = services.config.shared_threads
        self._quick = ThreadPoolExecutor(shared or services.config.threads, "backend-call")
        self._slow = self._quick if shared else ThreadPoolExecutor(services.config.file_threads, "backend-file")
        self._callers = self._quick if shared else ThreadPoolExecutor(CALLER_THREADS, "backend-caller")
        self._public = PublicFace(services, self._callers)

    async def __call__(self, scope: ASGIScope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started, clock = time.time(), time.perf_counter()
        request = request_of(scope)
        fault = None if request.path.startswith("/dev/") else self.services.faults.hit(request.method, request.path)
        status = await self._answer(scope, request, fault, receive, send)
        entry = Entry(
            started,
            request.method,
            request.path,
            request.headers.get("x-organization-id"),
            request.key,
            status,
            time.perf_counter() - clock,
            str(fault.kind) if fault else None,
        )
        if not request.path.startswith("/dev/") and self.services.requests.note(entry):
            await asyncio.get_running_loop().run_in_executor(self._observers, self.services.requests.flush)

    async def _answer(
        self, scope: ASGIScope, request: Request, fault: Fault | None, receive: Receive, send: Send
    ) -> int:
        """Work the request out and deliver the answer; returns the status that the caller saw, 0 for none."""
        if fault is not None:
            early = await self._delivery.before(fault, scope, receive)
            if early is not None:
                return await self._delivery.deliver(early, scope, send) if early.status else 0
        if request.path.startswith("/deployment/"):
            answer = await self._public.answer(scope, receive, request)
        else:
            request.body = await read_body(receive)
            answer = await self._work(request)
        if fault is not None and fault.kind is not FaultKind.DELAY:
            return await self._delivery.after(fault, answer, scope, receive, send)
        return await self._delivery.deliver(answer, scope, send)

    async def _work(self, request: Request) -> Reply:
        """The answer of the internal and the dev API. Authentication comes before any look at the path."""
        if not request.path.startswith(("/internal/", "/dev/")):
            return html(404, NOT_FOUND_PAGE)
        refused = refusal(request, self.services.config.api_key)
        if refused is not None:
            return refused
        found = self._router.find(request.path)
        if found is None:
            return missing(self._router, request.path)
        route = found.routes.get(request.method)
        if route is None:
            return not_allowed(found, request.method)
        return await self._run(request, found)

    async def _run(self, request: Request, found: Found) -> Reply:
        """Run the handler in a thread; files take their configured time first."""
        route = found.routes[request.method]
        organization = self.services.organizations.scope(request.headers.get("x-organization-id"))
        call = Call(self.services, request, found.parameters, organization)
        if route.delayed:
            await asyncio.sleep(random.uniform(*self.services.config.file_delay))
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool(route), dispatch.run, route, call)
        except Exception:  # the process boundary: a fault of the double itself must reach its log and its caller
            log.exception("%s %s failed in the reference backend", request.method, request.path)
            return reply(500, {"error": "the reference backend failed, see its log"})

    def _pool(self, route: Route) -> ThreadPoolExecutor:
        """Where a handler runs. The dev API looks on from threads of its own, whatever the others wait for."""
        if route.path.startswith("/dev/"):
            return self._observers
        return self._slow if route.slow else self._quick

    def release_callers(self) -> None:
        """Answer the callers that wait for an execution."""
        self._public.close()

    def close(self) -> None:
        """Wait for running handlers and close what they use."""
        for pool in (self._callers, self._quick, self._slow, self._observers):
            pool.shutdown()
        self.services.close()


def request_of(scope: ASGIScope) -> Request:
    """The request without its body. Of the headers only those that count are kept."""
    headers = {
        name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"] if name in LOGGED_HEADERS
    }
    raw = scope["query_string"]
    query = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True)) if raw else {}
    return Request(scope["method"], scope["path"], query, headers)


async def read_body(receive: Receive) -> bytes:
    """The whole body."""
    message = await receive()
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    chunks = [message.get("body", b"")]
    while message.get("more_body"):
        message = await receive()
        chunks.append(message.get("body", b""))
    return b"".join(chunks)
