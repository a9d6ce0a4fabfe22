"""Tries that change nothing: with the operator's workflow where one is named, else with ids that nobody has."""

from collections.abc import Mapping

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.history import HistoryQuery
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.backend.workflows import SourceFile
from unstract_worker_core.errors import NotFound
from unstract_worker_core.operator.conformance.pipelines import READING_PIPELINES
from unstract_worker_core.operator.conformance.scene import NO_SUCH, Mismatch, Scene, Try, refused
from unstract_worker_core.statuses import ExecutionStatus

__all__ = ["READING"]


def _health(scene: Scene) -> str:
    scene.backend.check()
    return "healthy"


def _execution(scene: Scene) -> str:
    return refused(lambda: scene.backend.executions.get(scene.organization, scene.nobody), "not found")


def _executions(scene: Scene) -> str:
    found = scene.backend.executions.list(scene.organization, scene.workflow_id, [ExecutionStatus.PENDING])
    return f"{len(found)} executions"


def _tools(scene: Scene) -> str:
    try:
        return f"{len(scene.backend.workflows.tool_instances(scene.organization, scene.workflow_id))} tools"
    except NotFound as error:
        return f"no such workflow (HTTP {error.status})"


def _validate(scene: Scene) -> str:
    found = scene.backend.tools.validate(scene.organization, scene.workflow_id, [])
    if not found.success:
        raise Mismatch("no tools were called invalid")
    return "success"


def _sources(scene: Scene) -> str:
    execution = scene.execution_id or scene.nobody
    try:
        files = scene.backend.workflows.source_files(scene.organization, scene.workflow_id, execution)
    except NotFound as error:
        return f"no such workflow or execution (HTTP {error.status})"
    scene.source = next((file for file in files if isinstance(file, SourceFile)), None)
    return f"{len(files)} files"


def _rows(scene: Scene) -> str:
    return f"{len(scene.backend.files.list(scene.organization, scene.nobody))} rows"


def _row(scene: Scene) -> str:
    return refused(lambda: scene.backend.files.get(scene.organization, scene.nobody), "not found")


def _active(scene: Scene) -> str:
    asked = [(f"conformance-{scene.mark}", f"conformance/{scene.mark}")]
    if scene.backend.files.check_active(scene.organization, scene.workflow_id, asked, None):
        raise Mismatch("a file that nobody has is in use")
    return "none in use"


def _history(scene: Scene) -> str:
    try:
        found = scene.backend.history.by_hash(scene.organization, scene.workflow_id, scene.mark)
    except NotFound as error:
        return f"no such workflow (HTTP {error.status})"
    if found is not None:
        raise Mismatch("a history of content that nobody has")
    return "no history"


def _histories(scene: Scene) -> str:
    try:
        found = scene.backend.history.check_batch(scene.organization, scene.workflow_id, [scene.mark])
    except NotFound as error:
        return f"no such workflow (HTTP {error.status})"
    if found:
        raise Mismatch("content that nobody has was processed")
    return "none processed"


def _many_histories(scene: Scene) -> str:
    asked = HistoryQuery(identifier="scratch", file_path=scene.mark, provider_file_uuid=scene.mark)
    try:
        found = scene.backend.history.find_many(scene.organization, scene.workflow_id, [asked])
    except NotFound as error:
        return f"no such workflow (HTTP {error.status})"
    if found:
        raise Mismatch("a history of a file that nobody has")
    return "no history"


def _tokens(scene: Scene) -> str:
    scene.backend.usage.tokens(scene.organization, scene.row_id or scene.nobody)
    return "counts"


def _pages(scene: Scene) -> str:
    return f"{scene.backend.usage.pages(scene.organization, scene.row_id or scene.nobody)} pages"


def _configuration(scene: Scene) -> str:
    batches = scene.backend.configuration.max_parallel_file_batches(scene.organization)
    if batches is None:
        raise Mismatch("the setting or the organization is not known")
    return f"{batches} batches"


_ALL = (
    Try(ops.HEALTH, "healthy, as JSON", _health),
    Try(ops.GET_EXECUTION, NO_SUCH, _execution),
    Try(ops.LIST_EXECUTIONS, "a list", _executions),
    Try(ops.TOOL_INSTANCES, "a list, or no such workflow", _tools),
    Try(ops.VALIDATE_TOOLS, "success where nothing is to be validated", _validate),
    Try(ops.SOURCE_FILES, "a list, or no such workflow or execution", _sources),
    Try(ops.LIST_FILES, "a list", _rows),
    Try(ops.GET_FILE, NO_SUCH, _row),
    Try(ops.CHECK_ACTIVE, "no file that nobody has", _active),
    Try(ops.HISTORY_BY_HASH, "found: false, or no such workflow", _history),
    Try(ops.CHECK_HISTORY, "no content that nobody has", _histories),
    Try(ops.FIND_HISTORIES, "found: false, or no such workflow", _many_histories),
    Try(ops.TOKENS, "counts, or nulls", _tokens),
    Try(ops.PAGES, "a number, or null", _pages),
    Try(ops.CONFIGURATION, "MAX_PARALLEL_FILE_BATCHES of the organization", _configuration),
)
READING: Mapping[Operation, Try] = {each.operation: each for each in (*_ALL, *READING_PIPELINES)}
