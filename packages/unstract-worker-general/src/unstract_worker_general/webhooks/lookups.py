"""Looks up host names within a time limit: a DNS server that does not answer delays only the deliveries to its hosts.

getaddrinfo has no time limit, so it runs in a thread, which is abandoned if it takes too long. There is at most one
such thread for a host, and a limited number of them in all.
"""

import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from ipaddress import ip_address

from attrs import define, field

from unstract_worker_core.errors import WorkerError
from unstract_worker_general.webhooks.addresses import Address, plain

__all__ = ["Lookups", "LookupsBusy", "NotResolved", "Resolver", "system_addresses"]

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
