"""The listing of a source folder: what is in it, in which order, and what history takes out."""

import hashlib

import pytest

from unstract_devstack.backend.dev.objects import CANARY


@pytest.fixture
def folder(tmp_path):
    source = tmp_path / "inbox"
    (source / "sub").mkdir(parents=True)
    for name in ("b.txt", "a.txt", "sub/c.txt"):
        (source / name).write_text(name, encoding="utf-8")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "d.txt").write_text("outside", encoding="utf-8")
    (source / "link.txt").symlink_to(outside / "d.txt")
    (source / "linked").symlink_to(outside, target_is_directory=True)
    return source


def listing(stack, workflow_id, **more):
    body = {"execution_id": stack.execution(workflow_id), **more}
    return stack.post(f"/internal/v1/workflow-manager/source-files/{workflow_id}/", body)


def etag(name: str) -> str:
    return hashlib.md5(name.encode(), usedforsecurity=False).hexdigest()


def remember(stack, workflow_id, name, times=1, status="COMPLETED"):
    body = {"workflow_id": workflow_id, "file_hash": f"h-{name}", "file_path": f"inbox/{name}", "status": status}
    for _ in range(times):
        stack.post("/internal/v1/file-history/create/", {**body, "provider_file_uuid": etag(name)})


def test_files_are_sorted_and_links_are_not_followed(stack, folder):
    workflow_id = stack.workflow("etl", source_folder=str(folder), destination_table="out")
    answer = listing(stack, workflow_id, pipeline_id="p")
    assert list(answer["files"]) == ["inbox/a.txt", "inbox/b.txt", "inbox/sub/c.txt"]
    assert (answer["total_files"], answer["pipeline_id"]) == (3, "p")
    entry = answer["files"]["inbox/a.txt"]
    assert (entry["file_hash"], entry["mime_type"], entry["file_number"]) == (None, None, 1)
    assert entry["provider_file_uuid"] == etag("a.txt")
    assert entry["connector_metadata"]["secret"] == CANARY


def test_a_changed_file_has_another_id(stack, folder):
    workflow_id = stack.workflow("etl", source_folder=str(folder), destination_table="out")
    before = listing(stack, workflow_id)["files"]["inbox/a.txt"]["provider_file_uuid"]
    (folder / "a.txt").write_text("changed", encoding="utf-8")
    assert listing(stack, workflow_id)["files"]["inbox/a.txt"]["provider_file_uuid"] != before


def test_no_more_than_the_workflow_takes(stack, folder):
    workflow_id = stack.workflow("etl", source_folder=str(folder), destination_table="out", max_files=2)
    assert list(listing(stack, workflow_id)["files"]) == ["inbox/a.txt", "inbox/b.txt"]


@pytest.mark.parametrize(
    ("status", "times", "listed"),
    [("COMPLETED", 1, False), ("ERROR", 3, True), ("ERROR", 9, True), ("PENDING", 1, True), ("EXECUTING", 1, True)],
)
def test_history_takes_out_what_is_completed_and_nothing_else(stack, folder, status, times, listed):
    workflow_id = stack.workflow("etl", source_folder=str(folder), destination_table="out")
    remember(stack, workflow_id, "a.txt", times, status)
    assert ("inbox/a.txt" in listing(stack, workflow_id)["files"]) is listed
    assert "inbox/a.txt" in listing(stack, workflow_id, use_file_history=False)["files"]


def test_folder_that_is_gone_is_an_error_and_two_lines_for_the_user_each_time(stack, tmp_path):
    workflow_id = stack.workflow("etl", source_folder=str(tmp_path / "gone"), destination_table="out")
    body = {"execution_id": stack.execution(workflow_id)}
    for tries in (1, 2):
        answer = stack.client.post(f"/internal/v1/workflow-manager/source-files/{workflow_id}/", json=body)
        assert answer.status_code == 500
        assert answer.json()["error"] == "Failed to get source files"
        assert answer.json()["detail"].endswith("'gone' is not a valid directory")
        lines = stack.get("/dev/logs", channel="room")
        assert len(lines) == 2 * tries
        assert all("is not a valid directory" in line["log"] for line in lines)


def test_api_workflow_lists_nothing(stack):
    workflow_id = stack.workflow()
    assert listing(stack, workflow_id)["files"] == {}
