"""What is under way when a worker dies, and what must have come of it in the end."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Mapping
from typing import Any

from attrs import define, evolve, field, frozen

from unstract_devstack.executor import EXECUTOR_VARIABLES, ExecutorStack
from unstract_devstack.executor.worker import QUEUE as EXECUTOR_QUEUE
from unstract_devstack.executor.worker import stranger
from unstract_devstack.faults.load import TOTAL, new_tenant
from unstract_devstack.fleet import API_DEPLOYMENT, FILE_PROCESSING, Worker, WorkerKind
from unstract_devstack.http_calls import call_json
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import ProcessError, wait_until
from unstract_devstack.producer import API_QUEUE
from unstract_devstack.sink import Answer
from unstract_devstack.stack import Stack
from unstract_devstack.today.app import make_app
from unstract_devstack.today.orchestrate import API, send_chord

BATCHES = 2
LONGER_THAN_A_RENEWAL = 1.6  # renewed every third of a lease
# What may have been sent is sent again after this time; an answer comes sooner, even where a worker starts slowly.
UNSENT_SECONDS = 15.0
EXECUTOR_TIMES = {"WORKER_EXECUTOR_UNSENT_TIMEOUT": str(UNSENT_SECONDS), "EXECUTOR_RESULT_TIMEOUT": "120"}
FULL_SECONDS = 60.0
PUT_OFF_SECONDS = 15.0  # by the executor itself, when its queue is full
# What a start of a worker may set besides its own variables.
STARTED_WITH = frozenset(
    {"WORKER_CRASH_POINT", "WORKER_CRASH_TESTING", "CELERY_POOL_TYPE", "CELERY_CONCURRENCY", *EXECUTOR_VARIABLES}
)


@define(kw_only=True)
class Ground(Stack):
    """A running stack with a stand-in of the platform's executor; `variables`: of file workers, as the scenario wants."""

    results_url: str
    variables: dict[str, str] = field(factory=dict)

    @property
    def platform_executor(self) -> ExecutorStack:
        assert self.executor is not None
        return self.executor

    def worker(self, kind: WorkerKind) -> Worker:
        (worker,) = self.fleet.of(kind)
        return worker

    def start(self, kind: WorkerKind, **variables: str) -> None:
        """Starts a worker with these variables besides its own."""
        process = self.worker(kind).process
        own = {name: value for name, value in process.environment.items() if name not in STARTED_WITH}
        process.environment = {**own, **(self.variables if kind == FILE_PROCESSING else {}), **variables}
        process.start()

    def forget_executor(self) -> None:
        """From now on the backend executes files; a running file worker that has another executor is started again."""
        self.variables = {}
        process = self.worker(FILE_PROCESSING).process
        if process.running and not process.environment.keys().isdisjoint(EXECUTOR_VARIABLES):
            process.kill()
            self.start(FILE_PROCESSING)


@frozen
class Expected:
    """What must be seen of one scenario.

    Attributes:
        platform: acts for the organization, which has nothing else.
        good: names of the files that are worked on once each.
        status: how its execution ends; None where there is none.
        api_name: where its results are handed out.
        waits: seconds that pass on its way, at most, because something has a time of its own.
    """

    platform: Platform
    good: tuple[str, ...] = ()
    status: str | None = "COMPLETED"
    api_name: str | None = None
    waits: float = 0.0


Scenario = Callable[[Ground], Expected]


def _api(ground: Ground, *, history: bool = True, registry_id: str | None = None) -> Expected:
    """An API execution: three files in two batches, file history in use, a subscriber."""
    tenant = new_tenant(ground, batches=BATCHES, use_file_history=history)
    if registry_id is not None:
        tenant.platform.add_tool(tenant.workflow, f"tool-{registry_id}", prompt_registry_id=registry_id)
    names = tuple(tenant.names("t", 3))
    tenant.send(names, history=history)
    return Expected(tenant.platform, names, api_name="extract")


def _executor(ground: Ground) -> Expected:
    """An API execution whose files the platform's executor extracts."""
    ground.variables = {**ground.platform_executor.environment, **EXECUTOR_TIMES}
    expected = _api(ground, history=False, registry_id=ground.platform_executor.service.export(TOTAL))
    return evolve(expected, waits=UNSENT_SECONDS)


def _executor_full(ground: Ground) -> Expected:
    """The same, while the executor's queue is full until a file was put off, or its worker died of that."""
    executor, worker = ground.platform_executor.process, ground.worker(FILE_PROCESSING).process
    end, said = worker.log_end(), (f"requests wait in {EXECUTOR_QUEUE}", "reached: SIGKILL")

    def release() -> None:
        wait_until(lambda: any(text in worker.log_after(end) for text in said), seconds=FULL_SECONDS)
        executor.thaw()

    executor.freeze()
    threading.Thread(target=release, daemon=True).start()
    with ground.redis.client() as client:
        for _ in range(2):  # one is taken by the look that the executor had begun
            client.lpush(EXECUTOR_QUEUE, stranger())
    expected = _executor(ground)
    ground.variables["WORKER_EXECUTOR_QUEUE_LIMIT"] = "1"
    return evolve(expected, waits=expected.waits + PUT_OFF_SECONDS)


