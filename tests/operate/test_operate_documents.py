"""Every command of a worker, and every curl line, in the operators' documents is run against real workers."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from celery import Celery

from unstract_devstack.fleet import CALLBACK
from unstract_devstack.processes import wait_until

pytestmark = pytest.mark.timeout(600)

SECONDS = 60.0
ROOT = Path(__file__).parents[2]
DOCUMENTS = (
    "README.md", "docker/BROKERS.md", "docker/MOVING.md", "docker/TROUBLESHOOTING.md", "docker/UPGRADING.md",
    *(f"packages/unstract-worker-{name}/README.md" for name in ("api-deployment", "callback", "core", "file-processing", "general")),
)  # fmt: skip
# In text, or a line of a block; of a pipe the first command.
COMMAND = re.compile(r"(?:`|^(?:\$ )?)((?:unstract-worker-[a-z-]+ |curl )[^`|\n]+)", re.MULTILINE)
EXAMPLES = {
    "7d4c3a52-1f0e-4d6b-9a51-6a1d2c9f3b10": "EXECUTION",
    "ee8b5e4f001a": "ID",
    "f4a262d0-...": "WORKFLOW",
    "org_demo": "ORG",
}
# Those that do not end with 0 here, and why.
EXPECTED = {
    "unstract-worker-callback dead-letters requeue ID": (1, "use --yes"),
    "unstract-worker-callback dead-letters requeue ID --queue celery_api_deployments": (1, "use --yes"),
}


def commands() -> list[str]:
    """The commands of all documents, except `run`, which starts a worker: all acceptance tests do."""
    found: dict[str, None] = {}
    for name in DOCUMENTS:
        for line in COMMAND.findall((ROOT / name).read_text(encoding="utf-8")):
            for command in line.split("&&"):
                words = [EXAMPLES.get(word, word) for word in shlex.split(command, comments=True)]
                if words[1:] != ["run"]:
                    found[" ".join(words)] = None
    return list(found)


@pytest.fixture(scope="module")
def letter(stack) -> None:
    """A message that went to the wrong queue."""
    with Celery(broker=stack.environment["CELERY_BROKER_BASE_URL"]) as sender:
        sender.send_task(
            "async_execute_bin_api", args=("org", "workflow", "execution"), queue="file_processing_callback"
        )
    with stack.redis.client() as client:
        assert wait_until(lambda: client.llen("uw:dead_letters") > 0, seconds=SECONDS)


def scratch_workflow(ground) -> str:
    source = ground.folder / "source"
    source.mkdir()
    (source / "a.txt").write_text("Total: 1")
    return ground.platform.create_workflow("scratch", "etl", (), source_folder=str(source), destination_table="scratch")


def test_there_are_commands():
    assert len(commands()) > 20


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_works(ground, letter, command):
    values = {"ORG": ground.platform.organization}
    if "EXECUTION" in command:
        values["EXECUTION"] = ground.stranded()
    if "ID" in command:
        values["ID"] = ground.run("dead-letters", "list", "--json").json["letters"][0]["id"]
    if "WORKFLOW" in command:
        values["WORKFLOW"] = scratch_workflow(ground)
    words = [values.get(word, word) for word in command.split()]
    code, said = EXPECTED.get(command, (0, ""))
    if words[0] == "curl":
        (callback,) = ground.stack.fleet.of(CALLBACK)
        words = [word.replace(":8083/", f":{callback.health_port}/") for word in words]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr
        return
    worker = words[0].removeprefix("unstract-worker-").replace("-", "_")
    without = ("CELERY_BROKER_BASE_URL",) if words[1] == "scaling" else ()  # written for any broker
    done = ground.run(*words[1:], worker=worker, without=without)
    assert done.code == code, done.out + done.err
    assert said in done.out + done.err
