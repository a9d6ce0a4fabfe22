"""A HorizontalPodAutoscaler by external metrics, for clusters with a metrics adapter and without KEDA."""

from typing import Any

from unstract_worker_core.operator.scaling.target import Target
from unstract_worker_core.queues import ScalingRule

__all__ = ["behavior", "hpa_manifests"]


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
