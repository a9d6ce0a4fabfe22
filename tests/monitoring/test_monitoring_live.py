"""Prometheus with docker/monitoring against a running fleet: targets up, rules evaluated, alerts that fire and end."""

from pathlib import Path

import pytest
import yaml

from unstract_devstack.extraction import Field
from unstract_devstack.fleet import GENERAL, WORKERS
from unstract_devstack.monitoring import MONITORING, all_queries
from unstract_devstack.multipart import Upload
from unstract_devstack.platform_client import Platform
from unstract_devstack.processes import wait_until
from unstract_devstack.producer import Producer

KINDS = {kind.name for kind in WORKERS}
SECONDS = 90.0
pytestmark = pytest.mark.timeout(300)


def eventually(condition) -> None:
    assert wait_until(condition, seconds=SECONDS)


def send(stack, folder: Path, name: str) -> Platform:
    platform = Platform(stack.backend.public_url, stack.backend.api_key, f"org_{name}")
    platform.set_up_organization()
    workflow = platform.create_workflow("extract", "api", (Field(name="total", pattern=r"Total:\s*(\d+)"),))
    platform.create_api_deployment(workflow, "extract")
    (folder / "a.txt").write_text("Total: 1")
    platform.send_files("extract", [Upload(folder / "a.txt", "a.txt", 8)], use_file_history=False)
    return platform


def test_every_target_is_up_every_rule_is_evaluated_and_nothing_fires(stack, prometheus, tmp_path):
    platform = send(stack, tmp_path, "seen")
    eventually(lambda: [row.status for row in platform.executions()] == ["COMPLETED"])
    eventually(lambda: prometheus.targets() == dict.fromkeys(KINDS, "up"))
    eventually(lambda: all(rule["health"] == "ok" for rule in prometheus.rules()))
    (group,) = yaml.safe_load((MONITORING / "rules.yml").read_text())["groups"]
    assert [rule["name"] for rule in prometheus.rules()] == [rule["alert"] for rule in group["rules"]]
    assert {rule.get("lastError", "") for rule in prometheus.rules()} == {""}
    eventually(lambda: prometheus.firing() == {})  # before the first look there was no worker


def test_what_the_dashboard_and_the_rules_ask_is_answered_with_data(stack, prometheus, tmp_path):
    eventually(lambda: {each["metric"]["worker"] for each in prometheus.query("celery_worker_up == 1")} == KINDS)
    eventually(lambda: prometheus.query("max(unstract_worker_ledger_due_seconds)"))
    lengths = prometheus.query("celery_queue_length")
    assert len(lengths) == len({entry["metric"]["queue_name"] for entry in lengths}) > 10
    for query in all_queries():
        assert prometheus.ask("query", query=query.expression) is not None, query
    panels = [query for query in all_queries() if query.where.startswith("workers.json")]
    assert len(panels) > 20
    send(stack, tmp_path, "panels")  # rates need two looks with something between them
    for query in panels:
        eventually(lambda query=query: prometheus.query(query.expression))


def test_a_message_that_is_put_aside_fires_its_alert(stack, prometheus):
    producer = Producer(stack.redis.url)
    try:
        producer.send("no_such_task", [], {}, "celery_api_deployments")
    finally:
        producer.close()
    eventually(lambda: "UnstractDeadLetters" in prometheus.firing())
    alert = prometheus.firing()["UnstractDeadLetters"]
    assert alert["labels"]["severity"] == "warning"
    assert alert["annotations"]["action"].startswith("Read the dead letters")


def test_a_killed_worker_fires_its_alerts_and_its_return_ends_them(stack, prometheus):
    (general,) = stack.fleet.of(GENERAL)
    general.kill()
    eventually(lambda: {"UnstractWorkerDown", "UnstractNoWorker"} <= prometheus.firing().keys())
    assert prometheus.targets() == {**dict.fromkeys(KINDS, "up"), GENERAL.name: "down"}
    firing = prometheus.firing()
    assert firing["UnstractNoWorker"]["annotations"]["summary"] == "No general worker runs."
    assert firing["UnstractWorkerDown"]["annotations"]["summary"].startswith("general at 127.0.0.1:")
    general.start()
    general.wait_ready()
    eventually(lambda: not {"UnstractWorkerDown", "UnstractNoWorker"} & prometheus.firing().keys())
