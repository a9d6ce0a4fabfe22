"""The fleet: started with its environment, awaited, ended, and its workers named when one fails.

The workers here are stand-ins: real processes with a real health port, that report what they were given.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from unstract_devstack.fleet import Worker, WorkerKind, running_fleet
from unstract_devstack.http_calls import call
from unstract_devstack.processes import ProcessError, alive, wait_until

STAND_IN = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

name = os.environ["STAND_IN"]
if name == "breaks":
    sys.exit("INTERNAL_API_BASE_URL: not set")
if name == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"]) if name != "alone" else None

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        status = 503 if name == "never ready" else 200
        body = json.dumps({"arguments": sys.argv[1:], "child": child and child.pid, "environment": dict(os.environ)}).encode()
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass

HTTPServer((os.environ["WORKER_HEALTH_HOST"], int(os.environ["FIRST_KIND_HEALTH_PORT"])), Health).serve_forever()
"""
KIND = WorkerKind("first-kind", "stand_in_worker")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What makes `python -m stand_in_worker` work."""
    package = tmp_path / "code" / "stand_in_worker"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(STAND_IN)
    return {"PYTHONPATH": str(package.parent), "STAND_IN": "good"}


def report(worker: Worker) -> dict[str, object]:
    """What the stand-in says about itself."""
    reported: dict[str, object] = call("GET", f"{worker.health_url}/ready").json()
    return reported


def child_of(worker: Worker) -> int:
    """The pid of the process that the stand-in started."""
    child = report(worker)["child"]
    assert isinstance(child, int)
    return child


def test_workers_get_their_environment_and_nothing_else(
    tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CELERY_BROKER_BASE_URL", "amqp://of.the.operator/")
    with running_fleet({**environment, "REDIS_PORT": "1"}, tmp_path / "logs", kinds=[KIND, KIND]) as fleet:
        assert list(fleet.workers) == ["first-kind", "first-kind-2"]
        assert fleet.of(KIND) == tuple(fleet.workers.values())
        reports = [report(worker) for worker in fleet.workers.values()]
        fleet.check()
    for reported in reports:
        given = reported["environment"]
        assert isinstance(given, dict)
        assert reported["arguments"] == ["run"]
        assert (given["REDIS_PORT"], given["WORKER_HEALTH_HOST"]) == ("1", "127.0.0.1")
        assert "CELERY_BROKER_BASE_URL" not in given


def test_the_end_takes_the_whole_group(tmp_path: Path, environment: dict[str, str]) -> None:
    with running_fleet(environment, tmp_path / "logs", kinds=[KIND]) as fleet:
        worker = fleet.workers["first-kind"]
        pids = [worker.process.pid, child_of(worker)]
        assert all(alive(pid) for pid in pids)
    assert wait_until(lambda: not any(alive(pid) for pid in pids), seconds=5)


def test_a_worker_that_ignores_sigterm_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["STAND_IN"] = "stubborn"
    with running_fleet(environment, tmp_path / "logs", kinds=[KIND], stop_seconds=0.2) as fleet:
        worker = fleet.workers["first-kind"]
    assert worker.process.exit_code == -signal.SIGKILL


def test_a_worker_can_be_killed_and_started_again(tmp_path: Path, environment: dict[str, str]) -> None:
    with running_fleet(environment, tmp_path / "logs", kinds=[KIND]) as fleet:
        worker = fleet.workers["first-kind"]
        child = child_of(worker)
        worker.kill()
        assert wait_until(lambda: not alive(child), seconds=5)
        with pytest.raises(ProcessError, match="worker first-kind ended \\(exit code -9\\)"):
            fleet.check()
        fleet.start()
        fleet.wait_ready(seconds=20)
        assert worker.ready()


def test_a_worker_that_dies_at_its_start_shows_its_log(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["STAND_IN"] = "breaks"
    with (
        pytest.raises(ProcessError, match="ended while it was starting \\(exit code 1\\)") as caught,
        running_fleet(environment, tmp_path / "logs", kinds=[KIND]),
    ):
        pass
    assert "INTERNAL_API_BASE_URL: not set" in str(caught.value)


def test_a_worker_that_is_never_ready_is_named(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["STAND_IN"] = "never ready"
    with (
        pytest.raises(ProcessError, match=r"worker first-kind was not ready after 10 s \(HTTP 503"),
        running_fleet(environment, tmp_path / "logs", kinds=[KIND], ready_seconds=10.0),
    ):
        pass


HOLDER = """
import json, sys
from pathlib import Path
from unstract_devstack.fleet import WorkerKind, running_fleet
kind = WorkerKind("first-kind", "stand_in_worker")
with running_fleet(json.loads(sys.argv[1]), Path(sys.argv[2]), kinds=[kind]) as fleet:
    print(fleet.workers["first-kind"].process.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_workers_end_with_the_killed_parent(tmp_path: Path, environment: dict[str, str]) -> None:
    environment["STAND_IN"] = "alone"
    command = [sys.executable, "-c", HOLDER, json.dumps(environment), str(tmp_path / "logs")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.kill()
    ended = wait_until(lambda: not alive(pid), seconds=10)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    assert ended
