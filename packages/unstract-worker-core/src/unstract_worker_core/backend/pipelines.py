"""Pipelines, API deployments, and events for their subscribers, which the backend delivers."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime

from attrs import asdict, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Resource
from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.backend.parts import Part, in_parts
from unstract_worker_core.identifiers import uuids
from unstract_worker_core.serialization import replace_surrogates
from unstract_worker_core.statuses import ExecutionStatus, PipelineStatus, RunKind

IN_PROGRESS = "INPROGRESS"


@frozen
class Pipeline:
    """A pipeline, or the API deployment of that id. `type`: ETL, TASK, API, APP or DEFAULT.

    `last_run_status` is as the backend has it; None where it is not given, as for an API deployment.
    """

    id: str
    name: str
    type: str
    is_api: bool
    workflow_id: str
    active: bool
    last_run_status: str | None = None


class Pipelines(Resource):
    """Calls about pipelines and API deployments."""

    def get(self, organization_id: str, pipeline_id: str) -> Pipeline:
        """A pipeline, or the API deployment of that id. Raises NotFound."""
        response = self._call(operations.GET_PIPELINE, organization_id, ids=uuids(pipeline_id=pipeline_id))
        is_api = response.member("pipeline", "is_api")
        found = {
            "id": response.member("pipeline", "id"),
            "name": response.member("pipeline", "resolved_pipeline_name"),
            "type": response.member("pipeline", "resolved_pipeline_type"),
            "is_api": is_api,
            "workflow_id": response.member("pipeline", "workflow"),
            "active": response.member("pipeline", "is_active" if is_api else "active"),
            "last_run_status": response.object("pipeline").get("last_run_status"),
        }
        return response.one(Pipeline, found)

    def update(
        self,
        organization_id: str,
        pipeline_id: str,
        status: PipelineStatus,
        *,
        is_end: bool = False,
        key: str | None = None,
    ) -> None:
        """Write the last run's status; `is_end` also sets its time. Raises BackendRefused for a paused pipeline."""
        ids, body = uuids(pipeline_id=pipeline_id), {"status": status} | ({"is_end": True} if is_end else {})
        response = self._call(operations.UPDATE_PIPELINE, organization_id, ids=ids, body=body, key=key)
        if response.member("status") != "success":
            raise response.unexpected("status: not success")


@frozen
class Notification:
    """A subscriber. Its URL and keys stay with the backend, which does the sending."""

    id: str
    notification_type: str
    platform: str | None = None
    is_active: bool = True
    notify_on_failures: bool = False


@frozen
class ExecutionCounts:
    """Files of a run, as the backend counted them."""

    total_files: int = 0
    successful_files: int = 0
    failed_files: int = 0


@frozen
class NotificationTargets:
    """The subscribers of a run; `counts` is None where the backend does not say, or not readably."""

    name: str
    notifications: tuple[Notification, ...] = ()
    counts: ExecutionCounts | None = None


@frozen(kw_only=True)
class RunEvent:
    """What happened to a run, for any of its subscribers.

    Attributes:
        type: ``API`` or ``ETL``.
        status: as subscribers know it, see `status_text`.
        execution_id: None for INPROGRESS only.
        additional_data: the files of a run that ended.
    """

    type: str
    pipeline_id: str
    pipeline_name: str
    status: str
    execution_id: str | None = None
    error_message: str | None = None
    additional_data: ExecutionCounts | None = None


class Notifications(Resource):
    """Calls about notifications."""

    def for_pipeline(
        self, organization_id: str, pipeline_id: str, *, execution_id: str | None = None
    ) -> NotificationTargets:
        """Active targets of a pipeline; with an execution only those that its outcome concerns (write it first)."""
        target = uuids(target_id=pipeline_id)
        return self._targets(operations.PIPELINE_TARGETS, organization_id, target, execution_id, "pipeline_name")

    def for_api(self, organization_id: str, api_id: str, *, execution_id: str | None = None) -> NotificationTargets:
        """Active targets of an API deployment. A deployment that is gone is BackendRefused, not NotFound."""
        target = uuids(target_id=api_id)
        return self._targets(operations.API_TARGETS, organization_id, target, execution_id, "api_name")

    def enqueue(
        self, organization_id: str, event: RunEvent, target: Notification, *, key: str | None = None
    ) -> str | None:
        """Hand an event for a target over; the id of its buffer row, or None where the target does not want it."""
        body = serialization.unstructure(event)
        body |= {"notification_id": target.id, "platform": target.platform or "API"}
        body["timestamp"] = datetime.now(UTC).isoformat()
        if event.additional_data is not None:
            body["additional_data"] = asdict(event.additional_data)  # zeros too
        response = self._call(operations.ENQUEUE, organization_id, body=body, key=key)
        row = response.member("buffer_row_id")
        if row is None or isinstance(row, str):
            return row
        raise response.unexpected("buffer_row_id: not a string")

    def mark_dispatched(self, organization_pk: int, row_ids: Iterable[str]) -> int:
        """Report buffered rows as delivered; returns how many rows that changed.

        `organization_pk` is the organization's primary key, as the delivery task carries it. By contract this
        call and `mark_dead_letter` are made with the key alone, without an organization header.
        """
        return self._mark(operations.MARK_DISPATCHED, organization_pk, row_ids)

    def mark_dead_letter(self, organization_pk: int, row_ids: Iterable[str]) -> int:
        """Report that buffered rows are not delivered any more; returns how many rows that changed."""
        return self._mark(operations.MARK_DEAD_LETTER, organization_pk, row_ids)

    def _mark(self, operation: Operation, organization_pk: int, row_ids: Iterable[str]) -> int:
        rows = [uuids(buffer_row_id=row)["buffer_row_id"] for row in row_ids]

        def mark(some: Sequence[str], _: Part) -> int:
            body = {"buffer_row_ids": some, "organization_id": organization_pk}
            return self._call(operation, None, body=body).typed(int, "an integer", "updated")

        return sum(in_parts(mark, rows))

    def _targets(
        self, operation: Operation, organization_id: str, target: dict[str, str], execution_id: str | None, name: str
    ) -> NotificationTargets:
        query = {} if execution_id is None else uuids(execution_id=execution_id)
        response = self._call(operation, organization_id, ids=target, query=query)
        counts = response.object("execution_counts")
        return NotificationTargets(
            name=replace_surrogates(str(response.member(name))),
            notifications=response.readable(Notification, response.items("notifications")),
            counts=next(iter(response.readable(ExecutionCounts, [counts] if counts else [])), None),
        )


def status_text(status: ExecutionStatus, kind: RunKind) -> str:
    """A final status as subscribers know it."""
    if status is ExecutionStatus.COMPLETED:
        return "COMPLETED" if kind is RunKind.API else "SUCCESS"
    return status.value


def wanted_targets(targets: NotificationTargets) -> Iterator[Notification]:
    """The subscribers that are notified about runs."""
    return (each for each in targets.notifications if each.is_active and each.notification_type == "WEBHOOK")
