"""What the Unstract workers share. Importing it has no effect; see the package's README for the map."""

from typing import Any

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("unstract-worker-core")
    raise AttributeError(name)
