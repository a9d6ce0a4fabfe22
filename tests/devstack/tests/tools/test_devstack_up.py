"""The stack that is kept up: what it prints works, and it ends without a trace."""

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from unstract_devstack.processes import alive, descendants, wait_until

ENDS = {"INTERNAL_API_BASE_URL", "INTERNAL_SERVICE_API_KEY", "CELERY_BROKER_BASE_URL", "REDIS_PORT", "CACHE_REDIS_PORT"}


@pytest.fixture
def started(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`up --no-workers --json`, with its data in `tmp_path`."""
    command = [sys.executable, "-m", "unstract_devstack.up", "--no-workers", "--json", "--data", str(tmp_path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> dict[str, dict[str, str]]:
    """The JSON line that tells that the stack is up."""
    assert process.stdout is not None
    reported: dict[str, dict[str, str]] = json.loads(process.stdout.readline())
    return reported


def test_the_json_line_is_a_workers_environment(started: subprocess.Popen[str], tmp_path: Path) -> None:
    environment = said(started)["environment"]
    assert set(environment) >= ENDS
    request = urllib.request.Request(  # noqa: S310
        f"{environment['INTERNAL_API_BASE_URL']}/v1/health/",
        headers={"Authorization": f"Bearer {environment['INTERNAL_SERVICE_API_KEY']}"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        assert json.load(answer)["status"] == "healthy"
    script = f'. "{tmp_path / "worker.env"}"; echo "$INTERNAL_API_BASE_URL $REDIS_PORT"'
    sourced = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert sourced == [environment["INTERNAL_API_BASE_URL"], environment["REDIS_PORT"]]
    assert (tmp_path / "worker.env").stat().st_mode & 0o077 == 0


def test_the_live_page_is_served_and_its_buttons_start_the_examples(started: subprocess.Popen[str]) -> None:
    reported = said(started)
    url = reported["addresses"]["live page"]
    assert "None were started with the stack" in page(url)
    for name, title in (("api", "documents"), ("etl", "inbox")):
        request = urllib.request.Request(f"{url}start/{name}", method="POST", headers={"Origin": url.rstrip("/")})  # noqa: S310
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            execution_id = answer.url.partition("#e-")[2]
        shown = page(f"{url}executions/{execution_id}")
        assert f"<bdi>{title}</bdi>" in shown
        assert "PENDING" in shown


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and only Linux ties a child to its parent")
@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM", "end of input", "SIGKILL"])
def test_it_ends_without_a_trace(started: subprocess.Popen[str], how: str) -> None:
    said(started)
    children = descendants(started.pid)
    assert len(children) >= 2
    if how == "end of input":
        assert started.stdin is not None
        started.stdin.close()
    else:
        started.send_signal(signal.Signals[how])
    assert started.wait(30) == (-signal.SIGKILL if how == "SIGKILL" else 0)
    assert wait_until(lambda: not any(alive(pid) for pid in children), seconds=10)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_curl_lines_work(started: subprocess.Popen[str]) -> None:
    lines = printed(started, "curl ")
    # There are no workers here, so waiting for a result would take all of the time.
    answers = [shell(line.replace("timeout=60", "timeout=0.1")) for line in lines]
    health, waited, sent, triggered, executions, destination, effects = answers
    assert health["status"] == "healthy"
    assert [each["message"]["execution_status"] for each in (waited, sent)] == ["PENDING", "PENDING"]
    assert len(executions) == 3
    assert executions[2]["id"] == triggered["execution_id"]
    assert (destination, effects) == ([], [])


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_workers_started_by_hand_serve_the_curl_lines(started: subprocess.Popen[str], tmp_path: Path) -> None:
    said(started)
    guide = printed(started, "")
    workers = [line for line in guide if line.endswith(" run")]
    assert len(workers) == 4
    with contextlib.ExitStack() as running:
        log = running.enter_context((tmp_path / "workers.log").open("wb"))
        for line in workers:
            # exec: the shell becomes the worker, so that it can be ended by its pid.
            hand = ["sh", "-c", line.replace("; ", "; exec env ")]
            worker = subprocess.Popen(hand, stdout=log, stderr=log, env=PLAIN_ENVIRONMENT)
            running.callback(worker.wait, 30)
            running.callback(worker.terminate)
        waiting = next(line for line in guide if line.startswith("curl ") and "timeout=60" in line)
        message = shell(waiting)["message"]
        assert message["execution_status"] == "COMPLETED", (tmp_path / "workers.log").read_text()
    (item,) = message["result"]
    assert item["status"] == "Success"
    assert item["result"]["output"]["fields"]["invoice_number"] == "LD/88/1207"


def page(url: str) -> str:
    """The text of a page."""
    with urllib.request.urlopen(url) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text


PLAIN_ENVIRONMENT = {"PATH": os.environ["PATH"]}


def printed(process: subprocess.Popen[str], start: str) -> list[str]:
    """The lines of the guide that begin with `start`."""
    assert process.stderr is not None
    guide = itertools.takewhile(lambda line: not line.startswith("Ctrl-C"), process.stderr)
    return [line.strip() for line in guide if line.strip().startswith(start)]


def shell(line: str) -> Any:
    """The JSON that a command line prints."""
    done = subprocess.run(["sh", "-c", line], env=PLAIN_ENVIRONMENT, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
