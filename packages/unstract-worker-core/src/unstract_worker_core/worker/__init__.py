"""The worker process: Celery with guarded settings, commands, the drain and what runs beside the tasks.

Modules are imported one by one where they are needed: this package reads no environment and imports neither Celery nor
the HTTP client.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import version
from typing import Any


def package_attributes(package: str) -> Callable[[str], Any]:
    """The module-level ``__getattr__`` of a worker's package: its Celery app and its version, made on first use.

    Args:
        package: its import name; its module `tasks` has the DEFINITION.
    """

    def get(name: str) -> Any:
        if name == "__version__":
            return version(package.replace("_", "-"))
        if name != "app":
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        from unstract_worker_core.worker.command_line import app_of

        app = app_of(import_module(f"{package}.tasks").DEFINITION)
        vars(import_module(package))[name] = app  # the process has one app
        return app

    return get
