"""The ways that ARCHITECTURE.md lists: an execution passes exactly these modules, and not more than one can keep in mind.

One API file goes through the three workers' tasks in this process, on a real Redis and the reference backend; a first
one warms up, so that what happens once in a process (connections, caches) is no part of it.
"""

import base64
import hashlib
import json
import re
import sys
from contextlib import ExitStack, contextmanager
from inspect import CO_OPTIMIZED
from pathlib import Path

import pytest
from attrs import define

from unstract_devstack.backend import BackendConfig, running
from unstract_devstack.http_calls import call
from unstract_devstack.redis_server import running_redis
from unstract_worker_api_deployment.tasks import DEFINITION as API_DEPLOYMENT
from unstract_worker_callback.tasks import DEFINITION as CALLBACK
from unstract_worker_core.backend.executions import NewExecution
from unstract_worker_core.ledger import BatchClaim
from unstract_worker_core.observability.metrics import Metrics
from unstract_worker_core.queues import DOORBELL_QUEUES, Doorbell
from unstract_worker_core.statuses import ExecutionStatus, WorkerType
from unstract_worker_core.testing import running_runtime, settings_for
from unstract_worker_core.worker.celery_app import make_app
from unstract_worker_core.worker.doorbell_publisher import CeleryDoorbells
from unstract_worker_file_processing.tasks import DEFINITION as FILE_PROCESSING

PAGE = Path(__file__).parents[2] / "packages" / "unstract-worker-core" / "ARCHITECTURE.md"
KEY = "a-key-of-the-tests"
ORGANIZATION = "org_ways"
CONTENT = b"Total: 12.50"
AROUND, RING, CALL, STEP = "Around each of the three", "A ring", "A call to the backend", "A ledger step"
# By way: the headings that list its rooms, and how many rooms it may have.
WAYS = {
    "start": (("A start message, until its run is armed", AROUND, RING, CALL, STEP), 35),
    "batch": (("A batch doorbell, until the outcomes are recorded", AROUND, RING, CALL, STEP), 35),
    "end": (("The end: from a READY run to a final status", AROUND, CALL, STEP), 35),
    "call": ((CALL,), 6),
    "step": ((STEP,), 4),
}
NOT_COUNTED = {f"unstract_worker_core.{name}" for name in ("failpoints", "identifiers", "serialization")}


@contextmanager
def entered():
    """The modules of ours that this thread enters, in order, each with the functions. Generated ones are not counted."""
    modules = {}

    def see(frame, event, _):
        name, code = frame.f_globals.get("__name__", ""), frame.f_code
        written = code.co_flags & CO_OPTIMIZED and not code.co_filename.startswith("<")
        if event == "call" and written and name.startswith("unstract_worker_"):
            modules.setdefault(name, set()).add(code.co_qualname)

    sys.setprofile(see)
    try:
        yield modules
    finally:
        sys.setprofile(None)


@define
class Stack:
    """Three workers' apps and runtimes, by type, on one Redis and one backend."""

    backend: object
    data: Path
    redis: object
    workers: dict

    def dev(self, path, **body):
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
        reply = call("POST", f"{self.backend.public_url}/dev/{path}", body=json.dumps(body).encode(), headers=headers)
        assert reply.status < 300, reply.body
        return reply.json()

    def run(self, worker, task, args, kwargs):
        """The modules that a task of this worker passes."""
        app, _ = self.workers[worker]
        with entered() as modules:
            app.tasks[task].apply(args=args, kwargs=kwargs, throw=True)
        return modules

    def answer(self, worker, bell):
        """The modules that are passed by the doorbell that waits in the broker."""
        message = json.loads(self.redis.rpop(DOORBELL_QUEUES[bell]))
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        return self.run(worker, message["headers"]["task"], args, kwargs)


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ways")
    with ExitStack() as opened:
        server = opened.enter_context(running_redis(folder / "redis", appendonly=False))
        backend = opened.enter_context(running(BackendConfig(folder / "backend", KEY, buffer_loop=False)))
        workers = {}
        for definition in (API_DEPLOYMENT, FILE_PROCESSING, CALLBACK):
            settings = settings_for(
                definition.worker, redis_url=server.url, backend_url=backend.base_url, INTERNAL_SERVICE_API_KEY=KEY
            )
            rings = CeleryDoorbells(settings.broker, Metrics("test", ()))
            runtime = opened.enter_context(running_runtime(settings, doorbells=rings))
            opened.callback(rings.close)
            workers[definition.worker] = make_app(definition, settings, lambda runtime=runtime: runtime), runtime
        stack = Stack(backend, folder / "backend", opened.enter_context(server.client()), workers)
        stack.dev("organizations", organization_id=ORGANIZATION, name="Ways")
        yield stack


