"""Health over real HTTP: verdicts, liveness by progress, and clients that misbehave."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.client import HTTPConnection, HTTPResponse

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from unstract_worker_core.errors import ConfigurationError
from unstract_worker_core.observability.health import Check, CheckResult, Checks, HealthServer, ListenerLimits
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.observability.progress import Progress, mark_progress

OK = CheckResult("broker", True, "reachable")


@contextmanager
def serving(
    *checks: tuple[str, Check],
    alive: Check = lambda: CheckResult("progress", True),
    limits: ListenerLimits | None = None,
    host: str = "127.0.0.1",
) -> Iterator[HealthServer]:
    server = HealthServer(
        host,
        0,
        worker="callback",
        version="1.2.3",
        alive=alive,
        checks=checks,
        metrics=Metrics(),
        variable="CALLBACK_HEALTH_PORT",
        limits=limits or ListenerLimits(),
    )
    server.start()
    try:
        yield server
    finally:
        server.stop()
        server.stop()


def ask(server: HealthServer, path: str, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer, answer.read()


def without_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return False
    except OSError:
        return True


needs_ipv6 = pytest.mark.skipif(without_ipv6(), reason="this host has no IPv6")


@needs_ipv6
@pytest.mark.parametrize(("host", "reached"), [("::", ("::1", "127.0.0.1")), ("::1", ("::1",))])
def test_ipv6_is_listened_on_and_ipv4_beside_it_where_all_addresses_are_meant(
    host: str, reached: tuple[str, ...]
) -> None:
    with serving(host=host) as server:
        for address in reached:
            connection = HTTPConnection(address, server.port, timeout=10)
            connection.request("GET", "/health/live")
            assert connection.getresponse().status == 200


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        threading.Event().wait(0.02)
    return condition()


def test_the_verdicts() -> None:
    backend = CheckResult("backend", False, "breaker open", critical=False)
    with serving(("broker", lambda: OK), ("backend", lambda: backend)) as server:
        answer, body = ask(server, "/health?x=1")
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "application/json"
        assert answer.headers["Server"].strip() == "unstract-worker"
        assert json.loads(body) == {
            "worker": "callback",
            "version": "1.2.3",
            "status": "degraded",
            "checks": {
                "progress": {"ok": True, "detail": ""},
                "broker": {"ok": True, "detail": "reachable"},
                "backend": {"ok": False, "detail": "breaker open"},
            },
        }
        assert ask(server, "/health/ready")[0].status == 200
        assert json.loads(ask(server, "/health/live")[1])["status"] == "ok"
        assert b"unstract_worker_slots_in_use" in ask(server, "/metrics")[1]
        assert ask(server, "/")[0].status == 404


def test_a_critical_check_makes_unready_but_not_dead() -> None:
    with serving(("broker", lambda: evolve(OK, ok=False))) as server:
        assert [ask(server, path)[0].status for path in ("/health", "/health/ready", "/health/live")] == [
            503,
            503,
            200,
        ]


def test_a_dead_process_is_told_apart() -> None:
    with serving(("broker", lambda: OK), alive=lambda: CheckResult("progress", False)) as server:
        assert [ask(server, path)[0].status for path in ("/health", "/health/ready", "/health/live")] == [
            503,
            200,
            503,
        ]


def test_a_check_that_breaks_is_a_failed_check_without_its_text() -> None:
    def broken() -> CheckResult:
        raise RuntimeError("secret words")

    with serving(("ledger", broken)) as server:
        answer, body = ask(server, "/health/ready")
    assert answer.status == 503
    assert json.loads(body)["checks"] == {"ledger": {"ok": False, "detail": "failed (RuntimeError)"}}


def test_only_get_and_head() -> None:
    with serving() as server:
        answer, body = ask(server, "/health", "HEAD")
        assert (answer.status, body) == (200, b"")
        assert int(answer.headers["Content-Length"]) > 0
        for method in ("POST", "DELETE", "PATCH"):
            assert ask(server, "/health", method)[0].status == 405


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /" + b"x" * 20000 + b" HTTP/1.1\r\n\r\n",
        b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 3000 + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\r\n\r\n",
        b"GET /health<script> HTTP/9.9\r\n\r\n",
        b"",
    ],
)
def test_malformed_requests_echo_nothing_and_the_server_stays(sent: bytes) -> None:
    with serving() as server:
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
            answer = b""
            with suppress(OSError):  # closed with bytes of ours unread
                client.sendall(sent)
                client.shutdown(socket.SHUT_WR)
                answer = client.recv(65536)
        assert b"200 OK" not in answer
        assert b"script" not in answer
        assert ask(server, "/health/live")[0].status == 200


def test_silent_and_dripping_clients_are_cut_and_others_are_served() -> None:
    limits = ListenerLimits(threads=2, connections=6, silence_seconds=0.5, life_seconds=1.0)
    with serving(limits=limits) as server, ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=10)) for _ in range(30)
        ]

        def dripping_ends() -> bool:
            try:
                clients[0].sendall(b"G")
            except OSError:
                return True
            return False

        assert eventually(dripping_ends)
        for client in clients[1:]:
            with suppress(ConnectionResetError):
                assert client.recv(100) == b""

        def served() -> bool:
            try:
                return ask(server, "/health/live")[0].status == 200
            except OSError:
                return False

        assert eventually(served)


def test_a_port_that_is_taken_is_a_fault_that_names_the_variable() -> None:
    with serving() as server:
        other = HealthServer(
            "127.0.0.1",
            server.port,
            worker="callback",
            version="1",
            alive=lambda: OK,
            checks=(),
            metrics=Metrics(),
            variable="CALLBACK_HEALTH_PORT",
        )
        with pytest.raises(ConfigurationError, match="CALLBACK_HEALTH_PORT: cannot be listened on: Address already"):
            other.start()
        assert other.port == server.port


@pytest.mark.parametrize("host", ["no-such-host.invalid", "192.0.2.7"])
def test_a_host_that_cannot_be_listened_on_is_named_by_its_own_variable(host: str) -> None:
    server = HealthServer(
        host, 0, worker="callback", version="1", alive=lambda: OK, checks=(), metrics=Metrics(),
        variable="CALLBACK_HEALTH_PORT",
    )  # fmt: skip
    with pytest.raises(ConfigurationError, match="WORKER_HEALTH_HOST: cannot be listened on: "):
        server.start()


def test_one_round_of_checks_at_a_time() -> None:
    entered, leave, rounds = threading.Event(), threading.Event(), []

    def slow() -> CheckResult:
        rounds.append(1)
        if len(rounds) > 1:
            entered.set()
            leave.wait(10)
        return OK

    checks = Checks([("broker", slow)])
    assert checks.results() == (OK,)
    assert checks.results() == (OK,)
    assert len(rounds) == 1
    checks._at -= 2
    other = threading.Thread(target=checks.results)
    other.start()
    assert entered.wait(10)
    assert checks.results() == (OK,)
    leave.set()
    other.join()
    assert len(rounds) == 2


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@given(
    due=st.one_of(st.none(), st.floats(0, 1000)),
    waited=st.floats(0, 1000),
    reported=st.floats(0, 1000),
    busy=st.integers(0, 2),
)
def test_dead_is_only_who_has_work_due_no_claims_and_a_free_slot(
    due: float | None, waited: float, reported: float, busy: int
) -> None:
    clock = Clock()
    progress = Progress(concurrency=2, patience=300, clock=clock)
    with ExitStack() as stack:
        for _ in range(busy):
            stack.enter_context(progress.slot("unstract_worker.process_batch"))
        progress.claim_made()
        clock.now += max(0.0, waited - reported)
        progress.due(due)
        clock.now += min(waited, reported)
        age = clock.now - 1000.0
        stale = min(waited, reported) > 300
        dead = due is not None and due > 300 and not stale and age > 300 and busy < 2
        assert progress.alive().ok is not dead


def test_slots_and_their_progress() -> None:
    clock = Clock()
    progress = Progress(concurrency=4, patience=300, clock=clock)
    with progress.slot("second"), progress.slot("first"):
        clock.now += 50
        mark_progress()
        clock.now += 20
        assert progress.slots_in_use == 2
        assert [(state.task, state.idle_seconds) for state in progress.slots()] == [
            ("second", 70),
            ("first", 20),
        ]
        assert [state.task for state in progress.stuck(30)] == ["second"]
        assert progress.alive().detail == "2 of 4 slots in use, longest without progress 70 s, last claim 70 s ago"
    assert progress.slots_in_use == 0
    progress.due(400)
    clock.now += 290
    assert progress.alive().detail.endswith("last claim 360 s ago, but work is due")
