"""One organization per request, named by the caller; no secret where it can be read."""

import logging
import threading
import traceback

import pytest
from attrs import fields

from unstract_worker_core.backend.executions import Execution, NewExecution, StatusUpdate
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate, FileToExecute
from unstract_worker_core.backend.history import HistoryQuery, NewHistory
from unstract_worker_core.backend.pipelines import Notification, RunEvent
from unstract_worker_core.backend.workflows import SourceFile, ToolInstance
from unstract_worker_core.errors import BackendError, MessageError
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

KEY = "canary-internal-key-5d1f"
ID = "00000000-0000-0000-0000-000000000802"
FILE = FileHash(file_name="a.txt", file_path="/in/a.txt")
STATUS = FileStatusUpdate(status=ExecutionStatus.ERROR, error_message="e")
CALLS = {
    "executions.get": lambda b, org: b.executions.get(org, ID),
    "executions.list": lambda b, org: b.executions.list(org, ID, [ExecutionStatus.PENDING]),
    "executions.update_status": lambda b, org: b.executions.update_status(
        org, ID, StatusUpdate(status=ExecutionStatus.ERROR)
    ),
    "executions.create": lambda b, org: b.executions.create(org, NewExecution(workflow_id=ID, pipeline_id=ID)),
    "executions.cleanup": lambda b, org: b.executions.cleanup(org, [ID]),
    "workflows.tool_instances": lambda b, org: b.workflows.tool_instances(org, ID),
    "workflows.source_files": lambda b, org: b.workflows.source_files(org, ID, ID),
    "workflows.validate_tools": lambda b, org: b.workflows.validate_tools(org, ID, [ID]),
    "files.get": lambda b, org: b.files.get(org, ID),
    "files.list": lambda b, org: b.files.list(org, ID),
    "files.create": lambda b, org: b.files.create(org, ID, ID, FILE),
    "files.create_many": lambda b, org: b.files.create_many(org, ID, [FILE]),
    "files.update_status": lambda b, org: b.files.update_status(org, ID, STATUS),
    "files.update_statuses": lambda b, org: b.files.update_statuses(org, [(ID, STATUS)]),
    "files.check_active": lambda b, org: b.files.check_active(org, ID, [("u", "p")], ID),
    "files.execute": lambda b, org: b.files.execute(org, ID, ID, FileToExecute(name="a", file_path="b")),
    "history.by_hash": lambda b, org: b.history.by_hash(org, ID, "ab"),
    "history.check_batch": lambda b, org: b.history.check_batch(org, ID, ["ab"]),
    "history.find_many": lambda b, org: b.history.find_many(
        org, ID, [HistoryQuery(identifier="a", file_path="in/a", provider_file_uuid="u")]
    ),
    "history.create": lambda b, org: b.history.create(
        org,
        NewHistory(workflow_id=ID, file_hash="ab", file_name="a", status=ExecutionStatus.COMPLETED),
    ),
    "pipelines.get": lambda b, org: b.pipelines.get(org, ID),
    "pipelines.update": lambda b, org: b.pipelines.update(org, ID, PipelineStatus.SUCCESS, is_end=True),
    "notifications.for_pipeline": lambda b, org: b.notifications.for_pipeline(org, ID, execution_id=ID),
    "notifications.for_api": lambda b, org: b.notifications.for_api(org, ID),
    "notifications.enqueue": lambda b, org: b.notifications.enqueue(
        org,
        RunEvent(type="API", pipeline_id=ID, pipeline_name="n", status="ERROR"),
        Notification(ID, "WEBHOOK"),
    ),
    "tooling.image": lambda b, org: b.tooling.image(org, ID),
    "tooling.workflow": lambda b, org: b.tooling.workflow(org, ID),
    "usage.tokens": lambda b, org: b.usage.tokens(org, ID),
    "usage.pages": lambda b, org: b.usage.pages(org, ID),
    "tooling.platform_key": lambda b, org: b.tooling.platform_key(org),
    "workflows.max_parallel_file_batches": lambda b, org: b.workflows.max_parallel_file_batches(org),
}


def test_the_table_holds_every_call(backend):
    offered = set()
    for group in (
        "executions",
        "workflows",
        "files",
        "history",
        "pipelines",
        "notifications",
        "usage",
        "tooling",
    ):
        methods = (name for name in dir(getattr(backend, group)) if not name.startswith("_"))
        offered |= {f"{group}.{name}" for name in methods}
    assert set(CALLS) == offered - {"notifications.mark_dispatched", "notifications.mark_dead_letter"}


