"""The manifests: every queue is looked at, and their YAML says what they say."""

import json
import os

import pytest
import yaml
from attrs import evolve
from click.testing import CliRunner

from unstract_worker_core.operator.scaling import Source, hpa_manifests, keda_manifests, target_of
from unstract_worker_core.operator.scaling_command import scaling, yaml_of
from unstract_worker_core.queues import WORKER_QUEUES
from unstract_worker_core.statuses import WorkerType
from unstract_worker_core.worker.definition import WorkerDefinition


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


TINY = WorkerDefinition(WorkerType.CALLBACK, "tiny", lambda app, runtime: None)


def command(environ, *arguments):
    return CliRunner().invoke(scaling(TINY), arguments, env=dict.fromkeys(os.environ) | environ)


def triggers(environ, *arguments):
    done = command(environ, "--format", "keda", *arguments)
    assert done.exit_code == 0, done.output
    auth, scaled = yaml.safe_load_all(done.output)
    parameters = {each["parameter"]: each["key"] for each in auth["spec"]["secretTargetRef"]}
    (kind,) = {each["type"] for each in scaled["spec"]["triggers"]}
    return kind, scaled["spec"]["triggers"][0]["metadata"], parameters


@pytest.mark.parametrize(
    ("url", "kind", "expected"),
    [
        ("redis://h", "redis", {"address": "h:6379", "databaseIndex": "0"}),
        ("redis://u:secret@h:7000/4", "redis", {"address": "h:7000", "databaseIndex": "4"}),
        ("redis://[2001:db8::1]:7000", "redis", {"address": "[2001:db8::1]:7000"}),
        ("rediss://h/2", "redis", {"address": "h:6379", "enableTLS": "true", "unsafeSsl": "false"}),
        (
            "sentinel://s1/3;sentinel://[2001:db8::2]:26380/3;sentinel://s3/3",
            "redis-sentinel",
            {"addresses": "s1:26379,[2001:db8::2]:26380,s3:26379", "sentinelMaster": "mymaster", "databaseIndex": "3"},
        ),
        ("amqp://u:secret@rabbit", "rabbitmq", {"protocol": "amqp"}),
        ("amqps://a;amqps://b", "rabbitmq", {"protocol": "amqp"}),
    ],
)
def test_the_configured_broker_is_described(url, kind, expected):
    found, metadata, _ = triggers({"CELERY_BROKER_BASE_URL": url})
    assert found == kind
    assert metadata.items() >= expected.items()
    assert ("enableTLS" in metadata) == url.startswith("rediss")
    assert "secret" not in command({"CELERY_BROKER_BASE_URL": url}, "--format", "keda").output.replace(
        "secretTarget", ""
    )


def test_files_of_tls_are_asked_of_the_secret():
    files = {"CELERY_BROKER_SSL_CA_CERTS": "ca", "CELERY_BROKER_SSL_CERTFILE": "c", "CELERY_BROKER_SSL_KEYFILE": "k"}
    tls = {"ca": "broker-ca", "cert": "broker-cert", "key": "broker-key"}
    assert triggers({"CELERY_BROKER_BASE_URL": "rediss://h", **files})[2].items() >= tls.items()
    rabbit = triggers({"CELERY_BROKER_BASE_URL": "amqps://h", **files})[2]
    assert rabbit == {"host": "rabbitmq-url", "tls": "rabbitmq-tls"} | tls


@pytest.mark.parametrize(
    ("url", "arguments", "reason"),
    [
        ("amqps://h", ("--broker", "redis"), "the configured broker is amqps"),
        ("rediss://h", ("--broker", "rabbitmq"), "the configured broker is rediss"),
        ("redis://a;redis://b", (), "several servers"),
        ("redis://a/x", (), "database number"),
        ("sentinel://a/1;sentinel://b/2", (), "several databases"),
        ("sentinel://a", ("--redis", "h"), "does not go with"),
        ("amqp://a", ("--redis", "h"), "do not go with"),
        ("amqp://a", ("--redis-database", "1"), "do not go with"),
        ("redis://a", ("--prometheus", "prometheus:9090"), "scheme must be http:// or https://"),
        ("redis://a", ("--queues", "a, b c"), "must be a comma list of names"),
        ("rediss://h?ssl_cert_reqs=none", (), "option ssl_cert_reqs is refused"),
        ("kafka://h", (), "scheme must be"),
    ],
)
def test_what_a_scaler_cannot_be_told_is_refused_with_the_reason(url, arguments, reason):
    done = command({"CELERY_BROKER_BASE_URL": url}, "--format", "keda", *arguments)
    assert done.exit_code == 2
    assert reason in " ".join(done.output.split())


def test_without_an_environment_the_options_say_which_broker():
    assert triggers({}, "--redis", "[2001:db8::1]")[1]["address"] == "[2001:db8::1]:6379"
    assert triggers({}, "--broker", "rabbitmq")[0] == "rabbitmq"
    assert triggers({"CELERY_BROKER_BASE_URL": "redis://a;redis://b"}, "--redis", "b:1")[1]["address"] == "b:1"


def test_a_broker_that_is_no_redis_names_none():
    done = command({"CELERY_BROKER_BASE_URL": "amqp://h"})
    assert json.loads(done.output)["redis"] == ""
