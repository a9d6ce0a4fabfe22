"""Spans as a collector gets them: what was posted to the sink over OTLP/HTTP, read with the protocol's own classes.

Those come with the workers' extra `[otel]`: the environment `traces` has it.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from unstract_devstack.sink import Delivery


@frozen
class ReceivedSpan:
    """One span. Ids are hexadecimal, `parent` is empty for a root; `service` is the resource's name."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    failed: bool
    attributes: Mapping[str, Any]
    links: tuple[str, ...] = ()


def received_spans(deliveries: Iterable[Delivery]) -> tuple[ReceivedSpan, ...]:
    spans: list[ReceivedSpan] = []
    for delivery in deliveries:
        request = ExportTraceServiceRequest.FromString(delivery.body)
        for resource in request.resource_spans:
            service = _values(resource.resource.attributes)["service.name"]
            spans += [_span(service, span) for scope in resource.scope_spans for span in scope.spans]
    return tuple(spans)


def _span(service: str, span: Any) -> ReceivedSpan:
    return ReceivedSpan(
        service=service,
        name=span.name,
        trace=span.trace_id.hex(),
        id=span.span_id.hex(),
        parent=span.parent_span_id.hex(),
        failed=span.status.code == span.status.STATUS_CODE_ERROR,
        attributes=_values(span.attributes),
        links=tuple(link.trace_id.hex() for link in span.links),
    )


def _values(attributes: Iterable[Any]) -> dict[str, Any]:
    return {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in attributes}
