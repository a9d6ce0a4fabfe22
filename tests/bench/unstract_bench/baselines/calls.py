"""The calls of one file at the double, without anything around them: three of 2 ms and one of 100 ms."""

import json
from collections.abc import Iterator
from uuid import NAMESPACE_URL, uuid5

from attrs import frozen

__all__ = ["Asked", "calls_of"]

_EXECUTION = "00000000-0000-4000-8000-0000000000cc"


@frozen
class Asked:
    """One request; `path` comes after the internal API's root."""

    method: str
    path: str
    content: bytes | None = None


def calls_of(file: int) -> Iterator[Asked]:
    """What is called for a file, in order."""
    row = uuid5(NAMESPACE_URL, str(file))
    yield Asked("POST", f"v1/file-execution/{row}/status/", b'{"status": "EXECUTING"}')
    body = {"workflow_id": _EXECUTION, "execution_id": _EXECUTION, "file_data": {"name": f"{file}.pdf"}}
    yield Asked("POST", "v1/workflow-manager/execute-file/", json.dumps(body).encode())
    yield Asked("GET", f"v1/usage/aggregated-token-count/{row}/")
    yield Asked("POST", f"v1/file-execution/{row}/status/", b'{"status": "COMPLETED"}')
