"""For the tests of workers: settings, a runtime on real servers, doubles. Nothing is patched."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

from attrs import define, field, frozen

from unstract_worker_core import errors
from unstract_worker_core.config import Settings, load_settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.errors import BackendError
from unstract_worker_core.ledger import RunTask
from unstract_worker_core.runs.failure_policy import ErrorKind
from unstract_worker_core.runs.runtime import Runtime
from unstract_worker_core.statuses import RunKind, WorkerType
from unstract_worker_core.worker.celery_app import build_runtime

_NOWHERE = "redis://127.0.0.1:1/0"


@frozen
class Ring:
    """One ring. `what`: ``start``, ``batch`` or ``callback``; a call for several batches is a ring each."""

    what: str
    run_id: str
    task: RunTask | None = None
    kind: RunKind | None = None
    epoch: int = 0
    batch: int = 0


@define(eq=False)
class RecordingDoorbells:
    """Doorbells (see `core.doorbells`) for tests; safe to use from several threads.

    Attributes:
        rings: what was rung, in order.
        depths: what `waiting` answers, by kind; 0 where it says nothing.
        starts: what `starts_waiting` answers.
        answers: what `answers_waiting` answers.
    """

    rings: list[Ring] = field(factory=list)
    depths: Mapping[RunKind, int] = field(factory=dict)
    starts: int | None = 0
    answers: int | None = 0
    _lock: threading.Lock = field(factory=threading.Lock)

    def ring_start(self, run_id: str, *, task: RunTask, kind: RunKind) -> None:
        """Record a start."""
        self._record(Ring("start", run_id, task=task, kind=kind))

    def ring_batches(self, run_id: str, *, epoch: int, batches: Sequence[int], kind: RunKind) -> None:
        """Record a ring for each batch."""
        self._record(*(Ring("batch", run_id, kind=kind, epoch=epoch, batch=batch) for batch in batches))

    def ring_callback(self, run_id: str) -> None:
        """Record a callback."""
        self._record(Ring("callback", run_id))

    def waiting(self, kind: RunKind) -> int:
        """The depth that the test set."""
        return self.depths.get(kind, 0)

    def starts_waiting(self) -> int | None:
        """The number that the test set."""
        return self.starts

    def answers_waiting(self) -> int | None:
        """The number that the test set."""
        return self.answers

    def of(self, what: str) -> tuple[Ring, ...]:
        """The rings of one sort."""
        with self._lock:
            return tuple(ring for ring in self.rings if ring.what == what)

    def clear(self) -> None:
        """Forget what was rung."""
        with self._lock:
            self.rings.clear()

    def _record(self, *rings: Ring) -> None:
        with self._lock:
            self.rings.extend(rings)


def errors_of_each_kind() -> tuple[tuple[ErrorKind, Exception], ...]:
    """At least one error of each kind, as the client, the ledger and the steps raise them."""

    def backend(error: type[BackendError], status: int | None = None) -> BackendError:
        return error("no", endpoint="a.b", status=status)

    return (
        (ErrorKind.STEPPED_ASIDE, errors.SteppedAside("the process drains", delay_seconds=3)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable, 429)),
        (ErrorKind.BACKEND_AWAY, backend(errors.BackendUnavailable, 503)),
        (ErrorKind.KEY_REFUSED, backend(errors.BackendRefused, 401)),
        (ErrorKind.KEY_REFUSED, backend(errors.BackendRefused, 403)),
        (ErrorKind.UNKNOWN_OUTCOME, backend(errors.OutcomeUnknown)),
        (ErrorKind.UNKNOWN_OUTCOME, backend(errors.OutcomeUnknown, 504)),
        (ErrorKind.UNCLEAR_ERROR, backend(errors.OutcomeUnknown, 500)),
        (ErrorKind.SERVER_ERROR, backend(errors.BackendUnavailable, 500)),
        (ErrorKind.NOT_FOUND, backend(errors.NotFound, 404)),
        (ErrorKind.NOT_FOUND, backend(errors.NotFound, 500)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 200)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 400)),
        (ErrorKind.REFUSED, backend(errors.BackendRefused, 500)),
        (ErrorKind.BAD_ANSWER, backend(errors.UnexpectedAnswer, 200)),
        (ErrorKind.BAD_ANSWER, backend(errors.UnexpectedAnswer, 404)),
        (ErrorKind.BAD_MESSAGE, errors.MessageError("not a UUID", field="x")),
        (ErrorKind.LEDGER_AWAY, errors.LedgerUnavailable("step: Redis is unreachable")),
        (ErrorKind.LEASE_LOST, errors.LeaseLost("the lease is another worker's")),
        (ErrorKind.LEDGER_ERROR, errors.LedgerError("not armed")),
        (ErrorKind.DEFECT, RuntimeError("with a secret inside")),
        (ErrorKind.DEFECT, KeyError("x")),
    )


def environment_for(
    *, redis_url: str = _NOWHERE, backend_url: str = "http://127.0.0.1:1/internal", **variables: str
) -> dict[str, str]:
    """Everything a worker needs, with one Redis in all roles; `variables` are added or replace.

    Args:
        redis_url: ``redis://[:password@]host:port/db``; nothing is contacted here.
        backend_url: with the internal API's path.
    """
    parts = urlsplit(redis_url)
    environment = {
        "CELERY_BROKER_BASE_URL": redis_url,
        "INTERNAL_API_BASE_URL": backend_url,
        "INTERNAL_SERVICE_API_KEY": "key-of-the-tests",
        "REDIS_HOST": parts.hostname or "127.0.0.1",
        "REDIS_PORT": str(parts.port or 6379),
        "REDIS_DB": parts.path.strip("/") or "0",
        "WORKER_INSTANCE_ID": "test",
    }
    if parts.password:
        environment["REDIS_PASSWORD"] = parts.password
    return environment | variables


def settings_for(
    worker: WorkerType, *, redis_url: str = _NOWHERE, backend_url: str = "http://127.0.0.1:1/internal", **variables: str
) -> Settings:
    """Settings of a worker; `variables` are environment variables. Raises ConfigurationError as a process would."""
    environment = environment_for(redis_url=redis_url, backend_url=backend_url, **variables)
    return load_settings(environment, worker=worker)


@contextmanager
def running_runtime(settings: Settings, *, doorbells: Doorbells | None = None) -> Iterator[Runtime]:
    """A runtime as a worker process has it, with doorbells that only record unless others are given.

    Leaving the block hands back what is still held and closes the connections.
    """
    runtime = build_runtime(settings, doorbells=doorbells or RecordingDoorbells())
    try:
        yield runtime
    finally:
        runtime.keeper.hand_back_all()
        runtime.log_events.stop(timeout=1.0)
        runtime.backend.close()
        for redis in (runtime.ledger.redis, runtime.platform_redis, runtime.cache_redis):
            redis.close()
