"""Executors: they run the workflow for one file. The backend is the default, others are found by entry point.

There are two kinds. A `FileExecutor` returns the result: its call holds a slot for as long as the file takes. A
`DeferredExecutor` sends the file off and gets its answer later, as a message; the file holds no slot until then.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any, Protocol, runtime_checkable

from attrs import field, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.breaker import Breaker, BreakerOpen
from unstract_worker_core.backend.files import FileToExecute
from unstract_worker_core.errors import ConfigurationError, Fault, WorkerError
from unstract_worker_core.ledger import AnswerTicket, FileItem, RunContext
from unstract_worker_core.runs.runtime import Runtime

__all__ = [
    "BACKEND",
    "GROUP",
    "AnswerTicket",
    "BackendExecutor",
    "DeferredExecutor",
    "ExecutorAway",
    "Fault",
    "FileExecutor",
    "FileFailed",
    "FileItem",
    "FileRequest",
    "GuardedExecutor",
    "MaybeSent",
    "NotNow",
    "RunContext",
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
    """What the executor needs (a store, a broker, a service) is unavailable, and nothing was done.

    The file is put off and not charged. After several such errors in a row the executor is not called for a while.

    Attributes:
        delay_seconds: how long to wait at least.
        shared: False for what concerns one customer or file alone, such as a customer's connector, and for what is no
            outage, such as a full queue: it does not count towards the errors in a row.
    """

    def __init__(self, reason: str, *, delay_seconds: float = 0.0, shared: bool = True) -> None:
        self.delay_seconds = delay_seconds
        self.shared = shared
        super().__init__(reason)


class MaybeSent(WorkerError):
    """It is unknown whether the request was sent. An answer is awaited for a while before it is sent again."""


@frozen
class FileRequest:
    """One file to run.

    Attributes:
        context: the run: organization, workflow, execution, kind (API or ETL), tags, custom data, profile.
        file: name, path in its source, content hash, size, MIME type, the id of its row (`file_execution_id`).
        key: idempotency key, the same in every attempt.
        run_id: of the ledger's run: the execution's id, or that of one batch in chord mode.
    """

    context: RunContext
    file: FileItem
    key: str
    run_id: str = ""


class FileExecutor(Protocol):
    """Runs the workflow for a file, its destination included, and returns the result."""

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """The file's result as JSON, within the timeout. Called from many threads at a time.

        Raises:
            FileFailed: the file is at fault. BackendRefused and UnexpectedAnswer mean the same.
            NotNow: nothing was done; the file is put off. BackendUnavailable means the same for the backend.
            OutcomeUnknown: the file may have been run; its row is read, and the file is charged if that shows nothing.
        """


@runtime_checkable
class DeferredExecutor(Protocol):
    """Sends the file off; the answer comes later, to any worker. Called from many threads at a time.

    The answer is a Celery message to the queue `uw_executor_answers`: task `unstract_worker.executor_answer`, arguments
    the answer (any JSON) and the ticket, unchanged. `prepare` and `conclude` may be repeated. `send` is called again
    only if no answer came in time.
    """

    def prepare(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """All steps before the file is sent. The returned value is given to `send`.

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
        """Do the remaining steps, such as the destination. Returns the file's result as JSON.

        Raises:
            FileFailed: the file is at fault.
            NotNow: the answer is kept, and `conclude` is called again later: until ten minutes past the batch's
                deadline, or until a stop.
        """


# An entry point names such a factory; it makes the executor of one process.
ExecutorFactory = Callable[[Runtime], FileExecutor | DeferredExecutor]


class ExecutorAway(Exception):
    """The executor is unavailable; call it again in `seconds`."""

    def __init__(self, reason: str, seconds: float) -> None:
        self.seconds = seconds
        super().__init__(reason)


@frozen(eq=False)
class GuardedExecutor:
    """An executor with its own circuit breaker: several NotNow in a row open it, but those of one customer.

    Attributes:
        since: when it was made, on the monotonic clock: this process receives answers since then.
        deferred: the executor, if its answers come later, as messages; looked up once, for an isinstance takes long.
    """

    executor: FileExecutor | DeferredExecutor
    breaker: Breaker
    since: float = field(factory=time.monotonic)
    deferred: DeferredExecutor | None = field(init=False)

    @deferred.default
    def _(self) -> DeferredExecutor | None:
        return self.executor if isinstance(self.executor, DeferredExecutor) else None

    @contextmanager
    def calling(self) -> Iterator[None]:
        """Around each call of the executor. Raises ExecutorAway for NotNow, and while the breaker is open."""
        try:
            self.breaker.admit()
        except BreakerOpen as refusal:
            raise ExecutorAway(f"the executor is not called: {refusal}", refusal.seconds) from None
        try:
            yield
        except NotNow as error:
            if error.shared:
                self.breaker.failed()
            raise ExecutorAway(str(error), max(error.delay_seconds, self.breaker.seconds_until_trial())) from None
        except FileFailed:
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()


@frozen
class BackendExecutor:
    """Lets the platform's backend execute the file."""

    backend: Backend

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """See FileExecutor."""
        context, file = request.context, request.file
        wanted = FileToExecute(
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
        )
        organization, workflow, execution = context.organization_id, context.workflow_id, context.execution_id
        execute = self.backend.files.execute
        return execute(organization, workflow, execution, wanted, key=request.key, timeout_seconds=timeout_seconds)


def load_executor(runtime: Runtime) -> GuardedExecutor:
    """The executor that WORKER_FILE_EXECUTOR names. Raises ConfigurationError if it cannot be used."""
    settings, name = runtime.settings.backend, runtime.settings.files.executor
    executor = BackendExecutor(runtime.backend) if name == BACKEND else _made(runtime, name)
    return GuardedExecutor(executor, Breaker(settings.breaker_threshold, settings.breaker_recovery))


def _made(runtime: Runtime, name: str) -> FileExecutor | DeferredExecutor:
    try:
        executor = executor_factory(name)(runtime)
    except ConfigurationError:
        raise
    except Exception as error:  # boundary: an operator's package may fail in any way
        problem = f"{name} cannot be loaded: {type(error).__name__}: {error}"
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", problem),)) from error
    if not isinstance(executor, DeferredExecutor) and not callable(getattr(executor, "execute", None)):
        problem = f"{name} has no method execute, nor prepare, send and conclude"
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", problem),))
    return executor


def executor_factory(name: str) -> ExecutorFactory:
    """The factory that an installed package offers under this name.

    Raises:
        ConfigurationError: no package offers it, or more than one.
        Exception: any error of the package's import.
    """
    installed = entry_points(group=GROUP)
    found = installed.select(name=name)
    if len(found) != 1:
        known = ", ".join(sorted({BACKEND, *installed.names}))
        problem = "more than one package offers this executor" if found else f"not installed; there are: {known}"
        raise ConfigurationError((Fault("WORKER_FILE_EXECUTOR", problem),))
    factory: ExecutorFactory = next(iter(found)).load()
    return factory
