"""Celery's thread pool, but that ending it never takes longer than the drain allows; and which pool of ours to take."""

from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.thread import TaskPool as CeleryThreadPool

__all__ = ["ThreadPool", "pool_for"]

_LOOK_SECONDS = 0.1
_PREFORK = "celery.concurrency.prefork"


class ThreadPool(CeleryThreadPool):  # type: ignore[misc]
    """Threads. On stop the tasks that run are waited for until the process hurries; the rest is left behind."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: set[Future[Any]] = set()

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Hand a task to a thread."""
        result = super().on_apply(*args, **kwargs)
        self._running.add(result.f)
        result.f.add_done_callback(self._running.discard)
        return result

    def on_stop(self) -> None:
        """Drop what did not start (it was not acknowledged), wait for what runs."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        hurry = self.app.worker_process.drain.hurry
        while (running := tuple(self._running)) and not hurry.is_set():
            wait(running, timeout=_LOOK_SECONDS)


def pool_for(chosen: type) -> type:
    """Ours for what was chosen on Celery's command line. Raises ValueError where the workers cannot run in it."""
    if issubclass(chosen, CeleryThreadPool):
        return ThreadPool
    if any(base.__module__ == _PREFORK for base in chosen.__mro__):
        from unstract_worker_core.app.prefork_pool import PreforkPool  # it and what it imports cost threads nothing

        return PreforkPool
    raise ValueError("the workers run in threads or prefork only")
