"""What docker/monitoring asks for is what a running fleet exports, and what it exports is what happened."""

import urllib.request

import pytest
from prometheus_client.parser import text_string_to_metric_families

from unstract_devstack.fleet import CALLBACK, FILE_PROCESSING, WORKERS
from unstract_devstack.monitoring import all_queries, names_in
from unstract_devstack.processes import wait_until

# Made by Prometheus itself for every target.
OF_PROMETHEUS = {"up"}


def families(worker):
    with urllib.request.urlopen(f"http://127.0.0.1:{worker.health_port}/metrics", timeout=10) as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def exported(fleet) -> set[str]:
    names = set()
    for worker in fleet.workers.values():
        for family in families(worker):
            suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(family.type, ("",))
            names.update(family.name + suffix for suffix in suffixes)
    return names


def total(fleet, kind, metric, /, **labels) -> float:
    return sum(
        sample.value
        for worker in fleet.of(kind)
        for family in families(worker)
        for sample in family.samples
        if sample.name == metric and labels.items() <= sample.labels.items()
    )


def test_every_metric_of_rules_and_dashboards_is_exported_by_a_running_fleet(stack, tenant):
    tenant.api()
    tenant.run([tenant.upload("a.txt", "Total: 1")])
    queries = all_queries()
    assert len({query.where for query in queries}) > 30

    def missing() -> list[str]:
        names = exported(stack.fleet) | OF_PROMETHEUS
        return [f"{query.where}: {name}" for query in queries for name in sorted(query.metrics - names)]

    wait_until(lambda: not missing(), seconds=60)  # queues and ledger are read every few seconds
    assert missing() == []


def test_a_run_shows_in_the_metrics_of_all_that_had_to_do_with_it(stack, tenant, eventually):
    fleet = stack.fleet
    before = {outcome: total(fleet, FILE_PROCESSING, "unstract_worker_files_total", outcome=outcome)
              for outcome in ("completed", "error")}  # fmt: skip
    finalised = total(fleet, CALLBACK, "celery_task_succeeded_total", name="unstract_worker.finalise")
    tenant.api()

    tenant.run([tenant.upload("a.txt", "Total: 1"), tenant.upload("broken.pdf", b"%PDF no pdf")])

    def added(outcome: str) -> float:
        return total(fleet, FILE_PROCESSING, "unstract_worker_files_total", outcome=outcome) - before[outcome]

    # A worker counts once its step of the ledger is done; another one's last step may have ended the run before that.
    eventually(lambda: (added("completed"), added("error")) == (1, 1))
    eventually(
        lambda: total(fleet, CALLBACK, "celery_task_succeeded_total", name="unstract_worker.finalise") > finalised
    )
    assert total(fleet, FILE_PROCESSING, "unstract_worker_backend_seconds_count", operation="execute-file") > 0
    eventually(lambda: total(fleet, FILE_PROCESSING, "unstract_worker_leases_held") == 0)
    for kind in WORKERS:
        eventually(lambda kind=kind: total(fleet, kind, "celery_worker_up") == len(fleet.of(kind)))


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ('sum by (worker) (rate(a_total{kind!="b"}[5m])) > 0 or vector(0)', {"a_total"}),
        ("a > on (x) max by (x) (b) * on (x) group_left (y) c offset 15m", {"a", "b", "c"}),
        ("histogram_quantile(0.95, sum by (op, le) (rate(h_bucket[5m]))) unless on () (d > 1e9)", {"h_bucket", "d"}),
        ('absent(up{job="c_total"})', {"up"}),
    ],
)
def test_the_names_in_an_expression_are_its_metrics(expression, names):
    assert names_in(expression) == names
