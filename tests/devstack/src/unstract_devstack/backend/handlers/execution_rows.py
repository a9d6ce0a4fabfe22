"""Execution rows: how they are found, serialized, and mirrored into Redis."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
from typing import Any

from unstract_devstack.backend.database import Database, Row
from unstract_devstack.backend.services import Call, Services
from unstract_devstack.backend.status_cache import CachedStatus
from unstract_devstack.backend.timestamps import now, zulu

TERMINAL = frozenset({"COMPLETED", "STOPPED", "ERROR"})
STATUSES = ("PENDING", "EXECUTING", "COMPLETED", "STOPPED", "ERROR")

WITH_NAMES = "SELECT e.*, w.name AS workflow_name FROM executions e JOIN workflows w ON w.id = e.workflow_id"


def scoped_execution(call: Call, execution_id: str) -> Row | None:
    """The row if the request's organization may see it; without one, every tenant's."""
    organization = call.scope.filtered()
    query, values = f"{WITH_NAMES} WHERE e.id = ?", [execution_id]
    if organization is not None:
        return call.database.one(f"{query} AND e.organization_pk = ?", [*values, organization])
    return call.database.one(query, values)


def visible_pipeline(call: Call, pipeline_id: str | None) -> str | None:
    """The id if it is of a pipeline or API deployment that the request's organization manages, else None."""
    if pipeline_id is None:
        return None
    organization = call.scope.managed()
    for table in ("pipelines", "api_deployments"):
        query = f"SELECT 1 FROM {table} WHERE id = ? AND organization_pk = ?"
        if call.database.one(query, (pipeline_id, organization)):
            return pipeline_id
    return None


def serialized(call: Call, row: Row) -> dict[str, Any]:
    """The row as lists and the retrieve answer show it: without counts of good and bad files."""
    return {
        "id": row["id"],
        "workflow_id": row["workflow_id"],
        "workflow_name": row["workflow_name"],
        "pipeline_id": visible_pipeline(call, row["pipeline_id"]),
        "task_id": row["task_id"],
        "execution_mode": row["execution_mode"],
        "execution_method": row["execution_method"],
        "execution_type": "COMPLETE",
        "execution_log_id": row["execution_log_id"],
        "status": row["status"],
        "result_acknowledged": bool(row["result_acknowledged"]),
        "total_files": row["total_files"],
        "error_message": row["error_message"],
        "attempts": row["attempts"],
        "execution_time": row["execution_time"],
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
        "tags": json.loads(row["tags"]),
    }


def create_execution(
    database: Database, execution_id: str, organization_pk: int, workflow_id: str, **values: Any
) -> None:
    """Add a PENDING row."""
    at = now()
    database.insert(
        "executions",
        id=execution_id,
        organization_pk=organization_pk,
        workflow_id=workflow_id,
        created=at,
        modified=at,
        **values,
    )


def mirror(services: Services, execution_id: str) -> None:
    """Write an execution's status into Redis, as each save of a row does; only API runs have a total there."""
    row = services.database.one(
        "SELECT e.*, w.type AS kind FROM executions e JOIN workflows w ON w.id = e.workflow_id WHERE e.id = ?",
        (execution_id,),
    )
    if row is not None:
        services.cache.write(
            CachedStatus(
                row["workflow_id"],
                row["id"],
                row["status"],
                row["total_files"] if row["kind"] == "API" else 0,
                row["successful_files"] or 0,
                row["failed_files"] or 0,
            )
        )