def _etl(ground: Ground) -> Expected:
    """A pipeline that a person runs: two files, a destination, a subscriber."""
    return _pipeline(ground, 2, "run")


def _schedule(ground: Ground) -> Expected:
    """A pipeline whose time has come: the worker creates the execution."""
    return _pipeline(ground, 1, "schedule")


def _hook(ground: Ground) -> Expected:
    """A webhook of its own, whose receiver fails once."""
    tenant = new_tenant(ground)
    ground.sink.answer_next(Answer(status=500))
    content = {"url": tenant.hooks[0], "payload": {"content": 1}, "max_retries": 3, "retry_delay": 1}
    url, headers = f"{ground.backend.internal_url}/v1/webhook/send/", {"X-Organization-ID": tenant.organization}
    call_json("POST", url, payload=content, key=ground.backend.api_key, headers=headers)
    return Expected(tenant.platform, status=None)


def _chord(ground: Ground) -> Expected:
    """An API execution as a worker of today's starts it: a Celery chord of one batch, whose results a callback waits for."""
    worker = ground.worker(API_DEPLOYMENT)
    worker.kill()
    expected = _api(ground, history=False)
    organization, workflow, execution, files = _taken_start(ground)
    worker.start()
    ids = {"execution_id": execution, "organization_id": organization}
    data = {**ids, "workflow_id": workflow, "pipeline_id": "None", "use_file_history": False}
    app = make_app(ground.redis.url, ground.results_url)
    app.conf.result_chord_retry_interval = 0.2
    app.backend.ResultSession()  # creates the tables once, before several processes would
    send_chord(app, API, [{"files": list(files.items()), "file_data": data}], **ids, pipeline_id=None)
    app.close()
    return expected


def _taken_start(ground: Ground) -> list[Any]:
    """The arguments of the start message, taken off its queue."""
    with ground.redis.client() as client:
        assert wait_until(lambda: client.llen(API_QUEUE) == 1, seconds=20)
        envelope = json.loads(str(client.lpop(API_QUEUE)))
    arguments: list[Any] = json.loads(b64decode(envelope["body"]))[0]
    # Celery writes a UUID as an object of its own.
    return [each["__value__"]["hex"] if isinstance(each, dict) and "__type__" in each else each for each in arguments]


def _dead(ground: Ground) -> Expected:
    """An API execution whose subscriber never takes its webhook."""
    ground.sink.answer = Answer(status=500)
    return _api(ground)


def _slow(ground: Ground) -> Expected:
    """An API execution that takes long enough for leases to be renewed."""
    for path in ("execute-file", "configuration/MAX_PARALLEL"):
        ground.backend.dev(
            "POST", "faults", {"kind": "delay", "path": path, "delay": LONGER_THAN_A_RENEWAL, "count": 1}
        )
    return _api(ground)


def _files_unavailable(ground: Ground) -> Expected:
    """An API execution; the backend is away for one of its files."""
    ground.backend.dev("POST", "faults", {"kind": "cut_before", "path": "file-execution/.*/status", "count": 1})
    return _api(ground)


def _targets_unavailable(ground: Ground) -> Expected:
    """An API execution whose finaliser finds the backend away."""
    ground.backend.dev("POST", "faults", {"kind": "status", "path": "webhook/api/.*/notifications", "count": 1})
    return _api(ground)


def _stopped(ground: Ground) -> Expected:
    """An API execution that a person stops before its files begin; no file worker is there yet."""
    expected = _api(ground)
    with ground.redis.client() as client:
        if not wait_until(lambda: client.llen("uw_api_files") >= BATCHES, seconds=20):
            raise ProcessError("the batches were not rung")
    (row,) = expected.platform.executions()
    expected.platform.stop(row.id)
    return Expected(expected.platform, status="STOPPED")


SCENARIOS: Mapping[str, Scenario] = {
    "api": _api,
    "etl": _etl,
    "executor": _executor,
    "executor full": _executor_full,
    "schedule": _schedule,
    "hook": _hook,
    "chord": _chord,
    "dead": _dead,
    "slow": _slow,
    "files unavailable": _files_unavailable,
    "targets unavailable": _targets_unavailable,
    "stopped": _stopped,
}


def _pipeline(ground: Ground, files: int, how: str) -> Expected:
    tenant = new_tenant(ground, batches=BATCHES)
    pipeline, names = tenant.pipeline(files)
    tenant.platform.notify(tenant.hooks[0], pipeline_id=pipeline)
    tenant.platform.trigger(pipeline, how)
    return Expected(tenant.platform, tuple(names))
