"""URLs with credentials: made of the operator's parts, checked, taken apart. Problems never quote them."""

import re
from collections.abc import Iterator, Sequence
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlunsplit

from attrs import frozen

from unstract_worker_core.config import parsers as p
from unstract_worker_core.config.declarations import celery, env
from unstract_worker_core.config.parsers import Secret, bare_host, check_authority, join_host_port, split_url
from unstract_worker_core.config.sections import BrokerSettings, RedisSettings

# With the driver that the extra [chord] installs: SQLAlchemy's default changed in 2.1.
_POSTGRES = "db+postgresql+psycopg2"
_BROKERS = ("redis", "rediss", "amqp", "amqps", "sentinel")
_REDIS = ("redis", "rediss", "sentinel")
_LEDGER_OPTIONS = {
    "redis": frozenset[str](),
    "rediss": frozenset(("ssl_cert_reqs", "ssl_ca_certs", "ssl_certfile", "ssl_keyfile")),
    "sentinel": frozenset(("master", "sentinel_username", "sentinel_password")),
}
_ACCEPTED = "accepted are db+postgresql://user:password@host:5432/name, redis://host:6379/0 and rediss://"
# Options of a rediss URL: those that name a file, and those that may only say what holds anyway.
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
    parts = list(_broker_urls(source.base_url.reveal().split(";")))
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


def _broker_urls(urls: Sequence[str]) -> Iterator[SplitResult]:
    wrong_scheme = "scheme must be redis, rediss, sentinel, amqp or amqps, the same in all URLs"
    first = urls[0].partition("://")[0].lower()
    for number, url in enumerate(urls, start=1):
        try:
            part = split_url(url, (first,) if first in _BROKERS else (), wrong_scheme)
            if part.scheme in _REDIS:
                _database(part.path)
        except ValueError as error:
            raise ValueError(f"{error} (URL {number} of {len(urls)})" if len(urls) > 1 else str(error)) from None
        yield part


def _database(path: str) -> int:
    found = re.fullmatch(r"/*([0-9]{0,5})", path)
    if found is None:
        raise ValueError("database number must be digits at the URL's end, such as redis://host:6379/0")
    return int(found[1] or 0)


def _checked_options(part: SplitResult) -> Iterator[tuple[str, str]]:
    """The options of a URL: those of TLS that name files, or that say what holds anyway.

    All others would reach the driver without our settings. They are refused by name, never by value.
    """
    if part.fragment:
        raise ValueError("has a # that is not percent-encoded (%23)")
    for name, value in parse_qsl(part.query, keep_blank_values=True):
        if part.scheme != "rediss" or name not in (*_FILE_OPTIONS, *_HARMLESS_OPTIONS):
            raise ValueError(f"option {_shown(name)} is refused: it would change the connection past the settings")
        _check_verifies(name, value)
        yield name, value


def _check_verifies(option: str, value: str) -> None:
    empty_file = option in _FILE_OPTIONS and not value
    if empty_file or value.lower() not in _HARMLESS_OPTIONS.get(option, (value.lower(),)):
        raise ValueError(f"option {option} is refused: the server's certificate is always verified")


