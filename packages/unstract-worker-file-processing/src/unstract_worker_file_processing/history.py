"""Results and their history: an executor's are kept within a limit, those of equal content are reused."""

import ast
import hashlib
from typing import Any

from attrs import evolve

from unstract_worker_core import serialization
from unstract_worker_core.backend.history import FileHistory, NewHistory
from unstract_worker_core.errors import MessageError, OutcomeUnknown
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.runs.outcomes import Executed, error_text, file_metadata, inner_metadata
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.session import BatchSession

# How old the cached hashes may be: another execution may complete further files.
_KNOWN_SECONDS = 10.0
_log = get_logger(__name__)


def executed_with(result: Any, *, kind: RunKind, limit: int) -> Executed:
    """Check and keep an executor's result. Only API callers get results back, so for other runs none is kept.

    Args:
        result: any JSON.
        kind: of the run.
        limit: bytes that the result may have; a larger one is the file's error.
    """
    source_hash = inner_metadata(result, "source_hash")
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


def reuse(session: BatchSession, file: FileItem) -> Executed | None:
    """The result of an earlier execution of the workflow for the same content; for API runs with file history only.

    Not for a file whose executor has answered: that answer is paid for.
    """
    context, runtime = session.context, session.runtime
    if context.kind is not RunKind.API or not context.use_file_history or not file.hash:
        return None
    if file.number in session.claim.answers:
        return None
    known = session.known_hashes.get("batch", lambda: _known_hashes(session), seconds=_KNOWN_SECONDS)
    if known is not None and file.hash not in known:
        return None
    found = session.try_call(
        "file-history.by_hash",
        lambda: runtime.backend.history.by_hash(context.organization_id, context.workflow_id, file.hash),
    )
    if found is None or found.status is not ExecutionStatus.COMPLETED:
        return None
    limit = runtime.settings.ledger.max_file_result_bytes
    executed = executed_with(stored_value(found.result), kind=context.kind, limit=limit)
    stored = stored_value(found.metadata)
    metadata = file_metadata(context, file, Executed()) | (stored if isinstance(stored, dict) else {})
    return evolve(executed, reused=True, metadata=metadata)


def _known_hashes(session: BatchSession) -> frozenset[str] | None:
    """Hashes in the batch that the workflow has completed before, by one call; None if the backend refuses it."""
    context, history = session.context, session.runtime.backend.history
    left = [each for each in session.claim.files if each.number not in session.claim.recorded]
    hashes = [each.hash for each in left if each.hash and not each.unsupported]
    return session.try_call(
        "file-history.check_batch",
        lambda: history.check_batch(context.organization_id, context.workflow_id, hashes),
    )


def write_history(session: BatchSession, file: FileItem, executed: Executed, outcome: FileOutcome) -> None:
    """Write the file's history. A refusal never fails the file; only an unreachable backend is waited for.

    Each write counts towards the file's execution limit. So the history is read first if an earlier owner of the batch
    may have written it, and after a write without an answer.
    """
    row = history_row(session, file, executed, outcome)
    if row is None:
        return
    history, organization = session.runtime.backend.history, session.context.organization_id
    key, may_exist = session.key(file, "history"), file.number in session.claim.executed
    for _ in range(2):
        if may_exist:
            found = session.try_call(
                "file-history.by_hash",
                lambda: history.by_hash(organization, row.workflow_id, row.file_hash, file_path=row.file_path),
            )
            if found is not None and _same(found, row):
                return
        try:
            session.try_call("file-history.create", lambda: history.create(organization, row, key=key))
        except OutcomeUnknown:
            may_exist = True
        else:
            return
    _log.warning("it is unknown whether the file's history was written")


def history_row(session: BatchSession, file: FileItem, executed: Executed, outcome: FileOutcome) -> NewHistory | None:
    """The row to write: always for ETL; for API runs with file history if there is a result or an error."""
    context = session.context
    api = context.kind is RunKind.API
    key = content_key(file, executed)
    wanted = not api or (context.use_file_history and (executed.result is not None or executed.error))
    if executed.reused or not key or not wanted:
        return None
    return NewHistory(
        workflow_id=context.workflow_id,
        file_hash=key,
        file_name=file.name,
        status=ExecutionStatus.COMPLETED if outcome.kind is OutcomeKind.COMPLETED else ExecutionStatus.ERROR,
        is_api=api,
        file_path=None if api else file.path,
        provider_file_uuid=file.provider_file_uuid,
        file_size=file.size,
        mime_type=file.mime_type or None,
        source_connection_type=file.source_connection_type or None,
        result=serialization.dumps(executed.result) if api and executed.result is not None else None,
        metadata=serialization.dumps(outcome.metadata if api else file_metadata(context, file, executed)),
        error=outcome.error,
    )


def content_key(file: FileItem, executed: Executed) -> str:
    """The row's hash: of the content, or of the storage's own id and the path where the source gives no content hash.

    The next listing looks up history by that id and the path (contract: flows b.8).
    """
    if file.hash or executed.source_hash:
        return file.hash or executed.source_hash
    identity = f"{file.provider_file_uuid}:{file.path}"
    return hashlib.sha256(identity.encode()).hexdigest() if file.provider_file_uuid else ""


def _same(found: FileHistory, row: NewHistory) -> bool:
    same_result = row.result is None or found.result == row.result
    return found.status is row.status and (found.error or None) == row.error and same_result


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
