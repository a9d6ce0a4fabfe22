"""Checks where a webhook may go: reads its URL strictly, resolves its host in a bounded time, allows public addresses.

A URL that two parsers could read as two different hosts is refused. The posted URL is built from the parts read here,
so the HTTP client uses the host that was checked.
The lists of addresses are our own: `ipaddress.is_global` differs by Python version, and it counts multicast and the
NAT64 and 6to4 forms of 127.0.0.1 as global.
getaddrinfo has no time limit, so it runs in a thread, which is abandoned if it takes too long: a DNS server that does
not answer delays only the deliveries to its hosts. Each host has at most one such thread, and their number is limited.
"""

import re
import socket
import threading
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from ipaddress import AddressValueError, IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

import idna
from attrs import define, field, frozen

from unstract_worker_core.errors import WorkerError

Address = IPv4Address | IPv6Address

_V4 = tuple(
    (IPv4Network(network), name)
    for network, name in (
        ("0.0.0.0/8", "this host"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "carrier-grade NAT"),
        ("127.0.0.0/8", "loopback"),
        ("168.63.129.16/32", "a cloud's platform service"),
        ("169.254.0.0/16", "link-local, metadata services"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "protocol assignments"),
        ("192.0.2.0/24", "documentation"),
        ("192.88.99.0/24", "6to4 relays"),
        ("192.168.0.0/16", "private"),
        ("198.18.0.0/15", "benchmarks"),
        ("198.51.100.0/24", "documentation"),
        ("203.0.113.0/24", "documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
)
# The first match names the rule, so narrow networks come before wider ones.
_V6 = tuple(
    (IPv6Network(network), name)
    for network, name in (
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "IPv4-compatible"),
        ("::ffff:0:0:0/96", "IPv4-translated"),
        ("64:ff9b:1::/48", "local NAT64"),
        ("100::/64", "discard"),
        ("2001::/32", "Teredo"),
        ("2001:2::/48", "benchmarks"),
        ("2001::/23", "protocol assignments"),
        ("2001:db8::/32", "documentation"),
        ("3ffe::/16", "not assigned any more"),
        ("3fff::/20", "documentation"),
        ("5f00::/16", "segment routing"),
        ("fc00::/7", "unique local"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "site-local"),
        ("ff00::/8", "multicast"),
    )
)
_GLOBAL = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_6TO4 = IPv6Network("2002::/16")
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)


Resolver = Callable[[str], Sequence[str]]
"""All addresses of a host name, as text. May block for long. Raises OSError where there are none."""
_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?]*)(.*)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_PORTS = {"http": 80, "https": 443}


class NotResolved(WorkerError):
    """The addresses of a host name are not known. The text does not name it."""


class LookupsBusy(WorkerError):
    """Too many look-ups are under way. The host is not at fault."""


def system_addresses(host: str) -> Sequence[str]:
    """The addresses from the system's resolver, in its order of preference. Raises OSError."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for _, _, _, _, sockaddr in found]


@define(eq=False)
class Lookups:
    """The look-ups of one process; at most `most` run at a time, including abandoned ones."""

    resolve: Resolver = system_addresses
    most: int = 32
    _under_way: dict[str, Future[Sequence[str]]] = field(factory=dict, init=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False)

    def addresses(self, host: str, *, seconds: float) -> tuple[Address, ...]:
        """Every address of the host, each once, looked up now: nothing is cached. Raises NotResolved or LookupsBusy."""
        try:
            texts = self._look_up(host).result(seconds)
            found = tuple(dict.fromkeys(unmapped(ip_address(text)) for text in texts))
        except TimeoutError:
            raise NotResolved("the host name was not resolved in time") from None
        except (OSError, ValueError):
            raise NotResolved("the host name cannot be resolved") from None
        if not found:
            raise NotResolved("the host name has no address")
        return found

    def _look_up(self, host: str) -> Future[Sequence[str]]:
        with self._lock:
            if host in self._under_way:
                return self._under_way[host]
            if len(self._under_way) >= self.most:
                raise LookupsBusy("too many host names are being resolved")
            result: Future[Sequence[str]] = Future()
            threading.Thread(target=self._resolve, args=(host, result), name="webhook look-up", daemon=True).start()
            self._under_way[host] = result
        return result

    def _resolve(self, host: str, result: Future[Sequence[str]]) -> None:
        try:
            texts = self.resolve(host)
        except Exception as error:  # noqa: BLE001 - boundary of the thread: the error goes to the waiting threads
            self._forget(host)
            result.set_exception(error)
        else:
            self._forget(host)
            result.set_result(texts)

    def _forget(self, host: str) -> None:
        # Before the result is set: a later call starts a look-up of its own.
        with self._lock:
            del self._under_way[host]


def unmapped(address: Address) -> Address:
    """The address that a socket would use: the IPv4 address of an IPv4-mapped one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def why_not_public(address: Address) -> str | None:
    """The rule by which an address is not public, such as ``loopback (127.0.0.0/8)``; None for a public one."""
    address = unmapped(address)
    if isinstance(address, IPv4Address):
        return _listed_v4(address)
    for network, name in _V6:
        if address in network:
            return f"{name} ({network})"
    for inner, form in _embedded_v4(address):
        rule = _listed_v4(inner)
        if rule is not None:
            return f"{rule}, hidden in {form}"
    return None if address in _GLOBAL or address in _NAT64 else "not global unicast"


