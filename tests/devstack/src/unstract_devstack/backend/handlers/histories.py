"""file-history: lookups by one file and by many, create, get, and the batch check of workflow-manager."""

import time
from collections.abc import Mapping
from typing import Any

from unstract_devstack.backend.database import Row, pick, with_offset
from unstract_devstack.backend.handlers.executions import STATUSES
from unstract_devstack.backend.handlers.workflows import MANAGER, workflow_of
from unstract_devstack.backend.services import NOWHERE, Call
from unstract_devstack.backend.wire import ERROR_CAUSE, failed, operation, refuse, valid_uuid

HISTORY = "/internal/v1/file-history"
KEY_LENGTH = 64
NO_WORKFLOW = "workflow_id parameter is required"
SHOWN = (
    "id cache_key provider_file_uuid status execution_count error result metadata file_path max_execution_count"
    " created_at modified_at workflow"
)


def history_of(call: Call, workflow_id: str, file: Mapping[str, Any]) -> Row | None:
    """The row by hash or by the storage's id. With a path that path's row first, else the one without a path."""
    column = "cache_key" if file.get("cache_key") else "provider_file_uuid"
    where, path = {"workflow_id": workflow_id, column: file.get(column)}, file.get("file_path")
    row = call.database.get("shown_histories", file_path=path, **where) if path else None
    return row or call.database.get("shown_histories", file_path=None, **where)


def _looked_up(row: Row | None) -> dict[str, Any] | None:
    """As lookups show it. A file with a path has a limit of tries, one without (API) has none."""
    if row is None:
        return None
    exceeded = row["file_path"] is not None and row["execution_count"] >= row["max_execution_count"]
    return {**pick(row, SHOWN), "has_exceeded_limit": exceeded}


def _workflow_id(call: Call, value: object, body_organization: object = None) -> str:
    row = workflow_of(call, value, gone="Workflow not found")
    if body_organization:
        found = call.services.organization(str(body_organization))
        if found is None or found["pk"] != row["organization_pk"]:
            raise refuse(404, error="Workflow not found in organization")
    return str(row["id"])


def _found(call: Call, workflow_id: str, file: Mapping[str, Any]) -> Any:
    row = history_of(call, workflow_id, file)
    return {"found": row is not None, "cache_key": file.get("cache_key"), "file_history": _looked_up(row)}


@operation("POST", f"{HISTORY}/lookup/", ERROR_CAUSE)
def lookup(call: Call) -> Any:
    """One file, by hash or by the storage's id."""
    body = call.fields("workflow_id", error=NO_WORKFLOW)
    if not body.get("cache_key") and not body.get("provider_file_uuid"):
        raise refuse(400, error="Either cache_key or provider_file_uuid is required")
    return _found(call, _workflow_id(call, body["workflow_id"], body.get("organization_id")), body)


@operation("GET", f"{HISTORY}/cache-key/{{cache_key}}/", ERROR_CAUSE)
def by_cache_key(call: Call) -> Any:
    """One file by its hash; the path narrows."""
    query = call.query
    if not query.get("workflow_id"):
        raise refuse(400, error=NO_WORKFLOW)
    file = {"cache_key": call.parameter("cache_key"), "file_path": query.get("file_path")}
    return _found(call, _workflow_id(call, query["workflow_id"]), file)


@operation("POST", f"{HISTORY}/batch-lookup/", ERROR_CAUSE)
def batch_lookup(call: Call) -> Any:
    """Many files; the answer's keys are the caller's identifiers, else made of id and path."""
    body = call.fields("workflow_id", "files", error="workflow_id and files array are required")
    workflow_id = _workflow_id(call, body["workflow_id"], body.get("organization_id"))
    found: dict[str, Any] = {}
    for at, file in enumerate(body["files"]):
        name, path = file.get("provider_file_uuid") or file.get("cache_key"), file.get("file_path")
        if not name:
            raise refuse(400, error=f"File at index {at} must have either cache_key or provider_file_uuid")
        row = history_of(call, workflow_id, file)
        completed = row is not None and row["status"] == "COMPLETED"
        entry = {"found": row is not None, "is_completed": completed, "file_history": _looked_up(row)}
        found[file.get("identifier") or (f"{name}:{path}" if path else str(name))] = entry
    return {"file_histories": found}


