"""A callback worker's runtime on real parts: a Redis for the ledger, one for the platform, the reference backend."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import pytest
from attrs import define, evolve
from redis import Redis

from unstract_devstack.backend import BackendConfig, BackendHandle, running
from unstract_devstack.backend.config import Mode
from unstract_devstack.http_calls import call
from unstract_devstack.redis_server import RedisHandle, running_redis
from unstract_worker_callback.finalise import finalise_run
from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import NewExecution, StatusUpdate
from unstract_worker_core.ledger import (
    BatchClaim,
    FileItem,
    FileOutcome,
    FinalState,
    OutcomeKind,
    RunContext,
    RunState,
    RunTask,
)
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import ExecutionStatus, RunKind, WorkerType
from unstract_worker_core.testing import RecordingDoorbells, running_runtime, settings_for

API_KEY = "a-key-of-the-tests"
TERMINAL = ("COMPLETED", "ERROR", "STOPPED")


@define
class Prepared:
    """An execution of the backend, its workflow, and the targets of its notifications."""

    id: str
    kind: RunKind
    workflow_id: str
    pipeline_id: str | None


@define
class Rig:
    """The runtime, what it rang, both Redis servers, and the backend that it talks to."""

    runtime: Runtime
    rung: RecordingDoorbells
    redis: Redis
    platform: Redis
    backend: BackendHandle
    organization: str
    keyed: bool = False
    began: int = 0

    @staticmethod
    def ok(number: int, name: str | None = None, **more: Any) -> FileOutcome:
        """A file that went well."""
        name = name or f"file-{number}.txt"
        shown = {"source_name": name, "total_pages_processed": 1}
        result = {"output": f"of {name}"}
        return FileOutcome(number, name, OutcomeKind.COMPLETED, result=result, metadata=shown, **more)

    @staticmethod
    def bad(number: int, reason: str = "Workflow error: unreadable") -> FileOutcome:
        """A file that failed."""
        return FileOutcome(number, f"file-{number}.txt", OutcomeKind.ERROR, error=reason)

    @staticmethod
    def skipped(number: int) -> FileOutcome:
        """A file that was not started."""
        return FileOutcome(number, f"file-{number}.txt", OutcomeKind.SKIPPED, error="not started")

    def dev(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        headers = {"Authorization": f"Bearer {self.backend.api_key}", "X-Organization-ID": self.organization}
        content = None if body is None else json.dumps(body).encode()
        reply = call(method, f"{self.backend.public_url}/dev/{path}", body=content, headers=headers)
        assert reply.status < 300, reply.body
        return reply.json()

    def workflow(self, kind: RunKind = RunKind.API) -> str:
        ends = {} if kind is RunKind.API else {"source_folder": "/tmp", "destination_table": "target"}  # noqa: S108
        body = {"organization_id": self.organization, "name": "w", "kind": str(kind)} | ends
        return str(self.dev("POST", "workflows", body)["workflow_id"])

    def prepare(self, kind: RunKind = RunKind.API, *, pipeline: bool = True, active: bool = True) -> Prepared:
        """An execution that executes, of an API deployment or of a pipeline (or of neither)."""
        workflow, found = self.workflow(kind), None
        owner = {"organization_id": self.organization, "workflow_id": workflow}
        if pipeline and kind is RunKind.API:
            found = self.dev("POST", "api-deployments", owner | {"api_name": f"invoices-{workflow[:8]}"})["api_id"]
        elif pipeline:
            found = self.dev("POST", "pipelines", owner | {"name": "nightly", "active": active})["pipeline_id"]
        new = NewExecution(workflow_id=workflow, pipeline_id=found, log_events_id="channel-1")
        execution = self.runtime.backend.executions.create(self.organization, new)
        prepared = Prepared(execution, kind, workflow, found)
        self.set_status(prepared, ExecutionStatus.EXECUTING)
        return prepared

    def subscribe(self, prepared: Prepared, **more: Any) -> str:
        end = {"api_id" if prepared.kind is RunKind.API else "pipeline_id": prepared.pipeline_id}
        body = {"organization_id": self.organization, "url": "http://sink.example.test/", **end, **more}
        return str(self.dev("POST", "notifications", body)["notification_id"])

    def arm(
        self, prepared: Prepared, outcomes: Sequence[FileOutcome] = (), *, ready: bool = True, **changes: Any
    ) -> BatchClaim | None:
        """The execution's run in the ledger, with one batch whose files ended so; READY unless `ready` is false."""
        runs = self.runtime.ledger.runs
        runs.accept(
            prepared.id, task=RunTask.EXECUTION, kind=prepared.kind, organization_id=self.organization, start="{}"
        )
        claim = runs.claim(prepared.id, "orchestrator", state=RunState.ACCEPTED)
        assert claim is not None
        uploads = sum(outcome.uploads for outcome in outcomes)
        context = RunContext(
            prepared.id, self.organization, prepared.workflow_id, prepared.kind,
            pipeline_id=prepared.pipeline_id, log_channel="channel-1", total_files=uploads,
        )  # fmt: skip
        files = [[FileItem(each.number, each.name, each.name, copies=each.copies) for each in outcomes]]
        armed = runs.arm(claim, files if outcomes else [], evolve(context, **changes))
        if armed.state is RunState.READY:
            return None
        batch = self.runtime.ledger.batches.claim(prepared.id, armed.epoch, 0, "file worker")
        assert isinstance(batch, BatchClaim)
        for outcome in outcomes:
            self.runtime.ledger.batches.record_all(batch, {outcome.number: serialization.encode(outcome)})
        if ready:
            assert self.runtime.ledger.batches.complete(batch) is RunState.READY
        return batch

    def run(self, outcomes: Sequence[FileOutcome] = (), kind: RunKind = RunKind.API, **changes: Any) -> Prepared:
        """An execution whose run is READY."""
        prepared = self.prepare(kind)
        self.arm(prepared, outcomes, **changes)
        return prepared

    def finalise(self, prepared: Prepared) -> bool:
        return finalise_run(self.runtime, prepared.id)

    def set_status(self, prepared: Prepared, status: ExecutionStatus, **more: Any) -> None:
        update = StatusUpdate(status=status, **more)
        self.runtime.backend.executions.update_status(self.organization, prepared.id, update)

    def stop(self, prepared: Prepared) -> None:
        self.dev("POST", f"executions/{prepared.id}/stop", {})

    def seen(self, prepared: Prepared) -> dict[str, Any]:
        (found,) = self.dev("GET", f"executions?execution_id={prepared.id}")
        return dict(found)

    def shown(self, prepared: Prepared) -> tuple[Any, ...]:
        """Status and counts as the backend has them."""
        names = ("status", "total_files", "successful_files", "failed_files")
        return tuple(map(self.seen(prepared).get, names))

    def effects(self, prepared: Prepared, operation: str) -> list[dict[str, Any]]:
        found = self.dev("GET", f"history?execution_id={prepared.id}&operation={operation}")
        return [dict(effect) for effect in found]

    def ends(self, prepared: Prepared) -> list[dict[str, Any]]:
        """The terminal status writes that were applied, without a user's stop."""
        written = self.effects(prepared, "executions.update_status")
        return [effect for effect in written if effect["detail"]["status"] in TERMINAL]

    def notified(self, prepared: Prepared) -> list[str]:
        """The notifications that were enqueued, by subscriber."""
        return [effect["detail"]["notification_id"] for effect in self.effects(prepared, "notifications.enqueue")]

    def events(self, prepared: Prepared) -> list[dict[str, Any]]:
        """The events that wait for the subscribers of an execution."""
        rows = [row["event"] for row in self.dev("GET", "notification-buffer")]
        return [event for event in rows if event["execution_id"] == prepared.id]

    def pipeline_writes(self, prepared: Prepared) -> list[str]:
        written = self.dev("GET", "history?operation=pipelines.update")
        return [each["detail"]["status"] for each in written if each["detail"]["pipeline_id"] == prepared.pipeline_id]

    def results(self, prepared: Prepared) -> list[dict[str, Any]]:
        return [json.loads(text) for text in self.platform.lrange(self.list_key(prepared), 0, -1)]

    def list_key(self, prepared: Prepared) -> str:
        return f"api_results:{prepared.workflow_id}:{prepared.id}"

    def requests(self, word: str = "") -> list[dict[str, Any]]:
        """What the backend was asked since this test began."""
        return [each for each in self.dev("GET", f"requests?after={self.began}") if word in each["path"]]

    def fault(self, kind: str, path: str, **more: Any) -> None:
        self.dev("POST", "faults", {"kind": kind, "path": path} | more)

    def heal(self) -> None:
        self.dev("DELETE", "faults")

    def meta(self, run_id: str) -> dict[str, str]:
        return dict(self.redis.hgetall(f"uw:{{{run_id}}}:meta"))

    def state(self, run_id: str) -> RunState | None:
        return self.runtime.ledger.runs.state(run_id)

    def attempts(self, run_id: str) -> int:
        return int(self.meta(run_id)["attempts"])

    def charge(self, run_id: str, times: int, reason: str = "a defect") -> None:
        """So many claims failed before this one."""
        self.redis.hset(f"uw:{{{run_id}}}:meta", mapping={"attempts": times, "last_error": reason})

    def lapse(self, run_id: str) -> None:
        """The run's owner died long ago: its lease is over, by the ledger's own clock."""
        self.redis.hset(f"uw:{{{run_id}}}:meta", "lease_ends", "0")

    def due(self, run_id: str) -> None:
        """The sweeper is to look at the run now."""
        self.redis.zadd("uw:due", {run_id: 0})

    def due_in(self, run_id: str) -> float:
        """Seconds until the sweeper looks at a run."""
        seconds, micros = self.redis.time()
        return float(self.redis.zscore("uw:due", run_id)) / 1000 - seconds - micros / 1e6

    def final(self, prepared: Prepared) -> FinalState | None:
        return self.runtime.ledger.runs.final(prepared.id)

    def letters(self) -> list[str]:
        return [letter.reason for letter in self.runtime.ledger.dead_letters.newest()]

    def counted(self, name: str, **labels: str) -> float:
        return self.runtime.metrics.registry.get_sample_value(f"unstract_worker_{name}_total", labels) or 0.0


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    """The ledger's."""
    with running_redis(tmp_path_factory.mktemp("ledger"), appendonly=False) as handle:
        yield handle


