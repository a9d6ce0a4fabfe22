"""Metrics of one process: created once by the entry point and handed down, never registered on import.

Tasks, queues and workers have the names and labels of celery-exporter; what it lacks starts with ``unstract_worker_``.
Labels are bounded: operations, outcomes, task names and kinds, never ids or organizations.

Children of a prefork worker count into files that the parent adds up when it is asked: prometheus_client's multiprocess
mode. The library chooses it when it is imported, by PROMETHEUS_MULTIPROC_DIR, so this module is imported late, after
the command line has set that.
"""

import os
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from attrs import define, field, frozen
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from unstract_worker_core.observability.log_targets import lost_records

_CALLS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 3600)
_TASKS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 1800, 3600, 7200)
_OWN = "unstract_worker_"
_TASK_LABELS = ("name", "hostname", "queue_name")
# Label for a queue that this worker does not consume: producers write what they like into a message.
_OTHER_QUEUE = "other"
_RETRIED = ("deferred", "stepped_aside", "retried")
_FOLDED = "folded"


@frozen
class Described:
    """What is known of a metric: its whole name, its type, its meaning, its labels."""

    name: str
    kind: str
    purpose: str
    labels: tuple[str, ...] = ()


def _gauge(name: str, purpose: str, *labels: str) -> Described:
    return Described(name, "gauge", purpose, labels)


WORKER_UP = _gauge(
    "celery_worker_up",
    "1 while the worker runs; 0 for five minutes after it vanished (type@host[:pid] if its host has others).",
    "hostname",
)
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


@define(eq=False)
class SharedFolder:
    """The values of one worker and its prefork children, ``<type>_<pid>.db``; a collector for prometheus_client.

    The library leaves the files of a child that ended. Here they are folded into one, so that counters never fall and
    the folder does not grow with every child.
    """

    path: Path
    _lock: threading.Lock = field(factory=threading.Lock)

    def forget_own(self) -> None:
        """In a child, right after the fork: gauges that an earlier process with this pid left are not ours."""
        for file in self.path.glob(f"gauge_live*_{os.getpid()}.db"):
            file.unlink(missing_ok=True)

    def remove(self) -> None:
        """Delete the folder; at the end of the worker."""
        shutil.rmtree(self.path, ignore_errors=True)

    def collect(self) -> Iterator[Metric]:
        """All processes' values, added up."""
        with self._lock:
            for file in self.path.glob("*_*.db"):
                kind, _, owner = file.stem.rpartition("_")
                if owner != _FOLDED and not _alive(int(owner)):
                    if not kind.startswith("gauge") and _has_values(file):
                        _fold(file, self.path / f"{kind}_{_FOLDED}.db")
                    file.unlink(missing_ok=True)
            files = [str(file) for file in self.path.glob("*.db") if _has_values(file)]
            merged = list(MultiProcessCollector.merge(files))
        yield from merged


def _fold(file: Path, into: Path) -> None:
    kept = MmapedDict(str(into))
    try:
        for key, value, stamp, _ in MmapedDict.read_all_values_from_file(str(file)):
            kept.write_value(key, kept.read_value(key)[0] + value, stamp)
    finally:
        kept.close()


def _has_values(file: Path) -> bool:
    # A file is there, empty, for a moment before its owner gives it a size.
    with suppress(OSError):
        return file.stat().st_size > 0
    return False


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # of another user
        return True
    return True


