"""A general worker's runtime on real parts: a Redis, and the reference backend over HTTP on loopback."""

import json
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from attrs import define, field
from kombu import Connection
from redis import Redis
from unstract_devstack.backend import BackendConfig, BackendHandle, running
from unstract_devstack.http_calls import call
from unstract_devstack.redis_server import RedisHandle, running_redis

from unstract_worker_core.app.delivery import Delivery
from unstract_worker_core.app.runtime import Runtime, SoloGate
from unstract_worker_core.client import Backend
from unstract_worker_core.config import BackendSettings, BrokerSettings, Secret, Settings
from unstract_worker_core.health import Progress
from unstract_worker_core.ledger import Ledger, LeaseKeeper, RunTask
from unstract_worker_core.log_events import LogEvents
from unstract_worker_core.metrics import Metrics
from unstract_worker_core.statuses import RunKind, WorkerType

API_KEY = "a-key-of-the-tests"


@define
class Rung:
    """Doorbells that are kept instead of sent."""

    starts: list[tuple[str, RunTask, RunKind]] = field(factory=list)
    batches: list[tuple[str, int, tuple[int, ...], RunKind]] = field(factory=list)
    callbacks: list[str] = field(factory=list)

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        self.starts.append((run_id, task, kind))

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        self.batches.append((run_id, epoch, tuple(batches), kind))

    def ring_callback(self, run_id: str) -> None:
        self.callbacks.append(run_id)

    def waiting(self, kind: RunKind) -> int:
        return len(self.batches)


@define
class Rig:
    """A runtime, what it rang, its Redis, and the backend that it talks to."""

    runtime: Runtime
    rung: Rung
    redis: Redis
    backend: BackendHandle
    organization: str

    def dev(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.backend.api_key}", "X-Organization-ID": self.organization}
        content = None if body is None else json.dumps(body).encode()
        reply = call(method, f"{self.backend.public_url}{path}", body=content, headers=headers)
        assert reply.status < 300, reply.body
        return reply.json()

    def workflow(self, folder: Path, **more: Any) -> str:
        body = {"organization_id": self.organization, "name": "w", "kind": "etl", "source_folder": str(folder)}
        target = {"destination_table": "target"}
        return str(self.dev("POST", "/dev/workflows", body | target | more)["workflow_id"])

    def pipeline(self, workflow: str, **more: Any) -> str:
        body = {"organization_id": self.organization, "workflow_id": workflow, "name": "nightly"} | more
        return str(self.dev("POST", "/dev/pipelines", body)["pipeline_id"])

    def execution(self, workflow: str, **more: Any) -> str:
        body = {"workflow_id": workflow, "log_events_id": "channel-1"} | more
        return str(self.dev("POST", "/internal/v1/workflow-manager/execution/create/", body)["execution_id"])

    def seen(self, execution_id: str) -> dict[str, Any]:
        (found,) = self.dev("GET", f"/dev/executions?execution_id={execution_id}")
        return dict(found)

    def executions(self) -> list[dict[str, Any]]:
        return list(self.dev("GET", f"/dev/executions?organization_id={self.organization}"))

    def effects(self, operation: str, **match: Any) -> list[dict[str, Any]]:
        found = self.dev("GET", f"/dev/history?operation={operation}")
        return [each for each in found if match.items() <= (each | each["detail"]).items()]

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
    with redis_server.client() as redis:
        redis.flushall()
        runtime, rung = _runtime(redis_server, redis, backend)
        rig = Rig(runtime, rung, redis, backend, f"org_{uuid4().hex[:8]}")
        rig.unfault()
        rig.dev("POST", "/dev/organizations", {"organization_id": rig.organization, "name": "o"})
        yield rig
        rig.unfault()
        runtime.keeper.stop()
        runtime.log_events.stop()
        runtime.backend.close()


def _runtime(redis_server: RedisHandle, redis: Redis, backend: BackendHandle) -> tuple[Runtime, Rung]:
    settings = Settings(
        worker=WorkerType.GENERAL,
        backend=BackendSettings(
            backend.base_url, Secret(backend.api_key), timeout=5.0, retry_attempts=0, retry_backoff=0.01,
            breaker_threshold=50,
        ),
        broker=BrokerSettings(Secret(redis_server.url)),
    )  # fmt: skip
    ledger, draining, rung = Ledger(redis, settings.ledger), threading.Event(), Rung()
    runtime = Runtime(
        settings=settings,
        metrics=Metrics(),
        backend=Backend(settings.backend),
        ledger=ledger,
        keeper=LeaseKeeper(ledger.runs, ledger.batches, lease_seconds=ledger.lease_seconds),
        doorbells=rung,
        platform_redis=redis,
        cache_redis=redis,
        progress=Progress(concurrency=4, patience=300),
        log_events=LogEvents(
            lambda: Connection(redis_server.url), redis, ttl_seconds=60, observe=lambda outcome: None
        ),
        solo=SoloGate(draining),
        draining=draining,
    )
    return runtime, rung


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source folder with three files."""
    place = tmp_path / "inbox"
    place.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (place / name).write_text(f"content of {name}")
    return place
