"""Scaling rules as manifests: for KEDA, for a HorizontalPodAutoscaler, and as plain data.

A doorbell is acknowledged on receipt: what waits is in the queues, what runs is in the slots. Both are counted, so
that a fleet whose queues are short is not shrunk below its work.
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from attrs import evolve, frozen

from unstract_worker_core.config import BrokerSettings
from unstract_worker_core.config.parsers import join_host_port, split_host_port
from unstract_worker_core.queues import ScalingRule, queues_of
from unstract_worker_core.statuses import WorkerType

_POLL_SECONDS = 15
GRACE_BEYOND_DRAIN = 15
"""Seconds that a process may need after its drain: handing back, then exit (see worker.drain)."""
_REDIS_PORT, _SENTINEL_PORT = 6379, 26379


class Source(StrEnum):
    """Where the number of waiting messages is read."""

    REDIS = "redis"
    RABBITMQ = "rabbitmq"
    PROMETHEUS = "prometheus"


@frozen
class Target:
    """One worker's Deployment and its rule.

    Attributes:
        worker: the worker's name, also the value of the label `worker` in Prometheus.
        queues: what it consumes.
        grace_seconds: the least terminationGracePeriodSeconds that kills no running work.
        redis: ``host:port`` of a broker on Redis, or of its sentinels in a comma list; no credentials. Empty: none.
        sentinel_master: the name of the master; None: no sentinels.
        tls: whether the broker is spoken to over TLS.
        own_authority: its certificate is signed by an authority of the operator's.
        client_certificate: it wants one.
        secret: the Kubernetes Secret with the credentials of the scalers.
        prometheus: root URL of Prometheus; None: running work is not counted.
    """

    worker: str
    deployment: str
    namespace: str
    queues: tuple[str, ...]
    rule: ScalingRule
    grace_seconds: int
    source: Source = Source.REDIS
    redis: str = "unstract-redis:6379"
    redis_database: int = 0
    sentinel_master: str | None = None
    tls: bool = False
    own_authority: bool = False
    client_certificate: bool = False
    secret: str = "unstract-workers-scaling"  # noqa: S105 - a name
    prometheus: str | None = None

    @property
    def labels(self) -> dict[str, str]:
        """Labels of what is made for it."""
        return {"app.kubernetes.io/name": self.deployment, "app.kubernetes.io/part-of": "unstract-workers"}

    @property
    def waiting_query(self) -> str:
        """Messages in all its queues, in PromQL; several workers may report the same queue."""
        names = "|".join(self.queues)
        return f'sum(max by (queue_name) (celery_queue_length{{queue_name=~"{names}"}}))'

    @property
    def running_query(self) -> str:
        """Slots in use in all its replicas, in PromQL."""
        return f'sum(unstract_worker_slots_in_use{{worker="{self.worker}"}})'


def target_of(worker: WorkerType, *, queues: tuple[str, ...], drain_seconds: float) -> Target:
    """A worker's target under the names of docker/kubernetes."""
    name = worker.value.replace("_", "-")
    grace = int(drain_seconds) + GRACE_BEYOND_DRAIN
    return Target(name, name, "unstract-workers", queues, queues_of(worker).scaling, grace)


def at_broker(
    target: Target, broker: BrokerSettings | None, source: Source | None, redis: str | None, database: int | None
) -> Target:
    """The target with its source, and with address and TLS of the broker.

    Args:
        broker: the configured one.
        source: what the operator asks for; None: what fits the broker.
        redis: ``host:port`` that replaces the configured address.
        database: replaces the configured one.

    Raises:
        ValueError: a scaler cannot watch this broker, or would watch another one.
    """
    fitting = Source.REDIS if broker is None or broker.is_redis else Source.RABBITMQ
    source = source or fitting
    if broker is not None and source not in (fitting, Source.PROMETHEUS):
        raise ValueError(f"the configured broker is {broker.scheme}: omit --broker, or use --broker {fitting}")
    if source is not Source.REDIS:
        if (redis, database) != (None, None):
            raise ValueError(f"--redis and --redis-database do not go with a broker of {source}")
        target = evolve(target, redis="")
    target = evolve(target, source=source)
    if broker is not None:
        target = evolve(
            target,
            tls=broker.scheme in ("rediss", "amqps"),
            own_authority=broker.ca_file is not None,
            client_certificate=broker.cert_file is not None,
        )
        if source is Source.REDIS:
            target = _at_redis(target, broker, redis)
    if redis is not None:
        host, port = split_host_port(redis, _REDIS_PORT)
        target = evolve(target, redis=join_host_port(host, port))
    return target if database is None else evolve(target, redis_database=database)


