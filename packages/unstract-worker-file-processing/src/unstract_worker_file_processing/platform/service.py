"""The platform's platform-service: what a tool is made of. Each call carries the organization's platform key."""

import random
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from unstract_worker_core import serialization
from unstract_worker_core.backend import Limits
from unstract_worker_core.backend.exchange import ConnectFailed, ResponseLost, ResponseRefused, tls_context
from unstract_worker_core.backend.http import BaseTransport, Response, ThreadTransport, make_request, send
from unstract_worker_core.config import ExecutorSettings, Secret
from unstract_worker_core.errors import MessageError
from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.progress import mark_progress
from unstract_worker_core.retries import Retrying
from unstract_worker_file_processing.executor import FileFailed, NotNow

_SECONDS = 20.0
_CONNECT_SECONDS = 5.0
_LARGEST = 32 * 1024 * 1024
_ATTEMPTS = 3
_KEY_REFUSED = (401, 403)
_OF_ANOTHER_SERVER = (405, 407)
_KEY_SECONDS = 30.0
_DEFECT_SECONDS = 15.0

log = get_logger(__name__)


class PlatformService:
    """Reads of platform-service. Safe for threads."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: BaseTransport | None = None,
        seconds: float = _SECONDS,
        attempts: int = _ATTEMPTS,
    ) -> None:
        """Nothing is sent yet.

        Args:
            transport: None: a connection for each thread.
            seconds: limit of one try. `attempts`: tries of one call.
        """
        self.base_url = base_url
        self._seconds = seconds
        self._retrying = Retrying(attempts=attempts, timeout=None, wait_initial=0.2, wait_max=2)
        self._transport = transport or ThreadTransport(tls_context() if base_url.startswith("https:") else None)

    def custom_tool(self, key: Secret, registry_id: str) -> dict[str, Any] | None:
        """A Prompt Studio tool as it was exported; None if there is none. Raises NotNow and FileFailed."""
        return self._get("custom_tool_instance", key, prompt_registry_id=registry_id)

    def agentic_tool(self, key: Secret, registry_id: str) -> dict[str, Any] | None:
        """An agentic project as it was exported; None if there is none. Raises NotNow and FileFailed."""
        return self._get("agentic_tool_instance", key, agentic_registry_id=registry_id)

    def profile(self, key: Secret, profile_id: str) -> dict[str, Any] | None:
        """A profile of models and sizes; None if there is none. Raises NotNow and FileFailed."""
        return self._get("llm_profile_instance", key, llm_profile_id=profile_id)

    def probe(self, key: Secret | None = None) -> int:
        """The HTTP status of a question for a tool that does not exist: 404 if the key is accepted. Raises NotNow."""
        headers = {"Authorization": f"Bearer {key.reveal()}"} if key else {}
        return self._send("custom_tool_instance", headers, {"prompt_registry_id": str(uuid4())}).status_code

    def _get(self, path: str, key: Secret, **query: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {key.reveal()}", "Accept": "application/json"}
        response = self._send(path, headers, query)
        if response.status_code == 404:
            return None
        if response.status_code in _KEY_REFUSED:
            text = f"platform-service does not accept the organization's platform key (HTTP {response.status_code})"
            log.error("files wait: platform-service refuses a platform key", status=response.status_code)
            raise NotNow(text, delay_seconds=_KEY_SECONDS * random.uniform(1, 2), shared=False)
        if 300 <= response.status_code < 400 or response.status_code in _OF_ANOTHER_SERVER:
            where = "is PLATFORM_SERVICE_HOST platform-service?"
            raise NotNow(f"platform-service answers {path} with HTTP {response.status_code}: {where}")
        if response.status_code != 200:
            raise FileFailed(f"platform-service refuses {path} (HTTP {response.status_code})")
        try:
            found = serialization.loads(response.content)
        except MessageError:
            raise NotNow(f"platform-service answers {path} with something that is not JSON") from None
        if not isinstance(found, dict):
            raise FileFailed(f"platform-service answers {path} with something that is not an object")
        return found

    def _send(self, path: str, headers: dict[str, str], query: dict[str, str]) -> Response:
        """The response to a GET, tried a few times. Raises NotNow, also for a 5xx, a 408 and a 429 that last."""
        limits = Limits(seconds=self._seconds, connect_seconds=_CONNECT_SECONDS, body=_LARGEST)

        def once() -> Response:
            mark_progress()
            request = make_request("GET", f"{self.base_url}/{path}", headers, query=query)
            try:
                response = send(self._transport, request, limits)
            except ConnectFailed:
                where = "PLATFORM_SERVICE_HOST, PLATFORM_SERVICE_PORT"
                raise NotNow(f"platform-service cannot be reached ({where})") from None
            except ResponseLost:
                raise NotNow("platform-service does not answer") from None
            except ResponseRefused as error:
                raise FileFailed(f"platform-service answers {path} with too much (HTTP {error.status})") from None
            if response.status_code == 500:  # perhaps for this tool or key alone
                raise NotNow("platform-service answers HTTP 500", delay_seconds=_DEFECT_SECONDS, shared=False)
            if response.status_code > 500 or response.status_code in (408, 429):
                raise NotNow(f"platform-service answers HTTP {response.status_code}")
            return response

        return self._retrying(NotNow, once)


def base_url(settings: ExecutorSettings) -> str:
    """Where platform-service is: the host, which may bring its port."""
    host = settings.service_host or ""
    has_port = urlsplit(host).port is not None
    return host if has_port or settings.service_port is None else f"{host}:{settings.service_port}"
