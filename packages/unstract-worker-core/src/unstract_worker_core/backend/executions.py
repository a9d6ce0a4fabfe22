"""Executions: read, list, create, set the status, clean up."""

from collections.abc import Iterable

from attrs import evolve, frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend import models, operations
from unstract_worker_core.backend.answers import Answer, Json
from unstract_worker_core.backend.caller import Caller
from unstract_worker_core.backend.ids import uuids
from unstract_worker_core.backend.verdicts import one_line
from unstract_worker_core.errors import BackendRefused
from unstract_worker_core.statuses import ExecutionStatus

_METHOD_NOT_ALLOWED = 405


@frozen
class Executions:
    """Calls about executions."""

    _call: Caller

    def get(self, organization_id: str, execution_id: str, *, include_cost: bool = False) -> models.Execution:
        """An execution. Raises NotFound if there is none of this id."""
        query = {"file_execution": "false"} | ({"include_cost": "true"} if include_cost else {})
        ids = uuids(execution_id=execution_id)
        answer = self._call(operations.GET_EXECUTION, organization_id, ids=ids, query=query)
        execution = _execution(answer)
        if execution.id != ids["execution_id"]:
            raise answer.unexpected("execution.id: not the one that was asked for")
        return execution

    def list(
        self, organization_id: str, workflow_id: str | None, statuses: Iterable[ExecutionStatus]
    ) -> tuple[models.ExecutionSummary, ...]:
        """The executions of a workflow (None: of all) that are in one of `statuses`, in the backend's order."""
        wanted = ",".join(status.value for status in statuses)
        query = (uuids(workflow_id=workflow_id) if workflow_id else {}) | {"status__in": wanted}
        answer = self._call(operations.LIST_EXECUTIONS, organization_id, query=query)
        return answer.many(models.ExecutionSummary, answer.items())

    def update_status(
        self, organization_id: str, execution_id: str, update: models.StatusUpdate, *, key: str | None = None
    ) -> models.StatusWritten:
        """Write a status, with counts and error in the same call. A 200 is no proof: look at `written`.

        On OutcomeUnknown read the execution before writing again: somebody may have stopped or ended it meanwhile.
        """
        if update.error_message is not None:
            update = evolve(update, error_message=one_line(update.error_message))
        ids, body = uuids(execution_id=execution_id), serialization.unstructure(update)
        answer = self._call(operations.UPDATE_EXECUTION, organization_id, ids=ids, body=body, key=key)
        if answer.member("status") == "updated":
            return models.StatusWritten(written=True)
        if answer.member("status") == "skipped":
            return models.StatusWritten(written=False, reason=one_line(str(answer.member("reason"))))
        raise answer.unexpected("status: neither updated nor skipped")

    def create(
        self, organization_id: str, execution: models.NewExecution, *, key: str | None = None
    ) -> models.CreatedExecution:
        """Create an execution; each call makes one. On OutcomeUnknown look into the list before calling again."""
        body = serialization.unstructure(execution)
        answer = self._call(operations.CREATE_EXECUTION, organization_id, body=body, key=key)
        return answer.one(models.CreatedExecution, answer.object())

    def cleanup(self, organization_id: str, execution_ids: Iterable[str], *, key: str | None = None) -> bool:
        """Clean staging directories and caches up; False where the backend does not offer it."""
        body = {"execution_ids": [uuids(execution_id=each)["execution_id"] for each in execution_ids]}
        try:
            self._call(operations.CLEAN_UP, organization_id, body=body, key=key)
        except BackendRefused as error:
            if error.status == _METHOD_NOT_ALLOWED:
                return False
            raise
        return True


def _execution(answer: Answer) -> models.Execution:
    source = answer.object("source_config")
    destination = answer.object("destination_config")
    found: dict[str, Json] = {
        **answer.object("execution"),
        "organization_id": answer.member("organization_context", "organization_id"),
        "workflow_type": answer.member("workflow_definition", "workflow_type"),
        "is_api": source.get("is_api") is True or destination.get("is_api") is True,
        "source_type": source.get("type"),
        "destination_type": destination.get("connection_type"),
        "use_file_history": destination.get("use_file_history", True),
        "usage_cost": answer.object().get("aggregated_usage_cost"),
    }
    tags = found.get("tags")
    names = [tag.get("name") for tag in tags if isinstance(tag, dict)] if isinstance(tags, list) else []
    return answer.one(models.Execution, {**found, "tags": names})
