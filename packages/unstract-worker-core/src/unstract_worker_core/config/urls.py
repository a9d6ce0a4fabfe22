"""URLs with credentials: made of the operator's parts, checked, taken apart. Problems never quote them."""

import re
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from attrs import frozen

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config.declarations import celery, env
from unstract_worker_core.config.secret import Secret
from unstract_worker_core.config.sections import RedisSettings

__all__ = ["BrokerSource", "ChordSource", "broker_url", "redis_url", "result_backend_url"]

# With the driver that the extra [chord] installs: which one SQLAlchemy takes by itself changed in 2.1.
_POSTGRES = "db+postgresql+psycopg2"
_BROKERS = ("redis", "rediss", "amqp", "amqps", "sentinel")


# A variable on one or two lines, not one argument a line.
# fmt: off
@frozen
class BrokerSource:
    """The broker as the operator writes it."""

    base_url: Secret = env("CELERY_BROKER_BASE_URL", p.secret,
        "broker: redis, rediss, sentinel, amqp or amqps URL; several separated by `;`")
    user: str | None = env("CELERY_BROKER_USER", p.text, "user that is put into the broker URL", default=None)
    password: Secret | None = env("CELERY_BROKER_PASS", p.secret, "password that is put into the broker URL",
        default=None)
    ha_queues: bool = env("RABBITMQ_HA_ENABLED", p.flag, "queues are quorum queues", default=False)
    heartbeat: int = env(celery("BROKER_HEARTBEAT"), p.integer(0, 3600), "AMQP heartbeat, 0 for none", default=30)
    sentinel_master: str = env("CELERY_BROKER_SENTINEL_MASTER_NAME", p.text, "master of a sentinel:// broker",
        default="mymaster")
    ca_file: str | None = env("CELERY_BROKER_SSL_CA_CERTS", p.text,
        "CA bundle for a rediss or amqps broker, instead of the system's", default=None)


@frozen
class ChordSource:
    """Chord compatibility as the operator writes it."""

    enabled: bool = env("CHORD_COMPAT", p.flag, "serve chords of today's workers (needs the extra `chord`)",
        default=False)
    retry_interval: float = env(celery("RESULT_CHORD_RETRY_INTERVAL"), p.seconds(0.1, 3600),
        "wait between two looks at a chord's results", default=1.0)
    result_backend: Secret | None = env("CELERY_RESULT_BACKEND", p.secret,
        "chord result backend, instead of the next six", default=None)
    host: str | None = env("CELERY_BACKEND_DB_HOST DB_HOST", p.text, "chord result database: host", default=None)
    port: int = env("CELERY_BACKEND_DB_PORT DB_PORT", p.integer(1, 65535), "chord result database: port", default=5432)
    name: str | None = env("CELERY_BACKEND_DB_NAME DB_NAME", p.text, "chord result database: name", default=None)
    user: str | None = env("CELERY_BACKEND_DB_USER DB_USER", p.text, "chord result database: user", default=None)
    password: Secret | None = env("CELERY_BACKEND_DB_PASSWORD DB_PASSWORD", p.secret, "chord result database: password",
        default=None)
    schema: str = env("CELERY_BACKEND_DB_SCHEMA", p.text, "chord result database: schema", default="public")


# fmt: on


def broker_url(source: BrokerSource) -> Secret:
    """The broker URL with user and password, percent-encoded. Raises ValueError."""
    bases = source.base_url.reveal().split(";")
    parts = [_split(base) for base in bases]
    if {part.scheme for part in parts} - set(_BROKERS) or len({part.scheme for part in parts}) != 1:
        raise ValueError("must be one scheme of " + ", ".join(_BROKERS))
    user, password = source.user or "", source.password.reveal() if source.password else ""
    if user and not password:
        raise ValueError("CELERY_BROKER_USER is set but CELERY_BROKER_PASS is not")
    if password and not user and parts[0].scheme.startswith("amqp"):
        raise ValueError("CELERY_BROKER_PASS is set but CELERY_BROKER_USER is not")
    if not password:
        return Secret(";".join(bases))
    if any("@" in part.netloc for part in parts):
        raise ValueError("holds credentials while CELERY_BROKER_PASS is set as well; keep one of them")
    credentials = f"{quote(user, safe='')}:{quote(password, safe='')}@"
    return Secret(";".join(base.replace("://", "://" + credentials, 1) for base in bases))


def redis_url(value: str) -> RedisSettings:
    """Settings from a redis, rediss or sentinel URL.

    ``redis[s]://[user:password@]host[:port][/db]`` or ``sentinel://[user:password@]host[:port],.../db?master=name``;
    rediss also takes ``?ssl_cert_reqs=`` and ``?ssl_ca_certs=``. Raises ValueError.
    """
    scheme, _, rest = value.partition("://")
    authority, slash, tail = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    # A list of sentinels is not a host that can be split: only the first goes through it.
    parts = _split(f"{scheme}://{hosts.split(',')[0]}{slash}{tail}")
    if parts.scheme not in ("redis", "rediss", "sentinel"):
        raise ValueError("must be a redis://, rediss:// or sentinel:// URL (Redis Cluster is not supported)")
    database = parts.path.strip("/") or "0"
    query = dict(parse_qsl(parts.query))
    known = {"redis": set[str](), "rediss": {"ssl_cert_reqs", "ssl_ca_certs"}, "sentinel": {"master"}}
    if not re.fullmatch(r"[0-9]{1,5}", database) or set(query) - known[parts.scheme] or parts.fragment:
        raise ValueError("must end in a database number, with no query but the documented one")
    sentinel = parts.scheme == "sentinel"
    if not sentinel and "," in hosts:
        raise ValueError("must name one host")
    user, _, password = userinfo.partition(":")
    if query.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    return RedisSettings(
        host=sentinel_hosts(hosts) if sentinel else parts.hostname or "",
        port=parts.port or (26379 if sentinel else 6379),
        db=int(database),
        username=unquote(user) or None,
        password=Secret(unquote(password)) if password else None,
        ssl=parts.scheme == "rediss",
        ssl_cert_reqs=query.get("ssl_cert_reqs", "required"),
        ssl_ca_file=query.get("ssl_ca_certs"),
        sentinel=sentinel,
        sentinel_master=query.get("master", "mymaster"),
    )


def sentinel_hosts(value: str) -> str:
    """A comma list of ``host[:port]``, as it came. Raises ValueError."""
    for item in value.split(","):
        if not re.fullmatch(r"[A-Za-z0-9_.\-]+(:[0-9]{1,4}|:[1-5][0-9]{4}|:6[0-5][0-9]{3})?", item.strip()):
            raise ValueError("must be a comma list of sentinels such as s1:26379,s2:26379")
    return value


def result_backend_url(source: ChordSource) -> Secret | None:
    """The chord's result backend as a Celery URL; None where the operator names none."""
    if source.result_backend is not None:
        scheme, mark, rest = source.result_backend.reveal().partition("://")
        return Secret(f"{_POSTGRES if scheme == 'db+postgresql' else scheme}{mark}{rest}")
    if not (source.host and source.name and source.user and source.password):
        return None
    credentials = f"{quote(source.user, safe='')}:{quote(source.password.reveal(), safe='')}"
    options = "" if source.schema == "public" else f"?options=-csearch_path%3D{quote(source.schema, safe='')}"
    return Secret(f"{_POSTGRES}://{credentials}@{source.host}:{source.port}/{quote(source.name, safe='')}{options}")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host or re.search(r"\s", url):
        raise ValueError("is not a URL with a host")
    return parts
