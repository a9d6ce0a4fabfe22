"""execute-file: its own time, and never sent twice."""

import re
import threading

import pytest
from structlog.contextvars import merge_contextvars
from structlog.testing import capture_logs

from unstract_worker_core.backend import exchange
from unstract_worker_core.backend.files import FileToExecute
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    MessageError,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
)
from unstract_worker_core.observability.logs import bind_task
from unstract_worker_core.observability.metrics import Metrics

ORG = "org_alpha"
EXECUTION = "00000000-0000-0000-0000-000000000802"
WORKFLOW = "00000000-0000-0000-0000-000000000102"
REQUEST = (
    WORKFLOW,
    EXECUTION,
    FileToExecute(name="a.txt", file_path="/in/a.txt", file_hash="ab", fs_metadata={"k": [1, None]}),
)
DONE = {"status": "success", "execution_id": EXECUTION, "result": {"output": {"n": 1}}, "file_name": "a.txt"}


def execute(backend, **options):
    return backend.files.execute(ORG, *REQUEST, key="e:1:f:execute", **options)


def test_result(server, backend):
    server.answer(server.sends(DONE))
    assert execute(backend) == {"output": {"n": 1}}
    sent = server.last
    assert (sent.method, sent.path) == ("POST", "/internal/v1/workflow-manager/execute-file/")
    assert sent.headers["idempotency-key"] == "e:1:f:execute"
    assert sent.json == {
        "workflow_id": WORKFLOW,
        "execution_id": EXECUTION,
        "organization_id": ORG,
        "file_data": {"name": "a.txt", "file_path": "/in/a.txt", "file_hash": "ab", "fs_metadata": {"k": [1, None]}},
    }


def test_todays_answer_is_a_failed_file(server, backend):
    text = "'WorkflowExecutionServiceHelper' object has no attribute 'execute_single_file'"
    server.answer(server.sends({"status": "error", "execution_id": EXECUTION, "error": text, "file_name": "a.txt"}))
    with pytest.raises(BackendRefused) as failure:
        execute(backend)
    assert failure.value.message == text
    assert len(server.received) == 1


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, BackendRefused),
        (404, NotFound),
        (408, BackendUnavailable),
        (425, BackendUnavailable),
        (429, BackendUnavailable),
        (500, BackendRefused),
        (502, OutcomeUnknown),
        (503, OutcomeUnknown),
        (504, OutcomeUnknown),
        (524, OutcomeUnknown),
    ],
)
def test_no_status_is_a_reason_to_send_it_again(server, backend, status, expected):
    server.answer(server.status(status))
    with pytest.raises(BackendError) as failure:
        execute(backend)
    assert type(failure.value) is expected
    assert len(server.received) == 1


@pytest.mark.parametrize("how", ["cut", "truncated", "html"])
def test_no_word_of_the_outcome_is_an_unknown_outcome(server, backend, how):
    server.answer(server.html(500) if how == "html" else getattr(server, how)())
    with pytest.raises(OutcomeUnknown):
        execute(backend)
    assert len(server.received) == 1


def test_time_is_up(server, backend):
    hold = threading.Event()
    server.answer(lambda handler: hold.wait(10) and None)
    try:
        with pytest.raises(OutcomeUnknown, match="the time for the whole call is over"):
            execute(backend, timeout_seconds=0.2)
    finally:
        hold.set()
    assert len(server.received) == 1


def test_a_silent_call_is_named_with_its_execution_and_file_until_it_is_answered(server, backend_with, monkeypatch):
    monkeypatch.setattr(exchange, "_SLICE_SECONDS", 0.01)
    monkeypatch.setattr(exchange, "_FIRST_NOTICE_SECONDS", 0.05)
    metrics, release, seen = Metrics(), threading.Event(), []
    backend = backend_with(metrics)
    server.answer(lambda handler: release.wait(10) and server.sends(DONE)(handler))

    def call():
        with bind_task(execution_id=EXECUTION, file_execution_id=WORKFLOW), capture_logs([merge_contextvars]) as logs:
            execute(backend)
        seen.extend(logs)

    thread = threading.Thread(target=call)
    thread.start()
    while not (shown := backend.silent_calls.shown()):
        threading.Event().wait(0.01)
    assert b"unstract_worker_backend_silent_calls 1.0" in metrics.render()
    (text,) = shown
    request = server.last.headers["x-request-id"]
    assert re.match(r"execute-file has not been answered for \d+ s", text)
    assert text.endswith(f", execution {EXECUTION}, file execution {WORKFLOW}, request {request}")
    release.set()
    thread.join(10)
    assert backend.silent_calls.shown() == ()
    assert b"unstract_worker_backend_silent_calls 0.0" in metrics.render()
    notices = [each for each in seen if each["event"] == "the backend has not answered yet"]
    assert {(each["operation"], each["execution_id"], each["file_execution_id"]) for each in notices} == {
        ("execute-file", EXECUTION, WORKFLOW)
    }


def test_its_time_is_not_the_time_of_other_calls(server, backend_with):
    backend = backend_with(timeout=0.2, total_timeout=0.3, file_execution_timeout=30.0)
    arrived = threading.Event()

    def slow(handler):
        arrived.set()
        assert not server.stopping.wait(0.6)
        server.sends(DONE)(handler)

    server.answer(slow)
    assert execute(backend) == DONE["result"]
    assert arrived.is_set()


def test_refused_connections_are_tried_again(backend_with, free_port):
    backend = backend_with(base_url=f"http://127.0.0.1:{free_port}/internal", breaker_threshold=1, retry_attempts=3)
    tries = []
    send = backend._transport.handle_request
    backend._transport.handle_request = lambda request: tries.append(request) or send(request)
    with pytest.raises(BackendUnavailable):
        execute(backend)
    assert len(tries) == 4


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (DONE | {"status": "done"}, "neither success nor error"),
        (DONE | {"execution_id": WORKFLOW}, "execution_id"),
        ({"status": "success", "execution_id": EXECUTION}, "result: missing"),
    ],
)
def test_success_must_be_said_and_be_ours(server, backend, body, reason):
    server.answer(server.sends(body))
    with pytest.raises(UnexpectedAnswer, match=reason):
        execute(backend)


def test_bad_key_is_refused_before_any_request(server, backend):
    with pytest.raises(MessageError, match="key"):
        backend.files.execute(ORG, *REQUEST, key="a\r\nX-Evil: 1")
    assert server.received == []
