"""What counts as an answer: nothing but what the contract promises, and nothing of a body in an error."""

import json

import pytest

from unstract_worker_core.backend.executions import StatusUpdate
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate, FileToExecute
from unstract_worker_core.backend.pipelines import Notification, RunEvent
from unstract_worker_core.backend.responses import parse, reason_in
from unstract_worker_core.errors import BackendError, BackendRefused, NotFound, UnexpectedAnswer
from unstract_worker_core.serialization import NotJson, one_line
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

ORG = "org_alpha"
ID = "00000000-0000-0000-0000-000000000802"
ROW = {"id": ID, "workflow_execution_id": ID, "file_name": "a.txt", "status": ""}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "empty body"),
        (b"  ", "empty body"),
        (b'{"id": "SECRET', "not JSON"),
        (b'{"id": NaN}', "NaN is not JSON"),
        (b'{"id": -Infinity}', "-Infinity is not JSON"),
        (b'{"id": 1e999}', "too large"),
        (b'{"id": "SECRET", "id": "SECRET2"}', "a repeated key"),
        (b'{"id": ' + b"9" * 4000 + b"}", "an integer of 4000 digits"),
        (b"[" * 100_000, "nested too deeply"),
        (b'"\xff"', "not Unicode"),
        (b"[1", "not JSON"),
    ],
)
def test_not_json(server, backend, body, expected):
    server.answer(server.raw(body, content_type="application/json"))
    with pytest.raises(UnexpectedAnswer, match=expected) as failure:
        backend.files.get(ORG, ID)
    assert len(server.received) == 1
    assert "SECRET" not in str(failure.value)
    assert failure.value.request_id == server.last.headers["x-request-id"]


@pytest.mark.parametrize("written", [b"\\ud800", b"\\uDFFF", b"\\ud800\\ud800"])
def test_half_of_a_surrogate_pair_is_replaced(server, backend, written):
    shown = {**ROW, "status": "ERROR", "execution_error": "page HALF of \U0001f4c4"}
    server.answer(server.raw(json.dumps(shown).encode().replace(b"HALF", written), content_type="application/json"))
    assert backend.files.get(ORG, ID).execution_error == f"page {chr(0xFFFD) * written.count(b'u')} of \U0001f4c4"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ([], "body: not an object"),
        ("SECRET", "body: not an object"),
        (None, "body: not an object"),
        ({}, "FileExecution.id: required field missing"),
        (ROW | {"id": 7}, "FileExecution.id: expected str, got int"),
        (ROW | {"status": "SECRET"}, "FileExecution.status"),
        (ROW | {"file_path": ["SECRET"]}, "FileExecution.file_path: expected str, got list"),
    ],
)
def test_wrong_shape_names_the_field_and_not_the_value(server, backend, body, expected):
    server.answer(server.sends(body))
    with pytest.raises(UnexpectedAnswer, match=expected) as failure:
        backend.files.get(ORG, ID)
    assert "SECRET" not in f"{failure.value!r} {failure.value}"
    assert failure.value.status == 200
    assert failure.value.endpoint == "file-execution.get"


@pytest.mark.parametrize(
    ("call", "body", "expected"),
    [
        (lambda b: b.files.list(ORG, ID), {"a": 1}, "body: not a list"),
        (lambda b: b.executions.get(ORG, ID), {"execution": []}, "source_config: missing"),
        (lambda b: b.usage.tokens(ORG, ID), {"data": {"usage": None}}, "data.usage: not an object"),
        (lambda b: b.usage.tokens(ORG, ID), {"data": []}, "data.usage: missing"),
        (lambda b: b.usage.pages(ORG, ID), {"data": {"total_pages_processed": "3"}}, "not an integer"),
        (lambda b: b.history.by_hash(ORG, ID, "ab"), {"found": "no"}, "found: not a boolean"),
        (lambda b: b.history.by_hash(ORG, ID, "ab"), {"found": True, "file_history": None}, "not an object"),
        (lambda b: b.workflows.validate_tools(ORG, ID, [ID]), {"success": 1}, "success: not a boolean"),
        (lambda b: b.workflows.source_files(ORG, ID, ID), {"files": {}, "total_files": 2}, "total_files"),
        (lambda b: b.workflows.max_parallel_file_batches(ORG), {"data": {"value": "4"}}, "not an integer"),
        (
            lambda b: b.files.update_status(ORG, ID, FileStatusUpdate(status=ExecutionStatus.ERROR)),
            {"status": "x"},
            "not updated",
        ),
        (
            lambda b: b.executions.update_status(ORG, ID, StatusUpdate(status=ExecutionStatus.ERROR)),
            {"status": "ok"},
            "neither updated nor skipped",
        ),
        (
            lambda b: b.files.create(ORG, ID, ID, FileHash(file_name="a", file_path="b")),
            ROW | {"file_name": ""},
            "file_name: empty",
        ),
        (
            lambda b: b.files.update_statuses(ORG, [(ID, FileStatusUpdate(status=ExecutionStatus.ERROR))]),
            {"successful_updates": [], "failed_updates": []},
            "accounted",
        ),
        (lambda b: b.pipelines.update(ORG, ID, PipelineStatus.SUCCESS), {"status": "ok"}, "not success"),
        (
            lambda b: b.notifications.enqueue(
                ORG,
                RunEvent(type="API", pipeline_id=ID, pipeline_name="n", status="COMPLETED"),
                Notification(ID, "WEBHOOK"),
            ),
            {"buffer_row_id": 4},
            "buffer_row_id",
        ),
        (lambda b: b.notifications.mark_dispatched(1, [ID]), {"updated": True}, "updated: not an integer"),
    ],
)
def test_success_without_the_promised_content(server, backend, call, body, expected):
    server.answer(server.sends(body))
    with pytest.raises(UnexpectedAnswer, match=expected):
        call(backend)


