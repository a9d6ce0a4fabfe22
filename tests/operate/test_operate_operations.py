"""What `conformance` tries covers what workers call: a whole fleet works, its counters and the backend's log are compared."""

import json
import re
import urllib.parse
import urllib.request
from importlib import import_module

import pytest
from prometheus_client.parser import text_string_to_metric_families

from unstract_devstack.extraction import Field
from unstract_devstack.fleet import WORKERS
from unstract_devstack.http_calls import call_json
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import running_stack
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import BackendSettings, Secret
from unstract_worker_core.operator.conformance.reading import READING
from unstract_worker_core.operator.conformance.writing import WRITING

# Each command is a process of its own, and a machine may be busy.
pytestmark = pytest.mark.timeout(400)

TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
EVERY = [each for each in vars(operations).values() if isinstance(each, Operation)]
# Called on paths that no run here takes: an unknown outcome, a chord, a rescue. They are listed nevertheless.
SELDOM = {
    "health", "file-execution.list", "file-execution.get", "workflow-execution.list", "file-execution.check_active",
    "file-execution.create", "file-execution.status", "webhook.mark_dead_letter", "webhook.pipeline_notifications", "webhook.enqueue",
}  # fmt: skip
# Seldom in one worker alone: the rows of a run that was aborted; and while a run is young, its batches rely on what the
# orchestrator read: here each run is over before they ask.
SELDOM_OF = {"callback": {"file-execution.batch_status"}, "file-processing": {"workflow-execution.get"}}


def of(kind) -> tuple[Operation, ...]:
    return import_module(f"{kind.package}.tasks").DEFINITION.operations


def called(worker) -> set[str]:
    """The operations that this worker process counted calls of."""
    url = f"http://127.0.0.1:{worker.health_port}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        return {
            sample.labels["operation"]
            for family in families
            if family.name == "unstract_worker_backend_calls"
            for sample in family.samples
            if sample.value
        }


def named(method: str, path: str) -> str | None:
    """The operation of a request in the backend's log; literal parts of a path count more than ids."""
    settings = BackendSettings("http://nowhere/internal", Secret("x"))
    prefixes = {name: getattr(settings, name) for name in dir(settings) if name.endswith("_prefix")}
    found = []
    for operation in EVERY:
        pattern = re.sub(r"\{(\w+)\}", lambda part: prefixes.get(part[1], r"[^/]+"), operation.path)
        if operation.method == method and re.fullmatch(f"/internal/{pattern}", path):
            found.append((len(re.sub(r"\[\^/\]\+", "", pattern)), operation.name))
    return max(found)[1] if found else None


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    """A whole fleet that did every kind of work: files, history, a pipeline, a schedule, a stop, notifications."""
    folder = tmp_path_factory.mktemp("operations")
    settings = {"WORKER_SWEEP_SECONDS": "0.5", "WORKER_RECHECK_SECONDS": "2"}
    with running_stack(folder, settings=settings) as stack:
        platform = Platform(stack.backend.public_url, stack.backend.api_key, "org_operations")
        platform.set_up_organization()
        workflow = platform.create_workflow("api", "api", (Field(name="total", pattern=r"Total:\s*(\d+)"),))
        tool = {"organization_id": platform.organization, "workflow_id": workflow}
        call_json("POST", f"{platform.url}/dev/tool-instances", payload=tool, key=platform.api_key)
        platform.notify(f"{stack.sink.url}/api", api_id=platform.create_api_deployment(workflow, "extract"))
        (folder / "source").mkdir()
        for number in range(2):
            (folder / "source" / f"{number}.txt").write_text(f"Total: {number}")
        etl = platform.create_workflow(
            "etl", "etl", (), source_folder=str(folder / "source"), destination_table="operations"
        )
        call_json(
            "POST", f"{platform.url}/dev/tool-instances", payload=tool | {"workflow_id": etl}, key=platform.api_key
        )
        pipeline = platform.create_pipeline(etl, "etl")
        platform.notify(f"{stack.sink.url}/etl", pipeline_id=pipeline)
        uploads = []
        for name in ("a.txt", "b.txt"):
            (folder / name).write_text(f"Total: 7 {name}")
            uploads.append(Upload(folder / name, name, (folder / name).stat().st_size))
        for history, files in ((True, 1), (True, 1), (False, 2)):
            run_id = platform.send_files("extract", uploads[:files], use_file_history=history)
            assert ended(platform, run_id) == "COMPLETED"
        platform.trigger(pipeline, "schedule")
        assert wait_until(lambda: len(platform.executions()) == 4 and all_ended(platform), seconds=90)
        stack.sink.wait_for(2, seconds=60)
        yield stack, platform


def ended(platform: Platform, execution_id: str) -> str:
    assert wait_until(lambda: platform.execution(execution_id).status in TERMINAL, seconds=90)
    return platform.execution(execution_id).status


def all_ended(platform: Platform) -> bool:
    return all(row.status in TERMINAL for row in platform.executions())


@pytest.mark.parametrize("kind", WORKERS, ids=lambda kind: kind.name)
def test_a_worker_lists_every_operation_that_it_called(worked, kind):
    stack, _ = worked
    (worker,) = stack.fleet.of(kind)
    listed = {operation.name for operation in of(kind)}
    seen = called(worker)
    assert seen, "nothing was called: the run says nothing"
    assert seen <= listed
    assert listed - seen <= SELDOM | SELDOM_OF.get(kind.name, set()), "listed, and not called though its path was taken"


def test_the_backends_log_knows_no_operation_that_no_worker_lists(worked):
    _, platform = worked
    listed = {operation.name for kind in WORKERS for operation in of(kind)}
    rows = call_json("GET", f"{platform.url}/dev/requests", key=platform.api_key)
    requests = {(row["method"], urllib.parse.urlsplit(row["path"]).path) for row in rows}
    asked = {request: named(*request) for request in requests if request[1].startswith("/internal/")}
    assert len(set(asked.values())) > 12, json.dumps(sorted(map(str, asked.values())))
    assert not [request for request, name in asked.items() if name is None]
    assert set(asked.values()) <= listed


@pytest.mark.parametrize("kind", WORKERS, ids=lambda kind: kind.name)
def test_every_listed_operation_has_its_try(kind):
    assert not [operation.name for operation in of(kind) if operation not in READING and operation not in WRITING]
    assert len(of(kind)) == len(set(of(kind)))
