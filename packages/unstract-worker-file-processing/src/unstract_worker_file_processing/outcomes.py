"""How a file ends, as values: error texts, the executor's word, what the API caller is told, the stored outcome."""

import ast
from typing import Any

from attrs import asdict, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend.models import TokenUsage
from unstract_worker_core.errors import MessageError
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind, RunContext
from unstract_worker_core.statuses import RunKind

__all__ = [
    "NOT_STARTED",
    "Executed",
    "ended",
    "error_text",
    "executed_with",
    "file_metadata",
    "stored_value",
    "told_before",
]

NOT_STARTED = "not started: the execution was stopped"
_LONGEST_ERROR = 1000
_PREFIXES = ("Workflow error:", "Destination error:", "Processing error:", "Validation error:")


@frozen
class Executed:
    """What the executor said of a file; journalled at once, so that what follows can be repeated.

    `reused`: nothing ran, `result` and `metadata` are those of an earlier execution.
    """

    result: Any = None
    error: str | None = None
    seconds: float = 0.0
    source_hash: str = ""
    reused: bool = False
    metadata: dict[str, Any] | None = None


def error_text(*, workflow: str = "", destination: str = "", processing: str = "", validation: str = "") -> str:
    """The file's error, in one line: each part under its prefix, unless it brings one."""
    parts = []
    for prefix, text in zip(_PREFIXES, (workflow, destination, processing, validation), strict=True):
        if text:
            flat = " ".join(text.split())
            parts.append(flat if flat.startswith(_PREFIXES) else f"{prefix} {flat}")
    joined = "; ".join(parts) or "Processing error: no reason given"
    return joined if len(joined) <= _LONGEST_ERROR else joined[: _LONGEST_ERROR - 3] + "..."


def executed_with(result: Any, *, kind: RunKind, limit: int) -> Executed:
    """What a result amounts to: only API callers get it back, so only theirs is kept and has a size limit."""
    source_hash = _inner(result, "source_hash")
    known = source_hash if isinstance(source_hash, str) else ""
    if kind is not RunKind.API:
        return Executed(source_hash=known)
    try:
        size = len(serialization.dumps(result).encode())
    except (TypeError, ValueError, RecursionError):
        return Executed(error=error_text(workflow="the result is not JSON"))
    if size > limit:
        text = f"the result has {size} bytes, the limit MAX_FILE_RESULT_BYTES is {limit}"
        return Executed(error=error_text(workflow=text))
    return Executed(result=result, source_hash=known)


def file_metadata(
    context: RunContext,
    file: FileItem,
    *,
    seconds: float = 0.0,
    result: Any = None,
    usage: TokenUsage | None = None,
    pages: int | None = None,
) -> dict[str, Any]:
    """The `metadata` of an API result item (contract: flows 0.1); what is not known is null."""
    tools = _inner(result, "tool_metadata")
    return {
        **told_before({}, context, file, seconds),
        "tool_metadata": tools if isinstance(tools, list) else [],
        "usage": {"file_execution_id": file.file_execution_id, **asdict(usage or TokenUsage(), recurse=False)},
        "total_pages_processed": pages,
    }


def told_before(stored: object, context: RunContext, file: FileItem, seconds: float) -> dict[str, Any]:
    """Stored metadata for another execution: what it cost stays, whose it is changes."""
    return {
        **(stored if isinstance(stored, dict) else {}),
        "source_name": file.name,
        "source_hash": file.hash,
        "organization_id": context.organization_id,
        "workflow_id": context.workflow_id,
        "execution_id": context.execution_id,
        "total_elapsed_time": round(seconds, 3),
    }


def stored_value(text: str | None) -> Any:
    """A history row's text: JSON, else the Python literal that today's workers leave there, else the text."""
    if not text:
        return None
    try:
        return serialization.loads(text)
    except MessageError:
        pass
    try:
        return serialization.loads(serialization.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, MessageError):
        return text


def ended(
    context: RunContext,
    file: FileItem,
    *,
    error: str | None = None,
    skipped: bool = False,
    result: Any = None,
    metadata: dict[str, Any] | None = None,
    seconds: float = 0.0,
) -> FileOutcome:
    """A file's outcome. Result and metadata stay only where an API caller waits for them."""
    api = context.kind is RunKind.API
    kind = OutcomeKind.SKIPPED if skipped else OutcomeKind.ERROR if error else OutcomeKind.COMPLETED
    return FileOutcome(
        number=file.number,
        name=file.name,
        kind=kind,
        error=error,
        file_execution_id=file.file_execution_id,
        result=result if api and kind is OutcomeKind.COMPLETED else None,
        metadata=(metadata or file_metadata(context, file, seconds=seconds)) if api else {},
        seconds=round(seconds, 3),
        copies=file.copies,
    )


def _inner(result: Any, name: str) -> Any:
    metadata = result.get("metadata") if isinstance(result, dict) else None
    return metadata.get(name) if isinstance(metadata, dict) else None
