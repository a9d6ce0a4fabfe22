"""A real Redis, the reference backend over HTTP, and a run in the ledger to work on."""

# ruff: noqa: S310 (the only URL that is opened is the reference backend's)

import hashlib
import itertools
import json
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import asdict, define, evolve, field
from celery import Celery
from redis import Redis

from unstract_devstack.backend import BackendConfig, BackendHandle, running
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.breaker import Breaker
from unstract_worker_core.backend.executions import NewExecution
from unstract_worker_core.backend.files import FileHash
from unstract_worker_core.config import Settings
from unstract_worker_core.config.sections import ChordSettings
from unstract_worker_core.doorbells import BatchDoorbell
from unstract_worker_core.errors import BackendRefused
from unstract_worker_core.ledger import (
    FileItem,
    FileOutcome,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.testing import running_runtime, settings_for
from unstract_worker_file_processing import tasks
from unstract_worker_file_processing.batch import handle_doorbell
from unstract_worker_file_processing.executor import BackendExecutor, FileFailed, GuardedExecutor, NotNow

ORGANIZATION = "org_files"
KEY = "a-key-of-the-tests"


@define
class Platform:
    """The reference backend's dev API."""

    handle: BackendHandle
    data: Path

    def dev(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(
            f"{self.handle.public_url}/dev/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def fault(self, path: str, kind: str, **more: Any) -> None:
        self.dev("POST", "faults", {"path": path, "kind": kind, **more})

    def heal(self) -> None:
        self.dev("DELETE", "faults")


@define
class Bench:
    """One execution with its files, armed in the ledger, and the worker's parts to process it."""

    platform: Platform
    runtime: Runtime
    redis: Redis
    executor: Any
    kind: RunKind
    workflow_id: str
    execution_id: str
    log_channel: str | None = None
    use_file_history: bool = False
    epoch: int = 0
    items: list[FileItem] = field(factory=list)
    breaker: Breaker = field(factory=lambda: Breaker(3, 60.0))
    numbers: Iterator[int] = field(factory=lambda: itertools.count(1))

    @property
    def backend(self) -> Backend:
        return self.runtime.backend

    @property
    def rung(self) -> list[str]:
        return [ring.run_id for ring in self.runtime.doorbells.of("callback")]

    def file(self, name: str, content: str | bytes = "Total: 12.50", *, row: bool = True, **changes: Any) -> FileItem:
        raw = content.encode() if isinstance(content, str) else content
        if self.kind is RunKind.API:
            path = f"unstract/api/{ORGANIZATION}/{self.workflow_id}/{self.execution_id}/{name}"
            identity = {"hash": hashlib.sha256(raw).hexdigest(), "source_connection_type": "API"}
            target = self.platform.data / path
        else:
            path = f"inbox/{name}"
            etag = hashlib.md5(raw, usedforsecurity=False).hexdigest()
            identity = {"provider_file_uuid": etag, "source_connection_type": "FILESYSTEM"}
            target = self.platform.data / "source" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(raw)
        item = FileItem(next(self.numbers), name, **{"path": path, "size": len(raw), **identity, **changes})
        if row:
            request = FileHash(
                file_name=name,
                file_path=item.path,
                file_hash=item.hash or None,
                provider_file_uuid=item.provider_file_uuid,
                source_connection_type=item.source_connection_type,
            )
            created = self.backend.files.create(ORGANIZATION, self.execution_id, self.workflow_id, request)
            item = evolve(item, file_execution_id=created.id)
        self.items.append(item)
        return item

    def context(self) -> RunContext:
        return RunContext(
            self.execution_id,
            ORGANIZATION,
            self.workflow_id,
            self.kind,
            use_file_history=self.use_file_history,
            log_channel=self.log_channel,
            total_files=sum(item.uploads for item in self.items),
        )

    def arm(self, batches: list[list[FileItem]] | None = None) -> None:
        runs = self.runtime.ledger.runs
        runs.accept(self.execution_id, task=RunTask.EXECUTION, kind=self.kind, organization_id=ORGANIZATION, start="{}")
        claim = runs.claim(self.execution_id, "orchestrator", state=RunState.ACCEPTED)
        assert claim is not None
        self.epoch = runs.arm(claim, batches or [self.items], self.context()).epoch

    def process(self, batch: int = 0) -> None:
        handle_doorbell(self.runtime, self.guarded(), BatchDoorbell(self.execution_id, self.epoch, batch))

    def guarded(self) -> GuardedExecutor:
        return GuardedExecutor(self.executor, self.breaker)

    def claim(self) -> Any:
        return self.runtime.ledger.batches.claim(self.execution_id, self.epoch, 0, "another worker")

    def charges(self) -> dict[int, int]:
        """How often each file was charged, by number."""
        found = self.redis.hgetall(f"uw:{{{self.execution_id}}}:charges")
        return {int(number): int(times) for number, times in found.items()}

    def outcomes(self) -> dict[str, FileOutcome]:
        return {outcome.name: outcome for outcome in self.runtime.ledger.runs.outcomes(self.execution_id)}

    def state(self) -> RunState | None:
        return self.runtime.ledger.runs.state(self.execution_id)

    def rows(self) -> dict[str, Any]:
        return {row.file_name: row for row in self.backend.files.list(ORGANIZATION, self.execution_id)}

    def effects(self, operation: str) -> list[Any]:
        found = self.platform.dev("GET", f"history?execution_id={self.execution_id}&operation={operation}")
        return list(found)

    def stop(self) -> None:
        self.platform.dev("POST", f"executions/{self.execution_id}/stop", {})

    def wait(self, condition: Callable[[], bool], seconds: float = 15.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            time.sleep(0.02)


class Scripted:
    """An executor with a script for each file name; others get a small result."""

    def __init__(self, **scripts):
        self.scripts = {name.replace("_", "."): script for name, script in scripts.items()}
        self.calls = []

    def execute(self, request, *, timeout_seconds):
        self.calls.append(request)
        script = self.scripts.get(request.file.name, {"output": request.file.name})
        value = script(request) if callable(script) else script
        if isinstance(value, Exception):
            raise value
        return value

    def names(self):
        return [request.file.name for request in self.calls]


@pytest.fixture
def scripted() -> type[Scripted]:
    return Scripted


class Later:
    """A deferred executor: `sent` are the names of the files with their tickets. Scripts raise what they hold."""

    def __init__(self, *, prepare=None, send=None, conclude=None):
        self.scripts = {"prepare": prepare, "send": send, "conclude": conclude}
        self.sent, self.prepared = [], []

    def prepare(self, request, *, timeout_seconds):
        self._play("prepare")
        self.prepared.append(request.file.name)
        return request.file.name

    def send(self, prepared, ticket):
        self._play("send", before=lambda: self.sent.append((prepared, ticket)))

    def conclude(self, request, answer, *, timeout_seconds):
        self._play("conclude")
        return {"output": answer}

    def _play(self, step, before=lambda: None):
        script = self.scripts[step]
        if not isinstance(script, (NotNow, FileFailed, BackendRefused)):
            before()
        if isinstance(script, Exception):
            raise script
        if script is not None:
            script()


@pytest.fixture
def later() -> type[Later]:
    return Later


@pytest.fixture
def answer(runtime):
    """The task behind the queue of answers."""
    app = Celery("files", set_as_current=False)
    tasks.register(app, lambda: runtime)

    def call(ticket, value, name="unstract_worker.executor_answer"):
        app.tasks[name].apply(args=[value, asdict(ticket)], throw=True)

    return call


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    with running_redis(tmp_path_factory.mktemp("redis"), appendonly=False) as handle:
        yield handle


@pytest.fixture
def redis(redis_server: RedisHandle) -> Iterator[Redis]:
    with redis_server.client() as client:
        client.flushall()
        yield client


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    data = tmp_path_factory.mktemp("backend")
    with running(BackendConfig(data=data, api_key=KEY, buffer_loop=False)) as handle:
        platform = Platform(handle, data)
        platform.dev("POST", "organizations", {"organization_id": ORGANIZATION, "name": "Files"})
        yield platform


@pytest.fixture
def platform(served: Platform) -> Platform:
    served.heal()
    return served


@pytest.fixture
def settings(platform: Platform, redis_server: RedisHandle) -> Settings:
    read = settings_for(
        WorkerType.FILE_PROCESSING,
        redis_url=redis_server.url,
        backend_url=platform.handle.base_url,
        INTERNAL_SERVICE_API_KEY=KEY,
        INTERNAL_API_TIMEOUT="5",
        INTERNAL_API_TOTAL_TIMEOUT="5",
        INTERNAL_API_RETRY_ATTEMPTS="1",
        INTERNAL_API_RETRY_BACKOFF_FACTOR="0.01",
        FILE_EXECUTION_TIMEOUT="10",
        CIRCUIT_BREAKER_FAILURE_THRESHOLD="100",
        WORKER_LEASE_SECONDS="4",
        WORKER_SWEEP_SECONDS="1",
        MAX_FILE_RESULT_BYTES="20000",
    )
    return evolve(read, chord=ChordSettings(enabled=True))


@pytest.fixture
def runtime(settings: Settings, redis: Redis) -> Iterator[Runtime]:
    with running_runtime(settings) as runtime:
        yield runtime


@pytest.fixture
def make_bench(platform: Platform, runtime: Runtime, redis: Redis) -> Callable[..., Bench]:
    def make(kind: RunKind = RunKind.API, **changes: Any) -> Bench:
        ends: dict[str, Any] = {}
        if kind is RunKind.ETL:
            folder = platform.data / "source" / "inbox"
            folder.mkdir(parents=True, exist_ok=True)
            ends = {"source_folder": str(folder), "destination_folder": str(platform.data / "out" / uuid.uuid4().hex)}
        fields = [{"name": "total", "pattern": r"Total: ([0-9.]+)"}]
        body = {"organization_id": ORGANIZATION, "name": "work", "kind": str(kind), "fields": fields, **ends}
        workflow = platform.dev("POST", "workflows", body)["workflow_id"]
        new = NewExecution(workflow_id=workflow, log_events_id="a-session")
        execution = runtime.backend.executions.create(ORGANIZATION, new)
        executor = BackendExecutor(runtime.backend)
        return Bench(platform, runtime, redis, executor, kind, workflow, execution, **changes)

    return make


@pytest.fixture
def bench(make_bench: Callable[..., Bench]) -> Bench:
    return make_bench()
