"""Callers of API deployments: what is staged, what is sent to the workers, and how results are read."""

import hashlib
import json
import threading

import pytest

from unstract_devstack.backend import UploadRules

ITEM = {
    "file": "a.txt",
    "file_execution_id": None,
    "status": "Success",
    "result": {"output": {"x": 1}, "metadata": {"m": 1}, "metrics": {}},
    "error": None,
    "metadata": {"source_name": "a.txt"},
}


def started(stack, files, **form):
    workflow_id, api_id, path = stack.api()
    answer = stack.upload(path, files, **form)
    assert answer.status_code == 200, answer.text
    return workflow_id, api_id, path, answer.json()["message"]["execution_id"]


def finish(stack, workflow_id, execution_id, status="COMPLETED"):
    """What the workers do at the end: results first, then the status."""
    stack.redis.rpush(f"api_results:{workflow_id}:{execution_id}", json.dumps(ITEM))
    body = {"status": status, "total_files": 1, "successful_files": 1, "failed_files": 0}
    stack.post(f"/internal/v1/workflow-execution/{execution_id}/update_status/", body)


def test_upload_is_staged_and_sent_as_the_platform_does(stack):
    workflow_id, api_id, _, execution_id = started(stack, {"a.txt": b"hello"}, use_file_history="true", tags="one")
    [(headers, (args, kwargs, _))] = stack.sent("celery_api_deployments")
    directory = f"unstract/api/acme/{workflow_id}/{execution_id}"
    assert headers["task"] == "async_execute_bin"
    assert args[0] == "acme"
    assert args[1] == {"__type__": "uuid", "__value__": {"hex": workflow_id.replace("-", "")}}
    assert args[2] == {"__type__": "uuid", "__value__": {"hex": execution_id.replace("-", "")}}
    assert args[3] == {
        "a.txt": {
            "file_path": f"{directory}/a.txt",
            "file_hash": hashlib.sha256(b"hello").hexdigest(),
            "file_name": "a.txt",
            "source_connection_type": "API",
            "file_destination": None,
            "is_executed": False,
            "file_size": 5,
            "mime_type": "text/plain",
            "provider_file_uuid": None,
            "fs_metadata": None,
            "file_number": None,
        }
    }
    assert kwargs == {
        "scheduled": False,
        "execution_mode": None,
        "pipeline_id": {"__type__": "uuid", "__value__": {"hex": api_id.replace("-", "")}},
        "log_events_id": None,
        "use_file_history": True,
        "llm_profile_id": None,
        "hitl_queue_name": None,
        "hitl_packet_id": None,
        "custom_data": None,
        "transport": "celery",
    }
    assert (stack.data / directory / "a.txt").read_bytes() == b"hello"
    assert stack.redis.hget(f"execution:{workflow_id}:{execution_id}", "status") == "PENDING"
    shown = stack.get(f"/internal/v1/workflow-execution/{execution_id}/")
    assert (shown["execution"]["total_files"], shown["source_config"]["is_api"]) == (1, True)
    assert [tag["name"] for tag in shown["execution"]["tags"]] == ["one"]


def test_equal_names_do_not_replace_each_other(stack):
    *_, execution_id = started(stack, [("a.txt", b"first"), ("A.txt", b"second"), ("a.txt", b"third")])
    [(_, (args, _, _))] = stack.sent("celery_api_deployments")
    contents = {name: (stack.data / file["file_path"]).read_bytes() for name, file in args[3].items()}
    assert contents == {"a.txt": b"first", "A-1.txt": b"second", "a-2.txt": b"third"}
    assert execution_id in args[3]["a.txt"]["file_path"]


@pytest.mark.parametrize(
    ("files", "form", "text"),
    [
        ([(f"{number}.txt", b"%d" % number) for number in range(33)], {}, "at most 32 files"),
        ([("a.txt", b"x")], {"tags": "one, two"}, "at most 1 tag"),
        ([("a.txt", b"x"), ("b.txt", b"")], {}, "empty: b.txt"),
    ],
)
def test_call_with_more_than_the_platform_takes_is_refused(stack, files, form, text):
    _, _, path = stack.api()
    answer = stack.upload(path, files, **form)
    assert answer.status_code == 400
    assert text in answer.json()["error"]
    assert stack.sent("celery_api_deployments") == []


def test_equal_content_is_sent_once(stack):
    started(stack, [("a.txt", b"same"), ("b.txt", b"other"), ("c.txt", b"same")])
    [(_, (args, _, _))] = stack.sent("celery_api_deployments")
    assert list(args[3]) == ["a.txt", "b.txt"]


