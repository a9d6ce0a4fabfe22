"""Modules that libraries import and a worker does not use wait until something does use them.

redis-py imports its asyncio client with itself, Celery the pool of processes that it has for prefork, and what
prometheus_client needs of the standard library brings the table of HTML's entities: memory and time of every start.

`importlib.util.LazyLoader` does the same, but loads a package as soon as one of its submodules is imported, and
redis-py imports one of ``redis.asyncio``.
"""

import sys
import threading
from collections.abc import Iterable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

__all__ = ["UNUSED", "defer"]

# Each is imported whole (``import x``, ``from package import x``), and nothing of it is looked at meanwhile.
UNUSED = ("billiard.pool", "html", "locale", "mimetypes", "redis.asyncio")


def defer(names: Iterable[str] = UNUSED) -> None:
    """From now on the import of one of these gives a module that is loaded when its first attribute is asked for."""
    sys.meta_path.insert(0, _Finder(names))


class _Finder(MetaPathFinder):
    """Finds each of the names once, as the path does."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = set(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in self._names:
            return None
        self._names.remove(fullname)
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Deferring(spec.loader)
        return spec


class _Deferring(Loader):
    """Makes the module as `loader` does, and has it execute the module later."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        lock, begun, empty = threading.RLock(), False, {*vars(module), "__getattr__"}

        def load(name: str) -> Any:
            nonlocal begun
            with lock:  # another thread waits until the module is whole
                if begun and vars(module).get("__getattr__") is load:  # asked for by what the module itself imports
                    raise AttributeError(f"module {module.__name__!r} is being loaded and has no {name!r} yet")
                if not begun:
                    begun = True
                    try:
                        self._execute(module, {key for key in vars(module) if key not in empty})
                    except BaseException:
                        begun = False
                        raise
                    if vars(module).get("__getattr__") is load:
                        del module.__getattr__
            return getattr(module, name)

        module.__getattr__ = load  # type: ignore[method-assign]

    def _execute(self, module: ModuleType, names: set[str]) -> None:
        given = {name: vars(module)[name] for name in names}
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        self._loader.exec_module(module)
        vars(module).update(given)  # what somebody set meanwhile stays, as with a module that was loaded at once
