"""A worker with a few small tasks, for tests of the process around them. It poses as the callback worker."""

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "app":
        from tiny_worker.definition import DEFINITION
        from unstract_worker_core.worker.entry import app_of

        globals()["app"] = app_of(DEFINITION)
        return globals()["app"]
    raise AttributeError(name)
