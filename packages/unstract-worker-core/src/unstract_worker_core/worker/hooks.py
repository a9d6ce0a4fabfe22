"""Ties a worker process into Celery's start and end, whichever way Celery was started."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from celery import bootsteps, signals

from unstract_worker_core.worker.broker import declared_queue

if TYPE_CHECKING:
    from unstract_worker_core.worker.process import WorkerProcess

__all__ = ["tie"]

# Celery's own line for each message received and ended: metrics count them, our steps log what happened.
_TALKATIVE = ("celery.worker.strategy", "celery.app.trace")


def tie(process: "WorkerProcess") -> None:
    """Let the process hear when its worker is made, has its pool, forked a child, and is through."""
    app = process.app
    app.steps["worker"].add(_Beside)

    def select_missing(instance: Any = None, options: Mapping[str, Any] | None = None, **_: Any) -> None:
        # Before Celery looks for the queues that its command line names: it refuses those it does not know.
        if instance is not None and instance.app is app:
            for name in (options or {}).get("queues") or ():
                if name not in app.amqp.queues:
                    app.amqp.queues.add(declared_queue(name, process.settings.broker))

    def ended(sender: Any = None, **_: Any) -> None:
        if getattr(sender, "app", None) is app:
            process.finish(sender.exitcode or 0)

    signals.celeryd_init.connect(select_missing, weak=False)
    signals.worker_shutdown.connect(ended, weak=False)
    signals.worker_process_init.connect(lambda **_: process.in_child(), weak=False)
    signals.worker_process_shutdown.connect(lambda **_: process.flush(), weak=False)
    signals.setup_logging.connect(_leave_logging, weak=False)


class _Beside(bootsteps.StartStopStep):  # type: ignore[misc]
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


def _leave_logging(**_: Any) -> None:
    """Logging is configured already: Celery leaves it alone while this signal has a receiver."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)
