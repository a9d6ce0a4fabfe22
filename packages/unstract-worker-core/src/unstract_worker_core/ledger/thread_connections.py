"""Each thread's own connection to the ledger's Redis, kept from step to step.

redis-py takes a connection from its pool for each command, probes it, and gives it back: for steps of a few hundred
microseconds that is half of their cost. A connection here is used by one thread only, so nobody needs to ask.
"""

import os
import threading
from typing import Any

from attrs import define
from redis import Redis
from redis.commands.core import Script
from redis.exceptions import NoScriptError, ResponseError

__all__ = ["ThreadConnections"]


@define(eq=False)
class _Loan:
    """A connection on loan from the pool until its thread ends."""

    pool: Any
    connection: Any
    pid: int

    def __del__(self) -> None:
        if self.pid == os.getpid():
            self.pool.release(self.connection)


class ThreadConnections:
    """Runs scripts, each thread on its own connection. Raises what redis-py raises; nothing is repeated."""

    def __init__(self, redis: Redis) -> None:
        self._pool: Any = redis.connection_pool
        self._own = threading.local()

    def run(self, script: Script, arguments: tuple[str | int, ...]) -> Any:
        """The script's answer. One that Redis does not know (it was restarted) is sent whole."""
        try:
            return self._asked("EVALSHA", script.sha, 0, *arguments)
        except NoScriptError:
            return self._asked("EVAL", script.script, 0, *arguments)

    def _asked(self, *command: Any) -> Any:
        connection = self._connection()
        try:
            # As the pool does. Sending connects by itself too, but behind Sentinel to the server that it was made for.
            connection.connect()
            connection.send_command(*command)
            return connection.read_response()
        except ResponseError:
            raise
        except BaseException:
            connection.disconnect()  # half an answer may be left in it
            raise

    def _connection(self) -> Any:
        loan: _Loan | None = getattr(self._own, "loan", None)
        if loan is None or loan.pid != os.getpid():  # a forked child must not write into its parent's
            loan = self._own.loan = _Loan(self._pool, self._pool.get_connection(), os.getpid())
        return loan.connection
