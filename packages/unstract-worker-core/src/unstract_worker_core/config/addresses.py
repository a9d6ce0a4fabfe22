"""host:port, read and written in one way: IPv6 addresses stand in brackets beside a port."""

import re
from ipaddress import ip_address

__all__ = ["bare_host", "join_host_port", "split_host_port", "split_host_ports"]

_NAME = r"[A-Za-z0-9_](?:[A-Za-z0-9_.\-]*[A-Za-z0-9_.])?"


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
        raise ValueError("must have a port between 1 and 65535")
    return bare_host(found[1]), port


def split_host_ports(text: str, default_port: int) -> tuple[tuple[str, int], ...]:
    """A comma list of such. Raises ValueError."""
    return tuple(split_host_port(item.strip(), default_port) for item in text.split(","))


def bare_host(text: str) -> str:
    """A host name, or an address without its brackets. Raises ValueError."""
    host = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    if ":" in host:
        ip_address(host)
    elif text != host or not re.fullmatch(_NAME, host):
        raise ValueError("is not a host")
    return host
