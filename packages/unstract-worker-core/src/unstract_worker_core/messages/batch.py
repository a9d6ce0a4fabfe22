"""Batches and their results as a chord carries them (contract: tasks 4 and 5); for working beside today's workers."""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen

from unstract_worker_core.errors import MessageError
from unstract_worker_core.identifiers import execution_id, organization_id
from unstract_worker_core.ledger.records import FileItem, RunContext
from unstract_worker_core.messages.fields import optional_id, optional_text, read
from unstract_worker_core.messages.start import FILES_LIMIT, file_item
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.statuses import RunKind

_COUNTS = frozenset(("total_files", "successful_files", "failed_files", "skipped_files", "skipped_already_completed"))

log = get_logger(__name__)


@frozen
class _FileData:
    """The `file_data` part; unknown keys are ignored, the bools and the list are strict as the contract says."""

    workflow_id: str
    execution_id: str
    organization_id: str
    pipeline_id: str | None = None
    single_step: bool = False
    scheduled: bool = False
    use_file_history: bool = True
    q_file_no_list: tuple[int, ...] = ()
    hitl_queue_name: str | None = None
    hitl_packet_id: str | None = None
    llm_profile_id: str | None = None
    tags: tuple[Any, ...] = ()
    custom_data: dict[str, Any] | None = None


@frozen
class BatchMessage:
    """One batch of a chord: the context that its files share, and the files."""

    context: RunContext
    files: tuple[FileItem, ...]


@frozen
class BatchResult:
    """What a batch reports; total = successful + failed + skipped_already_completed."""

    total_files: int = 0
    successful_files: int = 0
    failed_files: int = 0
    skipped_files: int = 0
    execution_time: float = 0.0
    file_results: tuple[Any, ...] = ()
    errors: tuple[Any, ...] = ()
    skipped_already_completed: int = 0
    skipped_active_duplicate: int = 0
    organization_id: str | None = None

    def as_message(self) -> dict[str, Any]:
        """All keys that today's callbacks read, as plain JSON types."""
        message = asdict(self, recurse=False, filter=lambda attribute, _: attribute.name != "skipped_files")
        return message | {"file_results": list(self.file_results), "errors": list(self.errors)}


def read_batch(value: object) -> BatchMessage:
    """Read the one argument of `process_file_batch`. Raises MessageError naming the field."""
    if not isinstance(value, Mapping):
        raise MessageError("expected object with files and file_data", field="file_batch_data")
    entries = value.get("files")
    if not isinstance(entries, list | tuple) or len(entries) > FILES_LIMIT:
        raise MessageError(f"expected list of at most {FILES_LIMIT}", field="file_batch_data.files")
    data = read(value.get("file_data"), _FileData, field="file_batch_data.file_data")
    files = tuple(_file(entry, number) for number, entry in enumerate(entries, start=1))
    api = any(item.source_connection_type == "API" or "/api/" in item.path for item in files)
    context = RunContext(
        execution_id=execution_id(data.execution_id),
        organization_id=organization_id(data.organization_id),
        workflow_id=execution_id(data.workflow_id, field="workflow_id"),
        kind=RunKind.API if api else RunKind.ETL,
        pipeline_id=optional_id(data.pipeline_id, field="file_data.pipeline_id"),
        use_file_history=data.use_file_history,
        total_files=len(files),
        chord=True,
        llm_profile_id=optional_text(data.llm_profile_id, field="file_data.llm_profile_id"),
        hitl_queue_name=optional_text(data.hitl_queue_name, field="file_data.hitl_queue_name"),
        hitl_packet_id=optional_text(data.hitl_packet_id, field="file_data.hitl_packet_id"),
        custom_data=data.custom_data,
        tags=data.tags,
    )
    return BatchMessage(context, files)


def _file(entry: object, number: int) -> FileItem:
    """A file, given as [name, file] or as the file alone."""
    name = f"file {number}"
    if isinstance(entry, list | tuple) and len(entry) == 2:
        first, entry = entry
        name = first if isinstance(first, str) else name
    return file_item(entry, number=number, name=name)


def read_results(value: object) -> tuple[BatchResult, ...]:
    """Read a chord callback's results; entries that are not objects are skipped, as today. Raises MessageError.

    Fields of an entry other than its counts are left out where they cannot be read. A count is never guessed.
    """
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise MessageError("expected list", field="results")
    numbered = enumerate(value)
    return tuple(_result(entry, field=f"results[{index}]") for index, entry in numbered if isinstance(entry, dict))


def _result(entry: dict[str, Any], *, field: str) -> BatchResult:
    given = {key: value for key, value in entry.items() if value is not None}
    kept = {key: value for key, value in given.items() if key in _COUNTS or _readable(key, value)}
    return read(kept, BatchResult, field=field)


def _readable(key: str, value: object) -> bool:
    try:
        read({key: value}, BatchResult, field=key)
    except MessageError as error:
        log.warning("a field of a batch's result is unreadable", field=error.field, reason=error.reason)
        return False
    return True
