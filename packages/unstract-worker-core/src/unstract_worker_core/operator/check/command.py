"""`check`: can this worker reach what its settings name, and is it fit for use?"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from email.utils import parsedate_to_datetime
from importlib import import_module
from typing import Any

import click
from redis.exceptions import RedisError

from unstract_worker_core.backend.exchange import ConnectFailed, Limits, ResponseLost, ResponseRefused, tls_context
from unstract_worker_core.backend.http import ThreadTransport, make_request, send
from unstract_worker_core.config import BackendSettings, Settings
from unstract_worker_core.operator.check import SECONDS, Line, as_json, cause_of
from unstract_worker_core.operator.check.backends import backend_lines
from unstract_worker_core.operator.check.brokers import broker_lines
from unstract_worker_core.operator.check.redis_roles import redis_lines
from unstract_worker_core.redis import connect
from unstract_worker_core.worker.celery_app import make_app
from unstract_worker_core.worker.cli import drop_celery_variables, load_dotenv
from unstract_worker_core.worker.definition import WorkerDefinition, settings_or_exit

_FAR_SECONDS = 30.0
# The result backend is tried once, and nothing is written there.
_ONCE = {
    "result_backend_always_retry": False,
    "database_create_tables_at_setup": False,
    "redis_socket_timeout": SECONDS,
    "redis_socket_connect_timeout": SECONDS,
}


def check(definition: WorkerDefinition) -> click.Command:
    """The command."""

    @click.command(help="Check whether this worker could run: configuration, broker, queues, Redis, backend, clock.")
    @click.option("--organization", "organizations", multiple=True, help="Check it in the backend; may be repeated.")
    @click.option("--json", "json_wanted", is_flag=True, help="One JSON object on stdout.")
    @click.option("--development", is_flag=True, help="Read .env and allow the development key.")
    @click.pass_context
    def command(
        context: click.Context, *, organizations: tuple[str, ...], json_wanted: bool, development: bool
    ) -> None:
        load_dotenv(development=development)
        settings = settings_or_exit(definition, os.environ, development=development)
        drop_celery_variables()
        lines = []
        logging.disable()  # libraries log what each line says already
        for line in lines_of(definition, settings, organizations):
            lines.append(line)
            if not json_wanted:
                click.echo(line)  # at once: a server that does not answer takes its time
        logging.disable(logging.NOTSET)
        if json_wanted:
            click.echo(as_json(lines))
        context.exit(1 if any(line.status == "fail" for line in lines) else 0)

    return command


def lines_of(definition: WorkerDefinition, settings: Settings, organizations: Sequence[str] = ()) -> Iterator[Line]:
    """Check everything, one after the other; no server is waited for longer than a few seconds, nothing is changed.

    Args:
        organizations: checked in the backend; without any, those of the settings.
    """
    yield Line("configuration", "ok")
    for warning in settings.warnings:
        yield Line("configuration", "warn", warning)
    yield from broker_lines(settings)
    ledger_answers = yield from redis_lines(settings)
    backend_answers = yield from backend_lines(settings, organizations or settings.organizations)
    if settings.chord.enabled:
        yield result_backend_line(definition, settings)
    if definition.checks:
        module, _, function = definition.checks.partition(":")
        yield from getattr(import_module(module), function)(settings, organizations or settings.organizations)
    yield from clock_lines(settings, ledger_answers=ledger_answers, backend_answers=backend_answers)


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


def clock_lines(settings: Settings, *, ledger_answers: bool, backend_answers: bool) -> Iterator[Line]:
    """The ledger's Redis, whose clock is what leases go by, and the backend; a server that was silent is not asked."""
    if ledger_answers:
        yield _ledger_line(settings)
    else:
        yield Line("clock", "skip", "the ledger's Redis does not answer")
    if not backend_answers:
        yield Line("clock", "skip", "the backend does not answer")
        return
    began, there = time.time(), _backend_time(settings.backend)
    if there is None:
        yield Line("clock", "warn", "the backend's could not be read: no answer, or none with a Date header")
    else:
        yield clock_line("the backend", there + 0.5 - (began + time.time()) / 2)  # a Date header has whole seconds


def _ledger_line(settings: Settings) -> Line:
    with closing(connect(settings.ledger_redis, name="check")) as client:
        began = time.time()
        try:
            seconds, micros = client.time()
        except RedisError as error:
            return Line("clock", "warn", f"the ledger's Redis could not be asked: {cause_of(error)}")
    return clock_line("the ledger's Redis", seconds + micros / 1e6 - (began + time.time()) / 2)


def clock_line(whose: str, ahead: float) -> Line:
    """How far another clock is `ahead` of this one, in seconds."""
    how = f"{whose} is {abs(ahead):.1f} s {'ahead of' if ahead > 0 else 'behind'} this machine"
    if abs(ahead) <= _FAR_SECONDS:
        return Line("clock", "ok", how)
    harm = "leases go by Redis's clock and stay right, but log times do not fit together, and a receiver of signed "
    return Line("clock", "warn", f"{how}: {harm}webhooks refuses what is 300 s off; run NTP on both")


def _backend_time(settings: BackendSettings) -> float | None:
    """Seconds since the epoch as the Date header of the backend's health page has them, in whole seconds."""
    headers = {"Authorization": f"Bearer {settings.api_key.reveal()}", "Accept-Encoding": "identity"}
    url = settings.base_url.rstrip("/") + "/" + settings.health_prefix
    with suppress(OSError, ConnectFailed, ResponseLost, ResponseRefused, KeyError, ValueError, OverflowError):
        tls = tls_context(settings.ca_file) if url.lower().startswith("https:") else None
        limits = Limits(SECONDS, body=settings.max_body_bytes)
        with closing(ThreadTransport(tls)) as transport:
            response = send(transport, make_request("GET", url, headers), limits)
        return parsedate_to_datetime(response.headers["date"]).timestamp()
    return None
