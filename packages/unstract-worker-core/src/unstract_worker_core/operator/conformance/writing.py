"""Tries that write: into the operator's scratch workflow, or at ids that nobody has."""

from collections.abc import Mapping

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.executions import NewExecution, StatusUpdate
from unstract_worker_core.backend.files import ExecuteFile, FileHash, FileStatusUpdate, FileToExecute
from unstract_worker_core.backend.history import NewHistory
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.errors import BackendRefused
from unstract_worker_core.operator.conformance.pipelines import WRITING_PIPELINES
from unstract_worker_core.operator.conformance.scene import Mismatch, Scene, Try, Unclear
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["TEAR_DOWN", "WRITING"]

# What a backend says that has the route and not the work behind it.
_NOTHING_BEHIND = ("has no attribute", "not implemented", "is not defined")


def _create(scene: Scene) -> str:
    wanted = NewExecution(workflow_id=scene.workflow_id, log_events_id=scene.nobody, total_files=1)
    made = scene.backend.executions.create(scene.organization, wanted, key=f"conformance:{scene.mark}:create")
    scene.execution_id = made.execution_id
    return "created"


def _create_row(scene: Scene) -> str:
    file, source = _file(scene), scene.source
    request = FileHash(
        file_name=file.name, file_path=file.file_path, file_hash=file.file_hash, file_size=file.file_size,
        provider_file_uuid=file.provider_file_uuid, source_connection_type="FILESYSTEM" if source else "API",
    )  # fmt: skip
    row = scene.backend.files.create(scene.organization, _execution(scene), scene.workflow_id, request)
    scene.row_id = row.id
    return "created"


def _create_rows(scene: Scene) -> str:
    """Rows together, of files of the same execution that are not worked on."""
    names = [f"conformance-{scene.mark}-{number}.txt" for number in (1, 2)]
    wanted = [
        FileHash(file_name=name, file_path=name, source_connection_type="FILESYSTEM", file_hash=f"{scene.mark}{number}")
        for number, name in enumerate(names)
    ]
    made = scene.backend.files.create_many(scene.organization, _execution(scene), wanted)
    if made.failed:
        raise Mismatch(f"not created: {made.failed[0][1]}")
    there = {row.file_name for row in scene.backend.files.list(scene.organization, _execution(scene))}
    if not there.issuperset(names):
        raise Mismatch("said to be created, and not in the list")
    return "created and in the list"


def _update_execution(scene: Scene) -> str:
    update = StatusUpdate(status=ExecutionStatus.EXECUTING, total_files=1)
    return _write_status(scene, update)


def _update_row(scene: Scene) -> str:
    executing = FileStatusUpdate(status=ExecutionStatus.EXECUTING)
    scene.backend.files.update_status(scene.organization, _row(scene), executing)
    return _read_row(scene, ExecutionStatus.EXECUTING)


def _update_rows(scene: Scene) -> str:
    pending = FileStatusUpdate(status=ExecutionStatus.PENDING)
    written = scene.backend.files.update_statuses(scene.organization, [(_row(scene), pending)])
    if written.failed:
        raise Mismatch(f"not written: {written.failed[0][1]}")
    return _read_row(scene, ExecutionStatus.PENDING)


def _execute(scene: Scene) -> str:
    request = ExecuteFile(workflow_id=scene.workflow_id, execution_id=_execution(scene), file=_file(scene))
    try:
        scene.backend.files.execute(scene.organization, request)
    except BackendRefused as error:
        told = f"{error.message} (HTTP {error.status})"
        gone = error.status != 200 or any(word in error.message for word in _NOTHING_BEHIND)
        raise (Mismatch if gone or scene.source else Unclear)(told) from None
    return "success"


