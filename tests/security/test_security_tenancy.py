"""S2, S3: each call names the organization of its own task, and no organization reads or touches another's data."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from attrs import define, field
from structlog.contextvars import get_contextvars

from unstract_devstack.producer import StartOptions
from unstract_worker_core.errors import MessageError, NotFound
from unstract_worker_core.observability.logs import bind_task
from unstract_worker_core.runs.runtime import Delivery
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import running_runtime, settings_for
from unstract_worker_core.worker.tasks import boundary

LEDGER = 2
ORGANIZATIONS = ("org_alpha", "org_beta")
TASKS = 10_000
BODY = b'{"error": "none", "detail": "No WorkflowExecution matches the given query."}'
ANSWER = b"HTTP/1.1 404 Not Found\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


@define
class Listener:
    """Counts requests by the organization in their path's id and in their header; answers 404."""

    port: int
    pairs: Counter = field(factory=Counter)
    _lock: threading.Lock = field(factory=threading.Lock)

    def serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as lines:
            while request := lines.readline():
                named = "none"
                while (line := lines.readline()) not in (b"\r\n", b""):
                    if line.lower().startswith(b"x-organization-id:"):
                        named = line.split(b":", 1)[1].strip().decode()
                owner = UUID(request.split(b"/workflow-execution/")[1].split(b"/")[0].decode())
                with self._lock:
                    self.pairs[ORGANIZATIONS[owner.int % 2], named] += 1
                connection.sendall(ANSWER)


@pytest.fixture
def listener() -> Iterator[Listener]:
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        counting = Listener(server.getsockname()[1])

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=counting.serve, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield counting
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def ask(ground, listener: Listener) -> Iterator[Callable[[int], tuple[str, str]]]:
    """One task, as a worker's thread runs it: its organization, and what its log lines would name."""
    redis = f"redis://:{ground.secrets.administrator}@127.0.0.1:{ground.redis.port}/3"
    settings = settings_for(
        WorkerType.GENERAL, redis_url=redis, backend_url=f"http://127.0.0.1:{listener.port}/internal"
    )
    with running_runtime(settings) as runtime:

        def task(number: int) -> tuple[str, str]:
            organization = ORGANIZATIONS[number % 2]
            execution = str(UUID(int=(uuid4().int & ~1) | number % 2))
            with boundary(runtime, Delivery("task", f"id-{number}", "queue")), bind_task(organization_id=organization):
                with pytest.raises(NotFound):
                    runtime.backend.executions.get(organization, execution)
                return organization, get_contextvars()["organization_id"]
            raise AssertionError

        yield task


def test_s2_ten_thousand_interleaved_tasks_of_two_organizations_name_their_own(listener, ask):
    with ThreadPoolExecutor(8) as threads:
        logged = Counter(threads.map(ask, range(TASKS)))

    expected = {(name, name): TASKS // 2 for name in ORGANIZATIONS}
    assert listener.pairs == expected
    assert logged == expected


@pytest.mark.parametrize("organization", [None, "", " ", "42", "a b", "../x", "x" * 200])
def test_s2_without_an_organization_nothing_is_asked(ground, listener, organization):
    settings = settings_for(WorkerType.GENERAL, backend_url=f"http://127.0.0.1:{listener.port}/internal")
    with running_runtime(settings) as runtime, pytest.raises(MessageError, match="organization_id"):
        runtime.backend.executions.get(organization, str(uuid4()))
    assert not listener.pairs


def test_s2_files_of_two_organizations_at_once_are_each_asked_for_in_their_own_name(ground):
    tenants = (ground.tenant(), ground.tenant())
    for tenant in tenants:
        tenant.api()
    owners = {}
    for round_ in range(3):
        for tenant in tenants:
            files = [tenant.upload(f"{round_}-{number}.txt", f"Total: {number} {round_}") for number in range(6)]
            owners[tenant.send(*files)] = tenant
    files_of = {}
    for execution, tenant in owners.items():
        row = tenant.ended(execution)
        assert (row.status, row.successful) == ("COMPLETED", 6)
        files_of |= {file.id: tenant.organization for file in row.files}
    ids = files_of | {execution: tenant.organization for execution, tenant in owners.items()}
    seen = Counter(
        (owner == request["organization"])
        for request in ground.requests()
        if request["path"].startswith("/internal/")
        for known, owner in ids.items()
        if known in request["path"]
    )
    assert seen[True] > len(ids)
    assert seen[False] == 0


def test_s2_a_message_without_an_organization_is_refused_before_any_call(ground, tenant, eventually):
    tenant.works()
    before, asked = ground.letters(), len(ground.requests())
    workflow, execution = str(uuid4()), str(uuid4())
    for organization in (None, "", "42", ["org"]):
        ground.producer.send("async_execute_bin", [organization, workflow, execution, {}], {}, "celery")
        batch = {"files": [], "file_data": {"workflow_id": workflow, "execution_id": execution, "organization_id": organization}}  # fmt: skip
        ground.producer.send("process_file_batch", [batch], {}, "file_processing")

    eventually(lambda: ground.letters() == before + 8)
    new = ground.requests()[asked:]
    assert [request for request in new if execution in request["path"] or workflow in request["path"]] == []


def test_s3_ids_of_another_organization_are_as_good_as_unknown(ground, eventually):
    mine, theirs = ground.tenant(), ground.tenant()
    mine.works()
    workflow = theirs.api()
    execution = theirs.pending(workflow)
    effects, meta = theirs.platform.effects(execution), f"uw:{{{execution}}}:meta"
    name = "their-secret-plan.txt"
    file = {"file_name": name, "file_path": f"unstract/api/{theirs.organization}/x/{name}", "file_hash": "ab"}
    options = StartOptions(pipeline_id=None, use_file_history=False)
    ground.producer.start_execution(
        mine.organization, workflow, execution, {name: file}, options, "celery_api_deployments"
    )

    eventually(lambda: b"workflow-execution.get: " in (ground.database(LEDGER).hget(meta, "last_error") or b""))
    row = theirs.platform.execution(execution)
    assert (row.status, row.files) == ("PENDING", ())
    assert theirs.platform.effects(execution) == effects
    assert name not in "".join(ground.logs().values())
    asked = {entry["organization"] for entry in ground.requests() if execution in entry["path"]}
    assert asked == {mine.organization}
