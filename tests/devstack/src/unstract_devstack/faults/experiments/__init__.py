"""The experiments; importing this package registers them all."""

from unstract_devstack.faults.experiments import (
    backend_faults,
    broker,
    clocks,
    connections,
    files,
    limits,
    pressure,
    random_run,
    redis_faults,
    refusals,
    shutdown,
    statuses,
    sweeping,
    versions,
)

__all__ = [
    "backend_faults",
    "broker",
    "clocks",
    "connections",
    "files",
    "limits",
    "pressure",
    "random_run",
    "redis_faults",
    "refusals",
    "shutdown",
    "statuses",
    "sweeping",
    "versions",
]
