"""One trace for each execution, over the workers that had to do with it; sent at the latest when they end."""

from uuid import UUID

import pytest

from unstract_devstack.sink import running_sink
from unstract_devstack.stack import running_stack

pytest.importorskip("opentelemetry.sdk.trace", reason="the extra [otel] is not installed: hatch run traces:test")

from unstract_devstack.traces import received_spans

STARTERS = {"unstract-worker-api-deployment", "unstract-worker-general"}
OTHERS = {"unstract-worker-file-processing", "unstract-worker-callback"}


@pytest.mark.parametrize("pool", ["threads", "prefork"])
def test_one_trace_id_from_the_start_message_to_the_callback(pool, tmp_path, tenant_of):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a.txt").write_text("Total: 1")
    with running_sink() as collector:
        settings = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",  # only an end sends them
            "CELERY_POOL_TYPE": pool,
            "CELERY_CONCURRENCY": "2",
            "WORKER_DRAIN_SECONDS": "8",
        }
        with running_stack(tmp_path / "stack", settings=settings) as stack:
            tenant = tenant_of(stack)
            tenant.api()
            api = tenant.run([tenant.upload("a.txt", "Total: 1"), tenant.upload("broken.pdf", b"%PDF no pdf")])
            etl = tenant.ended(tenant.platform.trigger(tenant.etl(source, "traced")))
            stack.fleet.stop(grace=30)
            assert {worker.process.exit_code for worker in stack.fleet.workers.values()} == {0}
            logs = "".join(path.read_text() for path in (tmp_path / "stack" / "logs").glob("*.log"))
        spans = received_spans(collector.received())

    for run, starter in ((api, "unstract-worker-api-deployment"), (etl, "unstract-worker-general")):
        trace = UUID(run.id).hex
        own = [span for span in spans if span.trace == trace]
        assert {span.service for span in own} == {starter, *OTHERS}
        (root,) = (span for span in own if not span.parent)
        assert (root.name, root.service) == ("execution accepted", starter)
        known = {span.id for span in own}
        assert all(span.parent in known for span in own if span.parent)
        assert {"execution", "batch", "file", "execute-file", "callback"} <= {span.name for span in own}
        assert f'"trace_id":"{trace}"' in logs
    assert {span.service for span in spans} == STARTERS | OTHERS
    assert "broken.pdf" not in str([span.attributes for span in spans])