def test_without_the_rules_all_is_sent(start):
    stack = start(upload_rules=UploadRules.NONE)
    _, _, path = stack.api()
    files = [(f"{number}.txt", b"%d" % (number // 2)) for number in range(34)]
    assert stack.upload(path, [*files, ("empty.txt", b"")], tags="one, two").status_code == 200
    [(_, (args, _, _))] = stack.sent("celery_api_deployments")
    assert len(args[3]) == 35


@pytest.mark.parametrize("name", ["../../../etc/passwd.txt", "..\\..\\x.txt", "/abs/x.txt", "...", "a\nb.txt"])
def test_names_stay_inside_the_staging_directory(stack, name):
    workflow_id, _, _, execution_id = started(stack, {name: b"hello"})
    directory = stack.data / "unstract" / "api" / "acme" / workflow_id / execution_id
    [staged] = [path for path in stack.data.rglob("*") if path.is_file() and path.read_bytes() == b"hello"]
    assert staged.parent == directory


def test_long_name_is_cut_and_keeps_its_suffix(stack):
    started(stack, {"ä" * 180 + ".txt": b"hello"})
    [(_, (args, _, _))] = stack.sent("celery_api_deployments")
    [name] = args[3]
    assert name.endswith(".txt")
    assert len(name.encode()) <= 200


def test_unsupported_type_is_marked_and_not_stored(stack):
    started(stack, {"picture.pdf": b"\x89PNG\r\n\x1a\nrest"})
    [(_, (args, _, _))] = stack.sent("celery_api_deployments")
    file = args[3]["picture.pdf"]
    assert file["is_executed"] is True
    assert file["file_hash"].startswith("temp-hash-")
    assert file["mime_type"] == "image/png"
    assert not (stack.data / file["file_path"]).exists()


def test_known_content_is_marked_where_history_is_wanted(stack):
    workflow_id, _, path = stack.api()
    digest = hashlib.sha256(b"hello").hexdigest()
    history = {"workflow_id": workflow_id, "file_hash": digest, "is_api": True, "status": "COMPLETED", "result": "{}"}
    stack.post("/internal/v1/file-history/create/", history)
    stack.upload(path, {"a.txt": b"hello", "b.txt": b"new"}, use_file_history="true")
    stack.upload(path, {"a.txt": b"hello"})
    [(_, (first, _, _)), (_, (second, _, _))] = stack.sent("celery_api_deployments")
    assert [file["is_executed"] for file in first[3].values()] == [True, False]
    assert first[3]["a.txt"]["file_hash"] == digest
    assert second[3]["a.txt"]["is_executed"] is False


def test_waiting_caller_gets_the_results(stack, until):
    workflow_id, _, path = stack.api()
    answers = []
    form = {"timeout": "20", "include_metadata": "true"}
    caller = threading.Thread(target=lambda: answers.append(stack.upload(path, {"a.txt": b"x"}, **form)))
    caller.start()
    [(_, (args, _, _))] = until(lambda: stack.sent("celery_api_deployments"))
    execution_id = stack.get("/dev/executions", organization_id="acme")[0]["id"]
    assert args[2]["__value__"]["hex"] == execution_id.replace("-", "")
    finish(stack, workflow_id, execution_id)
    caller.join(20)
    message = answers[0].json()["message"]
    assert (answers[0].status_code, message["execution_status"], message["result"]) == (200, "COMPLETED", [ITEM])
    assert stack.redis.keys("api_results:*") == []
    assert stack.redis.keys("execution:*") == []
    assert stack.client.get(path, params={"execution_id": execution_id}).status_code == 406


def test_waiting_is_over_at_the_timeout(stack):
    _, _, path = stack.api()
    answer = stack.upload(path, {"a.txt": b"x"}, timeout="0")
    assert (answer.status_code, answer.json()["message"]["execution_status"]) == (200, "PENDING")
    assert answer.json()["message"]["result"] is None


def test_missing_hash_is_told_as_executing(stack, until):
    workflow_id, _, path = stack.api()
    answers = []
    caller = threading.Thread(target=lambda: answers.append(stack.upload(path, {"a.txt": b"x"}, timeout="20")))
    caller.start()
    [key] = until(lambda: stack.redis.keys(f"execution:{workflow_id}:*"))
    stack.redis.delete(key)
    caller.join(20)
    message = answers[0].json()["message"]
    assert (message["execution_status"], message["result"]) == ("EXECUTING", None)


@pytest.mark.parametrize(("status", "code"), [("COMPLETED", 200), ("ERROR", 422), ("STOPPED", 422)])
def test_result_is_read_once(stack, status, code):
    workflow_id, _, path, execution_id = started(stack, {"a.txt": b"x"})
    pending = stack.client.get(path, params={"execution_id": execution_id})
    assert (pending.status_code, pending.json()) == (422, {"status": "PENDING", "message": None})
    finish(stack, workflow_id, execution_id, status)
    first = stack.client.get(path, params={"execution_id": execution_id})
    plain = {**ITEM, "result": {"output": {"x": 1}}, "metadata": {}}
    assert (first.status_code, first.json()) == (code, {"status": status, "message": [plain]})
    assert stack.client.get(path, params={"execution_id": execution_id}).status_code == 406


def test_what_is_not_there_is_404(stack):
    _, _, path = stack.api()
    assert stack.upload("/deployment/api/acme/other/", {"a.txt": b"x"}).status_code == 404
    assert stack.upload("/deployment/api/nobody/invoices/", {"a.txt": b"x"}).status_code == 404
    assert stack.client.get(path, params={"execution_id": "x"}).status_code == 404
    assert stack.client.post(path, data={"timeout": "1"}).status_code == 400
    assert stack.client.get(path).status_code == 400


def test_broker_that_is_gone_ends_the_execution(start):
    stack = start(broker_url="redis://127.0.0.1:1/0")
    _, _, path = stack.api()
    answer = stack.upload(path, {"a.txt": b"x"})
    assert answer.status_code == 503
    [execution] = stack.get("/dev/executions", organization_id="acme")
    assert execution["status"] == "ERROR"
    assert "async_execute_bin" in execution["error_message"]
