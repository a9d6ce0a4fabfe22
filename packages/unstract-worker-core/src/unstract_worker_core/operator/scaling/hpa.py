"""A HorizontalPodAutoscaler by external metrics, for clusters with a metrics adapter and without KEDA."""

from typing import Any

from unstract_worker_core.operator.scaling.behavior import behavior
from unstract_worker_core.operator.scaling.target import Target

__all__ = ["hpa_manifests"]


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
