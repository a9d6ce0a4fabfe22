"""Health of a worker: checks, progress, and the HTTP endpoint that shows them and the metrics."""

from unstract_worker_core.observability.health.checks import Check, CheckResult
from unstract_worker_core.observability.health.listener import Limits
from unstract_worker_core.observability.health.progress import Progress, SlotState
from unstract_worker_core.observability.health.server import HealthServer

__all__ = ["Check", "CheckResult", "HealthServer", "Limits", "Progress", "SlotState"]
