"""The experiments; importing this package registers them all."""

from unstract_devstack.faults.experiments import (
    backend_faults,
    broker,
    files,
    random_run,
    redis_faults,
    shutdown,
    statuses,
    sweeping,
    versions,
)

__all__ = [
    "backend_faults",
    "broker",
    "files",
    "random_run",
    "redis_faults",
    "shutdown",
    "statuses",
    "sweeping",
    "versions",
]
