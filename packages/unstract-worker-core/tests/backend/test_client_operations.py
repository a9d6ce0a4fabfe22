"""What is sent: the paths, methods and bodies of the contract; and the short cuts that send nothing."""

import json

import pytest

from unstract_worker_core import serialization
from unstract_worker_core.backend.executions import Execution, NewExecution, StatusUpdate
from unstract_worker_core.backend.files import BatchCreated, FileHash, FileStatusUpdate
from unstract_worker_core.backend.history import HistoryQuery
from unstract_worker_core.backend.workflows import SourceFile, ToolProblem, UnreadableFile
from unstract_worker_core.errors import BackendRefused, UnexpectedAnswer
from unstract_worker_core.messages.start import file_item
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"
OTHER = "00000000-0000-0000-0000-000000000102"
CONTEXT = {
    "execution": {
        "id": ID,
        "workflow_id": OTHER,
        "status": "EXECUTING",
        "total_files": 2,
        "tags": [{"id": "1", "name": "urgent", "description": ""}],
        "new_field": {"of": "a later release"},
    },
    "source_config": {"type": "general_workflow", "is_api": False, "connector_settings": {"secret": "minio123"}},
    "destination_config": {"connection_type": "API", "is_api": True, "use_file_history": True},
    "organization_context": {"organization_id": ORG},
}


def test_execution_is_read_without_its_files(server, backend):
    server.answer(server.sends(CONTEXT))
    execution = backend.executions.get(ORG, ID.upper())
    assert execution == Execution(
        id=ID,
        workflow_id=OTHER,
        status=ExecutionStatus.EXECUTING,
        organization_id=ORG,
        total_files=2,
        tags=("urgent",),
        is_api=True,
    )
    assert server.last.path == f"/internal/v1/workflow-execution/{ID}/"
    assert server.last.query == "file_execution=false"
    assert "minio123" not in repr(execution)


def test_an_execution_that_was_not_asked_for(server, backend):
    server.answer(server.sends(CONTEXT))
    with pytest.raises(UnexpectedAnswer, match="not the one"):
        backend.executions.get(ORG, OTHER)


def test_status_update_leaves_out_what_is_none_and_keeps_zero(server, backend):
    server.answer(server.sends({"status": "updated"}))
    update = StatusUpdate(status=ExecutionStatus.ERROR, total_files=0, failed_files=0, error_message="a\nb" + "x" * 300)
    assert backend.executions.update_status(ORG, ID, update) is None
    sent = server.last.json
    assert sent.pop("error_message") == "a b" + "x" * 250 + "..."
    assert sent == {"status": "ERROR", "total_files": 0, "failed_files": 0}
    assert server.last.path == f"/internal/v1/workflow-execution/{ID}/update_status/"


def test_skipped_is_not_written(server, backend):
    server.answer(server.sends({"status": "skipped", "reason": "already_final"}))
    update = StatusUpdate(status=ExecutionStatus.ERROR)
    assert backend.executions.update_status(ORG, ID, update) == "already_final"


def test_pipeline_update_and_prefixes(server, backend_with):
    server.answer(server.sends({"status": "success"}))
    backend_with().pipelines.update(ORG, ID, PipelineStatus.SUCCESS, is_end=True, key="k")
    assert (server.last.method, server.last.path) == ("PUT", f"/internal/v1/pipeline/{ID}/")
    assert server.last.json == {"status": "SUCCESS", "is_end": True}
    server.answer(server.sends([]))
    backend_with(file_execution_prefix="v2/files/").files.list(ORG, ID)
    assert server.last.path == "/internal/v2/files/"


def test_check_active_has_no_slash(server, backend):
    row = {"file_path": "/in/a", "workflow_execution_id": ID}
    rows = {"u:1": [{"file_path": "/in/other", "workflow_execution_id": OTHER}, row]}
    server.answer(server.sends({"active_identifiers": ["u:1:/in/a", "v", "w:/in/c"], "active_files": rows}))
    asked = [("u:1", "/in/a"), ("v", "/in/b"), ("w", "/in/c")]
    found = backend.files.check_active(ORG, ID, asked, OTHER)
    assert found == {("u:1", "/in/a"): ID, ("w", "/in/c"): ""}, "in use, also where the backend does not say by which"
    assert server.last.path == "/internal/v1/workflow-manager/file-execution/check-active"
    assert server.last.json["current_execution_id"] == OTHER


