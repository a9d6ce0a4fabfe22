"""A real Sentinel arrangement on loopback: a master, its replica, and three sentinels that watch them."""

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import redis
from attrs import frozen

from unstract_devstack.ports import HOST, free_port
from unstract_devstack.processes import ManagedProcess, ProcessError, inherited_environment, wait_until
from unstract_devstack.redis_server import RedisHandle, find_redis_server, running_redis

MASTER = "devstack"
START_SECONDS = 30.0
FAILOVER_SECONDS = 60.0


@frozen
class Sentinels:
    """What runs. `first` was the master when everything started, `second` its replica."""

    first: RedisHandle
    second: RedisHandle
    ports: tuple[int, ...]
    password: str | None = None

    @property
    def worker_settings(self) -> Mapping[str, str]:
        """Variables by which a worker asks the sentinels, in every role of Redis."""
        nodes = ",".join(f"{HOST}:{port}" for port in self.ports)
        settings = {
            "CELERY_BROKER_BASE_URL": ";".join(f"sentinel://{HOST}:{port}/0" for port in self.ports),
            "CELERY_BROKER_SENTINEL_MASTER_NAME": MASTER,
        }
        for prefix in ("REDIS_", "CACHE_REDIS_"):
            settings |= {f"{prefix}SENTINEL_MODE": "true", f"{prefix}SENTINEL_MASTER_NAME": MASTER}
            settings[f"{prefix}HOST"] = nodes
        return settings

    def master_port(self) -> int:
        """Where the first sentinel that answers says the master is."""
        for port in self.ports:
            with (
                contextlib.suppress(redis.RedisError, TypeError),
                redis.Redis(HOST, port, socket_timeout=2, password=self.password) as asked,
            ):
                return int(asked.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MASTER)[1])
        raise ProcessError("no sentinel answers")

    def fail_over(self) -> None:
        """Kills the first server and waits until the second is the master. Raises ProcessError."""
        self.first.kill()
        if not wait_until(lambda: self.master_port() == self.second.port and _is_master(self.second), seconds=60):
            raise ProcessError(f"no fail-over within {FAILOVER_SECONDS:.0f} s")


@contextlib.contextmanager
def running_sentinels(directory: Path, *, password: str | None = None) -> Iterator[Sentinels]:
    """The arrangement in `directory`, all of it in touch, until the block is left. Raises ProcessError.

    Args:
        password: of the sentinels; the servers have none.
    """
    with contextlib.ExitStack() as parts:
        first = parts.enter_context(running_redis(directory / "first"))
        follows = (f"replicaof {HOST} {first.port}",)
        second = parts.enter_context(running_redis(directory / "second", options=follows))
        processes = [_sentinel(directory / f"sentinel-{number}", first.port, password) for number in range(3)]
        for _, process in processes:
            process.start()
            parts.callback(process.kill)
        made = Sentinels(first, second, tuple(port for port, _ in processes), password)
        for port, process in processes:
            process.await_ready(partial(_knows, port, password), seconds=START_SECONDS, pause=0.1)
        yield made


def _sentinel(directory: Path, master_port: int, password: str | None) -> tuple[int, ManagedProcess]:
    directory.mkdir(parents=True)
    port, config = free_port(), directory / "sentinel.conf"
    watched = {
        "monitor": f"{MASTER} {HOST} {master_port} 2",
        "down-after-milliseconds": f"{MASTER} 1500",
        "failover-timeout": f"{MASTER} 6000",
    }
    lines = [f"bind {HOST}", f"port {port}", f'dir "{directory}"']
    if password is not None:
        lines += [f"requirepass {password}", f"sentinel sentinel-pass {password}"]
    config.write_text("\n".join([*lines, *(f"sentinel {name} {value}" for name, value in watched.items())]) + "\n")
    process = ManagedProcess(
        name="Sentinel",
        command=(find_redis_server(), config, "--sentinel"),
        environment=inherited_environment(),
        log_path=directory / "sentinel.log",
    )
    return port, process


def _knows(port: int, password: str | None) -> bool:
    try:
        with redis.Redis(HOST, port, socket_timeout=2, decode_responses=True, password=password) as client:
            known = client.sentinel_masters()[MASTER]  # not every redis-py of core's range answers for one
    except redis.RedisError:
        return False
    return bool(known["num-slaves"] == 1 and known["num-other-sentinels"] == 2)


def _is_master(server: RedisHandle) -> bool:
    try:
        with server.client(timeout=2) as client:
            return bool(client.info("replication")["role"] == "master")
    except redis.RedisError:
        return False
