"""The example of an executor of one's own, built into the worker's image by the commands of its README."""

import json
import shutil
import sys

import pytest
from engine import build, local_tag
from unstract_images.running import run
from unstract_images.workers import ROOT

from unstract_devstack.executor.storage import local

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

EXAMPLE = ROOT / "packages" / "unstract-worker-file-processing" / "examples" / "word-count"
TAG = "unstract-worker-word-count:0"
VARIABLES = {
    "INTERNAL_API_BASE_URL": "http://127.0.0.1:9/internal",
    "INTERNAL_SERVICE_API_KEY": "a-key-of-nothing",
    "CELERY_BROKER_BASE_URL": "redis://127.0.0.1:9/0",
    "REDIS_HOST": "127.0.0.1",
    "API_FILE_STORAGE_CREDENTIALS": local("/srv"),
}
AFTERWARDS = "from importlib.util import find_spec; import os; print(find_spec('pip'), os.getuid())"


@pytest.fixture(scope="module")
def image(request, engine, folder, images):
    if not request.config.getoption("--head"):
        pytest.skip("the example is for the worker of the sources: --head")
    context = folder / "word-count"
    shutil.copytree(EXAMPLE, context)
    pip = (sys.executable, "-m", "pip", "--quiet")
    run((*pip, "wheel", "--no-deps", "--wheel-dir", str(context / "wheels"), str(context)), seconds=200)
    run((*pip, "download", "--no-deps", "--dest", str(context / "wheels"), "pip"), seconds=100)
    yield build(engine, TAG, "--build-arg", f"WORKER_IMAGE={images['file-processing-platform']}", str(context))
    engine.remove_images(local_tag(TAG))


def test_check_finds_the_executor_in_the_image(engine, image):
    """No server is there: the other lines fail, and the command with them."""
    variables = [f"--env={name}={value}" for name, value in VARIABLES.items()]
    look = ("--entrypoint", "/bin/sh", image, "-c", "unstract-worker check --json; test $? = 1")
    printed = engine.call("run", "--rm", "--network", "none", *variables, *look)
    lines = {line["subject"]: line for line in json.loads(printed)["lines"]}
    expected = {"subject": "file executor", "status": "ok", "detail": "word-count (word_count.at_once)"}
    assert lines["file executor"] == expected


def test_the_image_stays_without_pip_and_without_root(engine, image):
    python = ("--entrypoint", "/opt/worker/bin/python", image, "-c", AFTERWARDS)
    assert engine.call("run", "--rm", "--network", "none", *python).split() == ["None", "10001"]