def test_nothing_to_ask_sends_nothing(server, backend):
    assert backend.files.check_active(ORG, ID, [], None) == {}
    assert backend.history.find_many(ORG, ID, []) == {}
    assert backend.files.create_many(ORG, ID, []) == BatchCreated()
    assert backend.files.update_statuses(ORG, []) == ()
    assert backend.history.check_batch(ORG, ID, []) == frozenset()
    assert server.connections == 0


def test_one_entry_of_a_listing_that_cannot_be_read_does_not_hide_the_others(server, backend):
    good = {"file_name": "a", "file_path": "in/a"}
    files = {"a": good, "b": {"file_name": 5, "file_path": "in/b"}, "c": "text", "d": {"file_name": "d"}}
    server.answer(server.sends({"files": files, "total_files": 4}))
    first, *others = backend.workflows.source_files(ORG, ID, ID)
    assert first == SourceFile("a", "in/a")
    assert [(each.name, type(each)) for each in others] == [(name, UnreadableFile) for name in "bcd"]
    assert "file_name" in others[0].reason


# What a body may hold that strict JSON may not, each in one entry of a list.
LOOSE = [
    b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"-1e999", b'{"a": 1, "a": 2}', b'"\\ud800"', b'"\xff"', b'"\xed\xa0\x80"',
]  # fmt: skip


def loose(server, value, written):
    """An answer in which this stands for "LOOSE"."""
    body = json.dumps(value).encode().replace(b'"LOOSE"', written)
    server.answer(server.raw(body, content_type="application/json"))


@pytest.mark.parametrize("field", ["file_name", "file_size", "mime_type", "fs_metadata"])
@pytest.mark.parametrize("written", LOOSE)
def test_what_is_no_strict_json_spoils_only_its_own_entry_of_a_listing(server, backend, written, field):
    files = {name: {"file_name": name, "file_path": f"in/{name}"} for name in "abc"}
    files["b"][field] = "LOOSE"
    loose(server, {"files": files, "total_files": 3}, written)
    first, second, third = backend.workflows.source_files(ORG, ID, ID)
    assert (first, third) == (SourceFile("a", "in/a"), SourceFile("c", "in/c"))
    if isinstance(second, SourceFile):  # its text and its own JSON are checked by who makes a file of it
        assert file_item(serialization.unstructure(second), number=2, name="b").refused


@pytest.mark.parametrize("written", LOOSE)
def test_one_row_that_cannot_be_read_does_not_hide_the_others(server, backend, written):
    rows = [{"id": ID, "file_name": name, "file_size": 1, "status": ""} for name in "abc"]
    rows[0]["file_size"] = "LOOSE"  # nothing is made of it
    rows[1]["file_name"] = 5
    loose(server, rows, written)
    assert [row.file_name for row in backend.files.list(ORG, ID)] == ["a", "c"]


@pytest.mark.parametrize("written", LOOSE[:6])
def test_one_history_that_cannot_be_read_is_said_of_its_file_alone(server, backend, written):
    row = {"id": ID, "status": "COMPLETED"}
    histories = {name: {"found": True, "file_history": row} for name in "ab"}
    histories["b"] = {"found": True, "file_history": {**row, "execution_count": "LOOSE"}}
    loose(server, {"file_histories": {**histories, "c": {"found": False}}}, written)
    found = backend.history.find_many(ORG, ID, [HistoryQuery(identifier=name, file_path=name) for name in "abcd"])
    assert found["a"].status is ExecutionStatus.COMPLETED
    assert found["b"].reason.startswith("FileHistory.execution_count: expected int")
    assert "c" not in found
    assert found["d"].reason == "file_histories.d: missing"


