"""A TCP relay between the workers and one thing that they talk to: it can go silent, at a word too, or hang up."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

from attrs import define, field

HOST = "127.0.0.1"
BLOCK = 1 << 16


@define(eq=False)
class _Link:
    """One connection with its way on. `dead`: nothing passes any more, and neither side learns it."""

    near: asyncio.StreamWriter
    far: asyncio.StreamWriter | None = None
    dead: bool = False

    def close(self) -> None:
        """Hangs up on both sides."""
        self.near.close()
        if self.far is not None:
            self.far.close()


@define
class Relay:
    """Passes on what arrives at `port` of this machine to `target`, in a thread of its own.

    Attributes:
        deaf_at: a connection on which a worker says this goes silent for ever, with the word; None: none does.
        torn_at: a connection on which a worker receives this goes silent for ever, right after the word.
        deafened: how many did.
    """

    name: str
    target: int
    deaf_at: bytes | None = None
    torn_at: bytes | None = None
    deafened: int = field(default=0, init=False)
    port: int = field(default=0, init=False)
    _silent: bool = field(default=False, init=False)
    _links: set[_Link] = field(factory=set, init=False)
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.new_event_loop, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self) -> None:
        """Begins to listen on a free port."""
        listener = socket.create_server((HOST, 0))
        self.port = listener.getsockname()[1]
        self._loop.run_until_complete(asyncio.start_server(self._serve, sock=listener))
        self._thread = threading.Thread(target=self._loop.run_forever, name=f"relay-{self.name}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends listening."""
        self.hang_up()
        self._loop.call_soon_threadsafe(self._loop.stop)
        if self._thread is not None:
            self._thread.join()
        left = asyncio.all_tasks(self._loop)
        for task in left:
            task.cancel()
        if left:
            self._loop.run_until_complete(asyncio.wait(left))
        self._loop.close()

    def silence(self) -> None:
        """From now on all is taken and nothing passed on; what is connected now, or until `heal`, stays so for ever."""
        self._now(self._silence)

    def heal(self) -> None:
        """New connections pass again."""
        self._silent = False

    def hang_up(self) -> None:
        """Closes every connection."""
        self._now(self._close_all)

    def _now(self, step: Callable[[], object]) -> None:
        done = threading.Event()

        def run() -> None:
            step()
            done.set()

        self._loop.call_soon_threadsafe(run)
        done.wait(10)

    def _silence(self) -> None:
        self._silent = True
        for link in self._links:
            link.dead = True

    def _close_all(self) -> None:
        for link in self._links:
            link.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer, dead=self._silent)
        self._links.add(link)
        try:
            if link.dead:
                await _pass_on(link, reader, writer)
                return
            with contextlib.suppress(OSError, asyncio.CancelledError):  # cancelled where the relay stops
                back, link.far = await asyncio.open_connection(HOST, self.target)
                out = _pass_on(link, reader, link.far, self._listen)
                await asyncio.gather(out, _pass_on(link, back, writer, self._tear))
        finally:
            link.close()
            self._links.discard(link)

    def _listen(self, link: _Link, data: bytes) -> bytes:
        if self.deaf_at is None or self.deaf_at not in data:
            return data
        self._deafen(link)
        return b""

    def _tear(self, link: _Link, data: bytes) -> bytes:
        if self.torn_at is None or self.torn_at not in data:
            return data
        self._deafen(link)
        return data[: data.index(self.torn_at) + len(self.torn_at)]

    def _deafen(self, link: _Link) -> None:
        link.dead = True
        self.deafened += 1


async def _pass_on(
    link: _Link,
    source: asyncio.StreamReader,
    sink: asyncio.StreamWriter,
    passing: Callable[[_Link, bytes], bytes] = lambda link, data: data,
) -> None:
    """Until one side ends, which ends the other; on a dead link what arrives is dropped."""
    with contextlib.suppress(OSError):
        while data := await source.read(BLOCK):
            if not link.dead:
                sink.write(passing(link, data))
                await sink.drain()
    if not link.dead:
        link.close()


@contextlib.contextmanager
def running_relay(name: str, target: int) -> Iterator[Relay]:
    """A relay to a port of this machine, until the block is left."""
    relay = Relay(name, target)
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()
