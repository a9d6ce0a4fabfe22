"""Celery's pool of processes, drained. Imported only where processes were asked for: it brings billiard."""

from celery.concurrency.prefork import TaskPool as CeleryPreforkPool

__all__ = ["PreforkPool"]


class PreforkPool(CeleryPreforkPool):  # type: ignore[misc]
    """Processes. On stop the children are told to drain; they end by themselves within the grace."""

    def on_stop(self) -> None:
        """Tell the children, then wait for them."""
        self.app.worker_process.drain.begin()
        super().on_stop()
