"""The answers, in the shapes of the recorded contract; what is not offered is a 404, as at the real backend."""

import json
import re
from collections.abc import Callable
from typing import Any

from unstract_bench.double.sources import listed
from unstract_bench.double.state import State, new_id

__all__ = ["answer"]

ORGANIZATION = "org_bench"
TOOL = {"id": "00000000-0000-4000-8000-0000000000aa", "tool_id": "bench_tool", "step": 1, "version": "1"}
TARGET = {"id": "00000000-0000-4000-8000-0000000000bb", "notification_type": "WEBHOOK", "platform": "API"}
RESULT = {"output": {"number": "2026-0017", "total": "1204.50", "items": ["one", "two", "three"]}}
Reply = tuple[int, Any]
Handler = Callable[[State, tuple[str, ...], Any], Reply]
_ID = r"([0-9a-f-]{36})"


def answer(state: State, method: str, path: str, query: str, body: bytes) -> Reply:
    """Status and JSON for a request; `path` is what comes after `internal/`."""
    for wanted, pattern, handler in _ROUTES:
        found = pattern.fullmatch(path) if wanted == method else None
        if found is not None:
            content = json.loads(body) if body else {}
            return handler(state, (*found.groups(), query), content)
    return 404, {"error": "not found"}


def _execution(state: State, ids: tuple[str, ...], _: Any) -> Reply:
    found = state.executions.get(ids[0])
    if found is None:
        return 500, {"error": "No WorkflowExecution matches the given query."}
    api = found.kind == "api"
    return 200, {
        "execution": {
            "id": found.id,
            "workflow_id": found.workflow_id,
            "status": found.status,
            "total_files": found.files,
            "error_message": "",
            "attempts": 0,
            "execution_log_id": "bench",
            "tags": [],
        },
        "workflow_definition": {"workflow_type": "API" if api else "ETL"},
        "source_config": {"type": "api" if api else "pipeline", "is_api": api},
        "destination_config": {"connection_type": "API" if api else "DATABASE", "is_api": api},
        "organization_context": {"organization_id": ORGANIZATION},
        "file_executions": [],
    }


def _update_execution(state: State, ids: tuple[str, ...], body: Any) -> Reply:
    found = state.executions[ids[0]]
    if found.over and found.status != body["status"]:
        return 200, {"status": "skipped", "reason": "already_final"}
    found.status, found.counts = body["status"], body
    return 200, {"status": "updated", "execution_id": found.id, "new_status": found.status}


def _rows(state: State, ids: tuple[str, ...], _: Any) -> Reply:
    wanted = re.search(_ID, ids[-1])
    found = state.executions.get(wanted.group(1)) if wanted else None
    return 200, list(found.rows.values()) if found else []


def _create_row(state: State, _: tuple[str, ...], body: Any) -> Reply:
    return 201, state.made(state.executions[body["execution_id"]], body["file_hash"])


def _create_rows(state: State, _: tuple[str, ...], body: Any) -> Reply:
    made = []
    for each in body["file_executions"]:
        row = state.made(state.executions[each["execution_id"]], each["file_hash"])
        made.append({name: row[name] for name in ("id", "file_name", "file_path", "status")})
    return 201, {"successful_creations": made, "failed_creations": [], "total_processed": len(made)}


def _row(state: State, ids: tuple[str, ...], _: Any) -> Reply:
    row = state.rows.get(ids[0])
    return (200, row) if row else (404, {"error": "not found"})


def _row_status(state: State, ids: tuple[str, ...], body: Any) -> Reply:
    _write(state, ids[0], body)
    return 200, {"status": "updated", "file_execution_id": ids[0], "data": {"status": body["status"]}}


def _row_statuses(state: State, _: tuple[str, ...], body: Any) -> Reply:
    updates = body["status_updates"]
    done = []
    for update in updates:
        name = _write(state, update["file_execution_id"], update)
        done.append({"file_execution_id": update["file_execution_id"], "status": update["status"], "file_name": name})
    return 200, {"successful_updates": done, "failed_updates": [], "total_processed": len(updates)}


def _write(state: State, row_id: str, update: Any) -> str:
    row = state.rows.get(row_id, {})
    row.update(status=update["status"], execution_error=update.get("error_message"))
    return str(row.get("file_name", ""))


def _execute(_: State, __: tuple[str, ...], body: Any) -> Reply:
    return 200, {
        "status": "success",
        "execution_id": body["execution_id"],
        "file_name": body["file_data"]["name"],
        "result": RESULT,
    }


def _validated(_: State, __: tuple[str, ...], body: Any) -> Reply:
    valid = [TOOL | {"status": "valid"}]
    return 200, {"success": True, "validated_instances": valid, "errors": [], "workflow_id": body["workflow_id"]}


