"""What `check` looks at, in its order: can this worker reach what its settings name, and is it fit for use?"""

from collections.abc import Iterator, Sequence
from importlib import import_module

from celery import Celery

from unstract_worker_core.config import Settings
from unstract_worker_core.operator.check.backends import backend_lines
from unstract_worker_core.operator.check.brokers import broker_lines
from unstract_worker_core.operator.check.clocks import clock_lines
from unstract_worker_core.operator.check.lines import Line, cause_of
from unstract_worker_core.operator.check.redis_roles import redis_lines
from unstract_worker_core.worker.definition import WorkerDefinition


def lines_of(definition: WorkerDefinition, settings: Settings, organizations: Sequence[str] = ()) -> Iterator[Line]:
    """Check everything, one after the other; nothing takes longer than a few seconds, nothing is changed.

    Args:
        organizations: checked in the backend; without any, those of the settings.
    """
    yield Line("configuration", "ok")
    for warning in settings.warnings:
        yield Line("configuration", "warn", warning)
    yield from broker_lines(settings)
    yield from redis_lines(settings)
    yield from backend_lines(settings, organizations or settings.organizations)
    if settings.chord.enabled:
        yield _result_backend(settings)
    yield from _of_the_worker(definition, settings, organizations or settings.organizations)
    yield from clock_lines(settings)


def _result_backend(settings: Settings) -> Line:
    """The database with the results of chords."""
    url = settings.chord.result_backend
    if url is None:
        return Line("result backend", "fail", "CHORD_COMPAT is on and no result backend is named")
    app = Celery(backend=url.reveal())
    try:
        app.backend.get_task_meta("unstract-worker-check")
    except Exception as error:  # noqa: BLE001 - boundary: each backend has errors of its own
        look = "look at CELERY_RESULT_BACKEND or CELERY_BACKEND_DB_*"
        return Line("result backend", "fail", f"{cause_of(error)}: {look}")
    return Line("result backend", "ok", f"{type(app.backend).__name__} answers")


def _of_the_worker(definition: WorkerDefinition, settings: Settings, organizations: Sequence[str]) -> Iterator[Line]:
    if definition.checks:
        module, _, function = definition.checks.partition(":")
        yield from getattr(import_module(module), function)(settings, organizations)
