"""Faults by route: each kind as a caller meets it, and whether the request was applied."""

import httpx
import pytest

PATH = "/internal/v1/workflow-manager/execution/create/"


@pytest.fixture
def ready(stack):
    body = {"workflow_id": stack.workflow(), "log_events_id": "room"}
    return stack, body


def fault(stack, kind, **more):
    return stack.post("/dev/faults", {"kind": kind, "method": "POST", "path": "execution/create/", **more})


def created(stack) -> int:
    return len(stack.effects("executions.create"))


@pytest.mark.parametrize(
    ("kind", "more", "status", "content_type"),
    [
        ("status", {"status": 429}, 429, "application/json"),
        ("status", {}, 503, "application/json"),
        ("html", {}, 200, "text/html; charset=utf-8"),
        ("html", {"status": 502}, 502, "text/html; charset=utf-8"),
        ("body", {"body": "NaN"}, 200, "application/json"),
        ("body", {"body": ""}, 200, "application/json"),
    ],
)
def test_answers_instead_of_the_view(ready, kind, more, status, content_type):
    stack, body = ready
    fault(stack, kind, count=1, **more)
    answer = stack.client.post(PATH, json=body)
    assert (answer.status_code, answer.headers["content-type"]) == (status, content_type)
    assert created(stack) == 0
    assert stack.client.post(PATH, json=body).status_code == 200


@pytest.mark.parametrize(("kind", "applied"), [("cut_before", 0), ("cut_after", 1), ("truncated", 1)])
def test_connection_is_cut(ready, kind, applied):
    stack, body = ready
    fault(stack, kind, count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        stack.client.post(PATH, json=body)
    assert created(stack) == applied
    assert stack.client.post(PATH, json=body).status_code == 200
    assert created(stack) == applied + 1


def test_hang_ends_in_a_cut(ready):
    stack, body = ready
    fault(stack, "hang", delay=0.05, count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        stack.client.post(PATH, json=body)
    assert created(stack) == 0


def test_wrong_answer_of_an_applied_request(ready):
    stack, body = ready
    fault(stack, "answer", status=504, body="[]", count=1)
    answer = stack.client.post(PATH, json=body)
    assert (answer.status_code, answer.text) == (504, "[]")
    assert created(stack) == 1


def test_slow_answer_is_whole(ready):
    stack, body = ready
    fault(stack, "slow", bytes_per_second=100_000, count=1)
    assert stack.client.post(PATH, json=body).json()["status"] == "PENDING"


def test_slow_answer_outlasts_a_caller(ready):
    stack, body = ready
    fault(stack, "slow", bytes_per_second=1, count=1)
    with stack.client.stream("POST", PATH, json=body) as answer:
        assert answer.status_code == 200
        assert next(answer.iter_raw(1)) == b"{"
    assert created(stack) == 1


def test_delay_goes_on_as_usual(ready):
    stack, body = ready
    fault(stack, "delay", delay=0.01, count=1)
    assert stack.client.post(PATH, json=body).status_code == 200


def test_only_what_matches(ready):
    stack, body = ready
    fault(stack, "status", count=1)
    assert stack.client.get("/internal/v1/health/").status_code == 200
    assert stack.client.post(PATH, json=body).status_code == 503


def test_skip_lets_the_first_ones_pass(ready):
    stack, body = ready
    fault(stack, "status", skip=1, count=1)
    assert [stack.client.post(PATH, json=body).status_code for _ in range(3)] == [200, 503, 200]


def test_fault_ends_with_its_time(ready, until):
    stack, body = ready
    fault(stack, "status", seconds=0.2)
    assert stack.client.post(PATH, json=body).status_code == 503
    until(lambda: stack.client.post(PATH, json=body).status_code == 200)
    [shown] = stack.get("/dev/faults")
    assert shown["spent"] is True


def test_clearing(ready):
    stack, body = ready
    fault(stack, "status")
    assert stack.client.post(PATH, json=body).status_code == 503
    stack.client.delete("/dev/faults")
    assert stack.client.post(PATH, json=body).status_code == 200
    assert stack.get("/dev/faults") == []


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({}, "'kind' and 'path'"),
        ({"kind": "x", "path": "y"}, "FaultKind"),
        ({"kind": "status", "path": "("}, "regular"),
    ],
)
def test_wrong_fault_is_refused(stack, body, text):
    answer = stack.client.post("/dev/faults", json=body)
    assert answer.status_code == 400
    assert text in answer.json()["error"]


def test_request_log_tells_the_fault(ready):
    stack, body = ready
    fault(stack, "cut_after", count=1)
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        stack.client.post(PATH, json=body, headers={"Idempotency-Key": "k"})
    [entry] = [entry for entry in stack.get("/dev/requests") if entry["path"] == PATH]
    shown = {name: entry[name] for name in ("method", "organization", "key", "status", "fault")}
    assert shown == {"method": "POST", "organization": "acme", "key": "k", "status": 0, "fault": "cut_after"}