class Metrics:
    """Counters, histograms and gauges, each an attribute.

    Args:
        hostname: this worker, as celery-exporter would call it: the part of the node name behind the @.
        queues: the queues that it consumes; all others share one label.
        shared: where prefork children and their parent keep their values; None: in this process.
    """

    content_type = CONTENT_TYPE_PLAIN_0_0_4

    def __init__(
        self, hostname: str = "local", queues: Collection[str] = (), *, shared: SharedFolder | None = None
    ) -> None:
        disable_created_metrics()  # a second series for each counter, which no dashboard reads
        self.hostname, self.queues = hostname, queues
        self.registry = CollectorRegistry()
        self.readings = Readings()
        self.described: list[Described] = []
        self._meters: dict[tuple[str, str, str], TaskMeter] = {}
        self._add_celery_exporters()
        self.tasks = self._counter("tasks", "Tasks that ended, by how the worker took it.", "name", "outcome")
        self.backend_calls = self._counter("backend_calls", "Calls to the backend.", "operation", "outcome")
        self.backend_seconds = self._histogram("backend_seconds", "Time of a call with its retries.", "operation")
        self.backend_silent_calls = self._gauge(
            "backend_silent_calls", "Calls to the backend without a byte for more than a minute.", "livesum"
        )
        self.breaker_open = self._gauge("breaker_open", "1 while the backend's circuit breaker is open.", "livemax")
        self.backend_key_refused = self._gauge(
            "backend_key_refused", "1 while the backend refuses the API key (401 or 403): all work waits.", "livemax"
        )
        self.files = self._counter("files", "Files whose outcome was recorded.", "outcome")
        self.attempts = self._counter("attempts", "Claims of work: first ones and repeated ones.", "kind", "repeated")
        self.rings = self._counter("rings", "Doorbells rung.", "kind")
        self.rescues = self._counter("rescues", "Work that the sweeper brought back.", "kind")
        self.dead_letters = self._counter("dead_letters", "Messages and runs that became dead letters.", "kind")
        self.traffic = self._counter("traffic", "Messages that a traffic share decided about.", "name", "outcome")
        self.log_events = self._counter("log_events", "UI log events: sent, failed, dropped.", "outcome")
        self.webhook_deliveries = self._counter("webhook_deliveries", "Webhook deliveries.", "outcome")
        self.executor_requests = self._counter(
            "executor_requests", "Requests to an executor that answers later: sent, put_off, unknown.", "outcome"
        )
        self.executor_answers = self._counter(
            "executor_answers", "Answers of such an executor: recorded, failed, late (dropped).", "outcome"
        )
        self.ledger_steps = self._counter("ledger_steps", "Steps of the run ledger.", "step", "outcome")
        self.slots_in_use = self._gauge("slots_in_use", "Slots that are working.", "livesum")
        self.leases_held = self._gauge("leases_held", "Leases held: the work that is running.", "livesum")
        self.cleanup_not_offered = self._counter(
            "cleanup_not_offered", "Executions whose staging directories the backend does not clean up."
        )
        self.log_records_lost = self._gauge(
            "log_records_lost", "Log records of this process that could not be written, since its start.", "livesum"
        )
        self._shown = self.registry
        if shared is not None:  # this process's own values are in the folder, too
            self._shown = CollectorRegistry()
            self._shown.register(shared)
        self._shown.register(self.readings)

    def task(self, name: str, queue: str) -> "TaskMeter":
        """The meter of a registered task that came from this queue.

        All its ends show from the first time on, so that a first failure shows as an increase.
        """
        labels = (name, self.hostname, queue if queue in self.queues else _OTHER_QUEUE)
        meter = self._meters.get(labels)
        if meter is None:
            meter = self._meters[labels] = TaskMeter(self, labels)
            self.task_failed.labels(*labels, "")
            for ends in (self.task_succeeded, self.task_retried, self.task_rejected):
                ends.labels(*labels)
        return meter

    def slots(self, change: int) -> None:
        """Count `change` more slots as working; negative: fewer."""
        self.slots_in_use.inc(change)
        self._active.labels(self.hostname).inc(change)

    def render(self) -> bytes:
        """The metrics in Prometheus' text format. Asks nothing of the network."""
        self.log_records_lost.set(lost_records())
        return generate_latest(self._shown)

    def _add_celery_exporters(self) -> None:
        def counter(what: str, purpose: str, *more: str) -> Counter:
            return self._counter(f"task_{what}", purpose, *_TASK_LABELS, *more, prefix="celery_")

        self.task_received = counter("received", "Messages that the worker took from a queue.")
        self.task_started = counter("started", "Tasks that began.")
        self.task_succeeded = counter("succeeded", "Tasks that succeeded, doorbells without work included.")
        self.task_failed = counter("failed", "Tasks that failed, by the class of the error.", "exception")
        self.task_retried = counter(
            "retried", "Tasks that ended early; the ledger or the broker brings their work again."
        )
        self.task_rejected = counter("rejected", "Tasks whose message became a dead letter, or went back to its queue.")
        self.task_runtime = self._histogram(
            "task_runtime", "Seconds of a task that succeeded.", *_TASK_LABELS, prefix="celery_"
        )
        self._active = self._gauge(
            "worker_tasks_active", "Tasks that the worker is processing.", "livesum", "hostname", prefix="celery_"
        )
        self._active.labels(self.hostname)

    def _counter(self, name: str, purpose: str, *labels: str, prefix: str = _OWN) -> Counter:
        self.described.append(Described(f"{prefix}{name}_total", "counter", purpose, labels))
        return Counter(prefix + name, purpose, labels, registry=self.registry)

    def _gauge(self, name: str, purpose: str, mode: str, *labels: str, prefix: str = _OWN) -> Gauge:
        self.described.append(Described(prefix + name, "gauge", purpose, labels))
        return Gauge(prefix + name, purpose, labels, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

    def _histogram(self, name: str, purpose: str, *labels: str, prefix: str = _OWN) -> Histogram:
        self.described.append(Described(prefix + name, "histogram", purpose, labels))
        buckets = _TASKS if name.startswith("task") else _CALLS
        return Histogram(prefix + name, purpose, labels, buckets=buckets, registry=self.registry)


@frozen
class TaskMeter:
    """Counts one task of one queue, under the names of celery-exporter.

    Attributes:
        labels: task name, hostname, queue name.
    """

    metrics: Metrics
    labels: tuple[str, str, str]

    def received(self) -> None:
        """Count a message that was taken from its queue."""
        self.metrics.task_received.labels(*self.labels).inc()

    def started(self) -> None:
        """Count a task that begins."""
        self.metrics.task_started.labels(*self.labels).inc()

    def ended(self, outcome: str, seconds: float, error: str = "") -> None:
        """Count an end, after so many seconds.

        Args:
            outcome: as the boundary names it. What the ledger or the broker brings again is retried, what became a dead
                letter is rejected.
            error: the class of what was raised.
        """
        metrics = self.metrics
        if outcome == "ok":
            metrics.task_succeeded.labels(*self.labels).inc()
            metrics.task_runtime.labels(*self.labels).observe(seconds)
        elif outcome in _RETRIED:
            metrics.task_retried.labels(*self.labels).inc()
        elif outcome == "rejected":
            metrics.task_rejected.labels(*self.labels).inc()
        elif outcome != "ignored":
            metrics.task_failed.labels(*self.labels, error).inc()


def metrics_table() -> str:
    """Every metric as a row of a Markdown table: name as it is queried, type, labels, meaning."""
    rows = (
        f"| `{one.name}` | {one.kind} | {', '.join(one.labels)} | {one.purpose} |"
        for one in (*Metrics().described, *READ)
    )
    return "\n".join(("| metric | type | labels | meaning |", "| --- | --- | --- | --- |", *rows, ""))
