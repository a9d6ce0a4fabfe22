"""Checks: small functions that say whether one thing works."""

import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

from attrs import frozen

from unstract_worker_core.observability.logs import get_logger

__all__ = ["Check", "CheckResult", "Checks", "Report"]


@frozen
class CheckResult:
    """Outcome of a check. One that is not `critical` is shown but never makes the worker unready.

    `detail` is shown to whoever can reach the port: no ids, no secrets, no addresses.
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
