"""A general worker's runtime on real parts: a Redis, and the reference backend over HTTP on loopback."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from attrs import define, evolve, field
from redis import Redis

from unstract_devstack.backend import BackendConfig, BackendHandle, running
from unstract_devstack.http_calls import call
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_worker_core.ledger import DeadLetter, RunTask
from unstract_worker_core.runs.run_handler import handle_run
from unstract_worker_core.runs.runtime import Delivery, Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import RecordingDoorbells, running_runtime, settings_for
from unstract_worker_general.webhooks.addresses import Lookups, Resolver
from unstract_worker_general.webhooks.client import WebhookClient
from unstract_worker_general.webhooks.delivery import accept_webhook, webhook_jobs

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

    def requests(self) -> list[dict[str, Any]]:
        """What the backend was asked since this test began."""
        return list(self.dev("GET", f"/dev/requests?after={self.began}"))

    def fault(self, kind: str, path: str, **more: Any) -> None:
        self.dev("POST", "/dev/faults", {"kind": kind, "path": path} | more)

    def unfault(self) -> None:
        self.dev("DELETE", "/dev/faults")

    def meta(self, run_id: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"uw:{{{run_id}}}:meta"))

    def ui_log(self, channel: str = "channel-1") -> list[str]:
        """The lines of an execution's log in the platform's UI, in order."""
        self.runtime.log_events.stop()
        kept = sorted(self.redis.keys(f"logs:{channel}:*"), key=lambda key: float(key.rpartition(":")[2]))
        return [json.loads(self.redis.get(key))["log"] for key in kept]

    def marks(self) -> list[str]:
        """The marks of files in use."""
        return list(self.redis.keys("file_active:*"))

    def lapse(self, run_id: str) -> None:
        """The run's owner died long ago: its lease is over, by the ledger's own clock."""
        self.redis.hset(f"uw:{{{run_id}}}:meta", "lease_ends", "0")

    def delivery(self, *args: Any, task_id: str | None = None, **kwargs: Any) -> Delivery:
        return Delivery("a task", task_id or str(uuid4()), args=args, kwargs=kwargs)


@define
class Webhooks:
    """Webhooks of a rig: accepted as messages, delivered by the step."""

    rig: Rig
    client: WebhookClient = field(factory=WebhookClient)

    def allow(self, **settings: Any) -> None:
        """Only what is named here may be called, apart from public addresses: nothing on loopback unless it is."""
        changes = {"allowed_networks": ()} | settings
        now = self.rig.runtime.settings
        self.rig.runtime.settings = evolve(now, webhook=evolve(now.webhook, **changes))

    def resolve(self, resolver: Resolver, **more: Any) -> None:
        """Names are looked up by this."""
        self.client = WebhookClient(Lookups(resolver, **more))

    def accept(self, url: str, *, task_id: str | None = None, **kwargs: Any) -> str:
        given = {"payload": {"text": "hello"}, "timeout": 5} | kwargs
        delivery = self.rig.delivery(url, task_id=task_id, **given)
        accept_webhook(self.rig.runtime, delivery)
        return f"webhook.{delivery.task_id}"

    def deliver(self, run: str) -> bool:
        with webhook_jobs(self.rig.runtime, self.client) as jobs:
            return handle_run(self.rig.runtime, run, jobs)

    def send(self, url: str, **kwargs: Any) -> str:
        run = self.accept(url, **kwargs)
        assert self.deliver(run)
        return run

    def final(self, run: str) -> dict[str, Any] | None:
        found = self.rig.runtime.ledger.runs.final(run)
        return dict(found.detail) if found else None

    def letter(self) -> DeadLetter:
        (letter,) = self.rig.runtime.ledger.dead_letters.newest()
        return letter

    def count(self, outcome: str) -> float:
        return float(self.rig.runtime.metrics.webhook_deliveries.labels(outcome)._value.get())


@pytest.fixture
def webhooks(rig: Rig) -> Webhooks:
    return Webhooks(rig)


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
        WorkerType.GENERAL,
        redis_url=redis_server.url,
        backend_url=backend.base_url,
        INTERNAL_SERVICE_API_KEY=backend.api_key,
        INTERNAL_API_TIMEOUT="5",
        INTERNAL_API_RETRY_ATTEMPTS="0",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="50",
        WEBHOOK_ALLOWED_NETWORKS="127.0.0.0/8",
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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A source folder with three files."""
    place = tmp_path / "inbox"
    place.mkdir()
    for name in ("a.txt", "b.txt", "c.txt"):
        (place / name).write_text(f"content of {name}")
    return place
