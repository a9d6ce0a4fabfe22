"""One worker process: its app, its runtime, what runs beside the tasks, and its end.

Both entry points (ours and Celery's command) use it: Celery calls the process when its worker is made, has its pool,
has forked a child, and has ended.
"""

import gc
import logging
import os
import signal
import sys
import threading
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from attrs import evolve
from celery import bootsteps, signals
from celery.utils.imports import symbol_by_name
from celery.utils.nodenames import nodesplit

from unstract_worker_core.config import Settings
from unstract_worker_core.errors import ConfigurationError, Fault, LedgerError
from unstract_worker_core.observability.logs import configure_logging, get_logger
from unstract_worker_core.observability.metrics import Metrics, SharedFolder
from unstract_worker_core.queues import queues_of
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.worker.broker import declared_queue
from unstract_worker_core.worker.broker_redis import on_malformed
from unstract_worker_core.worker.celery_app import build_runtime, make_app, restore_protected
from unstract_worker_core.worker.definition import Service, WorkerDefinition
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells
from unstract_worker_core.worker.drain import POOL_PATHS, Drain, ThreadPool, is_supported_pool, within
from unstract_worker_core.worker.rejected_messages import dead_letter, refuse_compression
from unstract_worker_core.worker.reporting import Reporter, check_ledger, health_server
from unstract_worker_core.worker.watchdog import Watchdog

if TYPE_CHECKING:
    from celery import Celery

_HAND_BACK_SECONDS = 5.0
_FLUSH_SECONDS = 3.0
# A worker's threads wait for answers and release the interpreter by themselves; Python's 5 ms wake a hundred of them
# for nothing. Measured with 100 files in flight, 50 ms cost a tenth less processor time a file.
_SWITCH_SECONDS = 0.05
# How the worker object names settings that a command line may have changed.
_SETTINGS_OF_WORKER = {
    "prefetch_multiplier": "worker_prefetch_multiplier",
    "task_events": "worker_send_task_events",
    "consumer_cls": "worker_consumer",
    "time_limit": "task_time_limit",
    "soft_time_limit": "task_soft_time_limit",
}
# Celery's own line for each message received and ended: metrics count them, our steps log what happened.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")

log = get_logger(__name__)


