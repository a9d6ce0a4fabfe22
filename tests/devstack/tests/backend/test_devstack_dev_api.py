"""The dev API: triggers, stops, logs, and the command line."""

import json
import os
import signal
import subprocess
import sys
import threading

import httpx
import pytest

STATUS = "/internal/v1/workflow-execution/{}/update_status/"


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    return source


def etl(stack, folder):
    workflow_id = stack.workflow("etl", source_folder=str(folder), destination_table="out")
    return workflow_id, stack.pipeline(workflow_id)


def test_run_starts_as_the_platform_does(stack, folder):
    workflow_id, pipeline_id = etl(stack, folder)
    execution_id = stack.post(f"/dev/pipelines/{pipeline_id}/trigger", {"how": "run"})["execution_id"]
    [(headers, (args, kwargs, _))] = stack.sent("celery")
    assert headers["task"] == "async_execute_bin"
    assert (args[0], args[2]["__value__"]["hex"], args[3]) == ("acme", execution_id.replace("-", ""), {})
    assert (kwargs["use_file_history"], len(kwargs)) == (True, 10)
    shown = stack.get(f"/internal/v1/workflow-execution/{execution_id}/")
    assert (shown["execution"]["status"], shown["execution"]["pipeline_id"]) == ("PENDING", pipeline_id)
    assert (shown["source_config"]["type"], shown["execution"]["task_id"]) == ("pipeline", headers["id"])
    assert shown["workflow_definition"]["workflow_id"] == workflow_id


def test_schedule_sends_what_beat_sends(stack, folder):
    workflow_id, pipeline_id = etl(stack, folder)
    assert stack.post(f"/dev/pipelines/{pipeline_id}/trigger", {"how": "schedule"}) == {"execution_id": None}
    [(headers, (args, kwargs, _))] = stack.sent("celery")
    assert headers["task"] == "scheduler.tasks.execute_pipeline_task"
    assert args == [workflow_id, "acme", "", "", pipeline_id, False, f"Pipeline job-{pipeline_id[:8]}"]
    assert kwargs == {}
    assert stack.get("/dev/executions") == []


def test_stop_is_written_and_mirrored(stack, folder):
    workflow_id, pipeline_id = etl(stack, folder)
    execution_id = stack.execution(workflow_id, pipeline_id)
    stack.post(f"/dev/executions/{execution_id}/stop", {})
    assert stack.redis.hget(f"execution:{workflow_id}:{execution_id}", "status") == "STOPPED"
    stack.post(STATUS.format(execution_id), {"status": "EXECUTING"})
    assert [effect["operation"] for effect in stack.get("/dev/history", execution_id=execution_id)] == [
        "executions.create",
        "user.stop",
        "executions.update_status",
    ]


def test_status_is_mirrored_into_redis(stack):
    workflow_id = stack.workflow()
    execution_id = stack.execution(workflow_id)
    body = {"status": "COMPLETED", "total_files": 3, "successful_files": 2, "failed_files": 1}
    stack.post(STATUS.format(execution_id), body)
    key = f"execution:{workflow_id}:{execution_id}"
    assert stack.redis.hgetall(key) == {
        "workflow_id": workflow_id,
        "execution_id": execution_id,
        "status": "COMPLETED",
        "total_files": "3",
        "completed_files": "2",
        "failed_files": "1",
    }
    assert 10_700 < stack.redis.ttl(key) <= 10_800


def test_redis_that_is_gone_does_not_fail_a_status(start):
    stack = start(redis_url="redis://127.0.0.1:1/0")
    execution_id = stack.execution(stack.workflow())
    assert stack.post(STATUS.format(execution_id), {"status": "EXECUTING"})["status"] == "updated"


def test_executions_are_listed_with_their_files(stack, folder):
    workflow_id, pipeline_id = etl(stack, folder)
    execution_id = stack.execution(workflow_id, pipeline_id)
    file = {"file_name": "a.txt", "file_path": "in/a.txt", "provider_file_uuid": "u"}
    made = stack.post("/internal/v1/file-execution/", {"execution_id": execution_id, "file_hash": file})
    body = {"status": "ERROR", "error_message": "bad"}
    stack.post(f"/internal/v1/file-execution/{made['id']}/status/", body)
    [shown] = stack.get("/dev/executions", organization_id="acme")
    assert (shown["id"], shown["kind"], shown["pipeline_id"]) == (execution_id, "etl", pipeline_id)
    [row] = shown["files"]
    assert (row["name"], row["path"], row["status"], row["error"]) == ("a.txt", "in/a.txt", "ERROR", "bad")
    assert stack.get("/dev/executions", organization_id="other") == []
    assert "files" not in stack.get("/dev/executions", files="false")[0]


