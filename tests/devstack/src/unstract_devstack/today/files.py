"""file-processing as today's is: one batch, file by file, a result for the chord (contract: tasks 4, flows c)."""

import json
import time
from collections.abc import Mapping
from typing import Any

import redis
from attrs import frozen
from celery import Celery

from unstract_devstack.http_calls import CallFailed
from unstract_devstack.today.internal_api import ApiOf, InternalApi

_RESULT_SECONDS = 86400


@frozen
class _Work:
    """One file at work. `is_api` is told by the path (contract: flows c, the end); `remembers`: its history counts."""

    api: InternalApi
    platform: redis.Redis
    data: Mapping[str, Any]
    name: str
    file: dict[str, Any]
    row: str
    is_api: bool
    remembers: bool


def register_files(app: Celery, api_of: ApiOf, platform: redis.Redis) -> None:
    """The file-processing worker's task."""

    def process_file_batch(batch: dict[str, Any]) -> dict[str, Any]:
        data, began = batch["file_data"], time.monotonic()
        api = api_of(data["organization_id"])
        api.update_execution(data["execution_id"], "EXECUTING")
        done = [_one(api, platform, data, name, file) for name, file in batch["files"]]
        return {
            "total_files": len(done), "successful_files": sum(done), "failed_files": len(done) - sum(done),
            "execution_time": time.monotonic() - began, "file_results": [], "errors": [],
            "skipped_already_completed": 0, "skipped_active_duplicate": 0, "organization_id": api.organization,
        }  # fmt: skip

    app.task(name="process_file_batch", shared=False, max_retries=0, ignore_result=False)(process_file_batch)


def _one(api: InternalApi, platform: redis.Redis, data: dict[str, Any], name: str, file: dict[str, Any]) -> bool:
    """Whether the file succeeded; whatever happens to it, the batch goes on."""
    ids = {"execution_id": data["execution_id"], "workflow_id": data["workflow_id"]}
    row = api.post("file-execution/", file_hash=file, **ids)["id"]
    remembers = bool(data.get("use_file_history")) and bool(file.get("file_hash"))
    work = _Work(api, platform, data, name, file, row, "/api/" in file["file_path"], remembers)
    api.post(f"file-execution/{row}/status/", status="PENDING")
    api.post(f"file-execution/{row}/status/", status="EXECUTING")
    result, error = _known(work), None
    if result is None:
        result, error = _executed(work)
        _write_history(work, result, error)
    if work.is_api:
        _push(work, result, error)
    outcome = {} if error is None else {"error_message": error}
    api.post(f"file-execution/{row}/status/", status="ERROR" if error else "COMPLETED", execution_time=0.1, **outcome)
    return error is None


def _known(work: _Work) -> Any:
    """The result of a history hit; None without one."""
    if not (work.is_api and work.remembers):
        return None
    found = work.api.get(f"file-history/cache-key/{work.file['file_hash']}/?workflow_id={work.data['workflow_id']}")
    if not found["found"] or found["file_history"]["status"] != "COMPLETED":
        return None
    return json.loads(found["file_history"]["result"])


def _executed(work: _Work) -> tuple[Any, str | None]:
    file = {**work.file, "name": work.name, "file_execution_id": work.row}
    try:
        answer = work.api.post(
            "workflow-manager/execute-file/", workflow_id=work.data["workflow_id"], file_data=file,
            execution_id=work.data["execution_id"], organization_id=work.api.organization,
        )  # fmt: skip
    except CallFailed as error:
        return None, f"Workflow error: {error}"
    if answer["status"] != "success":
        return None, f"Workflow error: {answer['error']}"
    return answer["result"], None


def _push(work: _Work, result: Any, error: str | None) -> None:
    """The API caller's item (contract: flows 0.1)."""
    usage = work.api.get(f"usage/aggregated-token-count/{work.row}/")["data"]["usage"]
    pages = work.api.get(f"usage/aggregated-pages-processed/{work.row}/")["data"]["total_pages_processed"]
    metadata = {
        "source_name": work.name, "source_hash": work.file.get("file_hash"), "organization_id": work.api.organization,
        "workflow_id": work.data["workflow_id"], "execution_id": work.data["execution_id"], "total_elapsed_time": 0.1,
        "tool_metadata": ((result or {}).get("metadata") or {}).get("tool_metadata", []),
        "usage": {"file_execution_id": work.row, **usage}, "total_pages_processed": pages,
    }  # fmt: skip
    item = {
        "file": work.name, "file_execution_id": work.row, "status": "Failed" if error else "Success",
        "result": result, "error": error, "metadata": metadata,
    }  # fmt: skip
    key = f"api_results:{work.data['workflow_id']}:{work.data['execution_id']}"
    with work.platform.pipeline(transaction=True) as pipe:
        pipe.rpush(key, json.dumps(item))
        pipe.expire(key, _RESULT_SECONDS)
        pipe.execute()


def _write_history(work: _Work, result: Any, error: str | None) -> None:
    if work.is_api and not work.remembers:
        return
    known = ((result or {}).get("metadata") or {}).get("source_hash")
    key = work.file.get("file_hash") or known
    if not key:
        return
    work.api.post(
        "file-history/create/", organization_id=work.api.organization, workflow_id=work.data["workflow_id"],
        provider_file_uuid=work.file.get("provider_file_uuid"), mime_type=work.file.get("mime_type"),
        file_path=None if work.is_api else work.file["file_path"], file_name=work.name, file_hash=key,
        source_connection_type=work.file.get("source_connection_type"), file_size=work.file.get("file_size"),
        is_api=work.is_api, status="ERROR" if error else "COMPLETED", metadata={}, error=error,
        result=json.dumps(result) if work.is_api else None,
    )  # fmt: skip
