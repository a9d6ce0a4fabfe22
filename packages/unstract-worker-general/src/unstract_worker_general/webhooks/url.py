"""Reads a webhook's URL strictly: a URL that two parsers could read as two different hosts is refused.

The posted URL is built from the parts read here, so the HTTP client uses the host that was checked.
"""

import re
import unicodedata
from ipaddress import AddressValueError, IPv4Address, IPv6Address

import idna
from attrs import field, frozen

from unstract_worker_core.errors import WorkerError
from unstract_worker_general.webhooks.addresses import Address

__all__ = ["Refused", "Target", "read_target"]

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*)://([^/?]*)(.*)")
_AUTHORITY = re.compile(r"(\[[^\[\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_\-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp", "Zs")
_PORTS = {"http": 80, "https": 443}


class Refused(WorkerError):
    """The rule by which a webhook is not sent. `lasting`: every further attempt would be refused too.

    The text contains no part of the URL, because it is stored and logged.
    """

    def __init__(self, rule: str, *, lasting: bool) -> None:
        self.lasting = lasting
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
    """Read a URL. Raises Refused, lasting."""
    if any(unicodedata.category(char) in _UNSEEN for char in url):
        raise _refusal("the URL contains a space or an invisible character")
    if "\\" in url:
        raise _refusal("the URL contains a backslash")
    if "#" in url:
        raise _refusal("the URL has a fragment")
    found = _URL.fullmatch(url)
    if found is None or found[1].lower() not in _PORTS:
        raise _refusal("the URL is not an absolute http or https URL")
    scheme, authority, path = found[1].lower(), found[2], found[3]
    if "@" in authority:
        raise _refusal("the URL has a user or a password; use a header")
    parts = _AUTHORITY.fullmatch(authority)
    if parts is None or not 0 < int(parts[2] or _PORTS[scheme]) < 65536:
        raise _refusal("the URL's host or port is malformed")
    host, address = _bracketed(parts[1]) if parts[1].startswith("[") else _named(parts[1])
    return Target(scheme, host, int(parts[2] or _PORTS[scheme]), path if path.startswith("/") else f"/{path}", address)


def _bracketed(text: str) -> tuple[str, Address]:
    try:
        address = IPv6Address(text[1:-1])
    except AddressValueError:
        raise _refusal("the URL's IPv6 address is malformed") from None
    if address.scope_id is not None:
        raise _refusal("the URL's IPv6 address names a zone")
    return str(address), address


def _named(text: str) -> tuple[str, Address | None]:
    host = _in_ascii(text.lower())
    if host.endswith("."):
        raise _refusal("the URL's host name ends with a dot")
    labels = host.split(".")
    # Some resolvers read a name that ends like a number as an IPv4 address: 127.1, 0x7f.1, 017700000001, 2130706433.
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return host, IPv4Address(text)
        except AddressValueError:
            raise _refusal("the URL's host is an odd spelling of an IPv4 address") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise _refusal("the URL's host is not a host name")
    return host, None


def _in_ascii(host: str) -> str:
    if host.isascii():
        return host
    try:
        return idna.encode(host).decode("ascii")
    except UnicodeError:
        raise _refusal("the URL's host is not a valid international name") from None


def _refusal(rule: str) -> Refused:
    return Refused(rule, lasting=True)
