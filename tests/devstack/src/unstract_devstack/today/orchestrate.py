"""api-deployment, general and callback as today's are: an execution becomes a chord of batches, whose results are summed.

Contract: tasks 2, 3, 5, 6; flows a, b, d.
"""

import time
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from celery import Celery, chord, signature

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.today.internal_api import ApiOf, InternalApi


@frozen
class Fanned:
    """Where a chord's parts go."""

    files: str
    callback: str
    callback_task: str


API = Fanned("api_file_processing", "api_file_processing_callback", "process_batch_callback_api")
ETL = Fanned("file_processing", "file_processing_callback", "process_batch_callback")
COUNTS = ("total_files", "successful_files", "failed_files")


def send_chord(app: Celery, fanned: Fanned, batches: list[dict[str, Any]], **kwargs: Any) -> None:
    """The chord as today's orchestrators build it; `kwargs` are the callback's."""
    kind = "api" if fanned is API else "non_api"
    fairness = {"org_id": kwargs["organization_id"], "workload_type": kind, "pipeline_priority": 5}
    headers = {"x-fairness-key": fairness}
    header = [
        signature("process_file_batch", args=[batch], queue=fanned.files, headers=headers, app=app) for batch in batches
    ]
    body = signature(fanned.callback_task, kwargs=kwargs, queue=fanned.callback, headers=headers, app=app)
    chord(header, app=app)(body)


def register_api(app: Celery, api_of: ApiOf) -> None:
    """The api-deployment worker's task."""

    def async_execute_bin(
        schema_name: str, workflow_id: Any, execution_id: Any, files: dict[str, Any], *rest: Any, **kwargs: Any
    ) -> dict[str, Any]:
        api, execution_id = api_of(schema_name), str(execution_id)
        try:
            _api_run(app, api, str(workflow_id), execution_id, files, kwargs)
        except CallFailed as error:
            api.update_execution(execution_id, "ERROR", error_message=str(error)[:500])
            return {"execution_id": execution_id, "status": "ERROR", "error": str(error), "files_processed": 0}
        return {"execution_id": execution_id, "status": "orchestrated"}

    app.task(name="async_execute_bin", shared=False, max_retries=0)(async_execute_bin)


def _api_run(
    app: Celery, api: InternalApi, workflow: str, execution: str, files: Mapping[str, Any], kwargs: Mapping[str, Any]
) -> None:
    api.get(f"workflow-execution/{execution}/?file_execution=true")
    api.update_execution(execution, "EXECUTING", total_files=len(files))
    history, pipeline = bool(kwargs.get("use_file_history")), kwargs.get("pipeline_id")
    data = _file_data(api, workflow, execution, pipeline_id=str(pipeline), use_file_history=history)
    batches = _dealt(api, [[name, file] for name, file in files.items()], data)
    pipeline_id = str(pipeline) if pipeline else None
    send_chord(app, API, batches, execution_id=execution, pipeline_id=pipeline_id, organization_id=api.organization)


def register_general(app: Celery, api_of: ApiOf) -> None:
    """The general worker's tasks."""

    def async_execute_bin(
        schema_name: str, workflow_id: Any, execution_id: Any, files: dict[str, Any], *rest: Any, **kwargs: Any
    ) -> dict[str, Any]:
        api, execution, pipeline = api_of(schema_name), str(execution_id), kwargs.get("pipeline_id")
        try:
            _etl_run(app, api, str(workflow_id), execution, kwargs)
        except CallFailed as error:
            api.update_execution(execution, "ERROR", error_message=str(error)[:500])
            api.update_pipeline(pipeline, "FAILURE")
            raise
        return {"status": "success", "execution_id": execution}

    def execute_pipeline_task(
        workflow_id: str, org_schema: str, action: str, execution_id: str, pipepline_id: str, logs: bool, name: str
    ) -> None:
        api = api_of(org_schema)
        api.update_pipeline(pipepline_id, "INPROGRESS", is_end=False)
        api.enqueue_event(pipepline_id, "INPROGRESS")
        created = api.post(
            "workflow-manager/execution/create/", workflow_id=workflow_id, pipeline_id=pipepline_id,
            organization_id=org_schema, single_step=False, mode="QUEUE", total_files=0, scheduled=True,
        )  # fmt: skip
        app.send_task(
            "async_execute_bin", args=[org_schema, workflow_id, created["execution_id"], {}, True],
            kwargs={"use_file_history": True, "pipeline_id": pipepline_id, "transport": "celery"}, queue="celery",
        )  # fmt: skip

    app.task(name="async_execute_bin", shared=False, max_retries=0)(async_execute_bin)
    app.task(name="scheduler.tasks.execute_pipeline_task", shared=False, max_retries=0)(execute_pipeline_task)