def test_one_subscriber_that_cannot_be_read_does_not_hide_the_others(server, backend):
    targets = [{"id": name, "notification_type": "WEBHOOK", "is_active": True} for name in "abc"]
    targets[1]["is_active"] = "LOOSE"
    counts = {"total_files": "LOOSE"}
    loose(server, {"pipeline_name": "p", "notifications": targets, "execution_counts": counts}, b"NaN")
    found = backend.notifications.for_pipeline(ORG, ID, execution_id=ID)
    assert ([each.id for each in found.notifications], found.counts) == (["a", "c"], None)


def test_one_execution_that_cannot_be_read_hides_the_others_only_from_who_needs_all(server, backend):
    rows = [{"id": ID, "workflow_id": ID, "status": "PENDING", "total_files": number} for number in (1, "LOOSE", 3)]
    loose(server, rows, b"NaN")
    seen = backend.executions.list(ORG, None, [ExecutionStatus.PENDING], skip_unreadable=True)
    assert [row.total_files for row in seen] == [1, 3]
    loose(server, rows, b"NaN")
    with pytest.raises(UnexpectedAnswer, match="total_files"):
        backend.executions.list(ORG, None, [ExecutionStatus.PENDING])


def test_what_is_no_identifier_is_not_read_as_free(server, backend):
    server.answer(server.sends({"active_identifiers": [["u:p"]], "active_files": {}}))
    with pytest.raises(UnexpectedAnswer, match="active_identifiers"):
        backend.files.check_active(ORG, ID, [("u", "p")], None)


MANY = [f"00000000-0000-0000-0000-{number:012}" for number in range(11)]
TOO_LARGE = 3
PENDING = FileStatusUpdate(status=ExecutionStatus.PENDING)


def named(name):
    return FileHash(file_name=name, file_path=f"in/{name}")


def query(name):
    return HistoryQuery(identifier=name, file_path="in/a", provider_file_uuid=name)


def rows_of(body):
    return [
        row
        for name in ("status_updates", "file_executions", "files", "file_hashes", "buffer_row_ids")
        for row in body.get(name, ())
    ]


@pytest.mark.parametrize(
    ("answer", "call", "expected"),
    [
        (
            lambda rows: {"successful_updates": rows[1:], "failed_updates": [{"error": "no", **rows[0]}]},
            lambda b: b.files.update_statuses(ORG, [(row, PENDING) for row in MANY], key="k"),
            lambda firsts: tuple((each["file_execution_id"], "no") for each in firsts),
        ),
        (
            lambda rows: {
                "successful_creations": [
                    {"id": ID, "file_name": each["file_hash"]["file_name"], "status": ""} for each in rows
                ],
                "failed_creations": [],
            },
            lambda b: [row.file_name for row in b.files.create_many(ORG, ID, list(map(named, MANY)), key="k").created],
            lambda firsts: MANY,
        ),
        (
            lambda rows: {"active_identifiers": [f"{each['uuid']}:{each['path']}" for each in rows]},
            lambda b: b.files.check_active(ORG, ID, [(row, "in/a") for row in MANY], None),
            lambda firsts: {(row, "in/a"): "" for row in MANY},
        ),
        (
            lambda rows: {"updated": len(rows)},
            lambda b: b.notifications.mark_dispatched(7, MANY),
            lambda firsts: len(MANY),
        ),
        (
            lambda rows: {"processed_file_hashes": rows},
            lambda b: b.history.check_batch(ORG, ID, MANY),
            lambda firsts: frozenset(MANY),
        ),
        (
            lambda rows: {"file_histories": {each["identifier"]: {"found": False} for each in rows}},
            lambda b: b.history.find_many(ORG, ID, [query(row) for row in MANY]),
            lambda firsts: {},
        ),
    ],
    ids=["statuses", "rows", "active", "marks", "hashes", "histories"],
)
def test_a_bulk_call_that_is_too_large_for_a_proxy_is_made_in_halves(server, backend, answer, call, expected):
    asked, keys = [], []

    def reply(handler):
        rows = rows_of(server.last.json)
        if len(rows) > TOO_LARGE:
            return server.status(413)(handler)
        asked.append(rows)
        keys.append(server.last.headers.get("idempotency-key"))
        return server.sends(answer(rows))(handler)

    server.answer(reply)
    assert call(backend) == expected([rows[0] for rows in asked])
    assert sum(map(len, asked)) == len(MANY), "each item once, in their order"
    assert [len(rows) for rows in asked] == [2, 3, 3, 3]
    assert keys[0] is None or len(set(keys)) == len(keys), "each call has its own key"


