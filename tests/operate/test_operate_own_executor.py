"""The guide to an executor of one's own, followed: its package is built, installed beside a worker, and executes files."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.executor.storage import local
from unstract_devstack.fleet import FILE_PROCESSING, running_fleet
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.stack import running_stack

pytestmark = pytest.mark.timeout(400)

EXAMPLE = Path(__file__).parents[2] / "packages" / "unstract-worker-file-processing" / "examples" / "word-count"
TERMINAL = ("COMPLETED", "ERROR", "STOPPED")


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The example's wheel in a folder of its own; what it depends on is there already."""
    folder = tmp_path_factory.mktemp("word-count")
    uv = (sys.executable, "-m", "uv", "--quiet")
    subprocess.run([*uv, "build", "--wheel", "--out-dir", folder / "dist", EXAMPLE], check=True, timeout=200)
    (wheel,) = (folder / "dist").glob("*.whl")
    subprocess.run([*uv, "pip", "install", "--no-deps", "--target", folder / "site", wheel], check=True, timeout=100)
    return folder / "site"


@pytest.fixture(scope="module")
def stack(installed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("executor")
    settings = {
        "PYTHONPATH": str(installed),
        "WORKER_FILE_EXECUTOR": "word-count",
        "API_FILE_STORAGE_CREDENTIALS": local(folder / "backend"),
        "WORKER_SWEEP_SECONDS": "0.5",
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # the dev stack's connector of a folder gives paths that are relative to it
        with running_stack(folder, settings=settings) as running:
            yield running


@pytest.fixture(scope="module")
def platform(stack):
    platform = Platform(stack.backend.public_url, stack.backend.api_key, "org_word_count")
    platform.set_up_organization()
    platform.create_api_deployment(platform.create_workflow("words", "api", ()), "words")
    return platform


def ended(platform, execution_id):
    assert wait_until(lambda: platform.execution(execution_id).status in TERMINAL, seconds=90)
    return platform.execution(execution_id)


def sent(platform, folder, **contents):
    uploads = []
    for name, content in contents.items():
        path = folder / f"{name}.txt"
        path.write_bytes(content)
        uploads.append(Upload(path, path.name, len(content)))
    return platform.send_files("words", uploads, use_file_history=False)


def test_files_of_an_api_deployment_get_its_result_or_its_reason(platform, tmp_path):
    row = ended(platform, sent(platform, tmp_path, three=b"one two three", broken=b"\xff\xfe"))

    assert (row.status, row.successful, row.failed) == ("COMPLETED", 1, 1)
    items = {item["file"]: item for item in platform.results("words", row.id).items}
    assert items["three.txt"]["result"] == {"output": {"words": 3}}
    assert "broken.txt is not text in UTF-8" in items["broken.txt"]["error"]


def test_a_pipeline_gets_its_destination_written(stack, platform):
    source, target = stack.directory / "inbox", stack.directory / "outbox"
    source.mkdir()
    (source / "two.txt").write_text("one two")
    workflow = platform.create_workflow("etl", "etl", (), source_folder=str(source), destination_folder=str(target))

    row = ended(platform, platform.trigger(platform.create_pipeline(workflow, "etl")))

    assert (row.status, row.successful) == ("COMPLETED", 1)
    assert json.loads((target / "two.json").read_text()) == {"output": {"words": 2}}


def test_check_names_it_and_what_it_lacks(stack):
    command = [sys.executable, "-m", "unstract_worker_file_processing", "check", "--json"]
    environment = {**inherited_environment(), **stack.environment}

    def line(**variables):
        done = subprocess.run(
            command, env={**environment, **variables}, capture_output=True, text=True, check=False, timeout=90
        )
        return next(line for line in json.loads(done.stdout)["lines"] if line["subject"] == "file executor")

    assert line() == {"subject": "file executor", "status": "ok", "detail": "word-count (word_count.at_once)"}
    missing = line(WORKER_FILE_EXECUTOR="word-counter")
    assert missing["status"] == "fail"
    assert "there are: backend, platform, word-count, word-count-later" in missing["detail"]
    later = line(WORKER_FILE_EXECUTOR="word-count-later")
    assert (later["status"], later["detail"]) == (
        "fail", "WORD_COUNT_BROKER_URL is required by the executor word-count-later"
    )  # fmt: skip


def test_an_executor_that_answers_later_outlives_the_worker_that_sent_its_file(stack, platform, tmp_path):
    """The worker is killed while the file is out: its answer is taken by the next, and it was sent once."""
    (worker,) = stack.fleet.of(FILE_PROCESSING)
    worker.stop()
    broker_url = stack.environment["CELERY_BROKER_BASE_URL"]
    later = {
        **stack.environment, "WORKER_FILE_EXECUTOR": "word-count-later", "WORD_COUNT_BROKER_URL": broker_url
    }  # fmt: skip
    with (
        stack.redis.client() as broker,
        running_fleet(later, tmp_path / "logs", kinds=(FILE_PROCESSING,)) as fleet,
    ):
        run_id = sent(platform, tmp_path, four=b"one two three four")
        assert wait_until(lambda: broker.llen("word_count") == 1, seconds=60)
        for each in fleet.workers.values():
            each.kill()
            each.start()
        service = _service(stack, tmp_path)
        service.start()
        try:
            row = ended(platform, run_id)
        finally:
            service.stop()
        assert broker.llen("word_count") == 0
    worker.start()
    assert (row.status, row.successful) == ("COMPLETED", 1)
    (item,) = platform.results("words", run_id).items
    assert item["result"] == {"output": {"words": 4}}


def _service(stack, folder):
    environment = {
        **inherited_environment(), "PYTHONPATH": stack.environment["PYTHONPATH"],
        "WORD_COUNT_BROKER_URL": stack.environment["CELERY_BROKER_BASE_URL"], "PATH": os.environ["PATH"],
    }  # fmt: skip
    command = (sys.executable, "-m", "celery", "-A", "word_count.service", "worker", "-Q", "word_count", "-P", "solo")
    return ManagedProcess("word count", command, environment, folder / "service.log")
