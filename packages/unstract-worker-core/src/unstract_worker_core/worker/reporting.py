"""What a process reports about itself and its fleet: health pages, its heartbeat, the gauges of /metrics.

Queues, ledger and workers that are gone belong to the whole fleet: one elected worker reports each, so that sums over
all workers are right.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from celery.exceptions import WorkerShutdown

from unstract_worker_core import __version__
from unstract_worker_core.errors import ConfigurationError, Fault, LedgerError, LedgerUnavailable
from unstract_worker_core.fleet import Fleet, Heartbeat, missing
from unstract_worker_core.ledger import RunState, RunTask
from unstract_worker_core.ledger.store import take_census, take_role
from unstract_worker_core.observability import metrics as m
from unstract_worker_core.observability.health import CheckResult, HealthServer
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.metrics import Reading
from unstract_worker_core.periodic import PeriodicService
from unstract_worker_core.queues import queues_of
from unstract_worker_core.redis import access_problem, check_ledger_redis
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells

# Before the ledger's Redis is asked again: the first time, and at most.
_WAIT_SECONDS, _LONGEST_WAIT_SECONDS = 1.0, 30.0
_REPORT_SECONDS = 5.0
# A role lasts this long without being taken again, and what was read under it is shown no longer.
_ROLE_SECONDS = 15.0
# There also while there are none: a graph shows 0 and not a gap.
_NO_RUNS = {(RunTask.EXECUTION.value, state.value): 0 for state in RunState if state is not RunState.DONE}
_NO_WAIT = {RunTask.EXECUTION.value: 0.0}
_NONE_UNCLAIMED = {kind.value: 0 for kind in RunKind}

log = get_logger(__name__)


def check_ledger(runtime: Runtime) -> None:
    """Wait for a Redis that does not answer, and ask again after pauses that grow to 30 s.

    Raises:
        ConfigurationError: the server may lose the ledger, or one of another role refuses its user.
        WorkerShutdown: a signal came while it did not answer.
    """
    pause = _WAIT_SECONDS
    while True:
        try:
            findings = check_ledger_redis(runtime.ledger.redis)
            break
        except LedgerUnavailable as error:
            log.warning("waiting for the ledger's Redis", error=str(error))
            if runtime.draining.wait(pause):
                raise WorkerShutdown(0) from None
            pause = min(2 * pause, _LONGEST_WAIT_SECONDS)
    own = runtime.settings.ledger_redis != runtime.settings.platform_redis
    variable = "WORKER_LEDGER_REDIS_URL" if own else "REDIS_*, the ledger's Redis"
    fatal = tuple(Fault(variable, finding.problem) for finding in findings if finding.fatal)
    roles = {"REDIS_*": runtime.platform_redis, "CACHE_REDIS_*": runtime.cache_redis}
    problems = {variables: access_problem(client) for variables, client in roles.items() if not fatal}
    fatal += tuple(Fault(variables, problem) for variables, problem in problems.items() if problem)
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


class Reporter(PeriodicService):
    """Writes the heartbeat and reads the gauges: at once, and then every few seconds."""

    def __init__(self, runtime: Runtime, queues: Callable[[], tuple[str, ...]]) -> None:
        """`queues` names the queues that this process consumes."""
        super().__init__("metrics", _REPORT_SECONDS)
        self.runtime = runtime
        self._queues = queues
        self._token = runtime.token()
        self._fleet = Fleet(runtime.ledger.redis)
        self._began = time.monotonic()

    def stop(self) -> None:
        """Stop, without waiting, and leave the fleet."""
        self.stopping.set()
        with suppress(LedgerError):
            self._fleet.leave(self._token)

    def tick(self) -> None:
        """Report once. What was read before is shown until its time, then nothing."""
        try:
            self._report()
        except LedgerError as error:
            log.debug("metrics could not be read", error=str(error))
        except Exception:  # thread boundary: metrics must not end with one bad reading
            log.exception("metrics could not be read")

    def _loop(self) -> None:
        self.tick()
        super()._loop()

    def _report(self) -> None:
        shown, worker = self.runtime.metrics.readings, self.runtime.settings.worker
        shown.show("worker", self._of_this_worker())
        self._fleet.beat(self._token, self._heartbeat())
        until = time.monotonic() + _ROLE_SECONDS
        # Of the whole fleet's queues: one whose workers are all dead is what an alert is for.
        queues = tuple(name for name in self._fleet.queues() if self._has(f"queue:{name}"))
        shown.show("queues", self._lengths(queues), until=until)
        if self._has("fleet"):
            shown.show("fleet", self._missing(), until=until)
        if worker is WorkerType.CALLBACK and self._has("ledger"):
            shown.show("ledger", self._ledger(), until=until)

    def _has(self, role: str) -> bool:
        return take_role(self.runtime.ledger.redis, f"metrics:{role}", self._token, _ROLE_SECONDS)

    def _heartbeat(self) -> Heartbeat:
        runtime = self.runtime
        return Heartbeat(
            instance=runtime.settings.instance,
            worker=runtime.settings.worker.value,
            version=runtime.settings.version,
            core_version=__version__,
            hostname=runtime.metrics.hostname,
            pid=os.getpid(),
            slots=runtime.progress.concurrency,
            running=runtime.progress.slots_in_use,
            idle_seconds=round(runtime.progress.idle_seconds, 1),
            backend=runtime.backend.breaker.state,
            queues=self._queues(),
            silent_calls=runtime.backend.silent_calls.shown(),
            up_seconds=round(time.monotonic() - self._began, 1),
        )

    def _missing(self) -> tuple[Reading, ...]:
        """Vanished workers, by host; with the type where others are there, with the pid where those are of its type."""
        members = self._fleet.members()
        gone = missing(members)
        known = [*gone, *(each.heartbeat for each in members if each.alive)]
        names = set()
        for beat in gone:
            there = [each for each in known if each.hostname == beat.hostname and each != beat]
            twins = [each for each in there if each.worker == beat.worker]
            name = f"{beat.worker}@{beat.hostname}" if there else beat.hostname
            names.add(f"{name}:{beat.pid}" if twins else name)
        return tuple(Reading(m.WORKER_UP, 0, (name,)) for name in sorted(names))

    def _of_this_worker(self) -> Iterator[Reading]:
        rule = queues_of(self.runtime.settings.worker).scaling
        yield Reading(m.WORKER_UP, 1, (self.runtime.metrics.hostname,))
        yield Reading(m.WAITING_PER_REPLICA, rule.waiting_per_replica)
        yield Reading(m.MAX_REPLICAS, rule.max_replicas)
        for name in self._queues():
            yield Reading(m.ACTIVE_WORKERS, 1, (name,))

    def _lengths(self, queues: tuple[str, ...]) -> tuple[Reading, ...]:
        bells = self.runtime.doorbells
        depths = bells.depths(queues) if isinstance(bells, CeleryDoorbells) else None
        return tuple(Reading(m.QUEUE_LENGTH, depth, (name,)) for name, depth in (depths or {}).items())

    def _ledger(self) -> Iterator[Reading]:
        census = take_census(self.runtime.ledger.redis)
        yield Reading(m.DUE, census.due)
        yield Reading(m.LETTERS, census.dead_letters)
        for (task, state), number in (_NO_RUNS | census.runs).items():
            yield Reading(m.RUNS, number, (task, state))
        for task, seconds in (_NO_WAIT | census.idle).items():
            yield Reading(m.IDLE, seconds, (task,))
        for kind, waiting in (_NONE_UNCLAIMED | census.unclaimed).items():
            yield Reading(m.UNCLAIMED, waiting, (kind,))