def test_an_item_that_is_too_large_by_itself_is_refused(server, backend):
    server.answer(server.status(413))
    with pytest.raises(BackendRefused, match="413"):
        backend.files.update_statuses(ORG, [(row, PENDING) for row in MANY])
    assert len(rows_of(server.last.json)) == 1


def test_cleanup(server, backend):
    server.answer(server.sends({"cleaned_executions": []}))
    assert backend.executions.cleanup(ORG, [ID], key="k") is True
    server.answer(server.status(400))
    with pytest.raises(BackendRefused):
        backend.executions.cleanup(ORG, [ID])


def test_a_cleanup_that_is_not_offered_is_not_asked_for_again_for_an_hour(server, backend_with, clock):
    backend = backend_with(clock=clock)
    server.answer(server.status(405))
    for _ in range(3):
        assert backend.executions.cleanup(ORG, [ID]) is False
    assert len(server.received) == 1
    clock.now += 3600
    server.answer(server.sends({"cleaned_executions": []}))
    assert backend.executions.cleanup(ORG, [ID]) is True


def test_configuration(server, backend):
    server.answer(server.sends({"success": True, "data": {"value": 0}}))
    assert backend.workflows.max_parallel_file_batches(ORG) == 1
    assert server.last.query == f"organization_id={ORG}"
    for status in (400, 404):
        server.answer(server.status(status))
        assert backend.workflows.max_parallel_file_batches(ORG) is None
    server.answer(server.status(403))
    with pytest.raises(BackendRefused):
        backend.workflows.max_parallel_file_batches(ORG)


def test_history_takes_text_and_odd_paths(server, backend):
    server.answer(server.sends({"found": True, "file_history": {"id": ID, "status": "ERROR", "result": "{'a': 1}"}}))
    history = backend.history.by_hash(ORG, OTHER, "ab", file_path="/in/ä&b=c #1.txt")
    assert (history.status, history.result) == (ExecutionStatus.ERROR, "{'a': 1}")
    assert server.last.path == "/internal/v1/file-history/cache-key/ab/"
    assert "file_path=%2Fin%2F%C3%A4%26b%3Dc%20%231.txt" in server.last.query.replace("+", "%20")


def test_tool_validation_of_a_422(server, backend):
    body = {
        "success": False,
        "validated_instances": [],
        "errors": [{"tool_id": "t", "tool_instance_id": ID, "error": "Tool does not exist"}],
    }
    server.answer(server.sends(body, 422))
    found = backend.workflows.validate_tools(ORG, OTHER, [ID])
    assert not found.success
    assert found.errors == (ToolProblem("Tool does not exist", "t", ID),)


def test_a_new_execution_needs_a_channel():
    with pytest.raises(ValueError, match="log_events_id"):
        NewExecution(workflow_id=ID)


def test_the_platform_key_of_an_organization_that_has_one_and_of_one_that_has_none(server, backend):
    server.answer(server.sends({"platform_key": "SECRET", "key_name": "default"}))
    assert backend.tooling.platform_key(ORG).reveal() == "SECRET"
    server.answer(server.sends({"platform_key": ""}))
    assert backend.tooling.platform_key(ORG) is None
    server.answer(server.sends({"error": "Internal server error"}, 500))
    assert backend.tooling.platform_key(ORG) is None
    server.answer(server.sends({"error": "Organization x not found"}, 404))
    with pytest.raises(BackendRefused):
        backend.tooling.platform_key(ORG)


@pytest.mark.parametrize("metadata", [None, [], "text", {"a": 1}])
def test_a_run_starts_whatever_the_settings_of_its_tools_are(server, backend, metadata):
    tools = [{"id": str(step), "tool_id": "classify", "step": step, "metadata": metadata} for step in (2, 1)]
    server.answer(server.sends({"tool_instances": tools}))
    found = backend.workflows.tool_instances(ORG, ID)
    assert [(tool.id, tool.metadata) for tool in found] == [("1", metadata), ("2", metadata)]
