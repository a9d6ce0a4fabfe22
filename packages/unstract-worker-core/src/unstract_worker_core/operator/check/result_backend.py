"""Where Celery keeps the results of chords: reached as `run` reaches it, once, with nothing written."""

from typing import Any

from unstract_worker_core.config import Settings
from unstract_worker_core.operator.check.lines import SECONDS, Line, cause_of
from unstract_worker_core.worker.celery_app import make_app
from unstract_worker_core.worker.definition import WorkerDefinition

_ONCE = {
    "result_backend_always_retry": False,
    "database_create_tables_at_setup": False,
    "redis_socket_timeout": SECONDS,
    "redis_socket_connect_timeout": SECONDS,
}


def result_backend_line(definition: WorkerDefinition, settings: Settings) -> Line:
    """Whether it can be reached and read, and whether its tables are there or can be made."""
    app = make_app(definition, settings)
    app.conf.update(_ONCE)
    try:
        backend = app.backend
        if str(app.conf.result_backend).startswith(("db+", "database+")):
            _query(backend)
        else:
            backend.get_task_meta("unstract-worker-check")
    except Exception as error:  # noqa: BLE001 - boundary: each backend has errors of its own
        where = str(app.conf.result_backend).rpartition("://")[2].rpartition("@")[2].partition("?")[0]
        look = "look at CELERY_RESULT_BACKEND or CELERY_BACKEND_DB_*"
        return Line("result backend", "fail", f"{where}: {cause_of(error, where)}; {look}")
    return Line("result backend", "ok", f"{type(backend).__name__} answers")


def _query(backend: Any) -> None:
    """Celery's own way tries ten times to make its tables, and has no bound on connecting."""
    from celery.backends.database.session import ResultModelBase
    from sqlalchemy import create_engine, make_url, select
    from sqlalchemy.pool import NullPool

    bounded = make_url(backend.url).get_backend_name() in ("postgresql", "mysql", "mariadb")
    options = {"connect_timeout": int(SECONDS)} if bounded else {}
    with create_engine(backend.url, poolclass=NullPool, connect_args=options).connect() as connection:
        ResultModelBase.metadata.create_all(connection)
        connection.execute(select(backend.task_cls.id).limit(1))
        connection.rollback()
