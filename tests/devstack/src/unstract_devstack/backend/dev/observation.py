"""Dev API: executions, effects, requests, log events, buffered notifications, destinations and faults."""

from typing import Any

from unstract_devstack.backend import destinations
from unstract_devstack.backend.database import given, pick
from unstract_devstack.backend.faults import Fault
from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import ERROR_CAUSE, operation

EXECUTION = (
    "id workflow_id status total_files successful_files failed_files error_message pipeline_id organization_id"
    " execution_time attempts kind"
)


@operation("GET", "/dev/executions", ERROR_CAUSE)
def executions(call: Call) -> Any:
    """The executions of an organization (all without one) with their files (files=false: without), oldest first; or one."""
    query = call.query
    wanted = given(organization_id=query.get("organization_id"), id=query.get("execution_id"))
    shown = [pick(row, EXECUTION) for row in call.database.find("shown_executions", "number", **wanted)]
    if query.get("files", "true") != "false":
        for execution in shown:
            execution["files"] = [dict(row) for row in call.database.all(FILES, execution["id"])]
    return shown


FILES = (
    "SELECT f.id, f.file_name AS name, f.file_path AS path, f.status, f.execution_error AS error, r.result"
    " FROM file_executions f LEFT JOIN results r ON r.id ="
    " (SELECT MAX(id) FROM results WHERE execution_id = f.execution_id AND file_execution_id = f.id)"
    " WHERE f.execution_id = ? ORDER BY f.rowid"
)


@operation("GET", "/dev/history", ERROR_CAUSE)
def history(call: Call) -> Any:
    """Every effect applied, oldest first; of one execution or operation, or after an id."""
    query, after = call.query, int(call.query.get("after") or 0)
    where = given(execution_id=query.get("execution_id"), operation=query.get("operation"))
    return [dict(row) for row in call.database.find("effects", "id", (), after, **where)]


@operation("GET", "/dev/requests", ERROR_CAUSE)
def requests(call: Call) -> Any:
    """Every request, oldest first; since a time (seconds since the epoch) or after an id."""
    since, after = float(call.query.get("since") or 0), int(call.query.get("after") or 0)
    return [request for request in call.services.requests[after:] if request["at"] > since]


@operation("GET", "/dev/logs", ERROR_CAUSE)
def logs(call: Call) -> Any:
    """The last log events of a channel; without one the names of the channels."""
    channel = call.query.get("channel")
    return call.services.logs.of(channel) if channel else call.services.logs.names()


@operation("GET", "/dev/notification-buffer", ERROR_CAUSE)
def buffer(call: Call) -> Any:
    """The buffered notifications and how far they are."""
    return [dict(row) for row in call.database.find("notification_buffer", "rowid")]


@operation("GET", "/dev/destinations/{table}", ERROR_CAUSE)
def destination(call: Call) -> Any:
    """The rows of a destination table, one per call of execute-file."""
    return destinations.rows(call.services, call.parameter("table"))


@operation("POST", "/dev/faults", ERROR_CAUSE)
def add_fault(call: Call) -> Any:
    """Set a fault."""
    fault = Fault(**call.fields())
    call.services.faults.append(fault)
    return {"fault_id": fault.id}


@operation("GET", "/dev/faults", ERROR_CAUSE)
def faults(call: Call) -> Any:
    """The faults that are set and how often each has acted."""
    names = ("id", "kind", "method", "path", "hits", "spent")
    return [{name: getattr(fault, name) for name in names} for fault in call.services.faults]


@operation("DELETE", "/dev/faults", ERROR_CAUSE)
def clear_faults(call: Call) -> Any:
    """Remove all faults."""
    call.services.faults.clear()
    return {"cleared": True}
