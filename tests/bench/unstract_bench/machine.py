"""What a run was made on: nothing that names the machine, everything that its figures depend on."""

import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from unstract_bench.interpreter import SYSTEM_PREFIX
from unstract_bench.rig import Ground

__all__ = ["facts"]

PACKAGES = ("celery", "kombu", "redis", "httpx", "dramatiq", "taskiq", "taskiq-redis", "unstract-worker-core")


def facts(ground: Ground) -> dict[str, Any]:
    """Machine, system and versions."""
    with ground.redis.client() as client:
        redis = str(client.info("server")["redis_version"])
    return {
        "cpu": _line("/proc/cpuinfo", "model name"),
        "cores": len(os.sched_getaffinity(0)),
        "load_average_before": round(os.getloadavg()[0], 2),
        "memory_mib": int(_line("/proc/meminfo", "MemTotal").split()[0]) // 1024,
        "kernel": ".".join(platform.release().split(".")[:2]),
        "python": platform.python_version() + (", the system's" if sys.base_prefix == SYSTEM_PREFIX else ""),
        "redis": redis,
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
    }


def _line(path: str, name: str) -> str:
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return "0"


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
