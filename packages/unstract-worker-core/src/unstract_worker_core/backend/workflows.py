"""Workflows and their tools: source files, validation, and what an executor needs that runs tools itself.

What holds credentials is neither logged nor shown.
"""

from collections.abc import Iterable
from typing import Any

from attrs import Factory, field, frozen

from unstract_worker_core import identifiers, serialization
from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Resource
from unstract_worker_core.backend.responses import Json
from unstract_worker_core.config.parsers import Secret
from unstract_worker_core.errors import BackendRefused, MessageError, NotFound
from unstract_worker_core.identifiers import opaque_id, uuids

_BAD_REQUEST, _INTERNAL_ERROR = 400, 500


@frozen
class ToolInstance:
    """A tool in a workflow. `metadata`: its settings, as they came; the start of a run does not depend on them."""

    id: str
    tool_id: str
    step: int = 0
    metadata: Any = field(default=None, repr=False)


@frozen
class ToolProblem:
    """Why a tool instance is not valid."""

    error: str
    tool_id: str = ""
    tool_instance_id: str = ""


@frozen
class ToolValidation:
    """What validation found. Ids that the backend does not know are in neither list: compare."""

    success: bool
    validated_ids: frozenset[str] = frozenset()
    errors: tuple[ToolProblem, ...] = ()


@frozen
class SourceFile:
    """A file found at the source, as the backend lists it."""

    file_name: str
    file_path: str
    file_hash: str | None = None
    file_size: int | None = None
    mime_type: str | None = None
    provider_file_uuid: str | None = None
    source_connection_type: str | None = None
    is_executed: bool = False
    file_number: int | None = None
    fs_metadata: Any = field(default=None, repr=False)


@frozen
class UnreadableFile:
    """An entry of a source listing that is not what the contract says. `name`: its key in the listing."""

    name: str
    reason: str


class Workflows(Resource):
    """Calls about workflows: their tools, their source's files, their limits."""

    def tool_instances(self, organization_id: str, workflow_id: str) -> tuple[ToolInstance, ...]:
        """The tools of a workflow, in their order."""
        response = self._call(operations.TOOL_INSTANCES, organization_id, ids=uuids(workflow_id=workflow_id))
        found = response.many(ToolInstance, response.items("tool_instances"))
        return tuple(sorted(found, key=lambda instance: instance.step))

    def source_files(
        self,
        organization_id: str,
        workflow_id: str,
        execution_id: str,
        *,
        pipeline_id: str | None = None,
        use_file_history: bool = True,
    ) -> tuple[SourceFile | UnreadableFile, ...]:
        """The files to process, as the backend lists and filters them, in its order. None for an API workflow.

        An entry that cannot be read does not hide its siblings: it comes back as `UnreadableFile`.
        """
        pipeline = {} if pipeline_id is None else uuids(pipeline_id=pipeline_id)
        body = {**uuids(execution_id=execution_id), **pipeline, "use_file_history": use_file_history}
        ids = uuids(workflow_id=workflow_id)
        response = self._call(operations.SOURCE_FILES, organization_id, ids=ids, body=body)
        entries = response.object("files")
        if response.member("total_files") != len(entries):
            raise response.unexpected("total_files: not the number of files")
        # An entry takes ten times the memory of a SourceFile: each is dropped as soon as it is read.
        return tuple(_source_file(name, entries.pop(name)) for name in tuple(entries))

    def validate_tools(self, organization_id: str, workflow_id: str, instance_ids: Iterable[str]) -> ToolValidation:
        """Validate tool instances. `success` with fewer `validated_ids` than asked for: the others are unknown."""
        wanted = [uuids(tool_instance_id=each)["tool_instance_id"] for each in instance_ids]
        body = {**uuids(workflow_id=workflow_id), "tool_instances": wanted}
        response = self._call(operations.VALIDATE_TOOLS, organization_id, body=body)
        success = response.member("success")
        if not isinstance(success, bool):
            raise response.unexpected("success: not a boolean")
        validated = response.many(ToolInstance, response.items("validated_instances"))
        return ToolValidation(
            success=success and response.status < 400,
            validated_ids=frozenset(tool.id for tool in validated),
            errors=response.many(ToolProblem, response.items("errors")),
        )

    def max_parallel_file_batches(self, organization_id: str) -> int | None:
        """The organization's number of batches, at least 1; None where the backend does not know (400, 404)."""
        organization = identifiers.organization_id(organization_id)
        ids, query = {"name": "MAX_PARALLEL_FILE_BATCHES"}, {"organization_id": organization}
        try:
            response = self._call(operations.CONFIGURATION, organization, ids=ids, query=query)
        except BackendRefused as error:
            if isinstance(error, NotFound) or error.status == _BAD_REQUEST:
                return None
            raise
        return max(1, response.typed(int, "an integer", "data", "value"))


def _source_file(name: str, entry: Json) -> SourceFile | UnreadableFile:
    """Text is kept as it came: a replaced lone surrogate could turn one file's name into another's."""
    try:
        return serialization.structure(entry, SourceFile)
    except MessageError as error:
        return UnreadableFile(name, f"{error.field}: {error.reason}")


@frozen
class ToolImage:
    """What runs a tool. `note`: the backend made this up, because it does not know the tool."""

    tool_id: str
    image_name: str
    image_tag: str = ""
    name: str = ""
    version: str = ""
    note: str = ""


@frozen
class ConnectorInstance:
    """A connector with its credentials. `connector_id` is its kind, a bar, and an id."""

    connector_id: str
    connector_name: str = ""
    connector_metadata: dict[str, Any] = field(factory=dict, repr=False)


@frozen
class ConnectedEnd:
    """One end of a workflow, with its credentials. `connection_type` is ``NONE`` where it is not set."""

    connection_type: str = "NONE"
    configuration: dict[str, Any] = field(factory=dict, repr=False)
    connector_instance: ConnectorInstance | None = None


@frozen
class ConnectedWorkflow:
    """Both ends of a workflow."""

    source_config: ConnectedEnd = Factory(ConnectedEnd)
    destination_config: ConnectedEnd = Factory(ConnectedEnd)


class Tooling(Resource):
    """Calls for running tools outside of the backend."""

    def image(self, organization_id: str, tool_id: str) -> ToolImage:
        """What runs a tool; for one that the backend does not know, what it makes up."""
        ids = {"tool_id": opaque_id(tool_id, field="tool_id")}
        response = self._call(operations.TOOL, organization_id, ids=ids)
        return response.one(ToolImage, response.object("tool"))

    def platform_key(self, organization_id: str) -> Secret | None:
        """The organization's active platform key; None where it has none, so that no file can be executed."""
        try:
            response = self._call(operations.PLATFORM_KEY, organization_id)
        except BackendRefused as error:
            # A 500 of exactly one text; others are the backend's own trouble.
            if error.status == _INTERNAL_ERROR and error.message.lower() in operations.PLATFORM_KEY.permanent:
                return None
            raise
        key = response.typed(str, "a key", "platform_key")
        return Secret(key) if key else None

    def workflow(self, organization_id: str, workflow_id: str) -> ConnectedWorkflow:
        """The workflow's ends with their credentials."""
        response = self._call(operations.WORKFLOW, organization_id, ids=uuids(workflow_id=workflow_id))
        return response.one(ConnectedWorkflow, response.object())
