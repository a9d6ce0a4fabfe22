"""`conformance` against the reference backend as it should be, as it was recorded, and broken route by route."""

import json

import pytest

from unstract_devstack.fleet import WORKERS
from unstract_devstack.http_calls import call_json
from unstract_devstack.platform_client import Platform
from unstract_devstack.stack import running_stack

from .operator_shell import Ground

# Each command is a process of its own, and a machine may be busy.
pytestmark = pytest.mark.timeout(400)

NAMES = tuple(kind.package.removeprefix("unstract_worker_") for kind in WORKERS)


@pytest.fixture(scope="module")
def backends(tmp_path_factory):
    """A backend whose execute-file works, and one that answers as today's was recorded to; no workers."""
    folder = tmp_path_factory.mktemp("conformance")
    with (
        running_stack(folder / "real", workers=()) as real,
        running_stack(folder / "recorded", workers=(), backend_options=("--execute-file", "recorded")) as recorded,
    ):
        yield {"real": real, "recorded": recorded}


@pytest.fixture
def at(backends, tmp_path):
    def make(which: str) -> Ground:
        stack = backends[which]
        platform = Platform(stack.backend.public_url, stack.backend.api_key, f"org_{tmp_path.name.replace('_', '')}")
        platform.set_up_organization()
        return Ground(stack, platform, tmp_path)

    return make


def scratch(ground: Ground) -> str:
    source = ground.folder / "source"
    source.mkdir()
    (source / "a.txt").write_text("Total: 1")
    platform = ground.platform
    return platform.create_workflow("scratch", "etl", (), source_folder=str(source), destination_table="scratch")


def found(done) -> dict[str, dict]:
    return {line["operation"]: line for line in done.json["operations"]}


@pytest.mark.parametrize("worker", NAMES)
def test_a_backend_as_the_contract_says_lacks_nothing_that_is_read(at, worker):
    ground = at("real")
    done = ground.run("conformance", "--organization", ground.platform.organization, "--json", worker=worker)
    assert (done.code, done.json["ok"]) == (0, True), done.out + done.err
    assert {line["verdict"] for line in found(done).values()} == {"ok", "not tried"}
    assert ground.platform.executions() == ()


@pytest.mark.parametrize("worker", NAMES)
def test_with_write_everything_is_tried_and_nothing_stays_open(at, worker):
    ground = at("real")
    arguments = ("--organization", ground.platform.organization, "--workflow", scratch(ground), "--write")
    assert ground.run("conformance", *arguments, worker=worker).code == 1  # not confirmed
    assert ground.platform.executions() == ()
    done = ground.run("conformance", *arguments, "--yes", "--json", worker=worker)
    assert done.code == 0, done.out + done.err
    assert {line["verdict"] for line in found(done).values()} == {"ok"}
    (execution,) = ground.platform.executions()
    assert execution.status == "STOPPED"
    assert {file.status for file in execution.files} <= {"COMPLETED", "ERROR"}
    assert found(done)["workflow-execution.update_status"]["got"] == "written and read back; no row is left open"
    if "usage.tokens" in found(done):
        assert found(done)["usage.tokens"]["got"] in ("counts", "nothing counted: all null")


def test_rows_that_cannot_be_ended_are_counted(at):
    ground = at("real")
    dev, key = f"{ground.stack.backend.public_url}/dev/faults", ground.stack.backend.api_key
    call_json("POST", dev, payload={"path": "/batch-status-update/", "kind": "status", "status": 405}, key=key)
    arguments = ("--organization", ground.platform.organization, "--workflow", scratch(ground), "--write", "--yes")
    try:
        done = ground.run("conformance", *arguments, "--json", worker="general")
    finally:
        call_json("DELETE", dev, key=key)
    (execution,) = ground.platform.executions()
    line = found(done)["workflow-execution.update_status"]
    assert line["verdict"] == "lacks"
    assert f"rows of execution {execution.id} are left open" in line["got"]


def test_a_missing_platform_key_is_a_setting_and_no_lack_of_the_backend(at):
    ground = at("real")
    key, name = ground.stack.backend.api_key, f"{ground.platform.organization}_keyless"
    made = {"organization_id": name, "name": "k", "platform_key": None}
    call_json("POST", f"{ground.stack.backend.public_url}/dev/organizations", payload=made, key=key)
    keyless = Ground(ground.stack, Platform(ground.stack.backend.public_url, key, name), ground.folder)
    arguments = ("--organization", name, "--workflow", scratch(keyless), "--write", "--yes", "--json")
    done = keyless.run("conformance", *arguments, worker="file_processing")
    line = found(done)["execute-file"]
    assert line["verdict"] == "unclear"
    assert line["got"].startswith("a setting of the organization is missing, not the operation: An active platform key")


def test_todays_backend_lacks_execute_file(at):
    ground = at("recorded")
    arguments = ("--organization", ground.platform.organization, "--workflow", scratch(ground), "--write", "--yes")
    done = ground.run("conformance", *arguments, "--json", worker="file_processing")
    assert (done.code, done.json["ok"]) == (1, False)
    lacking = {name: line for name, line in found(done).items() if line["verdict"] != "ok"}
    assert set(lacking) == {"execute-file"}
    assert "has no attribute 'execute_single_file'" in lacking["execute-file"]["got"]
    assert lacking["execute-file"]["got"].endswith("(HTTP 200)")
    text = ground.run("conformance", *arguments, worker="file_processing").out
    assert "1 lacks" in text.splitlines()[-1]


