"""file-history: lookups by one file and by many, create, get, and the batch check of workflow-manager."""

import uuid
from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers import workflow_rows
from unstract_devstack.backend.handlers.execution_rows import STATUSES
from unstract_devstack.backend.handlers.history_rows import WITH_LIMIT, created, history_of, looked_up
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.timestamps import now, offset
from unstract_devstack.backend.wire import Reply, refuse, reply, valid_uuid

KEY_LENGTH = 64


def _workflow(call: Call, value: object, body_organization: object = None) -> Row:
    row = workflow_rows.managed_workflow(call, valid_uuid(value))
    if row is None:
        raise refuse(404, error="Workflow not found")
    if body_organization:
        found = call.services.organizations.by_identifier(str(body_organization))
        if found is None or found.pk != row["organization_pk"]:
            raise refuse(404, error="Workflow not found in organization")
    return row


def _found(cache_key: str | None, row: Row | None) -> Reply:
    shown = looked_up(row) if row else None
    return reply(200, {"found": row is not None, "cache_key": cache_key, "file_history": shown})


def lookup(call: Call) -> Reply:
    """One file, by hash or by the storage's id."""
    body = call.fields()
    if not body.get("workflow_id"):
        raise refuse(400, error="workflow_id parameter is required")
    key, provider = body.get("cache_key"), body.get("provider_file_uuid")
    if not key and not provider:
        raise refuse(400, error="Either cache_key or provider_file_uuid is required")
    workflow = _workflow(call, body["workflow_id"], body.get("organization_id"))
    return _found(key, history_of(call.database, workflow["id"], key, provider, body.get("file_path")))


def by_cache_key(call: Call) -> Reply:
    """One file by its hash; the path narrows."""
    query, key = call.request.query, call.parameters["cache_key"]
    if not query.get("workflow_id"):
        raise refuse(400, error="workflow_id parameter is required")
    workflow = _workflow(call, query["workflow_id"])
    return _found(key, history_of(call.database, workflow["id"], key, None, query.get("file_path")))


def batch_lookup(call: Call) -> Reply:
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
        identifier = file.get("identifier") or (f"{plain}:{path}" if path else plain)
        row = history_of(call.database, workflow["id"], key, provider, path)
        found[identifier] = {
            "found": row is not None,
            "is_completed": row is not None and row["status"] == "COMPLETED",
            "file_history": looked_up(row) if row else None,
        }
    return reply(200, {"file_histories": found})


def get(call: Call) -> Reply:
    """One file; wants the organization in the body and in the header."""
    body = call.fields()
    key, provider = body.get("file_hash"), body.get("provider_file_uuid")
    if not (body.get("workflow_id") and body.get("organization_id") and (key or provider)):
        required = ["workflow_id", "organization_id", "either provider_file_uuid or file_hash"]
        raise refuse(400, error="Missing required parameters", required=required, optional=["file_path"])
    workflow = workflow_rows.managed_workflow(call, valid_uuid(body["workflow_id"]))
    organization = call.services.organizations.by_identifier(str(body["organization_id"]))
    if workflow is None or organization is None or organization.pk != workflow["organization_pk"]:
        raise refuse(404, error="Workflow not found", workflow_id=body["workflow_id"])
    row = history_of(call.database, workflow["id"], key, provider, body.get("file_path"))
    if row is None:
        return reply(200, {"file_history": None, "found": False})
    shown = {
        name: row[name] for name in ("id", "workflow_id", "cache_key", "provider_file_uuid", "file_path", "status")
    }
    completed = row["status"] == "COMPLETED"
    shown["is_completed"] = completed
    shown["created_at"] = offset(row["created"])
    shown["completed_at"] = offset(row["modified"]) if completed else None
    return reply(200, {"file_history": shown, "found": True})


def create(call: Call) -> Reply:
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
    content = {"status": "created", "workflow_id": workflow_id, "file_history": created(row, path)}
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


def check_batch(call: Call) -> Reply:
    """Which of these hashes have been completed. The body's organization counts where the header is missing."""
    body = call.fields()
    hashes = body.get("file_hashes")
    if not body.get("workflow_id") or not hashes:
        raise refuse(400, error="workflow_id and file_hashes are required")
    scope = call.scope
    if scope.raw is None and body.get("organization_id"):
        scope = call.services.organizations.scope(str(body["organization_id"]))
    workflow_id = valid_uuid(body["workflow_id"])
    query = "SELECT history_limit FROM workflows WHERE id = ? AND organization_pk = ?"
    workflow = call.database.one(query, (workflow_id, scope.managed()))
    if workflow is None:
        raise refuse(404, error="Workflow not found or access denied")
    limit = workflow["history_limit"]
    details: dict[str, Any] = {}
    for value in hashes:
        row = call.database.one(
            f"{WITH_LIMIT} AND h.cache_key = ? AND h.status = 'COMPLETED'", (workflow_id, str(value))
        )
        if row is not None:
            names = ("result", "metadata", "error", "file_path", "provider_file_uuid", "execution_count", "status")
            details[row["cache_key"]] = {**{name: row[name] for name in names}, "max_execution_count": limit}
    content = {"processed_file_hashes": list(details), "file_history_details": details, "max_execution_count": limit}
    return reply(200, content)
