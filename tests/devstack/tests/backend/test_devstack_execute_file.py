"""execute-file as real work: results, destinations, usage, and what stays outside its reach."""

import json

import httpx
import pytest

PATH = "/internal/v1/workflow-manager/execute-file/"
FIELDS = [{"name": "total", "pattern": r"Total: (\d+)"}, {"name": "missing", "key": "Nothing"}]


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.txt").write_text("Total: 7\nthree more words", encoding="utf-8")
    (source / "empty.txt").write_bytes(b"")
    (source / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    (tmp_path / "secret.txt").write_text("outside", encoding="utf-8")
    (source / "link.txt").symlink_to(tmp_path / "secret.txt")
    return source


def etl(stack, folder, **destination):
    workflow_id = stack.workflow("etl", source_folder=str(folder), fields=FIELDS, **destination)
    return workflow_id, stack.execution(workflow_id)


def row_of(stack, execution_id, name="a.txt", path="in/a.txt"):
    file = {"file_name": name, "file_path": path, "provider_file_uuid": f"u-{path}"}
    return stack.post("/internal/v1/file-execution/", {"execution_id": execution_id, "file_hash": file})["id"]


def execute(stack, workflow_id, execution_id, path="in/a.txt", file_id=None):
    data = {"name": path.rsplit("/", 1)[-1], "file_path": path, "file_execution_id": file_id}
    body = {"workflow_id": workflow_id, "execution_id": execution_id, "organization_id": "acme", "file_data": data}
    answer = stack.client.post(PATH, json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_result_goes_to_the_folder(stack, folder, tmp_path):
    workflow_id, execution_id = etl(stack, folder, destination_folder=str(tmp_path / "out"))
    file_id = row_of(stack, execution_id)
    answer = execute(stack, workflow_id, execution_id, file_id=file_id)
    assert (answer["status"], answer["execution_id"], answer["file_name"]) == ("success", execution_id, "a.txt")
    assert answer["result"]["output"] == {"fields": {"total": "7"}, "text": "Total: 7\nthree more words"}
    assert answer["result"]["metadata"]["source_name"] == "a.txt"
    [written] = (tmp_path / "out").iterdir()
    assert written.name == f"{file_id}.json"
    assert json.loads(written.read_text(encoding="utf-8"))["output"] == answer["result"]["output"]


def test_each_call_adds_a_row_to_the_table(stack, folder):
    workflow_id, execution_id = etl(stack, folder, destination_table="results")
    file_id = row_of(stack, execution_id)
    for _ in range(2):
        execute(stack, workflow_id, execution_id, file_id=file_id)
    rows = stack.get("/dev/destinations/results")
    assert [(row["file_execution_id"], row["file_path"]) for row in rows] == [(file_id, "in/a.txt")] * 2
    assert [effect["file"] for effect in stack.effects("files.execute")] == ["in/a.txt"] * 2


def test_usage_is_recorded(stack, folder):
    workflow_id, execution_id = etl(stack, folder, destination_table="results")
    file_id = row_of(stack, execution_id)
    before = stack.get(f"/internal/v1/usage/aggregated-pages-processed/{file_id}/")["data"]
    execute(stack, workflow_id, execution_id, file_id=file_id)
    usage = stack.get(f"/internal/v1/usage/aggregated-token-count/{file_id}/")["data"]["usage"]
    pages = stack.get(f"/internal/v1/usage/aggregated-pages-processed/{file_id}/")["data"]
    assert before["total_pages_processed"] is None
    assert pages["total_pages_processed"] == 1
    assert usage["prompt_tokens"] == 5
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert (
        stack.get(f"/internal/v1/workflow-execution/{execution_id}/", include_cost="true")["aggregated_usage_cost"]
        == 0.0
    )


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("in/empty.txt", "empty"),
        ("in/picture.png", "unsupported"),
        ("in/gone.txt", "is not there"),
        ("secret.txt", "is not inside"),
        ("in/../secret.txt", "is not inside"),
        ("/etc/hostname", "is not inside"),
        ("in/link.txt", "is not inside"),
        ("in", "is not there"),
        ("in/a\x00.txt", "no file path"),
    ],
)
def test_file_that_can_not_be_read_is_an_error_with_its_reason(stack, folder, path, reason):
    workflow_id, execution_id = etl(stack, folder, destination_table="results")
    answer = execute(stack, workflow_id, execution_id, path)
    assert (answer["status"], "result" in answer) == ("error", False)
    assert reason in answer["error"]
    assert stack.get("/dev/destinations/results") == []
    [effect] = stack.effects("files.execute")
    assert effect["detail"]["status"] == "error"


def test_destination_that_can_not_be_written_is_an_error(stack, folder, tmp_path):
    (tmp_path / "out").write_text("a file, not a folder", encoding="utf-8")
    workflow_id, execution_id = etl(stack, folder, destination_folder=str(tmp_path / "out"))
    answer = execute(stack, workflow_id, execution_id)
    assert answer["status"] == "error"
    assert answer["error"].startswith("Destination error: ")


def test_upload_of_another_execution_is_out_of_reach(stack):
    workflow_id, _, path = stack.api()
    first, second = (stack.upload(path, {"a.txt": b"Total: 1"}).json()["message"]["execution_id"] for _ in range(2))
    staged = f"unstract/api/acme/{workflow_id}/{first}/a.txt"
    assert execute(stack, workflow_id, first, staged)["status"] == "success"
    assert "is not inside" in execute(stack, workflow_id, second, staged)["error"]


def test_rows_of_a_table(stack):
    workflow_id, _, path = stack.api()
    execution_id = stack.upload(path, {"a.csv": b"name,age\nann,3\n"}).json()["message"]["execution_id"]
    answer = execute(stack, workflow_id, execution_id, f"unstract/api/acme/{workflow_id}/{execution_id}/a.csv")
    assert answer["result"]["output"]["rows"] == [{"name": "ann", "age": "3"}]


def test_another_organization_is_refused(stack, folder):
    workflow_id, execution_id = etl(stack, folder, destination_table="results")
    stack.post("/dev/organizations", {"organization_id": "other", "name": "Other"})
    data = {"name": "a.txt", "file_path": "in/a.txt"}
    body = {"workflow_id": workflow_id, "execution_id": execution_id, "organization_id": "acme", "file_data": data}
    assert stack.client.post(PATH, json=body, headers={"X-Organization-ID": "other"}).status_code == 404
    assert stack.client.post(PATH, json={**body, "organization_id": "other"}).status_code == 404
    assert stack.effects("files.execute") == []


def test_configured_delay_comes_before_the_effect(start, folder):
    stack = start(file_delay=(0.3, 0.3))
    workflow_id, execution_id = etl(stack, folder, destination_table="results")
    data = {"name": "a.txt", "file_path": "in/a.txt"}
    body = {"workflow_id": workflow_id, "execution_id": execution_id, "organization_id": "acme", "file_data": data}
    with pytest.raises(httpx.ReadTimeout):
        stack.client.post(PATH, json=body, timeout=0.1)
    assert stack.effects("files.execute") == []
