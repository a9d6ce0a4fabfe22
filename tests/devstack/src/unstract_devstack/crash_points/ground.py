"""A fleet on which workers are killed one after the other: one worker of each kind, and short waits."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import define, field

from unstract_devstack.executor import EXECUTOR_VARIABLES, ExecutorStack
from unstract_devstack.faults.history import History
from unstract_devstack.fleet import FILE_PROCESSING, Worker, WorkerKind
from unstract_devstack.http_calls import call_json
from unstract_devstack.platform_client import Effect, ExecutionRow
from unstract_devstack.sink import SinkHandle
from unstract_devstack.stack import Stack, running_stack

SETTINGS = {
    # Long enough that a worker of a busy machine renews it: each lapse is a try of its file, and a file has three.
    "WORKER_LEASE_SECONDS": "3",
    "WORKER_SWEEP_SECONDS": "0.2",
    "WORKER_FIRST_RING_WAIT": "0.5",
    "WORKER_MAX_RING_WAIT": "2",
    "WORKER_RECHECK_SECONDS": "1",
    "INTERNAL_API_RETRY_ATTEMPTS": "0",
    "CHORD_COMPAT": "true",
    "CELERY_RESULT_CHORD_RETRY_INTERVAL": "0.2",
}
CLUB_SECONDS = "0.1"
# Of the ledger and of kombu: looked at to see that all is quiet, never to judge.
OPEN_RUNS, UNACKNOWLEDGED = "uw:open", "uw_unacked_index"


@define
class Ground:
    """A running fleet on a backend in one mode; all subscribers are at `sink`.

    `executor`: a stand-in of the platform's executor. `variables`: of file workers, as the scenario wants them.
    """

    stack: Stack
    sink: SinkHandle
    mode: str
    results_url: str
    _history: History
    executor: ExecutorStack
    variables: dict[str, str] = field(factory=dict)

    def worker(self, kind: WorkerKind) -> Worker:
        """The worker of a kind."""
        (worker,) = self.stack.fleet.of(kind)
        return worker

    def start(self, kind: WorkerKind, **variables: str) -> None:
        """Starts a worker with these variables besides its own."""
        process = self.worker(kind).process
        own = {*ARMING, *EXECUTOR_VARIABLES}
        process.environment = {
            **{name: value for name, value in process.environment.items() if name not in own},
            **(self.variables if kind == FILE_PROCESSING else {}),
            **variables,
        }
        process.start()

    def forget_executor(self) -> None:
        """From now on the backend executes files; a running file worker that has another executor is started again."""
        self.variables = {}
        process = self.worker(FILE_PROCESSING).process
        if process.running and not process.environment.keys().isdisjoint(EXECUTOR_VARIABLES):
            process.kill()
            self.start(FILE_PROCESSING)

    def said(self, kind: WorkerKind, text: str, *, after: int) -> bool:
        """Whether a worker's log holds a text beyond this length."""
        with self.worker(kind).process.log_path.open("rb") as log:
            log.seek(after)
            return text.encode() in log.read()

    def log_length(self, kind: WorkerKind) -> int:
        """How long a worker's log is."""
        return self.worker(kind).process.log_path.stat().st_size

    def dev(self, method: str, path: str, content: dict[str, Any] | None = None) -> Any:
        """A call of the backend's dev API."""
        return self.stack.backend.dev(method, path, content)

    def internal(self, method: str, path: str, content: dict[str, Any], organization: str) -> Any:
        """A call of the backend's internal API, as the platform's own code would do it."""
        backend, headers = self.stack.backend, {"X-Organization-ID": organization}
        url = f"{backend.internal_url}/v1/{path}"
        return call_json(method, url, payload=content, key=backend.api_key, headers=headers)

    def effects(self, *, after: int) -> tuple[Effect, ...]:
        """What the backend applied since the effect with this id."""
        return self.stack.backend.dev.effects(after=after)

    def executions(self, organization: str) -> dict[str, ExecutionRow]:
        """The executions of an organization, by id."""
        return self._history.executions(organization)

    def unrest(self) -> str:
        """What is still under way: open runs and messages that a worker holds. Empty when all is quiet."""
        with self.stack.redis.client() as client:
            runs, held = client.scard(OPEN_RUNS), client.zcard(UNACKNOWLEDGED)
        return f"{runs} runs are open, {held} messages are held" if runs or held else ""

    def let_messages_return(self) -> None:
        """A minute passes for the broker: what was taken and not acknowledged is delivered again."""
        with self.stack.redis.client() as client:
            for tag in client.zrange(UNACKNOWLEDGED, 0, -1):
                client.zadd(UNACKNOWLEDGED, {tag: 1}, xx=True)


ARMING = ("WORKER_CRASH_POINT", "WORKER_CRASH_TESTING", "CELERY_POOL_TYPE", "CELERY_CONCURRENCY")


@contextlib.contextmanager
def open_ground(directory: Path, mode: str) -> Iterator[Ground]:
    """A fleet in `directory` until the block is left, on a backend in this mode."""
    results = f"db+sqlite:///{directory}/results.sqlite?timeout=30"
    settings = {**SETTINGS, "CELERY_RESULT_BACKEND": results}
    options = ("--mode", mode, "--club-seconds", CLUB_SECONDS, "--upload-rules", "none")
    stack = running_stack(directory, settings=settings, backend_options=options, appendonly=False, executor=True)
    with stack as running:
        assert running.executor is not None
        yield Ground(running, running.sink, mode, results, History(running.backend.dev), running.executor)
