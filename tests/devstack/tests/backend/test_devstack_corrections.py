"""What a run against the live platform corrected (contract: corrections), where no other file of tests is about it."""

import json

CLEANUP = "/internal/v1/workflow-manager/execution/cleanup/"


def executed_without_key(stack):
    body = {"organization_id": "keyless", "name": "Keyless", "platform_key": None}
    stack.post("/dev/organizations", body)
    stack.client.headers["X-Organization-ID"] = "keyless"
    workflow = {"organization_id": "keyless", "name": "api", "kind": "api"}
    workflow_id = stack.post("/dev/workflows", workflow)["workflow_id"]
    file = {"file_name": "a.txt", "name": "a.txt", "file_path": "a.txt"}
    ids = {"workflow_id": workflow_id, "execution_id": stack.execution(workflow_id), "organization_id": "keyless"}
    return stack.client.post("/internal/v1/workflow-manager/execute-file/", json={**ids, "file_data": file})


def test_clean_up_is_not_allowed_and_each_try_is_in_the_request_log(stack):
    for _ in range(2):
        assert stack.client.post(CLEANUP, json={"execution_ids": ["x"]}).status_code == 405
    logged = [entry["status"] for entry in stack.get("/dev/requests") if entry["path"] == CLEANUP]
    assert logged == [405, 405]


def test_execution_of_a_file_needs_a_platform_key(stack):
    answer = executed_without_key(stack)
    assert answer.status_code == 200
    assert answer.json()["status"] == "error"
    assert answer.json()["error"].startswith("An active platform key is required")
    assert stack.effects("files.execute") == []
    assert stack.client.get("/internal/v1/platform-settings/platform-key/").status_code == 500


def test_terminal_status_is_written_again_with_counts(stack):
    execution_id = stack.execution(stack.workflow())
    stack.post(f"/dev/executions/{execution_id}/stop", {})
    [row] = stack.get("/dev/executions", execution_id=execution_id)
    assert (row["status"], row["successful_files"], row["failed_files"]) == ("STOPPED", None, None)
    counts = {"total_files": 3, "successful_files": 2, "failed_files": 0}
    path = f"/internal/v1/workflow-execution/{execution_id}/update_status/"
    assert stack.post(path, {"status": "STOPPED", **counts})["status"] == "updated"
    [row] = stack.get("/dev/executions", execution_id=execution_id)
    assert {name: row[name] for name in ("status", *counts)} == {"status": "STOPPED", **counts}


def test_only_api_runs_have_a_total_in_redis(stack):
    for kind, total in (("api", "3"), ("etl", "0")):
        folder = {} if kind == "api" else {"source_folder": str(stack.data), "destination_table": "out"}
        workflow_id = stack.workflow(kind, **folder)
        execution_id = stack.execution(workflow_id)
        path = f"/internal/v1/workflow-execution/{execution_id}/update_status/"
        stack.post(path, {"status": "EXECUTING", "total_files": 3})
        assert stack.redis.hget(f"execution:{workflow_id}:{execution_id}", "total_files") == total


def test_beat_sends_the_clean_up_of_results_to_the_default_queue(stack):
    task_id = stack.post("/dev/beat/backend-cleanup", {})["task_id"]
    [(headers, (args, kwargs, _))] = stack.sent("celery")
    assert (headers["task"], headers["id"], args, kwargs) == ("celery.backend_cleanup", task_id, [], {})
    assert headers["expires"] is not None
    assert json.loads(stack.redis.lindex("celery", 0))["properties"]["delivery_info"]["routing_key"] == "celery"
