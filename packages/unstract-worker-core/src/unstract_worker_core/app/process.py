"""One worker process: its app, its runtime, what runs beside the tasks, and its end.

Both ways in (our entry point and Celery's command) come through here: a bootstep of the worker calls `adopt` before
anything starts, and `started` once the pool is there.
"""

import gc
import logging
import os
import signal
import threading
from collections.abc import Mapping
from typing import Any, NoReturn

from celery import Celery, bootsteps, signals
from celery.exceptions import WorkerShutdown

from unstract_worker_core.app.broker import declared_queue
from unstract_worker_core.app.building import build_runtime
from unstract_worker_core.app.dead_letters import put_aside
from unstract_worker_core.app.definition import Service, WorkerDefinition
from unstract_worker_core.app.drain import Drain
from unstract_worker_core.app.factory import make_app
from unstract_worker_core.app.guarded import enforce
from unstract_worker_core.app.pools import ThreadPool, pool_for
from unstract_worker_core.app.redis_transport import on_malformed
from unstract_worker_core.app.ringing import CeleryDoorbells
from unstract_worker_core.app.runtime import Runtime
from unstract_worker_core.app.watchdog import Watchdog
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import ConfigurationError, LedgerError, LedgerUnavailable
from unstract_worker_core.health import CheckResult, HealthServer
from unstract_worker_core.logs import get_logger
from unstract_worker_core.queues import queues_of
from unstract_worker_core.redis_connections import check_ledger_redis

__all__ = ["WorkerProcess"]

# Celery's own line for each message received and ended: metrics count them, our steps log what happened.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")

log = get_logger(__name__)


