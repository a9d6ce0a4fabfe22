"""A batch with httpx, a client per thread over one TLS context: what a careful author of a bare worker would write."""

import ssl
import threading
from functools import cache

import httpx

from unstract_bench.baselines.calls import calls_of

__all__ = ["process"]

_own = threading.local()
_HEADERS = {"Content-Type": "application/json", "Authorization": "Bearer bench"}


def process(root: str, files: list[int]) -> None:
    """The files one after another; a call that fails raises."""
    client = _client()
    for file in files:
        for asked in calls_of(file):
            answer = client.request(asked.method, f"{root}/{asked.path}", content=asked.content, headers=_HEADERS)
            answer.raise_for_status().json()


def _client() -> httpx.Client:
    client: httpx.Client | None = getattr(_own, "client", None)
    if client is None:
        client = _own.client = httpx.Client(verify=_tls(), timeout=30.0, trust_env=False)
    return client


@cache
def _tls() -> ssl.SSLContext:
    return ssl.create_default_context()
