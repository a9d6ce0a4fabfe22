"""How the text of a variable becomes a value.

A parser returns the value or raises ValueError with a problem that never contains the text.
"""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator
from ipaddress import IPv6Address, ip_network
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit

from attrs import field, frozen

_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?"
_HTTP = ("http", "https")
_PROVIDERS = ("azure", "gcs", "local", "minio", "s3")
# Parts of the credentials that are no secret, and would have ordinary words removed from the log.
_PLAIN = frozenset({"account_name", "bucket", "endpoint_url", "key", "project", "provider", "region_name"})
Parser = Callable[[str], object]


@frozen(repr=False, str=False)
class Secret:
    """A password, key or URL with credentials. Equal by value; never shown by repr, str or format."""

    _value: str = field()

    def reveal(self) -> str:
        """The value itself, for the place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __format__(self, spec: str) -> str:
        return "***"

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("a Secret is never serialised")

    def __bool__(self) -> bool:
        return bool(self._value)


def join_host_port(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_host_port(text: str, default_port: int) -> tuple[str, int]:
    """Host and port of ``host``, ``host:port``, an IPv6 address, or ``[address]:port``. Raises ValueError."""
    found = re.fullmatch(r"(\[[^\[\]]*\]|[^:]*)(?::([0-9]{1,5}))?", text)
    if found is None:  # more than one colon and no brackets: an address without a port
        return bare_host(text), default_port
    port = int(found[2]) if found[2] else default_port
    if not 0 < port <= 65535:
        raise ValueError("port must be a number from 1 to 65535")
    return bare_host(found[1]), port


def split_host_ports(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """A comma list of such. Raises ValueError."""
    return tuple(split_host_port(item.strip(), default_port) for item in text.split(","))


def bare_host(text: str) -> str:
    """A host name, or an address without its brackets. Raises ValueError."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if not (_is_ipv6(host) if ":" in host else text == host and re.fullmatch(_NAME, host)):
        raise ValueError("host must be a name or an address")
    return host


@frozen
class StoreSettings:
    """Where the platform keeps files: an object store or a folder.

    Attributes:
        credentials: a JSON object: what opens it, by the names that the platform uses.
    """

    provider: str
    credentials: Secret

    def options(self) -> dict[str, Any]:
        """The credentials, for the one place that opens the store."""
        found: dict[str, Any] = json.loads(self.credentials.reveal())
        return found

    def secrets(self) -> Iterator[str]:
        """Every secret value in the credentials, for the log's redaction."""
        return _texts(self.options())


@frozen
class CrashPoint:
    """Where a test has a worker kill itself: when `name` is reached the `nth` time; `group`: all its processes."""

    name: str
    nth: int = 1
    group: bool = False


def text(value: str) -> str:
    """Any printable text."""
    if not value.isprintable():
        raise ValueError("contains control characters")
    return value


def secret(value: str) -> Secret:
    """Text that is kept out of sight."""
    return Secret(text(value))


def signing_secret(value: str) -> Secret:
    """A secret as Standard Webhooks writes it: ``whsec_`` and base64 of 24 to 64 bytes."""
    try:
        key = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not value.startswith("whsec_") or not 24 <= len(key) <= 64:
        raise ValueError("must be whsec_ and base64 of 24 to 64 random bytes")
    return Secret(value)


def flag(value: str) -> bool:
    """true/false, 1/0, yes/no, on/off, in any case."""
    word = value.lower()
    if word not in ("true", "1", "yes", "on", "false", "0", "no", "off"):
        raise ValueError("must be true or false")
    return word in ("true", "1", "yes", "on")


def integer(low: int, high: int) -> Callable[[str], int]:
    """A whole number between `low` and `high`, both included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise ValueError("must be a whole number")
        if not low <= int(value) <= high:
            raise ValueError(f"must be between {low} and {high}")
        return int(value)

    return parse


def clamped(low: int, high: int) -> Callable[[str], int]:
    """A whole number that is moved to the nearest of `low` and `high` when beyond, as today's workers do."""
    whole = integer(-(10**18), 10**18)
    return lambda value: min(max(whole(value), low), high)


def seconds(low: float, high: float) -> Callable[[str], float]:
    """A decimal number of seconds between `low` and `high`."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]{1,9})?", value):
            raise ValueError("must be a number of seconds, such as 30 or 2.5")
        if not low <= float(value) <= high:
            raise ValueError(f"must be between {low:g} and {high:g} seconds")
        return float(value)

    return parse


def share(value: str) -> float:
    """A decimal number between 0 and 1."""
    if not re.fullmatch(r"[0-9](\.[0-9]{1,18})?", value) or float(value) > 1:
        raise ValueError("must be a number from 0 to 1")
    return float(value)


def choice(*allowed: str) -> Callable[[str], str]:
    """One of the given words, in any case."""

    def parse(value: str) -> str:
        for word in allowed:
            if value.lower() == word.lower():
                return word
        raise ValueError("must be one of " + ", ".join(allowed))

    return parse


def names(value: str) -> tuple[str, ...]:
    """A comma list of names (organizations, queues); spaces around commas are allowed, repeats are not."""
    items = tuple(item.strip() for item in value.split(","))
    if not all(re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}", item) for item in items):
        raise ValueError("must be a comma list of names, without empty or malformed ones")
    if len(set(items)) != len(items):
        raise ValueError("names something twice")
    return items


def queue_suffix(value: str) -> str:
    """The end of a queue's name."""
    if not re.fullmatch(r"[A-Za-z0-9_.\-]{1,32}", value):
        raise ValueError("must be the end of a queue's name, such as _today")
    return value


