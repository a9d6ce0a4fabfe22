"""The addresses of a webhook's host: looked up within a time limit, and checked whether they are public.

The lists are our own: `ipaddress.is_global` differs by Python version, and it counts multicast and the NAT64 and 6to4
forms of 127.0.0.1 as global.
getaddrinfo has no time limit, so it runs in a thread, which is abandoned if it takes too long: a DNS server that does
not answer delays only the deliveries to its hosts. Each host has at most one such thread, and their number is limited.
"""

import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from attrs import define, field

from unstract_worker_core.errors import WorkerError

__all__ = [
    "Address",
    "Lookups",
    "LookupsBusy",
    "NotResolved",
    "Resolver",
    "plain",
    "system_addresses",
    "why_not_public",
]

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
            found = tuple(dict.fromkeys(plain(ip_address(text)) for text in texts))
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


def plain(address: Address) -> Address:
    """The address that a socket would use: the IPv4 address of an IPv4-mapped one."""
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


def why_not_public(address: Address) -> str | None:
    """The rule by which an address is not public, such as ``loopback (127.0.0.0/8)``; None for a public one."""
    address = plain(address)
    if isinstance(address, IPv4Address):
        return _listed_v4(address)
    for network, name in _V6:
        if address in network:
            return f"{name} ({network})"
    for inner, form in _hidden(address):
        rule = _listed_v4(inner)
        if rule is not None:
            return f"{rule}, hidden in {form}"
    return None if address in _GLOBAL or address in _NAT64 else "not global unicast"


def _listed_v4(address: IPv4Address) -> str | None:
    return next((f"{name} ({network})" for network, name in _V4 if address in network), None)


def _hidden(address: IPv6Address) -> Iterator[tuple[IPv4Address, str]]:
    """The IPv4 addresses that an IPv6 address embeds, and in which form: a packet may be sent on to them."""
    low = IPv4Address(int(address) & 0xFFFF_FFFF)
    if address in _NAT64:
        yield low, "NAT64"
    if address in _6TO4:
        yield IPv4Address(int(address) >> 80 & 0xFFFF_FFFF), "6to4"
    if int(address) >> 32 & 0xFFFF_FFFF in _ISATAP:
        yield low, "ISATAP"
