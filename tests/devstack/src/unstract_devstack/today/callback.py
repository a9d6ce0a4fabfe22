"""callback as today's is: sums the chord's results, writes the end (contract: tasks 5, flows d)."""

import time
from typing import Any

from celery import Celery

from unstract_devstack.today.internal_api import ApiOf, InternalApi

_COUNTS = ("total_files", "successful_files", "failed_files")


def register_callback(app: Celery, api_of: ApiOf) -> None:
    """The callback worker's tasks; Celery brings `celery.chord_unlock`."""

    def process_batch_callback(results: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        api = api_of(kwargs["organization_id"])
        status = _finished(api, results, kwargs["execution_id"])
        if kwargs.get("pipeline_id"):
            done = "SUCCESS" if status == "COMPLETED" else "FAILURE"
            api.put(
                f"pipeline/{kwargs['pipeline_id']}/", status=done, is_end=True, last_run_status=done,
                last_run_time=time.time(), increment_run_count=True,
            )  # fmt: skip
            api.enqueue_event(
                kwargs["pipeline_id"], "SUCCESS" if status == "COMPLETED" else status, kwargs["execution_id"]
            )
        return {"status": "completed", "execution_id": kwargs["execution_id"]}

    def process_batch_callback_api(results: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        api = api_of(kwargs["organization_id"])
        status = _finished(api, results, kwargs["execution_id"])
        if kwargs.get("pipeline_id"):
            api.enqueue_event(kwargs["pipeline_id"], status, kwargs["execution_id"])
        return {"status": "completed", "execution_id": kwargs["execution_id"]}

    app.task(name="process_batch_callback", shared=False, max_retries=0)(process_batch_callback)
    app.task(name="process_batch_callback_api", shared=False, max_retries=0)(process_batch_callback_api)


def _finished(api: InternalApi, results: list[Any], execution_id: str) -> str:
    """Writes the terminal status and returns it."""
    api.get(f"workflow-execution/{execution_id}/")
    done = [result for result in results if isinstance(result, dict)]
    counts = {name: sum(result.get(name, 0) for result in done) for name in _COUNTS}
    failed = counts["failed_files"] > 0 and counts["failed_files"] == counts["total_files"]
    status = "ERROR" if failed else "COMPLETED"
    api.update_execution(execution_id, status, **counts)
    return status