@pytest.mark.parametrize("name", CALLS)
def test_every_call_names_its_organization(server, backend, name):
    server.answer(server.status(400))
    for org in ("org_alpha", "org_beta"):
        try:
            CALLS[name](backend, org)
        except BackendError as error:
            assert error.status == 400  # noqa: PT017 - configuration reads a 400 as "not known"
        headers = server.last.headers
        assert headers["x-organization-id"] == org
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["accept"] == "application/json"
        assert headers["accept-encoding"] == "identity"
        assert headers["user-agent"] == "UnstractWorker/9.9"
        assert len(headers["x-request-id"]) == 36
        assert ("content-type" in headers) is bool(server.last.body)
    assert len(server.received) == 2


@pytest.mark.parametrize("org", ["", None, " ", "a b", "a\r\nX-Evil: 1", "../x", "a" * 200, 1])
@pytest.mark.parametrize("name", CALLS)
def test_without_an_organization_there_is_no_request(server, backend, name, org):
    with pytest.raises(MessageError, match="organization_id"):
        CALLS[name](backend, org)
    assert server.connections == 0


@pytest.mark.parametrize(
    "bad", ["", "x", "../../admin", "0" * 5000, "a/b?c#d", "00000000-0000-0000-0000-00000000080\n"]
)
def test_ids_that_are_none_make_no_request(server, backend, bad):
    for call in (
        lambda: backend.executions.get("org_alpha", bad),
        lambda: backend.files.get("org_alpha", bad),
        lambda: backend.files.create("org_alpha", ID, bad, FILE),
        lambda: backend.history.by_hash("org_alpha", ID, bad if bad != "x" else "a/b"),
        lambda: backend.history.check_batch("org_alpha", ID, ["../x"]),
        lambda: backend.notifications.mark_dispatched(1, [bad]),
    ):
        with pytest.raises(MessageError):
            call()
    assert server.connections == 0


def test_the_calls_without_organization_are_these(server, backend):
    server.answer(server.sends({"status": "success", "updated": 2}))
    assert backend.notifications.mark_dispatched(7, [ID]) == 2
    assert backend.notifications.mark_dead_letter(7, [ID]) == 2
    assert server.last.json == {"buffer_row_ids": [ID], "organization_id": 7}
    assert [sent.path for sent in server.received] == [
        "/internal/v1/webhook/buffer/mark/dispatched/",
        "/internal/v1/webhook/buffer/mark/dead-letter/",
    ]
    server.answer(server.sends({"status": "healthy", "version": "1.0.0", "debug": {}}))
    backend.check()
    assert all("x-organization-id" not in sent.headers for sent in server.received)


def test_organizations_of_two_threads_do_not_mix(server, backend):
    server.answer(server.sends([]))

    def ask(org):
        for _ in range(50):
            backend.files.list(org, ID)

    threads = [threading.Thread(target=ask, args=(org,)) for org in ("org_alpha", "org_beta")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    orgs = [sent.headers["x-organization-id"] for sent in server.received]
    assert (orgs.count("org_alpha"), orgs.count("org_beta")) == (50, 50)


@pytest.mark.parametrize("how", ["401", "400", "404", "500", "503", "302", "cut", "html", "echo"])
def test_the_key_is_in_no_error_and_no_log(server, backend, how, caplog):
    caplog.set_level(logging.DEBUG)

    def echo(handler):
        server.sends({"error": f"your header was {handler.headers['Authorization']}"}, 400)(handler)

    replies = {"cut": server.cut(), "html": server.html(), "echo": echo}
    server.answer(replies.get(how) or server.sends({"error": "no", "detail": f"key {KEY}"}, int(how)))
    with pytest.raises(BackendError) as failure:
        backend.executions.get("org_alpha", ID)
    text = "".join(traceback.format_exception(failure.value)) + repr(vars(failure.value)) + repr(backend._call)
    assert KEY not in text
    assert KEY not in caplog.text


def test_credentials_of_connectors_are_not_shown():
    for model in (SourceFile, Execution, Notification, ToolInstance):
        names = {attribute.name for attribute in fields(model) if attribute.repr}
        assert not names & {"connector_metadata", "connector_settings", "url", "authorization_key", "metadata"}
