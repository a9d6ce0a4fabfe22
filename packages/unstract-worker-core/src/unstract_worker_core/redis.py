"""The one way to Redis: plain clients of redis-py for every role, and what its errors mean.

Every role (ledger, platform, cache) gets its client from `connect` and calls it through `call_redis`, so that all of
them survive a server that is restarted, moved, demoted to a replica, loading or silent in the same way: the error
drops the connections that may lead to the old server, and what may be repeated is repeated on a new one.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast
from weakref import WeakSet

from attrs import frozen
from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    AuthenticationError,
    AuthorizationError,
    MasterDownError,
    NoPermissionError,
    OutOfMemoryError,
    ReadOnlyError,
    RedisError,
    ResponseError,
    TryAgainError,
)
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from redis.retry import Retry
from redis.sentinel import Sentinel

from unstract_worker_core.config.sections import RedisSettings
from unstract_worker_core.errors import LedgerError, LedgerUnavailable
from unstract_worker_core.retries import Retrying

T = TypeVar("T")
Observer = Callable[[str, str], None]

_OLDEST = (6, 2)
# For each address: a new connection tries the addresses of a name in order, and the first may drop packets. Long enough
# for TCP to send a lost first packet again, after a second.
CONNECT_SECONDS = 2.0
NO_CLUSTER = "Redis Cluster is not supported: use a single node or Sentinel"
# No command of ours takes a second: a connection that is silent for longer counts as dead.
_ANSWER_SECONDS = 5.0
# redis-py has classes for some codes, and then cuts the code off the text.
_CODES = {OutOfMemoryError: "OOM", ReadOnlyError: "READONLY", MasterDownError: "MASTERDOWN", TryAgainError: "TRYAGAIN"}
# Refusals that pass by themselves.
_PASSING = frozenset((*_CODES.values(), "LOADING", "NOREPLICAS", "MISCONF", "BUSY", "UNKILLABLE"))
_RETRYING = Retrying(attempts=4, timeout=30.0, wait_initial=0.1, wait_max=2.0)
_DEMOTED = frozenset(("READONLY", "MASTERDOWN"))
# The pools of every role: they mostly lead to one server or through one network.
_POOLS: WeakSet[ConnectionPool] = WeakSet()


@frozen
class Finding:
    """What is wrong with the ledger's Redis. `fatal`: the worker must not start on it."""

    problem: str
    fatal: bool


def connect(settings: RedisSettings, *, name: str) -> Redis:
    """A client that is safe to share between threads and connects on first use; answers are str.

    It repeats nothing by itself: redis-py's default applies a command twice when its answer was lost. See `call_redis`.

    Args:
        name: shows in CLIENT LIST.
    """
    security: dict[str, Any] = {}
    if settings.ssl:
        security = {
            "ssl": True,
            "ssl_cert_reqs": settings.ssl_cert_reqs,
            "ssl_check_hostname": settings.ssl_cert_reqs == "required",
            "ssl_ca_certs": settings.ssl_ca_file,
            "ssl_certfile": settings.ssl_cert_file,
            "ssl_keyfile": settings.ssl_key_file,
        }
    shared: dict[str, Any] = {
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": _ANSWER_SECONDS,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,
        **security,
    }
    options: dict[str, Any] = {
        **shared,
        "retry_on_error": [ReadOnlyError],  # with no retries: drops the connection to a server that was demoted
        "db": settings.db,
        "username": settings.username,
        "password": settings.password.reveal() if settings.password else None,
        "decode_responses": True,
        "health_check_interval": 25,
        "client_name": f"unstract-worker-{name}",
        "max_connections": 1024,
    }
    client = _client(settings, shared, options)
    _POOLS.add(client.connection_pool)
    return client


def _client(settings: RedisSettings, shared: dict[str, Any], options: dict[str, Any]) -> Redis:
    if not settings.sentinel:
        ((host, port),) = settings.nodes
        return Redis(host=host, port=port, **options)
    secret = settings.sentinel_password.reveal() if settings.sentinel_password else None
    each = _ANSWER_SECONDS / len(settings.nodes)  # they are asked one after the other
    bounds = {"socket_connect_timeout": each, "socket_timeout": each}
    sentinel_options = {**shared, **bounds, "username": settings.sentinel_username, "password": secret}
    sentinels: Any = Sentinel(settings.nodes, sentinel_kwargs=sentinel_options, **options)
    return cast("Redis", sentinels.master_for(settings.sentinel_master))


