"""Probes that change nothing: with the operator's workflow where one is named, else with ids that do not exist."""

from collections.abc import Mapping

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.executions import TokenUsage
from unstract_worker_core.backend.history import HistoryQuery
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.backend.pipelines import NotificationTargets, RunEvent
from unstract_worker_core.backend.workflows import SourceFile
from unstract_worker_core.operator.conformance import (
    UNKNOWN_ID,
    Mismatch,
    Probe,
    ProbeContext,
    Unclear,
    expect_refusal,
)
from unstract_worker_core.statuses import ExecutionStatus


def _health(context: ProbeContext) -> str:
    context.backend.check()
    return "healthy"


def _execution(context: ProbeContext) -> str:
    return expect_refusal(lambda: context.backend.executions.get(context.organization, context.unknown_id), "not found")


def _executions(context: ProbeContext) -> str:
    found = context.backend.executions.list(context.organization, context.workflow_id, [ExecutionStatus.PENDING])
    return f"{len(found)} executions"


def _tools(context: ProbeContext) -> str:
    return f"{len(context.backend.workflows.tool_instances(context.organization, context.workflow_id))} tools"


def _ends(context: ProbeContext) -> str:
    found = context.backend.tooling.workflow(context.organization, context.workflow_id)
    return f"source {found.source_config.connection_type}, destination {found.destination_config.connection_type}"


def _tool(context: ProbeContext) -> str:
    """The backend makes up an image for a tool that does not exist."""
    return f"image {context.backend.tooling.image(context.organization, context.unknown_id).image_name}"


def _platform_key(context: ProbeContext) -> str:
    if context.backend.tooling.platform_key(context.organization) is None:
        text = "a setting of the organization is missing, not the operation"
        raise Unclear(f"{text}: it has no active platform key; create one in its platform settings")
    return "a key"


def _validate(context: ProbeContext) -> str:
    found = context.backend.workflows.validate_tools(context.organization, context.workflow_id, [])
    if not found.success:
        raise Mismatch("an empty list of tools is invalid")
    return "success"


def _sources(context: ProbeContext) -> str:
    execution = context.execution_id or context.unknown_id
    files = context.backend.workflows.source_files(context.organization, context.workflow_id, execution)
    context.source = next((file for file in files if isinstance(file, SourceFile)), None)
    return f"{len(files)} files"


def _row(context: ProbeContext) -> str:
    return expect_refusal(lambda: context.backend.files.get(context.organization, context.unknown_id), "not found")


def _active(context: ProbeContext) -> str:
    asked = [(f"conformance-{context.mark}", f"conformance/{context.mark}")]
    if context.backend.files.check_active(context.organization, context.workflow_id, asked, None):
        raise Mismatch("a file that does not exist is in use")
    return "none in use"


def _history(context: ProbeContext) -> str:
    found = context.backend.history.by_hash(context.organization, context.workflow_id, context.mark)
    if found is not None:
        raise Mismatch("a history of content that was never there")
    return "no history"


def _histories(context: ProbeContext) -> str:
    found = context.backend.history.check_batch(context.organization, context.workflow_id, [context.mark])
    if found:
        raise Mismatch("content that was never there was processed")
    return "none processed"


def _many_histories(context: ProbeContext) -> str:
    asked = HistoryQuery(identifier="scratch", file_path=context.mark, provider_file_uuid=context.mark)
    found = context.backend.history.find_many(context.organization, context.workflow_id, [asked])
    if found:
        raise Mismatch("a history of a file that does not exist")
    return "no history"


def _tokens(context: ProbeContext) -> str:
    usage = context.backend.usage.tokens(context.organization, context.row_id or context.unknown_id)
    return "nothing counted: all null" if usage == TokenUsage() else "counts"


def _pages(context: ProbeContext) -> str:
    pages = context.backend.usage.pages(context.organization, context.row_id or context.unknown_id)
    return "nothing counted: null" if pages is None else f"{pages} pages"


