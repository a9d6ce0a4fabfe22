"""The HTTP endpoint of a worker: /health, /health/live, /health/ready and /metrics."""

import json
import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.health.checks import Check, Checks, Report
from unstract_worker_core.observability.health.listener import Answer, Limits, Listener

if TYPE_CHECKING:  # see `observability.prefork_metrics`
    from unstract_worker_core.observability.metrics import Metrics

__all__ = ["HealthServer"]

_LIMITS = Limits()


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
