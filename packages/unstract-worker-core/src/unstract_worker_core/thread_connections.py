"""Each thread's own connection to a Redis, kept from script to script.

redis-py takes a connection from its pool for each command, probes it, and gives it back: for steps of a few hundred
microseconds that is half of their cost. A connection here is used by one thread only, so nobody needs to ask; and
a step gives the interpreter away only to wait for its answer (`sockets`).
"""

import os
import threading
import time
from collections.abc import Sequence
from typing import Any, cast

from attrs import define
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from unstract_worker_core.redis_answers import AnswerReader
from unstract_worker_core.sockets import bound_by_kernel, limit_read, limit_write, send_now

__all__ = ["ThreadConnections"]

Part = bytes | str | float


@define(eq=False)
class _Loan:
    """A connection on loan from the pool until its thread ends."""

    pool: Any
    connection: Any
    pid: int
    bound: Any = None
    reader: Any = None

    def asked(self, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
        """The answers to commands, errors among them. Raises what redis-py raises, and OSError."""
        connection = self.connection
        if self._connected():
            connection.check_health()  # which may connect anew
        if not self._connected():
            self._connect()
        content = b"".join([_packed(command) for command in commands])
        left = content[send_now(self.bound, content) :]
        if left:
            connection.send_packed_command([left], check_health=False)
        answers = [self.reader.read() for _ in commands]
        self.reader.let_go()
        connection.next_health_check = time.monotonic() + connection.health_check_interval
        return answers

    def _connected(self) -> bool:
        return self.bound is not None and _socket_of(self.connection) is self.bound

    def _connect(self) -> None:
        # As the pool does. Sending connects by itself too, but behind Sentinel to the server it was made for.
        connection = self.connection
        connection.connect()
        self.bound = _socket_of(connection)
        encoder = connection.encoder
        encoding = encoder.encoding if encoder.decode_responses else None
        self.reader = AnswerReader(self.bound, encoding, connection._parser.parse_error)  # noqa: SLF001 - nor another
        if connection.socket_timeout is not None and bound_by_kernel(self.bound):
            limit_read(self.bound, connection.socket_timeout)
            limit_write(self.bound, connection.socket_timeout)

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self.pool.release(self.connection)


def _packed(command: tuple[Part, ...]) -> bytes:
    """As RESP has it; redis-py's own way takes several times as long."""
    if bytes not in map(type, command):
        text = "".join([f"${len(part)}\r\n{part}\r\n" for part in map(str, command)])
        if text.isascii():  # as nearly always; else characters are not bytes
            return f"*{len(command)}\r\n{text}".encode()
    parts = [part if isinstance(part, bytes) else str(part).encode() for part in command]
    return b"*%d\r\n" % len(parts) + b"".join([b"$%d\r\n%b\r\n" % (len(part), part) for part in parts])


def _socket_of(connection: Any) -> Any:
    return connection._sock  # noqa: SLF001 - redis-py has no other way to it


class ThreadConnections:
    """Runs scripts, each thread on its own connection. Raises what redis-py raises; nothing is repeated."""

    def __init__(self, redis: Redis) -> None:
        self._pool: Any = redis.connection_pool
        self._own = threading.local()

    def run(self, script: Script, arguments: tuple[Part, ...], keys: tuple[str, ...] = ()) -> Any:
        """The script's answer. One that Redis does not know (it was restarted) is told first."""
        command = ("EVALSHA", script.sha, len(keys), *keys, *arguments)
        try:
            return self.call(*command)
        except NoScriptError:
            self.call("SCRIPT", "LOAD", cast("str", script.script))
            return self.call(*command)

    def call(self, *command: Part) -> Any:
        """The answer to a command."""
        return self.calls((command,))[0]

    def calls(self, commands: Sequence[tuple[Part, ...]]) -> list[Any]:
        """The answers to commands that are sent together; raises the first error among them."""
        loan = self._loan()
        try:
            answers = loan.asked(commands)
        except BaseException as error:
            loan.connection.disconnect()  # half an answer may be left in it
            cause = error.__context__ if isinstance(error, RedisConnectionError) else error
            if isinstance(cause, BlockingIOError | TimeoutError):
                raise RedisTimeoutError("no answer in time") from None
            if isinstance(error, OSError):
                raise RedisConnectionError(f"no answer ({type(error).__name__})") from None
            raise
        for answer in answers:
            if isinstance(answer, Exception):
                if isinstance(answer, ReadOnlyError | RedisConnectionError):
                    loan.connection.disconnect()  # who connects again asks Sentinel, or DNS, for the master of now
                raise answer
        return answers

    def _loan(self) -> _Loan:
        loan: _Loan | None = getattr(self._own, "loan", None)
        if loan is None or loan.pid != os.getpid():  # a forked child must not write into its parent's
            loan = self._own.loan = _Loan(self._pool, self._pool.get_connection(), os.getpid())
        return loan