def _tokens(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    used = {"embedding_tokens": 0, "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    usage = {"file_execution_id": ids[0], **used, "cost_in_dollars": 0.25}
    return 200, {"success": True, "data": {"file_execution_id": ids[0], "usage": usage}}


def _pages(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    return 200, {"success": True, "data": {"file_execution_id": ids[0], "total_pages_processed": 3}}


def _history(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    return 200, {"found": False, "cache_key": ids[0], "file_history": None}


def _write_history(_: State, __: tuple[str, ...], body: Any) -> Reply:
    row = {"id": new_id(), "status": body["status"], "execution_count": 1, "cache_key": body["file_hash"]}
    return 201, {"status": "created", "workflow_id": body["workflow_id"], "file_history": row}


def _sources(state: State, _: tuple[str, ...], body: Any) -> Reply:
    files = listed(state.executions[body["execution_id"]].files)
    return 200, {"files": files, "total_files": len(files)}


def _ends(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    kinds = (("SOURCE", "FILESYSTEM"), ("DESTINATION", "DATABASE"))
    source, destination = (
        {"endpoint_id": new_id(), "endpoint_type": end, "connection_type": connection} for end, connection in kinds
    )
    return 200, {
        "workflow_id": ids[0],
        "source_endpoint": source,
        "destination_endpoint": destination,
        "has_api_endpoints": False,
    }


def _pipeline(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    found = {"id": ids[0], "is_api": False, "resolved_pipeline_name": "bench", "resolved_pipeline_type": "ETL"}
    return 200, {"status": "success", "pipeline": found | {"workflow": new_id(), "active": True}}


def _deployment(_: State, ids: tuple[str, ...], __: Any) -> Reply:
    found = {"id": ids[0], "display_name": "bench", "api_name": "bench", "workflow": new_id(), "is_active": True}
    return 200, {"status": "success", "pipeline": found}


def _targets(_: State, __: tuple[str, ...], ___: Any) -> Reply:
    names = {"pipeline_name": "bench", "api_name": "bench"}
    return 200, {"status": "success", **names, "notifications": [TARGET | {"is_active": True}], "execution_counts": {}}


def _most_batches(state: State, _ids: tuple[str, ...], _: Any) -> Reply:
    told = {"config_key": "MAX_PARALLEL_FILE_BATCHES", "value": state.most_batches}
    return 200, {"success": True, "data": told}


def _fixed(status: int, content: Any) -> Handler:
    return lambda _, __, ___: (status, content)


def _route(method: str, pattern: str, handler: Handler) -> tuple[str, re.Pattern[str], Handler]:
    return method, re.compile(pattern.replace("{id}", _ID)), handler


_WM = "v1/workflow-manager/"
# The most frequent first.
_ROUTES = (
    _route("POST", _WM + "execute-file/", _execute),
    _route("GET", "v1/usage/aggregated-token-count/{id}/", _tokens),
    _route("GET", "v1/usage/aggregated-pages-processed/{id}/", _pages),
    _route("POST", "v1/file-execution/{id}/status/", _row_status),
    _route("GET", "v1/workflow-execution/{id}/", _execution),
    _route("GET", "v1/file-history/cache-key/([^/]+)/", _history),
    _route("POST", "v1/file-history/create/", _write_history),
    _route("POST", "v1/file-execution/batch-status-update/", _row_statuses),
    _route("POST", "v1/file-execution/batch-create/", _create_rows),
    _route("POST", "v1/file-execution/", _create_row),
    _route("GET", "v1/file-execution/{id}/", _row),
    _route("GET", "v1/file-execution/", _rows),
    _route("POST", "v1/workflow-execution/{id}/update_status/", _update_execution),
    _route("GET", _WM + "workflow/{id}/tool-instances/", _fixed(200, {"tool_instances": [TOOL]})),
    _route("POST", "v1/tool-execution/validate/", _validated),
    _route("POST", _WM + "source-files/{id}/", _sources),
    _route("GET", _WM + "{id}/endpoint/", _ends),
    _route("POST", _WM + "file-history/check-batch/", _fixed(200, {"processed_file_hashes": []})),
    _route("POST", _WM + "file-execution/check-active", _fixed(200, {"active_identifiers": [], "active_files": {}})),
    _route("POST", _WM + "execution/cleanup/", _fixed(405, {"detail": 'Method "POST" not allowed.'})),
    _route("GET", "v1/configuration/MAX_PARALLEL_FILE_BATCHES/", _most_batches),
    _route("GET", "v1/pipeline/{id}/", _pipeline),
    _route("PUT", "v1/pipeline/{id}/", _fixed(200, {"status": "success"})),
    _route("GET", "v1/api-deployments/{id}/", _deployment),
    _route("GET", "v1/webhook/(?:api|pipeline)/{id}/notifications/", _targets),
    _route("POST", "v1/webhook/buffer/enqueue/", lambda *_: (201, {"status": "success", "buffer_row_id": new_id()})),
    _route("GET", "v1/workflow-execution/", _fixed(200, [])),
    _route("GET", "v1/health/", _fixed(200, {"status": "healthy", "version": "bench"})),
)