def _at_redis(target: Target, broker: BrokerSettings, redis: str | None) -> Target:
    urls = [urlsplit(url) for url in broker.url.reveal().split(";")]
    databases = {int(url.path.strip("/") or 0) for url in urls}
    if len(databases) > 1:
        raise ValueError("CELERY_BROKER_BASE_URL names several databases; a scaler watches one")
    target = evolve(target, redis_database=databases.pop())
    if broker.scheme == "sentinel":
        if redis is not None:
            raise ValueError("--redis does not go with a sentinel:// broker")
        nodes = ",".join(join_host_port(url.hostname or "", url.port or _SENTINEL_PORT) for url in urls)
        return evolve(target, redis=nodes, sentinel_master=broker.sentinel_master)
    if len(urls) > 1 and redis is None:
        raise ValueError("CELERY_BROKER_BASE_URL names several servers; a scaler watches one: choose it with --redis")
    return evolve(target, redis=join_host_port(urls[0].hostname or "", urls[0].port or _REDIS_PORT))


def behavior(rule: ScalingRule) -> dict[str, Any]:
    """`spec.behavior` of a HorizontalPodAutoscaler.

    Up at once, at most twice as many (or four more) every half minute. Down only to what was enough during the whole
    cooldown, and then one replica, or a tenth of them, a minute: each drains while the others go on.
    """
    return {
        "scaleUp": {
            "stabilizationWindowSeconds": 0,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Percent", "value": 100, "periodSeconds": 30},
                {"type": "Pods", "value": 4, "periodSeconds": 30},
            ],
        },
        "scaleDown": {
            "stabilizationWindowSeconds": rule.cooldown_seconds,
            "selectPolicy": "Max",
            "policies": [
                {"type": "Pods", "value": 1, "periodSeconds": 60},
                {"type": "Percent", "value": 10, "periodSeconds": 60},
            ],
        },
    }


def hpa_manifests(target: Target) -> list[dict[str, Any]]:
    """The autoscaler: of what waits and what runs, the metric that asks for more replicas counts.

    The adapter serves `celery_queue_length` by its label `queue_name` and `unstract_worker_slots_in_use` by `worker`;
    an autoscaler adds up the series that a selector finds.
    """
    rule = target.rule
    waiting = {"matchExpressions": [{"key": "queue_name", "operator": "In", "values": list(target.queues)}]}
    running = {"matchLabels": {"worker": target.worker}}
    return [
        {
            "apiVersion": "autoscaling/v2",
            "kind": "HorizontalPodAutoscaler",
            "metadata": _metadata(target, target.deployment),
            "spec": {
                "scaleTargetRef": _scaled(target),
                "minReplicas": rule.min_replicas,
                "maxReplicas": rule.max_replicas,
                "behavior": behavior(rule),
                "metrics": [
                    _external("celery_queue_length", waiting, rule.waiting_per_replica),
                    _external("unstract_worker_slots_in_use", running, rule.running_per_replica),
                ],
            },
        }
    ]


def _external(name: str, selector: dict[str, Any], average: int) -> dict[str, Any]:
    target = {"type": "AverageValue", "averageValue": str(average)}
    return {"type": "External", "external": {"metric": {"name": name, "selector": selector}, "target": target}}


def keda_manifests(target: Target) -> list[dict[str, Any]]:
    """The objects, to be applied in this order.

    No fallback: where the numbers cannot be read the fleet stays as large as it is, whatever is running in it.
    """
    auth = _authentication(target)
    return [*auth, _scaled_object(target, list(_triggers(target, _authentication_name(target) if auth else None)))]


def _metadata(target: Target, name: str) -> dict[str, Any]:
    return {"name": name, "namespace": target.namespace, "labels": target.labels}


def _scaled(target: Target) -> dict[str, str]:
    return {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.deployment}


def _authentication_name(target: Target) -> str:
    return f"{target.deployment}-broker"


