"""The four workers as processes of their own, configured by environment variables alone."""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import define, field, frozen

from unstract_devstack.http_calls import CallFailed, call
from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until

HEALTH_HOST = "127.0.0.1"
READY_SECONDS = 240.0
STOP_SECONDS = 10.0


@frozen
class WorkerKind:
    """One of the workers: its name, and the package that is run."""

    name: str
    package: str

    @property
    def port_variable(self) -> str:
        """The variable that holds its health port."""
        return f"{self.name.upper().replace('-', '_')}_HEALTH_PORT"

    def interpreter(self, number: int) -> str:
        """The Python that runs the `number`th worker of this kind, from 0: this one, or what FILE_PROCESSING_PYTHON says.

        Such a variable holds one path for all of the kind, or several as PATH does, the last one for all further ones:
        so that workers of different releases, each in an environment of its own, make one fleet.
        """
        named = os.environ.get(f"{self.name.upper().replace('-', '_')}_PYTHON", sys.executable).split(os.pathsep)
        return named[min(number, len(named) - 1)]


API_DEPLOYMENT = WorkerKind("api-deployment", "unstract_worker_api_deployment")
GENERAL = WorkerKind("general", "unstract_worker_general")
FILE_PROCESSING = WorkerKind("file-processing", "unstract_worker_file_processing")
CALLBACK = WorkerKind("callback", "unstract_worker_callback")
WORKERS = (API_DEPLOYMENT, GENERAL, FILE_PROCESSING, CALLBACK)


@define
class Worker:
    """One worker process. `process` is there for what is not here: freezing, its log, its exit code."""

    name: str
    kind: WorkerKind
    health_port: int
    process: ManagedProcess

    @property
    def health_url(self) -> str:
        return f"http://{HEALTH_HOST}:{self.health_port}/health"

    @property
    def running(self) -> bool:
        return self.process.running

    def ready(self) -> bool:
        """Whether it says that it takes work."""
        return self._readiness()[0]

    def start(self) -> None:
        """Starts it, again if it ended; `wait_ready` waits until it takes work."""
        self.process.start()

    def wait_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Returns when the worker takes work.

        Raises:
            ProcessError: it ended or did not get there within `seconds`; with the tail of its log.
        """
        self.process.await_ready(self.ready, seconds=seconds, pause=0.05, detail=lambda: self._readiness()[1])

    def stop(self, *, grace: float = STOP_SECONDS) -> None:
        """SIGTERM, and SIGKILL for its group if it is still there after `grace` seconds."""
        self.process.stop(grace=grace)

    def kill(self) -> None:
        self.process.kill()

    def _readiness(self) -> tuple[bool, str]:
        try:
            reply = call("GET", f"{self.health_url}/ready", timeout=2.0)
        except CallFailed as error:
            return False, str(error)
        return reply.status == 200, f"HTTP {reply.status}: {reply.body[:300].decode(errors='replace')}"


@define
class Fleet:
    """The workers that were started together, by name."""

    workers: dict[str, Worker] = field(factory=dict)

    def of(self, kind: WorkerKind) -> tuple[Worker, ...]:
        return tuple(worker for worker in self.workers.values() if worker.kind == kind)

    def start(self) -> None:
        """Starts all that do not run."""
        for worker in self.workers.values():
            if not worker.running:
                worker.start()

    def wait_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Returns when all take work; fails as `Worker.wait_ready` does."""
        deadline = time.monotonic() + seconds
        for worker in self.workers.values():
            worker.wait_ready(seconds=max(1.0, deadline - time.monotonic()))

    def check(self) -> None:
        """Fails with the log of the first worker that is no longer there.

        Raises:
            ProcessError: a worker ended.
        """
        for worker in self.workers.values():
            if not worker.running:
                raise worker.process.failure("ended")

    def stop(self, *, grace: float = STOP_SECONDS) -> None:
        """Ends all at the same time; those still there after `grace` seconds are killed."""
        running = [worker for worker in self.workers.values() if worker.running]
        for worker in running:
            worker.process.terminate()
        wait_until(lambda: not any(worker.running for worker in running), seconds=grace)
        self.kill()

    def kill(self) -> None:
        for worker in self.workers.values():
            worker.kill()


@contextlib.contextmanager
def running_fleet(
    environment: Mapping[str, str],
    logs: Path,
    *,
    kinds: Sequence[WorkerKind] = WORKERS,
    ready_seconds: float = READY_SECONDS,
    stop_seconds: float = STOP_SECONDS,
) -> Iterator[Fleet]:
    """Workers that take work, until the block is left.

    Args:
        environment: what configures them; the health address is added.
        logs: where `<name>.log` of each is written.
        kinds: which; a kind named twice gives two workers, the second called `<name>-2`.
        ready_seconds: how long all may take to start; 0: that is not waited for.
        stop_seconds: how long they may drain at the end.
    """
    logs.mkdir(parents=True, exist_ok=True)
    fleet = Fleet()
    for kind in kinds:
        name = _free_name(kind.name, fleet.workers)
        fleet.workers[name] = _worker(name, kind, environment, logs, python=kind.interpreter(len(fleet.of(kind))))
    try:
        fleet.start()
        if ready_seconds:
            fleet.wait_ready(seconds=ready_seconds)
        yield fleet
    finally:
        fleet.stop(grace=stop_seconds)


def _free_name(name: str, taken: Mapping[str, Worker]) -> str:
    candidates = (name, *(f"{name}-{number}" for number in range(2, len(taken) + 2)))
    return next(candidate for candidate in candidates if candidate not in taken)


def _worker(name: str, kind: WorkerKind, environment: Mapping[str, str], logs: Path, *, python: str) -> Worker:
    port = free_port()
    own = {
        "WORKER_HEALTH_HOST": HEALTH_HOST,
        kind.port_variable: str(port),
        "WORKER_INSTANCE_ID": f"{name}-{os.getpid()}",
        "PYTHONUNBUFFERED": "1",
    }
    process = ManagedProcess(
        name=f"worker {name}",
        command=(python, "-m", kind.package, "run"),
        environment={**inherited_environment(), **own, **environment},
        log_path=logs / f"{name}.log",
    )
    return Worker(name=name, kind=kind, health_port=port, process=process)
