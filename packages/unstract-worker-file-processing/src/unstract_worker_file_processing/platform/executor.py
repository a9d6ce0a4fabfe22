"""The executor `platform`: prepares a file as the platform's own file worker does, and has its executor extract it."""

import mimetypes
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from typing import Any

from attrs import Factory, frozen

from unstract_worker_core.errors import WorkerError
from unstract_worker_core.ledger import AnswerTicket, FileItem, RunContext
from unstract_worker_core.runs.runtime import TtlCache
from unstract_worker_core.statuses import RunKind
from unstract_worker_file_processing.executor import FileFailed, FileRequest
from unstract_worker_file_processing.platform.connectors import source_of
from unstract_worker_file_processing.platform.gathering import Gathering
from unstract_worker_file_processing.platform.publisher import RequestPublisher
from unstract_worker_file_processing.platform.request import (
    FilePaths,
    execution_metadata,
    extraction_request,
    output_name,
    shared_output_names,
)
from unstract_worker_file_processing.platform.stores import Copied, Store, copy_hashed

_NO_REASON = "the executor gives no reason"
_NAMES_SECONDS = 30.0
# Of a source's files; uploads are checked by the backend. Inferred: the contract says that unsupported types are
# refused, and not which. These are what holds no document; any other type is left to the executor.
_UNSUPPORTED = ("audio/", "font/", "model/", "video/")
_UNSUPPORTED_TYPES = frozenset(
    {
        "application/gzip", "application/java-archive", "application/vnd.android.package-archive",
        "application/x-msdownload", "application/x-msdos-program", "application/x-7z-compressed",
        "application/x-rar-compressed", "application/x-sharedlib", "application/x-sqlite3", "application/x-tar",
        "application/zip",
    }
)  # fmt: skip


