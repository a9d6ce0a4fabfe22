"""The lookup of many files' history: what a caller needs to leave out files that were tried too often or are at work."""

import pytest

LOOKUP = "/internal/v1/file-history/batch-lookup/"


def remember(stack, workflow_id, *, status, times=1, path="inbox/a.txt"):
    body = {"workflow_id": workflow_id, "file_hash": "h", "file_path": path, "status": status}
    for _ in range(times):
        stack.post("/internal/v1/file-history/create/", {**body, "provider_file_uuid": "etag"})


def looked_up(stack, workflow_id, path="inbox/a.txt"):
    file = {"provider_file_uuid": "etag", "file_path": path, "identifier": f"etag:{path}"}
    body = {"workflow_id": workflow_id, "files": [file], "organization_id": "acme"}
    return stack.post(LOOKUP, body)["file_histories"][f"etag:{path}"]


@pytest.mark.parametrize(("times", "exceeded"), [(1, False), (2, False), (3, True), (4, True)])
def test_file_that_fails_has_a_limit(stack, times, exceeded):
    workflow_id = stack.workflow("etl", source_folder=str(stack.data), destination_table="out")
    remember(stack, workflow_id, status="ERROR", times=times)
    history = looked_up(stack, workflow_id)["file_history"]
    assert (history["execution_count"], history["max_execution_count"]) == (times, 3)
    assert history["has_exceeded_limit"] is exceeded


def test_limit_is_the_backends_or_the_workflows(start):
    stack = start(history_limit=5)
    folder = {"source_folder": str(stack.data), "destination_table": "out"}
    by_default, by_itself = stack.workflow("etl", **folder), stack.workflow("etl", **folder, history_limit=1)
    for workflow_id, limit, exceeded in ((by_default, 5, False), (by_itself, 1, True)):
        remember(stack, workflow_id, status="ERROR")
        history = looked_up(stack, workflow_id)["file_history"]
        assert (history["max_execution_count"], history["has_exceeded_limit"]) == (limit, exceeded)


@pytest.mark.parametrize("status", ["PENDING", "EXECUTING", "COMPLETED"])
def test_status_is_that_of_the_same_path(stack, status):
    workflow_id = stack.workflow("etl", source_folder=str(stack.data), destination_table="out")
    remember(stack, workflow_id, status=status)
    found = looked_up(stack, workflow_id)
    assert (found["found"], found["is_completed"]) == (True, status == "COMPLETED")
    assert (found["file_history"]["status"], found["file_history"]["file_path"]) == (status, "inbox/a.txt")
    assert looked_up(stack, workflow_id, "inbox/other.txt") == {
        "found": False,
        "is_completed": False,
        "file_history": None,
    }
