"""Workflows: their tools, their ends, their source files. Connector credentials are never a field."""

from typing import Any

from attrs import field, frozen


@frozen
class ToolInstance:
    """A tool in a workflow; its settings are the backend's business."""

    id: str
    tool_id: str
    step: int = 0
    version: str = ""


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
class Endpoint:
    """One end of a workflow; `connection_type` is ``NONE`` or empty where it is not set."""

    endpoint_id: str
    endpoint_type: str
    connection_type: str


@frozen
class WorkflowEndpoints:
    """Both ends of a workflow; None where there is none."""

    source_endpoint: Endpoint | None = None
    destination_endpoint: Endpoint | None = None
    has_api_endpoints: bool = False


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
