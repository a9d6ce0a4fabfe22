"""Finalises executions; runs the sweeper.

Importing it reads no environment; ``celery -A unstract_worker_callback worker`` finds its app.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

    app: Celery
    __version__: str

__all__ = ["__version__", "app"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from unstract_worker_callback.definition import DEFINITION
        from unstract_worker_core.worker.entry import app_of

        globals()["app"] = app_of(DEFINITION)
        return globals()["app"]
    if name == "__version__":
        from importlib.metadata import version

        return version("unstract-worker-callback")
    raise AttributeError(name)
