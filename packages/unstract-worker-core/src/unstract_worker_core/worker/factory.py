"""Makes a worker's Celery app: the guarded settings, its queues, its tasks."""

from typing import NoReturn

from celery import Celery

from unstract_worker_core.config import Settings
from unstract_worker_core.errors import ConfigurationError, Fault
from unstract_worker_core.worker.boundary import refuse_celery_tasks
from unstract_worker_core.worker.broker import BrokerAMQP
from unstract_worker_core.worker.celery_settings import celery_settings, restore_protected
from unstract_worker_core.worker.definition import RuntimeOf, WorkerDefinition

__all__ = ["make_app"]


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
    raise RuntimeError("this app was made for looking at it, not for running tasks")
