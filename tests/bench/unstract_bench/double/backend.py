"""The double's answers, in the shapes of the recorded contract. Other paths are a 404, as at the real backend.

It keeps only the parts of executions and of their files' rows that the workers read back; answers.json has what depends
on nothing else than the request.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

from attrs import define, field

from unstract_bench.workload import ORGANIZATION, listed

# By method and path: status and JSON. `$id` is the path's, `$new_id` is new, other names are of the request's body.
ANSWERS = Path(__file__).with_name("answers.json")
TERMINAL = ("COMPLETED", "ERROR", "STOPPED")
COPIED = ("file_name", "file_size", "file_hash", "mime_type", "provider_file_uuid", "fs_metadata")
Reply = tuple[int, Any]
Handler = Callable[["State", str, Any], Reply]
_ID = r"([0-9a-f-]{36})"
_numbers = count(1)


@define
class Execution:
    """One execution. `files` is how many the source lists; `rows` are keyed by what makes a file the same."""

    id: str
    workflow_id: str
    kind: str
    files: int
    status: str = "PENDING"
    rows: dict[str, dict[str, Any]] = field(factory=dict)
    counts: dict[str, Any] = field(factory=dict)
    over_at: float | None = None

    @property
    def over(self) -> bool:
        """Whether a terminal status was written."""
        return self.status in TERMINAL


@define
class State:
    """All executions and, by id, all rows. `most_batches`: MAX_PARALLEL_FILE_BATCHES, for the execution opened last."""

    executions: dict[str, Execution] = field(factory=dict)
    rows: dict[str, dict[str, Any]] = field(factory=dict)
    most_batches: int = 1

    def open(self, order: Mapping[str, Any]) -> None:
        """Register an execution."""
        self.executions[order["id"]] = Execution(order["id"], order["workflow_id"], order["kind"], order["files"])
        self.most_batches = order["batches"]

    def row(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """The row of a file, made if there is none: by content for API files, by place for others."""
        execution, file = self.executions[asked["execution_id"]], asked["file_hash"]
        api = file.get("source_connection_type") == "API"
        key = str(file.get("file_hash")) if api else f"{file.get('file_path')}:{file.get('provider_file_uuid')}"
        if key not in execution.rows:
            execution.rows[key] = {
                "id": new_id(),
                "workflow_execution_id": execution.id,
                **{name: file.get(name) for name in COPIED},
                "file_path": None if api else file.get("file_path"),
                "status": "",
                "execution_error": None,
                "created_at": "2026-01-01T00:00:00Z",
            }
        row = execution.rows[key]
        self.rows[row["id"]] = row
        return row

    def write(self, row_id: str, update: Mapping[str, Any]) -> str:
        """Write a row's status; the name of its file."""
        row = self.rows.get(row_id, {})
        row.update(status=update["status"], execution_error=update.get("error_message"))
        return str(row.get("file_name", ""))


def new_id() -> str:
    """A UUID that no other call returns."""
    return str(UUID(int=0x4000_8000_0000_0000_0000 + next(_numbers)))


def answer(state: State, method: str, target: str, body: bytes) -> tuple[int, str]:
    """Status and JSON for a request; `target` is what comes after `internal/`, with the query."""
    path, _, query = target.partition("?")
    line = f"{method} {path}"
    for pattern, handler in _routes():
        if found := pattern.fullmatch(line):
            asked = json.loads(body) if body else {}
            status, content = handler(state, found.group(1) if found.groups() else query, asked)
            return status, content if isinstance(content, str) else json.dumps(content)
    return 404, '{"error": "not found"}'


def _execution(state: State, identifier: str, _: Any) -> Reply:
    found = state.executions.get(identifier)
    if found is None:
        return 500, {"error": "No WorkflowExecution matches the given query."}
    api = found.kind == "api"
    execution = {"id": found.id, "workflow_id": found.workflow_id, "status": found.status, "total_files": found.files}
    return 200, {
        "execution": execution | {"error_message": "", "attempts": 0, "execution_log_id": "bench", "tags": []},
        "workflow_definition": {"workflow_type": "API" if api else "ETL"},
        "source_config": {"type": "api" if api else "pipeline", "is_api": api},
        "destination_config": {"connection_type": "API" if api else "DATABASE", "is_api": api},
        "organization_context": {"organization_id": ORGANIZATION},
        "file_executions": [],
    }


