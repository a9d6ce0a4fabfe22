"""Probes of a pipeline, an API deployment and their subscribers: those named, else ids that do not exist."""

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.pipelines import Notification, NotificationTargets, RunEvent
from unstract_worker_core.operator.conformance.probes import (
    UNKNOWN_ID,
    Mismatch,
    Probe,
    ProbeContext,
    Unclear,
    expect_refusal,
)
from unstract_worker_core.statuses import PipelineStatus


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
    return "taken: the subscriber gets one event"


_TARGETS = f"the subscribers of what was named; else {UNKNOWN_ID}"
READING_PIPELINES = (
    Probe(ops.GET_PIPELINE, f"the pipeline that was named; else {UNKNOWN_ID}", _pipeline),
    Probe(ops.PIPELINE_TARGETS, _TARGETS, _pipeline_targets),
    Probe(ops.API_TARGETS, _TARGETS, _api_targets),
)
WRITING_PIPELINES = (
    Probe(ops.UPDATE_PIPELINE, f"SUCCESS and FAILURE, read back; else {UNKNOWN_ID}", _update_pipeline),
    Probe(ops.ENQUEUE, f"one event, taken (--notify); else {UNKNOWN_ID}", _enqueue),
)
