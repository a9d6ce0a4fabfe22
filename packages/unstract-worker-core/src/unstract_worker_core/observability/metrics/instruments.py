"""Metrics of one process: created once by the entry point and handed down, never registered on import.

Labels are bounded: operations, outcomes, task names and kinds, never ids or organizations.
"""

from collections.abc import Collection

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from unstract_worker_core.observability.metrics.families import Described, Family
from unstract_worker_core.observability.metrics.processes import SharedFolder, keep_values_in
from unstract_worker_core.observability.metrics.readings import Readings
from unstract_worker_core.observability.metrics.tasks import TaskFamilies, TaskMeter, TaskMeters

__all__ = ["Metrics"]

_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
_TASKS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200)
_OWN = "unstract_worker_"


class Metrics:
    """Counters, histograms and gauges, each an attribute.

    Args:
        hostname: this worker, as celery-exporter would call it: the part of the node name behind the @.
        queues: those that it consumes; any other shares one label.
        shared: where prefork children and their parent keep their values; None: in this process.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self, hostname: str = "local", queues: Collection[str] = (), *, shared: SharedFolder | None = None
    ) -> None:
        keep_values_in(shared)
        disable_created_metrics()  # a second series for each counter that nobody reads
        self.hostname = hostname
        self.shared = shared
        self.registry = CollectorRegistry(auto_describe=True)
        self.readings = Readings()
        self.described: list[Described] = []
        self._tasks = self._of_celery(hostname, queues)
        self.tasks = self._counter("tasks", "Tasks that ended, by how the worker took it.", "name", "outcome")
        self.backend_calls = self._counter("backend_calls", "Calls to the backend.", "operation", "outcome")
        self.backend_seconds = self._histogram("backend_seconds", "Time of a call with its retries.", "operation")
        self.breaker_open = self._gauge("breaker_open", "1 while the backend's circuit breaker is open.", "livemax")
        self.files = self._counter("files", "Files whose outcome was recorded.", "outcome")
        self.attempts = self._counter("attempts", "Claims of work: first ones and repeated ones.", "kind", "repeated")
        self.rings = self._counter("rings", "Doorbells rung.", "kind")
        self.rescues = self._counter("rescues", "Work that the sweeper brought back.", "kind")
        self.dead_letters = self._counter("dead_letters", "Messages and runs put aside for good.", "kind")
        self.traffic = self._counter("traffic", "Messages that a traffic share decided about.", "name", "outcome")
        self.log_events = self._counter("log_events", "UI log events: sent, failed, dropped.", "outcome")
        self.webhook_deliveries = self._counter("webhook_deliveries", "Webhook deliveries.", "outcome")
        self.ledger_steps = self._counter("ledger_steps", "Steps of the run ledger.", "step", "outcome")
        self.slots_in_use = self._gauge("slots_in_use", "Slots that are working.", "livesum")
        self.leases_held = self._gauge("leases_held", "Leases held: the work that is running.", "livesum")
        self.cleanup_not_offered = self._unlabelled(
            "cleanup_not_offered", "Executions whose staging directories the backend does not clean up."
        )
        self._shown = self._what_is_shown()

    def task(self, name: str, queue: str) -> TaskMeter:
        """What counts a registered task that came from this queue."""
        return self._tasks.of(name, queue)

    def slots(self, change: int) -> None:
        """So many slots more (or fewer, if negative) are working."""
        self.slots_in_use.inc(change)
        self._active.inc(change)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format. Asks nothing of the network."""
        return generate_latest(self._shown)

    def _what_is_shown(self) -> CollectorRegistry:
        shown = self.registry
        if self.shared is not None:  # this process's own values are in the folder, too
            shown = CollectorRegistry()
            shown.register(self.shared)
        shown.register(self.readings)
        return shown

    def _of_celery(self, hostname: str, queues: Collection[str]) -> TaskMeters:
        labels = ("name", "hostname", "queue_name")

        def counter(what: str, purpose: str, *more: str) -> Family[Counter]:
            return self._counter(f"task_{what}", purpose, *labels, *more, prefix="celery_")

        families = TaskFamilies(
            received=counter("received", "Messages that the worker took from a queue."),
            started=counter("started", "Tasks that began."),
            succeeded=counter("succeeded", "Tasks that did what they were asked, doorbells without work included."),
            failed=counter("failed", "Tasks that failed, by the class of the error.", "exception"),
            retried=counter("retried", "Tasks that ended early; the ledger or the broker brings their work again."),
            rejected=counter("rejected", "Tasks whose message was put aside, or went back to its queue."),
            runtime=self._histogram("task_runtime", "Seconds of a task that succeeded.", *labels, prefix="celery_"),
        )
        active = self._gauge(
            "worker_tasks_active", "Tasks that the worker is processing.", "livesum", "hostname", prefix="celery_"
        )
        self._active = active.labels(hostname)
        return TaskMeters(families, hostname, queues)

    def _counter(self, name: str, purpose: str, *labels: str, prefix: str = _OWN) -> Family[Counter]:
        self.described.append(Described(f"{prefix}{name}_total", "counter", purpose, labels))
        return Family(Counter(prefix + name, purpose, labels, registry=self.registry))

    def _unlabelled(self, name: str, purpose: str) -> Counter:
        self.described.append(Described(f"{_OWN}{name}_total", "counter", purpose))
        return Counter(_OWN + name, purpose, registry=self.registry)

    def _gauge(self, name: str, purpose: str, mode: str, *labels: str, prefix: str = _OWN) -> Gauge:
        self.described.append(Described(prefix + name, "gauge", purpose, labels))
        return Gauge(prefix + name, purpose, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, purpose: str, *labels: str, prefix: str = _OWN) -> Family[Histogram]:
        self.described.append(Described(prefix + name, "histogram", purpose, labels))
        buckets = _TASKS if name.startswith("task") else _CALLS
        return Family(Histogram(prefix + name, purpose, labels, buckets=buckets, registry=self.registry))
