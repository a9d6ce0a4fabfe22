"""Dev API: starts of pipelines as the platform starts them, and the user's stop."""

import time
from typing import Any

from unstract_devstack.backend.database import pick
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import ERROR_CAUSE, operation, refuse


@operation("POST", "/dev/pipelines/{id}/trigger", ERROR_CAUSE)
def trigger(call: Call) -> Any:
    """schedule: what Beat sends, the workers create the execution. run: a row and its start message, as Django does."""
    how, services = call.fields().get("how", "run"), call.services
    row = call.database.get("shown_pipelines", id=call.parameter())
    if row is None:
        raise refuse(404, error=f"pipeline {call.parameter()!r} is not there: POST /dev/pipelines first")
    if how == "schedule":
        ids = (row["organization_id"], row["workflow_id"], row["id"])
        services.producer.scheduled_pipeline(*ids, f"Pipeline job-{row['id'][:8]}")
        return {"execution_id": None}
    if how != "run":
        raise ValueError("how must be schedule or run")
    tied = pick(row, "organization_pk workflow_id")
    execution_id = services.create_execution(**tied, pipeline_id=row["id"], execution_log_id=row["id"])
    services.start(row, execution_id, {}, None, use_file_history=True)
    return {"execution_id": execution_id}


@operation("POST", "/dev/beat/backend-cleanup", ERROR_CAUSE)
def backend_cleanup(call: Call) -> Any:
    """What Beat sends once a day for Celery's result table."""
    return {"task_id": call.services.producer.backend_cleanup()}


@operation("POST", "/dev/executions/{id}/stop", ERROR_CAUSE)
def stop(call: Call) -> Any:
    """STOPPED, as a user's stop writes it."""
    execution_id = call.parameter()
    if call.database.get("executions", id=execution_id) is None:
        raise refuse(404, error=f"execution {execution_id!r} is not there")
    with call.database.write():
        call.database.update("executions", execution_id, status="STOPPED", modified=time.time())
        call.effect("user.stop", execution_id=execution_id)
    call.mirror(execution_id)
    return {"execution_id": execution_id, "status": "STOPPED"}
