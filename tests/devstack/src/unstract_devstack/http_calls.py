"""Plain HTTP to the stack's own loopback services: no proxies, no redirects, every call timed."""

import http.client
import json
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen


class CallFailed(Exception):
    """A call gave no answer, or not the one it should. `status` is None where no answer came."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        self.status = status
        super().__init__(message)


@frozen
class Reply:
    """One answer, whatever its status."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as JSON.

        Raises:
            CallFailed: it is none.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise CallFailed(f"HTTP {self.status} with a body that is not JSON", status=self.status) from error


def call(
    method: str,
    url: str,
    *,
    body: bytes | Iterable[bytes] | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Reply:
    """The answer to one request.

    Raises:
        CallFailed: none came within `timeout` seconds of silence.
    """
    target = urlsplit(url)
    connection = http.client.HTTPConnection(target.hostname or "", target.port, timeout=timeout)
    path = target.path + (f"?{target.query}" if target.query else "")
    try:
        connection.request(method, path, body=body, headers=dict(headers or {}))
        response = connection.getresponse()
        return Reply(response.status, response.read())
    except (OSError, http.client.HTTPException) as error:
        raise CallFailed(f"{method} {target.path}: {str(error) or type(error).__name__}") from error
    finally:
        connection.close()


def call_json(method: str, url: str, *, payload: Any = None, key: str | None = None, timeout: float = 30.0) -> Any:
    """The JSON answer to a JSON request, with `key` as bearer key.

    Raises:
        CallFailed: no answer, a status of 300 or more, or no JSON.
    """
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    body = None if payload is None else json.dumps(payload).encode()
    reply = call(method, url, body=body, headers=headers, timeout=timeout)
    if reply.status >= 300:
        told = reply.body[:500].decode(errors="replace")
        raise CallFailed(f"{method} {urlsplit(url).path}: HTTP {reply.status}: {told}", status=reply.status)
    return reply.json()
