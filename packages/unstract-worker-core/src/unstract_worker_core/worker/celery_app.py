"""Makes the Celery app of a worker with its settings, and the runtime that its tasks work with.

Settings that guard the ledger are fixed: one that is overridden is put back, with a warning.
"""

import threading
from typing import Any, NoReturn

from celery import Celery

from unstract_worker_core.backend import Backend
from unstract_worker_core.config import Settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.ledger import LeaseKeeper, Ledger
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.observability.progress import Progress, counted_as_progress
from unstract_worker_core.observability.tracing import make_traces
from unstract_worker_core.queues import consumed_queues
from unstract_worker_core.redis import connect
from unstract_worker_core.runs.runtime import IsolationLock, Runtime
from unstract_worker_core.ui_logs import LogEvents
from unstract_worker_core.worker.broker import (
    BrokerAMQP,
    declared_queue,
    publishing_connection,
    tls_options,
    transport_class,
    transport_options,
)
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells
from unstract_worker_core.worker.drain import POOL_PATHS
from unstract_worker_core.worker.tasks import refuse_celery_tasks

# What an operator may choose on Celery's command line: everything else is guarded.
_FREE = frozenset({"worker_pool", "worker_concurrency", "task_queues", "broker_url"})


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
    """A runtime with its own connections. Raises ConfigurationError for a fault found only here (a bad CA file)."""
    metrics = metrics or Metrics(settings.instance, consumed_queues(settings))
    draining = draining or threading.Event()
    observe = counted_as_progress(metrics.ledger_steps)
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


def celery_settings(settings: Settings) -> dict[str, Any]:
    """All settings of the app of a worker."""
    return {**_messages(settings), **_tasks(settings), **_worker(settings), **_broker(settings)}


def restore_protected(app: Celery, settings: Settings) -> tuple[str, ...]:
    """Put every guarded setting back where it was changed; the names of those that were."""
    guarded = {name: value for name, value in celery_settings(settings).items() if name not in _FREE}
    overridden = tuple(name for name, value in guarded.items() if app.conf.get(name) != value)
    for name in overridden:
        app.conf[name] = guarded[name]
    stubborn = [name for name in overridden if app.conf.get(name) != guarded[name]]
    if stubborn:
        raise RuntimeError(f"Celery ignores the guarded settings {', '.join(stubborn)}")
    return overridden


def _messages(settings: Settings) -> dict[str, Any]:
    return {
        "accept_content": ["json"],
        "result_accept_content": ["json"],
        "task_serializer": "json",
        "result_serializer": "json",
        "task_compression": None,
        "result_compression": None,
        "timezone": "UTC",
        "enable_utc": True,
        "task_create_missing_queues": False,
        "task_queues": [declared_queue(name, settings.broker) for name in consumed_queues(settings)],
        "task_default_queue": consumed_queues(settings)[0],
        "task_send_sent_event": False,
        "worker_send_task_events": False,
        "worker_enable_remote_control": False,
    }


def _tasks(settings: Settings) -> dict[str, Any]:
    prefork = settings.process.pool == "prefork"
    chord = settings.chord.result_backend if settings.chord.enabled else None
    return {
        "task_acks_late": False,
        "task_reject_on_worker_lost": True,
        "task_acks_on_failure": True,
        "task_acks_on_timeout": True,
        "task_ignore_result": True,
        "task_store_errors_even_if_ignored": False,
        "task_always_eager": False,
        # Threads have no limits but the calls' own and the watchdog; a prefork child that is stuck is killed.
        "task_time_limit": int(settings.process.stuck_slot_seconds) if prefork else None,
        "task_soft_time_limit": None,
        "result_backend": chord.reveal() if chord else None,
        "result_chord_retry_interval": settings.chord.retry_interval,
        "result_extended": True,
    }


def _worker(settings: Settings) -> dict[str, Any]:
    process = settings.process
    return {
        "worker_pool": POOL_PATHS[process.pool],
        "worker_concurrency": process.concurrency,
        "worker_consumer": "unstract_worker_core.worker.consumer:Consumer",
        "worker_prefetch_multiplier": 1,
        "worker_disable_prefetch": settings.broker.is_redis,
        # After a reconnect it would make slots' threads use the consumer's connection, which is the main thread's: both
        # read from it, and a worker that lost part of a frame waits for the rest for ever.
        "worker_enable_prefetch_count_reduction": False,
        "worker_disable_rate_limits": True,
        "worker_deduplicate_successful_tasks": False,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_soft_shutdown_timeout": 45,
        "worker_enable_soft_shutdown_on_idle": False,
        "worker_proc_alive_timeout": 20,
        "worker_max_tasks_per_child": process.max_tasks_per_child,
        "worker_max_memory_per_child": process.max_memory_mb * 1024,
        "worker_pool_restarts": False,
        "worker_hijack_root_logger": False,
        "worker_redirect_stdouts": False,
    }


def _broker(settings: Settings) -> dict[str, Any]:
    broker = settings.broker
    return {
        "broker_url": broker.url.reveal(),
        "broker_transport": transport_class(broker),
        "broker_transport_options": transport_options(broker),
        "broker_use_ssl": tls_options(broker),
        "visibility_timeout": 600,
        "broker_heartbeat": 0 if broker.is_redis else broker.heartbeat,
        "broker_connection_timeout": 5,
        "broker_connection_retry": True,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
    }