@pytest.fixture(scope="session")
def platform_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisHandle]:
    """The platform's, which is the broker, too."""
    with running_redis(tmp_path_factory.mktemp("platform"), appendonly=False) as handle:
        yield handle


@pytest.fixture(scope="session")
def as_real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendHandle]:
    with running(BackendConfig(tmp_path_factory.mktemp("as-real"), API_KEY, buffer_loop=False)) as handle:
        yield handle


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendHandle]:
    folder = tmp_path_factory.mktemp("keyed")
    with running(BackendConfig(folder, API_KEY, buffer_loop=False, mode=Mode.KEYED)) as handle:
        yield handle


@pytest.fixture
def make_rig(redis_server: RedisHandle, platform_server: RedisHandle) -> Iterator[Callable[[BackendHandle], Rig]]:
    """Rigs on empty servers; one a test."""
    stack = ExitStack()

    def make(backend: BackendHandle) -> Rig:
        settings = settings_for(
            WorkerType.CALLBACK,
            redis_url=platform_server.url,
            backend_url=backend.base_url,
            WORKER_LEDGER_REDIS_URL=redis_server.url,
            INTERNAL_SERVICE_API_KEY=backend.api_key,
            INTERNAL_API_TIMEOUT="5",
            INTERNAL_API_RETRY_ATTEMPTS="0",
            CIRCUIT_BREAKER_FAILURE_THRESHOLD="50",
        )
        rung = RecordingDoorbells()
        redis, platform = stack.enter_context(redis_server.client()), stack.enter_context(platform_server.client())
        runtime = stack.enter_context(running_runtime(settings, doorbells=rung))
        redis.flushall()
        platform.config_set("maxmemory", "0")
        platform.flushall()
        rig = Rig(runtime, rung, redis, platform, backend, f"org_{uuid4().hex[:8]}")
        rig.heal()
        rig.dev("POST", "organizations", {"organization_id": rig.organization, "name": "o"})
        rig.began = max((each["id"] for each in rig.requests()), default=0)
        return rig

    with stack:
        yield make


@pytest.fixture
def rig(make_rig: Callable[[BackendHandle], Rig], as_real: BackendHandle) -> Iterator[Rig]:
    """A rig on a backend that ignores keys, as today's does."""
    rig = make_rig(as_real)
    yield rig
    rig.heal()


@pytest.fixture(params=["as_real", "keyed"])
def either_rig(request: pytest.FixtureRequest, make_rig: Callable[[BackendHandle], Rig]) -> Iterator[Rig]:
    """A rig on each kind of backend."""
    rig = make_rig(request.getfixturevalue(request.param))
    rig.keyed = request.param == "keyed"
    yield rig
    rig.heal()


@pytest.fixture
def poll() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition holds, at most 15 seconds."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 15
        while not condition():
            assert time.monotonic() < deadline, "the condition did not come true"
            time.sleep(0.01)

    return wait
