"""The ASGI application: authentication, faults, handlers in threads, idempotency keys, and the request log."""

import asyncio
import logging
import random
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from attrs import define, frozen
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route, Router
from starlette.types import Message, Receive, Scope, Send

from unstract_devstack.backend import delivery
from unstract_devstack.backend.config import Mode
from unstract_devstack.backend.faults import Fault, FaultKind
from unstract_devstack.backend.public.face import PATH, PublicFace
from unstract_devstack.backend.request_log import Entry
from unstract_devstack.backend.routes import OPERATIONS, Operation
from unstract_devstack.backend.services import Call, Services
from unstract_devstack.backend.wire import (
    FORBIDDEN_PAGE,
    HTML_TYPE,
    NOT_FOUND_PAGE,
    BadUuid,
    MalformedJson,
    NoMatch,
    Refused,
    html,
    reply,
    standardized,
    unauthorized,
)  # fmt: skip

log = logging.getLogger(__name__)

CALL_THREADS, FILE_THREADS, CALLER_THREADS = 6, 32, 64
EXPECTED = (BadUuid, MalformedJson, NoMatch)


class Threads:
    """The pools that handlers run in. The dev API has its own, so that it can look on whatever the others wait for."""

    def __init__(self, shared: int | None) -> None:
        self.quick = ThreadPoolExecutor(shared or CALL_THREADS, "backend-call")
        self.slow = self.quick if shared else ThreadPoolExecutor(FILE_THREADS, "backend-file")
        self.callers = self.quick if shared else ThreadPoolExecutor(CALLER_THREADS, "backend-caller")
        self.observers = ThreadPoolExecutor(2, "backend-dev")

    def of(self, operation: Operation) -> ThreadPoolExecutor:
        """Where an operation's handler runs."""
        if operation.path.startswith("/dev/"):
            return self.observers
        return self.slow if operation.slow else self.quick

    def close(self) -> None:
        """Wait for all that runs."""
        for pool in (self.quick, self.slow, self.callers, self.observers):
            pool.shutdown()


