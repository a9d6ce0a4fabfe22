"""Calls about many items, which a backend may refuse as too large: then the items are sent in halves."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from attrs import frozen

from unstract_worker_core.errors import BackendRefused

T = TypeVar("T")
R = TypeVar("R")
_TOO_LARGE = 413


@frozen
class Part:
    """Which of the items one call is about: `first` and the `count - 1` after it, of `total`."""

    first: int
    count: int
    total: int

    def key(self, key: str | None) -> str | None:
        """The call's own idempotency key, made from that of the whole."""
        return key if key is None or self.count == self.total else f"{key}:{self.first}.{self.count}"


def in_parts(call: Callable[[Sequence[T], Part], R], items: Sequence[T]) -> Iterator[R]:
    """The answers to `call`, made once for all items, or for halves of them where the whole is refused with a 413.

    Raises what `call` raises, a 413 for a single item too.
    """
    waiting = [Part(0, len(items), len(items))]
    while waiting:
        part = waiting.pop()
        try:
            answer = call(items[part.first : part.first + part.count], part)
        except BackendRefused as error:
            if error.status != _TOO_LARGE or part.count < 2:
                raise
            half = part.count // 2
            waiting += [Part(part.first + half, part.count - half, part.total), Part(part.first, half, part.total)]
        else:
            yield answer
