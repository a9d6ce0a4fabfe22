"""A runtime in the test's own process, on a real Redis and a real backend, without Celery."""

from collections.abc import Iterator
from contextlib import contextmanager

from unstract_worker_core.config import Settings
from unstract_worker_core.doorbells import Doorbells
from unstract_worker_core.testing.doorbells import RecordingDoorbells
from unstract_worker_core.worker.building import build_runtime
from unstract_worker_core.worker.runtime import Runtime

__all__ = ["running_runtime"]


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
        runtime.keeper.stop()
        runtime.log_events.stop(timeout=1.0)
        runtime.backend.close()
        for redis in (runtime.ledger.redis, runtime.platform_redis, runtime.cache_redis):
            redis.close()
