"""Connects a worker process to Celery's start and end, whichever command started Celery."""

import logging
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attrs import evolve
from celery import bootsteps, signals

from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.observability.logs import configure_logging
from unstract_worker_core.worker.broker import declared_queue

if TYPE_CHECKING:
    from unstract_worker_core.worker.process import WorkerProcess

# Celery's own line for each message received and ended: metrics count them, our steps log what happened.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")


def install_hooks(process: "WorkerProcess") -> None:
    """Call the process when its worker is made, has its pool, has forked a child, and has ended."""
    app = process.app
    app.steps["worker"].add(_ServicesStep)

    def begin(instance: Any = None, options: Mapping[str, Any] | None = None, **_: Any) -> None:
        if instance is not None and instance.app is app:
            _declare_queues(process, (options or {}).get("queues") or ())

    def leave_logging(logfile: str | None = None, **_: Any) -> None:
        # Celery leaves logging alone while this signal has a receiver. A file of its command line gets our lines.
        if logfile:
            settings = process.settings
            try:
                configure_logging(evolve(settings.logging, file=logfile), secrets=settings.secrets())
            except ConfigurationError:  # Celery would swallow it, and go on without the file
                problem = f"{logfile} cannot be opened for writing"
                process.refuse(ConfigurationError((Fault("--logfile", problem),)))
        for name in _TALKATIVE:
            logging.getLogger(name).setLevel(logging.WARNING)

    def ended(sender: Any = None, **_: Any) -> None:
        if getattr(sender, "app", None) is app:
            process.finish(sender.exitcode or 0)

    signals.celeryd_init.connect(begin, weak=False)
    signals.worker_shutdown.connect(ended, weak=False)
    signals.worker_process_init.connect(lambda **_: process.in_child(), weak=False)
    signals.worker_process_shutdown.connect(lambda **_: process.flush(), weak=False)
    signals.setup_logging.connect(leave_logging, weak=False)


def _declare_queues(process: "WorkerProcess", queues: Iterable[str]) -> None:
    """Declare the queues that the command line names: Celery refuses those that it does not know."""
    for name in queues:
        if name not in process.app.amqp.queues:
            process.app.amqp.queues.add(declared_queue(name, process.settings.broker))


class _ServicesStep(bootsteps.StartStopStep):  # type: ignore[misc]
    """Made before anything is, started after the pool and before the consumer."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **options: Any) -> None:
        super().__init__(worker, **options)
        worker.app.worker_process.adopt(worker)

    def start(self, worker: Any) -> None:
        worker.app.worker_process.started(worker)

    def stop(self, worker: Any) -> None:
        """The process stops what it started in `finish`, after the tasks."""

    terminate = stop