class WorkerProcess:
    """The process that a worker's Celery app belongs to."""

    def __init__(self, definition: WorkerDefinition, settings: Settings, metrics_folder: Path | None = None) -> None:
        """Makes the app; nothing starts before Celery does.

        Args:
            metrics_folder: where prefork children keep their metrics.
        """
        self.definition = definition
        self.settings = settings
        self.consuming = False  # set by the consumer, for readiness
        self.drain = Drain(settings.process.drain_seconds, self._hand_back)
        self.app: Celery = make_app(definition, settings, self.runtime)
        self.app.worker_process = self
        self._runtime: Runtime | None = None
        self._lock = threading.Lock()
        self._hostname = settings.instance
        self._shared = None if metrics_folder is None else SharedFolder(metrics_folder)
        self._services: list[Service] = []
        self.app.steps["worker"].add(_ServicesStep)
        self._connect_signals()

    def runtime(self) -> Runtime:
        """The runtime of this operating-system process, built when it is first asked for."""
        with self._lock:
            if self._runtime is None:
                metrics = Metrics(self._hostname, self._queues(), shared=self._shared)
                self._runtime = build_runtime(self.settings, draining=self.drain.draining, metrics=metrics)
            return self._runtime

    def adopt(self, worker: Any) -> None:
        """Before anything starts: settings that were changed go back, doorbell queues are consumed in any case."""
        refuse_compression()
        for name in restore_protected(self.app, self.settings):
            log.warning("setting is fixed: it guards the run ledger; the change has no effect", setting=name)
        for attribute, setting in _SETTINGS_OF_WORKER.items():
            if getattr(worker, attribute) != self.app.conf[setting]:
                log.warning("setting is fixed: the command line's has no effect", setting=setting)
                setattr(worker, attribute, self.app.conf[setting])
        process = self.settings.process
        if isinstance(worker.concurrency, int) and worker.concurrency != process.concurrency:
            # For liveness and `fleet`: with fewer slots than the setting says, a busy worker would look dead.
            self.settings = evolve(self.settings, process=evolve(process, concurrency=worker.concurrency))
        pool = symbol_by_name(POOL_PATHS[process.pool])
        if not is_supported_pool(worker.pool_cls):
            self.refuse(ConfigurationError((Fault("--pool", "the workers run in threads or prefork only"),)))
        if not issubclass(pool, worker.pool_cls):
            log.warning("setting is fixed: the command line's has no effect", setting="worker_pool")
        worker.pool_cls = pool
        worker.options.update(without_mingle=True, without_gossip=True, without_heartbeat=True)
        for name in queues_of(self.definition.worker).own:
            self.app.amqp.queues.select_add(declared_queue(name, self.settings.broker))
        self._hostname = nodesplit(worker.hostname)[1]
        if not issubclass(worker.pool_cls, ThreadPool):
            gc.collect()
            gc.freeze()  # before the children are made: they share what is frozen
            return
        sys.setswitchinterval(_SWITCH_SECONDS)

    def started(self, worker: Any) -> None:
        """The pool is there, the consumer is not yet: begin what runs beside the tasks."""
        self._take_signals()
        runtime = self.runtime()
        on_malformed(self._malformed)
        watchdog = Watchdog(runtime, self.end, self._waiting, threads=issubclass(worker.pool_cls, ThreadPool))
        try:
            if self.settings.process.health_enabled:
                self._serve(health_server(self.definition.worker, runtime, lambda: self.consuming))
            self._serve(Reporter(runtime, self._queues))
            check_ledger(runtime)
            for service in (*self.definition.services(runtime), watchdog):
                self._serve(service)
        except ConfigurationError as error:
            self.refuse(error)

    def refuse(self, error: ConfigurationError) -> NoReturn:
        """End a process that cannot start, with exit code 2."""
        log.critical("cannot start", problem=str(error))
        self.finish(2)

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
            within(_HAND_BACK_SECONDS, self._runtime.keeper.hand_back_all)
            self.flush()
        if self._shared is not None:
            self._shared.remove()
        log.info("stopped", exit_code=code)
        logging.shutdown()
        os._exit(code)

    def flush(self) -> None:
        """Send the traces of what ended, within a few seconds; also when a prefork child is through."""
        if self._runtime is not None:
            within(_FLUSH_SECONDS, partial(self._runtime.traces.flush, _FLUSH_SECONDS))

    def in_child(self) -> None:
        """In a prefork child, right after the fork: nothing of the parent's is used again."""
        self._lock, self._runtime, self._services = threading.Lock(), None, []
        if self._shared is not None:
            self._shared.forget_own()
        self.drain.listen_in_child(lambda: self._runtime is None or not self._runtime.progress.slots_in_use)
        signal.signal(signal.SIGTERM, lambda *_: self.drain.notify())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the parent's business; logrotate may send it to every process

    def _queues(self) -> tuple[str, ...]:
        return tuple(self.app.amqp.queues.consume_from)

    def _take_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
            signal.signal(number, lambda *_: self.end())
        # logrotate sends SIGHUP after it has renamed the file, and the next record opens it again. Without a file it
        # means that the terminal is gone.
        signal.signal(signal.SIGHUP, signal.SIG_IGN if self.settings.logging.file else lambda *_: self.end())
        self.drain.listen()

    def _hand_back(self) -> None:
        if self._runtime is not None:
            self._runtime.keeper.hand_back_all()
        self.flush()

    def _serve(self, service: Service) -> None:
        service.start()
        self._services.append(service)

    def _malformed(self, queue: str, reason: str) -> None:
        try:
            dead_letter(self.runtime(), task="", task_id="", queue=queue, reason=reason, content=None, kind="message")
        except LedgerError as error:
            log.error("dead letter of a malformed message not stored", reason=reason, error=str(error))

    def _waiting(self) -> int | None:
        bells = self.runtime().doorbells
        depths = bells.depths(self._queues()) if isinstance(bells, CeleryDoorbells) else None
        return None if depths is None else sum(depths.values())

    def _connect_signals(self) -> None:
        def begin(instance: Any = None, options: Mapping[str, Any] | None = None, **_: Any) -> None:
            if instance is not None and instance.app is self.app:
                queues = self.app.amqp.queues
                for name in (options or {}).get("queues") or ():  # Celery refuses those that it does not know
                    if name not in queues:
                        queues.add(declared_queue(name, self.settings.broker))

        def ended(sender: Any = None, **_: Any) -> None:
            if getattr(sender, "app", None) is self.app:
                self.finish(sender.exitcode or 0)

        signals.celeryd_init.connect(begin, weak=False)
        signals.worker_shutdown.connect(ended, weak=False)
        signals.worker_process_init.connect(lambda **_: self.in_child(), weak=False)
        signals.worker_process_shutdown.connect(lambda **_: self.flush(), weak=False)
        signals.setup_logging.connect(self._set_up_logging, weak=False)

    def _set_up_logging(self, logfile: str | None = None, **_: Any) -> None:
        # Celery leaves logging alone while this signal has a receiver. A file of its command line gets our lines.
        if logfile:
            try:
                configure_logging(evolve(self.settings.logging, file=logfile), secrets=self.settings.secrets())
            except ConfigurationError:  # Celery would swallow it, and go on without the file
                self.refuse(ConfigurationError((Fault("--logfile", f"{logfile} cannot be opened for writing"),)))
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)


class _ServicesStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Made before anything is, started after the pool and before the consumer, stopped between these two."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.app.worker_process.adopt(worker)

    def start(self, worker: Any) -> None:
        worker.app.worker_process.started(worker)

    def stop(self, worker: Any) -> None:
        """Begin the drain: prefork children end by themselves then, within the grace period.

        The process stops what it started in `finish`, after the tasks.
        """
        worker.app.worker_process.drain.begin()

    terminate = stop
