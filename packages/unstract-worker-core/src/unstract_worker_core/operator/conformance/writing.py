"""Probes that write: into the operator's scratch workflow, or at ids that do not exist."""

from collections.abc import Mapping

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.executions import NewExecution, StatusUpdate
from unstract_worker_core.backend.files import FileHash, FileStatusUpdate, FileToExecute
from unstract_worker_core.backend.history import NewHistory
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.backend.pipelines import Notification, RunEvent
from unstract_worker_core.errors import BackendError, BackendRefused
from unstract_worker_core.operator.conformance import (
    UNKNOWN_ID,
    Mismatch,
    Probe,
    ProbeContext,
    Unclear,
    expect_refusal,
)
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus

# The error texts of a backend that has the route but not the implementation.
_BY_US = "a conformance run"
_NO_PLATFORM_KEY = "platform key is required"
_NOTHING_BEHIND = ("has no attribute", "not implemented", "is not defined")


def _create(context: ProbeContext) -> str:
    wanted = NewExecution(workflow_id=context.workflow_id, log_events_id=context.unknown_id, total_files=1)
    key = f"conformance:{context.mark}:create"
    context.execution_id = context.backend.executions.create(context.organization, wanted, key=key)
    return "created"


def _create_row(context: ProbeContext) -> str:
    file, source = _file(context), context.source
    request = FileHash(
        file_name=file.name, file_path=file.file_path, file_hash=file.file_hash, file_size=file.file_size,
        provider_file_uuid=file.provider_file_uuid, source_connection_type="FILESYSTEM" if source else "API",
    )  # fmt: skip
    row = context.backend.files.create(context.organization, _execution(context), context.workflow_id, request)
    context.row_id = row.id
    return "created"


def _create_rows(context: ProbeContext) -> str:
    """Rows together, of files of the same execution that are not worked on."""
    mark = context.mark
    names = [f"conformance-{mark}-{number}.txt" for number in (1, 2)]
    wanted = [
        FileHash(file_name=name, file_path=name, source_connection_type="FILESYSTEM", file_hash=f"{mark}{number}")
        for number, name in enumerate(names)
    ]
    made = context.backend.files.create_many(context.organization, _execution(context), wanted)
    if made.failed:
        raise Mismatch(f"not created: {made.failed[0][1]}")
    there = {row.file_name for row in context.backend.files.list(context.organization, _execution(context))}
    if not there.issuperset(names):
        raise Mismatch("said to be created, and not in the list")
    return "created and in the list"


def _update_row(context: ProbeContext) -> str:
    executing = FileStatusUpdate(status=ExecutionStatus.EXECUTING)
    context.backend.files.update_status(context.organization, _row(context), executing)
    return _read_row(context, ExecutionStatus.EXECUTING)


def _update_rows(context: ProbeContext) -> str:
    pending = FileStatusUpdate(status=ExecutionStatus.PENDING)
    failed = context.backend.files.update_statuses(context.organization, [(_row(context), pending)])
    if failed:
        raise Mismatch(f"not written: {failed[0][1]}")
    return _read_row(context, ExecutionStatus.PENDING)


def _execute(context: ProbeContext) -> str:
    execution, file = _execution(context), _file(context)
    try:
        context.backend.files.execute(context.organization, context.workflow_id, execution, file)
    except BackendRefused as error:
        text = f"{error.message} (HTTP {error.status})"
        if _NO_PLATFORM_KEY in error.message.lower():
            raise Unclear(f"a setting of the organization is missing, not the operation: {text}") from None
        gone = error.status != 200 or any(word in error.message for word in _NOTHING_BEHIND)
        raise (Mismatch if gone or context.source else Unclear)(text) from None
    return "success"


def _create_history(context: ProbeContext) -> str:
    row = NewHistory(
        workflow_id=context.workflow_id, file_hash=context.mark, file_name="conformance.txt",
        status=ExecutionStatus.ERROR, is_api=True, error=_BY_US,
    )  # fmt: skip
    context.backend.history.create(context.organization, row)
    if context.backend.history.by_hash(context.organization, context.workflow_id, context.mark) is None:
        raise Mismatch("written, and not found again")
    return "written and found again"


def _dispatched(context: ProbeContext) -> str:
    return f"{context.backend.notifications.mark_dispatched(1, [context.unknown_id])} rows marked"


def _dead_letter(context: ProbeContext) -> str:
    return f"{context.backend.notifications.mark_dead_letter(1, [context.unknown_id])} rows marked"


def _clean_up(context: ProbeContext) -> str:
    done = context.backend.executions.cleanup(context.organization, [_execution(context)])
    return "cleaned up" if done else "not offered (HTTP 405): clean staging directories up at the backend"


def _stop(context: ProbeContext) -> str:
    update = StatusUpdate(status=ExecutionStatus.STOPPED, error_message=_BY_US)
    said = _write_status(context, update)
    _end_rows(context)
    return f"{said}; no row is left open"


def _end_rows(context: ProbeContext) -> None:
    """Give the rows of the scratch execution a terminal status. Raises Mismatch, which counts those left open."""
    backend, ended = context.backend, FileStatusUpdate(status=ExecutionStatus.ERROR, error_message=_BY_US)
    rows = _open_rows(context)
    try:
        backend.files.update_statuses(context.organization, [(row, ended) for row in rows])
        left = _open_rows(context)
    except BackendError as error:
        raise Mismatch(f"{len(rows)} rows of execution {context.execution_id} are left open: {error.message}") from None
    if left:
        raise Mismatch(f"{len(left)} rows of execution {context.execution_id} are left open, although they were ended")


