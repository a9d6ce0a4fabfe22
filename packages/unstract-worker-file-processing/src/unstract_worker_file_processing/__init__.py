"""Processes batches of files.

Importing it reads no environment; ``celery -A unstract_worker_file_processing worker`` finds its app.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from celery import Celery

    app: Celery
    __version__: str

__all__ = ["__version__", "app"]


def __getattr__(name: str) -> Any:
    if name == "app":
        from unstract_worker_core.worker.entry import app_of
        from unstract_worker_file_processing.definition import DEFINITION

        globals()["app"] = app_of(DEFINITION)
        return globals()["app"]
    if name == "__version__":
        from importlib.metadata import version

        return version("unstract-worker-file-processing")
    raise AttributeError(name)
