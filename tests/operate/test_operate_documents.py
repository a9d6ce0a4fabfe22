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
DOCKER = Path(__file__).parents[2] / "docker"
DOCUMENTS = ("TROUBLESHOOTING.md", "UPGRADING.md")
COMMAND = re.compile(r"`((?:unstract-worker-[a-z-]+ |curl )[^`]+)`")
# Those that end otherwise than with 0 here, and why.
EXPECTED = {
    "unstract-worker-callback dead-letters requeue LETTER": (1, "use --yes"),
    "unstract-worker-callback runs abort EXECUTION --yes": (0, ""),
}


def commands() -> list[str]:
    found = {}
    for name in DOCUMENTS:
        found |= dict.fromkeys(COMMAND.findall((DOCKER / name).read_text(encoding="utf-8")))
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


def test_there_are_commands():
    assert len(commands()) > 15


@pytest.mark.parametrize("command", commands())
def test_a_command_of_the_documents_works(ground, letter, command):
    if "LETTER" in command:
        letter = ground.run("dead-letters", "list", "--json").json["letters"][0]["id"]
    words = [
        {
            "EXECUTION": ground.stranded() if "EXECUTION" in command else "",
            "ORG": ground.platform.organization,
            "LETTER": letter,
        }.get(word, word)
        for word in shlex.split(command)
    ]
    code, said = EXPECTED.get(command, (0, ""))
    if words[0] == "curl":
        (callback,) = ground.stack.fleet.of(CALLBACK)
        words = [word.replace(":8083/", f":{callback.health_port}/") for word in words]
        done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)
        assert (done.returncode, bool(done.stdout)) == (0, True), done.stderr
        return
    done = ground.run(*words[1:], worker=words[0].removeprefix("unstract-worker-").replace("-", "_"))
    assert done.code == code, done.out + done.err
    assert said in done.out + done.err
