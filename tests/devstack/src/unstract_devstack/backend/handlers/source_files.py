"""workflow-manager: source-files, the listing of a workflow's source folder."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers.workflows import MANAGER, workflow_of
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import NoMatch, failed, operation, refuse, valid_uuid


@operation("POST", f"{MANAGER}/source-files/{{workflow_id}}/", failed("Failed to get source files"), slow=True)
def source_files(call: Call) -> Any:
    """The files that are to be processed, credentials of their connector included."""
    body = call.fields()
    workflow = workflow_of(call, call.parameter("workflow_id"))
    if not body.get("execution_id"):
        raise refuse(400, error="execution_id is required")
    execution = call.database.get("executions", id=valid_uuid(body["execution_id"]))
    if execution is None:
        raise refuse(404, error="Workflow execution not found")
    source = call.database.get("endpoints", workflow_id=workflow["id"], type="SOURCE")
    if source is None:
        raise NoMatch("WorkflowEndpoint matching query does not exist.")
    found: dict[str, Any] = {}
    if source["connection_type"] == "FILESYSTEM":
        _demand_folder(call, workflow, execution)
        found = listed(call, workflow, source, use_history=body.get("use_file_history", True) is not False)
    ids = {"workflow_id": workflow["id"], "execution_id": execution["id"], "pipeline_id": body.get("pipeline_id")}
    return {"files": found, "total_files": len(found), **ids}


def _demand_folder(call: Call, workflow: Row, execution: Row) -> None:
    """Raise NoMatch for a folder that is not there, each time with two lines in the user's log, as the platform does."""
    folder = Path(workflow["source_folder"])
    if folder.is_dir():
        return
    problem = f"{folder.name!r} is not a valid directory"
    for text in (f"Error listing files from source: {problem}", f"Source connector: {problem}"):
        line = {"type": "LOG", "level": "ERROR", "stage": "SOURCE", "log": text, "execution_id": execution["id"]}
        call.services.logs.add(execution["execution_log_id"], line)
    raise NoMatch(f"Source connector: {problem}")


def listed(call: Call, workflow: Row, source: Row, *, use_history: bool) -> dict[str, Any]:
    """Entries by path, numbered from 1, at most as many as the workflow takes.

    With the history those are left out that were done at this path. Tries in vain and files at work do not count here:
    see batch-lookup.
    """
    root, folder = Path(workflow["source_root"]), Path(workflow["source_folder"])
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        if len(found) >= workflow["max_files"]:
            break
        if path.is_symlink() or not path.is_file():
            continue
        key, etag = path.relative_to(root).as_posix(), etag_of(path)
        done = {"workflow_id": workflow["id"], "provider_file_uuid": etag, "file_path": key, "status": "COMPLETED"}
        if not use_history or call.database.get("file_histories", **done) is None:
            found[key] = _entry(path, key, etag, len(found) + 1, source)
    return found


def etag_of(path: Path) -> str:
    """What object stores call the ETag: a hash of the content, so it changes when the file does."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _entry(path: Path, key: str, etag: str, number: int, source: Row) -> dict[str, Any]:
    facts = path.stat()
    modified = datetime.fromtimestamp(int(facts.st_mtime), UTC).isoformat()
    return {
        "file_path": key,
        "file_hash": None,
        "file_name": path.name,
        "source_connection_type": "FILESYSTEM",
        "file_destination": None,
        "is_executed": False,
        "file_size": facts.st_size,
        "mime_type": None,
        "provider_file_uuid": etag,
        "fs_metadata": {
            "Key": key,
            "LastModified": modified,
            "ETag": f'"{etag}"',
            "Size": facts.st_size,
            "StorageClass": "STANDARD",
            "type": "file",
            "size": facts.st_size,
            "name": key,
        },
        "file_number": number,
        "connector_metadata": source["connector_metadata"] or {},
        "connector_id": source["connector_id"],
    }
