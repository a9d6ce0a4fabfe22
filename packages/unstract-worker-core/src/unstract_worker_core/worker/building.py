"""Builds the runtime of one process from its settings. Nothing is asked of the network yet."""

import threading
from typing import NoReturn

from celery import Celery

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import Settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.ledger import LeaseKeeper, Ledger
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.observability.progress import Progress, mark_progress
from unstract_worker_core.observability.tracing import make_traces
from unstract_worker_core.queues import consumed_queues
from unstract_worker_core.redis import connect
from unstract_worker_core.runs.runtime import IsolationLock, Runtime
from unstract_worker_core.ui_logs import LogEvents
from unstract_worker_core.worker.broker import BrokerAMQP, publishing_connection
from unstract_worker_core.worker.celery_settings import celery_settings, restore_protected
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells
from unstract_worker_core.worker.tasks import refuse_celery_tasks


def make_app(definition: WorkerDefinition, settings: Settings, runtime: RuntimeOf | None = None) -> Celery:
    """The app of a worker. `runtime` gives the tasks what they need, when the first one runs.

    Raises:
        ConfigurationError: something in this process changes a setting that guards the ledger.
    """
    app = Celery(definition.package, amqp=BrokerAMQP, fixups=())  # Celery's only one is for Django
    app.conf.update(celery_settings(settings))
    overridden = restore_protected(app, settings)
    if overridden:
        raise ConfigurationError(tuple(Fault(name, "is fixed: it guards the run ledger") for name in overridden))
    definition.register(app, runtime or _no_runtime)
    refuse_celery_tasks(app, runtime or _no_runtime)
    return app


def _no_runtime() -> NoReturn:
    raise RuntimeError("this app has no runtime: it cannot run tasks")


def build_runtime(
    settings: Settings,
    *,
    draining: threading.Event | None = None,
    doorbells: Doorbells | None = None,
    metrics: Metrics | None = None,
) -> Runtime:
    """A runtime of its own connections. Raises ConfigurationError for what only shows here, such as a bad CA file."""
    metrics = metrics or Metrics(settings.instance, consumed_queues(settings))
    draining = draining or threading.Event()

    def observe(step: str, outcome: str) -> None:
        mark_progress()
        metrics.ledger_steps.labels(step, outcome).inc()

    ledger = Ledger(connect(settings.ledger_redis, name="ledger"), settings.ledger, observe)
    leases = Ledger(connect(settings.ledger_redis, name="leases"), settings.ledger)
    platform_redis = connect(settings.platform_redis, name="platform")
    return Runtime(
        settings=settings,
        metrics=metrics,
        backend=Backend(settings.backend, metrics, version=settings.version),
        ledger=ledger,
        keeper=LeaseKeeper(
            leases.runs,
            leases.batches,
            lease_seconds=settings.ledger.lease_seconds,
            observe=metrics.leases_held.set,
        ),
        doorbells=doorbells or CeleryDoorbells(settings.broker, metrics),
        platform_redis=platform_redis,
        cache_redis=connect(settings.cache_redis, name="cache"),
        progress=Progress(concurrency=settings.process.concurrency, patience=settings.process.liveness_seconds),
        log_events=LogEvents(
            lambda: publishing_connection(settings.broker),
            platform_redis,
            ttl_seconds=settings.files.logs_ttl_seconds,
            observe=lambda outcome: metrics.log_events.labels(outcome).inc(),
        ),
        isolation=IsolationLock(draining, patience=3 * settings.ledger.lease_seconds),
        draining=draining,
        traces=make_traces(settings),
    )