def _shown(option: str) -> str:
    return option if re.fullmatch(r"[A-Za-z0-9_.\-]{1,64}", option) else "(unreadable)"


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
    wrong_scheme = "must be a redis://, rediss:// or sentinel:// URL (Redis Cluster is not supported)"
    sentinel = scheme.lower() == "sentinel"
    if not sentinel and "," in hosts:
        raise ValueError("must name one host")
    # Of a list of sentinels each goes through it.
    for host in hosts.split(","):
        parts = split_url(f"{scheme}://{userinfo and f'{userinfo}@'}{host}{slash}{tail}", _REDIS, wrong_scheme)
        bare_host(unquote(parts.hostname or ""))
    query = _ledger_options(parts)
    user, _, password = userinfo.partition(":")
    return RedisSettings(
        # The zone of a link-local address is written %25eth0 in a URL.
        host=unquote(hosts if sentinel else parts.hostname or ""),
        port=26379 if sentinel else parts.port or 6379,  # a sentinel without a port has this one, not its neighbour's
        db=_database(parts.path.rstrip("/")),
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


def _ledger_options(parts: SplitResult) -> dict[str, str]:
    if parts.fragment:
        raise ValueError("has a # that is not percent-encoded (%23)")
    query, known = parse_qsl(parts.query, keep_blank_values=True), _LEDGER_OPTIONS[parts.scheme]
    names = [name for name, _ in query]
    for name in names:
        if name not in known or names.count(name) > 1:
            wanted = f"one of {', '.join(sorted(known))}, once" if known else f"absent: {parts.scheme}:// takes none"
            raise ValueError(f"option {_shown(name)} must be {wanted}")
    options = {name: value for name, value in query if value}
    if options.get("ssl_cert_reqs", "required") not in ("required", "optional", "none"):
        raise ValueError("option ssl_cert_reqs must be required, optional or none")
    return options


def result_backend_url(source: ChordSource) -> Secret | None:
    """The chord's result backend as a Celery URL; None where the operator names none. Raises ValueError."""
    if source.result_backend is not None:
        scheme, mark, rest = source.result_backend.reveal().partition("://")
        url = f"{_POSTGRES if scheme == 'db+postgresql' else scheme}{mark}{rest}"
        try:
            _check_result_backend(url)
        except ValueError as error:
            raise ValueError(f"{error}; {_ACCEPTED}") from None
        return Secret(url)
    if not (source.host and source.name and source.user and source.password):
        return None
    credentials = f"{quote(source.user, safe='')}:{quote(source.password.reveal(), safe='')}"
    options = "" if source.schema == "public" else f"?options=-csearch_path%3D{quote(source.schema, safe='')}"
    server = f"{credentials}@{join_host_port(bare_host(source.host), source.port)}"
    return Secret(f"{_POSTGRES}://{server}/{quote(source.name, safe='')}{options}")


def _check_result_backend(url: str) -> None:
    """Refuse at the start what Celery would refuse at the first result. Raises ValueError without the URL."""
    scheme, mark, _ = url.partition("://")
    if not mark:
        raise ValueError("is not a URL")
    if scheme.startswith(("db+", "database+")):
        _check_database(url.partition("+")[2])
        return
    if scheme == "sentinel":  # Celery takes the master's name from an option that no variable sets
        raise ValueError("sentinel:// cannot be a result backend here")
    if scheme in _REDIS:
        part = split_url(url, _REDIS, "")
        _database(part.path)
        for name, value in parse_qsl(part.query, keep_blank_values=True):
            _check_verifies(name, value)
    _check_with_celery(url)


def _check_database(url: str) -> None:
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError

    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        check_authority(re.split(r"[/?#]", url.partition("://")[2].rpartition("@")[2], maxsplit=1)[0])
        raise ValueError("is not the URL of a database") from None
    if parsed.host:
        check_authority(join_host_port(parsed.host, 1 if parsed.port is None else parsed.port))
    try:
        parsed.get_dialect().import_dbapi()
    except NoSuchModuleError:
        raise ValueError("scheme names no database that SQLAlchemy knows") from None
    except ImportError as error:
        raise ValueError(f"needs a driver that is not installed ({error.name})") from None


def _check_with_celery(url: str) -> None:
    """Whether Celery knows the scheme, has the library for it, takes the options, and keeps chords in it."""
    from celery import Celery
    from celery.app.backends import by_url

    try:
        kind, rest = by_url(url)
    except Exception:  # noqa: BLE001 - boundary: what it raises depends on the scheme, and may quote the URL
        raise ValueError("scheme names no result backend of Celery") from None
    try:
        kind(app=Celery(set_as_current=False, fixups=()), url=rest).ensure_chords_allowed()
    except Exception:  # noqa: BLE001 - as above
        hint = ": it needs the option ssl_cert_reqs, as in ?ssl_cert_reqs=required" if url.startswith("rediss:") else ""
        raise ValueError(f"Celery cannot keep chords there{hint}") from None
