"""Pipelines and API deployments."""

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Caller
from unstract_worker_core.identifiers import uuids
from unstract_worker_core.statuses import PipelineStatus


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


@frozen
class PipelineUpdate:
    """What to write as a pipeline's last run; `is_end` also sets the time of it."""

    status: PipelineStatus
    is_end: bool = False


@frozen
class Pipelines:
    """Calls about pipelines and API deployments."""

    _call: Caller

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

    def update(self, organization_id: str, pipeline_id: str, update: PipelineUpdate, *, key: str | None = None) -> None:
        """Write the status of the last run. Raises BackendRefused for a paused pipeline."""
        ids, body = uuids(pipeline_id=pipeline_id), serialization.unstructure(update)
        response = self._call(operations.UPDATE_PIPELINE, organization_id, ids=ids, body=body, key=key)
        if response.member("status") != "success":
            raise response.unexpected("status: not success")