def test_requests_since(stack):
    stack.client.get("/internal/v1/health/")
    [entry] = stack.get("/dev/requests")
    assert (entry["path"], entry["status"], entry["organization"]) == ("/internal/v1/health/", 200, "acme")
    assert stack.get("/dev/requests", since=str(entry["at"])) == []
    assert stack.get("/dev/requests", after=str(entry["id"])) == []


@pytest.mark.parametrize(
    ("path", "body", "status", "text"),
    [
        ("/dev/workflows", {"organization_id": "nobody", "kind": "api"}, 404, "POST /dev/organizations"),
        ("/dev/workflows", {"organization_id": "acme", "kind": "x"}, 400, "kind must be"),
        ("/dev/workflows", {"organization_id": "acme", "kind": "etl"}, 400, "source_folder"),
        (
            "/dev/workflows",
            {"organization_id": "acme", "kind": "api", "fields": [{"name": "x"}]},
            400,
            "pattern or a key",
        ),
        ("/dev/workflows", {}, 400, "missing: 'organization_id'"),
        ("/dev/pipelines/x/trigger", {}, 404, "POST /dev/pipelines"),
        ("/dev/executions/x/stop", {}, 404, "is not there"),
    ],
)
def test_wrong_requests_say_what_to_do(stack, path, body, status, text):
    stack.post("/dev/organizations", {"organization_id": "acme", "name": "Acme"})
    answer = stack.client.post(path, json=body)
    assert answer.status_code == status
    assert text in answer.json()["error"]


def test_dev_api_wants_the_key(stack):
    assert httpx.get(f"{stack.url}/dev/history").status_code == 401


def test_tool_with_a_fault_fails_its_validation(stack):
    workflow_id = stack.workflow()
    for fault in (None, "adapter is gone"):
        body = {"organization_id": "acme", "workflow_id": workflow_id, "fault": fault}
        stack.post("/dev/tool-instances", body)
    path = f"/internal/v1/workflow-manager/workflow/{workflow_id}/tool-instances/"
    ids = [tool["id"] for tool in stack.get(path)["tool_instances"]]
    validate = "/internal/v1/tool-execution/validate/"
    answers = [stack.client.post(validate, json={"workflow_id": workflow_id, "tool_instances": [i]}) for i in ids]
    assert [answer.status_code for answer in answers] == [200, 422]
    assert answers[1].json()["errors"][0]["error"] == "adapter is gone"


def test_api_files_of_equal_content_share_a_row_and_can_be_doubled(start):
    stack = start(shared_threads=8)
    execution_id = stack.execution(stack.workflow())
    ready = threading.Barrier(8)
    seen: list[tuple[str, int]] = []

    def create(name: str) -> None:
        with httpx.Client(headers=stack.client.headers, trust_env=False) as client:
            ready.wait(10)
            for number in range(20):
                file = {
                    "file_name": name,
                    "file_path": name,
                    "file_hash": f"h{number}",
                    "source_connection_type": "API",
                }
                body = {"execution_id": execution_id, "file_hash": file}
                answer = client.post(f"{stack.url}/internal/v1/file-execution/", json=body)
                seen.append((answer.json().get("id", "more than one"), answer.status_code))

    threads = [threading.Thread(target=create, args=(f"f{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    rows = stack.get("/internal/v1/file-execution/", execution_id=execution_id)
    by_hash = {row["file_hash"]: [r for r in rows if r["file_hash"] == row["file_hash"]] for row in rows}
    assert len(by_hash) == 20
    assert {row["file_path"] for row in rows} == {None}
    # Where two callers were equally early the row is there twice, and every later create of it fails for ever.
    doubled = [hash_ for hash_, same in by_hash.items() if len(same) > 1]
    for hash_ in doubled:
        file = {"file_name": "x", "file_path": "x", "file_hash": hash_, "source_connection_type": "API"}
        body = {"execution_id": execution_id, "file_hash": file}
        assert stack.client.post("/internal/v1/file-execution/", json=body).status_code == 500
    assert {status for _, status in seen} <= {201, 500}


def test_command_line(tmp_path, broker):
    key = tmp_path / "key"
    key.write_text("from-a-file\n", encoding="utf-8")
    command = [
        sys.executable,
        "-m",
        "unstract_devstack.backend",
        "--data",
        str(tmp_path / "d"),
        "--api-key-file",
        str(key),
    ]
    command += ["--broker-url", broker, "--redis-url", broker, "--mode", "keyed", "--file-delay", "0.01-0.02"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = json.loads(process.stdout.readline())["port"]
            url = f"http://127.0.0.1:{port}/internal/v1/health/"
            assert httpx.get(url, headers={"Authorization": "Bearer from-a-file"}).status_code == 200
            os.kill(process.pid, signal.SIGTERM)
            assert process.wait(15) == 0
        finally:
            process.kill()
