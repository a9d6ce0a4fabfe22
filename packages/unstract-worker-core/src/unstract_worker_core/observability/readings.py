"""Gauges that are read elsewhere (broker, ledger) and shown as they were last read.

Showing them asks nothing of the network. What could not be read lately is left out rather than shown old.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator

from attrs import frozen
from prometheus_client.core import GaugeMetricFamily, Metric


@frozen
class Described:
    """What is known of a metric: its whole name, its type, its meaning, its labels."""

    name: str
    kind: str
    purpose: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, purpose: str, *labels: str) -> Described:
    return Described(name, "gauge", purpose, labels)


WORKER_UP = _gauge("celery_worker_up", "1 while the worker runs; 0 for five minutes after it vanished.", "hostname")
ACTIVE_WORKERS = _gauge(
    "celery_active_worker_count", "1 for each queue that this worker consumes: the sum is its workers.", "queue_name"
)
QUEUE_LENGTH = _gauge(
    "celery_queue_length", "Messages in a queue of the fleet; one elected worker reports each queue.", "queue_name"
)
WAITING_PER_REPLICA = _gauge(
    "unstract_worker_waiting_per_replica", "This worker's scaling rule: waiting messages that justify one replica."
)
MAX_REPLICAS = _gauge("unstract_worker_max_replicas", "This worker's scaling rule: most replicas.")
RUNS = _gauge(
    "unstract_worker_ledger_runs", "Open runs in the ledger; one callback worker reports them.", "task", "state"
)
IDLE = _gauge(
    "unstract_worker_ledger_idle_seconds", "Time since the last step forward of the run that waits longest.", "task"
)
DUE = _gauge("unstract_worker_ledger_due_seconds", "How long the oldest item of the due index is due; 0: none is.")
UNCLAIMED = _gauge("unstract_worker_ledger_unclaimed", "Batches that were rung and not claimed yet.", "kind")
LETTERS = _gauge("unstract_worker_dead_letters_kept", "Dead letters that are kept.")

READ = (
    WORKER_UP, ACTIVE_WORKERS, QUEUE_LENGTH, WAITING_PER_REPLICA, MAX_REPLICAS, RUNS, IDLE, DUE, UNCLAIMED, LETTERS,
)  # fmt: skip


@frozen
class Reading:
    """One sample."""

    of: Described
    value: float
    labels: tuple[str, ...] = ()


class Readings:
    """A collector for prometheus_client: what each source read last. Safe for threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float | None, tuple[Reading, ...]]] = {}

    def show(self, source: str, readings: Iterable[Reading], *, until: float | None = None) -> None:
        """Replace what a source read; not shown beyond `until` on the monotonic clock (None: until replaced)."""
        with self._lock:
            self._kept[source] = (until, tuple(readings))

    def collect(self) -> Iterator[Metric]:
        """The families with their samples, for prometheus_client."""
        now, families = self._clock(), {}
        with self._lock:
            good = [entry for until, kept in self._kept.values() if until is None or now < until for entry in kept]
        for reading in good:
            described = reading.of
            if described.name not in families:
                families[described.name] = GaugeMetricFamily(described.name, described.purpose, labels=described.labels)
            families[described.name].add_metric(reading.labels, reading.value)
        yield from families.values()

    def describe(self) -> list[Metric]:
        """No metrics: the names are known once something was read, and differ from those of counters."""
        return []