FAULTS = (
    {"kind": "html", "status": 404},
    {"kind": "html"},
    {"kind": "status", "status": 404, "body": "{}"},
    {"kind": "status", "status": 500},
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['kind']}-{fault.get('status', 200)}")
def test_a_route_that_is_broken_is_named_and_no_other(at, fault):
    ground = at("real")
    dev, key = f"{ground.stack.backend.public_url}/dev/faults", ground.stack.backend.api_key
    call_json("POST", dev, payload={"path": "/tool-execution/validate/", **fault}, key=key)
    try:
        done = ground.run("conformance", "--organization", ground.platform.organization, "--json", worker="general")
    finally:
        call_json("DELETE", dev, key=key)
    assert done.code == 1
    bad = {name for name, line in found(done).items() if line["verdict"] in ("lacks", "unclear")}
    assert bad == {"tool-execution.validate"}


def test_a_wrong_key_fails_everything_and_is_not_shown(at):
    ground = at("real")
    done = ground.run(
        "conformance", "--organization", ground.platform.organization, INTERNAL_SERVICE_API_KEY="a-key-of-another"
    )
    assert done.code == 1
    assert "INTERNAL_SERVICE_API_KEY" in done.out
    assert "a-key-of-another" not in done.out + done.err


def named_things(ground: Ground) -> tuple[str, str, str]:
    """A scratch workflow, a pipeline of it and an API deployment, each with a subscriber that may be notified."""
    platform, sink = ground.platform, ground.stack.sink.url
    workflow = scratch(ground)
    pipeline = platform.create_pipeline(workflow, "scratch")
    api = platform.create_api_deployment(platform.create_workflow("api", "api", ()), "scratch")
    platform.notify(f"{sink}/{platform.organization}", pipeline_id=pipeline)
    platform.notify(f"{sink}/{platform.organization}", api_id=api)
    return workflow, pipeline, api


def events(ground: Ground, pipeline: str) -> list[dict]:
    """What the backend took to tell the subscribers of this pipeline."""
    url = f"{ground.stack.backend.public_url}/dev/notification-buffer"
    rows = [row["event"] for row in call_json("GET", url, key=ground.stack.backend.api_key)]
    return [row for row in rows if row["pipeline_id"] == pipeline]


@pytest.mark.parametrize("worker", ["callback", "general"])
def test_a_named_pipeline_and_its_subscribers_are_read(at, worker):
    ground = at("real")
    _, pipeline, api = named_things(ground)
    arguments = ("--organization", ground.platform.organization, "--pipeline", pipeline, "--api", api, "--json")
    done = ground.run("conformance", *arguments, worker=worker)
    assert done.code == 0, done.out
    got = {name: line["got"] for name, line in found(done).items()}
    assert got["webhook.pipeline_notifications"] == "1 subscribers of scratch"
    assert got.get("webhook.api_notifications", "1 subscribers of scratch") == "1 subscribers of scratch"
    assert got.get("pipeline.get", "ETL scratch") == "ETL scratch"
    assert found(done)["pipeline.update"]["verdict"] == "not tried"


@pytest.mark.parametrize("which", ["real", "recorded"])
@pytest.mark.parametrize("worker", ["callback", "general"])
def test_a_named_pipeline_is_written_to_and_its_subscriber_is_notified_once(at, which, worker):
    ground = at(which)
    workflow, pipeline, _ = named_things(ground)
    arguments = ("--organization", ground.platform.organization, "--workflow", workflow, "--pipeline", pipeline)
    done = ground.run("conformance", *arguments, "--write", "--yes", "--notify", "--json", worker=worker)
    assert done.code == 0, done.out + done.err
    assert found(done)["pipeline.update"]["got"] == "written and read back"
    assert found(done)["webhook.enqueue"]["got"] == "accepted: the subscriber gets one event"
    (event,) = events(ground, pipeline)
    assert (event["status"], event["error_message"]) == ("ERROR", "a conformance run")


def test_a_pipeline_that_keeps_no_status_and_one_without_subscribers_are_named(at):
    ground = at("real")
    workflow = scratch(ground)
    pipeline = ground.platform.create_pipeline(workflow, "scratch")
    dev, key = f"{ground.stack.backend.public_url}/dev/faults", ground.stack.backend.api_key
    reported = {"status": "success", "message": "updated"}
    fault = {"kind": "body", "method": "PUT", "path": f"/pipeline/{pipeline}/", "body": json.dumps(reported)}
    call_json("POST", dev, payload=fault, key=key)
    arguments = ("--organization", ground.platform.organization, "--workflow", workflow, "--pipeline", pipeline)
    try:
        done = ground.run("conformance", *arguments, "--write", "--yes", "--notify", "--json")
    finally:
        call_json("DELETE", dev, key=key)
    assert done.code == 1
    bad = {name: line for name, line in found(done).items() if line["verdict"] != "ok"}
    assert set(bad) == {"pipeline.update", "webhook.enqueue"}
    assert bad["pipeline.update"]["got"] == "accepted SUCCESS, and reads back YET_TO_START"
    assert bad["webhook.enqueue"]["verdict"] == "unclear"


def test_notify_needs_a_named_subscriber(at):
    ground = at("real")
    arguments = ("--organization", ground.platform.organization, "--workflow", scratch(ground))
    done = ground.run("conformance", *arguments, "--write", "--yes", "--notify")
    assert done.code == 2
    assert "--notify needs --write, and --pipeline or --api" in done.err


def test_write_needs_a_named_workflow(at):
    ground = at("real")
    done = ground.run("conformance", "--organization", ground.platform.organization, "--write", "--yes")
    assert done.code == 2
    assert "--write needs --workflow" in done.err