def _listed_v4(address: IPv4Address) -> str | None:
    return next((f"{name} ({network})" for network, name in _V4 if address in network), None)


def _embedded_v4(address: IPv6Address) -> Iterator[tuple[IPv4Address, str]]:
    """The IPv4 addresses that an IPv6 address embeds, and in which form: a packet may be sent on to them."""
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        yield low, "NAT64"
    if address in _6TO4:
        yield IPv4Address(int(address) >> 80 & 0xFFFF_FFFF), "6to4"
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        yield low, "ISATAP"


class AddressRefused(WorkerError):
    """The rule by which a webhook is not sent. `permanent`: every further attempt would be refused too.

    The text contains no part of the URL, because it is stored and logged.
    """

    def __init__(self, rule: str, *, permanent: bool = True) -> None:
        self.permanent = permanent
        super().__init__(f"refused: {rule}")


@frozen
class Target:
    """Where a webhook goes. `host`: lower case ASCII, without brackets. `address`: the host, if it is one."""

    scheme: str
    host: str
    port: int
    path: str = field(repr=False)
    address: Address | None = None

    @property
    def url(self) -> str:
        """The URL, built from the parts."""
        host = f"[{self.host}]" if isinstance(self.address, IPv6Address) else self.host
        port = "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def read_target(url: str) -> Target:
    """Read a URL. Raises AddressRefused, permanent."""
    if any(unicodedata.category(char) in _INVISIBLE for char in url):
        raise AddressRefused("the URL contains a space or an invisible character")
    if "\\" in url:
        raise AddressRefused("the URL contains a backslash")
    if "#" in url:
        raise AddressRefused("the URL has a fragment")
    found = _URL.fullmatch(url)
    if found is None or found[1].lower() not in _PORTS:
        raise AddressRefused("the URL is not an absolute http or https URL")
    scheme, authority, path = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise AddressRefused("the URL has a user or a password; use a header")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not 0 < int(parts[2] or _PORTS[scheme]) < 65536:
        raise AddressRefused("the URL's host or port is malformed")
    host, address = _ipv6_host(parts[1]) if parts[1].startswith("[") else _named_host(parts[1])
    return Target(scheme, host, int(parts[2] or _PORTS[scheme]), path if path.startswith("/") else f"/{path}", address)


def _ipv6_host(text: str) -> tuple[str, Address]:
    try:
        address = IPv6Address(text[1:-1])
    except AddressValueError:
        raise AddressRefused("the URL's IPv6 address is malformed") from None
    if address.scope_id is not None:
        raise AddressRefused("the URL's IPv6 address names a zone")
    return str(address), address


def _named_host(text: str) -> tuple[str, Address | None]:
    host = _in_ascii(text.lower())
    if host.endswith("."):
        raise AddressRefused("the URL's host name ends with a dot")
    labels = host.split(".")
    # Some resolvers read a name that ends like a number as an IPv4 address: 127.1, 0x7f.1, 017700000001, 2130706433.
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return host, IPv4Address(text)
        except AddressValueError:
            raise AddressRefused("the URL's host is an odd spelling of an IPv4 address") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise AddressRefused("the URL's host is not a host name")
    return host, None


def _in_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host).decode("ascii")
    except UnicodeError:
        raise AddressRefused("the URL's host is not a valid international name") from None
