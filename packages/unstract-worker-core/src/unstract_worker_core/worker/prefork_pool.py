"""Celery's pool of processes, drained. Imported only where processes were asked for: it brings billiard."""

from celery.concurrency.prefork import TaskPool as CeleryPreforkPool


class PreforkPool(CeleryPreforkPool):  # type: ignore[misc]
    """Processes. On stop the children drain and end by themselves within the grace period."""

    def on_stop(self) -> None:
        """Begin the drain in the children, then wait for them."""
        self.app.worker_process.drain.begin()
        super().on_stop()
