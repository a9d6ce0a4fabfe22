"""Runs inside a worker's container and prints, as one JSON object, how closed it is. Standard library alone."""

import contextlib
import importlib
import json
import os
import pkgutil
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

CLOSED = ("/", "/opt/worker", "/etc", "/var")
OPEN = "/tmp"  # noqa: S108 - the one place that may be written
PROGRAMS = ("pip", "pip3", "gcc", "cc", "make", "curl", "wget")
MODULES = ("pip", "ensurepip", "setuptools")


def status(name: str) -> str:
    """A line of what the kernel says of the worker's process."""
    lines = Path("/proc/1/status").read_text(encoding="ascii").splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{name}:"))


def writable(folder: str) -> bool:
    """Whether a file can be made there."""
    path = Path(folder, ".written")
    with contextlib.suppress(OSError):
        path.touch()
        path.unlink()
        return True
    return False


def uncompiled() -> list[str]:
    """Modules that the start loads and would have to compile each time."""
    worker = os.environ["WORKER_TYPE"].replace("-", "_")
    for name in (f"unstract_worker_{worker}.__main__", "celery.apps.worker"):
        importlib.import_module(name)
    core = importlib.import_module("unstract_worker_core")
    for module in pkgutil.walk_packages(core.__path__, "unstract_worker_core."):
        with contextlib.suppress(ImportError):  # what an extra brings that this image does not have
            importlib.import_module(module.name)
    found = {name: getattr(module, "__cached__", None) for name, module in sys.modules.items()}
    return sorted(name for name, cached in found.items() if cached and not Path(cached).exists())


def main() -> None:
    """Looks at everything."""
    reported = {
        "user": status("Uid").split(),
        "capabilities": [name for name in ("CapEff", "CapPrm", "CapBnd") if int(status(name), 16)],
        "new_privileges": status("NoNewPrivs") != "1",
        "writable": [folder for folder in CLOSED if writable(folder)],
        "not_writable": [] if writable(OPEN) else [OPEN],
        "programs": [name for name in PROGRAMS if shutil.which(name)],
        "modules": [name for name in MODULES if find_spec(name)],
        "uncompiled": uncompiled(),
    }
    sys.stdout.write(json.dumps(reported))


if __name__ == "__main__":
    main()
