"""Dev API: starts of pipelines as the platform starts them, and the user's stop."""

import uuid

from starlette.responses import Response

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers.executions import create_execution, mirror
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now
from unstract_devstack.backend.wire import refuse, reply
from unstract_devstack.producer import StartOptions


def trigger(call: Call) -> Response:
    """schedule: what Beat sends, the workers create the execution. run: a row and its start message, as Django does."""
    how = call.fields().get("how", "run")
    row = call.database.one("SELECT * FROM pipelines WHERE id = ?", (call.parameter(),))
    if row is None:
        raise refuse(404, error=f"pipeline {call.parameter()!r} is not there: POST /dev/pipelines first")
    organization = call.services.organizations.by_pk(row["organization_pk"])
    assert organization is not None
    if how == "schedule":
        name = f"Pipeline job-{row['id'][:8]}"
        call.services.producer.scheduled_pipeline(organization.identifier, row["workflow_id"], row["id"], name)
        return reply(200, {"execution_id": None})
    if how != "run":
        raise ValueError("how must be schedule or run")
    return reply(200, {"execution_id": _run(call, organization.identifier, row)})


def _run(call: Call, organization_id: str, pipeline: Row) -> str:
    execution_id = str(uuid.uuid4())
    create_execution(
        call.database,
        execution_id,
        pipeline["organization_pk"],
        pipeline["workflow_id"],
        pipeline_id=pipeline["id"],
        execution_log_id=pipeline["id"],
    )
    mirror(call.services, execution_id)
    task_id = call.services.producer.start_execution(
        organization_id,
        pipeline["workflow_id"],
        execution_id,
        {},
        StartOptions(pipeline_id=pipeline["id"], use_file_history=True),
        None,
    )
    with call.database.write() as connection:
        connection.execute("UPDATE executions SET task_id = ? WHERE id = ?", (task_id, execution_id))
    return execution_id


def backend_cleanup(call: Call) -> Response:
    """What Beat sends once a day for Celery's result table."""
    return reply(200, {"task_id": call.services.producer.backend_cleanup()})


def stop(call: Call) -> Response:
    """STOPPED, as a user's stop writes it."""
    execution_id = call.parameter()
    with call.database.write() as connection:
        changed = connection.execute(
            "UPDATE executions SET status = 'STOPPED', modified = ? WHERE id = ?", (now(), execution_id)
        ).rowcount
        if not changed:
            raise refuse(404, error=f"execution {execution_id!r} is not there")
        call.effect("user.stop", execution_id=execution_id)
    call.after.append(lambda: mirror(call.services, execution_id))
    return reply(200, {"execution_id": execution_id, "status": "STOPPED"})
