"""The stand-in of platform-service: exported tools by their registry id, for whoever shows the organization's key."""

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from attrs import asdict, define, field
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from unstract_devstack.asgi_server import serving
from unstract_devstack.extraction import Field
from unstract_devstack.ports import HOST


@define
class PlatformService:
    """A running stand-in.

    Attributes:
        url: where it listens.
        tools, agentic, profiles: what it knows, by id.
        status: answered to everything instead, if set. `delay`: seconds before each answer.
        asked: every request, as its path and query.
    """

    url: str = ""
    tools: dict[str, Any] = field(factory=dict)
    agentic: dict[str, Any] = field(factory=dict)
    profiles: dict[str, Any] = field(factory=dict)
    status: int | None = None
    delay: float = 0.0
    asked: list[str] = field(factory=list)

    def export(self, fields: Sequence[Field], **settings: Any) -> str:
        """Export a tool whose outputs are these fields; its registry id.

        The contract does not show the inside of tool_settings and outputs: these are the stand-in's own.
        """
        registry_id = str(uuid.uuid4())
        outputs = [{**asdict(each), "prompt": f"What is {each.name}?", "type": "text"} for each in fields]
        tool_settings = {"x2text_instance_id": "x2text-1", "llm": "llm-1", **settings}
        metadata = {"tool_id": str(uuid.uuid4()), "tool_settings": tool_settings, "outputs": outputs}
        self.tools[registry_id] = {
            "prompt_registry_id": registry_id, "tool_spec": {}, "tool_metadata": metadata, "tool_property": {},
        }  # fmt: skip
        return registry_id

    def answer(self, request: Request, known: dict[str, Any], name: str) -> Response:
        """The answer about one of `known`, whose id is the query's `name`."""
        self.asked.append(f"{request.url.path}?{request.url.query}")
        if self.delay:
            time.sleep(self.delay)
        if self.status is not None:
            return PlainTextResponse("a page of the stand-in", status_code=self.status)
        if not request.headers.get("authorization", "").startswith("Bearer "):
            return JSONResponse({"error": "Unauthorized"}, status_code=401)
        found = known.get(request.query_params.get(name, ""))
        return JSONResponse({"error": "not found"}, status_code=404) if found is None else JSONResponse(found)


@contextlib.contextmanager
def running_platform_service(host: str = HOST) -> Iterator[PlatformService]:
    """One on a free port of this address, until the block ends."""
    service = PlatformService()

    def known(name: str, kind: str) -> Callable[[Request], Response]:
        return lambda request: service.answer(request, getattr(service, kind), name)

    def health(request: Request) -> Response:
        return PlainTextResponse("OK", status_code=service.status or 200)

    routes = [
        Route("/custom_tool_instance", known("prompt_registry_id", "tools")),
        Route("/agentic_tool_instance", known("agentic_registry_id", "agentic")),
        Route("/llm_profile_instance", known("llm_profile_id", "profiles")),
        Route("/health", health),
    ]
    with serving(Starlette(routes=routes), host=host) as served:
        service.url = f"http://{host}:{served.port}"
        yield service