def hosts(value: str) -> tuple[str, ...]:
    """A comma list of host names, as lower case ASCII; no addresses, ports or wildcards."""
    items = tuple(item.strip().lower() for item in value.split(","))
    label = r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?"
    if not all(len(item) < 254 and re.fullmatch(rf"(?:{label}\.)*{label}", item) for item in items):
        raise ValueError("must be a comma list of host names such as hooks.corp.example, in ASCII (xn--...)")
    if any(item.rpartition(".")[2].isdigit() for item in items):
        raise ValueError("must name hosts; addresses go into WEBHOOK_ALLOWED_NETWORKS")
    return items


def ports(value: str) -> tuple[int, ...]:
    """A comma list of TCP ports."""
    return tuple(integer(1, 65535)(item.strip()) for item in value.split(","))


def networks(value: str) -> tuple[str, ...]:
    """A comma list of IP networks in CIDR form."""
    try:
        return tuple(str(ip_network(item.strip())) for item in value.split(","))
    except ValueError:
        raise ValueError("must be a comma list of networks such as 10.1.0.0/16") from None


def crash_point(value: str) -> CrashPoint:
    """A crash point as ``name[:nth][:group]``."""
    found = re.fullmatch(r"([a-z0-9_.\-]{1,80})(?::([1-9][0-9]?))?(:group)?", value)
    if found is None:
        raise ValueError("must be the name of a crash point, as in name, name:2 or name:group")
    return CrashPoint(found[1], int(found[2] or 1), found[3] is not None)


def http_url(value: str) -> str:
    """As `any_http_url`, with a path: the internal API has one."""
    url = any_http_url(value)
    if not urlsplit(url).path.strip("/"):
        raise ValueError("must include the path of the internal API, such as /internal")
    return url


def any_http_url(value: str) -> str:
    """An http(s) URL with a host; no userinfo, query or fragment. A trailing slash is dropped."""
    parts = split_url(text(value), _HTTP, "scheme must be http:// or https://")
    for character, part in (("@", "user or password"), ("?", "query (?)"), ("#", "fragment (#)")):
        if character in (parts.netloc if character == "@" else value):
            raise ValueError(f"must have no {part}")
    return value.rstrip("/")


def split_url(url: str, schemes: tuple[str, ...], scheme_problem: str) -> SplitResult:
    """The parts of a URL with one host, each of them checked. Raises ValueError that names the part that is wrong."""
    scheme, mark, rest = url.partition("://")
    if not mark or scheme.lower() not in schemes:
        raise ValueError(scheme_problem)
    if re.search(r"[\s\\]", url):
        raise ValueError("contains whitespace or a backslash")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    try:
        check_authority(authority)
        return urlsplit(url)
    except ValueError as error:
        if "@" in rest.removeprefix(authority):  # what was read as host and port is the beginning of user and password
            raise ValueError("user or password has a / ? or # that is not percent-encoded (%2F %3F %23)") from None
        raise ValueError(str(error) if error.__context__ is None else "host is not valid") from None


def check_authority(authority: str) -> None:
    """Check ``[user:password@]host[:port]`` of a URL. Raises ValueError that names the part that is wrong."""
    userinfo, _, server = authority.rpartition("@")
    if re.search(r"[\[\]]", userinfo):
        raise ValueError("user or password has a bracket that is not percent-encoded (%5B %5D)")
    found = re.fullmatch(r"(?:\[([^\[\]]*)\]|([^\[\]:]*))(?::([^\[\]:]*))?", server)
    if found is None:
        brackets = "brackets must be around an IPv6 address and nothing else"
        missing = "an IPv6 address must be in brackets"
        raise ValueError(f"{brackets if '[' in server or ']' in server else missing}, such as [2001:db8::1]:6379")
    address, name, port = found.groups()
    if address is not None and not _is_ipv6(unquote(address)):
        raise ValueError("brackets must be around an IPv6 address, such as [2001:db8::1]:6379")
    if port and not (re.fullmatch(r"[0-9]{1,5}", port) and 0 < int(port) <= 65535):
        raise ValueError("port must be a number from 1 to 65535")
    if not (address or name):
        raise ValueError("host is missing")


def _is_ipv6(address: str) -> bool:
    try:
        IPv6Address(address)
    except ValueError:
        return False
    return True


def path_prefix(value: str) -> str:
    """A relative path such as ``v1/webhook/``; leading slashes are dropped, the trailing one is added."""
    path = value.strip("/")
    if not re.fullmatch(r"[A-Za-z0-9_\-.]+(/[A-Za-z0-9_\-.]+)*", path) or ".." in path:
        raise ValueError("must be a relative path such as v1/webhook/")
    return path + "/"


def store(value: str) -> StoreSettings:
    """``{"provider": "minio", "credentials": {...}}``, as the platform writes it, in single quotes or not."""
    if value[:1] == value[-1:] == "'":
        value = value[1:-1]
    try:
        found = json.loads(value)
    except ValueError:
        raise ValueError("is not JSON") from None
    credentials = found.get("credentials", {}) if isinstance(found, dict) else None
    if not isinstance(credentials, dict):
        raise ValueError('must be a JSON object such as {"provider": "s3", "credentials": {}}')  # noqa: TRY004 - a fault
    if found.get("provider") not in _PROVIDERS:
        raise ValueError(f"provider must be one of {', '.join(_PROVIDERS)}")
    if credentials.get("endpoint_url"):
        try:
            split_url(str(credentials["endpoint_url"]), _HTTP, "scheme must be http:// or https://")
        except ValueError as error:
            raise ValueError(f"endpoint_url: {error}") from None
    return StoreSettings(found["provider"], Secret(json.dumps(credentials)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in _PLAIN:
                yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
