"""HTTP/1.1 as far as the double needs it: keep-alive, bodies by length, one answer after the route's latency."""

import asyncio
import json
from typing import Any

from attrs import define, field, frozen

from unstract_bench.double.answers import answer
from unstract_bench.double.counting import Call, Counting, call_of
from unstract_bench.double.state import Execution, State

__all__ = ["Double", "Latencies", "serve"]

CONTROL = "bench"
_LENGTH = b"content-length:"


@frozen
class Latencies:
    """Seconds until an answer is sent: of `execute-file/`, and of everything else."""

    execute: float = 0.1
    other: float = 0.002

    def of(self, path: str) -> float:
        """What this path takes."""
        return self.execute if path.endswith("/execute-file/") else self.other


@define
class Double:
    """The double: its state, its counts, and who waits for what."""

    latencies: Latencies = field(factory=Latencies)
    state: State = field(factory=State)
    counting: Counting = field(factory=Counting)
    waiting: asyncio.Event = field(factory=asyncio.Event)

    def told(self, call: Call) -> None:
        """A call was answered: whoever waits looks again."""
        self.counting.ends(call, asyncio.get_running_loop().time())
        self.waiting.set()

    async def control(self, order: Any) -> Any:
        """What the harness asks for: `reset`, `open` an execution, `wait` for its end or for a number of calls."""
        match order:
            case {"do": "reset"}:
                self.state, self.counting = State(), Counting()
            case {"do": "latencies", "execute": execute, "other": other}:
                self.latencies = Latencies(execute, other)
            case {"do": "open", "id": str(id_), "workflow_id": str(workflow), "kind": str(kind), "files": int(files)}:
                self.state.executions[id_] = Execution(id_, workflow, kind, files)
                self.state.most_batches = int(order["batches"])
            case {"do": "wait", "execution": identifier}:
                await self._until(lambda: self.state.executions[identifier].over)
                found = self.state.executions[identifier]
                return {"status": found.status, **found.counts}
            case {"do": "wait", "worker": worker, "calls": calls}:
                await self._until(lambda: self.counting.ended.get(worker, 0) >= calls)
            case {"do": "counts"}:
                counting = self.counting
                spans = {worker: end - start for worker, (start, end) in counting.spans.items()}
                return {"calls": counting.calls, "phase_seconds": counting.phase_seconds, "spans": spans}
        return {}

    async def _until(self, condition: Any) -> None:
        while not condition():
            self.waiting.clear()
            await self.waiting.wait()


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
            head = self._buffer[:end]
            length = _length(head)
            if len(self._buffer) < end + 4 + length:
                return
            body, self._buffer = self._buffer[end + 4 : end + 4 + length], self._buffer[end + 4 + length :]
            method, target = head.split(b"\r\n", 1)[0].decode("ascii").split(" ")[:2]
            self._request(method, target, body)

    def _request(self, method: str, target: str, body: bytes) -> None:
        if target == f"/{CONTROL}":
            self._loop.create_task(self._controlled(json.loads(body)))
            return
        double, call = self._double, call_of(method, target)
        double.counting.begins(call, self._loop.time())
        status, content = answer(double.state, method, call.path, target.partition("?")[2], body)
        self._loop.call_later(double.latencies.of(call.path), self._send, call, _response(status, content))

    def _send(self, call: Call, response: bytes) -> None:
        self._transport.write(response)
        self._double.told(call)

    async def _controlled(self, order: Any) -> None:
        self._transport.write(_response(200, await self._double.control(order)))


def _length(head: bytes) -> int:
    at = head.lower().find(_LENGTH)
    return int(head[at + len(_LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0


def _response(status: int, content: Any) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} -\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


async def serve(double: Double) -> asyncio.Server:
    """Serve on a free loopback port."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(lambda: Connection(double), "127.0.0.1", 0, backlog=1024)
