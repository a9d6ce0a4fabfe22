"""What a file's request is made of, gathered once a workflow and half a minute in a process: tool, key, registry entry.

What cannot be served is refused here, before anything is copied or sent.
"""

from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from attrs import Factory, frozen

from unstract_worker_core.backend import Backend
from unstract_worker_core.backend.workflows import ConnectedWorkflow, ToolImage, ToolInstance
from unstract_worker_core.config import Secret
from unstract_worker_core.ledger import RunContext
from unstract_worker_core.runs.runtime import TtlCache
from unstract_worker_file_processing.executor import FileFailed
from unstract_worker_file_processing.platform.connectors import Destination, destination_of
from unstract_worker_file_processing.platform.service import PlatformService
from unstract_worker_file_processing.platform.tool import Tool, check_tool, with_profile

T = TypeVar("T")
_SECONDS = 30.0
_ELSEWHERE = "leave this workflow to the platform's own file workers"


@frozen(eq=False)
class Gathering:
    """Gathers, and keeps what it found for half a minute. Safe for threads.

    Attributes:
        structure_image: base name of the image of the tools that the executor serves.
    """

    backend: Backend
    service: PlatformService
    structure_image: str
    _tools: TtlCache[Tool | FileFailed] = Factory(TtlCache)
    _workflows: TtlCache[ConnectedWorkflow] = Factory(TtlCache)
    _destinations: TtlCache[FileFailed | None] = Factory(TtlCache)

    def tool(self, context: RunContext) -> Tool:
        """The workflow's tool. Raises FileFailed for one that cannot be served, NotNow and BackendError."""
        # Either means that a review is required, of this execution: others of the workflow are not under review.
        if context.hitl_queue_name or context.hitl_packet_id:
            raise FileFailed(f"manual review is a plug-in of the platform's cloud: {_ELSEWHERE}")
        name = f"{context.organization_id}:{context.workflow_id}:{context.llm_profile_id or ''}"
        return _get(self._tools, name, lambda: self._found(context))

    def workflow(self, context: RunContext) -> ConnectedWorkflow:
        """The workflow's ends with their credentials. Raises BackendError."""
        name, tooling = f"{context.organization_id}:{context.workflow_id}", self.backend.tooling

        def ask() -> ConnectedWorkflow:
            return tooling.workflow(context.organization_id, context.workflow_id)

        return self._workflows.get(name, ask, seconds=_SECONDS)

    def destination(self, context: RunContext) -> Destination:
        """Where the workflow's results go. Raises FileFailed for one that is not served, and BackendError."""
        return destination_of(self.workflow(context))

    def check_destination(self, context: RunContext) -> None:
        """Raises FileFailed for a destination that will not take results, NotNow and BackendError."""

        def check() -> None:
            with closing(self.destination(context)) as destination:
                destination.check()

        _get(self._destinations, f"{context.organization_id}:{context.workflow_id}", check)

    def _found(self, context: RunContext) -> Tool:
        instance = self._instance(context)
        settings = _object(instance.metadata, f"metadata of the tool {instance.tool_id}")
        registry_id = settings.get("prompt_registry_id")
        image = self.backend.tooling.image(context.organization_id, instance.tool_id)
        self._check_image(image)
        if not isinstance(registry_id, str) or not registry_id:
            raise FileFailed(f"the tool {image.name or image.tool_id} is not exported: its prompt_registry_id is empty")
        key = self.backend.tooling.platform_key(context.organization_id)
        if key is None:
            raise FileFailed("the organization has no active platform key: create one in the platform's settings")
        tool = self._exported(image, settings, key, registry_id)
        if context.llm_profile_id:
            tool = self._with_profile(tool, key, context.llm_profile_id)
        check_tool(tool)
        return tool

    def _instance(self, context: RunContext) -> ToolInstance:
        found = self.backend.workflows.tool_instances(context.organization_id, context.workflow_id)
        if len(found) != 1:
            number = "no tool" if not found else f"{len(found)} tools"
            raise FileFailed(f"the workflow has {number}, and this executor serves one: {_ELSEWHERE}")
        return found[0]

    def _check_image(self, image: ToolImage) -> None:
        if image.note or image.version in ("unknown", "error"):
            raise FileFailed(f"the backend does not know the tool {image.tool_id}: add it to the workflow again")
        base = image.image_name.rpartition("/")[2]
        if base != self.structure_image.rpartition("/")[2]:
            text = f"the tool {image.name or image.tool_id} has the image {image.image_name}"
            raise FileFailed(f"{text}, which only the platform's runner runs: {_ELSEWHERE}")

    def _exported(self, image: ToolImage, instance: dict[str, Any], key: Secret, registry_id: str) -> Tool:
        found, name = self.service.custom_tool(key, registry_id), image.name or image.tool_id
        if found is None:
            if self.service.agentic_tool(key, registry_id) is not None:
                text = f"{name} is an agentic project, and what its executor expects is not known"
                raise FileFailed(f"{text}: {_ELSEWHERE}")
            raise FileFailed(f"platform-service does not know the tool {name}: export it again from Prompt Studio")
        metadata = found.get("tool_metadata")
        if not isinstance(metadata, dict) or not isinstance(metadata.get("tool_id"), str):
            raise FileFailed(f"the registry entry of the tool {name} has no tool_metadata: export it again")
        return Tool(
            name=name,
            instance=instance,
            tool_id=metadata["tool_id"],
            settings=_object(metadata.get("tool_settings"), f"tool_settings of the tool {name}"),
            outputs=_outputs(metadata.get("outputs"), name),
            platform_key=key.reveal(),
        )

    def _with_profile(self, tool: Tool, key: Secret, profile_id: str) -> Tool:
        profile = self.service.profile(key, profile_id)
        if profile is None:
            raise FileFailed("the profile that was asked for (llm_profile_id) does not exist")
        return with_profile(tool, profile)


def _get(cache: TtlCache[T | FileFailed], name: str, ask: Callable[[], T]) -> T:
    """What is cached, or else what `ask` finds. A refusal is cached too: it is of all files of the workflow."""

    def outcome() -> T | FileFailed:
        try:
            return ask()
        except FileFailed as refused:
            return refused

    found = cache.get(name, outcome, seconds=_SECONDS)
    if isinstance(found, FileFailed):
        raise FileFailed(found.workflow, destination=found.destination)
    return found


def _object(value: Any, what: str) -> dict[str, Any]:
    """A part of a registry entry that is an object, or is left out."""
    if value is None or isinstance(value, dict):
        return value or {}
    raise FileFailed(f"{what} is not an object: export the tool again from Prompt Studio")


def _outputs(value: Any, name: str) -> tuple[dict[str, Any], ...]:
    if value is not None and not isinstance(value, list):
        raise FileFailed(f"outputs of the tool {name} is not a list: export it again from Prompt Studio")
    return tuple(_object(each, f"an output of the tool {name}") for each in value or ())
