"""The manifests: every queue is looked at, nothing secret is in them, and their YAML says what they say."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from attrs import evolve

from unstract_worker_core.config import ProcessSettings
from unstract_worker_core.queues import WORKER_QUEUES
from unstract_worker_core.scaling.hpa import hpa_manifests
from unstract_worker_core.scaling.keda import keda_manifests
from unstract_worker_core.scaling.target import Source, target_of
from unstract_worker_core.scaling.yaml_text import yaml_of

ROOT = Path(__file__).parents[4]
ENTRIES = {entry.worker.value: entry for entry in WORKER_QUEUES}


def target(entry, **changes):
    queues = (*entry.platform, *entry.doorbell_queues)
    return evolve(target_of(entry.worker, queues=queues, drain_seconds=45), **changes)


def command(worker: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", f"unstract_worker_{worker}", "scaling", *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("entry", WORKER_QUEUES, ids=lambda entry: entry.worker.value)
@pytest.mark.parametrize(("source", "field"), [(Source.REDIS, "listName"), (Source.RABBITMQ, "queueName")])
def test_a_scaled_object_adds_up_every_queue_that_the_worker_consumes(entry, source, field):
    *auth, scaled = keda_manifests(target(entry, source=source, prometheus="http://prometheus:9090"))
    triggers = scaled["spec"]["triggers"]
    assert [each["metadata"][field] for each in triggers[:-1]] == [*entry.platform, *entry.doorbell_queues]
    assert triggers[-1]["name"] == "running"
    formula = scaled["spec"]["advanced"]["scalingModifiers"]["formula"]
    assert all(each["name"] in formula for each in triggers)
    assert {each["authenticationRef"]["name"] for each in triggers[:-1]} == {auth[0]["metadata"]["name"]}
    assert all(isinstance(value, str) for each in triggers for value in each["metadata"].values())


@pytest.mark.parametrize("entry", WORKER_QUEUES, ids=lambda entry: entry.worker.value)
def test_prometheus_alone_needs_no_login(entry):
    (scaled,) = keda_manifests(target(entry, source=Source.PROMETHEUS, prometheus="http://prometheus:9090"))
    waiting, running = scaled["spec"]["triggers"]
    assert all(queue in waiting["metadata"]["query"] for queue in entry.platform)
    assert f'worker="{entry.worker.value.replace("_", "-")}"' in running["metadata"]["query"]


@pytest.mark.parametrize("entry", WORKER_QUEUES, ids=lambda entry: entry.worker.value)
def test_an_autoscaler_looks_at_what_waits_and_at_what_runs(entry):
    (made,) = hpa_manifests(target(entry))
    waiting, running = made["spec"]["metrics"]
    asked = waiting["external"]["metric"]["selector"]["matchExpressions"][0]
    assert asked["values"] == [*entry.platform, *entry.doorbell_queues]
    assert running["external"]["target"]["averageValue"] == str(entry.scaling.running_per_replica)


@pytest.mark.parametrize("entry", WORKER_QUEUES, ids=lambda entry: entry.worker.value)
def test_the_yaml_says_what_the_objects_say(entry):
    made = [*keda_manifests(target(entry, prometheus="http://p:9090")), *hpa_manifests(target(entry))]
    assert list(yaml.safe_load_all(yaml_of(made))) == made


def test_yaml_keeps_words_and_keys_that_would_read_otherwise():
    odd = [
        {"on": "no", "1.5": "1", "a b": ["x: y", "", None, True, 3], "deep": [{"one": [], "two": {}}, ["- x"]], "n": {}}
    ]
    assert list(yaml.safe_load_all(yaml_of(odd))) == odd


@pytest.mark.parametrize("worker", ENTRIES)
def test_the_command_needs_no_environment_and_prints_no_secret(worker):
    url = "redis://user:canary-of-the-broker@redis.example:6380/4"
    done = command(worker, "--format", "keda", CELERY_BROKER_BASE_URL=url)
    assert done.returncode == 0, done.stderr
    assert "canary" not in done.stdout + done.stderr
    scaled = list(yaml.safe_load_all(done.stdout))[-1]
    assert scaled["spec"]["triggers"][0]["metadata"]["address"] == "redis.example:6380"
    assert scaled["spec"]["triggers"][0]["metadata"]["databaseIndex"] == "4"
    assert "running work is not seen" in done.stdout
    told = json.loads(command(worker).stdout)
    assert told["rule"]["min_replicas"] == ENTRIES[worker].scaling.min_replicas
    assert command(worker, "--format", "keda", "--broker", "prometheus").returncode == 2


@pytest.mark.parametrize("name", [entry.worker.value.replace("_", "-") for entry in WORKER_QUEUES])
def test_the_deployments_of_this_repository_leave_more_time_than_that(name):
    deployment = next(yaml.safe_load_all((ROOT / f"docker/kubernetes/{name}.yaml").read_text()))
    grace = deployment["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    entry = ENTRIES[name.replace("-", "_")]
    least = target_of(entry.worker, queues=(), drain_seconds=ProcessSettings().drain_seconds)
    assert grace > least.grace_seconds
    assert least.deployment == deployment["metadata"]["name"]
    assert least.namespace == deployment["metadata"]["namespace"]
