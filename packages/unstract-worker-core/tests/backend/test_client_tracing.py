"""Traces: spans of work and calls as a collector gets them, what the backend receives, and nothing where traces are off."""

import subprocess
import sys
from uuid import UUID, uuid4

import pytest
import structlog

from unstract_devstack.sink import running_sink
from unstract_worker_core.errors import BackendError, SteppedAside
from unstract_worker_core.observability.tracing import TraceIdentity, Traces, active_span, make_traces, step_span
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for

pytest.importorskip("opentelemetry.sdk.trace", reason="the extra [otel] is not installed: hatch run traces:test")

from unstract_devstack.traces import received_spans

ORG = "org_alpha"
ID = "00000000-0000-4000-8000-000000000802"
TRACE = UUID(ID).hex
USAGE = {"success": True, "data": {"usage": {}}}


@pytest.fixture
def collector():
    with running_sink() as sink:
        yield sink


@pytest.fixture
def traces_with(collector):
    made = []

    def make(**variables):
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **variables}
        made.append(make_traces(settings_for(WorkerType.CALLBACK, **variables)))
        return made[-1]

    return make


def sent(traces, collector):
    traces.flush(10)
    return {span.name: span for span in received_spans(collector.received())}


def test_calls_are_spans_below_the_work_and_the_backend_is_told(traces_with, collector, server, backend_with):
    traces, backend = traces_with(), backend_with()
    server.answer(server.sends(USAGE))

    traces.accepted(ID, "execution")
    with traces.span(ID, "batch", batch=3), step_span("file", file=1):
        backend.usage.tokens(ORG, ID)

    spans = sent(traces, collector)
    root, batch, file, call = (spans[name] for name in ("execution accepted", "batch", "file", "usage.tokens"))
    assert {span.trace for span in spans.values()} == {TRACE}
    assert [root.parent, batch.parent, file.parent, call.parent] == ["", root.id, batch.id, file.id]
    assert batch.attributes == {"unstract.execution_id": ID, "unstract.batch": 3}
    assert call.attributes["http.request.method"] == "GET"
    assert server.last.headers["traceparent"] == f"00-{TRACE}-{call.id}-01"
    assert batch.service == "unstract-worker-callback"
    assert {delivery.path for delivery in collector.received()} == {"/v1/traces"}


def test_outside_of_traced_work_nothing_is_told(traces_with, collector, server, backend_with):
    traces, backend = traces_with(), backend_with()
    server.answer(server.sends(USAGE))
    backend.usage.tokens(ORG, ID)
    with step_span("file"):
        assert active_span.get() is None
    assert "traceparent" not in server.last.headers
    assert sent(traces, collector) == {}


def test_errors_show_by_their_class_and_stepping_aside_is_none(traces_with, collector, server, backend_with):
    traces, backend = traces_with(), backend_with(retry_attempts=0)
    server.answer(server.status(400))
    with pytest.raises(BackendError), traces.span(ID, "batch"):
        backend.usage.tokens(ORG, ID)
    with pytest.raises(SteppedAside), traces.span(ID, "callback"):
        raise SteppedAside("the process drains")

    spans = sent(traces, collector)
    call, batch, callback = spans["usage.tokens"], spans["batch"], spans["callback"]
    assert (call.failed, call.attributes["http.response.status_code"]) == (True, 400)
    assert (batch.failed, batch.attributes["error.type"]) == (True, "BackendRefused")
    assert (callback.failed, callback.attributes["unstract.stepped_aside"]) == (False, "the process drains")
    assert "told so" not in str(spans)


def test_log_records_carry_the_ids_while_the_span_is_under_way(traces_with, collector, server, backend_with):
    traces = traces_with()
    with traces.span(ID, "batch"):
        inside = dict(structlog.contextvars.get_contextvars())
    batch = sent(traces, collector)["batch"]
    assert inside == {"trace_id": TRACE, "span_id": batch.id}
    assert structlog.contextvars.get_contextvars() == {}


def test_an_execution_that_a_span_led_to_is_linked_to_it(traces_with, collector):
    traces = traces_with()
    with traces.span("schedule-1", "schedule"):
        traces.accepted(ID, "execution")
    spans = sent(traces, collector)
    assert spans["execution accepted"].links == (spans["schedule"].trace,)
    assert spans["execution accepted"].trace == TRACE


def test_the_ratio_decides_by_execution_and_alike_everywhere(traces_with, collector):
    ids = [str(uuid4()) for _ in range(400)]
    for _ in range(2):  # two processes
        traces = traces_with(OTEL_TRACES_SAMPLER_ARG="0.25")
        for execution in ids:
            with traces.span(execution, "batch"):
                pass
        traces.flush(10)
    seen = [span.trace for span in received_spans(collector.received())]
    assert 50 < len(seen) / 2 < 150
    assert all(seen.count(trace) == 2 for trace in set(seen))


def test_ids_are_valid_for_any_id_of_the_ledger():
    for given in (ID, "webhook.abc", "00000000-0000-0000-0000-000000000000"):
        identity = TraceIdentity.of(given)
        assert identity == TraceIdentity.of(given)
        assert 0 < identity.trace_id < 2**128
        assert 0 < identity.root_id < 2**64
        assert 0 <= identity.share < 1


def test_headers_are_sent_to_the_collector_and_are_secret(traces_with, collector):
    variables = {"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20canary-collector-key"}
    traces = traces_with(**variables)
    with traces.span(ID, "batch"):
        pass
    sent(traces, collector)
    assert collector.received()[0].headers["authorization"] == "Bearer canary-collector-key"
    assert "canary-collector" not in repr(settings_for(WorkerType.CALLBACK, **variables))


LOOK = """
import sys
{before}
from unstract_worker_core.worker.celery_app import build_runtime
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.testing import settings_for
runtime = build_runtime(settings_for(WorkerType.CALLBACK{variables}))
# redis-py imports what there is of OpenTelemetry by itself, but no exporter.
ours = ("unstract_worker_core.observability.otel", "opentelemetry.exporter.otlp")
print(type(runtime.traces).__name__, any(name.startswith(ours) for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("before", "variables", "expected"),
    [
        ("", "", "Traces False"),
        ("", ", OTEL_EXPORTER_OTLP_ENDPOINT='http://127.0.0.1:1'", "OtelTraces True"),
        ("sys.modules['opentelemetry'] = None", ", OTEL_EXPORTER_OTLP_ENDPOINT='http://127.0.0.1:1'", "Traces False"),
    ],
    ids=["not configured", "configured", "not installed"],
)
def test_it_is_imported_only_where_it_is_wanted_and_installed(before, variables, expected):
    script = LOOK.format(before=before, variables=variables)
    done = subprocess.run((sys.executable, "-c", script), capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == expected
    assert ("install the extra" in done.stdout + done.stderr) == bool(before)


def test_without_traces_spans_are_nothing():
    traces = Traces()
    traces.accepted(ID, "execution")
    with traces.span(ID, "batch"), step_span("file"):
        assert active_span.get() is None
    traces.flush(1)
