"""What a stack can stand on: the brokers and the Redis arrangements that the workers support, each a real one.

The reference backend, in the place of the platform, always reaches them plainly and as administrator.
"""

import contextlib
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from attrs import Factory, frozen

from unstract_devstack.certificates import make_certificates
from unstract_devstack.ports import free_port
from unstract_devstack.rabbitmq_server import running_rabbitmq
from unstract_devstack.redis_server import RedisHandle, find_valkey_server, running_redis

CORE_PAGE = Path(__file__).resolve().parents[4] / "packages/unstract-worker-core/README.md"


@frozen
class Ground:
    """What runs already.

    Attributes:
        redis: the platform's Redis.
        broker_url: the broker as the platform reaches it; None: that Redis.
        settings: variables by which the workers reach everything, over those of a plain Redis.
        backend_options: further arguments for the reference backend.
    """

    redis: RedisHandle
    broker_url: str | None = None
    settings: Mapping[str, str] = Factory(dict)
    backend_options: tuple[str, ...] = ()


def granted() -> dict[str, str]:
    """What core's README grants each role's Redis user, by role: the rules of ACL SETUSER."""
    text = CORE_PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"^ACL SETUSER unstract-(\w+) on >PASSWORD (.+)$", text, re.MULTILINE))


@contextlib.contextmanager
def running_ground(name: str, directory: Path, *, grants: Mapping[str, str] | None = None) -> Iterator[Ground]:
    """The ground of that name, until the block is left.

    Args:
        name: one of `GROUNDS`.
        directory: where data and logs go.
        grants: ACL rules by role (``broker``, ``ledger``, ``platform``), for the ground of least access.

    Raises:
        LookupError: no such ground.
        ProcessError: a server is not installed or did not start.
    """
    if name not in GROUNDS:
        raise LookupError(f"no ground {name!r}: one of {', '.join(GROUNDS)}")
    with contextlib.ExitStack() as parts:
        yield GROUNDS[name](parts, directory, grants or {})


def _redis(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    return Ground(parts.enter_context(running_redis(directory / "redis")))


def _valkey(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    return Ground(parts.enter_context(running_redis(directory / "valkey", program=find_valkey_server())))


def _rabbitmq(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    redis = parts.enter_context(running_redis(directory / "redis"))
    return Ground(redis, parts.enter_context(running_rabbitmq(directory / "rabbitmq")).url)


def _quorum(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    plain = _rabbitmq(parts, directory, grants)
    return Ground(plain.redis, plain.broker_url, {"RABBITMQ_HA_ENABLED": "true"}, ("--quorum-queues",))


def _apart(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    """Broker, ledger and platform, each a server of its own."""
    platform, broker, ledger = (
        parts.enter_context(running_redis(directory / name)) for name in ("platform", "broker", "ledger")
    )
    return Ground(platform, broker.url, {"WORKER_LEDGER_REDIS_URL": ledger.url})


def _tls(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    """One server that the workers reach over TLS alone; its authority is known to no other process."""
    made, port = make_certificates(directory / "certificates"), free_port()
    options = {
        "tls-port": port, "tls-cert-file": made.certificate, "tls-key-file": made.key,
        "tls-ca-cert-file": made.authority, "tls-auth-clients": "no",
    }  # fmt: skip
    lines = tuple(f"{name} {value}" for name, value in options.items())
    redis = parts.enter_context(running_redis(directory / "redis", options=lines))
    settings = {
        "CELERY_BROKER_BASE_URL": f"rediss://localhost:{port}/0",
        "CELERY_BROKER_SSL_CA_CERTS": str(made.authority),
        "WORKER_LEDGER_REDIS_URL": f"rediss://localhost:{port}/0?ssl_ca_certs={made.authority}",
    }
    for prefix in ("REDIS_", "CACHE_REDIS_"):
        settings |= {f"{prefix}HOST": "localhost", f"{prefix}PORT": str(port), f"{prefix}SSL": "true"}
        settings[f"{prefix}SSL_CA_CERTS"] = str(made.authority)
    return Ground(redis, settings=settings)


def _least(parts: contextlib.ExitStack, directory: Path, grants: Mapping[str, str]) -> Ground:
    """One server with a user for each role, which may do what `grants` say and no more."""
    redis = parts.enter_context(running_redis(directory / "redis", password=secrets.token_hex(12)))
    words = {role: secrets.token_hex(12) for role in grants}
    with redis.client() as administrator:
        for role, rules in grants.items():
            administrator.execute_command(
                "ACL", "SETUSER", f"unstract-{role}", "reset", "on", f">{words[role]}", *rules.split()
            )
    where = f"127.0.0.1:{redis.port}/0"
    settings = {
        "CELERY_BROKER_BASE_URL": f"redis://unstract-broker:{words['broker']}@{where}",
        "WORKER_LEDGER_REDIS_URL": f"redis://unstract-ledger:{words['ledger']}@{where}",
    }
    for prefix in ("REDIS_", "CACHE_REDIS_"):
        settings |= {f"{prefix}USERNAME": "unstract-platform", f"{prefix}PASSWORD": words["platform"]}
    return Ground(redis, settings=settings)


_Make = Callable[[contextlib.ExitStack, Path, Mapping[str, str]], Ground]
GROUNDS: Mapping[str, _Make] = {
    "redis": _redis,
    "redis-apart": _apart,
    "redis-tls": _tls,
    "redis-least": _least,
    "valkey": _valkey,
    "rabbitmq": _rabbitmq,
    "rabbitmq-quorum": _quorum,
}
