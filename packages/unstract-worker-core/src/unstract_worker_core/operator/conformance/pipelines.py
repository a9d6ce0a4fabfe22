"""Tries about a pipeline, an API deployment and their subscribers: those that were named, else ids of nobody."""

from datetime import UTC, datetime

from unstract_worker_core.backend import operations as ops
from unstract_worker_core.backend.notifications import NotificationEvent, NotificationTargets
from unstract_worker_core.backend.pipelines import PipelineUpdate
from unstract_worker_core.operator.conformance.scene import NO_SUCH, Mismatch, Scene, Try, Unclear, refused
from unstract_worker_core.statuses import PipelineStatus

__all__ = ["READING_PIPELINES", "WRITING_PIPELINES"]


def _pipeline(scene: Scene) -> str:
    read, pipeline_id = scene.backend.pipelines.get, scene.pipeline_id
    if pipeline_id is None:
        return refused(lambda: read(scene.organization, scene.nobody), "not found")
    found = read(scene.organization, pipeline_id)
    return f"{found.type} {found.name}"


def _pipeline_targets(scene: Scene) -> str:
    read, pipeline_id = scene.backend.notifications.for_pipeline, scene.pipeline_id
    if pipeline_id is None:
        return refused(lambda: read(scene.organization, scene.nobody), "not found")
    return _subscribers(scene, read(scene.organization, pipeline_id), "ETL", pipeline_id)


def _api_targets(scene: Scene) -> str:
    read, api_id = scene.backend.notifications.for_api, scene.api_id
    if api_id is None:
        return refused(lambda: read(scene.organization, scene.nobody), "refused")
    return _subscribers(scene, read(scene.organization, api_id), "API", api_id)


def _subscribers(scene: Scene, targets: NotificationTargets, kind: str, target_id: str) -> str:
    told = [each for each in targets.notifications if each.is_active and each.notification_type == "WEBHOOK"]
    if told and scene.event is None:
        scene.event = NotificationEvent(
            notification_id=told[0].id, type=kind, pipeline_id=target_id, pipeline_name=targets.name,
            status="ERROR", platform=told[0].platform or "API", execution_id=scene.execution_id,
            error_message="a conformance run", timestamp=datetime.now(UTC).isoformat(),
        )  # fmt: skip
    return f"{len(told)} subscribers of {targets.name}"


def _update_pipeline(scene: Scene) -> str:
    """Both statuses that end a run, so that the second one cannot have been there before."""
    write, pipeline_id = scene.backend.pipelines.update, scene.pipeline_id
    if pipeline_id is None:
        update = PipelineUpdate(PipelineStatus.FAILURE, is_end=True)
        return refused(lambda: write(scene.organization, scene.nobody, update), "not found")
    named = scene.backend.pipelines.get(scene.organization, pipeline_id)
    if named.is_api or not named.active:
        why = "is an API deployment, of which nothing is written" if named.is_api else "is paused"
        raise Unclear(f"{named.name} {why}")
    for status in (PipelineStatus.SUCCESS, PipelineStatus.FAILURE):
        write(scene.organization, pipeline_id, PipelineUpdate(status, is_end=True))
        found = scene.backend.pipelines.get(scene.organization, pipeline_id).last_run_status
        if found != status:
            raise Mismatch(f"accepted {status}, and reads back {found or 'no status'}")
    return "written and read back"


def _enqueue(scene: Scene) -> str:
    push = scene.backend.notifications.enqueue
    if not scene.notify:
        event = NotificationEvent(
            notification_id=scene.nobody, type="ETL", pipeline_id=scene.nobody, pipeline_name="conformance",
            status="ERROR", platform="API",
        )  # fmt: skip
        return refused(lambda: push(scene.organization, event), "not found")
    if scene.event is None:
        raise Unclear("what was named has no active webhook subscriber")
    if push(scene.organization, scene.event, key=f"conformance:{scene.mark}:enqueue") is None:
        raise Mismatch("the subscriber is not to be told of an ERROR")
    return "taken: the subscriber gets one event"


_TARGETS = f"the subscribers of what was named; else {NO_SUCH}"
READING_PIPELINES = (
    Try(ops.GET_PIPELINE, f"the pipeline that was named; else {NO_SUCH}", _pipeline),
    Try(ops.PIPELINE_TARGETS, _TARGETS, _pipeline_targets),
    Try(ops.API_TARGETS, _TARGETS, _api_targets),
)
WRITING_PIPELINES = (
    Try(ops.UPDATE_PIPELINE, f"SUCCESS and FAILURE, read back; else {NO_SUCH}", _update_pipeline),
    Try(ops.ENQUEUE, f"one event, taken (--notify); else {NO_SUCH}", _enqueue),
)
