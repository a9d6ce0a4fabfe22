"""File history: the result of equal content is used again, and what ran is written down."""

import hashlib

from attrs import evolve

from unstract_worker_core import serialization
from unstract_worker_core.backend.history import FileHistory, NewHistory
from unstract_worker_core.errors import OutcomeUnknown
from unstract_worker_core.ledger import FileItem, FileOutcome, OutcomeKind
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.statuses import ExecutionStatus, RunKind
from unstract_worker_file_processing.results import Executed, executed_with, file_metadata, stored_value
from unstract_worker_file_processing.session import BatchSession

__all__ = ["content_key", "history_row", "reuse", "write_history"]

# How old the list of known contents may be: another execution may complete one meanwhile.
_KNOWN_SECONDS = 10.0
_log = get_logger(__name__)


def reuse(session: BatchSession, file: FileItem) -> Executed | None:
    """What an earlier execution of the workflow made of the same content, for API files that ask for it."""
    context, runtime = session.context, session.runtime
    if context.kind is not RunKind.API or not context.use_file_history or not file.hash:
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
    """Contents of the batch that the workflow has completed before: one call for all; None where it is refused."""
    context, history = session.context, session.runtime.backend.history
    left = [each for each in session.claim.files if each.number not in session.claim.recorded]
    hashes = [each.hash for each in left if each.hash and not each.unsupported]
    return session.try_call(
        "file-history.check_batch",
        lambda: history.check_batch(context.organization_id, context.workflow_id, hashes),
    )


def write_history(session: BatchSession, file: FileItem, executed: Executed, outcome: FileOutcome) -> None:
    """Write down what ran. A refusal never fails the file; only an unreachable backend is waited for.

    Each write counts against the file's limit, so an owner that may come after one that wrote looks first, and so
    does one that got no answer.
    """
    row = history_row(session, file, executed, outcome)
    if row is None:
        return
    history, organization = session.runtime.backend.history, session.context.organization_id
    look = file.number in session.claim.executed
    for _ in range(2):
        if look:
            found = session.try_call(
                "file-history.by_hash",
                lambda: history.by_hash(organization, row.workflow_id, row.file_hash, file_path=row.file_path),
            )
            if found is not None and _says(found, row):
                return
        try:
            session.try_call("file-history.create", lambda: _create(session, file, row))
        except OutcomeUnknown:
            look = True
        else:
            return
    _log.warning("whether the file's history was written is unknown")


def history_row(session: BatchSession, file: FileItem, executed: Executed, outcome: FileOutcome) -> NewHistory | None:
    """The row to write: always for ETL, for API files if history is in use and there is something to keep."""
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
    """What the row is kept under: the content's hash, or for a source that gives none one of the storage's own id.

    Sources are looked up by that id and the path (contract: flows b.8), so the stand-in serves the next listing.
    """
    if file.hash or executed.source_hash:
        return file.hash or executed.source_hash
    identity = f"{file.provider_file_uuid}:{file.path}"
    return hashlib.sha256(identity.encode()).hexdigest() if file.provider_file_uuid else ""


def _create(session: BatchSession, file: FileItem, row: NewHistory) -> str:
    history, organization = session.runtime.backend.history, session.context.organization_id
    return history.create(organization, row, key=session.key(file, "history"))


def _says(found: FileHistory, row: NewHistory) -> bool:
    same_result = row.result is None or found.result == row.result
    return found.status is row.status and (found.error or None) == row.error and same_result
