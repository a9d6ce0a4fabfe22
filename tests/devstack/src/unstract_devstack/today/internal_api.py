"""The stand-in's calls to the internal API: one organization each, no retries, any refusal is an error."""

from typing import Any

from attrs import field, frozen

from unstract_devstack.http_calls import call_json


@frozen
class InternalApi:
    """The internal API as one organization sees it."""

    base_url: str
    api_key: str = field(repr=False)
    organization: str

    def get(self, path: str) -> Any:
        """The JSON answer of ``v1/`` and `path`. Raises CallFailed."""
        return self._call("GET", path, None)

    def post(self, path: str, **content: Any) -> Any:
        """The JSON answer to a JSON object. Raises CallFailed."""
        return self._call("POST", path, content)

    def put(self, path: str, **content: Any) -> Any:
        """The same with PUT. Raises CallFailed."""
        return self._call("PUT", path, content)

    def update_execution(self, execution_id: str, status: str, **more: Any) -> None:
        """Write an execution's status. Raises CallFailed."""
        self.post(f"workflow-execution/{execution_id}/update_status/", status=status, **more)

    def _call(self, method: str, path: str, content: Any) -> Any:
        url, headers = f"{self.base_url}/v1/{path}", {"X-Organization-ID": self.organization}
        return call_json(method, url, payload=content, key=self.api_key, headers=headers, timeout=60)