def _scaled_object(target: Target, triggers: list[dict[str, Any]]) -> dict[str, Any]:
    rule = target.rule
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": _metadata(target, target.deployment),
        "spec": {
            "scaleTargetRef": _scaled(target),
            "minReplicaCount": rule.min_replicas,
            "maxReplicaCount": rule.max_replicas,
            "pollingInterval": _POLL_SECONDS,
            "cooldownPeriod": rule.cooldown_seconds,
            "advanced": {
                "horizontalPodAutoscalerConfig": {"behavior": behavior(rule)},
                "scalingModifiers": {"formula": _formula(target), "target": "1", "metricType": "AverageValue"},
            },
            "triggers": triggers,
        },
    }


def _formula(target: Target) -> str:
    """Replicas that are needed: for what waits in all queues or for what runs, whichever asks for more."""
    names = ["waiting"] if target.source is Source.PROMETHEUS else [f"q{place}" for place in range(len(target.queues))]
    waiting = f"({' + '.join(names)}) / {target.rule.waiting_per_replica}.0"
    if target.prometheus is None:
        return waiting
    running = f"running / {target.rule.running_per_replica}.0"
    return f"{waiting} > {running} ? {waiting} : {running}"


def _triggers(target: Target, authentication: str | None) -> Iterator[dict[str, Any]]:
    reference = {"authenticationRef": {"name": authentication}} if authentication else {}
    for place, queue in enumerate(target.queues if target.source is not Source.PROMETHEUS else ()):
        kind, metadata = _on_redis(target, queue) if target.source is Source.REDIS else _on_rabbitmq(target, queue)
        yield {"type": kind, "name": f"q{place}", "metadata": metadata, **reference}
    if target.source is Source.PROMETHEUS:
        yield _prometheus(target, "waiting", target.waiting_query, target.rule.waiting_per_replica)
    if target.prometheus is not None:
        yield _prometheus(target, "running", target.running_query, target.rule.running_per_replica)


def _on_redis(target: Target, queue: str) -> tuple[str, dict[str, str]]:
    length = str(target.rule.waiting_per_replica)
    metadata = {"databaseIndex": str(target.redis_database), "listName": queue, "listLength": length}
    if target.tls:
        metadata |= {"enableTLS": "true", "unsafeSsl": "false"}
    if target.sentinel_master is None:
        return "redis", {"address": target.redis} | metadata
    return "redis-sentinel", {"addresses": target.redis, "sentinelMaster": target.sentinel_master} | metadata


def _on_rabbitmq(target: Target, queue: str) -> tuple[str, dict[str, str]]:
    value = str(target.rule.waiting_per_replica)
    return "rabbitmq", {"protocol": "amqp", "queueName": queue, "mode": "QueueLength", "value": value}


def _prometheus(target: Target, name: str, query: str, threshold: int) -> dict[str, Any]:
    metadata = {"serverAddress": str(target.prometheus), "query": query, "threshold": str(threshold)}
    return {"type": "prometheus", "name": name, "metadata": metadata | {"ignoreNullValues": "false"}}


def _authentication(target: Target) -> list[dict[str, Any]]:
    """How the scalers log in. The Secret is made outside of this; see `secret_keys`."""
    if target.source is Source.PROMETHEUS:
        return []
    parameters = secret_keys(target)
    references = [{"parameter": name, "name": target.secret, "key": key} for name, key in parameters.items()]
    return [
        {
            "apiVersion": "keda.sh/v1alpha1",
            "kind": "TriggerAuthentication",
            "metadata": _metadata(target, _authentication_name(target)),
            "spec": {"secretTargetRef": references},
        }
    ]


def secret_keys(target: Target) -> dict[str, str]:
    """The keys that the Secret must have, by the parameter of KEDA's scaler that each gives."""
    if target.source is Source.REDIS:
        keys = {"username": "redis-username", "password": "redis-password"}
        if target.sentinel_master is not None:
            keys |= {"sentinelUsername": "sentinel-username", "sentinelPassword": "sentinel-password"}
    else:
        keys = {"host": "rabbitmq-url"}
        if target.own_authority or target.client_certificate:
            keys |= {"tls": "rabbitmq-tls"}
    if target.own_authority:
        keys |= {"ca": "broker-ca"}
    if target.client_certificate:
        keys |= {"cert": "broker-cert", "key": "broker-key"}
    return keys
