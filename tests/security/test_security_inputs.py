"""M5, M6, M7: unknown tasks, hostile ids and paths, put to the running fleet and to the reference backend."""

import json
import os
import re
from pathlib import Path
from uuid import uuid4

import pytest

from unstract_devstack.producer import StartOptions
from unstract_worker_core.queues import WORKER_QUEUES

LEDGER = 2
KEY = re.compile(rb"uw:[A-Za-z0-9_.:|{}\-]{1,300}")
HOSTILE = ("../../etc", "a\r\nlevel=critical forged", "nul\x00", "*", "[a-z]*", "{x}", "a}:{b", "x" * 10_000, "\u2028", "%0d%0a")  # fmt: skip
PATHS = ("../secret.txt", "a/../../secret.txt", "..\\secret.txt", "\uff0e\uff0e/secret.txt", "nul\x00.txt", "a\nb.txt")
OUTSIDE = "canary-outside-the-root-4040"


def queues() -> list[str]:
    return [name for each in WORKER_QUEUES for name in (*each.platform, *each.doorbell_queues)]


def test_m5_an_unknown_task_is_put_aside_once_on_every_queue(ground, tenant, eventually):
    pids, before = ground.pids(), ground.letters()
    names = {f"no.such.task.{queue}": queue for queue in queues()}
    for name, queue in names.items():
        ground.producer.send(name, [1], {"a": 2}, queue)

    eventually(lambda: ground.letters() == before + len(names))
    letters = [json.loads(raw) for raw in ground.database(LEDGER).lrange("uw:dead_letters", 0, len(names) - 1)]
    assert {letter["task"]: letter["queue"] for letter in letters} == names
    assert all("has no such task" in letter["reason"] for letter in letters)
    tenant.works()
    assert (ground.pids(), ground.letters()) == (pids, before + len(names))


def test_m6_hostile_ids_become_no_key_no_path_and_no_line(ground, tenant, eventually):
    tenant.works()
    before, good = ground.letters(), str(uuid4())
    for bad in HOSTILE:
        for ids in ([bad, good, good], ["org_x", bad, good], ["org_x", good, bad]):
            ground.producer.send("async_execute_bin", [*ids, {}], {}, "celery")
        ground.producer.send("unstract_worker.process_batch", [], {"run_id": bad, "epoch": 1, "batch": 0, "schema": 1}, "uw_files")  # fmt: skip
        ground.producer.send("unstract_worker.finalise", [], {"run_id": bad, "schema": 1}, "uw_callback")

    eventually(lambda: ground.letters() == before + 5 * len(HOSTILE))
    keys = ground.database(LEDGER).keys("*")
    assert [key for key in keys if not KEY.fullmatch(key)] == []
    lines = [line for log in ground.logs().values() for line in log.splitlines()]
    assert all(isinstance(json.loads(line), dict) for line in lines)
    assert not any(line.startswith("level=critical") for line in lines)
    asked = [entry["path"] for entry in ground.requests()]
    assert not any("etc" in path or "forged" in path or "xxxxx" in path for path in asked)


@pytest.fixture
def started(ground, tenant):
    """Start an execution of the tenant's API with these files; its staging folder is there."""
    workflow = tenant.api()

    def start(make) -> str:
        execution = tenant.pending(workflow)
        staging = Path("unstract", "api", tenant.organization, workflow, execution)
        folder = ground.directory / "backend" / staging
        folder.mkdir(parents=True, exist_ok=True)
        paths = make(folder, staging)
        files = {
            str(number): {"file_name": f"{number}.txt", "file_path": path, "file_hash": f"{number:064x}", "mime_type": "text/plain"}
            for number, path in enumerate(paths)
        }  # fmt: skip
        options = StartOptions(pipeline_id=None, use_file_history=False)
        ground.producer.start_execution(
            tenant.organization, workflow, execution, files, options, "celery_api_deployments"
        )
        return execution

    return start


@pytest.mark.parametrize("path", PATHS, ids=ascii)
def test_m7_a_path_that_leaves_its_folder_ends_its_file_with_the_reason(tenant, started, path):
    row = tenant.ended(started(lambda folder, staging: [path]))
    assert (row.status, row.total, row.successful) == ("ERROR", 1, 0)
    (file,) = row.files
    assert (file.status, file.result) == ("ERROR", None)
    assert "file_path" in file.error


def test_m7_absolute_paths_links_and_devices_are_not_opened(ground, tenant, started):
    outside = tenant.folder / "outside.txt"
    outside.write_text(f"Total: 1 {OUTSIDE}")

    def make(folder: Path, staging: Path) -> list[str]:
        (folder / "link.txt").symlink_to(outside)
        (folder / "folder").symlink_to(tenant.folder)
        os.mkfifo(folder / "pipe.txt")
        inside = [str(staging / name) for name in ("link.txt", "folder/outside.txt", "pipe.txt")]
        return [str(outside), "/dev/zero", "/etc/hostname", *inside]

    row = tenant.ended(started(make))
    assert (row.status, row.total, row.successful) == ("ERROR", 6, 0)
    assert all(file.status == "ERROR" and file.result is None for file in row.files)
    assert OUTSIDE not in "".join(ground.logs().values())
    assert OUTSIDE not in repr(row)


def test_m7_links_in_a_source_folder_are_not_followed(tenant):
    outside = tenant.folder / "outside.txt"
    outside.write_text(OUTSIDE)
    pipeline = tenant.etl("links", {"a.txt": "Total: 1"})
    (tenant.folder / "links" / "link.txt").symlink_to(outside)
    (tenant.folder / "links" / "folder").symlink_to("/etc")

    row = tenant.ended(tenant.platform.trigger(pipeline))
    assert [file.name for file in row.files] == ["a.txt"]