def call_redis(
    redis: Redis,
    step: str,
    call: Callable[[], T],
    *,
    repeatable: bool = True,
    observe: Observer = lambda step, outcome: None,
) -> T:
    """The value of a call to Redis.

    Args:
        redis: the client that `call` uses.
        step: names the call in errors and metrics.
        repeatable: whether the call may be applied twice. It is then tried up to four times within 30 seconds.
        observe: gets the step with "ok" or "error" at each attempt.

    Raises:
        LedgerUnavailable: Redis is unreachable or refuses writes for now.
        LedgerError: any other error of Redis.
    """

    def attempt() -> T:
        try:
            value = call()
        except RedisError as error:
            observe(step, "error")
            if isinstance(error, RedisConnectionError | RedisTimeoutError) or _code(error) in _DEMOTED:
                _drop_idle(redis)
            raise ledger_error(error, step) from None
        observe(step, "ok")
        return value

    try:
        return attempt()
    except LedgerUnavailable as error:
        if not repeatable:
            raise
        return _RETRYING.after(error, LedgerUnavailable, attempt)


def _drop_idle(redis: Redis) -> None:
    """Close the idle connections of every role: each dead one would cost a time-out of its own.

    A new connection asks DNS or Sentinel for the current master.
    """
    for pool in {redis.connection_pool, *_POOLS}:
        pool.disconnect(inuse_connections=False)


def ledger_error(error: RedisError, step: str) -> LedgerError:
    """The error of the workers for an error of redis-py; says what happened, never what was written."""
    if isinstance(error, RedisConnectionError | RedisTimeoutError):
        return LedgerUnavailable(f"{step}: Redis is unreachable ({type(error).__name__})")
    code = _code(error)
    if code in _PASSING:
        return LedgerUnavailable(f"{step}: Redis refuses writes ({refusal_of(error)})")
    return LedgerError(f"{step}: Redis answered {refusal_of(error)}")


def refusal_of(error: RedisError) -> str:
    """What Redis refused with, in a word or two: redis-py's class, and the code where there is one."""
    return f"{type(error).__name__} {_code(error)}".rstrip()


def _code(error: RedisError) -> str:
    """The code that Redis began its refusal with, such as READONLY; empty where there is none."""
    if not isinstance(error, ResponseError):
        return ""
    for kind, code in _CODES.items():
        if isinstance(error, kind):
            return code
    # In a MULTI redis-py puts the command, arguments and all, before what Redis said; Redis 6 puts a script's place
    # before the code of the command in it that was refused.
    text = str(error).rpartition(" caused error: ")[2]
    found = re.match(r"(?:Error running script \(.*\): .*: -)?([A-Z]+)(?: |$)", text)
    return found[1] if found else ""


def is_denied(error: BaseException) -> bool:
    """Whether Redis says that its user may not do this, or that a script of the user's may not."""
    if not isinstance(error, RedisError):
        return False
    in_script = "The user executing the script can't" in str(error) or _code(error) == "NOPERM"
    return isinstance(error, NoPermissionError) or in_script


def access_problem(client: Redis) -> str | None:
    """Why Redis will never serve its user; None where it does, or cannot be asked now."""
    try:
        client.ping()
    except RedisError as error:
        return _lasting_problem(error)
    return None


def _lasting_problem(error: RedisError) -> str | None:
    if isinstance(error, AuthenticationError | AuthorizationError):
        return f"the user or the password is refused ({type(error).__name__})"
    if is_denied(error) or (isinstance(error, ResponseError) and _code(error) not in _PASSING):
        return f"it refuses to serve ({error})"
    return None


def unusable(info: Mapping[str, Any]) -> str | None:
    """Why a server can serve no role, from its INFO; None where it can."""
    if info.get("cluster_enabled") == 1 or info.get("redis_mode") == "cluster":
        return NO_CLUSTER
    return "this is a replica: connect to the master" if info.get("role") == "slave" else None


def check_ledger_redis(client: Redis) -> tuple[Finding, ...]:
    """What is wrong with this server as the ledger's Redis.

    Raises:
        LedgerUnavailable: the server cannot be asked now.
    """
    missing = "+info, without which eviction and AOF cannot be checked"
    try:
        info = client.info()
        if unusable(info) is None:
            missing = "what the ledger's scripts need (least access, in core's README)"
            client.register_script("return redis.call('SCARD', 'uw:open')")()
    except RedisError as error:
        problem, hint = _lasting_problem(error), f": grant {missing}" if is_denied(error) else ""
        if problem is not None:
            return (Finding(f"{problem}{hint}", True),)
        raise LedgerUnavailable(f"the ledger's Redis does not answer ({type(error).__name__})") from None
    policy, version = info.get("maxmemory_policy", "unknown"), str(info.get("redis_version", "0"))
    unfit = unusable(info)
    checks = (
        (unfit is not None, str(unfit), True),
        (policy != "noeviction", f"eviction policy is {policy}: set maxmemory-policy noeviction", True),
        (_numbers(version) < _OLDEST, f"version {version} is older than 6.2", True),
        (info.get("aof_enabled") != 1, "AOF is off: a restart of Redis loses runs; set appendonly yes", False),
        (info.get("aof_last_write_status", "ok") != "ok", "the last AOF write failed: is the disk full?", False),
    )
    return tuple(Finding(problem, fatal) for wrong, problem, fatal in checks if wrong)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