def _create_history(scene: Scene) -> str:
    row = NewHistory(
        workflow_id=scene.workflow_id, file_hash=scene.mark, file_name="conformance.txt",
        status=ExecutionStatus.ERROR, is_api=True, error="a conformance run",
    )  # fmt: skip
    scene.backend.history.create(scene.organization, row)
    if scene.backend.history.by_hash(scene.organization, scene.workflow_id, scene.mark) is None:
        raise Mismatch("written, and not found again")
    return "written and found again"


def _dispatched(scene: Scene) -> str:
    return f"{scene.backend.notifications.mark_dispatched(1, [scene.nobody])} rows marked"


def _dead_letter(scene: Scene) -> str:
    return f"{scene.backend.notifications.mark_dead_letter(1, [scene.nobody])} rows marked"


def _clean_up(scene: Scene) -> str:
    done = scene.backend.executions.cleanup(scene.organization, [_execution(scene)])
    return "cleaned up" if done else "not offered (HTTP 405): clean staging directories up at the backend"


def _stop(scene: Scene) -> str:
    update = StatusUpdate(status=ExecutionStatus.STOPPED, error_message="a conformance run")
    return _write_status(scene, update)


def _write_status(scene: Scene, update: StatusUpdate) -> str:
    written = scene.backend.executions.update_status(scene.organization, _execution(scene), update)
    if not written.written:
        raise Mismatch(f"skipped: {written.reason}")
    found = scene.backend.executions.get(scene.organization, _execution(scene)).status
    if found is not update.status:
        raise Mismatch(f"accepted, and reads back {found}")
    return "written and read back"


def _read_row(scene: Scene, wanted: ExecutionStatus) -> str:
    found = scene.backend.files.get(scene.organization, _row(scene)).status
    if found is not wanted:
        raise Mismatch(f"accepted, and reads back {found or 'no status'}")
    return "written and read back"


def _file(scene: Scene) -> FileToExecute:
    """The first file of the workflow's source; of an API workflow one that was never uploaded."""
    source, name = scene.source, f"conformance-{scene.mark}.txt"
    if source is None:
        return FileToExecute(
            name=name, file_path=name, file_hash=scene.mark, file_size=1, file_execution_id=scene.row_id, file_number=1
        )
    return FileToExecute(
        name=source.file_name, file_path=source.file_path, file_hash=source.file_hash, file_size=source.file_size,
        mime_type=source.mime_type, provider_file_uuid=source.provider_file_uuid, file_execution_id=scene.row_id,
        source_connection_type=source.source_connection_type, file_number=1, fs_metadata=source.fs_metadata,
    )  # fmt: skip


def _execution(scene: Scene) -> str:
    if scene.execution_id is None:
        raise Unclear("there is no scratch execution to try it with")
    return scene.execution_id


def _row(scene: Scene) -> str:
    if scene.row_id is None:
        raise Unclear("there is no scratch row to try it with")
    return scene.row_id


TEAR_DOWN = Try(ops.UPDATE_EXECUTION, "STOPPED, read back", _stop)
_ALL = (
    Try(ops.CREATE_EXECUTION, "a new execution of the scratch workflow", _create),
    Try(ops.CREATE_FILE, "a row for a file of it", _create_row),
    Try(ops.CREATE_FILES, "two rows, in the list", _create_rows),
    Try(ops.UPDATE_EXECUTION, "EXECUTING, read back", _update_execution),
    Try(ops.UPDATE_FILE, "EXECUTING, read back", _update_row),
    Try(ops.UPDATE_FILES, "PENDING, read back", _update_rows),
    Try(ops.EXECUTE_FILE, "status success, with a result", _execute),
    Try(ops.CREATE_HISTORY, "a row, found again", _create_history),
    Try(ops.MARK_DISPATCHED, "a number of rows", _dispatched),
    Try(ops.MARK_DEAD_LETTER, "a number of rows", _dead_letter),
    Try(ops.CLEAN_UP, "cleaned up, or not offered", _clean_up),
)
WRITING: Mapping[Operation, Try] = {each.operation: each for each in (*_ALL, *WRITING_PIPELINES)}
