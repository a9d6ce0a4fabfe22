"""How fast a fleet grows and shrinks; the same for KEDA and for a HorizontalPodAutoscaler."""

from typing import Any

from unstract_worker_core.queues import ScalingRule

__all__ = ["behavior"]


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
