"""What celery-exporter tells of a task, counted by the worker itself: no events, no extra process."""

from collections.abc import Collection

from attrs import field, frozen
from prometheus_client import Counter, Histogram

from unstract_worker_core.observability.metrics.families import Family

__all__ = ["TaskFamilies", "TaskMeter", "TaskMeters"]

# Label for a queue that this worker does not consume: producers write what they like into a message.
_ELSEWHERE = "other"
_RETRIED = ("deferred", "stepped_aside", "retried")


@frozen
class TaskFamilies:
    """The instruments, by what happened to a task."""

    received: Family[Counter]
    started: Family[Counter]
    succeeded: Family[Counter]
    failed: Family[Counter]
    retried: Family[Counter]
    rejected: Family[Counter]
    runtime: Family[Histogram]


@frozen(eq=False)
class TaskMeter:
    """Counts one task of one queue; made once, so that counting needs no look-up."""

    received: Counter
    started: Counter
    succeeded: Counter
    retried: Counter
    rejected: Counter
    runtime: Histogram
    _failed: Family[Counter]
    _labels: tuple[str, ...]

    def ended(self, outcome: str, seconds: float, error: str = "") -> None:
        """Count an end: `outcome` as the boundary names it, `error` the class of what was raised.

        What the ledger or the broker brings again is retried, what was put aside is rejected.
        """
        if outcome == "ok":
            self.succeeded.inc()
            self.runtime.observe(seconds)
        elif outcome in _RETRIED:
            self.retried.inc()
        elif outcome == "rejected":
            self.rejected.inc()
        elif outcome != "ignored":
            self._failed.labels(*self._labels, error).inc()


@frozen(eq=False)
class TaskMeters:
    """The meters of a process.

    Attributes:
        queues: those that this worker consumes; others share one label.
    """

    families: TaskFamilies
    hostname: str
    queues: Collection[str]
    _made: dict[tuple[str, str], TaskMeter] = field(factory=dict)

    def of(self, name: str, queue: str) -> TaskMeter:
        """The meter of a registered task that came from a queue."""
        meter = self._made.get((name, queue))
        if meter is None:
            known = queue if queue in self.queues else _ELSEWHERE
            meter = self._made.get((name, known)) or self._make(name, known)
            self._made[name, known] = meter
        return meter

    def _make(self, name: str, queue: str) -> TaskMeter:
        labels = (name, self.hostname, queue)
        families = self.families
        families.failed.labels(*labels, "")  # there from the start, so that a first failure shows as an increase
        return TaskMeter(
            received=families.received.labels(*labels),
            started=families.started.labels(*labels),
            succeeded=families.succeeded.labels(*labels),
            retried=families.retried.labels(*labels),
            rejected=families.rejected.labels(*labels),
            runtime=families.runtime.labels(*labels),
            failed=families.failed,
            labels=labels,
        )
