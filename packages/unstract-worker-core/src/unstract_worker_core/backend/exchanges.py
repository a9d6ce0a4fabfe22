"""What goes over the wire and what comes back, as values, and the ways in which it can go wrong."""

from collections.abc import Mapping

from attrs import field, frozen

from unstract_worker_core.errors import WorkerError


class NotSent(WorkerError):
    """No connection was made; the other side has seen nothing of the request."""


class Interrupted(WorkerError):
    """The request may have arrived, its answer did not. `timed_out`: by time, not by a broken connection."""

    def __init__(self, reason: str, *, timed_out: bool) -> None:
        self.timed_out = timed_out
        super().__init__(reason)


class AnswerRefused(WorkerError):
    """An answer came that is not read: too large, or compressed."""

    def __init__(self, reason: str, *, status: int) -> None:
        self.status = status
        super().__init__(reason)


@frozen
class Wanted:
    """One request to send. `shared`: headers that are the same in many requests, and are then made only once."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body_limit: int
    query: tuple[tuple[str, str], ...] = ()
    content: bytes | None = field(default=None, repr=False)
    shared: tuple[tuple[str, str], ...] = field(default=(), repr=False)


@frozen
class RawAnswer:
    """An answer whose body has been read whole. Headers are as they came, but for their names' case."""

    status: int
    headers: Mapping[bytes, bytes] = field(repr=False)
    body: bytes = field(repr=False)

    def header(self, name: str) -> str | None:
        """A header's text; its name in lower case."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")


@frozen
class PostAnswer:
    """The answer to one POST; its body was read up to the limit and dropped."""

    status: int
