"""What `check` looks at: can this worker reach what its settings name, and is it fit for use?"""

import json
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Literal

from attrs import asdict, evolve, frozen
from redis import Redis
from redis.exceptions import RedisError

from unstract_worker_core.app.broker import publishing_connection
from unstract_worker_core.client import Backend
from unstract_worker_core.config import BrokerSettings, Settings
from unstract_worker_core.errors import BackendError, BackendUnavailable, LedgerUnavailable
from unstract_worker_core.redis_connections import check_ledger_redis, connect

__all__ = ["Line", "lines_of", "rendered"]

_SECONDS = 5.0


@frozen
class Line:
    """One finding: what was looked at, how it is, and what to do."""

    subject: str
    status: Literal["ok", "warn", "fail"]
    detail: str = ""


def lines_of(settings: Settings) -> Iterator[Line]:
    """Look at everything, one after the other; none takes longer than a few seconds."""
    yield Line("configuration", "ok")
    for warning in settings.warnings:
        yield Line("configuration", "warn", warning)
    yield _broker(settings.broker)
    yield from _ledger(settings)
    yield _redis("platform redis", connect(settings.platform_redis, name="check"), "REDIS_*")
    yield _redis("cache redis", connect(settings.cache_redis, name="check"), "CACHE_REDIS_*")
    yield _backend(settings)


def rendered(lines: list[Line], *, as_json: bool) -> str:
    """For a terminal, or as one JSON object ``{"ok", "lines"}``."""
    if as_json:
        ok = all(line.status != "fail" for line in lines)
        return json.dumps({"ok": ok, "lines": [asdict(line) for line in lines]})
    return "\n".join(f"{line.status:<4}  {line.subject}{': ' if line.detail else ''}{line.detail}" for line in lines)


def _broker(broker: BrokerSettings) -> Line:
    connection = publishing_connection(broker)
    try:
        connection.connect()
        if broker.is_redis:
            channel: Any = connection.default_channel
            channel.client.ping()
        return Line("broker", "ok")
    except Exception as error:  # noqa: BLE001 - boundary: each driver has errors of its own, and all mean the same here
        return Line("broker", "fail", f"{type(error).__name__}: look at CELERY_BROKER_BASE_URL, _USER and _PASS")
    finally:
        with suppress(Exception):  # a connection that never was may fail to close in any way
            connection.release()


def _ledger(settings: Settings) -> Iterator[Line]:
    try:
        findings = check_ledger_redis(connect(settings.ledger_redis, name="check"))
    except LedgerUnavailable as error:
        yield Line("ledger redis", "fail", f"{error}: look at WORKER_LEDGER_REDIS_URL or REDIS_*")
        return
    for finding in findings:
        yield Line("ledger redis", "fail" if finding.fatal else "warn", finding.problem)
    if not findings:
        yield Line("ledger redis", "ok")


def _redis(subject: str, client: Redis, variables: str) -> Line:
    try:
        client.ping()
        return Line(subject, "ok")
    except RedisError as error:
        return Line(subject, "fail", f"{type(error).__name__}: look at {variables}")


def _backend(settings: Settings) -> Line:
    backend = Backend(
        evolve(settings.backend, timeout=_SECONDS, total_timeout=_SECONDS, retry_attempts=0), version=settings.version
    )
    try:
        backend.check()
        return Line("backend", "ok")
    except BackendUnavailable as error:
        return Line("backend", "fail", f"{error}: look at INTERNAL_API_BASE_URL, and whether the backend is up")
    except BackendError as error:
        refused = error.status in (401, 403)
        look = "INTERNAL_SERVICE_API_KEY must be the backend's" if refused else "is this the internal API's URL?"
        return Line("backend", "fail", f"{error}: {look}")
    finally:
        backend.close()
