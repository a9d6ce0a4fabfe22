"""Connections to the three Redis roles, and what the ledger demands of its server.

redis-py retries commands by default, which applies a command twice when its answer was lost: retries are off
here, and whoever calls decides.
"""

from typing import Any, cast

from attrs import frozen
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError, RedisError
from redis.retry import Retry
from redis.sentinel import Sentinel

from unstract_worker_core.config.sections import RedisSettings
from unstract_worker_core.errors import LedgerUnavailable

__all__ = ["Finding", "check_ledger_redis", "connect"]

_OLDEST = (6, 2)


@frozen
class Finding:
    """What is wrong with the ledger's Redis. `fatal`: the worker must not start on it."""

    problem: str
    fatal: bool


def connect(settings: RedisSettings, *, name: str) -> Redis:
    """A client (thread-safe, connects on first use) whose answers are str. `name` shows in CLIENT LIST."""
    timings: dict[str, Any] = {
        "socket_connect_timeout": 5.0,
        "socket_timeout": 10.0,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
    }
    security: dict[str, Any] = {}
    if settings.ssl:
        security = {
            "ssl": True,
            "ssl_cert_reqs": settings.ssl_cert_reqs,
            "ssl_ca_certs": settings.ssl_ca_file,
        }
    options: dict[str, Any] = {
        **timings,
        **security,
        "db": settings.db,
        "username": settings.username,
        "password": settings.password.reveal() if settings.password else None,
        "decode_responses": True,
        "health_check_interval": 25,
        "client_name": f"unstract-worker-{name}",
        "max_connections": 1024,
        "protocol": 2,
    }
    if not settings.sentinel:
        return Redis(host=settings.host, port=settings.port, **options)
    secret = settings.sentinel_password.reveal() if settings.sentinel_password else None
    asking = {**timings, **security, "password": secret, "protocol": 2}
    guards: Any = Sentinel(settings.nodes, sentinel_kwargs=asking, **options)
    return cast("Redis", guards.master_for(settings.sentinel_master))


def check_ledger_redis(client: Redis) -> tuple[Finding, ...]:
    """What speaks against keeping the ledger on this server.

    Raises:
        LedgerUnavailable: the server cannot be asked now.
    """
    try:
        info = client.info()
    except NoPermissionError:
        return (Finding("INFO is not permitted, so that eviction and AOF cannot be checked: grant +info", True),)
    except RedisError as error:
        raise LedgerUnavailable(f"the ledger's Redis does not answer ({type(error).__name__})") from None
    policy, version = info.get("maxmemory_policy", "unknown"), str(info.get("redis_version", "0"))
    cluster = info.get("cluster_enabled") == 1 or info.get("redis_mode") == "cluster"
    checks = (
        (cluster, "Redis Cluster is not supported: use a single node or Sentinel", True),
        (policy != "noeviction", f"eviction policy is {policy}: set maxmemory-policy noeviction", True),
        (_numbers(version) < _OLDEST, f"version {version} is older than 6.2", True),
        (info.get("role") == "slave", "this is a replica: connect to the master", True),
        (
            info.get("aof_enabled") != 1,
            "AOF is off: a restart of Redis loses runs; set appendonly yes",
            False,
        ),
        (
            info.get("aof_last_write_status", "ok") != "ok",
            "the last AOF write failed: is the disk full?",
            False,
        ),
    )
    return tuple(Finding(problem, fatal) for wrong, problem, fatal in checks if wrong)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
