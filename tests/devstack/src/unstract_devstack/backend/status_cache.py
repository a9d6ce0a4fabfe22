"""What the backend keeps in Redis: the status of each execution, and the results that the workers put there."""

import logging
from typing import Any

import redis
from attrs import asdict, frozen

log = logging.getLogger(__name__)

STATUS_SECONDS = 10_800


@frozen
class CachedStatus:
    """The fields of one execution's hash."""

    workflow_id: str
    execution_id: str
    status: str
    total_files: int
    completed_files: int
    failed_files: int


class StatusCache:
    """The backend's side of the platform's Redis; without a URL it holds nothing."""

    def __init__(self, url: str | None) -> None:
        self._redis = (
            redis.Redis.from_url(url, decode_responses=True, socket_timeout=2, socket_connect_timeout=2)
            if url
            else None
        )

    @staticmethod
    def status_key(workflow_id: str, execution_id: str) -> str:
        """The key of an execution's status."""
        return f"execution:{workflow_id}:{execution_id}"

    @staticmethod
    def results_key(workflow_id: str, execution_id: str) -> str:
        """The key of an execution's results."""
        return f"api_results:{workflow_id}:{execution_id}"

    def write(self, cached: CachedStatus) -> None:
        """Write the hash; a Redis that does not answer is logged and does not fail the request."""
        if self._redis is None:
            return
        key = self.status_key(cached.workflow_id, cached.execution_id)
        fields: dict[Any, Any] = asdict(cached)
        try:
            with self._redis.pipeline(transaction=True) as pipeline:
                pipeline.hset(key, mapping=fields)
                pipeline.expire(key, STATUS_SECONDS)
                pipeline.execute()
        except redis.RedisError as problem:
            log.warning("status cache not written for execution %s: %s", cached.execution_id, problem)

    def status(self, workflow_id: str, execution_id: str) -> str | None:
        """The cached status, None if the hash is missing."""
        if self._redis is None:
            return None
        found = self._redis.hget(self.status_key(workflow_id, execution_id), "status")
        return str(found) if found is not None else None

    def results(self, workflow_id: str, execution_id: str) -> list[str]:
        """The result items as the workers wrote them."""
        if self._redis is None:
            return []
        found = self._redis.lrange(self.results_key(workflow_id, execution_id), 0, -1)
        return [str(item) for item in found]

    def forget(self, workflow_id: str, execution_id: str) -> None:
        """Delete both keys, as reading a terminal execution does."""
        if self._redis is not None:
            self._redis.delete(self.status_key(workflow_id, execution_id), self.results_key(workflow_id, execution_id))

    def close(self) -> None:
        """Close the connections."""
        if self._redis is not None:
            self._redis.close()
