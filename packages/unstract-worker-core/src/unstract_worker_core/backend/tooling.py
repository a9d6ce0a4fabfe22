"""What an executor needs that runs tools itself: tools with their settings and images, the platform key, the ends.

Nothing of it is logged; what holds credentials shows none.
"""

from typing import Any

from attrs import Factory, field, frozen

from unstract_worker_core.backend import operations
from unstract_worker_core.backend.call import Caller
from unstract_worker_core.config.parsers import Secret
from unstract_worker_core.identifiers import opaque_id, uuids


@frozen
class InstanceSettings:
    """A tool in a workflow, with its settings."""

    id: str
    tool_id: str
    step: int = 0
    metadata: dict[str, Any] = field(factory=dict, repr=False)


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


@frozen
class Tooling:
    """Calls for running tools outside of the backend."""

    _call: Caller

    def instances(self, organization_id: str, workflow_id: str) -> tuple[InstanceSettings, ...]:
        """The tools of a workflow with their settings, in their order."""
        response = self._call(operations.TOOL_INSTANCES, organization_id, ids=uuids(workflow_id=workflow_id))
        found = response.many(InstanceSettings, response.items("tool_instances"))
        return tuple(sorted(found, key=lambda instance: instance.step))

    def image(self, organization_id: str, tool_id: str) -> ToolImage:
        """What runs a tool; for one that the backend does not know, what it makes up."""
        ids = {"tool_id": opaque_id(tool_id, field="tool_id")}
        response = self._call(operations.TOOL, organization_id, ids=ids)
        return response.one(ToolImage, response.object("tool"))

    def platform_key(self, organization_id: str) -> Secret:
        """The organization's active platform key."""
        response = self._call(operations.PLATFORM_KEY, organization_id)
        key = response.member("platform_key")
        if not isinstance(key, str) or not key:
            raise response.unexpected("platform_key: not a key")
        return Secret(key)

    def workflow(self, organization_id: str, workflow_id: str) -> ConnectedWorkflow:
        """The workflow's ends with their credentials."""
        response = self._call(operations.WORKFLOW, organization_id, ids=uuids(workflow_id=workflow_id))
        return response.one(ConnectedWorkflow, response.object())
