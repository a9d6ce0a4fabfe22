"""The stand-in's calls to the internal API: one organization each, no retries, any refusal is an error."""

from collections.abc import Callable
from functools import partialmethod
from typing import Any

from attrs import field, frozen

from unstract_devstack.http_calls import call_json


@frozen
class InternalApi:
    """The internal API as one organization sees it."""

    base_url: str
    api_key: str = field(repr=False)
    organization: str

    def _call(self, method: str, path: str, **content: Any) -> Any:
        """The JSON answer of ``v1/`` and `path` to a JSON object. Raises CallFailed."""
        url, headers = f"{self.base_url}/v1/{path}", {"X-Organization-ID": self.organization}
        return call_json(method, url, payload=content or None, key=self.api_key, headers=headers, timeout=60)

    get = partialmethod(_call, "GET")
    post = partialmethod(_call, "POST")
    put = partialmethod(_call, "PUT")

    def update_execution(self, execution_id: str, status: str, **more: Any) -> None:
        """Write an execution's status. Raises CallFailed."""
        self.post(f"workflow-execution/{execution_id}/update_status/", status=status, **more)

    def update_pipeline(self, pipeline_id: object, status: str, **more: Any) -> None:
        """Write the status of a pipeline's last run, if there is one. Raises CallFailed."""
        if pipeline_id:
            self.put(f"pipeline/{pipeline_id}/", status=status, **{"is_end": True, **more})

    def enqueue_event(self, pipeline_id: str, status: str, execution_id: str | None = None) -> None:
        """Buffer an event for each subscriber of a pipeline or an API deployment (contract: flows b, d).

        `execution_id` is of the execution that ended; None at a start. Raises CallFailed.
        """
        query = f"?execution_id={execution_id}" if execution_id else ""
        answer = self.get(f"webhook/pipeline/{pipeline_id}/notifications/{query}")
        for target in answer["notifications"]:
            self.post(
                "webhook/buffer/enqueue/", notification_id=target["id"], platform=target["platform"], status=status,
                pipeline_id=pipeline_id, pipeline_name=answer["pipeline_name"], type=answer["pipeline_type"],
                execution_id=execution_id, additional_data=answer["execution_counts"],
            )  # fmt: skip


ApiOf = Callable[[str], InternalApi]
"""The internal API as an organization sees it."""
