"""An api-deployment worker's runtime on real parts: a Redis, and the reference backend over HTTP on loopback."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from attrs import define
from redis import Redis

from unstract_devstack.backend import BackendConfig, BackendHandle, running
from unstract_devstack.http_calls import call
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import RecordingDoorbells, running_runtime, settings_for

API_KEY = "a-key-of-the-tests"


@define
class Rig:
    """A runtime, what it rang, its Redis, and the backend that it talks to."""

    runtime: Runtime
    rung: RecordingDoorbells
    redis: Redis
    backend: BackendHandle
    organization: str
    began: int = 0

    @property
    def starts(self) -> list[tuple[str, RunTask | None, RunKind | None]]:
        return [(ring.run_id, ring.task, ring.kind) for ring in self.rung.of("start")]

    @property
    def batches(self) -> list[tuple[str, int, int, RunKind | None]]:
        return [(ring.run_id, ring.epoch, ring.batch, ring.kind) for ring in self.rung.of("batch")]

    @property
    def callbacks(self) -> list[str]:
        return [ring.run_id for ring in self.rung.of("callback")]

    def dev(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.backend.api_key}", "X-Organization-ID": self.organization}
        content = None if body is None else json.dumps(body).encode()
        reply = call(method, f"{self.backend.public_url}{path}", body=content, headers=headers)
        assert reply.status < 300, reply.body
        return reply.json()

    def workflow(self) -> str:
        body = {"organization_id": self.organization, "name": "w", "kind": "api"}
        return str(self.dev("POST", "/dev/workflows", body)["workflow_id"])

    def execution(self, workflow: str, **more: Any) -> str:
        body = {"workflow_id": workflow, "log_events_id": "channel-1"} | more
        return str(self.dev("POST", "/internal/v1/workflow-manager/execution/create/", body)["execution_id"])

    def seen(self, execution_id: str) -> dict[str, Any]:
        (found,) = self.dev("GET", f"/dev/executions?execution_id={execution_id}")
        return dict(found)

    def effects(self, operation: str, **match: Any) -> list[dict[str, Any]]:
        found = self.dev("GET", f"/dev/history?operation={operation}")
        return [each for each in found if match.items() <= (each | each["detail"]).items()]

    def requests(self) -> list[dict[str, Any]]:
        """What the backend was asked since this test began."""
        return list(self.dev("GET", f"/dev/requests?after={self.began}"))

    def fault(self, kind: str, path: str, **more: Any) -> None:
        self.dev("POST", "/dev/faults", {"kind": kind, "path": path} | more)

    def unfault(self) -> None:
        self.dev("DELETE", "/dev/faults")

    def meta(self, run_id: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"uw:{{{run_id}}}:meta"))

    def lapse(self, run_id: str) -> None:
        """The run's owner died long ago: its lease is over, by the ledger's own clock."""
        self.redis.hset(f"uw:{{{run_id}}}:meta", "lease_ends", "0")

    def delivery(self, *args: Any, task_id: str | None = None, **kwargs: Any) -> Delivery:
        return Delivery("a task", task_id or str(uuid4()), args=args, kwargs=kwargs)


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as handle:
        yield handle


@pytest.fixture(scope="session")
def backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendHandle]:
    with running(BackendConfig(tmp_path_factory.mktemp("backend"), API_KEY, buffer_loop=False)) as handle:
        yield handle


@pytest.fixture
def rig(redis_server: RedisHandle, backend: BackendHandle) -> Iterator[Rig]:
    settings = settings_for(
        WorkerType.API_DEPLOYMENT,
        redis_url=redis_server.url,
        backend_url=backend.base_url,
        INTERNAL_SERVICE_API_KEY=backend.api_key,
        INTERNAL_API_TIMEOUT="5",
        INTERNAL_API_RETRY_ATTEMPTS="0",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="50",
    )
    rung = RecordingDoorbells()
    with redis_server.client() as redis, running_runtime(settings, doorbells=rung) as runtime:
        redis.flushall()
        rig = Rig(runtime, rung, redis, backend, f"org_{uuid4().hex[:8]}")
        rig.unfault()
        rig.dev("POST", "/dev/organizations", {"organization_id": rig.organization, "name": "o"})
        rig.began = max((each["id"] for each in rig.requests()), default=0)
        yield rig
        rig.unfault()
