"""The span that the current thread works in, for those that know neither runtime nor OpenTelemetry."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, Protocol, TypeVar

if TYPE_CHECKING:
    from unstract_worker_core.backend.operations import Operation

__all__ = ["ActiveSpan", "entered", "step_span", "trace_headers", "traced_call"]

P = ParamSpec("P")
T = TypeVar("T")
Caller = TypeVar("Caller")

_NO_HEADERS: Mapping[str, str] = {}


class ActiveSpan(Protocol):
    """A span that is under way."""

    @property
    def headers(self) -> Mapping[str, str]:
        """What tells another service of it: W3C trace context."""
        ...

    def call(self, operation: "Operation") -> AbstractContextManager[None]:
        """A span below it around one call to the backend."""
        ...

    def step(self, what: str, **attributes: str | int) -> AbstractContextManager[None]:
        """A span below it around one step of the work."""
        ...


_active: ContextVar[ActiveSpan | None] = ContextVar("active_span", default=None)


@contextmanager
def entered(span: ActiveSpan) -> Iterator[None]:
    """Let the functions here find the span while the block runs."""
    token = _active.set(span)
    try:
        yield
    finally:
        _active.reset(token)


def trace_headers() -> Mapping[str, str]:
    """Headers for a request to the backend; none outside of a traced span."""
    span = _active.get()
    return _NO_HEADERS if span is None else span.headers


def step_span(what: str, **attributes: str | int) -> AbstractContextManager[None]:
    """A span around a step of traced work; nothing elsewhere."""
    span = _active.get()
    return nullcontext() if span is None else span.step(what, **attributes)


def traced_call(
    call: Callable[Concatenate[Caller, "Operation", P], T],
) -> Callable[Concatenate[Caller, "Operation", P], T]:
    """Around the client's call of an operation: a span of its own, all tries included, while traced work goes on."""

    @wraps(call)
    def calling(caller: Caller, operation: "Operation", /, *args: P.args, **kwargs: P.kwargs) -> T:
        span = _active.get()
        if span is None:
            return call(caller, operation, *args, **kwargs)
        with span.call(operation):
            return call(caller, operation, *args, **kwargs)

    return calling
