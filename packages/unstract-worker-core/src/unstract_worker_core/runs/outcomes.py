"""How a file ends, as values: error texts, what was executed, its cost, the outcome that is stored."""

from typing import Any

from attrs import asdict, frozen

from unstract_worker_core.backend.executions import TokenUsage
from unstract_worker_core.backend.files import FileStatusUpdate
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind, RunContext
from unstract_worker_core.serialization import replace_surrogates
from unstract_worker_core.statuses import ExecutionStatus, RunKind

NOT_STARTED = "not started: the execution was stopped"
_LONGEST_ERROR = 1000
_PREFIXES = ("Workflow error:", "Destination error:", "Processing error:", "Validation error:")


@frozen
class Executed:
    """A file before its outcome is made. Journalled as soon as the file ran, so that the later steps can be repeated.

    Attributes:
        seconds: how long it ran.
        source_hash: the content's hash, if the executor returned one.
        reused: nothing ran; `result` and `metadata` are those of an earlier execution.
    """

    result: Any = None
    error: str | None = None
    seconds: float = 0.0
    source_hash: str = ""
    reused: bool = False
    metadata: dict[str, Any] | None = None


@frozen
class FileCost:
    """What a file cost; None where the backend reports nothing."""

    tokens: TokenUsage | None = None
    pages: int | None = None


def error_text(*, workflow: str = "", destination: str = "", processing: str = "", validation: str = "") -> str:
    """The file's error, in one line: each part under its prefix, unless it brings one."""
    parts = []
    for prefix, text in zip(_PREFIXES, (workflow, destination, processing, validation), strict=True):
        if text:
            flat = " ".join(replace_surrogates(text).split())
            parts.append(flat if flat.startswith(_PREFIXES) else f"{prefix} {flat}")
    joined = "; ".join(parts) or "Processing error: no reason given"
    return joined if len(joined) <= _LONGEST_ERROR else joined[: _LONGEST_ERROR - 3] + "..."


def to_outcome(context: RunContext, file: FileItem, executed: Executed, usage: FileCost | None = None) -> FileOutcome:
    """The file's outcome: SKIPPED for NOT_STARTED. Result and metadata are kept for API callers only."""
    api = context.kind is RunKind.API
    kind = OutcomeKind.ERROR if executed.error else OutcomeKind.COMPLETED
    if executed.error == NOT_STARTED:
        kind = OutcomeKind.SKIPPED
    if executed.reused and executed.metadata is not None:  # of the execution whose result is used again
        metadata = executed.metadata | _identity(context, file, executed.seconds)
    else:
        metadata = file_metadata(context, file, executed, usage)
    return FileOutcome(
        number=file.number,
        name=file.name,
        kind=kind,
        error=executed.error,
        file_execution_id=file.file_execution_id,
        result=executed.result if api and kind is OutcomeKind.COMPLETED else None,
        metadata=metadata if api else {},
        seconds=round(executed.seconds, 3),
        copies=file.copies,
    )


def last_status(outcome: FileOutcome) -> FileStatusUpdate:
    """The last status of the file's row. A file that did not start is PENDING again."""
    if outcome.kind is OutcomeKind.SKIPPED:
        return FileStatusUpdate(status=ExecutionStatus.PENDING)
    error = outcome.error if outcome.kind is OutcomeKind.ERROR else None
    status = ExecutionStatus(outcome.kind)
    return FileStatusUpdate(status=status, error_message=error, execution_time=outcome.seconds)


def file_metadata(
    context: RunContext, file: FileItem, executed: Executed, usage: FileCost | None = None
) -> dict[str, Any]:
    """The `metadata` of an API result item (contract: flows 0.1); unknown values are null."""
    tools, known = inner_metadata(executed.result, "tool_metadata"), usage or FileCost()
    return {
        **_identity(context, file, executed.seconds),
        "tool_metadata": tools if isinstance(tools, list) else [],
        "usage": {"file_execution_id": file.file_execution_id, **asdict(known.tokens or TokenUsage(), recurse=False)},
        "total_pages_processed": known.pages,
    }


def _identity(context: RunContext, file: FileItem, seconds: float) -> dict[str, Any]:
    """The part that is replaced when a stored result is used again."""
    return {
        "source_name": file.name,
        "source_hash": file.hash,
        "organization_id": context.organization_id,
        "workflow_id": context.workflow_id,
        "execution_id": context.execution_id,
        "total_elapsed_time": round(seconds, 3),
    }


def inner_metadata(result: Any, name: str) -> Any:
    """A member of the `metadata` inside an executor's result; None where it has none."""
    metadata = result.get("metadata") if isinstance(result, dict) else None
    return metadata.get(name) if isinstance(metadata, dict) else None
