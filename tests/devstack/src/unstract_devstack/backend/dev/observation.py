"""Dev API: executions, effects, requests, buffered notifications, destinations and faults."""

# ruff: noqa: S608 (queries are put together from names in this code; values are always bound)

import json
import sqlite3
from typing import Any

from starlette.responses import Response

from unstract_devstack.backend import faults as fault_layer
from unstract_devstack.backend.database import matching, pick
from unstract_devstack.backend.destinations import TABLE_NAME, database_path
from unstract_devstack.backend.faults import Fault
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import reply

EXECUTION = (
    "id workflow_id status total_files successful_files failed_files error_message pipeline_id organization_id"
    " execution_time attempts kind"
)


def executions(call: Call) -> Response:
    """The executions of an organization (all without one) with their files (files=false: without), oldest first; or one."""
    query = call.query
    wanted = ("o.organization_id", query.get("organization_id")), ("e.id", query.get("execution_id"))
    where, values = matching(*wanted)
    rows = call.database.all(
        "SELECT e.*, lower(w.type) AS kind, o.organization_id FROM executions e JOIN workflows w ON w.id = e.workflow_id"
        f" JOIN organizations o ON o.pk = e.organization_pk {where} ORDER BY e.rowid",
        values,
    )
    if query.get("files", "true") == "false":
        return reply(200, [pick(row, EXECUTION) for row in rows])
    return reply(200, [{**pick(row, EXECUTION), "files": _files(call, row["id"])} for row in rows])


def _files(call: Call, execution_id: str) -> list[dict[str, Any]]:
    rows = call.database.all(
        "SELECT id, file_name AS name, file_path AS path, status, execution_error AS error, (SELECT r.result FROM results r"
        " WHERE r.execution_id = f.execution_id AND r.file_execution_id = f.id ORDER BY r.id DESC LIMIT 1) AS result"
        " FROM file_executions f WHERE execution_id = ? ORDER BY rowid",
        (execution_id,),
    )
    return [{**dict(row), "result": json.loads(row["result"]) if row["result"] else None} for row in rows]


def history(call: Call) -> Response:
    """Every effect applied, oldest first; of one execution or operation, or after an id."""
    query = call.query
    where, values = matching(*((name, query.get(name)) for name in ("execution_id", "operation")))
    after = [*values, query.get("after", "0")]
    rows = call.database.all(f"SELECT * FROM effects {where} AND id > ? ORDER BY id", after)
    return reply(200, [{**dict(row), "detail": json.loads(row["detail"])} for row in rows])


def requests(call: Call) -> Response:
    """Every request, oldest first; since a time (seconds since the epoch) or after an id."""
    call.services.requests.flush()
    query = call.query
    rows = call.database.all(
        "SELECT * FROM requests WHERE at > ? AND id > ? ORDER BY id",
        (float(query.get("since") or 0), int(query.get("after") or 0)),
    )
    return reply(200, [dict(row) for row in rows])


def logs(call: Call) -> Response:
    """The last log events of a channel; without one the names of the channels."""
    channel = call.query.get("channel")
    return reply(200, call.services.logs.of(channel) if channel else call.services.logs.names())


def buffer(call: Call) -> Response:
    """The buffered notifications and how far they are."""
    rows = call.database.all("SELECT * FROM notification_buffer ORDER BY rowid")
    return reply(200, [{**dict(row), "event": json.loads(row["event"])} for row in rows])


def destination(call: Call) -> Response:
    """The rows of a destination table, one per call of execute-file."""
    table = call.parameter("table")
    if not TABLE_NAME.fullmatch(table):
        raise ValueError(f"{table!r} is no name of a table")
    connection = sqlite3.connect(database_path(call.services))
    try:
        connection.row_factory = sqlite3.Row
        rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()
    except sqlite3.OperationalError:
        rows = []
    finally:
        connection.close()
    return reply(200, [{**dict(row), "data": json.loads(row["data"])} for row in rows])


def add_fault(call: Call) -> Response:
    """Set a fault."""
    fault = fault_layer.fault_from(call.fields())
    call.services.faults.add(fault)
    return reply(200, {"fault_id": fault.id})


def faults(call: Call) -> Response:
    """The faults that are set and how often each has acted."""
    return reply(200, [_fault(fault) for fault in call.services.faults.listed()])


def _fault(fault: Fault) -> dict[str, Any]:
    shown = {"id": fault.id, "kind": str(fault.kind), "method": fault.method, "path": fault.path.pattern}
    return {**shown, "hits": fault.hits, "spent": fault.spent()}


def clear_faults(call: Call) -> Response:
    """Remove all faults."""
    call.services.faults.clear()
    return reply(200, {"cleared": True})
