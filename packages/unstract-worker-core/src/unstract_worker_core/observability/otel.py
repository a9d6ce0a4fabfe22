"""Traces by OpenTelemetry's SDK, sent over OTLP/HTTP. Imported only where both are wanted and installed."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from urllib.parse import unquote

from attrs import frozen
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON, ParentBased
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    StatusCode,
    TraceFlags,
    Tracer,
    get_current_span,
    set_span_in_context,
    use_span,
)
from structlog.contextvars import bound_contextvars

from unstract_worker_core.backend.operations import Operation
from unstract_worker_core.config import Settings
from unstract_worker_core.errors import BackendError, SteppedAside
from unstract_worker_core.observability.tracing import TraceIdentity, Traces, entered

_NAME = "unstract_worker_core"


class OtelTraces(Traces):
    """One per process, made after the fork: it sends from a thread of its own."""

    def __init__(self, settings: Settings) -> None:
        """Nothing is sent yet. The SDK itself reads OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES and OTEL_SDK_DISABLED."""
        tracing = settings.tracing
        resource = Resource.create(
            {
                "service.name": tracing.service_name or settings.worker.distribution,
                "service.version": settings.version,
                "service.instance.id": settings.instance,
            }
        )
        self._ratio = tracing.ratio
        self._ids = _Ids()
        self._provider = TracerProvider(
            sampler=ParentBased(ALWAYS_ON), resource=resource, id_generator=self._ids, shutdown_on_exit=False
        )
        headers = tracing.headers.reveal() if tracing.headers else None
        exporter = OTLPSpanExporter(endpoint=tracing.url, headers=_pairs(headers))
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer(_NAME, settings.version)

    def accepted(self, execution_id: str, what: str) -> None:
        """The root of a trace; linked to the span that led to it, as a schedule's."""
        identity = TraceIdentity.of(execution_id)
        if identity.share >= self._ratio:
            return
        cause = get_current_span().get_span_context()
        with self._ids.making(identity):
            span = self._tracer.start_span(
                f"{what} accepted",
                context=Context(),
                kind=SpanKind.CONSUMER,
                attributes={"unstract.execution_id": execution_id},
                links=[Link(cause)] if cause.is_valid else None,
            )
        span.end()

    def span(self, execution_id: str, what: str, **attributes: str | int) -> AbstractContextManager[object]:
        """A span below the root, whether or not this process has seen that."""
        identity = TraceIdentity.of(execution_id)
        if identity.share >= self._ratio:
            return nullcontext()
        root = SpanContext(identity.trace_id, identity.root_id, is_remote=True, trace_flags=TraceFlags(1))
        parent = set_span_in_context(NonRecordingSpan(root), Context())
        own = {"unstract.execution_id": execution_id} | _named(attributes)
        begun = self._tracer.start_span(what, context=parent, kind=SpanKind.CONSUMER, attributes=own)
        return _under_way(self._tracer, begun)

    def flush(self, seconds: float) -> None:
        """Send what ended."""
        self._provider.force_flush(int(seconds * 1000))


class _Ids(RandomIdGenerator):
    """Random ids, except for the root that `making` names."""

    def __init__(self) -> None:
        self._making: ContextVar[TraceIdentity | None] = ContextVar("root_being_made", default=None)

    @contextmanager
    def making(self, root: TraceIdentity) -> Iterator[None]:
        """What starts inside is this root."""
        token = self._making.set(root)
        try:
            yield
        finally:
            self._making.reset(token)

    def generate_span_id(self) -> int:
        """The root's, or a random one."""
        root = self._making.get()
        return super().generate_span_id() if root is None else root.root_id

    def generate_trace_id(self) -> int:
        """The root's, or a random one."""
        root = self._making.get()
        return super().generate_trace_id() if root is None else root.trace_id


@frozen
class ActiveSpan:
    """A span that is under way."""

    tracer: Tracer
    span: Span

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers that name it to another service: W3C trace context."""
        ids = self.span.get_span_context()
        return {"traceparent": f"00-{ids.trace_id:032x}-{ids.span_id:016x}-{ids.trace_flags:02x}"}

    def call(self, operation: Operation) -> AbstractContextManager[Mapping[str, str]]:
        """A span below it around one call to the backend, all attempts included; gives the request's headers."""
        named = {"http.request.method": operation.method, "rpc.method": operation.name}
        return _under_way(self.tracer, self.tracer.start_span(operation.name, kind=SpanKind.CLIENT, attributes=named))

    def step(self, what: str, **attributes: str | int) -> AbstractContextManager[object]:
        """A span below it around one step of the work."""
        return _under_way(self.tracer, self.tracer.start_span(what, attributes=_named(attributes)))


@contextmanager
def _under_way(tracer: Tracer, span: Span) -> Iterator[Mapping[str, str]]:
    """The current span of this thread while the block runs, with its ids on every log record; ended with the block.

    Gives the headers that name it.
    """
    active, ids = ActiveSpan(tracer, span), span.get_span_context()
    logged = bound_contextvars(trace_id=f"{ids.trace_id:032x}", span_id=f"{ids.span_id:016x}")
    with use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False), logged:
        try:
            with entered(active):
                yield active.headers
        except BaseException as error:
            _set_outcome(span, error)
            raise


def _set_outcome(span: Span, error: BaseException) -> None:
    """How a span ended. Messages may hold what a user wrote: the class and the status say enough."""
    if isinstance(error, SteppedAside):
        span.set_attribute("unstract.stepped_aside", error.reason)
        return
    span.set_attribute("error.type", type(error).__name__)
    if isinstance(error, BackendError) and error.status is not None:
        span.set_attribute("http.response.status_code", error.status)
    span.set_status(StatusCode.ERROR)


def _named(attributes: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"unstract.{name}": value for name, value in attributes.items()}


def _pairs(headers: str | None) -> dict[str, str] | None:
    """``name=value,name=value``, percent-encoded, as OTEL_EXPORTER_OTLP_HEADERS has it."""
    if not headers:
        return None
    pairs = (entry.partition("=") for entry in headers.split(","))
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs if name.strip()}