class Application:
    """The reference backend as an ASGI application: every request is noted, and met by a fault if one is set.

    `connections` are the open ones of the server that it runs in.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.connections: delivery.Connections = ()
        self.threads = Threads(services.config.shared_threads)
        self.public = PublicFace(services, self.threads.callers)
        self._router = Router([*self._routes(OPERATIONS), Route(PATH, self.public)], redirect_slashes=False)
        self._router.default = self._missing

    def _routes(self, operations: Iterable[Operation]) -> list[Route]:
        """One route a path; literal segments go before parameters."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in operations:
            by_path.setdefault(operation.path, {})[operation.method] = operation
        ordered = sorted(by_path, key=lambda path: [segment.startswith("{") for segment in path.split("/")])
        return [Route(path, Endpoint(self.services, self.threads, by_path[path])) for path in ordered]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/dev/"):
            await self._answer(scope, receive, send)
            return
        at, began = time.time(), time.perf_counter()
        fault = self.services.faults.hit(scope["method"], scope["path"])
        sent = Sent(send)
        if fault is None:
            await self._answer(scope, receive, sent)
        else:
            await self._faulty(fault, scope, receive, sent)
        request, kind = Request(scope), str(fault.kind) if fault else None
        organization, key = (request.headers.get(name) for name in ("x-organization-id", "idempotency-key"))
        seconds = time.perf_counter() - began
        entry = Entry(at, scope["method"], scope["path"], organization, key, sent.status, seconds, kind)
        if self.services.requests.note(entry):
            await asyncio.get_running_loop().run_in_executor(self.threads.observers, self.services.requests.flush)

    async def _faulty(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if await delivery.before(fault, self.connections, scope, receive, send):
            return
        if fault.kind is FaultKind.DELAY:
            await self._answer(scope, receive, send)
            return
        answer = delivery.Captured()
        await self._answer(scope, receive, answer)
        await delivery.after(fault, answer, self.connections, scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The answer without faults. Authentication comes before any look at the path."""
        if scope["path"].startswith(("/internal/", "/dev/")):
            request = Request(scope, receive)
            scope["body"] = await request.body()
            refused = unauthorized(request, self.services.config.api_key)
            if refused is not None:
                await refused(scope, receive, send)
                return
        await self._router(scope, receive, send)

    async def _missing(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What a path without an operation gets: a redirect if only its slash is missing, else a page."""
        path, answer = scope["path"], html(404, NOT_FOUND_PAGE)
        slashed = {**scope, "path": f"{path}/"}
        if not path.endswith("/") and any(route.matches(slashed)[0] is Match.FULL for route in self._router.routes):
            answer = Response(b"", 301, {"location": f"{path}/"}, HTML_TYPE)
        await answer(scope, receive, send)

    def close(self) -> None:
        """Wait for running handlers and close what they use."""
        self.threads.close()
        self.services.close()


@define
class Sent:
    """Passes an answer on and keeps its status; 0 until it begins."""

    send: Send
    status: int = 0

    async def __call__(self, message: Message) -> None:
        """Pass one message on."""
        self.status = message.get("status", self.status)
        await self.send(message)


@frozen
class Endpoint:
    """The operations of one path, by method."""

    services: Services
    threads: Threads
    operations: Mapping[str, Operation]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the operation of this method."""
        operation = self.operations.get(scope["method"])
        answer = self._not_allowed(scope["method"]) if operation is None else await self._run(operation, scope)
        await answer(scope, receive, send)

    def _not_allowed(self, method: str) -> Response:
        if all(operation.plain for operation in self.operations.values()):
            return html(403 if method not in {"GET", "HEAD", "OPTIONS"} else 405, FORBIDDEN_PAGE)
        return standardized(405, "method_not_allowed", f'Method "{method}" not allowed.')

    async def _run(self, operation: Operation, scope: Scope) -> Response:
        """Run the handler in a thread; files take their configured time first."""
        request = Request(scope)
        organization = self.services.organizations.scope(request.headers.get("x-organization-id"))
        call = Call(self.services, request, scope["body"], organization)
        if operation.delayed:
            await asyncio.sleep(random.uniform(*self.services.config.file_delay))
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self.threads.of(operation), handled, operation, call)
        except Exception:  # the process boundary: a fault of the double itself must reach its log and its caller
            log.exception("%s %s failed in the reference backend", call.method, call.path)
            return reply(500, {"error": "the reference backend failed, see its log"})


def handled(operation: Operation, call: Call) -> Response:
    """The answer of one call, in a thread of a pool: idempotency keys where they count."""
    keyed = call.services.config.mode is Mode.KEYED and call.key is not None and operation.method != "GET"
    answer = _once(operation, call) if keyed else _plainly(operation, call)
    for step in call.after:
        step()
    return answer


def _plainly(operation: Operation, call: Call) -> Response:
    try:
        return operation.handler(call)
    except Refused as refused:
        return refused.reply
    except Exception as problem:  # noqa: BLE001 as in the real views, which catch everything and answer in their own shape
        if not isinstance(problem, EXPECTED):
            log.info("%s %s answered as a failure: %r", call.method, call.path, problem)
        return operation.failure(problem)


def _once(operation: Operation, call: Call) -> Response:
    """Apply a key once. A quick handler's effect and its answer are written in one transaction."""
    answers, scope = call.services.answers, f"{call.method} {call.path} {call.key}"
    with answers.holding(scope):
        known = answers.known(scope)
        if known is not None:
            return known

        def keep(answer: Any) -> None:
            answers.remember(call.database.connection(), scope, answer)

        if operation.slow:
            call.keep = keep
            return _plainly(operation, call)
        with call.database.write():
            answer = _plainly(operation, call)
            keep(answer)
        return answer