def _open_rows(context: ProbeContext) -> list[str]:
    rows = context.backend.files.list(context.organization, _execution(context))
    return [row.id for row in rows if row.status is None or not row.status.terminal]


def _write_status(context: ProbeContext, update: StatusUpdate) -> str:
    refusal = context.backend.executions.update_status(context.organization, _execution(context), update)
    if refusal is not None:
        raise Mismatch(f"skipped: {refusal}")
    found = context.backend.executions.get(context.organization, _execution(context)).status
    if found is not update.status:
        raise Mismatch(f"accepted, and reads back {found}")
    return "written and read back"


def _read_row(context: ProbeContext, wanted: ExecutionStatus) -> str:
    found = context.backend.files.get(context.organization, _row(context)).status
    if found is not wanted:
        raise Mismatch(f"accepted, and reads back {found or 'no status'}")
    return "written and read back"


def _file(context: ProbeContext) -> FileToExecute:
    """The first file of the workflow's source; of an API workflow one that was never uploaded."""
    source, name = context.source, f"conformance-{context.mark}.txt"
    if source is None:
        return FileToExecute(
            name=name,
            file_path=name,
            file_hash=context.mark,
            file_size=1,
            file_number=1,
            file_execution_id=context.row_id,
        )
    return FileToExecute(
        name=source.file_name, file_path=source.file_path, file_hash=source.file_hash, file_size=source.file_size,
        mime_type=source.mime_type, provider_file_uuid=source.provider_file_uuid, file_execution_id=context.row_id,
        source_connection_type=source.source_connection_type, file_number=1, fs_metadata=source.fs_metadata,
    )  # fmt: skip


def _execution(context: ProbeContext) -> str:
    if context.execution_id is None:
        raise Unclear("there is no scratch execution to try it with")
    return context.execution_id


def _row(context: ProbeContext) -> str:
    if context.row_id is None:
        raise Unclear("there is no scratch row to try it with")
    return context.row_id


def _update_pipeline(context: ProbeContext) -> str:
    """Both statuses that end a run, so that the second one cannot have been there before."""
    write, pipeline_id = context.backend.pipelines.update, context.pipeline_id
    if pipeline_id is None:
        failed = PipelineStatus.FAILURE
        return expect_refusal(lambda: write(context.organization, context.unknown_id, failed, is_end=True), "not found")
    named = context.backend.pipelines.get(context.organization, pipeline_id)
    if named.is_api or not named.active:
        why = "is an API deployment, which has no last run to write" if named.is_api else "is paused"
        raise Unclear(f"{named.name} {why}")
    for status in (PipelineStatus.SUCCESS, PipelineStatus.FAILURE):
        write(context.organization, pipeline_id, status, is_end=True)
        found = context.backend.pipelines.get(context.organization, pipeline_id).last_run_status
        if found != status:
            raise Mismatch(f"accepted {status}, and reads back {found or 'no status'}")
    return "written and read back"


def _enqueue(context: ProbeContext) -> str:
    push = context.backend.notifications.enqueue
    if not context.notify:
        unknown, target = context.unknown_id, Notification(context.unknown_id, "WEBHOOK")
        event = RunEvent(type="ETL", pipeline_id=unknown, pipeline_name="conformance", status="ERROR")
        return expect_refusal(lambda: push(context.organization, event, target), "not found")
    if context.event is None:
        raise Unclear("what was named has no active webhook subscriber")
    if push(context.organization, *context.event, key=f"conformance:{context.mark}:enqueue") is None:
        raise Mismatch("the subscriber does not want events of an ERROR")
    return "accepted: the subscriber gets one event"


_EXECUTING = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=1)
TEAR_DOWN = Probe(ops.UPDATE_EXECUTION, "STOPPED, read back, no row left open", _stop)
_ALL = (
    Probe(ops.CREATE_EXECUTION, "a new execution of the scratch workflow", _create),
    Probe(ops.CREATE_FILE, "a row for a file of it", _create_row),
    Probe(ops.CREATE_FILES, "two rows, in the list", _create_rows),
    Probe(ops.UPDATE_EXECUTION, "EXECUTING, read back", lambda it: _write_status(it, _EXECUTING)),
    Probe(ops.UPDATE_FILE, "EXECUTING, read back", _update_row),
    Probe(ops.UPDATE_FILES, "PENDING, read back", _update_rows),
    Probe(ops.EXECUTE_FILE, "status success, with a result", _execute),
    Probe(ops.CREATE_HISTORY, "a row, found again", _create_history),
    Probe(ops.MARK_DISPATCHED, "a number of rows", _dispatched),
    Probe(ops.MARK_DEAD_LETTER, "a number of rows", _dead_letter),
    Probe(ops.CLEAN_UP, "cleaned up, or not offered", _clean_up),
    Probe(ops.UPDATE_PIPELINE, f"SUCCESS and FAILURE, read back; else {UNKNOWN_ID}", _update_pipeline),
    Probe(ops.ENQUEUE, f"one event, accepted (--notify); else {UNKNOWN_ID}", _enqueue),
)
WRITING: Mapping[Operation, Probe] = {each.operation: each for each in _ALL}
