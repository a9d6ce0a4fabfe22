"""Traces of executions, with the extra ``[otel]``: one for each, through all four workers.

A trace's id is the execution's own id, and its root's follows from it, so that every process knows both: nothing
travels in messages or in the ledger, workers of other versions need not take part, and an execution's id is enough
to find its trace. Whether an execution is traced follows from its id as well, the same in every process.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from hashlib import sha256
from typing import TYPE_CHECKING
from uuid import UUID

from attrs import frozen

from unstract_worker_core.observability.logs import get_logger

if TYPE_CHECKING:
    from unstract_worker_core.config import Settings
    from unstract_worker_core.observability.otel import ActiveSpan

# The traced span that this thread works in. Only `entered` sets it.
active_span: ContextVar["ActiveSpan | None"] = ContextVar("active_span", default=None)
log = get_logger(__name__)


@frozen
class TraceIdentity:
    """Ids as OpenTelemetry's numbers: 128 bits for the trace, 64 for its root span; never 0, which means none."""

    trace_id: int
    root_id: int
    share: float

    @classmethod
    def of(cls, execution_id: str) -> "TraceIdentity":
        """The identity of an execution's trace, or of a webhook's or schedule's run, by its id.

        `share` is evenly distributed between 0 and 1: an execution is traced where it is below the ratio. The id's own
        bits would not do, since some of a UUID's are fixed.
        """
        digest = sha256(execution_id.encode()).digest()
        try:
            trace_id = UUID(execution_id).int
        except ValueError:
            trace_id = int.from_bytes(digest[:16])
        share = int.from_bytes(digest[24:32]) / 2**64
        return cls(trace_id or 1, int.from_bytes(digest[16:24]) or 1, share)


class Traces:
    """The traces of one process; by itself, it makes none. Attributes never hold file names or results."""

    def accepted(self, execution_id: str, what: str) -> None:
        """The execution was accepted for the first time: the root of its trace."""

    def span(self, execution_id: str, what: str, **attributes: str | int) -> AbstractContextManager[object]:
        """Around the work on one claim; its ids are on every log record and backend call inside."""
        return nullcontext()

    def flush(self, seconds: float) -> None:
        """Send what ended, within the time."""


@contextmanager
def entered(span: "ActiveSpan") -> Iterator[None]:
    """Make the span current for the functions here while the block runs."""
    token = active_span.set(span)
    try:
        yield
    finally:
        active_span.reset(token)


def step_span(what: str, **attributes: str | int) -> AbstractContextManager[object]:
    """A span around a step of traced work; nothing elsewhere."""
    span = active_span.get()
    return nullcontext() if span is None else span.step(what, **attributes)


def make_traces(settings: "Settings") -> Traces:
    """The traces of a process: none unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Nothing is imported or sent until then.

    Without the extra it says so and goes on: seeing less must not keep a worker from working.
    """
    if settings.tracing.url is None:
        return Traces()
    try:
        from unstract_worker_core.observability.otel import OtelTraces
    except ImportError:
        extra = f"{settings.worker.distribution}[otel]"
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT has no effect: install the extra", extra=extra)
        return Traces()
    return OtelTraces(settings)
