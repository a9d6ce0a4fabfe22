"""Celery's pools, but that ending one never takes longer than the drain allows."""

from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.prefork import TaskPool as CeleryPreforkPool
from celery.concurrency.thread import TaskPool as CeleryThreadPool

__all__ = ["PreforkPool", "ThreadPool", "pool_for"]

_LOOK_SECONDS = 0.1


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


class PreforkPool(CeleryPreforkPool):  # type: ignore[misc]
    """Processes. On stop the children are told to drain; they end by themselves within the grace."""

    def on_stop(self) -> None:
        """Tell the children, then wait for them."""
        self.app.worker_process.drain.begin()
        super().on_stop()


def pool_for(chosen: type) -> type:
    """Ours for what was chosen on Celery's command line. Raises ValueError where the workers cannot run in it."""
    for ours in (ThreadPool, PreforkPool):
        if issubclass(chosen, ours.__mro__[1]):
            return ours
    raise ValueError("the workers run in threads or prefork only")