@pytest.mark.parametrize(
    "body", [{"status": "error", "error": "no such\nfile"}, {"success": False, "error": "no such file"}]
)
def test_error_in_a_200_is_a_refusal_with_its_reason(server, backend, body):
    server.answer(server.sends(body))
    with pytest.raises(BackendRefused) as failure:
        backend.usage.tokens(ORG, ID)
    assert failure.value.message == "no such file"
    assert failure.value.status == 200
    assert backend.breaker.state == "closed"


def test_error_in_a_200_without_a_reason(server, backend):
    server.answer(server.sends({"status": "error"}))
    with pytest.raises(BackendRefused, match="without a reason"):
        backend.usage.tokens(ORG, ID)


def test_html_is_never_an_answer(server, backend):
    server.answer(server.html(200))
    with pytest.raises(UnexpectedAnswer, match="HTML") as failure:
        backend.files.get(ORG, ID)
    assert "SECRET" not in str(failure.value)


def test_404_counts_only_with_the_api_s_own_words(server, backend):
    server.answer(server.html(404))
    with pytest.raises(UnexpectedAnswer, match="nothing is served at GET"):
        backend.files.get(ORG, ID)
    for body in (
        {"error": "WorkflowExecution not found"},
        {"status": "error", "message": "Pipeline not found"},
        {"type": "client_error", "errors": [{"code": "not_found", "detail": "No file execution found", "attr": None}]},
    ):
        server.answer(server.sends(body, 404))
        with pytest.raises(NotFound, match="ound"):
            backend.files.get(ORG, ID)
    for body in (b"[]", b"{}", b"gone"):
        server.answer(server.raw(body, 404))
        with pytest.raises(UnexpectedAnswer):
            backend.files.get(ORG, ID)


@pytest.mark.parametrize(
    ("status", "shown"),
    [
        (404, "nothing is served at POST /internal/v1/workflow-manager/execute-file/: wrong base URL, or a proxy's"),
        (405, "POST /internal/v1/workflow-manager/execute-file/ was refused without a reason, perhaps by a proxy"),
        (413, "without a reason, perhaps by a proxy (HTTP 413 Request Entity Too Large)"),
        (418, "without a reason, perhaps by a proxy (HTTP 418"),
        (499, "without a reason, perhaps by a proxy (HTTP 499)"),
    ],
)
def test_a_page_of_a_proxy_is_told_by_its_status_in_plain_words(server, backend, status, shown):
    """F10: the file's user reads `message`: the status, a reason, no placeholder, nothing of the page."""
    server.answer(server.html(status))
    file = FileToExecute(name="a.txt", file_path="/in/a.txt")
    with pytest.raises(BackendError) as failure:
        backend.files.execute(ORG, ID, ID, file)
    message = failure.value.message
    assert shown in message
    assert f"HTTP {status}" in message
    assert str(failure.value).count(f"HTTP {status}") == 1
    assert not any(word in message for word in ("SECRET", "{", "}", "no reason given"))


def test_what_is_not_served_is_named_by_its_path(server, backend_with):
    server.answer(server.html(404))
    with pytest.raises(UnexpectedAnswer, match="nothing is served at GET /internal/v1/health/:"):
        backend_with().check()


def test_the_body_of_a_401_is_not_told(server, backend):
    server.answer(server.sends({"error": "expected key canary-i... (24)"}, 401))
    with pytest.raises(BackendRefused, match="INTERNAL_SERVICE_API_KEY") as failure:
        backend.check()
    assert "canary" not in str(failure.value)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"error": "a", "detail": "b"}', "a: b"),
        (b'{"error": "a"}', "a"),
        (b'{"status": "error", "message": "m"}', "m"),
        (b'{"status": ["\\"x\\" is not a valid choice."]}', 'status: "x" is not a valid choice.'),
        (b'{"type": "client_error", "errors": [{"code": "c", "detail": "d", "attr": null}]}', "d"),
        (b'{"success": false, "errors": [{"error": "Tool does not exist"}]}', "Tool does not exist"),
        (b'{"detail": "Error processing the request."}', "Error processing the request."),
        (b'{"errors": []}', None),
        (b'{"error": ""}', None),
        (b'{"n": 1}', None),
        (b"[1]", None),
        (b"<html>", None),
    ],
)
def test_five_shapes_of_error_bodies(body, reason):
    assert reason_in(body) == reason


def test_reasons_are_one_short_line():
    assert one_line("a\r\nb\x00c\u2028d\u202ee\x1b[0m") == "a b c d e [0m"
    assert one_line("x" * 300) == "x" * 253 + "..."
    assert one_line("é ü") == "é ü"


def test_parse_keeps_what_json_can_say():
    assert parse(b'{"a": [1, 2.5, null, true, "\\ud83d\\ude00"]}') == {"a": [1, 2.5, None, True, "😀"]}
    with pytest.raises(NotJson):
        parse(b"{'a': 1}")
