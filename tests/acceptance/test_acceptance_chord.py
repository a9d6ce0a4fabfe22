"""Beside today's workers: a real chord with ours on one side, on the other, or on both."""

import contextlib
import json
from base64 import b64decode

import redis

from unstract_devstack.fleet import CALLBACK, FILE_PROCESSING
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.stack import running_stack
from unstract_devstack.today.app import make_app, running_today
from unstract_devstack.today.orchestrate import API, send_chord

SETTINGS = {
    "CHORD_COMPAT": "true",
    "CELERY_RESULT_CHORD_RETRY_INTERVAL": "0.2",
    "WORKER_LEASE_SECONDS": "6",
    "WORKER_SWEEP_SECONDS": "0.5",
    "WORKER_FIRST_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "2",
}


@contextlib.contextmanager
def side_by_side(directory, *, ours, theirs=()):
    """A stack with some of our workers and stand-ins of today's for the rest; yields (stack, Celery app)."""
    results = f"db+sqlite:///{directory}/results.sqlite?timeout=30"
    with running_stack(directory, workers=ours, settings=SETTINGS | {"CELERY_RESULT_BACKEND": results}) as stack:
        app = make_app(stack.redis.url, results)
        app.backend.ResultSession()  # creates the tables once, before several processes would
        with running_today(stack.environment, directory / "logs", roles=theirs):
            yield stack, app
        app.close()


def start_as_today(stack, app, tmp_path, names):
    """Send files to the API, then do what today's orchestrator does with the start message: build a chord."""
    platform = Platform(stack.backend.public_url, stack.backend.api_key, "org_chord")
    platform.set_up_organization()
    platform.create_api_deployment(platform.create_workflow("chorded", "api", ()), "chorded")
    uploads = []
    for name in names:
        (tmp_path / name).write_text(f"Total: {name}")
        uploads.append(Upload(tmp_path / name, name, (tmp_path / name).stat().st_size))
    execution_id = platform.send_files("chorded", uploads, use_file_history=False)
    organization, workflow, _, files = start_message(stack)
    data = {
        "workflow_id": workflow,
        "execution_id": execution_id,
        "organization_id": organization,
        "pipeline_id": "None",
        "use_file_history": False,
    }
    batches = [{"files": [[name, file]], "file_data": data} for name, file in files.items()]
    send_chord(app, API, batches, execution_id=execution_id, organization_id=organization, pipeline_id=None)
    return platform, execution_id


def start_message(stack):
    client = redis.Redis.from_url(stack.redis.url, decode_responses=True)
    message = None

    def taken():
        nonlocal message
        message = client.lpop("celery_api_deployments")
        return message is not None

    assert wait_until(taken, seconds=20)
    args = json.loads(b64decode(json.loads(message)["body"]))[0]
    client.close()
    return [value["__value__"]["hex"] if isinstance(value, dict) and "__type__" in value else value for value in args]


def ended(stack, platform, execution_id):
    def terminal():
        stack.fleet.check()
        return platform.execution(execution_id).status in ("COMPLETED", "ERROR", "STOPPED")

    assert wait_until(terminal, seconds=60), platform.execution(execution_id)
    return platform.execution(execution_id)


def test_our_file_and_callback_workers_serve_a_chord(tmp_path):
    with side_by_side(tmp_path, ours=(FILE_PROCESSING, CALLBACK)) as (stack, app):
        platform, execution_id = start_as_today(stack, app, tmp_path, ["a.txt", "b.txt", "broken.pdf"])

        row = ended(stack, platform, execution_id)

        assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 3, 2, 1)
        items = platform.results("chorded", execution_id).items
        assert {item["file"]: item["status"] for item in items} == {
            "a.txt": "Success",
            "b.txt": "Success",
            "broken.pdf": "Failed",
        }
        assert len(items) == 3


def test_our_callback_finalises_what_todays_file_worker_did(tmp_path):
    with side_by_side(tmp_path, ours=(CALLBACK,), theirs=(FILE_PROCESSING.name,)) as (stack, app):
        platform, execution_id = start_as_today(stack, app, tmp_path, ["a.txt", "b.txt"])

        row = ended(stack, platform, execution_id)

        assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 2, 2, 0)


def test_todays_callback_gets_what_our_file_worker_reports(tmp_path):
    with side_by_side(tmp_path, ours=(FILE_PROCESSING,), theirs=(CALLBACK.name,)) as (stack, app):
        platform, execution_id = start_as_today(stack, app, tmp_path, ["a.txt", "b.txt"])

        row = ended(stack, platform, execution_id)

        assert (row.status, row.total, row.successful, row.failed) == ("COMPLETED", 2, 2, 0)
        assert len(platform.results("chorded", execution_id).items) == 2
