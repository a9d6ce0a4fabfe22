"""Listens to what is pushed onto the broker's queues, so that copies of real messages can be pushed again later."""

import ast
import base64
import contextlib
import json
import re
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

import redis
from attrs import evolve, frozen

from unstract_devstack.ports import HOST
from unstract_devstack.redis_server import RedisHandle

ARGUMENT = re.compile(rb'"((?:[^"\\]|\\.)*)"')
AGAIN_SECONDS = 0.2


@frozen
class Heard:
    """One message as it was pushed."""

    queue: str
    payload: str

    @property
    def body(self) -> Any:
        """What the task gets: positional and keyword arguments, and the rest."""
        return json.loads(base64.b64decode(json.loads(self.payload)["body"]))

    def changed(self, change: Callable[[Any], Any]) -> "Heard":
        """The same message with other keyword arguments."""
        arguments, named, *rest = self.body
        body = base64.b64encode(json.dumps([arguments, change(named), *rest]).encode()).decode()
        return evolve(self, payload=json.dumps(json.loads(self.payload) | {"body": body}))


class MessageTap(threading.Thread):
    """Follows Redis's MONITOR, over its restarts; a message pushed while it is cut off is not heard."""

    def __init__(self, server: RedisHandle) -> None:
        super().__init__(name="message-tap", daemon=True)
        self._server = server
        self._heard: list[Heard] = []
        self._stopping = threading.Event()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def heard(self, queues: Sequence[str] = (), run_id: str = "") -> list[Heard]:
        """Messages of these queues (all without any), about this execution if one is given, oldest first."""
        found = [each for each in list(self._heard) if not queues or each.queue in queues]
        return [each for each in found if not run_id or run_id in json.dumps(each.body)]

    def push(self, messages: Sequence[Heard]) -> None:
        """Pushes copies; what Redis does not take is not pushed."""
        with contextlib.suppress(redis.RedisError), self._server.client() as client:
            for each in messages:
                client.lpush(each.queue, each.payload)

    def run(self) -> None:
        while not self._stopping.is_set():
            with contextlib.suppress(OSError):
                self._follow()
            self._stopping.wait(AGAIN_SECONDS)

    def _follow(self) -> None:
        with socket.create_connection((HOST, self._server.port), timeout=1.0) as link:
            link.sendall(b"MONITOR\r\n")
            link.settimeout(0.5)
            left = b""
            while not self._stopping.is_set():
                try:
                    data = link.recv(1 << 20)
                except TimeoutError:
                    continue
                if not data:
                    return
                *lines, left = (left + data).split(b"\r\n")
                for line in lines:
                    self._note(line)

    def _note(self, line: bytes) -> None:
        if b'"LPUSH"' not in line:
            return
        parts = [ast.literal_eval(f'b"{part.decode("latin-1")}"').decode() for part in ARGUMENT.findall(line)]
        if len(parts) == 3 and '"properties"' in parts[2]:
            self._heard.append(Heard(parts[1], parts[2]))
