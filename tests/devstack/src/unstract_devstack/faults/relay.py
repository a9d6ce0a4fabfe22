"""A TCP relay between the workers and one thing that they talk to: it can go silent, at a word too, or hang up."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from attrs import define, field

from unstract_devstack.ports import HOST

BLOCK = 1 << 16


@define(eq=False)
class _Link:
    """One connection with its way on. `dead`: nothing passes any more, and neither side learns it."""

    near: socket.socket
    far: socket.socket | None = None
    dead: bool = False

    def hang_up(self) -> None:
        for each in filter(None, (self.near, self.far)):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)


@define(eq=False)
class Relay:
    """Passes on what arrives at `port` of this machine to `target`, each way of each connection in a thread.

    Attributes:
        deaf_at: a connection on which a worker says this goes silent for ever, with the word; None: none does.
        torn_at: a connection on which a worker receives this goes silent for ever, right after the word.
        deafened: how many did.
    """

    name: str
    target: int
    port: int
    deaf_at: bytes | None = None
    torn_at: bytes | None = None
    deafened: int = 0
    _silent: bool = field(default=False, init=False)
    _links: set[_Link] = field(factory=set, init=False)

    def silence(self) -> None:
        """From now on all is taken and nothing passed on; what is connected now, or until `heal`, stays so for ever."""
        self._silent = True
        for link in list(self._links):
            link.dead = True

    def heal(self) -> None:
        """New connections pass again."""
        self._silent = False

    def hang_up(self) -> None:
        """Closes every connection."""
        for link in list(self._links):
            link.hang_up()

    def listen(self, listener: socket.socket) -> None:
        """Serves each connection in a thread of its own until the listener is closed."""
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._serve, args=(near,), name=f"relay-{self.name}", daemon=True).start()

    def _serve(self, near: socket.socket) -> None:
        link = _Link(near, dead=self._silent)
        self._links.add(link)
        with near, contextlib.suppress(OSError):
            if link.dead:
                _pass_on(link, near, near, self._say)
            else:
                with socket.create_connection((HOST, self.target)) as far:
                    link.far = far
                    back = threading.Thread(target=_pass_on, args=(link, far, near, self._answer), daemon=True)
                    back.start()
                    _pass_on(link, near, far, self._say)
                    back.join()
        self._links.discard(link)

    def _say(self, link: _Link, data: bytes) -> bytes:
        return b"" if self._deafens(link, self.deaf_at, data) else data

    def _answer(self, link: _Link, data: bytes) -> bytes:
        word = self.torn_at or b""
        return data[: data.index(word) + len(word)] if self._deafens(link, word, data) else data

    def _deafens(self, link: _Link, word: bytes | None, data: bytes) -> bool:
        if not word or word not in data:
            return False
        link.dead = True
        self.deafened += 1
        return True


def _pass_on(
    link: _Link, source: socket.socket, sink: socket.socket, passing: Callable[[_Link, bytes], bytes]
) -> None:  # fmt: skip
    """Until one side ends, which ends the other; on a dead link what arrives is dropped."""
    with contextlib.suppress(OSError):
        while data := source.recv(BLOCK):
            if not link.dead:
                sink.sendall(passing(link, data))
    if not link.dead:
        link.hang_up()


@contextlib.contextmanager
def running_relay(name: str, target: int) -> Iterator[Relay]:
    """A relay to a port of this machine, until the block is left."""
    with socket.create_server((HOST, 0)) as listener:
        relay = Relay(name, target, listener.getsockname()[1])
        accepting = threading.Thread(target=relay.listen, args=(listener,), name=f"relay-{name}", daemon=True)
        accepting.start()
        try:
            yield relay
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join()
            relay.hang_up()
