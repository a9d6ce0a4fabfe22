"""file-history: lookups by one file and by many, create, get, and the batch check of workflow-manager."""

import uuid
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Database, Row, pick
from unstract_devstack.backend.handlers import workflows
from unstract_devstack.backend.handlers.executions import STATUSES
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, offset, zulu
from unstract_devstack.backend.wire import refuse, reply, valid_uuid

KEY_LENGTH = 64
WITH_LIMIT = (
    "SELECT h.*, w.history_limit FROM file_histories h JOIN workflows w ON w.id = h.workflow_id WHERE h.workflow_id = ?"
)


def history_of(
    database: Database, workflow_id: str, cache_key: str | None, provider_file_uuid: str | None, path: str | None
) -> Row | None:
    """The row by hash or by the storage's id. With a path that path's row first, else the one without a path."""
    column, value = ("cache_key", cache_key) if cache_key else ("provider_file_uuid", provider_file_uuid)
    query = f"{WITH_LIMIT} AND h.{column} = ?"
    if path:
        row = database.one(f"{query} AND h.file_path = ?", (workflow_id, value, path))
        if row is not None:
            return row
    return database.one(f"{query} AND h.file_path IS NULL", (workflow_id, value))


def _looked_up(row: Row | None) -> dict[str, Any] | None:
    """As lookups show it. A file with a path has a limit of tries, one without (API) has none."""
    if row is None:
        return None
    return {
        **pick(row, "id cache_key provider_file_uuid status execution_count error result metadata file_path"),
        "max_execution_count": row["history_limit"],
        "has_exceeded_limit": row["file_path"] is not None and bool(row["execution_count"] >= row["history_limit"]),
        "created_at": zulu(row["created"]),
        "modified_at": zulu(row["modified"]),
        "workflow": row["workflow_id"],
    }


def _created(row: Row, path: str | None) -> dict[str, Any]:
    """As create shows it: the caller's path, a count that is always 1, no empty fields."""
    shown = {
        **pick(row, "id workflow_id cache_key provider_file_uuid status result metadata error"),
        "execution_count": 1,
        "file_path": path,
        "created_at": offset(row["created"]),
        "modified_at": offset(row["modified"]),
    }
    return {name: value for name, value in shown.items() if value is not None}


def _workflow(call: Call, value: object, body_organization: object = None) -> Row:
    row = workflows.managed_workflow(call, valid_uuid(value))
    if row is None:
        raise refuse(404, error="Workflow not found")
    if body_organization:
        found = call.services.organizations.by_identifier(str(body_organization))
        if found is None or found.pk != row["organization_pk"]:
            raise refuse(404, error="Workflow not found in organization")
    return row


def _found(cache_key: str | None, row: Row | None) -> Response:
    return reply(200, {"found": row is not None, "cache_key": cache_key, "file_history": _looked_up(row)})


def lookup(call: Call) -> Response:
    """One file, by hash or by the storage's id."""
    body = call.fields()
    if not body.get("workflow_id"):
        raise refuse(400, error="workflow_id parameter is required")
    key, provider = body.get("cache_key"), body.get("provider_file_uuid")
    if not key and not provider:
        raise refuse(400, error="Either cache_key or provider_file_uuid is required")
    workflow = _workflow(call, body["workflow_id"], body.get("organization_id"))
    return _found(key, history_of(call.database, workflow["id"], key, provider, body.get("file_path")))


def by_cache_key(call: Call) -> Response:
    """One file by its hash; the path narrows."""
    query, key = call.query, call.parameter("cache_key")
    if not query.get("workflow_id"):
        raise refuse(400, error="workflow_id parameter is required")
    workflow = _workflow(call, query["workflow_id"])
    return _found(key, history_of(call.database, workflow["id"], key, None, query.get("file_path")))


def batch_lookup(call: Call) -> Response:
    """Many files; the answer's keys are the caller's identifiers, else made of id and path."""
    body = call.fields()
    files = body.get("files")
    if not body.get("workflow_id") or not files:
        raise refuse(400, error="workflow_id and files array are required")
    workflow = _workflow(call, body["workflow_id"], body.get("organization_id"))
    found: dict[str, Any] = {}
    for at, file in enumerate(files):
        key, provider, path = file.get("cache_key"), file.get("provider_file_uuid"), file.get("file_path")
        if not key and not provider:
            raise refuse(400, error=f"File at index {at} must have either cache_key or provider_file_uuid")
        plain = str(provider or key)
        row = history_of(call.database, workflow["id"], key, provider, path)
        completed = row is not None and row["status"] == "COMPLETED"
        entry = {"found": row is not None, "is_completed": completed, "file_history": _looked_up(row)}
        found[file.get("identifier") or (f"{plain}:{path}" if path else plain)] = entry
    return reply(200, {"file_histories": found})


