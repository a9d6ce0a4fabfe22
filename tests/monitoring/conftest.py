"""A whole fleet with a real Prometheus that asks it by our configuration and watches it by our rules."""

import contextlib
import json
import shutil
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from attrs import frozen

from unstract_devstack.fleet import Fleet
from unstract_devstack.monitoring import MONITORING
from unstract_devstack.ports import free_port
from unstract_devstack.processes import ManagedProcess, inherited_environment, wait_until
from unstract_devstack.stack import Stack, running_stack

# What a rule waits for before it fires is `promtool test rules`' business; these two are waited for here, for a second.
SHORTENED = ("UnstractWorkerDown", "UnstractNoWorker")
SETTINGS = {"WORKER_SWEEP_SECONDS": "0.5", "WORKER_RECHECK_SECONDS": "2", "WORKER_DRAIN_SECONDS": "8"}


@frozen
class Prometheus:
    """A running one."""

    address: str

    def ask(self, path: str, **parameters: str) -> Any:
        """The `data` of an answer of its API; None where it gives none."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=10) as answer:
            return json.loads(answer.read())["data"]
        return None

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The samples that an expression has now."""
        return self.ask("query", query=expression)["result"]

    def targets(self) -> dict[str, str]:
        """Health by worker."""
        return {each["labels"]["worker"]: each["health"] for each in self.ask("targets")["activeTargets"]}

    def rules(self) -> list[dict[str, Any]]:
        """Every rule with how it was evaluated."""
        return [rule for group in self.ask("rules")["groups"] for rule in group["rules"]]

    def firing(self) -> dict[str, Mapping[str, Any]]:
        """The alerts that fire, by name."""
        alerts = self.ask("alerts")["alerts"]
        return {each["labels"]["alertname"]: each for each in alerts if each["state"] == "firing"}


@pytest.fixture(scope="module")
def stack(tmp_path_factory) -> Iterator[Stack]:
    with running_stack(tmp_path_factory.mktemp("monitoring"), settings=SETTINGS) as running:
        yield running


@pytest.fixture(scope="module")
def prometheus(stack, tmp_path_factory) -> Iterator[Prometheus]:
    binary, folder = shutil.which("prometheus"), tmp_path_factory.mktemp("prometheus")
    if binary is None:
        pytest.fail("Prometheus is not installed: Debian's package `prometheus`", pytrace=False)
    (folder / "rules.yml").write_text(json.dumps(_rules()))
    (folder / "prometheus.yml").write_text(json.dumps(_configuration(stack.fleet, folder / "rules.yml")))
    started = Prometheus(f"127.0.0.1:{free_port()}")
    options = (f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'data'}")
    command = (binary, *options, f"--web.listen-address={started.address}")
    process = ManagedProcess("prometheus", command, inherited_environment(), folder / "prometheus.log")
    process.start()
    try:
        if not wait_until(lambda: not process.running or started.ask("targets"), seconds=60) or not process.running:
            raise process.failure("does not answer")
        yield started
    finally:
        process.stop()


def _configuration(fleet: Fleet, rules: Path) -> dict[str, Any]:
    """Ours, but for the seconds between two looks and for names: processes on this machine have none to resolve."""
    configuration = yaml.safe_load((MONITORING / "prometheus.yml").read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    configuration["rule_files"] = [str(rules)]
    (job,) = configuration["scrape_configs"]
    del job["dns_sd_configs"], job["relabel_configs"]
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [
        {"targets": [f"127.0.0.1:{worker.health_port}"], "labels": {"worker": worker.kind.name}}
        for worker in fleet.workers.values()
    ]
    return configuration


def _rules() -> dict[str, Any]:
    rules = yaml.safe_load((MONITORING / "rules.yml").read_text())
    for rule in (rule for group in rules["groups"] for rule in group["rules"]):
        if rule["alert"] in SHORTENED:
            rule["for"] = "1s"
    return rules
