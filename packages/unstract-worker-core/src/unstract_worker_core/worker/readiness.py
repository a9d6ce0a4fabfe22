"""Whether a process may start on its ledger, and what its health pages ask."""

from collections.abc import Callable

from celery.exceptions import WorkerShutdown

from unstract_worker_core.errors import ConfigurationError, Fault, LedgerUnavailable
from unstract_worker_core.observability.health import CheckResult, HealthServer
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.redis import check_ledger_redis
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import WorkerType

_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0

log = get_logger(__name__)


def check_ledger(runtime: Runtime) -> None:
    """Wait for a Redis that does not answer, and ask again after pauses that grow to 30 s.

    Raises:
        ConfigurationError: the server may lose the ledger.
        WorkerShutdown: a signal came while it did not answer.
    """
    pause = _PAUSE_SECONDS
    while True:
        try:
            findings = check_ledger_redis(runtime.ledger.redis)
            break
        except LedgerUnavailable as error:
            log.warning("waiting for the ledger's Redis", error=str(error))
            if runtime.draining.wait(pause):
                raise WorkerShutdown(0) from None
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
    own = runtime.settings.ledger_redis != runtime.settings.platform_redis
    variable = "WORKER_LEDGER_REDIS_URL" if own else "REDIS_*, the ledger's Redis"
    fatal = tuple(Fault(variable, finding.problem) for finding in findings if finding.fatal)
    if fatal:
        raise ConfigurationError(fatal)
    for finding in findings:
        log.warning("the ledger's Redis", finding=finding.problem)


def health_server(worker: WorkerType, runtime: Runtime, consuming: Callable[[], bool]) -> HealthServer:
    """The health pages of a process. The backend is shown and never decides: restarting would not bring it back."""

    def consumer() -> CheckResult:
        if runtime.draining.is_set():
            return CheckResult("consumer", ok=False, detail="draining")
        return CheckResult("consumer", ok=consuming(), detail="" if consuming() else "not connected to the broker")

    def ledger() -> CheckResult:
        runtime.ledger.redis.ping()
        return CheckResult("ledger", ok=True)

    def backend() -> CheckResult:
        state = runtime.backend.breaker.state
        return CheckResult("backend", ok=state == "closed", detail=f"circuit breaker {state}", critical=False)

    process = runtime.settings.process
    return HealthServer(
        process.health_host,
        process.health_port,
        worker=worker.value,
        version=runtime.settings.version,
        alive=runtime.progress.alive,
        checks=(("consumer", consumer), ("ledger", ledger), ("backend", backend)),
        metrics=runtime.metrics,
        variable=f"{worker.value.upper()}_HEALTH_PORT",
    )
