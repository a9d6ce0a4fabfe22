"""The three Redis roles: reachable, of a usable version, and keeping what the role needs kept."""

from collections.abc import Callable, Generator, Iterator
from functools import partial
from typing import Any

from attrs import evolve, frozen
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from unstract_worker_core.config import RedisSettings, Settings
from unstract_worker_core.errors import LedgerUnavailable
from unstract_worker_core.operator.check import CERTIFICATE, NO_ANSWER, NO_MASTER, Line, cause_of
from unstract_worker_core.redis import check_ledger_redis, connect, unusable

Look = Callable[[Redis, str], Iterator[Line]]


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
    silent: dict[object, str] = {}
    variables = "WORKER_LEDGER_REDIS_URL or REDIS_*"
    ledger_answers = yield from _server("ledger redis", settings.ledger_redis, variables, _ledger, silent)
    for role in ROLES:
        yield from _server(role.subject, getattr(settings, role.field), role.variables, partial(_role, role), silent)
    return ledger_answers


def broker_redis(client: Redis) -> Iterator[Line]:
    """A Redis that is the broker: what it evicts or forgets are messages."""
    lost = "start messages vanish, and the ledger cannot ring for what it never saw"
    yield from _kept("broker", client, lost)
    info = _info(client)
    if info and info.get("aof_enabled") != 1:
        yield Line("broker", "warn", f"AOF is off: after a restart of Redis {lost}; set appendonly yes")


def _server(
    subject: str, settings: RedisSettings, variables: str, look: Look, silent: dict[object, str]
) -> Generator[Line, None, bool]:
    """What `look` finds on a role's server. Returns whether it answers.

    Args:
        silent: servers that were waited for in vain, with the cause; they are not asked again for another role.
    """
    where, server = settings.location, evolve(settings, db=0) if settings.sentinel else settings.nodes
    cause = silent.get(server, "")
    if not cause:
        client = connect(settings, name="check")
        try:
            yield from look(client, where)
        except (LedgerUnavailable, RedisError) as error:
            cause = cause_of(error, where)
        else:
            return True
        finally:
            client.close()
    if cause in (NO_ANSWER, NO_MASTER):
        silent[server] = cause
    ca = "; its CA goes to REDIS_SSL_CA_CERTS, or into the URL as ssl_ca_certs" if cause.startswith(CERTIFICATE) else ""
    yield Line(subject, "fail", f"{where}: {cause}; look at {variables}{ca}")
    return False


def _ledger(client: Redis, where: str) -> Iterator[Line]:
    findings = check_ledger_redis(client)
    info = _info(client) or {}
    for finding in findings:
        yield Line("ledger redis", "fail" if finding.fatal else "warn", finding.problem)
    if not findings:
        yield Line("ledger redis", "ok", f"{_version(info)} at {where}, {info.get('maxmemory_policy')}, AOF on")


def _role(role: Role, client: Redis, where: str) -> Iterator[Line]:
    client.ping()
    yield from _kept(role.subject, client, role.evicted, where=where)


def _kept(subject: str, client: Redis, evicted: str, *, where: str = "") -> Iterator[Line]:
    """Whether the server may evict keys. `where`: its location, for the line that says ok."""
    info = _info(client)
    if info is None:
        yield Line(subject, "warn", "INFO is not permitted: eviction and version were not checked; grant +info to see")
        return
    policy, unfit = str(info.get("maxmemory_policy", "unknown")), unusable(info)
    if unfit is not None:
        yield Line(subject, "fail", unfit)
    elif policy not in ("noeviction", "unknown"):
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
