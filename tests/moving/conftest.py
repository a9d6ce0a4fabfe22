"""Today's workers and ours on the platform's own parts: RabbitMQ, a PostgreSQL result backend, Redis, real HTTP.

Started once; each test starts the fleet that it needs. The backend applies a key once: a lease that lapses on a busy
machine is not what is looked for here. Today's are `unstract_devstack.today`.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import define

from unstract_devstack.backend_process import BackendProcess, running_backend
from unstract_devstack.fleet import WORKERS, Fleet, WorkerKind, running_fleet
from unstract_devstack.postgres_server import PostgresHandle, running_postgres
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_devstack.stack import worker_environment
from unstract_devstack.today.app import make_app, running_today
from unstract_devstack.today.scenario import Tenant, new_tenant

SETTINGS = {
    "CHORD_COMPAT": "true",
    "CELERY_RESULT_CHORD_RETRY_INTERVAL": "0.5",
    "WORKER_LEASE_SECONDS": "30",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "2",
    "WORKER_DRAIN_SECONDS": "8",
    "MAX_PARALLEL_FILE_BATCHES": "2",
}


@define
class Ground:
    """What both kinds of workers stand on."""

    directory: Path
    redis: RedisHandle
    backend: BackendProcess
    environment: Mapping[str, str]
    results: PostgresHandle
    fleets: int = 0

    @contextlib.contextmanager
    def theirs(self, roles: Sequence[str], **variables: str) -> Iterator[None]:
        """Today's workers of these roles."""
        with running_today(
            {**self.environment, "CELERY_RESULT_BACKEND": self.results.result_backend, **variables},
            self._logs(),
            roles=roles,
        ):
            yield

    @contextlib.contextmanager
    def ours(self, kinds: Sequence[WorkerKind] = WORKERS, **variables: str) -> Iterator[Fleet]:
        """Our workers of these kinds."""
        with running_fleet(
            {**self.environment, **SETTINGS, **self.results.worker_settings, **variables}, self._logs(), kinds=kinds
        ) as fleet:
            yield fleet

    def tenant(self) -> Tenant:
        """A fresh organization."""
        return new_tenant(self.backend.public_url, self.backend.api_key, self.directory)

    def _logs(self) -> Path:
        self.fleets += 1
        return self.directory / f"logs-{self.fleets}"


@pytest.fixture(scope="session")
def ground(tmp_path_factory) -> Iterator[Ground]:
    directory = tmp_path_factory.mktemp("moving")
    with contextlib.ExitStack() as parts:
        redis = parts.enter_context(running_redis(directory / "redis"))
        results = parts.enter_context(running_postgres())
        broker = parts.enter_context(running_rabbitmq(directory / "rabbitmq")).url
        backend = parts.enter_context(
            running_backend(
                directory / "backend",
                broker_url=broker,
                redis_url=redis.url,
                options=("--mode", "keyed", "--upload-rules", "none"),
            )
        )
        environment = worker_environment(
            backend_url=backend.internal_url, api_key=backend.api_key, redis_url=redis.url, broker_url=broker
        )
        app = make_app(broker, results.result_backend)
        app.backend.ResultSession()  # creates the tables once, before several processes would
        app.close()
        yield Ground(directory, redis, backend, environment, results)
