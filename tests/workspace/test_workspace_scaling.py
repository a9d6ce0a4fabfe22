"""Scaling: the command of each worker, and the manifests of this repository beside the rules in core."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from unstract_worker_core.config import ProcessSettings
from unstract_worker_core.operator.scaling import target_of
from unstract_worker_core.queues import WORKER_QUEUES

ROOT = Path(__file__).parents[2]
ENTRIES = {entry.worker.value: entry for entry in WORKER_QUEUES}


def command(worker: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"unstract_worker_{worker}", "scaling", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("worker", ENTRIES)
def test_the_command_needs_no_environment_and_prints_no_secret(worker):
    url = "redis://user:canary-of-the-broker@redis.example:6380/4"
    done = command(worker, "--format", "keda", CELERY_BROKER_BASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    scaled = list(yaml.safe_load_all(done.stdout))[-1]
    assert scaled["spec"]["triggers"][0]["metadata"]["address"] == "redis.example:6380"
    assert scaled["spec"]["triggers"][0]["metadata"]["databaseIndex"] == "4"
    assert "running work is not counted" in done.stdout
    reported = json.loads(command(worker).stdout)
    assert reported["rule"]["min_replicas"] == ENTRIES[worker].scaling.min_replicas
    assert command(worker, "--format", "keda", "--broker", "prometheus").returncode == 2


@pytest.mark.parametrize("name", [entry.worker.value.replace("_", "-") for entry in WORKER_QUEUES])
def test_the_deployments_of_this_repository_leave_more_time_than_that(name):
    base = ROOT / "docker/kubernetes/base"
    every, deployment, whole = (
        next(yaml.safe_load_all((base / file).read_text()))
        for file in ("worker.yaml", f"{name}.yaml", "kustomization.yaml")
    )
    grace = every["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    entry = ENTRIES[name.replace("-", "_")]
    least = target_of(entry.worker, queues=(), drain_seconds=ProcessSettings().drain_seconds)
    assert grace > least.grace_seconds
    assert least.deployment == deployment["metadata"]["name"]
    assert least.namespace == whole["namespace"]