def _update_execution(state: State, identifier: str, body: Any) -> Reply:
    found = state.executions[identifier]
    if found.over and found.status != body["status"]:
        return 200, {"status": "skipped", "reason": "already_final"}
    found.status, found.counts = body["status"], body
    return 200, {"status": "updated", "execution_id": found.id, "new_status": found.status}


def _rows(state: State, query: str, _: Any) -> Reply:
    wanted = re.search(_ID, query)
    found = state.executions.get(wanted.group(1)) if wanted else None
    return 200, list(found.rows.values()) if found else []


def _create_rows(state: State, _: str, body: Any) -> Reply:
    rows = [state.row(each) for each in body["file_executions"]]
    made = [{name: row[name] for name in ("id", "file_name", "file_path", "status")} for row in rows]
    return 201, {"successful_creations": made, "failed_creations": [], "total_processed": len(made)}


def _row_status(state: State, row: str, body: Any) -> Reply:
    state.write(row, body)
    return 200, {"status": "updated", "file_execution_id": row, "data": {"status": body["status"]}}


def _row_statuses(state: State, _: str, body: Any) -> Reply:
    done = []
    for each in body["status_updates"]:
        row = {name: each[name] for name in ("file_execution_id", "status")}
        done.append(row | {"file_name": state.write(each["file_execution_id"], each)})
    return 200, {"successful_updates": done, "failed_updates": [], "total_processed": len(done)}


def _sources(state: State, _: str, body: Any) -> Reply:
    files = listed(state.executions[body["execution_id"]].files)
    return 200, {"files": files, "total_files": len(files)}


def _histories(_: State, __: str, body: Any) -> Reply:
    nothing = {"found": False, "file_history": None}
    return 200, {"file_histories": {each["identifier"]: nothing for each in body["files"]}}


def _most_batches(state: State, _: str, __: Any) -> Reply:
    return 200, {"success": True, "data": {"config_key": "MAX_PARALLEL_FILE_BATCHES", "value": state.most_batches}}


def _filled(status: int, text: str, names: list[str], _: State, identifier: str, body: Any) -> Reply:
    for name in names:
        own = (
            identifier if name == "id" else new_id() if name == "new_id" else body.get(name) or body["file_data"][name]
        )
        text = text.replace(f"${name}", json.dumps(own)[1:-1])
    return status, text


_HANDLERS: Mapping[str, Handler] = {
    "POST v1/file-execution/{id}/status/": _row_status,
    "GET v1/workflow-execution/{id}/": _execution,
    "POST v1/file-history/batch-lookup/": _histories,
    "POST v1/file-execution/batch-status-update/": _row_statuses,
    "POST v1/file-execution/batch-create/": _create_rows,
    "POST v1/file-execution/": lambda state, _, body: (201, state.row(body)),
    "GET v1/file-execution/{id}/": lambda state, row, _: (200, state.rows[row]),
    "GET v1/file-execution/": _rows,
    "POST v1/workflow-execution/{id}/update_status/": _update_execution,
    "POST v1/workflow-manager/source-files/{id}/": _sources,
    "GET v1/configuration/MAX_PARALLEL_FILE_BATCHES/": _most_batches,
}


@cache
def _routes() -> tuple[tuple[re.Pattern[str], Handler], ...]:
    answers = json.loads(ANSWERS.read_text(encoding="utf-8"))
    handlers: dict[str, Handler] = {}
    for route, (status, content) in answers.items():
        text = json.dumps(content)
        handlers[route] = partial(_filled, status, text, re.findall(r"\$(\w+)", text))
    handlers |= _HANDLERS
    return tuple((re.compile(route.replace("{id}", _ID)), handler) for route, handler in handlers.items())
