"""Traces of executions, with the extra ``[otel]``: one for each, through all four workers.

A trace's id is the execution's own id, and its root's follows from it, so that every process knows both: nothing
travels in messages or in the ledger, workers of other versions need not take part, and whoever has an execution's id
has its trace. Whether an execution is traced follows from its id as well, the same in every process.
"""

from typing import TYPE_CHECKING

from unstract_worker_core.observability.logs import get_logger
from unstract_worker_core.observability.tracing.current import step_span, trace_headers, traced_call
from unstract_worker_core.observability.tracing.traces import NoTraces, Traces

if TYPE_CHECKING:
    from unstract_worker_core.config import Settings

__all__ = ["NoTraces", "Traces", "make_traces", "step_span", "trace_headers", "traced_call"]

log = get_logger(__name__)


def make_traces(settings: "Settings") -> Traces:
    """The traces of a process: none unless OTEL_EXPORTER_OTLP_ENDPOINT is set. Nothing is imported or sent until then.

    Without the extra it says so and goes on: seeing less must not keep a worker from working.
    """
    if settings.tracing.url is None:
        return NoTraces()
    try:
        from unstract_worker_core.observability.tracing.otel import OtelTraces
    except ImportError:
        extra = f"{settings.worker.distribution}[otel]"
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT has no effect: install the extra", extra=extra)
        return NoTraces()
    return OtelTraces(settings)
