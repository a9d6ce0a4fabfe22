"""`python -m unstract_devstack.dev callback`: one worker for development.

It starts again whenever its sources change. What neither the environment nor `.env` names (broker, Redis, backend) is
brought up embedded, and said so.
"""

import argparse
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from unstract_devstack.fleet import WORKERS, WorkerKind
from unstract_devstack.processes import EndAsked, ProcessError, raise_on_signals

# A worker that has these needs nothing from us.
NEEDED = ("CELERY_BROKER_BASE_URL", "INTERNAL_API_BASE_URL", "INTERNAL_SERVICE_API_KEY")
SUFFIXES = (".py", ".lua")
LOOK_SECONDS = 0.5
STOP_SECONDS = 10.0
# As the workers have them.
DEFAULT_PORTS = {"api-deployment": 8080, "general": 8081, "file-processing": 8082, "callback": 8083}
DEFAULTS = {"WORKER_DRAIN_SECONDS": "5", "PYTHONUNBUFFERED": "1"}

Stamps = dict[Path, float]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the worker until SIGINT or SIGTERM; returns 0, or 1 if the stack did not come up."""
    parser = argparse.ArgumentParser(prog="python -m unstract_devstack.dev", description=__doc__)
    parser.add_argument("worker", choices=[kind.name for kind in WORKERS])
    name = parser.parse_args(arguments).worker
    (kind,) = (each for each in WORKERS if each.name == name)
    raise_on_signals()
    try:
        with _environment(named_in(Path(".env"))) as environment:
            _run(kind, environment)
    except EndAsked:
        pass
    except ProcessError as error:
        _say(str(error))
        return 1
    return 0


def named_in(dotenv: Path) -> frozenset[str]:
    """The variables that a `.env` file sets; the worker itself reads their values."""
    if not dotenv.is_file():
        return frozenset()
    pattern = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*\S")
    lines = dotenv.read_text(encoding="utf-8").splitlines()
    return frozenset(match[1] for line in lines if (match := pattern.match(line)))


def sources(package: str) -> tuple[Path, ...]:
    """The folders whose changes matter: the worker's own package and core. Nothing of them is imported here."""
    specs = (importlib.util.find_spec(name) for name in (package, "unstract_worker_core"))
    return tuple(Path(place) for spec in specs if spec for place in spec.submodule_search_locations or ())


def stamps(folders: Sequence[Path]) -> Stamps:
    """When each source file was last written."""
    found: Stamps = {}
    for path in (path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES):
        with contextlib.suppress(FileNotFoundError):  # an editor replaces files
            found[path] = path.stat().st_mtime
    return found


@contextlib.contextmanager
def _environment(dotenv: frozenset[str]) -> Iterator[Mapping[str, str]]:
    """The worker's environment, with an embedded stack behind what is not set."""
    given = {name: value for name, value in os.environ.items() if value}
    named = given.keys() | dotenv
    missing = [name for name in NEEDED if name not in named]
    if not missing:
        yield DEFAULTS | given
        return
    _say(f"{', '.join(missing)} not set: bringing up an embedded Redis and the reference backend")
    with _stack() as stack:
        added = {name: value for name, value in stack.items() if name not in named}
        _say("embedded: " + " ".join(sorted(added)))
        yield DEFAULTS | added | given


@contextlib.contextmanager
def _stack() -> Iterator[Mapping[str, str]]:
    command = (sys.executable, "-m", "unstract_devstack.up", "--no-workers", "--json", "--quiet")
    # A group of its own: a Ctrl-C reaches it only after the worker has ended. It ends with its standard input.
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0) as up:
        try:
            line = up.stdout.readline() if up.stdout else b""
            if not line:
                raise ProcessError("the embedded stack did not come up")
            started = json.loads(line)
            for name, address in started["addresses"].items():
                _say(f"{name}: {address}")
            yield started["environment"]
        finally:
            up.terminate()


def _run(kind: WorkerKind, environment: Mapping[str, str]) -> None:
    """Start, watch, start again; until a signal ends it."""
    folders = sources(kind.package)
    while True:
        before = stamps(folders)
        command = (sys.executable, "-m", kind.package, "run", "--development")
        worker = subprocess.Popen(command, env=dict(environment), process_group=0)
        port = environment.get(kind.port_variable) or DEFAULT_PORTS[kind.name]
        _say(f"{kind.name} started (pid {worker.pid}), health: http://127.0.0.1:{port}/health")
        try:
            changed = _changed(worker, folders, before)
        finally:
            _stop(worker)
        _say(f"{kind.name} starts again: {changed.name} changed")


def _changed(worker: subprocess.Popen[bytes], folders: Sequence[Path], before: Stamps) -> Path:
    reported = False
    while (now := stamps(folders)) == before:
        if not reported and worker.poll() is not None:
            _say(f"the worker ended with exit code {worker.returncode}; waiting for a change")
            reported = True
        time.sleep(LOOK_SECONDS)
    return next(path for path in (*now, *before) if now.get(path) != before.get(path))


def _stop(worker: subprocess.Popen[bytes]) -> None:
    """SIGTERM, a second one, SIGKILL: each if the one before was not enough."""
    for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if worker.poll() is None:
            worker.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                worker.wait(STOP_SECONDS)


def _say(text: str) -> None:
    sys.stderr.write(f"dev: {text}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
