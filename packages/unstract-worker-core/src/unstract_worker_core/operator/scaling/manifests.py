"""Autoscalers' manifests: a HorizontalPodAutoscaler by external metrics, and KEDA's ScaledObject (2.12 or newer)."""

from collections.abc import Iterator
from typing import Any

from unstract_worker_core.operator.scaling.target import Source, Target
from unstract_worker_core.queues import ScalingRule

_POLL_SECONDS = 15


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
            "metadata": {"name": target.deployment, "namespace": target.namespace, "labels": target.labels},
            "spec": {
                "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.deployment},
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
    return [*auth, _scaled_object(target, list(_triggers(target, f"{target.deployment}-broker" if auth else None)))]


def _scaled_object(target: Target, triggers: list[dict[str, Any]]) -> dict[str, Any]:
    rule = target.rule
    return {
        "apiVersion": "keda.sh/v1alpha1",
        "kind": "ScaledObject",
        "metadata": {"name": target.deployment, "namespace": target.namespace, "labels": target.labels},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": target.deployment},
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
            "metadata": {
                "name": f"{target.deployment}-broker",
                "namespace": target.namespace,
                "labels": target.labels,
            },
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
