"""Ports for the servers that a test or the demo starts, each given out once on this machine.

Asking the kernel for any free port and closing it again is not enough: until the server listens, which for a worker
is a second later, the same port may be given to another process, or to an outgoing connection. A worker that lost its
port so ends, and its caller takes the other process for it.
"""

import random
import socket
from collections import deque

HOST = "127.0.0.1"
# Below what Linux and macOS give to outgoing connections.
_PORTS = range(20_000, 32_768)
_MOST_KEPT = 256
_kept: deque[socket.socket] = deque()


def free_port() -> int:
    """A loopback TCP port that no process listens on, and that no other call gets, here or in another process.

    What keeps it is a UDP socket of the same number, which TCP does not mind; the kernel lets go of it with this
    process, this function when it has given out some hundreds more.
    """
    for port in random.sample(_PORTS, len(_PORTS)):
        kept = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            kept.bind((HOST, port))
            with socket.socket() as probe:
                probe.bind((HOST, port))
        except OSError:
            kept.close()
            continue
        _kept.append(kept)
        if len(_kept) > _MOST_KEPT:
            _kept.popleft().close()
        return port
    raise OSError(f"no free port between {_PORTS[0]} and {_PORTS[-1]}")