def _etl_run(app: Celery, api: InternalApi, workflow: str, execution: str, kwargs: Mapping[str, Any]) -> None:
    api.get(f"workflow-execution/{execution}/?file_execution=true")
    api.update_execution(execution, "EXECUTING")
    history, pipeline = bool(kwargs.get("use_file_history", True)), kwargs.get("pipeline_id")
    wanted = {"execution_id": execution, "use_file_history": history}
    listed = api.post(f"workflow-manager/source-files/{workflow}/", **wanted)["files"]
    api.update_execution(execution, "EXECUTING", total_files=len(listed))
    if not listed:  # no event: subscribers hear nothing of the end of an empty run
        api.update_execution(execution, "COMPLETED", total_files=0)
        api.update_pipeline(pipeline, "SUCCESS")
        return
    files = [
        [file["file_name"], {key: value for key, value in file.items() if value is not None}]
        for file in listed.values()
    ]
    data = _file_data(api, workflow, execution, pipeline_id=str(pipeline or ""), use_file_history=False)
    owner = {"pipeline_id": str(pipeline)} if pipeline else {}
    send_chord(app, ETL, _dealt(api, files, data), execution_id=execution, organization_id=api.organization, **owner)


def register_callback(app: Celery, api_of: ApiOf) -> None:
    """The callback worker's tasks; Celery brings `celery.chord_unlock`."""

    def finish(results: list[Any], kwargs: dict[str, Any], *, of_api: bool) -> dict[str, Any]:
        api, execution_id, pipeline = (
            api_of(kwargs["organization_id"]),
            kwargs["execution_id"],
            kwargs.get("pipeline_id"),
        )
        api.get(f"workflow-execution/{execution_id}/")
        done = [result for result in results if isinstance(result, dict)]
        counts = {name: sum(result.get(name, 0) for result in done) for name in COUNTS}
        failed = counts["failed_files"] > 0 and counts["failed_files"] == counts["total_files"]
        status = "ERROR" if failed else "COMPLETED"
        api.update_execution(execution_id, status, **counts)
        if pipeline and not of_api:
            outcome, counted = "FAILURE" if failed else "SUCCESS", {"increment_run_count": True}
            api.update_pipeline(pipeline, outcome, last_run_status=outcome, last_run_time=time.time(), **counted)
        if pipeline:
            api.enqueue_event(pipeline, status if failed or of_api else "SUCCESS", execution_id)
        return {"status": "completed", "execution_id": execution_id}

    def process_batch_callback(results: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return finish(results, kwargs, of_api=False)

    def process_batch_callback_api(results: list[Any], *args: Any, **kwargs: Any) -> dict[str, Any]:
        return finish(results, kwargs, of_api=True)

    for fanned, task in ((ETL, process_batch_callback), (API, process_batch_callback_api)):
        app.task(name=fanned.callback_task, shared=False, max_retries=0)(task)


def _dealt(api: InternalApi, files: list[list[Any]], data: dict[str, Any]) -> list[dict[str, Any]]:
    """Batches, round-robin (contract: tasks 3.1)."""
    try:
        answer = api.get(f"configuration/MAX_PARALLEL_FILE_BATCHES/?organization_id={api.organization}")
        most = max(1, int(answer["data"]["value"]))
    except CallFailed:
        most = 1
    number = max(1, min(most, len(files)))
    return [{"files": files[first::number], "file_data": data} for first in range(number)]


def _file_data(api: InternalApi, workflow: str, execution: str, **more: Any) -> dict[str, Any]:
    return {
        "workflow_id": workflow, "execution_id": execution, "single_step": False,
        "organization_id": api.organization, "scheduled": False, "execution_mode": None, "q_file_no_list": [],
        "source_config": {}, "destination_config": {}, "hitl_queue_name": None, "hitl_packet_id": None,
        "manual_review_config": {"file_decisions": []}, "is_manualreview_required": False, "llm_profile_id": None,
        "tags": [], "custom_data": None, **more,
    }  # fmt: skip
