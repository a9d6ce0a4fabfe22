"""The calls for one file, with httpx as a careful author would use it: a client per thread, one TLS context.

It imports the libraries that the workers use: a baseline without them would be compared unfairly. redis brings hiredis in.
"""

import json
import ssl
import threading
from collections.abc import Iterable, Iterator
from functools import cache
from uuid import NAMESPACE_URL, uuid5

import attrs
import cattrs
import httpx
import prometheus_client
import redis
import stamina
import structlog

LIBRARIES = (attrs, cattrs, httpx, prometheus_client, redis, stamina, structlog)
HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench"}
_EXECUTION = "00000000-0000-4000-8000-0000000000cc"
_own = threading.local()


@attrs.frozen
class Request:
    """One request; `path` comes after the internal API's root."""

    method: str
    path: str
    content: bytes = b""


def requests_of(file: int) -> Iterator[Request]:
    """The calls for a file, in order: three of 2 ms and one of 100 ms."""
    row = uuid5(NAMESPACE_URL, str(file))
    yield Request("POST", f"v1/file-execution/{row}/status/", b'{"status": "EXECUTING"}')
    body = {"workflow_id": _EXECUTION, "execution_id": _EXECUTION, "file_data": {"name": f"{file}.pdf"}}
    yield Request("POST", "v1/workflow-manager/execute-file/", json.dumps(body).encode())
    yield Request("GET", f"v1/usage/aggregated-token-count/{row}/")
    yield Request("POST", f"v1/file-execution/{row}/status/", b'{"status": "COMPLETED"}')


def process(root: str, files: list[int]) -> None:
    """The files one after another; a call that fails raises."""
    for file in files:
        make(root, requests_of(file))


def make(root: str, requests: Iterable[Request], *, refused: tuple[int, ...] = ()) -> None:
    """Make the calls in order. Raises httpx.HTTPStatusError for an error that is not one of `refused`."""
    client = _client()
    for each in requests:
        response = client.request(each.method, f"{root}/{each.path}", content=each.content, headers=HEADERS)
        if response.status_code not in refused:
            response.raise_for_status().json()


def _client() -> httpx.Client:
    client: httpx.Client | None = getattr(_own, "client", None)
    if client is None:
        client = _own.client = httpx.Client(verify=_tls(), timeout=30.0, trust_env=False)
    return client


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
