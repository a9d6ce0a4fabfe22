"""Workflows and their tools: ends, source files, tool instances, validation."""

from collections.abc import Iterable

from attrs import frozen

from unstract_worker_core.backend import models, operations
from unstract_worker_core.backend.answers import Answer, Json
from unstract_worker_core.backend.caller import Caller
from unstract_worker_core.backend.ids import uuids
from unstract_worker_core.errors import UnexpectedAnswer


@frozen
class Workflows:
    """Calls about workflows."""

    _call: Caller

    def tool_instances(self, organization_id: str, workflow_id: str) -> tuple[models.ToolInstance, ...]:
        """The tools of a workflow."""
        answer = self._call(operations.TOOL_INSTANCES, organization_id, ids=uuids(workflow_id=workflow_id))
        return answer.many(models.ToolInstance, answer.items("tool_instances"))

    def endpoint(self, organization_id: str, workflow_id: str) -> models.WorkflowEndpoints:
        """The ends of a workflow, without their credentials."""
        answer = self._call(operations.ENDPOINTS, organization_id, ids=uuids(workflow_id=workflow_id))
        return answer.one(models.WorkflowEndpoints, answer.object())

    def source_files(
        self,
        organization_id: str,
        workflow_id: str,
        execution_id: str,
        *,
        pipeline_id: str | None = None,
        use_file_history: bool = True,
    ) -> tuple[models.SourceFile | models.UnreadableFile, ...]:
        """The files to process, as the backend lists and filters them, in its order. None for an API workflow.

        An entry that cannot be read does not hide its siblings: it comes back as `UnreadableFile`.
        """
        pipeline = {} if pipeline_id is None else uuids(pipeline_id=pipeline_id)
        body = {**uuids(execution_id=execution_id), **pipeline, "use_file_history": use_file_history}
        ids = uuids(workflow_id=workflow_id)
        answer = self._call(operations.SOURCE_FILES, organization_id, ids=ids, body=body)
        files = tuple(_source_file(answer, name, entry) for name, entry in answer.object("files").items())
        if answer.member("total_files") != len(files):
            raise answer.unexpected("total_files: not the number of files")
        return files


def _source_file(answer: Answer, name: str, entry: Json) -> models.SourceFile | models.UnreadableFile:
    try:
        return answer.one(models.SourceFile, entry)
    except UnexpectedAnswer as error:
        return models.UnreadableFile(name, error.message)


@frozen
class Tools:
    """Calls about tools."""

    _call: Caller

    def validate(self, organization_id: str, workflow_id: str, instance_ids: Iterable[str]) -> models.ToolValidation:
        """Validate tool instances. `success` with fewer `validated_ids` than asked for: the others are unknown."""
        wanted = [uuids(tool_instance_id=each)["tool_instance_id"] for each in instance_ids]
        body = {**uuids(workflow_id=workflow_id), "tool_instances": wanted}
        answer = self._call(operations.VALIDATE_TOOLS, organization_id, body=body)
        success = answer.member("success")
        if not isinstance(success, bool):
            raise answer.unexpected("success: not a boolean")
        validated = answer.many(models.ToolInstance, answer.items("validated_instances"))
        return models.ToolValidation(
            success=success and answer.status < 400,
            validated_ids=frozenset(tool.id for tool in validated),
            errors=answer.many(models.ToolProblem, answer.items("errors")),
        )
