"""The ASGI application: authentication, faults, views in threads, idempotency keys; and the server that it runs in."""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial

from attrs import define, field, frozen
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match, Route, Router
from starlette.types import Message, Receive, Scope, Send

from unstract_devstack.asgi_server import serving
from unstract_devstack.backend.config import BackendConfig, Mode
from unstract_devstack.backend.faults import Connections, Faulty
from unstract_devstack.backend.log_drain import drain_until
from unstract_devstack.backend.notification_buffer import process_until
from unstract_devstack.backend.operations import DEV, INTERNAL
from unstract_devstack.backend.public import PATH, PublicFace
from unstract_devstack.backend.services import Call, Services
from unstract_devstack.backend.wire import (
    FORBIDDEN_PAGE,
    HTML_TYPE,
    NOT_FOUND_PAGE,
    BadUuid,
    MalformedJson,
    NoMatch,
    Operation,
    Refused,
    html,
    standardized,
    unauthorized,
)  # fmt: skip

log = logging.getLogger(__name__)

CALL_THREADS, FILE_THREADS, CALLER_THREADS = 6, 64, 64
KEEP_ALIVE_SECONDS = 75
EXPECTED = (BadUuid, MalformedJson, NoMatch)


@frozen
class BackendHandle:
    """Where a running backend is found."""

    base_url: str
    public_url: str
    port: int
    api_key: str = field(repr=False)


@contextmanager
def running(config: BackendConfig) -> Iterator[BackendHandle]:
    """A reference backend on a thread of this process, until the block ends."""
    with ExitStack() as stack:
        services = Services.open(config)
        stack.callback(services.close)
        application = Application(services)
        stack.callback(application.close)
        served = stack.enter_context(
            serving(application, host=config.host, port=config.port, timeout_keep_alive=KEEP_ALIVE_SECONDS)
        )
        stack.callback(application.public.release_callers)
        application.connections = served.connections
        # The threads that work without being asked.
        if config.buffer_loop:
            stack.enter_context(_in_thread("notification-buffer", partial(process_until, services)))
        if config.log_drain and config.broker_url:
            drain = partial(drain_until, config.broker_url, services.logs)
            stack.enter_context(_in_thread("log-drain", drain))
        url = f"http://{config.host}:{served.port}"
        yield BackendHandle(f"{url}/internal", url, served.port, config.api_key)


@contextmanager
def _in_thread(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """`work` in a thread of its own, until the block ends; its event is set then."""
    ended = threading.Event()
    thread = threading.Thread(target=work, args=(ended,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class Application:
    """The reference backend as an ASGI application: every request is noted, and met by a fault if one is set.

    Views run in pools of threads. The dev API has its own, so that it can look on whatever the others wait for.
    `connections` are the open ones of the server that it runs in.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.connections: Connections = ()
        shared = services.config.shared_threads
        self._quick = ThreadPoolExecutor(shared or CALL_THREADS, "backend-call")
        self._slow = self._quick if shared else ThreadPoolExecutor(FILE_THREADS, "backend-file")
        self._callers = self._quick if shared else ThreadPoolExecutor(CALLER_THREADS, "backend-caller")
        self._observers = ThreadPoolExecutor(2, "backend-dev")
        self._keys: dict[str, threading.Lock] = {}
        self.public = PublicFace(services, self._callers)
        self._router = Router([*self._routes(), Route(PATH, self.public)], redirect_slashes=False)
        self._router.default = self._missing

    def _routes(self) -> Iterator[Route]:
        """One route a path; literal segments go before parameters."""
        by_path: dict[str, dict[str, Operation]] = {}
        for operation in (*INTERNAL, *DEV):
            by_path.setdefault(operation.path, {})[operation.method] = operation
        for path in sorted(by_path, key=lambda path: [segment.startswith("{") for segment in path.split("/")]):
            yield Route(path, Endpoint(self, by_path[path]))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        if scope["path"].startswith("/dev/"):
            await self._answer(scope, receive, send)
            return
        at, began, sent = time.time(), time.perf_counter(), Sent(send)
        fault = next((each for each in list(self.services.faults) if each.acts(scope["method"], scope["path"])), None)
        answer = Faulty(self._answer, fault, self.connections) if fault else self._answer
        await answer(scope, receive, sent)
        headers, requests = Request(scope).headers, self.services.requests
        requests.append(
            {
                "id": len(requests) + 1, "at": at, "method": scope["method"], "path": scope["path"],
                "organization": headers.get("x-organization-id"), "key": headers.get("idempotency-key"),
                "status": sent.status, "seconds": time.perf_counter() - began, "fault": fault and fault.kind,
            }
        )  # fmt: skip

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

    async def run(self, operation: Operation, scope: Scope) -> Response:
        """Run a view in a thread."""
        pool = self._slow if operation.slow else self._quick
        if operation.path.startswith("/dev/"):
            pool = self._observers
        request = Request(scope)
        call = Call(self.services, request, scope["body"], request.headers.get("x-organization-id", "").strip() or None)
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, self._handled, operation, call)
        except Exception:  # the process boundary: a fault of the double itself must reach its log and its caller
            log.exception("%s %s failed in the reference backend", operation.method, call.path)
            return JSONResponse({"error": "the reference backend failed, see its log"}, 500)

    def _handled(self, operation: Operation, call: Call) -> Response:
        """The answer of one call, in a thread of a pool: idempotency keys where they count."""
        keyed = self.services.config.mode is Mode.KEYED and call.key is not None and operation.method != "GET"
        answer = self._once(operation, call) if keyed else _plainly(operation, call)
        for step in call.after:
            step()
        return answer

    def _once(self, operation: Operation, call: Call) -> Response:
        """Apply a key once. A quick view's effect and its answer are written in one transaction."""
        scope = f"{operation.method} {call.path} {call.key}"
        with self._keys.setdefault(scope, threading.Lock()):
            known = call.database.get("idempotency_keys", scope=scope)
            if known is not None:
                return Response(known["body"], known["status"], media_type=known["content_type"])

            def keep(answer: Response) -> None:
                if answer.status_code < 300:
                    given = {"status": answer.status_code, "content_type": answer.media_type}
                    call.database.insert("idempotency_keys", scope=scope, body=bytes(answer.body), **given)

            if operation.slow:
                call.keep = keep
                return _plainly(operation, call)
            with call.database.write():
                answer = _plainly(operation, call)
                keep(answer)
            return answer

    def close(self) -> None:
        """Wait for running views."""
        for pool in (self._quick, self._slow, self._callers, self._observers):
            pool.shutdown()


def _plainly(operation: Operation, call: Call) -> Response:
    try:
        return operation(call)
    except Refused as refused:
        return refused.answer
    except Exception as problem:  # noqa: BLE001 as in the real views, which catch everything and answer in their own shape
        if not isinstance(problem, EXPECTED):
            log.info("%s %s answered as a failure: %r", operation.method, call.path, problem)
        return operation.failing(problem)


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

    application: Application
    operations: Mapping[str, Operation]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run the operation of this method."""
        method = scope["method"]
        if method in self.operations:
            answer = await self.application.run(self.operations[method], scope)
        elif all(operation.plain for operation in self.operations.values()):
            answer = html(405 if method in {"GET", "HEAD", "OPTIONS"} else 403, FORBIDDEN_PAGE)
        else:
            answer = standardized(405, "method_not_allowed", f'Method "{method}" not allowed.')
        await answer(scope, receive, send)
