"""workflow-manager: check-active, which files are being worked on by another execution. Of any organization."""

from typing import Any

from attrs import frozen
from starlette.responses import Response

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import zulu
from unstract_devstack.backend.wire import refuse, reply, valid_uuid


@frozen
class Asked:
    """One file that is asked about; without a path any file with that id counts."""

    uuid: str
    path: str | None


def check_active(call: Call) -> Response:
    """The active rows by the storage's id: row and execution are PENDING or EXECUTING, whatever statuses are sent."""
    body = call.fields()
    workflow_id, files = body.get("workflow_id"), body.get("files") or body.get("provider_file_uuids")
    if not workflow_id or not files:
        raise refuse(400, error="workflow_id and files (or provider_file_uuids) are required")
    asked = [_asked(file, plain=not body.get("files")) for file in files]
    found_id, current = valid_uuid(workflow_id), body.get("current_execution_id")
    active: dict[str, list[dict[str, Any]]] = {}
    identifiers: list[str] = []
    for file in asked:
        rows = _rows(call, found_id, file, valid_uuid(current) if current else "")
        if rows:
            active.setdefault(file.uuid, []).extend(_shown(row) for row in rows)
            identifiers.append(f"{file.uuid}:{file.path}" if file.path else file.uuid)
    content = {
        "active_files": active,
        "active_uuids": list(active),
        "active_identifiers": identifiers,
        "total_checked": len(asked),
        "total_active": len(identifiers),
        "cache_stats": {"db_queries": 2},
    }
    return reply(200, content)


def _asked(file: Any, *, plain: bool) -> Asked:
    if plain:
        return Asked(str(file), None)
    if not isinstance(file, dict) or not file.get("uuid"):
        raise refuse(400, error="Each file must have 'uuid' field")
    return Asked(str(file["uuid"]), file.get("path"))


def _rows(call: Call, workflow_id: str, file: Asked, current: str) -> list[Row]:
    query = (
        "SELECT f.* FROM file_executions f JOIN executions e ON e.id = f.execution_id WHERE f.provider_file_uuid = ?"
        " AND e.workflow_id = ? AND e.id != ?"
        " AND f.status IN ('PENDING', 'EXECUTING') AND e.status IN ('PENDING', 'EXECUTING')"
    )
    values = [file.uuid, workflow_id, current]
    if file.path:
        return call.database.all(f"{query} AND f.file_path = ?", [*values, file.path])
    return call.database.all(query, values)


def _shown(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "workflow_execution_id": row["execution_id"],
        "file_name": row["file_name"],
        "file_path": row["file_path"],
        "status": row["status"],
        "created_at": zulu(row["created"]),
        "provider_file_uuid": row["provider_file_uuid"],
    }