@pytest.fixture(scope="module")
def passed(stack):
    """By way, the modules that it passes, in order."""
    fields = [{"name": "total", "pattern": "Total: ([0-9.]+)"}]
    workflow = stack.dev("workflows", organization_id=ORGANIZATION, name="w", kind="api", fields=fields)["workflow_id"]
    owner = {"organization_id": ORGANIZATION, "workflow_id": workflow}
    api = stack.dev("api-deployments", **owner, api_name="invoices")["api_id"]
    execute(stack, workflow, api)
    passed = execute(stack, workflow, api)
    _, runtime = stack.workers[WorkerType.FILE_PROCESSING]
    execution, _ = start(stack, workflow, api)
    with entered() as passed["step"]:
        assert isinstance(runtime.ledger.batches.claim(execution, 1, 0, "a token"), BatchClaim)
    return passed


def start(stack, workflow, api):
    """An execution whose run with one file is armed, and the modules that were passed."""
    _, runtime = stack.workers[WorkerType.API_DEPLOYMENT]
    new = NewExecution(workflow_id=workflow, pipeline_id=api, log_events_id="channel-1")
    execution = runtime.backend.executions.create(ORGANIZATION, new)
    path = f"unstract/api/{ORGANIZATION}/{workflow}/{execution}/a.txt"
    (stack.data / path).parent.mkdir(parents=True)
    (stack.data / path).write_bytes(CONTENT)
    file = {
        "file_name": "a.txt",
        "file_path": path,
        "file_hash": hashlib.sha256(CONTENT).hexdigest(),
        "file_size": len(CONTENT),
        "mime_type": "text/plain",
        "source_connection_type": "API",
    }
    args, kwargs = [ORGANIZATION, workflow, execution, {"a.txt": file}], {"pipeline_id": api}
    accepted = stack.run(WorkerType.API_DEPLOYMENT, "async_execute_bin_api", args, kwargs)
    return execution, accepted | stack.answer(WorkerType.API_DEPLOYMENT, Doorbell.ORCHESTRATE_API)


def execute(stack, workflow, api):
    """Run an execution up to its final status; the modules that were passed, by way."""
    passed, (_, runtime) = {}, stack.workers[WorkerType.FILE_PROCESSING]
    execution, passed["start"] = start(stack, workflow, api)
    passed["batch"] = stack.answer(WorkerType.FILE_PROCESSING, Doorbell.API_FILES)
    passed["end"] = stack.answer(WorkerType.CALLBACK, Doorbell.CALLBACK)
    assert runtime.backend.executions.get(ORGANIZATION, execution).status is ExecutionStatus.COMPLETED
    (row,) = runtime.backend.files.list(ORGANIZATION, execution)
    with entered() as passed["call"]:
        assert runtime.backend.files.get(ORGANIZATION, row.id).status is ExecutionStatus.COMPLETED
    return passed


def listed(heading):
    """The modules that the page lists under a heading, in order."""
    _, found, rest = PAGE.read_text(encoding="utf-8").partition(f"\n### {heading}\n")
    assert found, heading
    names = re.findall(r"^\d+\. `([\w/]+)[.`]", re.split(r"\n#", rest)[0], flags=re.MULTILINE)
    paths = [name if name.startswith("unstract_worker_") else f"unstract_worker_core/{name}" for name in names]
    return [path.replace("/", ".") for path in paths]


@pytest.mark.parametrize("way", WAYS)
def test_the_page_lists_the_modules_of_a_way_and_they_are_few(passed, way):
    (own, *shared), most = WAYS[way]
    rooms = set(listed(own))
    for heading in shared:  # the first room of a call and of a step is one of several, which the way itself lists
        rooms.update(listed(heading)[1 if heading in (CALL, STEP) else 0 :])

    assert {module: passed[way][module] for module in passed[way].keys() - NOT_COUNTED - rooms} == {}
    assert rooms - passed[way].keys() == set()
    assert len(rooms) <= most


@pytest.mark.parametrize("way", WAYS)
def test_the_page_lists_them_in_order(passed, way):
    rooms = listed(WAYS[way][0][0])
    assert [module for module in passed[way] if module in rooms] == rooms


def test_the_page_says_how_many_they_are(passed):
    text = " ".join(PAGE.read_text(encoding="utf-8").split())
    said = re.search(
        r"batch passes (\d+) of them \((\d+) .*? call (\d+) \((\d+)\), a ledger step (\d+) \((\d+)\)", text
    )

    counted = [(len(passed[way].keys() - NOT_COUNTED), len(passed[way])) for way in ("batch", "call", "step")]
    assert said is not None
    assert [int(number) for number in said.groups()] == [number for pair in counted for number in pair]
