"""What runs the workflow for one file: a protocol of one method, the backend by default, others by entry point."""

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any, Protocol

from attrs import frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.models import ExecuteFile, FileToExecute
from unstract_worker_core.errors import ConfigurationError, Fault, WorkerError
from unstract_worker_core.ledger import FileItem, RunContext
from unstract_worker_core.worker.runtime import Runtime

__all__ = [
    "BACKEND", "GROUP", "BackendExecutor", "FileExecutor", "FileFailed", "FileRequest", "executor_factory",
    "load_executor",
]  # fmt: skip

GROUP = "unstract_worker.file_executors"
BACKEND = "backend"


class FileFailed(WorkerError):
    """The file failed for good. `workflow` and `destination` say why; they become the file's error."""

    def __init__(self, workflow: str = "", *, destination: str = "") -> None:
        self.workflow = workflow
        self.destination = destination
        super().__init__(workflow or destination or "no reason given")


@frozen
class FileRequest:
    """One file to run. `key` is the same at every try: an executor that remembers it applies the file once."""

    context: RunContext
    file: FileItem
    key: str


class FileExecutor(Protocol):
    """Runs the workflow for a file, its destination included."""

    def execute(self, request: FileRequest, *, timeout_seconds: float) -> Any:
        """The file's result as JSON, within the timeout; called from many threads.

        Raises FileFailed, or core's errors: BackendRefused and UnexpectedAnswer (failed for good too),
        BackendUnavailable (nothing was started: tried again later) and OutcomeUnknown (it may have been).
        """


# What an entry point names: makes the executor of one process.
ExecutorFactory = Callable[[Runtime], FileExecutor]


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


def load_executor(runtime: Runtime) -> FileExecutor:
    """The executor that WORKER_FILE_EXECUTOR names. Raises ConfigurationError if it is not installed."""
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
