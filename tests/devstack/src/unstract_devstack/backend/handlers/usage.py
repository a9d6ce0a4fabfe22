"""usage: tokens and pages of one file."""

from typing import Any

from starlette.responses import Response

from unstract_devstack.backend.services import Call
from unstract_devstack.backend.wire import refuse, reply, valid_uuid

NOTHING: dict[str, Any] = {
    "embedding_tokens": None,
    "prompt_tokens": None,
    "completion_tokens": None,
    "total_tokens": None,
    "cost_in_dollars": None,
}


def tokens(call: Call) -> Response:
    """Sums, all null where there is nothing to see."""
    value = call.parameter("file_execution_id")
    try:
        file_id = valid_uuid(value)
    except ValueError:
        raise refuse(500, success=False, error="Internal server error", file_execution_id=value) from None
    row = call.database.one(
        "SELECT COUNT(*) AS found, SUM(embedding_tokens) AS embedding, SUM(prompt_tokens) AS prompt,"
        " SUM(completion_tokens) AS completion, SUM(cost) AS cost FROM usage"
        " WHERE file_execution_id = ? AND organization_pk = ?",
        (file_id, call.scope.managed()),
    )
    sums = dict(NOTHING)
    if row is not None and row["found"]:
        sums = {
            "embedding_tokens": row["embedding"],
            "prompt_tokens": row["prompt"],
            "completion_tokens": row["completion"],
            "total_tokens": row["embedding"] + row["prompt"] + row["completion"],
            "cost_in_dollars": row["cost"],
        }
    data = {"file_execution_id": value, "usage": {"file_execution_id": value, **sums}}
    return reply(200, {"success": True, "data": data})


def pages(call: Call) -> Response:
    """The pages processed, null where there is nothing to see, also for what is no UUID."""
    value = call.parameter("file_execution_id")
    row = call.database.one(
        "SELECT SUM(pages) AS pages FROM usage WHERE file_execution_id = ? AND organization_pk = ?",
        (value.lower(), call.scope.managed()),
    )
    count = row["pages"] if row else None
    return reply(200, {"success": True, "data": {"file_execution_id": value, "total_pages_processed": count}})
