"""URLs with credentials: made of the operator's parts, checked, taken apart. Problems never quote them."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit, urlunsplit

from attrs import frozen

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config.declarations import celery, env
from unstract_worker_core.config.parsers import Secret, join_host_port
from unstract_worker_core.config.sections import BrokerSettings, RedisSettings

# With the driver that the extra [chord] installs: which one SQLAlchemy takes by itself changed in 2.1.
_POSTGRES = "db+postgresql+psycopg2"
_BROKERS = ("redis", "rediss", "amqp", "amqps", "sentinel")
_LEDGER_OPTIONS = {
    "redis": frozenset[str](),
    "rediss": frozenset(("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")),
    "sentinel": frozenset(("master", "sentinel_username", "sentinel_password")),
}
# Options of a rediss broker's URL: those that name a file, and those that may only say what holds anyway.
_FILE_OPTIONS = {"ssl_ca_certs": "ca_file", "ssl_certfile": "cert_file", "ssl_keyfile": "key_file"}
_HARMLESS_OPTIONS = {"ssl_cert_reqs": ("required", "cert_required"), "ssl_check_hostname": ("true", "yes", "on", "1")}


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
    heartbeat: int = env(celery("BROKER_HEARTBEAT"), p.integer(0, 3600), "AMQP heartbeat, 0 for none", default=5)
    sentinel_master: str = env("CELERY_BROKER_SENTINEL_MASTER_NAME", p.text, "master of a sentinel:// broker",
        default="mymaster")
    sentinel_username: str | None = env("CELERY_BROKER_SENTINEL_USERNAME", p.text,
        "ACL user of the sentinels of a sentinel:// broker", default=None)
    sentinel_password: Secret | None = env("CELERY_BROKER_SENTINEL_PASSWORD", p.secret,
        "password of the sentinels of a sentinel:// broker", default=None)
    ca_file: str | None = env("CELERY_BROKER_SSL_CA_CERTS", p.text,
        "CA bundle for a rediss or amqps broker, instead of the system's", default=None)
    cert_file: str | None = env("CELERY_BROKER_SSL_CERTFILE", p.text,
        "client certificate for a rediss or amqps broker", default=None)
    key_file: str | None = env("CELERY_BROKER_SSL_KEYFILE", p.text, "its key, not encrypted", default=None)


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


def broker_settings(source: BrokerSource) -> BrokerSettings:
    """The broker: its URLs with user and password, percent-encoded, and without options. Raises ValueError."""
    parts = [_split(base) for base in source.base_url.reveal().split(";")]
    schemes = {part.scheme for part in parts}
    if schemes - set(_BROKERS) or len(schemes) != 1:
        raise ValueError("scheme must be redis, rediss, sentinel, amqp or amqps, the same in all URLs")
    files = {"ca_file": source.ca_file, "cert_file": source.cert_file, "key_file": source.key_file}
    for part in parts:
        for name, value in _checked_options(part):
            field = _FILE_OPTIONS.get(name)
            if field is not None and files[field] not in (None, value):
                raise ValueError(f"option {name}: another file is set already; keep one of them")
            if field is not None:
                files[field] = value
    return BrokerSettings(
        url=Secret(";".join(_with_credentials(parts, source))),
        ha_queues=source.ha_queues,
        heartbeat=source.heartbeat,
        sentinel_master=source.sentinel_master,
        sentinel_username=source.sentinel_username,
        sentinel_password=source.sentinel_password,
        **files,
    )


def _checked_options(part: SplitResult) -> Iterator[tuple[str, str]]:
    """The options of a URL: those of TLS that name files, or that say what holds anyway.

    All the others would reach the driver past our settings. They are refused by name, never by value.
    """
    if part.fragment:
        raise ValueError("has a # that is not percent-encoded (%23)")
    for name, value in parse_qsl(part.query, keep_blank_values=True):
        if part.scheme != "rediss" or name not in (*_FILE_OPTIONS, *_HARMLESS_OPTIONS):
            shown = name if re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", name) else "(unreadable)"
            raise ValueError(f"option {shown} is refused: it would change the connection past the settings")
        if value.lower() not in _HARMLESS_OPTIONS.get(name, (value.lower(),)) or not value:
            raise ValueError(f"option {name} is refused: a broker's certificate is always verified")
        yield name, value


def _with_credentials(parts: Sequence[SplitResult], source: BrokerSource) -> Iterator[str]:
    user, password = source.user or "", source.password.reveal() if source.password else ""
    if user and not password:
        raise ValueError("CELERY_BROKER_USER is set but CELERY_BROKER_PASS is not")
    if password and not user and parts[0].scheme.startswith("amqp"):
        raise ValueError("CELERY_BROKER_PASS is set but CELERY_BROKER_USER is not")
    named = {"@" in part.netloc for part in parts}
    if password and True in named:
        raise ValueError("holds credentials while CELERY_BROKER_PASS is set as well; keep one of them")
    if len(named) > 1:
        raise ValueError("holds credentials in some of its URLs only; set CELERY_BROKER_USER and CELERY_BROKER_PASS")
    prefix = f"{quote(user, safe='')}:{quote(password, safe='')}@" if password else ""
    for part in parts:
        yield urlunsplit((part.scheme, prefix + part.netloc, part.path, "", ""))


def redis_url(value: str) -> RedisSettings:
    """Settings from a redis, rediss or sentinel URL.

    ``redis[s]://[user:password@]host[:port][/db]`` or ``sentinel://[user:password@]host[:port],.../db?master=name``;
    rediss also takes ``ssl_cert_reqs``, ``ssl_ca_certs``, ``ssl_certfile`` and ``ssl_keyfile``, sentinel also
    ``sentinel_username`` and ``sentinel_password``. Raises ValueError.
    """
    scheme, _, rest = value.partition("://")
    authority, slash, tail = rest.partition("/")
    userinfo, _, hosts = authority.rpartition("@")
    # A list of sentinels is not a host that can be split: only the first goes through it.
    parts = _split(f"{scheme}://{hosts.split(',')[0]}{slash}{tail}")
    if parts.scheme not in ("redis", "rediss", "sentinel"):
        raise ValueError("must be a redis://, rediss:// or sentinel:// URL (Redis Cluster is not supported)")
    database = parts.path.strip("/") or "0"
    options = parse_qsl(parts.query)
    query, known = dict(options), _LEDGER_OPTIONS[parts.scheme]
    if not re.fullmatch(r"[0-9]{1,5}", database) or set(query) - known or parts.fragment or len(options) > len(query):
        raise ValueError("must end in a database number, with no query but the documented one")
    sentinel = parts.scheme == "sentinel"
    if not sentinel and "," in hosts:
        raise ValueError("must name one host")
    user, _, password = userinfo.partition(":")
    if query.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("ssl_cert_reqs must be required, optional or none")
    return RedisSettings(
        # The zone of a link-local address is written %25eth0 in a URL.
        host=unquote(hosts if sentinel else parts.hostname or ""),
        port=26379 if sentinel else parts.port or 6379,  # a sentinel without a port has this one, not its neighbour's
        db=int(database),
        username=unquote(user) or None,
        password=Secret(unquote(password)) if password else None,
        ssl=parts.scheme == "rediss",
        ssl_cert_reqs=query.get("ssl_cert_reqs", "required"),
        ssl_ca_file=query.get("ssl_ca_certs"),
        ssl_cert_file=query.get("ssl_certfile"),
        ssl_key_file=query.get("ssl_keyfile"),
        sentinel=sentinel,
        sentinel_master=query.get("master", "mymaster"),
        sentinel_username=query.get("sentinel_username"),
        sentinel_password=Secret(query["sentinel_password"]) if "sentinel_password" in query else None,
    )


def result_backend_url(source: ChordSource) -> Secret | None:
    """The chord's result backend as a Celery URL; None where the operator names none."""
    if source.result_backend is not None:
        scheme, mark, rest = source.result_backend.reveal().partition("://")
        return Secret(f"{_POSTGRES if scheme == 'db+postgresql' else scheme}{mark}{rest}")
    if not (source.host and source.name and source.user and source.password):
        return None
    credentials = f"{quote(source.user, safe='')}:{quote(source.password.reveal(), safe='')}"
    options = "" if source.schema == "public" else f"?options=-csearch_path%3D{quote(source.schema, safe='')}"
    server = f"{credentials}@{join_host_port(source.host, source.port)}"
    return Secret(f"{_POSTGRES}://{server}/{quote(source.name, safe='')}{options}")


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if not host or re.search(r"\s", url):
        raise ValueError("is not a URL with a host")
    return parts
