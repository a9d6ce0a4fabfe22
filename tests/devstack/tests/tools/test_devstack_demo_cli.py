"""The demo as a command: what it refuses before it starts, and that nothing is left when it is interrupted.

The workers here are stand-ins that are ready and then do nothing, so that there is time to interrupt.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from unstract_devstack.fleet import WORKERS
from unstract_devstack.processes import alive, descendants, wait_until

IDLE_WORKER = """
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

class Health(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()

name = __package__.removeprefix("unstract_worker_").upper()
HTTPServer((os.environ["WORKER_HEALTH_HOST"], int(os.environ[f"{name}_HEALTH_PORT"])), Health).serve_forever()
"""
DEMO = [sys.executable, "-m", "unstract_devstack.demo"]


@pytest.fixture
def idle_workers(tmp_path: Path) -> dict[str, str]:
    """An environment in which the workers are stand-ins, and temporary folders are in `tmp_path`."""
    for kind in WORKERS:
        package = tmp_path / "code" / kind.package
        package.mkdir(parents=True)
        (package / "__init__.py").write_text("")
        (package / "__main__.py").write_text(IDLE_WORKER)
    (tmp_path / "temporary").mkdir()
    return {**os.environ, "PYTHONPATH": str(tmp_path / "code"), "TMPDIR": str(tmp_path / "temporary")}


def refused(*arguments: str | Path) -> str:
    """What the demo says when it refuses to start."""
    done = subprocess.run([*DEMO, *map(str, arguments)], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    return done.stderr


def test_unusable_paths_are_named_before_anything_starts(tmp_path: Path) -> None:
    good = tmp_path / "good.txt"
    good.write_text("fine")
    (tmp_path / "nothing").mkdir()
    assert refused(good, tmp_path / "missing.txt") == f"demo: {tmp_path / 'missing.txt'}: no such file or directory\n"
    assert refused("--json", tmp_path / "nothing") == f"demo: no file in {tmp_path / 'nothing'}\n"
    assert refused("/dev/null") == "demo: /dev/null: neither a file nor a folder\n"
    assert "--nonsense" in refused("--nonsense")


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc, and only Linux ties a child to its parent")
@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_an_interrupted_demo_leaves_nothing(
    idle_workers: Mapping[str, str], tmp_path: Path, number: signal.Signals, code: int
) -> None:
    command = [*DEMO, "--json"]
    with subprocess.Popen(command, env=idle_workers, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        assert demo.stderr is not None
        while "ready after" not in demo.stderr.readline():
            assert demo.poll() is None
        children = descendants(demo.pid)
        assert len(children) >= 6
        demo.send_signal(number)
        output, _ = demo.communicate(timeout=30)
    assert (demo.returncode, output) == (code, "")
    assert wait_until(lambda: not any(alive(pid) for pid in children), seconds=10)
    if number != signal.SIGKILL:
        assert list((tmp_path / "temporary").iterdir()) == []


def test_a_worker_that_does_not_start_ends_the_demo(idle_workers: Mapping[str, str], tmp_path: Path) -> None:
    broken = tmp_path / "code" / "unstract_worker_callback" / "__main__.py"
    broken.write_text("raise SystemExit('INTERNAL_API_BASE_URL: not an URL')")
    done = subprocess.run([*DEMO, "--json"], env=idle_workers, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert '"ok": false' in done.stdout.splitlines()[-1]
    assert "worker callback ended while it was starting" in done.stderr
    assert "INTERNAL_API_BASE_URL: not an URL" in done.stderr
