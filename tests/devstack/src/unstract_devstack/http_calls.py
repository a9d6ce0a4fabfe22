"""Plain HTTP to the stack's own loopback services: no proxies, no redirects, every call timed."""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import httpx
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

    @property
    def text(self) -> str:
        """The beginning of the body, for people."""
        return self.body[:500].decode(errors="replace")

    def json(self) -> Any:
        """The body as JSON. Raises CallFailed where it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise CallFailed(f"HTTP {self.status} with a body that is not JSON", status=self.status) from error


def call(
    method: str,
    url: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    files: Sequence[tuple[str, tuple[str, bytes]]] | None = None,
    timeout: float = 30.0,
) -> Reply:
    """The answer to one request, which has a `body`, or a `form` with `files`.

    Raises:
        CallFailed: none came within `timeout` seconds of silence.
    """
    try:
        response = _client().request(
            method, url, content=body, headers=headers, data=form, files=files, timeout=timeout
        )  # fmt: skip
    except httpx.HTTPError as error:
        path = httpx.URL(url).path
        raise CallFailed(f"{method} {path}: {str(error) or type(error).__name__}") from error
    return Reply(response.status_code, response.content)


def call_json(
    method: str,
    url: str,
    *,
    payload: Any = None,
    key: str | None = None,
    headers: Mapping[str, str] | None = None,
    timeout: float = 30.0,
) -> Any:
    """The JSON answer to a JSON request, with `key` as bearer key and further `headers`.

    Raises:
        CallFailed: no answer, a status of 300 or more, or no JSON.
    """
    sent = {"Content-Type": "application/json", "Accept": "application/json", **(headers or {})}
    if key is not None:
        sent["Authorization"] = f"Bearer {key}"
    body = None if payload is None else json.dumps(payload).encode()
    reply = call(method, url, body=body, headers=sent, timeout=timeout)
    if reply.status >= 300:
        raise CallFailed(f"{method} {httpx.URL(url).path}: HTTP {reply.status}: {reply.text}", status=reply.status)
    return reply.json()


@cache
def _client() -> httpx.Client:
    # A connection each: servers are killed and started again under these calls.
    return httpx.Client(trust_env=False, verify=False, limits=httpx.Limits(max_keepalive_connections=0))  # noqa: S501 - loopback, without TLS