class WorkerProcess:
    """The process that a worker's Celery app belongs to."""

    def __init__(self, definition: WorkerDefinition, settings: Settings) -> None:
        """Makes the app; nothing starts before Celery does."""
        self.definition = definition
        self.settings = settings
        self.drain = Drain(settings.process.drain_seconds, self._hand_back)
        self.app: Celery = make_app(definition, settings, self.runtime)
        self.app.worker_process = self
        self.app.steps["worker"].add(_Beside)
        self._runtime: Runtime | None = None
        self._lock = threading.Lock()
        self._consuming = False
        self._services: list[Service | HealthServer] = []
        self._connect_signals()

    def runtime(self) -> Runtime:
        """The runtime of this operating-system process, built when it is first asked for."""
        with self._lock:
            if self._runtime is None:
                self._runtime = build_runtime(self.settings, draining=self.drain.draining)
            return self._runtime

    def consuming(self, now: bool) -> None:
        """Told by the consumer, for readiness."""
        self._consuming = now

    def message_seen(self) -> None:
        """Told by the consumer, for liveness (under prefork the tasks run elsewhere)."""
        self.runtime().progress.claim_made()

    def adopt(self, worker: Any) -> None:
        """Before anything starts: settings that somebody changed go back, doorbell queues are consumed in any case."""
        for name in enforce(self.app, self.settings):
            log.warning("setting is fixed: it guards the run ledger; the change has no effect", setting=name)
        conf = self.app.conf
        for name in ("prefetch_multiplier", "consumer_cls", "task_events", "time_limit", "soft_time_limit"):
            setattr(worker, name, conf[_SETTING_OF.get(name, f"worker_{name}")])
        worker.pool_cls = pool_for(worker.pool_cls)
        worker.options.update(without_mingle=True, without_gossip=True, without_heartbeat=True)
        for name in queues_of(self.definition.worker).doorbell_queues:
            self.app.amqp.queues.select_add(declared_queue(name, self.settings.broker))
        gc.enable()
        gc.collect()
        gc.freeze()  # what was imported stays: never walked again, and shared with prefork children

    def started(self, worker: Any) -> None:
        """The pool is there, the consumer is not yet: begin what runs beside the tasks."""
        self._take_signals()
        runtime = self.runtime()
        on_malformed(self._malformed)
        watchdog = Watchdog(runtime, self.end, self._waiting, threads=issubclass(worker.pool_cls, ThreadPool))
        health = self._health(runtime) if self.settings.process.health_enabled else None
        if health is not None:
            try:
                health.start()
            except ConfigurationError as error:
                self._refuse(str(error))
            self._services.append(health)
        self._check_ledger(runtime)
        for service in (*self.definition.services(runtime), watchdog):
            service.start()
            self._services.append(service)

    def end(self) -> None:
        """Begin the drain; safe in a signal handler."""
        from celery.worker import state  # the worker's own module: loaded by now

        self.drain.notify()
        state.should_stop = 0

    def finish(self, code: int) -> NoReturn:
        """The tasks are through: stop the rest and exit without waiting for threads that were left behind."""
        for service in reversed(self._services):
            service.stop()
        if self._runtime is not None:
            self._runtime.log_events.stop(timeout=2.0)
            self._runtime.keeper.hand_back_all()
        log.info("stopped", exit_code=code)
        logging.shutdown()
        os._exit(code)

    def _connect_signals(self) -> None:
        def select_missing(instance: Any = None, options: Mapping[str, Any] | None = None, **_: Any) -> None:
            if instance is not None and instance.app is self.app:
                for name in (options or {}).get("queues") or ():
                    if name not in self.app.amqp.queues:
                        self.app.amqp.queues.add(declared_queue(name, self.settings.broker))

        def ended(sender: Any = None, **_: Any) -> None:
            if getattr(sender, "app", None) is self.app:
                self.finish(sender.exitcode or 0)

        signals.celeryd_init.connect(select_missing, weak=False)
        signals.worker_shutdown.connect(ended, weak=False)
        signals.worker_process_init.connect(lambda **_: self._in_child(), weak=False)
        signals.setup_logging.connect(_leave_logging, weak=False)

    def _in_child(self) -> None:
        """In a prefork child, right after the fork: nothing of the parent's is used again."""
        self._lock, self._runtime, self._services = threading.Lock(), None, []
        self.drain.listen_in_child(lambda: self._runtime is None or not self._runtime.progress.slots_in_use)
        signal.signal(signal.SIGTERM, lambda *_: self.drain.notify())

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda *_: self.end())
        self.drain.listen()

    def _hand_back(self) -> int:
        return self._runtime.keeper.hand_back_all() if self._runtime is not None else 0

    def _check_ledger(self, runtime: Runtime) -> None:
        """Refuse a Redis that may lose the ledger; wait for one that does not answer."""
        while True:
            try:
                findings = check_ledger_redis(runtime.ledger.redis)
                break
            except LedgerUnavailable as error:
                log.warning("waiting for the ledger's Redis", error=str(error))
                if self.drain.draining.wait(2.0):
                    raise WorkerShutdown(0) from None
        for finding in findings:
            if finding.fatal:
                self._refuse(f"the ledger's Redis: {finding.problem}")
            log.warning("the ledger's Redis", finding=finding.problem)

    def _refuse(self, problem: str) -> NoReturn:
        log.critical("cannot start", problem=problem)
        self.finish(2)

    def _malformed(self, reason: str) -> None:
        try:
            put_aside(self.runtime(), task="", task_id="", queue="", reason=reason, content=None, kind="message")
        except LedgerError as error:
            log.error("malformed message could not be kept", reason=reason, error=str(error))

    def _waiting(self) -> int | None:
        bells = self.runtime().doorbells
        return bells.depth(tuple(self.app.amqp.queues.consume_from)) if isinstance(bells, CeleryDoorbells) else None

    def _health(self, runtime: Runtime) -> HealthServer:
        process = self.settings.process
        return HealthServer(
            process.health_host,
            process.health_port,
            worker=self.definition.worker.value,
            version=self.settings.version,
            alive=runtime.progress.alive,
            checks=(
                ("consumer", self._consumer_check),
                ("ledger", self._ledger_check),
                ("backend", self._backend_check),
            ),
            metrics=runtime.metrics,
            variable=f"{self.definition.worker.value.upper()}_HEALTH_PORT",
        )

    def _consumer_check(self) -> CheckResult:
        if self.drain.draining.is_set():
            return CheckResult("consumer", False, "draining")
        return CheckResult("consumer", self._consuming, "" if self._consuming else "not connected to the broker")

    def _ledger_check(self) -> CheckResult:
        self.runtime().ledger.redis.ping()
        return CheckResult("ledger", True)

    def _backend_check(self) -> CheckResult:
        state = self.runtime().backend.breaker.state
        return CheckResult("backend", state == "closed", f"circuit breaker {state}", critical=False)


_SETTING_OF = {
    "task_events": "worker_send_task_events",
    "consumer_cls": "worker_consumer",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
}


class _Beside(bootsteps.StartStopStep):  # type: ignore[misc]
    """Ties the process into Celery's start: made before anything, started after the pool and before the consumer."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.app.worker_process.adopt(worker)

    def start(self, worker: Any) -> None:
        worker.app.worker_process.started(worker)

    def stop(self, worker: Any) -> None:
        """The process stops it all in `finish`, after the tasks."""

    terminate = stop


def _leave_logging(**_: Any) -> None:
    """Logging is configured already: Celery leaves it alone while this signal has a receiver."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
