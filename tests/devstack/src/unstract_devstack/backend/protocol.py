"""The HTTP protocol of the reference backend: uvicorn's, which also lets a connection be cut without an answer."""

import socket
from asyncio import Transport

from uvicorn.protocols.http.h11_impl import H11Protocol

Peer = tuple[str, int]


class Connections:
    """The open connections by the address of their peer."""

    def __init__(self) -> None:
        self._transports: dict[Peer, Transport] = {}

    def opened(self, transport: Transport) -> None:
        """Note a connection."""
        self._transports[peer_of(transport)] = transport

    def closed(self, transport: Transport) -> None:
        """Forget a connection."""
        self._transports.pop(peer_of(transport), None)

    def cut(self, peer: Peer, *, flush: bool = False) -> None:
        """Close a connection: at once, or after what has been written."""
        transport = self._transports.get(peer)
        if transport is None:
            return
        if flush:
            transport.close()
        else:
            transport.abort()


def peer_of(transport: Transport) -> Peer:
    """The other side's address."""
    host, port = transport.get_extra_info("peername")[:2]
    return str(host), int(port)


def protocol_for(connections: Connections) -> type[H11Protocol]:
    """The protocol class that notes its connections there."""

    class NotedProtocol(H11Protocol):
        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            # A listener made by hand has no protocol number, and asyncio then leaves Nagle's delay on.
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connections.opened(transport)
            super().connection_made(transport)

        def connection_lost(self, exc: Exception | None) -> None:
            connections.closed(self.transport)
            super().connection_lost(exc)

    return NotedProtocol
