"""Health of a worker: checks, progress, and the HTTP endpoint that shows them and the metrics."""

from unstract_worker_core.health.checks import Check, CheckResult
from unstract_worker_core.health.listener import Limits
from unstract_worker_core.health.progress import Progress, SlotState
from unstract_worker_core.health.server import HealthServer

__all__ = ["Check", "CheckResult", "HealthServer", "Limits", "Progress", "SlotState"]
