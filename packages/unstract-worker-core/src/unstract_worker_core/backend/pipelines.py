"""Pipelines and API deployments."""

from attrs import frozen

from unstract_worker_core import serialization
from unstract_worker_core.backend import models, operations
from unstract_worker_core.backend.caller import Caller
from unstract_worker_core.backend.ids import uuids


@frozen
class Pipelines:
    """Calls about pipelines and API deployments."""

    _call: Caller

    def get(self, organization_id: str, pipeline_id: str) -> models.Pipeline:
        """A pipeline, or the API deployment of that id. Raises NotFound."""
        answer = self._call(operations.GET_PIPELINE, organization_id, ids=uuids(pipeline_id=pipeline_id))
        is_api = answer.member("pipeline", "is_api")
        found = {
            "id": answer.member("pipeline", "id"),
            "name": answer.member("pipeline", "resolved_pipeline_name"),
            "type": answer.member("pipeline", "resolved_pipeline_type"),
            "is_api": is_api,
            "workflow_id": answer.member("pipeline", "workflow"),
            "active": answer.member("pipeline", "is_active" if is_api else "active"),
            "last_run_status": answer.object("pipeline").get("last_run_status"),
        }
        return answer.one(models.Pipeline, found)

    def update(
        self, organization_id: str, pipeline_id: str, update: models.PipelineUpdate, *, key: str | None = None
    ) -> None:
        """Write the status of the last run. Raises BackendRefused for a paused pipeline."""
        ids, body = uuids(pipeline_id=pipeline_id), serialization.unstructure(update)
        answer = self._call(operations.UPDATE_PIPELINE, organization_id, ids=ids, body=body, key=key)
        if answer.member("status") != "success":
            raise answer.unexpected("status: not success")

    def api_deployment(self, organization_id: str, api_id: str) -> models.ApiDeployment:
        """An API deployment. Raises NotFound, also for the id of a pipeline."""
        answer = self._call(operations.GET_API_DEPLOYMENT, organization_id, ids=uuids(api_id=api_id))
        found = {**answer.object("pipeline"), "workflow_id": answer.member("pipeline", "workflow")}
        return answer.one(models.ApiDeployment, found)
