"""The HTTP endpoint of a worker: /health, /health/live, /health/ready and /metrics; and the checks that they ask."""

import json
import threading
import time
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from attrs import frozen

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.health_listener import Answer, Limits, Listener
from unstract_worker_core.observability.logs import get_logger

if TYPE_CHECKING:
    from unstract_worker_core.observability.metrics import Metrics

_LIMITS = Limits()


@frozen
class CheckResult:
    """Outcome of a check. One that is not `critical` is shown but never makes the worker unready.

    `detail` is shown to everyone who can reach the port: no ids, no secrets, no addresses.
    """

    name: str
    ok: bool
    detail: str = ""
    critical: bool = True


Check = Callable[[], CheckResult]


@frozen
class Report:
    """Outcomes of a round of checks."""

    results: tuple[CheckResult, ...]

    @property
    def ok(self) -> bool:
        """Whether every critical check passed."""
        return all(result.ok for result in self.results if result.critical)

    def body(self) -> dict[str, Any]:
        """Status and checks, ready for JSON."""
        degraded = self.ok and not all(result.ok for result in self.results)
        return {
            "status": "degraded" if degraded else "ok" if self.ok else "failed",
            "checks": {result.name: {"ok": result.ok, "detail": result.detail} for result in self.results},
        }


class Checks:
    """Runs checks, one round at a time and at most one a second, however many ask."""

    def __init__(self, checks: Iterable[tuple[str, Check]]) -> None:
        self._checks = tuple(checks)
        self._lock = threading.Lock()
        self._latest: Report | None = None
        self._at = 0.0

    def report(self) -> Report:
        """The outcomes: of a new round, or the last one where it is fresh or another round is running."""
        if not self._lock.acquire(blocking=self._latest is None, timeout=10.0 if self._latest is None else -1):
            return self._latest or Report((CheckResult("checks", False, "still running"),))
        try:
            if self._latest is None or time.monotonic() - self._at > 1.0:
                self._latest = Report(tuple(self._run(name, check) for name, check in self._checks))
                self._at = time.monotonic()
            return self._latest
        finally:
            self._lock.release()

    def _run(self, name: str, check: Check) -> CheckResult:
        try:
            return check()
        except Exception as error:  # noqa: BLE001 - boundary: a check that breaks is a failed check
            get_logger(__name__).warning("health check failed", check=name, exc_info=True)
            return CheckResult(name, False, f"failed ({type(error).__name__})")


class HealthServer:
    """Serves health and metrics from daemon threads between `start()` and `stop()`.

    Args:
        port: 0 takes a free one; `port` tells which after the start.
        alive: the check behind /health/live; it must not ask the network.
        checks: what /health/ready asks, by name; /health asks all.
        variable: the variable to name when the port cannot be had.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        worker: str,
        version: str,
        alive: Check,
        checks: tuple[tuple[str, Check], ...],
        metrics: "Metrics",
        variable: str = "HEALTH_PORT",
        limits: Limits = _LIMITS,
    ) -> None:
        self._address, self._variable, self._limits = (host, port), variable, limits
        self._about = {"worker": worker, "version": version}
        self._alive, self._ready = Checks((("progress", alive),)), Checks(checks)
        self._metrics = metrics
        self._listener: Listener | None = None

    @property
    def port(self) -> int:
        """The port that is listened on."""
        return self._listener.server_port if self._listener else self._address[1]

    def start(self) -> None:
        """Listen. Raises ConfigurationError where the address cannot be had."""
        try:
            self._listener = Listener(self._address, self.answer, self._limits)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise ConfigurationError((Fault(self._variable, f"cannot be listened on: {reason}"),)) from None
        threading.Thread(target=self._listener.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Stop listening and close what is open. May be called more than once."""
        if self._listener:
            self._listener.shutdown()
            self._listener.server_close()
            self._listener = None

    def answer(self, path: str) -> Answer:
        """The answer to a path."""
        match path:
            case "/health":
                return self._reported(Report(self._alive.report().results + self._ready.report().results))
            case "/health/live":
                return self._reported(self._alive.report())
            case "/health/ready":
                return self._reported(self._ready.report())
            case "/metrics":
                return Answer(HTTPStatus.OK, self._metrics.content_type, self._metrics.render())
        return Answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found\n")

    def _reported(self, report: Report) -> Answer:
        status = HTTPStatus.OK if report.ok else HTTPStatus.SERVICE_UNAVAILABLE
        return Answer(status, "application/json", json.dumps({**self._about, **report.body()}).encode() + b"\n")