def get(call: Call) -> Response:
    """One file; wants the organization in the body and in the header."""
    body = call.fields()
    key, provider = body.get("file_hash"), body.get("provider_file_uuid")
    if not (body.get("workflow_id") and body.get("organization_id") and (key or provider)):
        required = ["workflow_id", "organization_id", "either provider_file_uuid or file_hash"]
        raise refuse(400, error="Missing required parameters", required=required, optional=["file_path"])
    workflow = workflows.managed_workflow(call, valid_uuid(body["workflow_id"]))
    organization = call.services.organizations.by_identifier(str(body["organization_id"]))
    if workflow is None or organization is None or organization.pk != workflow["organization_pk"]:
        raise refuse(404, error="Workflow not found", workflow_id=body["workflow_id"])
    row = history_of(call.database, workflow["id"], key, provider, body.get("file_path"))
    if row is None:
        return reply(200, {"file_history": None, "found": False})
    completed = row["status"] == "COMPLETED"
    shown = {
        **pick(row, "id workflow_id cache_key provider_file_uuid file_path status"),
        "is_completed": completed,
        "created_at": offset(row["created"]),
        "completed_at": offset(row["modified"]) if completed else None,
    }
    return reply(200, {"file_history": shown, "found": True})


def create(call: Call) -> Response:
    """Add a row, or count one more try on the row that is there and overwrite it."""
    body = call.fields()
    key = body.get("file_hash")
    if not body.get("workflow_id") or not key:
        raise refuse(400, error="workflow_id and file_hash are required")
    workflow_id = _workflow(call, body["workflow_id"])["id"]
    if len(key) > KEY_LENGTH:
        raise ValueError(f"value too long for type character varying({KEY_LENGTH})\n")
    path = body.get("file_path")
    status = body.get("status") if body.get("status") in STATUSES else "COMPLETED"
    with call.database.write():
        history_id = _stored(call, workflow_id, body, status)
        detail = {"workflow_id": workflow_id, "cache_key": key, "status": status}
        call.effect("history.create", file=path or body.get("file_name"), **detail)
    row = call.database.one("SELECT * FROM file_histories WHERE id = ?", (history_id,))
    assert row is not None
    content = {"status": "created", "workflow_id": workflow_id, "file_history": _created(row, path)}
    return reply(201, {**content, "message": "File history record created successfully"})


def _stored(call: Call, workflow_id: str, body: dict[str, Any], status: Any) -> str:
    """The id of the row for this hash and path (none for API files), new or overwritten."""
    path = None if body.get("is_api") else body.get("file_path")
    values = {name: str(body.get(name) or "") for name in ("result", "metadata", "error")}
    query = f"{WITH_LIMIT} AND h.cache_key = ? AND h.file_path IS ?"
    known = call.database.one(query, (workflow_id, body["file_hash"], path))
    at = now()
    if known is not None:
        call.database.connection().execute(
            "UPDATE file_histories SET execution_count = execution_count + 1, status = ?, result = ?, metadata = ?,"
            " error = ?, modified = ? WHERE id = ?",
            (status, *values.values(), at, known["id"]),
        )
        return str(known["id"])
    row_id = str(uuid.uuid4())
    keys = {"cache_key": body["file_hash"], "provider_file_uuid": body.get("provider_file_uuid"), "file_path": path}
    times = {"created": at, "modified": at}
    call.database.insert("file_histories", id=row_id, workflow_id=workflow_id, status=status, **keys, **values, **times)
    return row_id


def check_batch(call: Call) -> Response:
    """Which of these hashes have been completed. The body's organization counts where the header is missing."""
    body = call.fields()
    hashes = body.get("file_hashes")
    if not body.get("workflow_id") or not hashes:
        raise refuse(400, error="workflow_id and file_hashes are required")
    scope = call.scope
    if scope.raw is None and body.get("organization_id"):
        scope = call.services.organizations.scope(str(body["organization_id"]))
    workflow = workflows.managed_workflow(call, valid_uuid(body["workflow_id"]), scope.managed())
    if workflow is None:
        raise refuse(404, error="Workflow not found or access denied")
    limit, query = workflow["history_limit"], f"{WITH_LIMIT} AND h.cache_key = ? AND h.status = 'COMPLETED'"
    rows = (call.database.one(query, (workflow["id"], str(value))) for value in hashes)
    names = "result metadata error file_path provider_file_uuid execution_count status"
    details = {row["cache_key"]: {**pick(row, names), "max_execution_count": limit} for row in rows if row is not None}
    content = {"processed_file_hashes": list(details), "file_history_details": details, "max_execution_count": limit}
    return reply(200, content)
