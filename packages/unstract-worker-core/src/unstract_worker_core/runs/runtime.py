"""What a task needs while it runs: one `Runtime` per process, handed to every step."""

import os
import threading
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from attrs import Factory, define, frozen
from redis import Redis

from unstract_worker_core.config import Settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.ledger import LeaseKeeper, Ledger
from unstract_worker_core.observability.tracing import NoTraces, Traces
from unstract_worker_core.periodic import PeriodicThread
from unstract_worker_core.runs.isolation import IsolationLock
from unstract_worker_core.runs.ttl_cache import TtlCache
from unstract_worker_core.statuses import ExecutionStatus

if TYPE_CHECKING:
    from unstract_worker_core.backend import Backend
    from unstract_worker_core.observability.metrics import Metrics
    from unstract_worker_core.observability.progress import Progress
    from unstract_worker_core.ui_logs import LogEvents


@frozen
class Delivery:
    """A delivered task message.

    Attributes:
        task: registered task name.
        task_id: Celery's id of the message; the same for a redelivery.
        queue: where it came from, as far as the broker says.
        args: positional arguments as decoded (UUID objects included).
        kwargs: keyword arguments.
        retries: Celery's count of retries (chord mode).
        redelivered: whether the broker says that it delivers it again.
    """

    task: str
    task_id: str
    queue: str = ""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = Factory(dict)
    retries: int = 0
    redelivered: bool = False


@define(kw_only=True, eq=False)
class Runtime:
    """Everything a task needs in one process.

    Attributes:
        keeper: holds the leases of what runs; it has its own connection to the ledger.
        isolation: whether files run side by side or one runs alone.
        draining: set once the process must end; steps hand back what they have not finished.
        statuses: of executions, as the backend gave them a moment ago.
        periodic: repeats what is to happen about every second while a batch runs.
    """

    settings: Settings
    metrics: "Metrics"
    backend: "Backend"
    ledger: Ledger
    keeper: LeaseKeeper
    doorbells: Doorbells
    platform_redis: Redis
    cache_redis: Redis
    progress: "Progress"
    log_events: "LogEvents"
    isolation: IsolationLock
    draining: threading.Event
    statuses: TtlCache[ExecutionStatus] = Factory(TtlCache)
    periodic: PeriodicThread = Factory(lambda: PeriodicThread(1.0))
    traces: Traces = Factory(NoTraces)

    def token(self) -> str:
        """A fresh claim token: the ledger tells owners apart by it, and operators read the process from it."""
        return f"{self.settings.instance}:{os.getpid()}:{uuid4().hex}"
