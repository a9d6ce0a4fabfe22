"""A runtime in the test's own process, on a real Redis and a real backend, without Celery; and its settings."""

from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from unstract_worker_core.config import Settings, load_settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing.doubles import RecordingDoorbells
from unstract_worker_core.worker.building import build_runtime

_NOWHERE = "redis://127.0.0.1:1/0"


def environment_for(
    *, redis_url: str = _NOWHERE, backend_url: str = "http://127.0.0.1:1/internal", **variables: str
) -> dict[str, str]:
    """Everything a worker needs, with one Redis in all roles; `variables` are added or replace.

    Args:
        redis_url: ``redis://[:password@]host:port/db``; nothing is contacted here.
        backend_url: with the internal API's path.
    """
    parts = urlsplit(redis_url)
    environment = {
        "CELERY_BROKER_BASE_URL": redis_url,
        "INTERNAL_API_BASE_URL": backend_url,
        "INTERNAL_SERVICE_API_KEY": "key-of-the-tests",
        "REDIS_HOST": parts.hostname or "127.0.0.1",
        "REDIS_PORT": str(parts.port or 6379),
        "REDIS_DB": parts.path.strip("/") or "0",
        "WORKER_INSTANCE_ID": "test",
    }
    if parts.password:
        environment["REDIS_PASSWORD"] = parts.password
    return environment | variables


def settings_for(
    worker: WorkerType,
    *,
    redis_url: str = _NOWHERE,
    backend_url: str = "http://127.0.0.1:1/internal",
    **variables: str,
) -> Settings:
    """Settings of a worker; `variables` are environment variables. Raises ConfigurationError as a process would."""
    environment = environment_for(redis_url=redis_url, backend_url=backend_url, **variables)
    return load_settings(environment, worker=worker)


@contextmanager
def running_runtime(settings: Settings, *, doorbells: Doorbells | None = None) -> Iterator[Runtime]:
    """A runtime as a worker process has it, with doorbells that only record unless others are given.

    Leaving the block hands back what is still held and closes the connections.
    """
    runtime = build_runtime(settings, doorbells=doorbells or RecordingDoorbells())
    try:
        yield runtime
    finally:
        runtime.keeper.hand_back_all()
        runtime.keeper.stop()
        runtime.log_events.stop(timeout=1.0)
        runtime.backend.close()
        for redis in (runtime.ledger.redis, runtime.platform_redis, runtime.cache_redis):
            redis.close()
