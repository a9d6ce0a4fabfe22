"""The three Redis roles: reachable, of a usable version, and keeping what the role needs kept."""

from collections.abc import Generator, Iterator
from typing import Any

from attrs import frozen
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from unstract_worker_core.config import Settings
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.operator.check import CERTIFICATE, Line, cause_of
from unstract_worker_core.redis import check_ledger_redis, connect


@frozen
class Role:
    """One role: the settings' field, its variables, and what an eviction would cost it."""

    subject: str
    field: str
    variables: str
    evicted: str


ROLES = (
    Role("platform redis", "platform_redis", "REDIS_*", "API results and UI logs vanish before they are read"),
    Role("cache redis", "cache_redis", "CACHE_REDIS_*", "marks of files in use vanish: a file may be worked on twice"),
)


def redis_lines(settings: Settings) -> Generator[Line, None, bool]:
    """The ledger's Redis, then the other two. Returns whether the ledger's answers."""
    ledger_answers = yield from _ledger(settings)
    for role in ROLES:
        client = connect(getattr(settings, role.field), name="check")
        try:
            yield from _role(role, getattr(settings, role.field).location, client)
        finally:
            client.close()
    return ledger_answers


def broker_redis(client: Redis) -> Iterator[Line]:
    """A Redis that is the broker: what it evicts or forgets are messages."""
    lost = "start messages vanish, and the ledger cannot ring for what it never saw"
    yield from _kept("broker", client, lost)
    info = _info(client)
    if info and info.get("aof_enabled") != 1:
        yield Line("broker", "warn", f"AOF is off: after a restart of Redis {lost}; set appendonly yes")


def _ledger(settings: Settings) -> Generator[Line, None, bool]:
    client = connect(settings.ledger_redis, name="check")
    try:
        findings = check_ledger_redis(client)
        info = _info(client) or {}
    except (LedgerUnavailable, RedisError) as error:
        where = settings.ledger_redis.location
        yield _unusable("ledger redis", where, error, "WORKER_LEDGER_REDIS_URL or REDIS_*")
        return False
    finally:
        client.close()
    for finding in findings:
        yield Line("ledger redis", "fail" if finding.fatal else "warn", finding.problem)
    if not findings:
        where = settings.ledger_redis.location
        yield Line("ledger redis", "ok", f"{_version(info)} at {where}, {info.get('maxmemory_policy')}, AOF on")
    return True


def _role(role: Role, where: str, client: Redis) -> Iterator[Line]:
    try:
        client.ping()
    except RedisError as error:
        yield _unusable(role.subject, where, error, role.variables)
        return
    yield from _kept(role.subject, client, role.evicted, where=where)


def _unusable(subject: str, where: str, error: Exception, variables: str) -> Line:
    cause = cause_of(error, where)
    ca = "; its CA goes to REDIS_SSL_CA_CERTS, or into the URL as ssl_ca_certs" if cause.startswith(CERTIFICATE) else ""
    return Line(subject, "fail", f"{where}: {cause}; look at {variables}{ca}")


def _kept(subject: str, client: Redis, evicted: str, *, where: str = "") -> Iterator[Line]:
    """Whether the server may throw things away. `where`: its location, for the line that says that it is in order."""
    info = _info(client)
    if info is None:
        yield Line(subject, "warn", "INFO is not permitted: eviction and version were not checked; grant +info to see")
        return
    policy = str(info.get("maxmemory_policy", "unknown"))
    if policy not in ("noeviction", "unknown"):
        yield Line(subject, "warn", f"eviction policy is {policy}: when memory is short {evicted}; set noeviction")
    elif where:
        yield Line(subject, "ok", f"{_version(info)} at {where}, {policy}")


def _info(client: Redis) -> dict[str, Any] | None:
    try:
        return dict(client.info())
    except NoPermissionError:
        return None


def _version(info: dict[str, Any]) -> str:
    if info.get("valkey_version"):
        return f"Valkey {info['valkey_version']}"
    return f"Redis {info.get('redis_version', 'of an unknown version')}"