@frozen(eq=False)
class PlatformExecutor:
    """A DeferredExecutor (see `unstract_worker_file_processing.executor`).

    Attributes:
        uploads: the store of API uploads. `files`: of what belongs to an execution's files.
        files_of_run: the files of a run by its id, from the ledger.
        files_prefix: folder of executions in it, bucket first.
        uploads_prefix: folder of uploads; None: not checked.
    """

    gathering: Gathering
    publisher: RequestPublisher
    uploads: Store
    files: Store
    files_of_run: Callable[[str], Iterable[FileItem]]
    files_prefix: str
    uploads_prefix: str | None = None
    _names: TtlCache[dict[str, str]] = Factory(TtlCache)

    def prepare(self, request: FileRequest, *, timeout_seconds: float) -> dict[str, Any]:
        """Copy the file to where the executor reads it, and make the request."""
        context, file, ends = request.context, request.file, time.monotonic() + timeout_seconds
        tool, paths = self.gathering.tool(context), self._paths(context, file)
        self.publisher.check_room()
        if context.kind is not RunKind.API:
            self.gathering.check_destination(context)
            self._check_name(request)
        copied = self._copied(context, file, paths, ends - time.monotonic())
        metadata = execution_metadata(context, file, sha256=copied.sha256, workflow_start_time=time.time())
        message = extraction_request(context, file, tool, paths, metadata)
        self.files.duplicate(paths.source, paths.infile)
        self.files.write_json(paths.metadata, metadata)
        return message

    def send(self, prepared: dict[str, Any], ticket: AnswerTicket) -> None:
        """Publish the request."""
        self.publisher.publish(prepared, ticket)

    def conclude(self, request: FileRequest, answer: Any, *, timeout_seconds: float) -> Any:
        """The answer's data; for ETL after it was written to the destination."""
        if not isinstance(answer, dict) or not isinstance(answer.get("success"), bool):
            raise FileFailed("the executor's answer is not what the platform promises: success is missing")
        if not answer["success"]:
            raise FileFailed(str(answer.get("error") or _NO_REASON))
        data = answer.get("data")
        if not isinstance(data, dict):
            raise FileFailed("the executor's answer is not what the platform promises: data is missing")
        if request.context.kind is not RunKind.API:
            self._deliver(request, data)
        return data

    def _paths(self, context: RunContext, file: FileItem) -> FilePaths:
        parts = (self.files_prefix, context.organization_id, context.workflow_id, context.execution_id)
        return FilePaths("/".join((*parts, file.file_execution_id or "")))

    def _copied(self, context: RunContext, file: FileItem, paths: FilePaths, seconds: float) -> Copied:
        seconds = max(1.0, seconds)
        if context.kind is RunKind.API:
            upload = self._upload(context, file)
            copied = copy_hashed(self.uploads, upload, self.files, paths.source, timeout_seconds=seconds)
        else:
            _check_type(file)
            with closing(source_of(self.gathering.workflow(context))) as source:
                copied = copy_hashed(source, file.path, self.files, paths.source, timeout_seconds=seconds)
        if not copied.size:
            raise FileFailed("the file is empty")
        return copied

    def _upload(self, context: RunContext, file: FileItem) -> str:
        """The path of an upload, which must be the execution's own. Compared by its parts, with no link followed."""
        if self.uploads_prefix is not None:
            ids = (context.organization_id, context.workflow_id, context.execution_id)
            own, parts = _parts("/".join((self.uploads_prefix, *ids))), _parts(file.path)
            inside = parts[: len(own)] == own and len(parts) > len(own) and ".." not in parts
            if not inside or not self.uploads.is_within(file.path, "/".join(own)):
                text = f"the upload {file.path!r} is not in its execution's folder (API_EXECUTION_DIR_PREFIX)"
                raise FileFailed(text)
        return file.path

    def _check_name(self, request: FileRequest) -> None:
        """Refuse a file whose result could not be written under its name, before it is paid for."""
        name, destination = self._output_name(request), self.gathering.destination(request.context)
        output = self._paths(request.context, request.file).output(name)
        places = (self.files, output), (destination.store, destination.path_of(name))
        if not all(store.fits(path) for store, path in places):
            raise FileFailed("its result cannot be written, since its name is too long: rename it")

    def _output_name(self, request: FileRequest) -> str:
        """The name of the file's result, which no other file of the run has."""

        def ask() -> dict[str, str]:
            return shared_output_names(self.files_of_run(request.run_id))

        names = self._names.get(request.run_id, ask, seconds=_NAMES_SECONDS)
        return names.get(request.file.identity) or output_name(request.file.name)

    def _deliver(self, request: FileRequest, data: dict[str, Any]) -> None:
        """Leave the result where the platform does, then write it to the destination: over itself, if repeated."""
        context, name = request.context, self._output_name(request)
        paths = self._paths(context, request.file)
        self.files.write_json(paths.infile, data)
        self.files.write_json(paths.output(name), data)
        self.files.write_json(paths.metadata, self._completed(context, paths))
        with closing(self.gathering.destination(context)) as destination:
            destination.write_json(name, data)

    def _completed(self, context: RunContext, paths: FilePaths) -> dict[str, Any]:
        """METADATA.json after the tool. The executor may have overwritten it, and the tool may be gone: it is paid."""
        known = self.files.read_json(paths.metadata)
        metadata: dict[str, Any] = known if isinstance(known, dict) else {}
        started, now = metadata.get("workflow_start_time"), time.time()
        elapsed = round(max(0.0, now - started), 3) if isinstance(started, int | float) else 0.0
        try:
            name = self.gathering.tool(context).name
        except WorkerError:  # also where the backend or platform-service is away: it is a name only
            name = ""
        ran = {"tool_name": name, "output_type": "JSON", "elapsed_time": elapsed}
        return {**metadata, "tool_metadata": [ran], "total_elapsed_time": elapsed}


def _check_type(file: FileItem) -> None:
    kind = file.mime_type or mimetypes.guess_type(file.name)[0] or ""
    if kind.startswith(_UNSUPPORTED) or kind in _UNSUPPORTED_TYPES:
        raise FileFailed(f"unsupported file type {kind}")


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part]
