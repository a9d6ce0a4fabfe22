"""What both executors need: the bytes of a file, and the destination of an ETL run."""

import time
from contextlib import closing
from pathlib import PurePosixPath
from typing import Any

from attrs import frozen

from unstract_worker_core import Backend, ConfigurationError, RunKind, Runtime
from unstract_worker_file_processing.executor import Fault, FileFailed, FileRequest
from unstract_worker_file_processing.platform.connectors import destination_of, source_of
from unstract_worker_file_processing.platform.stores import Store, store_of

__all__ = ["Files", "files_of"]

_LONGEST = 10 * 1024 * 1024


@frozen
class Files:
    """Reads sources and writes destinations. Safe for threads: `Store` is, and nothing else is kept."""

    backend: Backend
    uploads: Store

    def text(self, request: FileRequest, *, timeout_seconds: float) -> str:
        """The file's text.

        Raises:
            FileFailed: the file is at fault: gone, too large, no text.
            NotNow, BackendUnavailable: the store or the backend is away.
        """
        store, content, ends = self._store(request), bytearray(), time.monotonic() + timeout_seconds
        with closing(store.chunks(request.file.path)) as chunks:
            for chunk in chunks:
                content += chunk
                if len(content) > _LONGEST:
                    raise FileFailed(f"{request.file.name} has more than {_LONGEST} bytes")
                if time.monotonic() > ends:
                    raise FileFailed(f"{request.file.name} could not be read within {timeout_seconds:.0f} s")
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise FileFailed(f"{request.file.name} is not text in UTF-8") from None

    def deliver(self, request: FileRequest, result: Any) -> None:
        """Write the result to the destination of an ETL run; over itself if repeated. An API run has none."""
        context = request.context
        if context.kind is RunKind.API:
            return
        destination = destination_of(self.backend.tooling.workflow(context.organization_id, context.workflow_id))
        destination.write_json(f"{PurePosixPath(request.file.name).stem}.json", result)

    def _store(self, request: FileRequest) -> Store:
        """Where `request.file.path` is: the store of uploads, or the source that the workflow's connector names."""
        context = request.context
        if context.kind is RunKind.API:
            return self.uploads
        return source_of(self.backend.tooling.workflow(context.organization_id, context.workflow_id))


def files_of(runtime: Runtime) -> Files:
    """The files of one process. Nothing is connected yet. Raises ConfigurationError."""
    uploads = runtime.settings.executor.uploads_store
    if uploads is None:  # the worker refuses to start, and `check` says so
        raise ConfigurationError((Fault("API_FILE_STORAGE_CREDENTIALS", "is required by the executor"),))
    return Files(runtime.backend, store_of(uploads, "the store of uploads (API_FILE_STORAGE_CREDENTIALS)"))