def _configuration(context: ProbeContext) -> str:
    batches = context.backend.workflows.max_parallel_file_batches(context.organization)
    if batches is None:
        raise Mismatch("the setting or the organization is not known")
    return f"{batches} batches"


def _pipeline(context: ProbeContext) -> str:
    read, pipeline_id = context.backend.pipelines.get, context.pipeline_id
    if pipeline_id is None:
        return expect_refusal(lambda: read(context.organization, context.unknown_id), "not found")
    found = read(context.organization, pipeline_id)
    return f"{found.type} {found.name}"


def _pipeline_targets(context: ProbeContext) -> str:
    read, pipeline_id = context.backend.notifications.for_pipeline, context.pipeline_id
    if pipeline_id is None:
        return expect_refusal(lambda: read(context.organization, context.unknown_id), "not found")
    return _subscribers(context, read(context.organization, pipeline_id), "ETL", pipeline_id)


def _api_targets(context: ProbeContext) -> str:
    read, api_id = context.backend.notifications.for_api, context.api_id
    if api_id is None:
        return expect_refusal(lambda: read(context.organization, context.unknown_id), "refused")
    return _subscribers(context, read(context.organization, api_id), "API", api_id)


def _subscribers(context: ProbeContext, targets: NotificationTargets, kind: str, target_id: str) -> str:
    active = [each for each in targets.notifications if each.is_active and each.notification_type == "WEBHOOK"]
    if active and context.event is None:
        event = RunEvent(
            type=kind, pipeline_id=target_id, pipeline_name=targets.name, status="ERROR",
            execution_id=context.execution_id, error_message="a conformance run",
        )  # fmt: skip
        context.event = (event, active[0])
    return f"{len(active)} subscribers of {targets.name}"


_NO_WORKFLOW = "no such workflow"
_TARGETS = f"the subscribers of what was named; else {UNKNOWN_ID}"
_ALL = (
    Probe(ops.HEALTH, "healthy, as JSON", _health),
    Probe(ops.GET_EXECUTION, UNKNOWN_ID, _execution),
    Probe(ops.LIST_EXECUTIONS, "a list", _executions),
    Probe(ops.TOOL_INSTANCES, "a list, or no such workflow", _tools, _NO_WORKFLOW),
    Probe(ops.WORKFLOW, "its ends, or no such workflow", _ends, _NO_WORKFLOW),
    Probe(ops.TOOL, "an image, also of a tool that does not exist", _tool),
    Probe(ops.PLATFORM_KEY, "a key", _platform_key),
    Probe(ops.VALIDATE_TOOLS, "success where nothing is to be validated", _validate),
    Probe(ops.SOURCE_FILES, "a list, or no such workflow or execution", _sources, "no such workflow or execution"),
    Probe(ops.LIST_FILES, "a list", lambda it: f"{len(it.backend.files.list(it.organization, it.unknown_id))} rows"),
    Probe(ops.GET_FILE, UNKNOWN_ID, _row),
    Probe(ops.CHECK_ACTIVE, "no file in use that does not exist", _active),
    Probe(ops.HISTORY_BY_HASH, "found: false, or no such workflow", _history, _NO_WORKFLOW),
    Probe(ops.CHECK_HISTORY, "no content that was never there", _histories, _NO_WORKFLOW),
    Probe(ops.FIND_HISTORIES, "found: false, or no such workflow", _many_histories, _NO_WORKFLOW),
    Probe(ops.TOKENS, "counts, or nulls", _tokens),
    Probe(ops.PAGES, "a number, or null", _pages),
    Probe(ops.CONFIGURATION, "MAX_PARALLEL_FILE_BATCHES of the organization", _configuration),
    Probe(ops.GET_PIPELINE, f"the pipeline that was named; else {UNKNOWN_ID}", _pipeline),
    Probe(ops.PIPELINE_TARGETS, _TARGETS, _pipeline_targets),
    Probe(ops.API_TARGETS, _TARGETS, _api_targets),
)
READING: Mapping[Operation, Probe] = {each.operation: each for each in _ALL}
