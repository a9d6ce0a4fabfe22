"""Each thread's own connection to a Redis, kept from script to script.

redis-py takes a connection from its pool for each command, probes it, and gives it back: for steps of a few hundred
microseconds that is half of their cost. A connection here is used by one thread only, so nobody needs to ask; and
a step gives the interpreter away only to wait for its answer (`sockets`).
"""

import os
import threading
from typing import Any, cast

from attrs import define
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

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

    def asked(self, command: tuple[Part, ...]) -> Any:
        """The answer to a command. Raises what redis-py raises."""
        connection = self._connected()
        connection.check_health()
        content = _packed(command)
        left = content[send_now(_socket_of(connection), content) :]
        if left:
            connection.send_packed_command([left], check_health=False)
        return connection.read_response()

    def _connected(self) -> Any:
        connection = self.connection
        if self.bound is None or _socket_of(connection) is not self.bound:
            # As the pool does. Sending connects by itself too, but behind Sentinel to the server it was made for.
            connection.connect()
            self.bound = _socket_of(connection)
            if connection.socket_timeout is not None and bound_by_kernel(self.bound):
                limit_read(self.bound, connection.socket_timeout)
                limit_write(self.bound, connection.socket_timeout)
        return connection

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self.pool.release(self.connection)


def _packed(command: tuple[Part, ...]) -> bytes:
    """As RESP has it; redis-py's own way takes several times as long."""
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
        loan = self._loan()
        try:
            return loan.asked(command)
        except ResponseError:
            raise
        except BaseException as error:
            loan.connection.disconnect()  # half an answer may be left in it
            if isinstance(error, RedisConnectionError) and isinstance(error.__context__, BlockingIOError):
                raise RedisTimeoutError("no answer in time") from None
            raise

    def _loan(self) -> _Loan:
        loan: _Loan | None = getattr(self._own, "loan", None)
        if loan is None or loan.pid != os.getpid():  # a forked child must not write into its parent's
            loan = self._own.loan = _Loan(self._pool, self._pool.get_connection(), os.getpid())
        return loan
