"""The double as a process: prints its port, then serves HTTP/1.1 as far as that is needed, and keeps the calls.

Keep-alive, bodies by length, one answer after the route's latency; no locks, no storage.
"""

import asyncio
import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from attrs import define, field

from unstract_bench.double.backend import State, answer

try:
    from uvloop import run
except ImportError:  # there is none for Windows
    from asyncio import run

CONTROL = "/bench"
_LENGTH = b"content-length:"


@define
class Double:
    """The state since the last reset, and the latencies in seconds of `execute-file/` and of all other calls."""

    execute: float = 0.1
    other: float = 0.002
    record: bool = False
    state: State = field(factory=State)
    calls: list[tuple[str, str, str, str | None, float, float]] = field(factory=list)
    answered: Counter[str] = field(factory=Counter)
    changed: asyncio.Event = field(factory=asyncio.Event)

    async def control(self, order: Any) -> Any:
        """Carry out an order of the harness (see `client.DoubleProcess`)."""
        match order:
            case {"do": "reset"}:
                self.state, self.calls, self.answered, self.record = State(), [], Counter(), order["record"]
            case {"do": "latencies"}:
                self.execute, self.other = order["execute"], order["other"]
            case {"do": "open"}:
                self.state.open(order)
            case {"do": "wait", "execution": execution}:
                found = self.state.executions[execution]
                await self._until(lambda: found.over_at is not None)
                return {**found.counts, "status": found.status, "over_at": found.over_at}
            case {"do": "wait", "worker": worker}:
                await self._until(lambda: self.answered[worker] >= order["calls"])
            case {"do": "calls"}:
                return self.calls
        return {}

    def ended(self, worker: str, method: str, path: str, body: bytes, began: float) -> None:
        """A call was answered."""
        now = time.monotonic()
        self.calls.append((worker, method, path, body.decode() if self.record else None, began, now))
        self.answered[worker] += 1
        for execution in self.state.executions.values():
            if execution.over and execution.over_at is None:
                execution.over_at = now
        self.changed.set()

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self.changed.clear()
            await self.changed.wait()


class Connection(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, double: Double) -> None:
        self._double = double
        self._loop = asyncio.get_running_loop()
        self._buffer = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """Keep the transport."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(_LENGTH)
            length = int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
            if len(self._buffer) < end + 4 + length:
                return
            method, target = self._buffer[: self._buffer.find(b"\r\n")].decode("ascii").split(" ")[:2]
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            self._request(method, target, body)

    def _request(self, method: str, target: str, body: bytes) -> None:
        if target == CONTROL:
            self._loop.create_task(self._controlled(json.loads(body)))
            return
        double, began = self._double, time.monotonic()
        worker, _, path = target.lstrip("/").partition("/internal/")
        response = _response(*answer(double.state, method, path, body))
        seconds = double.execute if path.endswith("/execute-file/") else double.other
        self._loop.call_later(seconds, self._send, response, (worker, method, path, body, began))

    def _send(self, response: bytes, call: tuple[str, str, str, bytes, float]) -> None:
        self._transport.write(response)
        self._double.ended(*call)

    async def _controlled(self, order: Any) -> None:
        self._transport.write(_response(200, json.dumps(await self._double.control(order))))


def _response(status: int, content: str) -> bytes:
    body = content.encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def _main() -> None:
    double = Double()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(double), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    gc.freeze()
    await asyncio.Event().wait()


if __name__ == "__main__":
    run(_main())
