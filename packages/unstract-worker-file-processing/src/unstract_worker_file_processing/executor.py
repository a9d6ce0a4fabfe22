"""What runs the workflow for one file: the backend by default, others by entry point.

There are two kinds. A `FileExecutor` answers at once: one method, which holds a slot for as long as the file takes. A
`DeferredExecutor` sends the file off and gets its answer later, as a message; meanwhile the file holds no slot.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from attrs import frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.breaker import Breaker, BreakerOpen
from unstract_worker_core.backend.files import ExecuteFile, FileToExecute
from unstract_worker_core.errors import ConfigurationError, Fault, WorkerError
from unstract_worker_core.ledger import AnswerTicket, FileItem, RunContext
from unstract_worker_core.worker.runtime import Runtime

__all__ = [
    "BACKEND",
    "GROUP",
    "BackendExecutor",
    "DeferredExecutor",
    "ExecutorAway",
    "FileExecutor",
    "FileFailed",
    "FileRequest",
    "GuardedExecutor",
    "MaybeSent",
    "NotNow",
    "executor_factory",
    "load_executor",
]

GROUP = "unstract_worker.file_executors"
BACKEND = "backend"


class FileFailed(WorkerError):
    """The file failed for good. `workflow` and `destination` say why; they become the file's error."""

    def __init__(self, workflow: str = "", *, destination: str = "") -> None:
        self.workflow = workflow
        self.destination = destination
        super().__init__(workflow or destination or "no reason given")


class NotNow(WorkerError):
    """What the executor needs (a store, a broker, a service) is away, and nothing was done.

    The file is put off, and no file is charged for it. After several in a row the executor is left alone for a while.
    `delay_seconds`: how long to wait at least.
    """

    def __init__(self, reason: str, *, delay_seconds: float = 0.0) -> None:
        self.delay_seconds = delay_seconds
        super().__init__(reason)


class MaybeSent(WorkerError):
    """Whether the request was sent is not known; an answer is awaited for a while before it is sent again."""


@frozen
class FileRequest:
    """One file to run.

    Attributes:
        context: the run: organization, workflow, execution, kind (API or ETL), tags, custom data, profile.
        file: name, path in its source, content hash, size, MIME type, the id of its row (`file_execution_id`).
        key: the same at every try: an executor that remembers it applies the file once.
    """

    context: RunContext
    file: FileItem
    key: str


class FileExecutor(Protocol):
    """Runs the workflow for a file, its destination included, and answers at once."""

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """The file's result as JSON, within the timeout. Called from many threads at a time.

        Raises:
            FileFailed: the file is at fault. BackendRefused and UnexpectedAnswer mean the same.
            NotNow: nothing was done; the file is put off. BackendUnavailable means the same for the backend.
            OutcomeUnknown: the file may have been run; its row is looked at, and the next try is charged to the file.
        """


@runtime_checkable
class DeferredExecutor(Protocol):
    """Sends the file off; the answer comes later, to any worker. Called from many threads at a time.

    The answer is a Celery message to the queue `uw_executor_answers`: task `unstract_worker.executor_answer`, arguments
    the answer (any JSON) and the ticket as it was given. `prepare` and `conclude` may be repeated, `send` is not: it is
    called again only after the answer stayed away.
    """

    def prepare(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """All that comes before the file is sent and may be repeated; what it returns goes to `send`.

        Raises:
            FileFailed: the file is at fault.
            NotNow: the file is put off.
        """

    def send(self, prepared: Any, ticket: AnswerTicket) -> None:
        """Send the file off with the ticket (a JSON object by `serialization.unstructure`). Returns once it is sent.

        Raises:
            FileFailed: the file is at fault; nothing was sent.
            NotNow: nothing was sent; the file is put off.
            MaybeSent: it may have been sent.
        """

    def conclude(self, request: FileRequest, answer: Any, *, timeout_seconds: float) -> Any:
        """The file's result as JSON, from the executor's answer, after all that is left to do, such as the destination.

        Raises:
            FileFailed: the file is at fault.
            NotNow: the answer is kept, this is tried again later.
        """


# What an entry point names: makes the executor of one process.
ExecutorFactory = Callable[[Runtime], FileExecutor | DeferredExecutor]


class ExecutorAway(Exception):
    """The executor is not called now; again in `seconds`."""

    def __init__(self, reason: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(reason)


@frozen(eq=False)
class GuardedExecutor:
    """An executor behind a circuit breaker of its own: NotNow, several times in a row, opens it."""

    executor: FileExecutor | DeferredExecutor
    breaker: Breaker

    @property
    def deferred(self) -> bool:
        """Whether its answers come later."""
        return isinstance(self.executor, DeferredExecutor)

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around each call of the executor. Raises ExecutorAway for NotNow, and while the breaker is open."""
        try:
            self.breaker.admit()
        except BreakerOpen as closed:
            raise ExecutorAway(f"the executor is left alone: {closed}", closed.seconds) from None
        try:
            yield
        except NotNow as error:
            self.breaker.failed()
            raise ExecutorAway(str(error), max(error.delay_seconds, self.breaker.seconds_until_trial())) from None
        except FileFailed:
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()


@frozen
class BackendExecutor:
    """Lets the platform's backend do it."""

    backend: Backend

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """As FileExecutor says."""
        context, file = request.context, request.file
        asked = ExecuteFile(
            workflow_id=context.workflow_id,
            execution_id=context.execution_id,
            file=FileToExecute(
                name=file.name,
                file_path=file.path,
                file_execution_id=file.file_execution_id,
                file_hash=file.hash or None,
                file_size=file.size,
                mime_type=file.mime_type or None,
                provider_file_uuid=file.provider_file_uuid,
                source_connection_type=file.source_connection_type or None,
                file_number=file.number,
                use_file_history=context.use_file_history,
                fs_metadata=file.fs_metadata or None,
            ),
        )
        done = self.backend.files.execute(
            context.organization_id, asked, key=request.key, timeout_seconds=timeout_seconds
        )
        return done.result


def load_executor(runtime: Runtime) -> GuardedExecutor:
    """The executor that WORKER_FILE_EXECUTOR names. Raises ConfigurationError if it cannot be used."""
    settings = runtime.settings.backend
    return GuardedExecutor(_made(runtime), Breaker(settings.breaker_threshold, settings.breaker_recovery))


def _made(runtime: Runtime) -> FileExecutor | DeferredExecutor:
    name = runtime.settings.files.executor
    return BackendExecutor(runtime.backend) if name == BACKEND else executor_factory(name)(runtime)


def executor_factory(name: str) -> ExecutorFactory:
    """What an installed package offers under this name. Raises ConfigurationError, and whatever its import raises."""
    installed = entry_points(group=GROUP)
    found = installed.select(name=name)
    if len(found) != 1:
        known = ", ".join(sorted({BACKEND, *installed.names}))
        problem = "more than one package offers this executor" if found else f"not installed; there are: {known}"
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", problem),))
    factory: ExecutorFactory = next(iter(found)).load()
    return factory
