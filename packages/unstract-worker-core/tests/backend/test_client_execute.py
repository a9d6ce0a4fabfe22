"""execute-file: its own time, and never sent twice."""

import threading

import pytest

from unstract_worker_core.backend import models
from unstract_worker_core.errors import (
    BackendError,
    BackendRefused,
    BackendUnavailable,
    MessageError,
    NotFound,
    OutcomeUnknown,
    UnexpectedAnswer,
)

ORG = "org_alpha"
EXECUTION = "00000000-0000-0000-0000-000000000802"
WORKFLOW = "00000000-0000-0000-0000-000000000102"
REQUEST = models.ExecuteFile(
    workflow_id=WORKFLOW,
    execution_id=EXECUTION,
    file=models.FileToExecute(name="a.txt", file_path="/in/a.txt", file_hash="ab", fs_metadata={"k": [1, None]}),
)
DONE = {"status": "success", "execution_id": EXECUTION, "result": {"output": {"n": 1}}, "file_name": "a.txt"}


def execute(backend, **options):
    return backend.files.execute(ORG, REQUEST, key="e:1:f:execute", **options)


def test_result(server, backend):
    server.answer(server.sends(DONE))
    assert execute(backend).result == {"output": {"n": 1}}
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
        with pytest.raises(OutcomeUnknown, match="ReadTimeout"):
            execute(backend, timeout_seconds=0.2)
    finally:
        hold.set()
    assert len(server.received) == 1


def test_its_time_is_not_the_time_of_other_calls(server, backend_with):
    backend = backend_with(timeout=0.2, total_timeout=0.3, file_execution_timeout=30.0)
    arrived = threading.Event()

    def slow(handler):
        arrived.set()
        assert not server.stopping.wait(0.6)
        server.sends(DONE)(handler)

    server.answer(slow)
    assert execute(backend).result == DONE["result"]
    assert arrived.is_set()


def test_refused_connections_are_tried_again(backend_with, free_port):
    backend = backend_with(base_url=f"http://127.0.0.1:{free_port}/internal", breaker_threshold=1, retry_attempts=3)
    tries = []
    exchange = backend._transport.exchange
    backend._transport.exchange = lambda wanted, seconds: tries.append(wanted) or exchange(wanted, seconds)
    with pytest.raises(BackendUnavailable):
        execute(backend)
    assert len(tries) == 4


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (DONE | {"status": "done"}, "neither success nor error"),
        (DONE | {"execution_id": WORKFLOW}, "execution_id"),
        ({"status": "success", "execution_id": EXECUTION}, "result: missing"),
    ],
)
def test_success_must_be_said_and_be_ours(server, backend, body, told):
    server.answer(server.sends(body))
    with pytest.raises(UnexpectedAnswer, match=told):
        execute(backend)


def test_bad_key_is_refused_before_any_request(server, backend):
    with pytest.raises(MessageError, match="key"):
        backend.files.execute(ORG, REQUEST, key="a\r\nX-Evil: 1")
    assert server.received == []
