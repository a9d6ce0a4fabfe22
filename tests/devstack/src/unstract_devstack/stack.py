"""Everything that the workers need to run, and the workers: Redis, the reference backend, a webhook sink."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from attrs import define

from unstract_devstack.backend_process import BackendProcess, running_backend
from unstract_devstack.executor import ExecutorStack, running_executor
from unstract_devstack.executor.storage import local
from unstract_devstack.fleet import WORKERS, Fleet, WorkerKind, running_fleet
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.sink import SinkHandle, running_sink


@define
class Stack:
    """A running stack. `environment` is what points a worker at it; `fleet` is empty without workers.

    `executor`: the stand-ins of the platform's executor, if they were asked for.
    """

    directory: Path
    redis: RedisHandle
    backend: BackendProcess
    sink: SinkHandle
    environment: Mapping[str, str]
    fleet: Fleet
    executor: ExecutorStack | None = None


def worker_environment(*, backend_url: str, api_key: str, redis_url: str, broker_url: str) -> dict[str, str]:
    """The variables that point a worker at a backend, a broker and one Redis for everything else."""
    redis = urlsplit(redis_url)
    environment = {
        "INTERNAL_API_BASE_URL": backend_url,
        "INTERNAL_SERVICE_API_KEY": api_key,
        "CELERY_BROKER_BASE_URL": broker_url,
        "WORKER_HEALTH_HOST": "127.0.0.1",
        "WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8",  # the sink's
    }
    for prefix in ("", "CACHE_"):
        environment[f"{prefix}REDIS_HOST"] = redis.hostname or "127.0.0.1"
        environment[f"{prefix}REDIS_PORT"] = str(redis.port or 6379)
        environment[f"{prefix}REDIS_DB"] = redis.path.strip("/") or "0"
        if redis.password:
            environment[f"{prefix}REDIS_PASSWORD"] = redis.password
    return environment


@contextlib.contextmanager
def running_stack(
    directory: Path,
    *,
    workers: Sequence[WorkerKind] = WORKERS,
    settings: Mapping[str, str] | None = None,
    backend_options: Sequence[str] = (),
    appendonly: bool = True,
    broker_url: str | None = None,
    redis: RedisHandle | None = None,
    executor: bool = False,
    storage: str | None = None,
) -> Iterator[Stack]:
    """The stack in `directory`, until the block is left; parts end in the opposite order of their start.

    Args:
        directory: where data and logs go.
        workers: which workers to start; none gives a stack to point workers at by hand.
        settings: further variables for the workers.
        backend_options: further arguments for the reference backend.
        appendonly: whether Redis writes its log to disk.
        broker_url: the broker, if it is not to be this Redis.
        redis: a server that runs already, if it is not to be one of the stack's own.
        executor: whether files are executed by a stand-in of the platform's executor, and not by the backend.
        storage: the store that such an executor reads, if it is not to be a folder.
    """
    with contextlib.ExitStack() as parts:
        redis = redis or parts.enter_context(running_redis(directory / "redis", appendonly=appendonly))
        broker = broker_url or redis.url
        data = directory / "backend"
        backend = parts.enter_context(
            running_backend(data, broker_url=broker, redis_url=redis.url, options=backend_options)
        )
        environment = worker_environment(
            backend_url=backend.internal_url, api_key=backend.api_key, redis_url=redis.url, broker_url=broker
        )
        executing = None
        if executor:
            executing = parts.enter_context(
                running_executor(
                    directory,
                    broker_url=broker,
                    backend_url=backend.internal_url,
                    api_key=backend.api_key,
                    uploads=local(data),
                    storage=storage,
                )
            )
            environment.update(executing.environment)
        environment.update(settings or {})
        sink = parts.enter_context(running_sink())
        fleet = parts.enter_context(running_fleet(environment, directory / "logs", kinds=workers))
        yield Stack(directory, redis, backend, sink, environment, fleet, executing)
