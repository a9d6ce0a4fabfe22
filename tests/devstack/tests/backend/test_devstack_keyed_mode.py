"""Idempotency keys: applied once in keyed mode, ignored in the mode that does as the recorded platform."""

import threading

import httpx
import pytest

from unstract_devstack.backend import Mode

MANAGER = "/internal/v1/workflow-manager"


@pytest.fixture(params=list(Mode))
def moded(request, start):
    return request.param, start(mode=request.param)


def applied(mode: Mode, times: int) -> int:
    return 1 if mode is Mode.KEYED else times


def test_creation_of_executions(moded):
    mode, stack = moded
    workflow_id = stack.workflow()
    body = {"workflow_id": workflow_id, "log_events_id": "room"}
    ids = {stack.post(f"{MANAGER}/execution/create/", body, key="k1")["execution_id"] for _ in range(3)}
    assert len(ids) == applied(mode, 3)
    assert len(stack.effects("executions.create")) == applied(mode, 3)
    assert {effect["key"] for effect in stack.effects("executions.create")} == {"k1"}


def test_another_key_is_another_effect(moded):
    _, stack = moded
    body = {"workflow_id": stack.workflow(), "log_events_id": "room"}
    ids = {stack.post(f"{MANAGER}/execution/create/", body, key=key)["execution_id"] for key in ("a", "b")}
    assert len(ids) == 2


def test_file_history_counts(moded):
    mode, stack = moded
    workflow_id = stack.workflow()
    body = {"workflow_id": workflow_id, "file_hash": "h", "file_path": "/in/a", "result": "{}", "status": "COMPLETED"}
    for _ in range(3):
        stack.post("/internal/v1/file-history/create/", body, key="e:1:f:history")
    query = {"workflow_id": workflow_id, "cache_key": "h", "file_path": "/in/a"}
    row = stack.post("/internal/v1/file-history/lookup/", query)["file_history"]
    assert row["execution_count"] == applied(mode, 3)
    assert row["has_exceeded_limit"] is (mode is Mode.AS_REAL)


def test_execute_file_at_once(moded, tmp_path):
    mode, stack = moded
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.txt").write_text("Total: 7", encoding="utf-8")
    workflow_id = stack.workflow("etl", source_folder=str(source), destination_table="out")
    execution_id = stack.execution(workflow_id)
    body = {
        "workflow_id": workflow_id,
        "execution_id": execution_id,
        "organization_id": "acme",
        "file_data": {"name": "a.txt", "file_path": "in/a.txt"},
    }
    answers: list[bytes] = []

    def call() -> None:
        with httpx.Client(headers=stack.client.headers, trust_env=False) as client:
            headers = {"Idempotency-Key": "e:1:f:execute"}
            answers.append(client.post(f"{stack.url}{MANAGER}/execute-file/", json=body, headers=headers).content)

    threads = [threading.Thread(target=call) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(stack.effects("files.execute")) == applied(mode, 6)
    assert len(stack.get("/dev/destinations/out")) == applied(mode, 6)
    if mode is Mode.KEYED:
        assert len(set(answers)) == 1


def test_failures_are_not_kept(start):
    stack = start(mode=Mode.KEYED)
    path = f"{MANAGER}/execution/create/"
    stack.post("/dev/organizations", {"organization_id": "acme", "name": "Acme"})
    body = {"workflow_id": "00000000-0000-4000-8000-000000000001", "log_events_id": "room"}
    assert stack.client.post(path, json=body, headers={"Idempotency-Key": "k"}).status_code == 404
    body["workflow_id"] = stack.workflow()
    assert stack.client.post(path, json=body, headers={"Idempotency-Key": "k"}).status_code == 200


def test_keys_outlive_a_restart(start):
    first = start(mode=Mode.KEYED)
    body = {"workflow_id": first.workflow(), "log_events_id": "room"}
    made = first.post(f"{MANAGER}/execution/create/", body, key="k")
    second = start(mode=Mode.KEYED)
    assert second.post(f"{MANAGER}/execution/create/", body, key="k") == made


def test_failed_transaction_leaves_nothing_behind(start):
    stack = start(mode=Mode.KEYED)
    execution_id = stack.execution(stack.workflow())
    name = "n" * 300
    body = {"execution_id": execution_id, "file_hash": {"file_name": name, "file_path": "/in/x", "file_hash": "h"}}
    answer = stack.client.post("/internal/v1/file-execution/", json=body, headers={"Idempotency-Key": "k"})
    assert answer.status_code == 500
    assert stack.get("/internal/v1/file-execution/", execution_id=execution_id) == []
    assert stack.effects("files.create") == []
