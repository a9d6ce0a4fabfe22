"""Celery's pools: threads, extended, and processes as they are."""

from concurrent.futures import Future, wait
from typing import Any

from celery.concurrency.thread import TaskPool as CeleryThreadPool

POOL_PATHS = {
    "threads": "unstract_worker_core.worker.pools:ThreadPool",
    "prefork": "celery.concurrency.prefork:TaskPool",
}
"""As Celery's settings name a pool."""

_LOOK_SECONDS = 0.1


class ThreadPool(CeleryThreadPool):  # type: ignore[misc]
    """Threads. On stop the tasks that run are waited for until the process hurries; the rest is left behind.

    A worker takes no more than it has slots for. Celery's event loop sees a second later, at worst, that one is free;
    here the end of a task wakes it.
    """

    _hub: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._running: set[Future[Any]] = set()

    def on_apply(self, *args: Any, **kwargs: Any) -> Any:
        """Hand a task to a thread."""
        result = super().on_apply(*args, **kwargs)
        self._running.add(result.f)
        result.f.add_done_callback(self._ended)
        return result

    def register_with_event_loop(self, hub: Any) -> None:
        """The loop that takes messages."""
        self._hub = hub

    def _ended(self, task: Future[Any]) -> None:
        self._running.discard(task)
        if self._hub is not None:
            self._hub.call_soon(_nothing)

    def on_stop(self) -> None:
        """Drop what did not start (it was not acknowledged), wait for what runs."""
        self.executor.shutdown(wait=False, cancel_futures=True)
        hurry = self.app.worker_process.drain.hurry
        while (running := tuple(self._running)) and not hurry.is_set():
            wait(running, timeout=_LOOK_SECONDS)


def _nothing() -> None:
    """What the loop is woken for: it looks for messages by itself."""
