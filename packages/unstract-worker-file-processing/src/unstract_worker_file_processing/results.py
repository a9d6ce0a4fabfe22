"""Results that are read: the executor's, within its limit, and the text of a history row."""

import ast
from typing import Any

from unstract_worker_core import serialization
from unstract_worker_core.errors import MessageError
from unstract_worker_core.runs.outcomes import Executed, error_text, inner_metadata
from unstract_worker_core.statuses import RunKind

__all__ = ["executed_with", "stored_value"]


def executed_with(result: Any, *, kind: RunKind, limit: int) -> Executed:
    """Check and keep an executor's result. Only API callers get results back, so for other runs none is kept.

    Args:
        result: any JSON.
        kind: of the run.
        limit: bytes that the result may have; a larger one is the file's error.
    """
    source_hash = inner_metadata(result, "source_hash")
    known = source_hash if isinstance(source_hash, str) else ""
    if kind is not RunKind.API:
        return Executed(source_hash=known)
    try:
        size = len(serialization.dumps(result).encode())
    except (TypeError, ValueError, RecursionError):
        return Executed(error=error_text(workflow="the result is not JSON"))
    if size > limit:
        text = f"the result has {size} bytes, the limit MAX_FILE_RESULT_BYTES is {limit}"
        return Executed(error=error_text(workflow=text))
    return Executed(result=result, source_hash=known)


def stored_value(text: str | None) -> Any:
    """A history row's text: JSON, else the Python literal that today's workers leave there, else the text."""
    if not text:
        return None
    try:
        return serialization.loads(text)
    except MessageError:
        pass
    try:
        return serialization.loads(serialization.dumps(ast.literal_eval(text)))
    except (ValueError, SyntaxError, TypeError, RecursionError, MemoryError, MessageError):
        return text
