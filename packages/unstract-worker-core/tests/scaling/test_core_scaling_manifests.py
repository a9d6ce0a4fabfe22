"""The manifests: every queue is looked at, and their YAML says what they say."""

import pytest
import yaml
from attrs import evolve

from unstract_worker_core.operator.scaling.hpa import hpa_manifests
from unstract_worker_core.operator.scaling.keda import keda_manifests
from unstract_worker_core.operator.scaling.target import Source, target_of
from unstract_worker_core.operator.scaling.yaml_text import yaml_of
from unstract_worker_core.queues import WORKER_QUEUES


def target(entry, **changes):
    queues = (*entry.platform, *entry.doorbell_queues)
    return evolve(target_of(entry.worker, queues=queues, drain_seconds=45), **changes)


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