@operation("POST", f"{HISTORY}/get/", ERROR_CAUSE)
def get(call: Call) -> Any:
    """One file; wants the organization in the body and in the header."""
    body = call.fields()
    file = {**body, "cache_key": body.get("file_hash")}
    if not (
        body.get("workflow_id")
        and body.get("organization_id")
        and (file["cache_key"] or body.get("provider_file_uuid"))
    ):
        required = ["workflow_id", "organization_id", "either provider_file_uuid or file_hash"]
        raise refuse(400, error="Missing required parameters", required=required, optional=["file_path"])
    gone = refuse(404, error="Workflow not found", workflow_id=body["workflow_id"])
    organization = call.services.organization(str(body["organization_id"]))
    if organization is None or organization["pk"] != call.managed():
        raise gone
    workflow = call.row("workflows", valid_uuid(body["workflow_id"]))
    if workflow is None:
        raise gone
    row = history_of(call, workflow["id"], file)
    if row is None:
        return {"file_history": None, "found": False}
    completed = row["status"] == "COMPLETED"
    shown = {
        **pick(row, "id workflow_id cache_key provider_file_uuid file_path status"),
        "is_completed": completed,
        "created_at": with_offset(row["created_at"]),
        "completed_at": with_offset(row["modified_at"]) if completed else None,
    }
    return {"file_history": shown, "found": True}


@operation("POST", f"{HISTORY}/create/", ERROR_CAUSE)
def create(call: Call) -> Any:
    """Add a row, or count one more try on the row that is there and overwrite it.

    It is shown with the caller's path, a count that is always 1, and without empty fields.
    """
    body = call.fields("workflow_id", "file_hash", error="workflow_id and file_hash are required")
    workflow_id, key, path = _workflow_id(call, body["workflow_id"]), body["file_hash"], body.get("file_path")
    if len(key) > KEY_LENGTH:
        raise ValueError(f"value too long for type character varying({KEY_LENGTH})\n")
    status = body.get("status") if body.get("status") in STATUSES else "COMPLETED"
    values = {"status": status, **{name: str(body.get(name) or "") for name in ("result", "metadata", "error")}}
    keys = {"workflow_id": workflow_id, "cache_key": key, "file_path": None if body.get("is_api") else path}
    with call.database.write():
        known = call.database.get("file_histories", **keys)
        if known is None:
            call.database.add("file_histories", provider_file_uuid=body.get("provider_file_uuid"), **keys, **values)
        else:
            count = known["execution_count"] + 1
            call.database.update("file_histories", known["id"], execution_count=count, modified=time.time(), **values)
        detail = {"workflow_id": workflow_id, "cache_key": key, "status": status}
        call.effect("history.create", file=path or body.get("file_name"), **detail)
    (row,) = call.database.find("shown_histories", **keys)
    shown = {
        **pick(row, "id workflow_id cache_key provider_file_uuid result status metadata error"),
        "execution_count": 1,
        "file_path": path,
        "created_at": with_offset(row["created_at"]),
        "modified_at": with_offset(row["modified_at"]),
    }
    shown = {name: value for name, value in shown.items() if value is not None}
    content = {"status": "created", "workflow_id": workflow_id, "file_history": shown}
    return 201, {**content, "message": "File history record created successfully"}


@operation("POST", f"{MANAGER}/file-history/check-batch/", failed("Failed to check history"))
def check_batch(call: Call) -> Any:
    """Which of these hashes have been completed. The body's organization counts where the header is missing."""
    body = call.fields("workflow_id", "file_hashes", error="workflow_id and file_hashes are required")
    pk = None
    if call.header is None and body.get("organization_id"):
        organization = call.services.resolved(str(body["organization_id"]))
        pk = organization["pk"] if organization else NOWHERE
    workflow = workflow_of(call, body["workflow_id"], pk)
    details: dict[str, Any] = {}
    for key in map(str, body["file_hashes"]):
        where = {"workflow_id": workflow["id"], "cache_key": key, "status": "COMPLETED"}
        row = call.database.get("shown_histories", **where)
        if row is not None:
            names = "result metadata error file_path provider_file_uuid execution_count status max_execution_count"
            details[key] = pick(row, names)
    limit = workflow["history_limit"]
    return {"processed_file_hashes": list(details), "file_history_details": details, "max_execution_count": limit}
