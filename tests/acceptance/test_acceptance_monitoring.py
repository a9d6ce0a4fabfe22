"""What docker/monitoring asks for is what a running fleet exports, and what it exports is what happened."""

import json
import shutil
import urllib.parse
import urllib.request
from contextlib import contextmanager

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from unstract_devstack.fleet import CALLBACK, FILE_PROCESSING, WORKERS
from unstract_devstack.monitoring import MONITORING, all_queries, names_in
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.redis_server import free_port

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


@contextmanager
def running_prometheus(binary, fleet, folder):
    """Prometheus with our rules, asking this fleet every second; gives a function that asks its API."""
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(MONITORING / "rules.yml")]
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"], job["relabel_configs"]  # processes on this machine have no names to resolve
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{worker.health_port}"], "labels": {"worker": worker.kind.name}}
        for worker in fleet.workers.values()
    ]
    (folder / "prometheus.yml").write_text(json.dumps(configuration))
    address = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
    command = (binary, *options, f"--web.listen-address={address}")
    process = ManagedProcess("prometheus", command, inherited_environment(), folder / "prometheus.log")

    def ask(path, **parameters):
        url = f"http://{address}{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                return json.loads(answer.read())["data"]
        except OSError:
            return None

    process.start()
    try:
        if not wait_until(lambda: not process.running or ask("/api/v1/targets"), seconds=30) or not process.running:
            raise process.failure("does not answer")
        yield ask
    finally:
        process.stop()


def test_a_real_prometheus_answers_every_query_and_alerts_on_nothing(stack, tenant, tmp_path):
    binary = shutil.which("prometheus")
    if binary is None:
        pytest.skip("prometheus is not installed (Debian's package of that name)")
    tenant.api()
    tenant.run([tenant.upload("a.txt", "Total: 1")])

    with running_prometheus(binary, stack.fleet, tmp_path) as ask:

        def told(expression):
            return ask("/api/v1/query", query=expression)["result"]

        assert wait_until(lambda: len(told("celery_worker_up")) == 4, seconds=60)
        assert wait_until(lambda: told("max(unstract_worker_ledger_due_seconds)"), seconds=60)
        assert {entry["metric"]["worker"] for entry in told("celery_worker_up == 1")} == {
            kind.name for kind in WORKERS
        }  # fmt: skip
        lengths = told("celery_queue_length")
        assert len(lengths) == len({entry["metric"]["queue_name"] for entry in lengths}) > 10
        for query in all_queries():
            assert ask("/api/v1/query", query=query.expression) is not None, query
        assert ask("/api/v1/rules")["groups"][0]["rules"]
        firing = [
            alert["labels"]["alertname"] for alert in ask("/api/v1/alerts")["alerts"] if alert["state"] == "firing"
        ]
        assert set(firing) <= {"UnstractDeadLetters"}  # other tests of this session put messages aside


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
