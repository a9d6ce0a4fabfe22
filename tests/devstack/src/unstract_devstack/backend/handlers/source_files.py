"""workflow-manager: source-files, the listing of a workflow's source folder."""

import hashlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.database import Row
from unstract_devstack.backend.handlers import workflows
from unstract_devstack.backend.handlers.histories import history_of
from unstract_devstack.backend.handlers.workflows import GONE
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import NoMatch, refuse, reply, valid_uuid


def source_files(call: Call) -> Response:
    """The files that are to be processed, credentials of their connector included."""
    body = call.fields()
    workflow_id = valid_uuid(call.parameter("workflow_id"))
    workflow = workflows.managed_workflow(call, workflow_id)
    if workflow is None:
        raise refuse(404, error=GONE)
    if not body.get("execution_id"):
        raise refuse(400, error="execution_id is required")
    execution_id = valid_uuid(body["execution_id"])
    if call.database.one("SELECT 1 FROM executions WHERE id = ?", (execution_id,)) is None:
        raise refuse(404, error="Workflow execution not found")
    source = workflows.endpoints(call.database, workflow_id).get("SOURCE")
    if source is None:
        raise NoMatch("WorkflowEndpoint matching query does not exist.")
    found: dict[str, Any] = {}
    if source["connection_type"] == "FILESYSTEM":
        _demand_folder(call, workflow, execution_id)
        found = listed(call, workflow, source, use_history=body.get("use_file_history", True) is not False)
    content = {"files": found, "total_files": len(found), "workflow_id": workflow_id, "execution_id": execution_id}
    return reply(200, {**content, "pipeline_id": body.get("pipeline_id")})


def _demand_folder(call: Call, workflow: Row, execution_id: str) -> None:
    """Raise NoMatch for a folder that is not there, each time with two lines in the user's log, as the platform does."""
    folder = Path(workflow["source_folder"])
    if folder.is_dir():
        return
    problem = f"{folder.name!r} is not a valid directory"
    row = call.database.one("SELECT execution_log_id FROM executions WHERE id = ?", (execution_id,))
    for text in (f"Error listing files from source: {problem}", f"Source connector: {problem}"):
        line = {"type": "LOG", "level": "ERROR", "stage": "SOURCE", "log": text, "execution_id": execution_id}
        call.services.logs.add(str(row["execution_log_id"]) if row else "", line)
    raise NoMatch(f"Source connector: {problem}")


def listed(call: Call, workflow: Row, source: Row, *, use_history: bool) -> dict[str, Any]:
    """Entries by path, numbered from 1, at most as many as the workflow takes."""
    root, folder = Path(workflow["source_root"]), Path(workflow["source_folder"])
    found: dict[str, Any] = {}
    for path in walked(folder):
        if len(found) >= workflow["max_files"]:
            break
        key = path.relative_to(root).as_posix()
        etag = etag_of(path)
        if use_history and _completed_before(call, workflow["id"], etag, key):
            continue
        found[key] = _entry(path, key, etag, len(found) + 1, source)
    return found


def walked(folder: Path) -> Iterator[Path]:
    """The regular files below a folder in the order of their paths; links are not followed."""
    paths: list[Path] = []
    for directory, _, names in os.walk(folder, followlinks=False):
        paths.extend(Path(directory, name) for name in names)
    yield from (path for path in sorted(paths) if path.is_file() and not path.is_symlink())


def etag_of(path: Path) -> str:
    """What object stores call the ETag: a hash of the content, so it changes when the file does."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _completed_before(call: Call, workflow_id: str, etag: str, path: str) -> bool:
    """Whether the file was done at this path. Tries in vain and files at work do not count here: see batch-lookup."""
    row = history_of(call.database, workflow_id, None, etag, path)
    return row is not None and row["status"] == "COMPLETED" and row["file_path"] == path


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
        "connector_metadata": json.loads(source["connector_metadata"] or "{}"),
        "connector_id": source["connector_id"],
    }
