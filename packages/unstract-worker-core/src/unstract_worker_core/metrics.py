"""Metrics of one process: created once by the entry point and handed down, never registered on import.

Labels are bounded: operations, outcomes, task names and kinds, never ids or organizations.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

__all__ = ["Metrics"]

_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
_TASKS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200)


class Metrics:
    """Counters, histograms and gauges, each an attribute; names start with ``unstract_worker_``."""

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self.backend_calls = self._counter("backend_calls", "Calls to the backend.", "operation", "outcome")
        self.backend_seconds = self._histogram("backend_seconds", "Time of a call.", _CALLS, "operation")
        self.breaker_open = self._gauge("breaker_open", "1 while the backend's circuit breaker is open.")
        self.tasks = self._counter("tasks", "Tasks that ended.", "name", "outcome")
        self.task_seconds = self._histogram("task_seconds", "Time of a task.", _TASKS, "name")
        self.files = self._counter("files", "Files whose outcome was recorded.", "outcome")
        self.rings = self._counter("rings", "Doorbells rung.", "kind")
        self.rescues = self._counter("rescues", "Work that the sweeper brought back.", "kind")
        self.dead_letters = self._counter("dead_letters", "Messages put aside for good.", "kind")
        self.traffic = self._counter("traffic", "Messages that a traffic share decided about.", "name", "outcome")
        self.log_events = self._counter("log_events", "UI log events.", "outcome")
        self.webhook_deliveries = self._counter("webhook_deliveries", "Webhook deliveries.", "outcome")
        self.ledger_steps = self._counter("ledger_steps", "Steps of the run ledger.", "step", "outcome")
        self.slots_in_use = self._gauge("slots_in_use", "Slots that are working.")
        self.cleanup_not_offered = self._counter(
            "cleanup_not_offered", "Executions whose staging directories the backend does not clean up."
        )
        self.ledger_due_seconds = self._gauge("ledger_due_seconds", "How long the oldest ledger item is due.")

    def render(self) -> bytes:
        """The metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def _counter(self, name: str, purpose: str, *labels: str) -> Counter:
        return Counter(f"unstract_worker_{name}", purpose, labels, registry=self.registry)

    def _gauge(self, name: str, purpose: str, *labels: str) -> Gauge:
        return Gauge(f"unstract_worker_{name}", purpose, labels, registry=self.registry)

    def _histogram(self, name: str, purpose: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"unstract_worker_{name}", purpose, labels, buckets=buckets, registry=self.registry)
